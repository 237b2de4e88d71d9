//! Exact money.
//!
//! One type, [`Usd`]: an integer count of pico-dollars (1e-12 USD) in an
//! `i128`, stored as `DECIMAL(38,12)`. Binary floats never hold money. A
//! quotient is rounded once, half to even; a display is rounded once, here.

#![deny(clippy::float_arithmetic)]

use std::{cmp::Ordering, fmt};

/// An amount in US dollars, exact to the pico-dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usd(i128);

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseUsdError {
    #[error("not a decimal number")]
    Malformed,
    #[error("more than 12 digits after the point")]
    TooFine,
    #[error("more than 26 digits before the point")]
    TooLarge,
}

impl Usd {
    /// Digits after the decimal point.
    pub const SCALE: u32 = 12;
    /// Pico-dollars in a dollar.
    const ONE: i128 = 1_000_000_000_000;
    /// The first amount that `DECIMAL(38,12)` cannot hold.
    const LIMIT: i128 = 10_i128.pow(38);

    pub const ZERO: Self = Self(0);

    /// `None` beyond what `DECIMAL(38,12)` can hold.
    pub const fn from_pico(pico: i128) -> Option<Self> {
        if pico > -Self::LIMIT && pico < Self::LIMIT { Some(Self(pico)) } else { None }
    }

    pub const fn pico(self) -> i128 {
        self.0
    }

    /// The sum, or `None` where it would not fit.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Self::from_pico(sum),
            None => None,
        }
    }

    /// The difference, or `None` where it would not fit.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Self::from_pico(difference),
            None => None,
        }
    }

    /// What `quantity` units cost where this is the price of `per` units:
    /// multiplied first, divided once, rounded half to even at 1e-12. `None`
    /// where it would not fit, or `per` is not above zero.
    pub fn for_quantity(self, quantity: i64, per: i64) -> Option<Self> {
        let per = i128::from(per);
        Self::from_pico(divided(self.0.checked_mul(i128::from(quantity))?, per)?)
    }

    /// For people: `$1,234.57`, rounded half to even at the cent. Below ten
    /// cents, to two digits that are not zero: `$0.0021`.
    pub fn shown(self) -> String {
        let pico = self.0.unsigned_abs();
        let mut unit = Self::ONE.unsigned_abs() / 100;
        let mut places = 2;
        while pico != 0 && pico < unit * 10 && unit > 1 {
            unit /= 10;
            places += 1;
        }
        let (quotient, remainder) = (pico / unit, pico % unit);
        let up = remainder * 2 > unit || (remainder * 2 == unit && quotient % 2 == 1);
        let (rounded, per_dollar) = (quotient + u128::from(up), Self::ONE.unsigned_abs() / unit);
        let digits = (rounded / per_dollar).to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().filter_map(|it| std::str::from_utf8(it).ok()).collect();
        let sign = if self.0 < 0 && rounded > 0 { "-" } else { "" };
        let fraction = format!("{:0places$}", rounded % per_dollar);
        let fraction = if places > 2 { fraction.trim_end_matches('0') } else { &fraction };
        format!("{sign}${}.{fraction:0<2}", groups.join(","))
    }

    /// Reads a plain decimal, exactly: at most 12 digits after the point.
    ///
    /// # Errors
    /// Where the text is not such a number.
    pub fn parse(text: &str) -> Result<Self, ParseUsdError> {
        let (pico, exact) = parse_decimal(text.as_bytes(), 0)?;
        if exact { Ok(pico) } else { Err(ParseUsdError::TooFine) }
    }

    /// Reads a decimal times ten to the power of `power`, exactly: the price of
    /// a token, times a million, is that of a million tokens.
    ///
    /// # Errors
    /// Where the text is not a number, or the product has more than 12 digits
    /// after the point.
    pub fn parse_times(text: &str, power: u32) -> Result<Self, ParseUsdError> {
        let (pico, exact) = parse_decimal(text.as_bytes(), -i64::from(power))?;
        if exact { Ok(pico) } else { Err(ParseUsdError::TooFine) }
    }

    /// Reads a number as logs write it (`0.00022500000000000002`, `2.5e-06`)
    /// from its digits, rounded half to even at 1e-12, and divided by ten to
    /// the power of `shift` (2 for cents).
    ///
    /// # Errors
    /// Where the text is not a number, or too large.
    pub fn parse_rounded(text: &[u8], shift: u32) -> Result<Self, ParseUsdError> {
        parse_decimal(text, i64::from(shift)).map(|(amount, _)| amount)
    }
}

