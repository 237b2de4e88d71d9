//! Pages into days: which lines of which page count.
//!
//! A page that changes while the pages are read may tell a line twice, tell it
//! differently, or out of order. Nothing is lost: a line is known by its time
//! and all its names, and where those are told again, by its number among its
//! like on the page. Told again, the later telling counts.

use std::collections::BTreeMap;

use super::{
    TotalRow,
    sources::{Line, Page},
};
use crate::time::{Day, Instant};

/// What becomes of the lines of answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) lines: u64,
    /// Told before, word for word.
    pub(super) duplicate: u64,
    /// Told again with other values, by a later page or a later answer.
    pub(super) superseded: u64,
    /// Nothing that has a column.
    pub(super) passed_over: u64,
}

/// A line's time and names, and which of its like it is.
type Identity = (Instant, Instant, String, usize);

/// The answer to one question, page by page.
#[derive(Debug, Default)]
pub(super) struct Answer {
    rows: BTreeMap<Identity, Line>,
    empty: Vec<(Instant, Instant)>,
}

impl Answer {
    pub(super) fn add(&mut self, page: Page, counts: &mut Counts) {
        counts.lines += page.lines.len() as u64 + page.passed_over;
        counts.passed_over += page.passed_over;
        self.empty.extend(page.empty);
        let mut like: BTreeMap<(Instant, Instant, String), usize> = BTreeMap::new();
        for line in page.lines {
            let (start, end) = (line.row.bucket_start, line.row.bucket_end);
            let names = names(&line);
            let number = like.entry((start, end, names.clone())).and_modify(|number| *number += 1).or_default();
            match self.rows.insert((start, end, names, *number), line.clone()) {
                Some(before) if before == line => counts.duplicate += 1,
                Some(_) => counts.superseded += 1,
                None => {}
            }
        }
    }

    pub(super) fn into_rows(self) -> impl Iterator<Item = TotalRow> {
        self.rows.into_values().map(|line| line.row)
    }
}

/// Everything by which a line is known beside its time.
fn names(line: &Line) -> String {
    let row = &line.row;
    let names = [&row.key, &row.key_id, &row.project, &row.user, &row.model, &row.tier, &row.line_item];
    let mut text = format!("{}\u{1e}{}\u{1e}{}", line.kind, row.measure.name(), line.apart);
    for name in names {
        text.push('\u{1e}');
        // A name that is empty is another than none.
        text.extend(name.iter().flat_map(|name| ["=", name]));
    }
    text
}

/// Several answers to the same question, the later ones after the earlier.
#[derive(Debug, Default)]
pub(super) struct Answers {
    days: BTreeMap<Day, Vec<Line>>,
}

