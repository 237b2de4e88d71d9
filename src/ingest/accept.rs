//! What every format's records go through: the source's defaults, one spelling
//! of names, secrets out, numbers sane, and the identity (DESIGN §4).

use std::{borrow::Cow, mem};

use xxhash_rust::xxh3::xxh3_128;

use super::{
    formats::{Found, Reject, RejectReason, is_nothing, provider},
    names::Names,
};
use crate::{
    config::{IdentityBy, Source},
    record::{Status, Text, UsageRecord},
    secrets,
};

/// Quantities from here on are absurd for one request.
const ABSURD: i64 = 1 << 53;

/// Where an entry stands: for ids that have to be made from it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The entry's own bytes.
    pub raw: &'a [u8],
    pub file: &'a str,
    pub line: u64,
}

/// Makes a format's finding a record of the book, where it stands.
///
/// # Errors
/// Where a value cannot be true.
pub fn accept<'a>(found: &mut Found<'a>, source: &'a Source, names: &Names, place: Place<'_>) -> Result<(), Reject> {
    let Found { record, ids, created, raw } = found;
    let place = Place { raw: raw.map_or(place.raw, str::as_bytes), ..place };
    if !record.ts.is_sane() {
        return Err(Reject::new(
            RejectReason::BadTime,
            format!("the request is of {}, expected a time between 2020 and 2100", record.ts),
        ));
    }
    if let Some(quantity) = record.quantities.0.iter().flatten().find(|&&quantity| !(0..ABSURD).contains(&quantity)) {
        return Err(Reject::new(
            RejectReason::OutOfRange,
            format!("a quantity is `{quantity}`, expected less than 2^53"),
        ));
    }
    record.ts_last = record.ts;
    // Before any of them is spelled another way: in lower case, a credential
    // would not be known for one.
    redact_all(record);
    record.provider = who_bills(mem::take(&mut record.provider), source)?;
    if record.model.is_empty() {
        record.model = Cow::Borrowed("unknown");
    }
    if record.model_requested.as_ref() == Some(&record.model) {
        record.model_requested = None;
    }
    record.tier =
        record.tier.take().and_then(tier).or_else(|| source.tier.as_deref().map(Cow::Borrowed).and_then(tier));
    if record.gateway_cache && record.status == Status::Error {
        record.gateway_cache = false;
    }
    identify(record, ids, *created, source, place);
    redact(&mut record.request_id);
    redact(&mut record.part);
    record.key = record.key.take().map(|key| names.key(key));
    record.user = record.user.take().and_then(|user| names.user(user));
    Ok(())
}

/// Who bills, in lower case, under the one name per provider.
fn who_bills<'a>(reported: Text<'a>, source: &'a Source) -> Result<Text<'a>, Reject> {
    if !reported.is_empty() {
        return Ok(provider::canonical(reported));
    }
    source.provider.as_deref().map(Cow::Borrowed).ok_or_else(|| {
        Reject::new(
            RejectReason::MissingField,
            "the record does not say who bills for it: set `provider` in the source, for example `provider = \"groq\"`",
        )
    })
}

