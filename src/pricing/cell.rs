//! The values in a price book's cells: read strictly, refused with what was
//! expected and what to write instead.

use super::{ANY, Code, Kind};
use crate::{
    money::{ParseUsdError, Usd},
    record::{METERS, Meter, Unit},
    time::{Day, Instant},
};

/// Why a cell cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) code: Code,
    pub(super) expected: String,
    pub(super) cure: String,
}

fn bad<T>(code: Code, expected: impl Into<String>, cure: impl Into<String>) -> Result<T, Bad> {
    Err(Bad { code, expected: expected.into(), cure: cure.into() })
}

fn malformed<T>(expected: impl Into<String>, cure: impl Into<String>) -> Result<T, Bad> {
    bad(Code::MalformedValue, expected, cure)
}

/// Pico-dollars: prices from here on are slips. Below, no quantity that ingest
/// accepts can overflow.
const ABSURD_PRICE: i128 = 1_000_000_000 * 1_000_000_000_000;

/// As is a `per` or `min_quantity` from here on.
const ABSURD_AMOUNT: i64 = 1_000_000_000_000_000;

/// Reads a cell that may be empty.
pub(super) fn optional<T>(read: impl FnOnce(&str) -> Result<T, Bad>) -> impl FnOnce(&str) -> Result<Option<T>, Bad> {
    |text| if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

/// A price in dollars; empty ends one.
pub(super) fn price(text: &str) -> Result<Option<Usd>, Bad> {
    if text.is_empty() {
        return Ok(None);
    }
    match Usd::parse(text) {
        Ok(price) if price < Usd::ZERO => malformed("a price of 0 or more", "drop the sign"),
        Ok(price) if price.pico() >= ABSURD_PRICE => {
            malformed("a price below a billion dollars", "check the number of digits")
        }
        Ok(price) => Ok(Some(price)),
        Err(ParseUsdError::TooFine) => malformed(
            "at most 12 digits after the point",
            "give the price of a larger `per`, such as `1M` for tokens or `1h` for times",
        ),
        Err(ParseUsdError::Malformed | ParseUsdError::TooLarge) => malformed(
            "a decimal number of dollars such as `0.59`",
            "write digits and a point only, or leave it empty to end the price",
        ),
    }
}

/// A price without needless zeros: `0.59`.
pub(super) fn price_text(price: Usd) -> String {
    price.to_string().trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The suffixes of a unit, largest first, and what they multiply by.
const fn suffixes(unit: Unit) -> &'static [(&'static str, i64)] {
    match unit {
        Unit::Count => &[("M", 1_000_000), ("k", 1_000), ("", 1)],
        Unit::Time => &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("", 1)],
    }
}

fn factor(suffix: &str, unit: Unit) -> Option<i64> {
    suffixes(unit).iter().find(|(name, _)| *name == suffix).map(|&(_, factor)| factor)
}

/// An amount of a meter's unit: `1M`, `10s`.
pub(super) fn amount(text: &str, meter: Meter) -> Result<i64, Bad> {
    let unit = meter.info().unit;
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let (form, is, other, cure) = match unit {
        Unit::Count => (
            "a whole number with `k`, `M` or no suffix, such as `1M`",
            "a count",
            Unit::Time,
            "use `k` or `M`, or none (`m` is a minute, `M` a million)",
        ),
        Unit::Time => (
            "a whole number with `s`, `m` or `h`, such as `1h`, or of milliseconds",
            "a time",
            Unit::Count,
            "use `s`, `m` or `h`",
        ),
    };
    let Some(factor) = factor(suffix, unit) else {
        if !digits.is_empty() && factor(suffix, other).is_some() {
            return bad(Code::WrongSuffix, format!("{is}, which `{}` is", meter.info().column), cure);
        }
        return malformed(form, "write it in that form");
    };
    match digits.parse::<i64>().ok().and_then(|count| count.checked_mul(factor)) {
        Some(amount @ 1..ABSURD_AMOUNT) => Ok(amount),
        Some(0) => malformed("an amount above 0", "write `1` or more"),
        _ => malformed(form, "write it in that form"),
    }
}

