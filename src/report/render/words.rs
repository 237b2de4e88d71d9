//! Numbers, times and names as people read them: in mails, pages and tables.
//!
//! Amounts are shown by [`Usd::shown`] alone. Percents are rounded down, so
//! that 100 % means all of it. Names come from logs, and anybody can call a key
//! anything: [`name`] makes one that cannot steer a terminal, turn around the
//! text beside it, or fill a page.

use chrono::{Datelike, NaiveDate};

use crate::{
    money::Usd,
    periods::PeriodSpan,
    time::{Day, Instant},
};

/// A count with its thousands apart: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The same with a sign where it is below zero.
pub(crate) fn signed(number: i64) -> String {
    format!("{}{}", if number < 0 { "-" } else { "" }, count(number.unsigned_abs()))
}

/// `1 request`, `1,234 requests`.
pub(crate) fn counted(number: i64, what: &str) -> String {
    format!("{} {what}{}", signed(number), if number == 1 { "" } else { "s" })
}

/// A count that may be large, in three digits or a few more: `12,345`,
/// `1.23 M`, `4.56 G`; cut off, not rounded up.
pub(crate) fn compact(number: i64) -> String {
    let absolute = number.unsigned_abs();
    let (unit, suffix) = match absolute {
        0..1_000_000 => return signed(number),
        1_000_000..1_000_000_000 => (1_000_000, "M"),
        1_000_000_000..1_000_000_000_000 => (1_000_000_000, "G"),
        _ => (1_000_000_000_000, "T"),
    };
    let (whole, rest) = (absolute / unit, absolute % unit);
    let fraction = match whole {
        0..10 => format!(".{:02}", rest / (unit / 100)),
        10..100 => format!(".{}", rest / (unit / 10)),
        _ => String::new(),
    };
    format!("{}{}{fraction} {suffix}", if number < 0 { "-" } else { "" }, count(whole))
}

/// Whole percents: `82 %`. Without end, of a whole that is nothing, is a dash.
pub(crate) fn percent(percent: i64) -> String {
    if percent == i64::MAX { "–".to_owned() } else { format!("{} %", signed(percent)) }
}

/// Tenths of a percent: `41.5 %`.
pub(crate) fn tenths(tenths: i64) -> String {
    let sign = if tenths < 0 { "-" } else { "" };
    let tenths = tenths.unsigned_abs();
    format!("{sign}{}.{} %", count(tenths / 10), tenths % 10)
}

/// An amount that something moved by, always with a sign: `+$4.50`, `−$0.30`.
pub(crate) fn moved(amount: Usd) -> String {
    match amount.pico() {
        0 => "±$0.00".to_owned(),
        1.. => format!("+{}", amount.shown()),
        _ => amount.shown().replacen('-', "−", 1),
    }
}

/// `15 November 2026`, or `day 123456789` of one that no calendar has.
pub(crate) fn day(day: Day) -> String {
    date(day).map_or_else(|| day.to_string(), |date| date.format("%-d %B %Y").to_string())
}

/// `Mon 9`, for the axis of a chart.
pub(crate) fn weekday(day: Day) -> String {
    date(day).map_or_else(|| day.to_string(), |date| date.format("%a %-d").to_string())
}

/// `9 to 15 November 2026`, both of them in it.
pub(crate) fn days(first: Day, last: Day) -> String {
    let (Some(from), Some(to)) = (date(first), date(last)) else { return format!("{first} to {last}") };
    if first == last {
        return day(first);
    }
    let form = match ((from.year(), from.month()), (to.year(), to.month())) {
        (one, other) if one == other => "%-d",
        ((one, _), (other, _)) if one == other => "%-d %B",
        _ => "%-d %B %Y",
    };
    format!("{} to {}", from.format(form), to.format("%-d %B %Y"))
}

/// A period as people call it: `November 2026`, `week of 9 November 2026`,
/// `15 November 2026`, `quarter 4 of 2026`.
pub(crate) fn period(span: &PeriodSpan) -> String {
    use crate::periods::Period;
    let Some(first) = date(span.first) else { return span.name.clone() };
    match span.kind {
        Some(Period::Day) => day(span.first),
        Some(Period::Week) => format!("week of {}", day(span.first)),
        Some(Period::Month) => first.format("%B %Y").to_string(),
        Some(Period::Quarter) => format!("quarter {} of {}", first.month0() / 3 + 1, first.year()),
        None => days(span.first, span.end.previous()),
    }
}