/// The tier in lower case; the names for the ordinary one are one. `auto` asks
/// for a tier, and says nothing of the one that was served.
pub(crate) fn tier(name: Text<'_>) -> Option<Text<'_>> {
    match name.as_ref() {
        "on_demand" | "default" | "standard" => Some(Cow::Borrowed("on_demand")),
        "" | "auto" => None,
        _ if name.bytes().any(|byte| byte.is_ascii_uppercase()) => tier(Cow::Owned(name.to_ascii_lowercase())),
        _ => Some(name),
    }
}

/// Sets `request_id` and completes `part`.
fn identify<'a>(
    record: &mut UsageRecord<'a>,
    ids: &mut [Option<Text<'a>>; 2],
    created: Option<i64>,
    source: &Source,
    place: Place<'_>,
) {
    let id = ids.iter_mut().filter_map(Option::take).find(|id| is_id(id));
    if let Some(id) = id.filter(|_| source.identity == IdentityBy::Record) {
        if let Some(second) = created.filter(|_| can_repeat(&id)) {
            add_part(record, &second.to_string());
        }
        record.request_id = id;
    } else {
        let mut bytes = Vec::with_capacity(record.provider.len() + place.raw.len() + 1);
        bytes.extend_from_slice(record.provider.as_bytes());
        bytes.push(0);
        if source.identity == IdentityBy::Line {
            bytes.extend_from_slice(format!("{}\0{}\0{}\0", source.name, place.file, place.line).as_bytes());
        }
        // With the line too, since one line may hold several records.
        bytes.extend_from_slice(place.raw);
        record.request_id = Cow::Owned(format!("h_{:032x}", xxh3_128(&bytes)));
    }
    if record.gateway_cache {
        add_part(record, &format!("cache {}", record.ts));
    }
}

fn add_part(record: &mut UsageRecord<'_>, part: &str) {
    record.part = Cow::Owned(if record.part.is_empty() { part.to_owned() } else { format!("{}/{part}", record.part) });
}

/// Whether it is an id at all: not null, empty, `0` or all zeros.
fn is_id(id: &str) -> bool {
    !is_nothing(id) && id.bytes().any(|byte| byte.is_ascii_alphanumeric() && byte != b'0')
}

/// Whether an id is so short that its provider must draw it again: fewer than
/// 16 characters after the leading words that end in `-` or `_`.
fn can_repeat(id: &str) -> bool {
    let mut rest = id;
    while let Some(at) = rest.find(['-', '_']) {
        if at == 0 || !rest[..at].bytes().all(|byte| byte.is_ascii_alphabetic()) {
            break;
        }
        rest = &rest[at + 1..];
    }
    rest.chars().count() < 16
}

/// Takes credentials out of every text but the key, of which [`Names`] decides.
fn redact_all(record: &mut UsageRecord<'_>) {
    redact(&mut record.provider);
    redact(&mut record.model);
    for text in [
        &mut record.model_requested,
        &mut record.tier,
        &mut record.team_reported,
        &mut record.user,
        &mut record.project,
        &mut record.tags,
        &mut record.error_code,
    ]
    .into_iter()
    .flatten()
    {
        redact(text);
    }
}

#[inline]
fn redact(text: &mut Text<'_>) {
    if let Cow::Owned(redacted) = secrets::redact(text) {
        *text = Cow::Owned(redacted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, ingest::names::PLAIN, time::Instant};

    const PLACE: Place<'static> = Place { raw: b"{}", file: "a.jsonl", line: 1 };

    fn accepted<'a>(mut found: Found<'a>, source: &'a Source, names: &Names) -> Result<UsageRecord<'a>, Reject> {
        accept(&mut found, source, names, PLACE).map(|()| found.record)
    }

    fn identity(id: Option<&'static str>, created: Option<i64>) -> (String, String) {
        let source = Source { provider: Some("groq".into()), ..Source::default() };
        let mut found = Found::new(UsageRecord::at(Instant::EARLIEST));
        found.ids = [id.map(Cow::Borrowed), None];
        found.created = created;
        let record = accepted(found, &source, &PLAIN).unwrap();
        (record.request_id.into_owned(), record.part.into_owned())
    }

    #[test]
    fn short_ids_carry_the_second_in_which_they_were_made() {
        let long = "chatcmpl-6b77f788-464c-47b3-ad3d-baf89e67bc6f";
        assert_eq!(identity(Some(long), Some(5)), (long.into(), String::new()));
        assert_eq!(identity(Some("chatcmpl-424"), Some(5)), ("chatcmpl-424".into(), "5".into()));
        assert_eq!(identity(Some("chatcmpl-424"), None), ("chatcmpl-424".into(), String::new()));
        assert!(can_repeat("batch_req_out_0123456789abcde"));
        assert!(!can_repeat("batch_req_out_0123456789abcdef"));
    }

    #[test]
    fn what_is_no_id_is_replaced_by_a_hash_of_the_entry() {
        let hash = identity(None, None).0;
        assert!(hash.starts_with("h_") && hash.len() == 34, "{hash}");
        for nothing in ["None", "null", "0", "", "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(identity(Some(nothing), Some(5)), (hash.clone(), String::new()), "{nothing}");
        }
    }

    #[test]
    fn providers_and_tiers_have_one_name() {
        let source = Source { tier: Some("batch".into()), ..Source::default() };
        let mut found = Found::new(UsageRecord::at(Instant::EARLIEST));
        found.record.provider = Cow::Borrowed("Azure_OpenAI");
        let record = accepted(found.clone(), &source, &PLAIN).unwrap();
        assert_eq!((record.provider.as_ref(), record.tier.as_deref()), ("azure", Some("batch")));
        for (tier, expect) in [("Default", "on_demand"), ("Flex", "flex"), ("auto", "batch")] {
            found.record.tier = Some(Cow::Borrowed(tier));
            assert_eq!(accepted(found.clone(), &source, &PLAIN).unwrap().tier.as_deref(), Some(expect), "{tier}");
        }
        found.record.provider = Cow::Borrowed("");
        assert_eq!(accepted(found, &source, &PLAIN).unwrap_err().reason, RejectReason::MissingField);
    }

    #[test]
    fn names_are_kept_or_hidden_as_the_config_says() {
        let text = "[teams.search]\n[privacy]\nusers = \"hash\"\n\
                    [[key]]\nname = \"sk-search2-production-eu-west\"\nteam = \"search\"";
        let config = Config::parse(text, std::path::Path::new("spendbook.toml")).unwrap();
        let source = Source { provider: Some("groq".into()), ..Source::default() };
        let read = |key: &'static str, names: &Names| {
            let mut found = Found::new(UsageRecord::at(Instant::EARLIEST));
            found.record.key = Some(Cow::Borrowed(key));
            found.record.user = Some(Cow::Borrowed("ada"));
            let record = accepted(found, &source, names).unwrap();
            (record.key.unwrap().into_owned(), record.user.unwrap().into_owned())
        };
        let (listed, secret) = ("sk-search2-production-eu-west", "gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef");
        let names = Names::of(&config);
        assert_eq!(read(listed, &names), (listed.to_owned(), secrets::pseudonym("ada")));
        assert_eq!(read(secret, &names).0, secrets::fingerprint(secret));
        assert_eq!(read(listed, &PLAIN), (secrets::fingerprint(listed), "ada".to_owned()));
    }
}