/// A quotient, rounded once, half to even; `None` where it is divided by nothing
/// or by less.
pub fn divided(dividend: i128, by: i128) -> Option<i128> {
    if by <= 0 {
        return None;
    }
    let (quotient, remainder) = (dividend.div_euclid(by), dividend.rem_euclid(by));
    // Half of it, without twice the remainder, which may not fit.
    let up = remainder > by - remainder || (remainder == by - remainder && quotient % 2 != 0);
    Some(quotient + i128::from(up))
}

/// The amount, and whether it is exact.
fn parse_decimal(text: &[u8], shift: i64) -> Result<(Usd, bool), ParseUsdError> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&unsigned[..at], parse_exponent(&unsigned[at + 1..])?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|&byte| byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(ParseUsdError::Malformed);
    }
    // The value is `digits × 10^power` pico-dollars; digits beyond the 38th
    // only tell whether a tie is one.
    let mut digits: i128 = 0;
    let mut power = exponent - shift + i64::from(Usd::SCALE);
    let mut rest_is_zero = true;
    for (index, &byte) in whole.iter().chain(fraction).enumerate() {
        if !byte.is_ascii_digit() {
            return Err(ParseUsdError::Malformed);
        }
        let after_point = index >= whole.len();
        if digits < 10_i128.pow(37) {
            digits = digits * 10 + i128::from(byte - b'0');
            power -= i64::from(after_point);
        } else {
            rest_is_zero &= byte == b'0';
            power += i64::from(!after_point);
        }
    }
    let (pico, exact) = scale(digits, power, rest_is_zero)?;
    let pico = if negative { -pico } else { pico };
    Usd::from_pico(pico).map(|amount| (amount, exact)).ok_or(ParseUsdError::TooLarge)
}

fn parse_exponent(text: &[u8]) -> Result<i64, ParseUsdError> {
    let text = std::str::from_utf8(text).map_err(|_| ParseUsdError::Malformed)?;
    let exponent: i64 = text.parse().map_err(|_| ParseUsdError::Malformed)?;
    if exponent.abs() > 100_000 { Err(ParseUsdError::TooLarge) } else { Ok(exponent) }
}

/// `digits × 10^power`, rounded half to even, and whether it is exact.
fn scale(digits: i128, power: i64, rest_is_zero: bool) -> Result<(i128, bool), ParseUsdError> {
    if digits == 0 {
        return Ok((0, rest_is_zero));
    }
    let Ok(places) = u32::try_from(power) else {
        let Some(divisor) = u32::try_from(-power).ok().and_then(|places| 10_i128.checked_pow(places)) else {
            return Ok((0, false));
        };
        let (quotient, remainder) = (digits / divisor, digits % divisor);
        let exact = remainder == 0 && rest_is_zero;
        // The remainder has up to 38 digits: twice as much would not fit.
        let up = match remainder.cmp(&(divisor - remainder)) {
            Ordering::Greater => true,
            Ordering::Equal => !rest_is_zero || quotient % 2 == 1,
            Ordering::Less => false,
        };
        return Ok((quotient + i128::from(up), exact));
    };
    10_i128
        .checked_pow(places)
        .and_then(|factor| digits.checked_mul(factor))
        .map(|pico| (pico, rest_is_zero))
        .ok_or(ParseUsdError::TooLarge)
}

