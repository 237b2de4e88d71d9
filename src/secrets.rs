//! Credentials never reach the book, quarantine, a message or a log.
//!
//! What looks like one is replaced by a fingerprint at the moment it is read:
//! `fp_` and the first 12 hex digits of its SHA-256, by which a registry can
//! still recognise the key.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use wide::u8x16;

/// Shorter runs of letters and digits are no credentials.
const MIN_LEN: usize = 20;

/// How the known kinds of credentials begin, and what else has to follow.
const KINDS: &[(&str, Asks)] = &[
    ("gsk_", Asks::Run),
    ("sk-", Asks::MixedRun),
    ("sk_", Asks::MixedRun),
    ("xai-", Asks::Run),
    ("AIza", Asks::Nothing),
    ("AKIA", Asks::Run),
    ("ASIA", Asks::Run),
    ("eyJ", Asks::Dot),
    ("pk-lf-", Asks::Run),
    ("ghp_", Asks::Run),
    ("hf_", Asks::Run),
];

/// What tells a credential from a name that begins like one.
#[derive(Debug, Clone, Copy)]
enum Asks {
    /// Nothing else begins like this.
    Nothing,
    /// The parts of a JWT have dots between them.
    Dot,
    /// A digit, or letters without a break as no word has: `hf_` may begin
    /// `hf_inference_production_team`, too.
    Run,
    /// A digit, or such letters of both cases: nearly every word can follow.
    MixedRun,
}

/// Letters without a break that make a credential with [`Asks::Run`].
const RUN: usize = MIN_LEN - 4;
/// The same with [`Asks::MixedRun`]; of one case they have to be longer.
const MIXED_RUN: usize = 20;
const PLAIN_RUN: usize = 30;

/// The word before a credential of any kind, in any case.
const BEARER: &[u8] = b"bearer";

/// The fingerprint of a credential.
pub fn fingerprint(credential: &str) -> String {
    short_digest("fp_", credential)
}

/// A user's name where it is not to be stored: the same for the same name.
pub fn pseudonym(user: &str) -> String {
    short_digest("u_", user)
}

/// The first 12 hex digits of a SHA-256.
fn short_digest(prefix: &str, text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut short = prefix.to_owned();
    for byte in &digest[..6] {
        short.push_str(&format!("{byte:02x}"));
    }
    short
}

/// A text that was cut off after these bytes, without the word that may go on:
/// of a credential that was cut in two, nothing could tell what it is.
pub fn without_cut_word(text: &str) -> &str {
    let word = text.bytes().rev().take_while(|&byte| is_token_byte(byte)).count();
    &text[..text.len() - word]
}

/// The text with every credential in it replaced by its fingerprint.
pub fn redact(text: &str) -> Cow<'_, str> {
    if may_hold_credential(text.as_bytes()) { replace_credentials(text) } else { Cow::Borrowed(text) }
}

fn replace_credentials(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some((start, end)) = next_credential(text, at) {
        out.push_str(&text[copied..start]);
        out.push_str(&fingerprint(&text[start..end]));
        copied = end;
        at = end;
    }
    if copied == 0 && out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Like [`redact`], for the value of a key field: a bare SHA-256 in hex, by
/// which some gateways log keys, becomes the same fingerprint as the key itself.
pub fn redact_key(text: &str) -> Cow<'_, str> {
    let hash = text.strip_prefix("sha256:").unwrap_or(text);
    if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Cow::Owned(format!("fp_{}", hash[..12].to_ascii_lowercase()));
    }
    redact(text)
}

/// Bytes of which one is in every text that holds a credential: each kind begins
/// with one, or has an escape before it. They are rare in names, and not at all
/// in the hex digits of an id.
const TELLING: [u8; 9] = *b"_kxIJrR\\%";

/// Whether a credential may be in the text: a quick look that is taken at every
/// text of every record, since there is none in nearly all of them.
fn may_hold_credential(text: &[u8]) -> bool {
    text.len() >= MIN_LEN && has_telling_byte(text) && has_beginning(text)
}