/// The shortest form that [`amount`] reads back: `1M`, `10s`.
pub(super) fn amount_text(amount: i64, unit: Unit) -> String {
    suffixes(unit)
        .iter()
        .find(|(_, factor)| amount % factor == 0)
        .map_or_else(|| amount.to_string(), |(suffix, factor)| format!("{}{suffix}", amount / factor))
}

/// A date, or an instant, UTC where it does not say.
pub(super) fn instant(text: &str) -> Result<Instant, Bad> {
    let instant = Day::parse(text).map(Day::start).or_else(|| Instant::parse(text, chrono_tz::Tz::UTC));
    match instant {
        Some(instant) if (Instant::EARLIEST..=Instant::LATEST).contains(&instant) => Ok(instant),
        Some(_) => malformed("a time between 2020 and 2100", "check the year"),
        None => malformed(
            "a date such as `2026-06-01` or an instant such as `2026-06-01T16:00:00Z`",
            "write it in one of these forms",
        ),
    }
}

pub(super) fn kind(text: &str) -> Result<Kind, Bad> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == text)
        .map_or_else(|| malformed("`list`, `contract` or `fallback`", "write one of these"), Ok)
}

pub(super) fn meter(text: &str) -> Result<Meter, Bad> {
    if let Some(meter) = Meter::from_column(text) {
        return Ok(meter);
    }
    let expected = "the name of a meter";
    if text == "reasoning_tokens" {
        return bad(Code::UnknownMeter, expected, "drop the row: reasoning is part of `output_tokens`");
    }
    let names = METERS.iter().map(|info| info.column);
    let nearest = names.clone().min_by_key(|name| strsim::levenshtein(name, text));
    if let Some(name) = nearest.filter(|name| strsim::levenshtein(name, text) < 4) {
        return bad(Code::UnknownMeter, expected, format!("write `{name}` if that is what is meant"));
    }
    let all: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    bad(Code::UnknownMeter, expected, format!("write one of {}", all.join(", ")))
}

/// A provider's name: lower case, and never `*`.
pub(super) fn provider(text: &str) -> Result<String, Bad> {
    let expected = "the name of a provider in lower case, such as `groq`";
    if text.is_empty() || text == ANY {
        return malformed(expected, "name the provider: a fallback is for the models of one");
    }
    if text.chars().any(|c| c.is_uppercase() || c.is_whitespace()) {
        let cure = text.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-");
        return malformed(expected, format!("write `{cure}`"));
    }
    Ok(text.to_owned())
}

/// A model's name, exactly as served, or `*`.
pub(super) fn model(text: &str) -> Result<String, Bad> {
    if text.is_empty() {
        return malformed("the name of a model as served", "name the model, or write `*` for the provider's fallback");
    }
    Ok(text.to_owned())
}

/// A name on either side of an alias: never `*`, which no model is called.
pub(super) fn alias(text: &str) -> Result<String, Bad> {
    if text.is_empty() || text == ANY {
        return malformed("the name of a model", "write one name per row: an alias is matched exactly");
    }
    Ok(text.to_owned())
}

