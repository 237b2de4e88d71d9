//! The time inside a provider's id: a last resort where nothing else says when.
//!
//! Groq's `req_…` and `batch_req_out_…` end in a UUID of version 7, written in
//! 26 characters of Crockford's base 32: milliseconds since 1970, by RFC 9562.
//! `OpenAI`'s `batch_…`, `batch_req_…` and `resp_…` end in a UUID of version 8
//! whose first 32 bits are seconds since 1970; `resp_…` goes on with eight more
//! bytes. Both agree with the bodies' own `created` to the second or, for a line
//! of a batch, to minutes. Version and variant are checked, so that a random id
//! is not taken for a time.

use crate::time::Instant;

/// When the id was made, if it says so.
pub(crate) fn time_in_id(id: &str) -> Option<Instant> {
    let suffix = id.rsplit('_').next()?;
    let time = match suffix.len() {
        26 => {
            let uuid = suffix.bytes().try_fold(0_u128, |bits, byte| {
                let bits = if bits >> 123 == 0 { bits << 5 } else { return None };
                Some(bits | u128::from(crockford(byte)?))
            })?;
            let millis = i64::try_from(uuid >> 80).ok()?;
            is_version(uuid, 7).then(|| Instant::from_micros(millis.saturating_mul(1_000)))?
        }
        32 | 48 => {
            // `from_str_radix` would take a sign.
            let is_hex = suffix.bytes().all(|byte| byte.is_ascii_hexdigit());
            let uuid = u128::from_str_radix(suffix.get(..32).filter(|_| is_hex)?, 16).ok()?;
            let seconds = i64::try_from(uuid >> 96).ok()?;
            is_version(uuid, 8).then(|| Instant::from_micros(seconds.saturating_mul(1_000_000)))?
        }
        _ => return None,
    };
    time.is_sane().then_some(time)
}

/// Whether it is a UUID of that version, in the variant of RFC 9562.
const fn is_version(uuid: u128, version: u128) -> bool {
    (uuid >> 76) & 0xF == version && (uuid >> 62) & 0b11 == 0b10
}

/// The value of a digit of Crockford's base 32, in lower case as ids have it.
fn crockford(byte: u8) -> Option<u8> {
    let digit = b"0123456789abcdefghjkmnpqrstvwxyz".iter().position(|&digit| digit == byte)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_when_they_were_made() {
        for (id, expect) in [
            // The bodies of these say 1742425217 and 1734986202.
            ("req_01jpra5n2qef6s66k65v8sy51h", Some("2025-03-19T23:00:16.087Z")),
            ("batch_req_out_01jpra5p4ve4v8k14zkqn6agjm", Some("2025-03-19T23:00:17.179Z")),
            ("batch_req_6769ca596b38819093d7ae9f522de924", Some("2024-12-23T20:38:49Z")),
            ("batch_6a1cd9d0a3688190abb50aa75c49a8dd", Some("2026-06-01T01:01:04Z")),
            ("resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b", Some("2025-03-08T23:29:02Z")),
            // A random UUID, other alphabets, other lengths, too large.
            ("07bc45ab4e7e46ac83a0c949973327e7", None),
            ("req_01JPRA5N2QEF6S66K65V8SY51H", None),
            ("req_01jpra5n2qef6s66k65v8sy51u", None),
            ("req_zzzzzzzzzzzzzzzzzzzzzzzzzz", None),
            ("req_1", None),
            ("chatcmpl-6a1cd9d0a3688190abb50aa75c49a8dd", None),
            ("resp_67ccd2bed1ec0190b14f964abc0542670bb6a6b452d3795b", None),
            ("resp_67ccd2bed1ec8190b14f964abc054267_bb6a6b452d3795", None),
            ("batch_req_wnaDys", None),
            ("", None),
            ("_é", None),
        ] {
            assert_eq!(time_in_id(id).map(|time| time.to_string()).as_deref(), expect, "{id}");
        }
    }
}