/// Whether one of [`TELLING`] is in the text, sixteen bytes at a time.
fn has_telling_byte(text: &[u8]) -> bool {
    let ((whole, _), Some(last)) = (text.as_chunks(), text.last_chunk()) else { return true };
    // What is behind the last whole chunk lies in the last sixteen bytes.
    whole.iter().chain([last]).any(|&chunk| {
        let chunk = u8x16::new(chunk);
        TELLING.iter().fold(u8x16::splat(0), |found, &byte| found | chunk.simd_eq(u8x16::splat(byte))).any()
    })
}

/// Whether a part of the text begins like a credential, or after an escape.
fn has_beginning(text: &[u8]) -> bool {
    const FIRST: u8 = 1;
    const ESCAPE: u8 = 2;
    const BYTES: [u8; 256] = {
        let mut bytes = [0; 256];
        let mut at = 0;
        while at < KINDS.len() {
            bytes[KINDS[at].0.as_bytes()[0] as usize] = FIRST;
            at += 1;
        }
        bytes[BEARER[0] as usize] = FIRST;
        bytes[BEARER[0].to_ascii_uppercase() as usize] = FIRST;
        // After one, a part begins in the middle of letters and digits.
        bytes[b'\\' as usize] = ESCAPE;
        bytes[b'%' as usize] = ESCAPE;
        bytes
    };
    let begins_part = |at: usize| at == 0 || !text[at - 1].is_ascii_alphanumeric();
    text.iter().enumerate().any(|(at, &byte)| match BYTES[usize::from(byte)] {
        0 => false,
        FIRST => begins_part(at) && begins_like_credential(&text[at..]),
        _ => true,
    })
}

fn begins_like_credential(text: &[u8]) -> bool {
    KINDS.iter().any(|(prefix, _)| text.starts_with(prefix.as_bytes()))
        || text.get(..BEARER.len()).is_some_and(|word| word.eq_ignore_ascii_case(BEARER))
}

/// Where the next credential begins and ends, from `from` on.
fn next_credential(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while at + MIN_LEN <= bytes.len() {
        // A credential begins a word.
        let begins_word = at == 0 || !is_token_byte(bytes[at - 1]);
        if begins_word {
            let end = at + bytes[at..].iter().take_while(|&&byte| is_token_byte(byte)).count();
            let start = (at + escape_length(bytes, at)).min(end);
            // A byte inside a character is no token byte: the word is empty.
            if end > start
                && let Some(offset) = credential_in(&text[start..end])
            {
                return Some((start + offset, end));
            }
            if end > start
                && let Some(value) = bearer_value(text, start, end)
            {
                let len = bytes[value..].iter().take_while(|&&byte| is_token_byte(byte)).count();
                return Some((value, value + len));
            }
            at = end.max(at + 1);
        } else {
            at += 1;
        }
    }
    None
}

