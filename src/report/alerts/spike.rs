//! Whether a day cost far more than days do. Pure, and in integers.
//!
//! Usual is the median of the 28 days before, and what days differ by is the
//! median of how far they are from it (MAD), which a few wild days cannot move.
//! A spike is more than five times that above the median, in terms of a
//! standard deviation, at least twice the median, and at least some dollars, so
//! that cents that become tens of cents wake nobody. Who spends on fewer than
//! half of the days has no usual day: there it is twice the dearest one.

use crate::money::Usd;

/// Days that say what is usual; fewer than half of them say nothing.
pub(super) const PAST_DAYS: usize = 28;
const FEWEST_DAYS: usize = 14;
/// Five standard deviations, each 1.4826 times the MAD of a normal
/// distribution, in thousandths.
const FIVE_DEVIATIONS: i128 = 7_413;
/// Above what is usual, in dollars.
const FLOOR_PICO: i128 = 5_000_000_000_000;

/// What is usual, and from where on it is a spike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usual {
    pub median: Usd,
    /// More than this is a spike.
    pub limit: Usd,
}

/// What the days before say; those before the first spend are left out.
pub(super) fn usual(past: &[Usd]) -> Option<Usual> {
    let begun = past.iter().position(|&day| day > Usd::ZERO)?;
    let mut days: Vec<i128> = past[begun..].iter().map(|day| day.pico()).collect();
    if days.len() < FEWEST_DAYS {
        return None;
    }
    let dearest = days.iter().copied().max().unwrap_or_default();
    let median = median(&mut days);
    let least = if median > 0 { median } else { dearest.checked_mul(2)? };
    let mut apart: Vec<i128> = days.iter().map(|day| (day - median).abs()).collect();
    let deviation = self::median(&mut apart);
    let margin = deviation.checked_mul(FIVE_DEVIATIONS)? / 1_000;
    let limit = median.checked_add(margin.max(least).max(FLOOR_PICO))?;
    Some(Usual { median: Usd::from_pico(median)?, limit: Usd::from_pico(limit)? })
}

/// The one in the middle; of two the mean, rounded down.
fn median(values: &mut [i128]) -> i128 {
    values.sort_unstable();
    let middle = values.len() / 2;
    match values {
        [] => 0,
        values if values.len() % 2 == 1 => values[middle],
        values => i128::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(past: &[i64], expect: Option<(&str, &str)>) {
        let dollars = |&day: &i64| Usd::parse(&day.to_string()).unwrap();
        let days: Vec<Usd> = past.iter().map(dollars).collect();
        let found = usual(&days).map(|it| (it.median.shown(), it.limit.shown()));
        assert_eq!(found, expect.map(|(median, limit)| (median.to_owned(), limit.to_owned())), "{past:?}");
    }

    #[test]
    fn a_spike_is_above_what_days_differ_by_and_twice_the_median_and_the_floor() {
        // Every day the same: twice as much, or some dollars.
        check(&[100; 28], Some(("$100.00", "$200.00")));
        check(&[1; 28], Some(("$1.00", "$6.00")));
        check(&[0; 28], None);
        // Too few days since it began.
        check(&[[0; 15].as_slice(), &[7; 13]].concat(), None);
        check(&[[0; 14].as_slice(), &[7; 14]].concat(), Some(("$7.00", "$14.00")));
        // A wild day does not move it.
        check(&[[100; 27].as_slice(), &[90_000]].concat(), Some(("$100.00", "$200.00")));
        // Once a week.
        check(&[80, 0, 0, 0, 0, 0, 0].repeat(4), Some(("$0.00", "$160.00")));
        // 10, 20, …, 280: the median is 145, days are 70 from it.
        let rising: Vec<i64> = (1..=28).map(|day| day * 10).collect();
        check(&rising, Some(("$145.00", "$663.91")));
    }
}
