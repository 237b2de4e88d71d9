//! Where the values of a stream, the elements of an array or the rows of a CSV
//! file begin and end, found byte by byte.
//!
//! The state goes on from one buffer to the next. Whether an entry is JSON or
//! CSV at all is left to those who read it.

use super::{BLOCK, Cut, Shape, Wholeness};

/// How far a stream has been looked at.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the states of a small scanner, and independent")]
pub(super) struct Splitter {
    /// Where the entry that is being read begins in the buffer.
    pub(super) begun: Option<usize>,
    /// Its number.
    pub(super) number: u64,
    pub(super) too_long: bool,
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// Whether the array's own bracket has been seen.
    opened: bool,
    /// Whether to stop after one entry.
    first_only: bool,
}

impl Splitter {
    /// Stops after the first entry.
    pub(super) fn of_first() -> Self {
        Self { first_only: true, ..Self::default() }
    }

    /// Scans from `from` on until the buffer ends or holds a block's worth of
    /// entries; returns how far it came.
    pub(super) fn scan(
        &mut self,
        shape: Shape,
        buffer: &[u8],
        from: usize,
        next: &mut u64,
        cuts: &mut Vec<Cut>,
    ) -> usize {
        for (at, &byte) in buffer.iter().enumerate().skip(from) {
            let ended = match shape {
                Shape::Csv => self.step_csv(byte, at, next),
                Shape::Values => self.step_value(byte, at, next),
                _ => self.step_array(byte, at, next),
            };
            let Some(end) = ended else { continue };
            if let Some(start) = self.begun.take() {
                self.cut(buffer, start, end, cuts);
            }
            if at + 1 >= BLOCK || self.first_only {
                return at + 1;
            }
        }
        buffer.len()
    }

    fn cut(&mut self, buffer: &[u8], start: usize, end: usize, cuts: &mut Vec<Cut>) {
        let too_long = std::mem::take(&mut self.too_long);
        let wholeness = if too_long { Wholeness::TooLong } else { Wholeness::Whole };
        if !buffer[start..end].trim_ascii().is_empty() {
            cuts.push(Cut { start, end, number: self.number, wholeness });
        }
    }

    fn begin(&mut self, at: usize, number: u64) {
        self.begun = Some(at);
        self.number = number;
    }

    /// Where the row ends, if it does at this byte.
    fn step_csv(&mut self, byte: u8, at: usize, line: &mut u64) -> Option<usize> {
        if self.begun.is_none() {
            self.begin(at, *line);
        }
        match byte {
            b'"' => self.in_string = !self.in_string,
            b'\n' => {
                *line += 1;
                if !self.in_string {
                    return Some(at);
                }
            }
            _ => {}
        }
        None
    }

    /// Whether the byte is part of a JSON string that has begun before.
    fn is_in_string(&mut self, byte: u8) -> bool {
        let was_in_string = self.in_string;
        if was_in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
        }
        was_in_string
    }

    /// Where the value ends, if it does at this byte; what is no object or array
    /// ends with its line.
    fn step_value(&mut self, byte: u8, at: usize, line: &mut u64) -> Option<usize> {
        if byte == b'\n' {
            *line += 1;
            // No string goes on over a line end: this one is broken, the rest may not be.
            (self.in_string, self.escaped) = (false, false);
        }
        if self.is_in_string(byte) || (self.begun.is_none() && byte.is_ascii_whitespace()) {
            return None;
        }
        if self.begun.is_none() {
            self.begin(at, *line);
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return Some(at + 1);
                }
            }
            b'\n' if self.depth == 0 => return Some(at),
            _ => {}
        }
        None
    }

    /// Where the element ends, if it does at this byte.
    fn step_array(&mut self, byte: u8, at: usize, next: &mut u64) -> Option<usize> {
        if self.is_in_string(byte) {
            return None;
        }
        if !self.opened {
            self.opened = byte == b'[';
            return None;
        }
        let between = self.begun.is_none();
        if between && (byte.is_ascii_whitespace() || byte == b',' || byte == b']') {
            return None;
        }
        if between {
            self.begin(at, *next);
            *next += 1;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            // A comma, or the array's own end, closes a bare value before it.
            b'}' | b']' | b',' if self.depth == 0 => return Some(at),
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        None
    }
}