/// All twelve digits, as tables and tests write it: `0.000000059000`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let pico = self.0.unsigned_abs();
        let one = Usd::ONE.unsigned_abs();
        write!(f, "{sign}{}.{:012}", pico / one, pico % one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&str, ParseUsdError>) {
        assert_eq!(Usd::parse(text).map(|usd| usd.to_string()), expect.map(str::to_owned), "{text}");
    }

    #[test]
    fn parses_exact_decimals() {
        check("0", Ok("0.000000000000"));
        check("0.59", Ok("0.590000000000"));
        check("-12.5", Ok("-12.500000000000"));
        check(".5", Ok("0.500000000000"));
        check("5.", Ok("5.000000000000"));
        check("1e-12", Ok("0.000000000001"));
        check("0.000000000001000", Ok("0.000000000001"));
        check("0.0000000000001", Err(ParseUsdError::TooFine));
        check("1e26", Err(ParseUsdError::TooLarge));
        check("99999999999999999999999999.999999999999", Ok("99999999999999999999999999.999999999999"));
        for malformed in ["", ".", "-", "1,5", "0x1", "1e", "NaN", "1 ", "--1", "1.2.3"] {
            check(malformed, Err(ParseUsdError::Malformed));
        }
    }

    #[test]
    fn rounds_half_to_even_at_the_twelfth_digit() {
        let rounded = |text: &str| Usd::parse_rounded(text.as_bytes(), 0).unwrap().pico();
        assert_eq!(rounded(&format!("9.{}e-13", "9".repeat(37))), 1);
        assert_eq!(rounded(&format!("4.{}e-13", "9".repeat(37))), 0);
        assert_eq!(rounded("0.00022500000000000002"), 225_000_000);
        assert_eq!(rounded("2.5e-06"), 2_500_000);
        assert_eq!(rounded("0.0000000000005"), 0);
        assert_eq!(rounded("0.0000000000015"), 2);
        assert_eq!(rounded("0.0000000000025"), 2);
        assert_eq!(rounded("0.00000000000250000000000000000000000000000000001"), 3);
        assert_eq!(rounded("1e-99999"), 0);
        assert_eq!(rounded("0e99999"), 0);
    }

    #[test]
    fn cents_are_shifted_exactly() {
        assert_eq!(Usd::parse_rounded(b"123.45", 2).unwrap().to_string(), "1.234500000000");
    }

    #[test]
    fn the_price_of_a_token_is_exactly_that_of_a_million() {
        for (text, power, expect) in [
            ("5e-08", 6, Ok("0.050000000000")),
            ("1.75E-6", 6, Ok("1.750000000000")),
            ("0.01", 3, Ok("10.000000000000")),
            ("2.0000000000000002e-07", 6, Err(ParseUsdError::TooFine)),
            ("cheap", 6, Err(ParseUsdError::Malformed)),
        ] {
            assert_eq!(Usd::parse_times(text, power).map(|usd| usd.to_string()), expect.map(str::to_owned), "{text}");
        }
    }

    fn check_quantity(price: &str, quantity: i64, per: i64, expect: Option<&str>) {
        let cost = Usd::parse(price).unwrap().for_quantity(quantity, per).map(|usd| usd.to_string());
        assert_eq!(cost.as_deref(), expect, "{quantity} × {price} ÷ {per}");
    }

    #[test]
    fn a_line_item_is_rounded_once_half_to_even() {
        check_quantity("0.59", 1, 1_000_000, Some("0.000000590000"));
        check_quantity("0.111", 10_000, 3_600_000, Some("0.000308333333"));
        check_quantity("0.625", 257_955, 1_000_000, Some("0.161221875000"));
        check_quantity("0.000000000001", 1, 2, Some("0.000000000000"));
        check_quantity("0.000000000003", 1, 2, Some("0.000000000002"));
        check_quantity("0.000000000005", 1, 2, Some("0.000000000002"));
        check_quantity("0.000000000001", 2, 3, Some("0.000000000001"));
        check_quantity("-0.000000000001", 1, 2, Some("0.000000000000"));
        check_quantity("-0.000000000003", 1, 2, Some("-0.000000000002"));
        check_quantity("5", 0, 1, Some("0.000000000000"));
        check_quantity("1", 1, 0, None);
        check_quantity("1", 1, -1, None);
        check_quantity("99999999999999999999999999", 1, 1, Some("99999999999999999999999999.000000000000"));
        check_quantity("99999999999999999999999999", 2, 1, None);
        check_quantity("99999999999999999999999999", i64::MAX, 1, None);
    }

    proptest::proptest! {
        #[test]
        fn a_line_item_is_the_nearest_pico_dollar(price in 0_i128..10_i128.pow(15), quantity in 0_i64..1 << 40, per in 1_i64..10_000) {
            let cost = Usd::from_pico(price).unwrap().for_quantity(quantity, per).unwrap().pico();
            let twice_off = 2 * (price * i128::from(quantity) - cost * i128::from(per));
            proptest::prop_assert!(twice_off.abs() <= i128::from(per));
            proptest::prop_assert!(twice_off.abs() < i128::from(per) || cost % 2 == 0);
        }
    }

    #[test]
    fn sums_beyond_the_decimal_are_refused() {
        let most = Usd::from_pico(10_i128.pow(38) - 1).unwrap();
        assert_eq!(most.checked_add(Usd::from_pico(1).unwrap()), None);
        assert_eq!(most.checked_sub(most), Some(Usd::ZERO));
    }

    #[test]
    fn people_are_shown_cents_and_never_a_zero_that_is_none() {
        for (amount, expect) in [
            ("0", "$0.00"),
            ("12.345", "$12.34"),
            ("12.355", "$12.36"),
            ("12.355000000001", "$12.36"),
            ("-12.345000000001", "-$12.35"),
            ("1234567.8", "$1,234,567.80"),
            ("999.999", "$1,000.00"),
            ("0.1", "$0.10"),
            ("0.10449", "$0.10"),
            ("0.099", "$0.099"),
            ("0.0999", "$0.10"),
            ("0.05", "$0.05"),
            ("0.00215", "$0.0022"),
            ("-0.00225", "-$0.0022"),
            ("0.000000000001", "$0.000000000001"),
            ("0.000000059", "$0.000000059"),
        ] {
            assert_eq!(Usd::parse(amount).unwrap().shown(), expect, "{amount}");
        }
    }
}
