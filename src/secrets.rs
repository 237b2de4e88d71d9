//! Credentials never reach the book, quarantine, a message or a log.
//!
//! What looks like one is replaced by a fingerprint at the moment it is read:
//! `fp_` and the first 12 hex digits of its SHA-256, by which a registry can
//! still recognise the key.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// Shorter runs of letters and digits are no credentials.
const MIN_LEN: usize = 20;

/// How the known kinds of credentials begin.
const PREFIXES: &[&str] = &["gsk_", "sk-", "sk_", "xai-", "AIza", "AKIA", "ASIA", "eyJ", "pk-lf-", "ghp_", "hf_"];

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
    // Most texts are shorter than any credential.
    if text.len() < MIN_LEN {
        return Cow::Borrowed(text);
    }
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

/// Where the next credential begins and ends, from `from` on.
fn next_credential(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while at + MIN_LEN <= bytes.len() {
        // A credential begins a word.
        let begins_word = at == 0 || !is_token_byte(bytes[at - 1]);
        if begins_word {
            let end = at + bytes[at..].iter().take_while(|&&byte| is_token_byte(byte)).count();
            // A byte inside a character is no token byte: the word is empty.
            if end > at
                && let Some(start) = credential_in(&text[at..end])
            {
                return Some((at + start, end));
            }
            if end > at
                && let Some(start) = bearer_value(text, at, end)
            {
                let len = bytes[start..].iter().take_while(|&&byte| is_token_byte(byte)).count();
                return Some((start, start + len));
            }
            at = end.max(at + 1);
        } else {
            at += 1;
        }
    }
    None
}

/// Where in a word of token characters a credential starts.
fn credential_in(word: &str) -> Option<usize> {
    if word.len() < MIN_LEN {
        return None;
    }
    PREFIXES
        .iter()
        .filter_map(|prefix| {
            word.match_indices(prefix).map(|(at, _)| (at, prefix)).find(|&(at, prefix)| {
                let starts_part = at == 0 || matches!(word.as_bytes()[at - 1], b'_' | b'-' | b'.' | b'/' | b'+' | b'=');
                let secret = &word[at + prefix.len()..];
                starts_part && looks_random(secret) && (*prefix != "eyJ" || secret.contains('.'))
            })
        })
        .map(|(at, _)| at)
        .min()
}

/// Whether enough letters and digits follow, with no blank word structure: a
/// registered name like `sk-search-production` has no digits among its letters.
fn looks_random(secret: &str) -> bool {
    let alphanumerics = secret.bytes().filter(u8::is_ascii_alphanumeric).count();
    alphanumerics >= MIN_LEN - 4 && secret.bytes().any(|byte| byte.is_ascii_digit())
}

/// Where the value after a word `Bearer` starts.
fn bearer_value(text: &str, at: usize, end: usize) -> Option<usize> {
    if !text[at..end].eq_ignore_ascii_case("bearer") || text.as_bytes().get(end) != Some(&b' ') {
        return None;
    }
    let value = &text[end + 1..];
    let len = value.bytes().take_while(|&byte| is_token_byte(byte)).count();
    (len >= MIN_LEN).then_some(end + 1)
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+' | b'=' | b'~')
}

#[cfg(test)]
mod tests {
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
        check("bearer 0123456789abcdefghijKLMN", &format!("bearer {}", fingerprint("0123456789abcdefghijKLMN")));
    }

    #[test]
    fn of_a_text_that_was_cut_off_the_last_word_goes() {
        for (text, expect) in [("key: gsk_Canary", "key: "), ("a é", "a é"), ("é", "é"), ("gsk_Canary", ""), ("", "")]
        {
            assert_eq!(without_cut_word(text), expect);
        }
    }

    #[test]
    fn names_and_ids_stay_as_they_are() {
        for name in [
            "chatbot-prod",
            "sk-search-production-eu-west",
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
}