/// How much of a word belongs to an escape before it, in JSON (`\n`, `\u0020`)
/// or in an address (`%20`): what follows is the word.
fn escape_length(bytes: &[u8], at: usize) -> usize {
    let is_hex = |from: usize, count: usize| {
        bytes.get(from..from + count).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    match (at.checked_sub(1).map(|before| bytes[before]), bytes[at]) {
        (Some(b'\\'), b'n' | b'r' | b't' | b'b' | b'f') => 1,
        (Some(b'\\'), b'u') if is_hex(at + 1, 4) => 5,
        (Some(b'%'), _) if is_hex(at, 2) => 2,
        _ => 0,
    }
}

/// Where in a word of token characters a credential starts.
fn credential_in(word: &str) -> Option<usize> {
    if word.len() < MIN_LEN {
        return None;
    }
    let bytes = word.as_bytes();
    let tells = Tells::of(bytes);
    KINDS
        .iter()
        .filter_map(|(prefix, asks)| {
            word.match_indices(prefix).map(|(at, _)| at).find(|&at| {
                let starts_part = at == 0 || matches!(bytes[at - 1], b'_' | b'-' | b'.' | b'/' | b'+' | b'=');
                let secret = at + prefix.len();
                starts_part && is_long_enough(&bytes[secret..]) && tells.have(*asks, secret)
            })
        })
        .min()
}

/// Where the last of what tells a credential is in a word: found once, since
/// the word may be an endless repetition of a prefix.
struct Tells {
    digit: Option<usize>,
    dot: Option<usize>,
    run: Option<usize>,
    mixed_run: Option<usize>,
}

impl Tells {
    fn of(bytes: &[u8]) -> Self {
        let last = |is_wanted: fn(u8) -> bool| bytes.iter().rposition(|&byte| is_wanted(byte));
        let mut tells = Self {
            digit: last(|byte| byte.is_ascii_digit()),
            dot: last(|byte| byte == b'.'),
            run: None,
            mixed_run: None,
        };
        // From the end on, so that the first place that is found is the last.
        let (mut lower, mut upper) = (0, 0);
        for (at, byte) in bytes.iter().enumerate().rev() {
            match byte {
                b'a'..=b'z' => lower += 1,
                b'A'..=b'Z' => upper += 1,
                _ => (lower, upper) = (0, 0),
            }
            let letters = lower + upper;
            let is_mixed = lower > 0 && upper > 0 && letters >= MIXED_RUN;
            if tells.run.is_none() && letters >= RUN {
                tells.run = Some(at);
            }
            if is_mixed || letters >= PLAIN_RUN {
                tells.mixed_run = Some(at);
                break;
            }
        }
        tells
    }

    /// Whether what a kind asks for is there from a place on.
    fn have(&self, asks: Asks, from: usize) -> bool {
        let is_there = |found: Option<usize>| found >= Some(from);
        match asks {
            Asks::Nothing => true,
            Asks::Dot => is_there(self.dot),
            Asks::Run => is_there(self.digit) || is_there(self.run),
            Asks::MixedRun => is_there(self.digit) || is_there(self.mixed_run),
        }
    }
}

/// Whether enough letters and digits follow a prefix.
fn is_long_enough(secret: &[u8]) -> bool {
    secret.iter().filter(|byte| byte.is_ascii_alphanumeric()).nth(MIN_LEN - 5).is_some()
}

/// Where the value after a word `Bearer` starts, also of `key=Bearer …`.
fn bearer_value(text: &str, at: usize, end: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let word = end.checked_sub(BEARER.len()).filter(|&start| start >= at)?;
    let begins_part = word == at || !bytes[word - 1].is_ascii_alphanumeric();
    if !begins_part || !bytes[word..end].eq_ignore_ascii_case(BEARER) {
        return None;
    }
    let between = bytes[end..].iter().take(4).take_while(|byte| matches!(byte, b' ' | b'\t' | b':' | b'"')).count();
    let value = end + between;
    let len = bytes[value..].iter().take_while(|&&byte| is_token_byte(byte)).count();
    (between > 0 && len >= MIN_LEN).then_some(value)
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+' | b'=' | b'~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef";

    fn check(text: &str, expect: &str) {
        assert_eq!(redact(text), expect);
    }

    #[test]
    fn credentials_become_fingerprints() {
        let fp = fingerprint(SECRET);
        assert_eq!(fp.len(), 15);
        check(SECRET, &fp);
        check(&format!("key={SECRET}, again {SECRET}"), &format!("key={fp}, again {fp}"));
        check(&format!("{{\"k\":\"{SECRET}\"}}"), &format!("{{\"k\":\"{fp}\"}}"));
        check(&format!("Authorization: Bearer {SECRET}"), &format!("Authorization: Bearer {fp}"));
        for secret in [
            "sk-proj-abc123DEF456ghi789JKL012",
            "sk-ant-api03-abcdefgh12345678ijklmnop",
            "xai-0123456789abcdefghijklmnop",
            "AIzaSyA-1234567890abcdefghijklmnop",
            "AKIA0123456789ABCDEFGH",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc123def456ghi789",
        ] {
            check(secret, &fingerprint(secret));
        }
        for before in ["\\n", "\\u0020", "%20", "k%3D", "é", "(", "a, "] {
            check(&format!("{before}{SECRET}"), &format!("{before}{fp}"));
        }
        check("bearer 0123456789abcdefghijKLMN", &format!("bearer {}", fingerprint("0123456789abcdefghijKLMN")));
    }

    /// One in thousands of random keys has no digit at all.
    #[test]
    fn credentials_without_a_digit_are_credentials() {
        let letters = "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUiOpAsDfGhJkLzXcVbNm";
        for secret in [
            format!("gsk_{letters}"),
            format!("gsk_{}", letters.to_lowercase()),
            format!("AIzaSy_{}-{}", &letters[..12], &letters[..19]),
            format!("sk-proj-{}", &letters[..20]),
            format!("sk-proj-{}", letters.to_lowercase()),
            format!("sk-ant-api-{letters}"),
            format!("sk_{letters}"),
            format!("xai-{letters}"),
            format!("hf_{}", &letters[..34]),
            format!("ghp_{}", &letters[..36]),
            format!("AKIA{}", &letters[..16].to_uppercase()),
            "eyJhbGciOiJIUzI.eyJzdWIiOiIx.abcdefghij".to_owned(),
        ] {
            check(&secret, &fingerprint(&secret));
            check(&format!("user {secret}, again"), &format!("user {}, again", fingerprint(&secret)));
        }
    }

    #[test]
    fn of_a_text_that_was_cut_off_the_last_word_goes() {
        for (text, expect) in [("key: gsk_Canary", "key: "), ("a é", "a é"), ("é", "é"), ("gsk_Canary", ""), ("", "")]
        {
            assert_eq!(without_cut_word(text), expect);
        }
    }

    /// Linear also where every few bytes could begin one.
    #[test]
    fn a_long_text_takes_no_longer_than_its_length() {
        for unit in ["sk-", "eyJ1", "sk-a", "gsk_/", "gsk_abcdefghijk", "bearer "] {
            let text = unit.repeat(1 << 18);
            assert!(redact(&text) == text, "{unit}");
        }
    }

    #[test]
    fn names_and_ids_stay_as_they_are() {
        for name in [
            "chatbot-prod",
            "sk-search-production-eu-west",
            "sk-learn-experiments-of-the-team",
            "sk_learn_experiments_of_the_Team",
            "sk-internationalisation-production",
            "chatbot-ASIA-production-southeast-gateway",
            "hf_inference_endpoints_production",
            "gsk_clinical_trial_summaries_team",
            "xai-grok-evaluation-of-the-team",
            "risk-assessmentOfTheWholeCompany",
            "chatcmpl-6b77f788-464c-47b3-ad3d-baf89e67bc6f",
            "req_01jvfy6n35ek69jhnc5ja1hhyx",
            "task-0123456789012345678901234567890",
            "meta-llama/llama-4-scout-17b-16e-instruct",
            "",
            "é😀 a text with many words in it and no secret at all",
        ] {
            check(name, name);
        }
    }

    #[test]
    fn a_hashed_key_has_the_fingerprint_of_the_key() {
        let hash: String = Sha256::digest(SECRET.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(redact_key(&hash), fingerprint(SECRET));
        assert_eq!(redact_key("chatbot-prod"), "chatbot-prod");
    }

    #[test]
    fn every_kind_begins_with_a_byte_that_tells() {
        let tells = |text: &[u8]| text.iter().any(|byte| TELLING.contains(byte));
        assert!(KINDS.iter().all(|(prefix, _)| tells(prefix.as_bytes())));
        assert!(tells(BEARER) && tells(&BEARER.to_ascii_uppercase()));
    }

    proptest! {
        #[test]
        fn the_quick_look_misses_nothing(
            text in r#"((gsk_|sk-|sk_|xai-|AIza|AKIA|ASIA|eyJ|pk-lf-|ghp_|hf_|[Bb]earer|BEARER)|[a-zA-Z0-9]{20}|[a-z0-9]|[-_./+=~ :"%\\]|20|n|é){0,12}"#
        ) {
            prop_assert_eq!(redact(&text), replace_credentials(&text));
        }
    }
}
