//! Amounts of a price list: exact decimals, from their digits.
//!
//! Lists are made with binary floats, and some show it: `2.0000000000000002e-07`
//! is what a program made of 0.2 divided by a million. A double holds 15 decimal
//! digits, so digits after the fifteenth are not the list's, and are rounded
//! off; everything else is taken as it stands, or not at all.

use super::Reason;
use crate::{
    money::{ParseUsdError, Usd},
    pricing::Rate,
};

/// Significant digits that every double holds.
const DIGITS: usize = 15;

/// How a list counts: `price` units of its own make `per` of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// The list's price times ten to this power, and times `times`, …
    pub(super) power: u32,
    pub(super) times: i64,
    /// … is the price of so many units of the meter.
    pub(super) per: i64,
}

impl Scale {
    /// Per token or character, shown per million.
    pub(super) const EACH: Self = Self { power: 6, times: 1, per: 1_000_000 };
    pub(super) const MILLION: Self = Self { power: 0, times: 1, per: 1_000_000 };
    pub(super) const THOUSAND: Self = Self { power: 0, times: 1, per: 1_000 };
    /// Per search, shown per thousand.
    pub(super) const SEARCH: Self = Self { power: 3, times: 1, per: 1_000 };
    pub(super) const PICTURE: Self = Self { power: 0, times: 1, per: 1 };
    /// Per second, shown per hour of milliseconds.
    pub(super) const SECOND: Self = Self { power: 0, times: 3_600, per: 3_600_000 };
    pub(super) const HOUR: Self = Self { power: 0, times: 1, per: 3_600_000 };

    /// The rate that a number of the list stands for.
    pub(super) fn rate(self, digits: &str) -> Result<Rate, Reason> {
        let read = |text: &str| Usd::parse_times(text, self.power);
        let price = match read(digits) {
            Err(ParseUsdError::TooFine) => rounded(digits).map_or(Err(ParseUsdError::TooFine), |text| read(&text)),
            read => read,
        };
        let price = price.map_err(|error| match error {
            ParseUsdError::TooFine => Reason::Digits,
            ParseUsdError::Malformed | ParseUsdError::TooLarge => Reason::NotANumber,
        })?;
        let pico = price.pico().checked_mul(i128::from(self.times)).filter(|pico| (0..LIMIT).contains(pico));
        match pico.and_then(Usd::from_pico).ok_or(Reason::NotANumber)? {
            Usd::ZERO => Err(Reason::Zero),
            price => Ok(Rate { price, per: self.per, min_quantity: 0 }),
        }
    }
}

/// A billion dollars, from which on the book takes a price for a slip.
const LIMIT: i128 = 1_000_000_000 * 1_000_000_000_000;

/// A number with more than 15 significant digits, rounded to them half up;
/// `None` where it has no more.
fn rounded(text: &str) -> Option<String> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    if digits.len() <= DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (kept, dropped) = digits.split_at(DIGITS);
    let up = u64::from(dropped.as_bytes()[0] >= b'5');
    let kept = kept.parse::<u64>().ok()? + up;
    let power = exponent - i64::try_from(fraction.len()).ok()? + i64::try_from(dropped.len()).ok()?;
    Some(format!("{kept}e{power}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scale: Scale, digits: &str, expect: Result<(&str, i64), Reason>) {
        let rate = scale.rate(digits).map(|rate| (rate.price.to_string(), rate.per));
        assert_eq!(rate, expect.map(|(price, per)| (price.to_owned(), per)), "{digits}");
    }

    #[test]
    fn floats_become_exact_decimals() {
        for (digits, expect) in [
            ("5e-08", "0.050000000000"),
            ("1.75e-06", "1.750000000000"),
            ("0.00001", "10.000000000000"),
            ("2.0000000000000002e-07", "0.200000000000"),
            ("4.6999999999999995e-07", "0.470000000000"),
            ("0.00000020000000000000002", "0.200000000000"),
            ("9.999990000000002e-06", "9.999990000000"),
            ("9.9999999999999998e-06", "10.000000000000"),
            ("3.0833e-11", "0.000030833000"),
        ] {
            check(Scale::EACH, digits, Ok((expect, 1_000_000)));
        }
        check(Scale::SECOND, "3.083e-05", Ok(("0.110988000000", 3_600_000)));
        check(Scale::SEARCH, "0.01", Ok(("10.000000000000", 1_000)));
        check(Scale::HOUR, "0.111", Ok(("0.111000000000", 3_600_000)));
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for (digits, expect) in [
            ("0", Reason::Zero),
            ("0.0", Reason::Zero),
            ("1.142857142857143e-07", Reason::Digits),
            ("2.384185791015625e-08", Reason::Digits),
            ("-1e-06", Reason::NotANumber),
            ("1e30", Reason::NotANumber),
            ("1e4", Reason::NotANumber),
            ("", Reason::NotANumber),
        ] {
            check(Scale::EACH, digits, Err(expect));
        }
    }
}