impl Answers {
    /// What an answer tells of a span of time replaces all that was told of
    /// it, of the same kind. `has_kinds` says that an empty bucket does not
    /// tell of which kind it is. That nothing was told of a day that was not
    /// over at the time, `told`, says nothing of that day.
    pub(super) fn add(&mut self, answer: Answer, told: Instant, has_kinds: bool, counts: &mut Counts) {
        let mut spans: Vec<(&'static str, Instant, Instant)> =
            answer.rows.values().map(|line| (line.kind, line.row.bucket_start, line.row.bucket_end)).collect();
        for &(start, end) in answer.empty.iter().filter(|(_, end)| !has_kinds && *end <= told) {
            spans.push(("", start, end));
            self.days.entry(start.day()).or_default();
        }
        spans.sort_unstable();
        spans.dedup();
        for (kind, start, end) in spans {
            for (_, lines) in self.days.range_mut(start.day()..=end.plus_micros(-1).day()) {
                let before = lines.len();
                lines.retain(|line| {
                    let row = &line.row;
                    line.kind != kind || row.bucket_start >= end || row.bucket_end <= start
                });
                counts.superseded += (before - lines.len()) as u64;
            }
        }
        for line in answer.rows.into_values() {
            self.days.entry(line.row.bucket_start.day()).or_default().push(line);
        }
    }

    pub(super) fn into_days(self) -> BTreeMap<Day, Vec<TotalRow>> {
        let rows = |lines: Vec<Line>| lines.into_iter().map(|line| line.row).collect();
        self.days.into_iter().map(|(day, lines)| (day, rows(lines))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::Meter,
        totals::tests::{at, row},
    };

    const TOLD: &str = "2026-11-17T02:00:00Z";

    fn line(day: &str, model: &str, output: i64) -> Line {
        Line { row: row("usage", day, model, output, TOLD), kind: "", apart: String::new() }
    }

    fn page(lines: &[Line]) -> Page {
        Page { lines: lines.to_vec(), ..Page::default() }
    }

    fn answer(pages: &[&[Line]]) -> (Answer, Counts) {
        let (mut answer, mut counts) = (Answer::default(), Counts::default());
        for lines in pages {
            answer.add(page(lines), &mut counts);
        }
        (answer, counts)
    }

    fn shown(rows: impl Iterator<Item = TotalRow>) -> Vec<String> {
        let mut shown: Vec<_> = rows
            .map(|row| {
                let output = row.quantities[Meter::OutputTokens].unwrap_or_default();
                format!("{} {} {output}", row.bucket_start.day(), row.model.as_deref().unwrap_or("-"))
            })
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn pages_that_change_while_they_are_read_lose_nothing() {
        let (a, b, c) = (line("2026-11-15", "a", 1), line("2026-11-15", "b", 2), line("2026-11-14", "c", 3));
        let changed = line("2026-11-15", "b", 5);
        let expect = ["2026-11-14 c 3", "2026-11-15 a 1", "2026-11-15 b 2"];
        for (pages, expect, duplicate, superseded) in [
            (&[&[a.clone(), b.clone()][..], std::slice::from_ref(&c)][..], expect, 0, 0),
            (&[std::slice::from_ref(&c), &[b.clone(), a.clone()]], expect, 0, 0),
            (&[&[a.clone(), b.clone()], &[b.clone(), c.clone()]], expect, 1, 0),
            (
                &[&[a.clone(), b.clone()], &[changed, c.clone()]],
                ["2026-11-14 c 3", "2026-11-15 a 1", "2026-11-15 b 5"],
                0,
                1,
            ),
        ] {
            let (answer, counts) = answer(pages);
            assert_eq!((counts.duplicate, counts.superseded), (duplicate, superseded));
            let rows = shown(answer.into_rows());
            assert_eq!(rows, expect);
            assert_eq!(counts.lines, rows.len() as u64 + duplicate + superseded);
        }
    }

    #[test]
    fn lines_that_only_their_place_tells_apart_are_all_kept() {
        let (one, other) = (line("2026-11-15", "a", 1), line("2026-11-15", "a", 1));
        let elsewhere = Line { apart: "eu".to_owned(), ..one.clone() };
        let none = Line { row: TotalRow { model: None, ..one.row.clone() }, ..one.clone() };
        let named = Line { row: TotalRow { model: Some(String::new()), ..one.row.clone() }, ..one.clone() };
        let (answer, counts) = answer(&[&[one.clone(), other, elsewhere, none, named], &[one]]);
        assert_eq!((answer.into_rows().count(), counts.duplicate), (5, 1));
    }

    #[test]
    fn a_later_answer_replaces_what_it_tells_of() {
        let kind = |line: Line, kind| Line { kind, ..line };
        let first = [
            line("2026-11-14", "a", 1),
            kind(line("2026-11-15", "a", 2), "images"),
            kind(line("2026-11-15", "b", 3), "speech"),
        ];
        let later = [kind(line("2026-11-15", "c", 4), "speech"), line("2026-11-16", "c", 5)];
        let (mut answers, mut counts) = (Answers::default(), Counts::default());
        for lines in [&first[..], &later] {
            answers.add(answer(&[lines]).0, at(TOLD), true, &mut counts);
        }
        let days = answers.into_days();
        assert_eq!(
            shown(days.into_values().flatten()),
            ["2026-11-14 a 1", "2026-11-15 a 2", "2026-11-15 c 4", "2026-11-16 c 5"]
        );
        assert_eq!(counts.superseded, 1);
    }

    #[test]
    fn hours_add_up_and_a_whole_day_replaces_them() {
        let hour = |number: i64, output| {
            let mut line = line("2026-11-15", "a", output);
            line.row.bucket_start = line.row.bucket_start.plus_micros(number * 3_600_000_000);
            line.row.bucket_end = line.row.bucket_start.plus_micros(3_600_000_000);
            line
        };
        let (mut answers, mut counts) = (Answers::default(), Counts::default());
        answers.add(answer(&[&[hour(0, 1), hour(1, 2)]]).0, at(TOLD), false, &mut counts);
        answers.add(answer(&[&[hour(1, 3), hour(2, 4)]]).0, at(TOLD), false, &mut counts);
        assert_eq!(counts.superseded, 1);
        answers.add(answer(&[&[line("2026-11-15", "a", 9)]]).0, at(TOLD), false, &mut counts);
        assert_eq!(shown(answers.into_days().into_values().flatten()), ["2026-11-15 a 9"]);
        assert_eq!(counts.superseded, 4);
    }

    #[test]
    fn an_empty_bucket_is_told_too() {
        let day = Day::parse("2026-11-15").unwrap();
        let (mut answers, mut counts) = (Answers::default(), Counts::default());
        answers.add(answer(&[&[line("2026-11-15", "a", 1)]]).0, at(TOLD), false, &mut counts);
        let empty = || Answer { empty: vec![(day.start(), day.end())], ..Answer::default() };
        answers.add(empty(), at(TOLD), true, &mut counts);
        assert_eq!(counts.superseded, 0);
        answers.add(empty(), at(TOLD), false, &mut counts);
        let today = Answer { empty: vec![(at(TOLD).day().start(), at(TOLD).day().end())], ..Answer::default() };
        answers.add(today, at(TOLD), false, &mut counts);
        assert_eq!(answers.into_days(), BTreeMap::from([(day, Vec::new())]));
        assert_eq!(counts.superseded, 1);
    }
}
