//! One pass over the bytes of a document, which becomes a flat list of nodes.
//!
//! No recursion, so that depth is bounded by a number and not by the stack.
//! Refuses what `serde_json` refuses, but for what is only known once a text or
//! a number is decoded.

use wide::u8x16;

use super::{JsonError, Kind, MAX_DEPTH, Node};

/// The text that is scanned, and what was found in it so far.
pub(super) struct Cursor<'s, 'a> {
    bytes: &'a [u8],
    nodes: &'s mut Vec<Node>,
    /// The containers that are open, outermost first.
    open: &'s mut Vec<u32>,
    /// What stopped the scan, once something has.
    error: JsonError,
}

/// Where a value or a step of the scan ended. Places are passed on, not kept
/// in the cursor, so that they stay in a register; so that this does, too, what
/// is wrong is kept there.
type Scanned = Result<usize, Refused>;

/// The text is no JSON.
struct Refused;

impl<'s, 'a> Cursor<'s, 'a> {
    /// Both lists are empty, and the text is no longer than 4 GiB.
    pub(super) fn new(text: &'a str, nodes: &'s mut Vec<Node>, open: &'s mut Vec<u32>) -> Self {
        Self { bytes: text.as_bytes(), nodes, open, error: JsonError { what: "", at: 0 } }
    }

    pub(super) fn document(mut self) -> Result<(), JsonError> {
        self.values().map(drop).map_err(|Refused| self.error)
    }

    /// To the end of the text.
    fn values(&mut self) -> Scanned {
        let mut at = self.skip_space(0);
        let mut is_object = false;
        loop {
            // A value begins here.
            at = match self.peek(at) {
                Some(b'"') => self.string(at)?,
                Some(b'-' | b'0'..=b'9') => self.number(at)?,
                Some(bracket @ (b'{' | b'[')) => {
                    is_object = bracket == b'{';
                    self.open_container(is_object, at)?;
                    at = self.skip_space(at + 1);
                    let end = if is_object { b'}' } else { b']' };
                    if self.peek(at) != Some(end) {
                        if is_object {
                            at = self.key(at)?;
                        }
                        continue;
                    }
                    // Empty: closed below.
                    at
                }
                _ => self.word(at)?,
            };
            // A value has ended: close what closes with it.
            loop {
                at = self.skip_space(at);
                if self.open.is_empty() {
                    return if at == self.bytes.len() { Ok(at) } else { Err(self.refuse("text after the value", at)) };
                }
                match (self.peek(at), is_object) {
                    (Some(b','), _) => {
                        at = self.skip_space(at + 1);
                        if is_object {
                            at = self.key(at)?;
                        }
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        at += 1;
                        is_object = self.close_container(at);
                    }
                    (None, _) => return Err(self.refuse("end of text inside a value", at)),
                    _ => return Err(self.refuse("expected `,` or the end of the object or array", at)),
                }
            }
        }
    }

    fn open_container(&mut self, is_object: bool, at: usize) -> Result<(), Refused> {
        if self.open.len() == MAX_DEPTH {
            return Err(self.refuse("nested more than 128 deep", at));
        }
        self.open.push(u32_of(self.nodes.len()));
        self.push(if is_object { Kind::Object } else { Kind::Array }, at, at);
        Ok(())
    }

    /// Closes the innermost container, which ends before `at`; whether the one
    /// around it is an object.
    fn close_container(&mut self, at: usize) -> bool {
        if let Some(container) = self.open.pop() {
            let next = u32_of(self.nodes.len());
            let node = &mut self.nodes[container as usize];
            node.end = u32_of(at);
            node.next = next;
        }
        self.open.last().is_some_and(|&around| self.nodes[around as usize].kind == Kind::Object)
    }

    /// A key and the colon after it, to where the value begins.
    fn key(&mut self, at: usize) -> Scanned {
        if self.peek(at) != Some(b'"') {
            return Err(self.refuse("expected a key in quotes", at));
        }
        let at = self.string(at)?;
        let at = self.skip_space(at);
        if self.peek(at) != Some(b':') {
            return Err(self.refuse("expected `:` after a key", at));
        }
        Ok(self.skip_space(at + 1))
    }

    fn word(&mut self, at: usize) -> Scanned {
        match self.peek(at) {
            Some(b't') => self.literal(at, b"true", Kind::Bool(true)),
            Some(b'f') => self.literal(at, b"false", Kind::Bool(false)),
            Some(b'n') => self.literal(at, b"null", Kind::Null),
            None => Err(self.refuse("end of text where a value was expected", at)),
            Some(_) => Err(self.refuse("expected a value", at)),
        }
    }

    fn literal(&mut self, at: usize, word: &[u8], kind: Kind) -> Scanned {
        if !self.bytes[at..].starts_with(word) {
            return Err(self.refuse("expected a value", at));
        }
        self.push(kind, at, at + word.len());
        Ok(at + word.len())
    }