/// A tier as it stands in `usage`, or `*`.
pub(super) fn tier(text: &str) -> Result<String, Bad> {
    let expected = "a tier such as `on_demand` or `batch`, or `*`";
    match text {
        "" => malformed(expected, "write `*` if the price is for all tiers"),
        "default" | "standard" => malformed(expected, "write `on_demand`, as `usage` has it"),
        _ if text.chars().any(char::is_uppercase) => malformed(expected, format!("write `{}`", text.to_lowercase())),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: PartialEq + std::fmt::Debug>(read: Result<T, Bad>, expect: Result<T, &str>) {
        let read = read.map_err(|bad| format!("{}: {}: {}", bad.code.name(), bad.expected, bad.cure));
        assert_eq!(read, expect.map_err(str::to_owned));
    }

    #[test]
    fn prices_are_plain_decimals() {
        check(price(""), Ok(None));
        check(price("0.59").map(|usd| usd.map(Usd::pico)), Ok(Some(590_000_000_000)));
        check(price("999999999.999999999999").map(|usd| usd.is_some()), Ok(true));
        check(price("-1"), Err("malformed_value: a price of 0 or more: drop the sign"));
        check(price("1000000000"), Err("malformed_value: a price below a billion dollars: check the number of digits"));
        for text in ["0,59", "$0.59", "free", "NaN", "0x1", "1e99"] {
            check(
                price(text),
                Err(
                    "malformed_value: a decimal number of dollars such as `0.59`: write digits and a point only, or leave it empty to end the price",
                ),
            );
        }
        check(
            price("0.0000000000001"),
            Err(
                "malformed_value: at most 12 digits after the point: give the price of a larger `per`, such as `1M` for tokens or `1h` for times",
            ),
        );
    }

    #[test]
    fn amounts_take_the_suffixes_of_their_meter() {
        for (text, meter, expect) in [
            ("1", Meter::InputTokens, 1),
            ("1k", Meter::WebSearches, 1_000),
            ("1M", Meter::Characters, 1_000_000),
            ("10s", Meter::AudioMs, 10_000),
            ("1m", Meter::AudioMs, 60_000),
            ("1h", Meter::CodeMs, 3_600_000),
            ("250", Meter::CodeMs, 250),
        ] {
            check(amount(text, meter), Ok(expect));
            assert_eq!(amount_text(expect, meter.info().unit), text);
        }
        assert_eq!(amount_text(90_000, Unit::Time), "90s");
        for text in ["1s", "1m", "1h"] {
            check(
                amount(text, Meter::InputTokens),
                Err(
                    "wrong_suffix: a count, which `input_tokens` is: use `k` or `M`, or none (`m` is a minute, `M` a million)",
                ),
            );
        }
        for text in ["1k", "1M"] {
            check(amount(text, Meter::AudioMs), Err("wrong_suffix: a time, which `audio_ms` is: use `s`, `m` or `h`"));
        }
        for text in ["", "M", "1.5M", "-1", "1K", "1 M", "1e6", "99999999999999999999", "1000000000M"] {
            check(
                amount(text, Meter::InputTokens),
                Err("malformed_value: a whole number with `k`, `M` or no suffix, such as `1M`: write it in that form"),
            );
        }
        check(amount("0", Meter::InputTokens), Err("malformed_value: an amount above 0: write `1` or more"));
    }

    #[test]
    fn instants_are_dates_or_rfc_3339() {
        let shown = |text| instant(text).map(|instant| instant.to_string());
        check(shown("2026-06-01"), Ok("2026-06-01T00:00:00Z".to_owned()));
        check(shown("2026-06-01T16:00:00Z"), Ok("2026-06-01T16:00:00Z".to_owned()));
        check(shown("2026-06-01T16:00:00+08:00"), Ok("2026-06-01T08:00:00Z".to_owned()));
        check(shown("2026-06-01T16:00:00.000001Z"), Ok("2026-06-01T16:00:00.000001Z".to_owned()));
        check(shown("2206-06-01"), Err("malformed_value: a time between 2020 and 2100: check the year"));
        for text in ["", "06/01/2026", "2026-6-1", "2026-02-30", "tomorrow"] {
            check(
                shown(text),
                Err(
                    "malformed_value: a date such as `2026-06-01` or an instant such as `2026-06-01T16:00:00Z`: write it in one of these forms",
                ),
            );
        }
    }

    #[test]
    fn names_are_what_usage_has() {
        check(meter("output_tokens"), Ok(Meter::OutputTokens));
        check(
            meter("reasoning_tokens"),
            Err("unknown_meter: the name of a meter: drop the row: reasoning is part of `output_tokens`"),
        );
        check(
            meter("input_token"),
            Err("unknown_meter: the name of a meter: write `input_tokens` if that is what is meant"),
        );
        assert!(meter("enterprise seats").unwrap_err().cure.starts_with("write one of `input_tokens`, "));
        check(
            provider("Groq Cloud"),
            Err("malformed_value: the name of a provider in lower case, such as `groq`: write `groq-cloud`"),
        );
        check(
            provider("*"),
            Err(
                "malformed_value: the name of a provider in lower case, such as `groq`: name the provider: a fallback is for the models of one",
            ),
        );
        check(model("qwen/🦙 \"7b\", new"), Ok("qwen/🦙 \"7b\", new".to_owned()));
        check(
            tier("standard"),
            Err("malformed_value: a tier such as `on_demand` or `batch`, or `*`: write `on_demand`, as `usage` has it"),
        );
        check(kind("List"), Err("malformed_value: `list`, `contract` or `fallback`: write one of these"));
    }
}