fn date(day: Day) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(day.days().checked_add(719_163)?)
}

/// An instant to the minute: `2026-11-16 02:00 UTC`.
pub(crate) fn instant(at: Instant) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(date), Some(time)) if text.ends_with('Z') => format!("{date} {time} UTC"),
        _ => text,
    }
}

/// How long a name may be before its middle is left out.
const LONGEST_NAME: usize = 44;

/// A name from a log or a config, on one line, of a length that a table bears,
/// and kept apart from the text around it where it is written from the right.
pub(crate) fn name(name: &str) -> String {
    let short = short_name(name);
    if short.chars().any(is_from_the_right) { format!("\u{2068}{short}\u{2069}") } else { short }
}

/// The same where nothing stands around it: for subjects.
pub(crate) fn short_name(name: &str) -> String {
    let safe = plain(name);
    let length = safe.chars().count();
    if length > LONGEST_NAME {
        let end = LONGEST_NAME / 3;
        let begin = LONGEST_NAME - end - 1;
        let head: String = safe.chars().take(begin).collect();
        let tail: String = safe.chars().skip(length - end).collect();
        format!("{}…{}", head.trim_end(), tail.trim_start())
    } else {
        safe
    }
}

/// A text without characters that control something: line ends, escapes,
/// directions.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible_control(c) { '\u{fffd}' } else { c }).collect()
}

fn is_invisible_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn is_from_the_right(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(items: &[String]) -> String {
    let mut text = String::new();
    for (at, item) in items.iter().enumerate() {
        let between = match (at, items.len() - at) {
            (0, _) => "",
            (_, 1) => " and ",
            _ => ", ",
        };
        text.push_str(between);
        text.push_str(item);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, expect) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), expect);
        }
    }

    #[test]
    fn large_counts_are_cut_to_three_digits() {
        for (number, expect) in [
            (0, "0"),
            (999_999, "999,999"),
            (1_239_999, "1.23 M"),
            (45_690_000, "45.6 M"),
            (999_999_999, "999 M"),
            (-7_000_000_000, "-7.00 G"),
            (i64::MAX, "9,223,372 T"),
        ] {
            assert_eq!(compact(number), expect);
        }
    }

    #[test]
    fn percents_have_their_sign() {
        for (value, expect) in [(0, "0.0 %"), (415, "41.5 %"), (-5, "-0.5 %"), (12_345, "1,234.5 %")] {
            assert_eq!(tenths(value), expect);
        }
        assert_eq!((percent(82), percent(i64::MAX)), ("82 %".to_owned(), "–".to_owned()));
        for (amount, expect) in [("0", "±$0.00"), ("4.5", "+$4.50"), ("-0.3", "−$0.30")] {
            assert_eq!(moved(Usd::parse(amount).unwrap()), expect);
        }
    }

    #[test]
    fn days_are_told_once() {
        let check = |first: &str, last: &str, expect: &str| {
            assert_eq!(days(Day::parse(first).unwrap(), Day::parse(last).unwrap()), expect);
        };
        check("2026-11-09", "2026-11-15", "9 to 15 November 2026");
        check("2026-10-26", "2026-11-01", "26 October to 1 November 2026");
        check("2026-12-28", "2027-01-03", "28 December 2026 to 3 January 2027");
        check("2026-11-09", "2026-11-09", "9 November 2026");
        assert_eq!(weekday(Day::parse("2026-11-09").unwrap()), "Mon 9");
        assert_eq!(instant(Instant::from_micros(1_780_000_000_500_000)), "2026-05-28 20:26 UTC");
    }

    #[test]
    fn names_cannot_do_anything() {
        for (text, expect) in [
            ("chatbot-prod", "chatbot-prod"),
            ("a\r\nBcc: x@example.com", "a\u{fffd}\u{fffd}Bcc: x@example.com"),
            ("\u{202e}dorp", "\u{fffd}dorp"),
            ("מפתח", "\u{2068}מפתח\u{2069}"),
            ("🦀🦀", "🦀🦀"),
        ] {
            assert_eq!(name(text), expect);
        }
        let long = name(&"x".repeat(10_000));
        assert_eq!(long.chars().count(), LONGEST_NAME);
        assert_eq!(list(&["a".to_owned(), "b".to_owned(), "c".to_owned()]), "a, b and c");
        assert_eq!(list(&[]), "");
    }
}