    fn number(&mut self, start: usize) -> Scanned {
        let first = start + usize::from(self.peek(start) == Some(b'-'));
        let mut at = self.digits(first);
        if at == first || (at > first + 1 && self.peek(first) == Some(b'0')) {
            return Err(self.refuse("malformed number", at));
        }
        if self.peek(at) == Some(b'.') {
            let fraction = at + 1;
            at = self.digits(fraction);
            if at == fraction {
                return Err(self.refuse("malformed number", at));
            }
        }
        if let Some(b'e' | b'E') = self.peek(at) {
            let exponent = at + 1 + usize::from(matches!(self.peek(at + 1), Some(b'+' | b'-')));
            at = self.digits(exponent);
            if at == exponent {
                return Err(self.refuse("malformed number", at));
            }
        }
        self.push(Kind::Number, start, at);
        Ok(at)
    }

    /// The end of the digits that begin there. How many there are cannot be
    /// foreseen, and a wrong guess takes longer than looking at all of them.
    #[inline]
    fn digits(&self, at: usize) -> usize {
        let mut rest = self.bytes.get(at..).unwrap_or_default();
        while let Some((&chunk, after)) = rest.split_first_chunk() {
            let from_zero = u8x16::new(chunk) - u8x16::splat(b'0');
            let others = !from_zero.simd_eq(from_zero.min(u8x16::splat(9))).to_bitmask() & 0xffff;
            if others != 0 {
                return self.bytes.len() - rest.len() + others.trailing_zeros() as usize;
            }
            rest = after;
        }
        let end = rest.iter().position(|byte| !byte.is_ascii_digit());
        self.bytes.len() - rest.len() + end.unwrap_or(rest.len())
    }

    /// A string, of which `at` is the opening quote.
    #[expect(
        clippy::inline_always,
        reason = "two thirds of a document are strings, and a call of each costs a fifth of it"
    )]
    #[inline(always)]
    fn string(&mut self, at: usize) -> Scanned {
        let end = plain_until(self.bytes, at + 1);
        if self.peek(end) == Some(b'"') {
            self.push(Kind::Text(false), at + 1, end);
            return Ok(end + 1);
        }
        self.string_with_escapes(at + 1, end)
    }

    /// A string that begins at `start`, and is plain until `at`.
    #[cold]
    fn string_with_escapes(&mut self, start: usize, mut at: usize) -> Scanned {
        loop {
            match self.peek(at) {
                Some(b'"') => break,
                Some(b'\\') => at = self.escape(at)?,
                Some(_) => return Err(self.refuse("control character in a string", at)),
                None => return Err(self.refuse("end of text inside a string", at)),
            }
            at = plain_until(self.bytes, at);
        }
        self.push(Kind::Text(true), start, at);
        Ok(at + 1)
    }

    /// An escape, of which `at` is the backslash.
    fn escape(&mut self, at: usize) -> Scanned {
        match self.peek(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => {
                let digits = self.bytes.get(at + 2..at + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.refuse("malformed escape", at));
                }
                Ok(at + 6)
            }
            _ => Err(self.refuse("malformed escape", at)),
        }
    }

    #[cold]
    fn refuse(&mut self, what: &'static str, at: usize) -> Refused {
        self.error = JsonError { what, at };
        Refused
    }

    #[inline]
    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = u32_of(self.nodes.len() + 1);
        self.nodes.push(Node { kind, start: u32_of(start), end: u32_of(end), next });
    }

    #[inline]
    fn peek(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    #[inline]
    fn skip_space(&self, mut at: usize) -> usize {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek(at) {
            at += 1;
        }
        at
    }
}

/// Documents are at most 4 GiB, checked before the scan, so this cannot wrap.
#[expect(clippy::cast_possible_truncation, reason = "`scan` refuses longer texts")]
const fn u32_of(at: usize) -> u32 {
    at as u32
}

/// The first place from `at` on with a quote, a backslash or a control
/// character, sixteen bytes at a time, which most texts are shorter than; the
/// end where there is none.
#[inline]
fn plain_until(bytes: &[u8], at: usize) -> usize {
    const LAST_CONTROL: u8 = 0x1f;
    let mut rest = bytes.get(at..).unwrap_or_default();
    while let Some((&chunk, after)) = rest.split_first_chunk() {
        let chunk = u8x16::new(chunk);
        let is_control = chunk.simd_eq(chunk.min(u8x16::splat(LAST_CONTROL)));
        let marks = chunk.simd_eq(u8x16::splat(b'"')) | chunk.simd_eq(u8x16::splat(b'\\')) | is_control;
        let marks = marks.to_bitmask();
        if marks != 0 {
            return bytes.len() - rest.len() + marks.trailing_zeros() as usize;
        }
        rest = after;
    }
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=LAST_CONTROL));
    bytes.len() - rest.len() + end.unwrap_or(rest.len())
}
