//! What is asked for, and what is written, against a provider that is a table.

use std::{cell::RefCell, collections::BTreeMap, path::Path};

use super::{super::sources::Question, *};
use crate::totals::{read, tests::at};

/// A bill by day; it breaks off where a page is asked for on a day that fails.
#[derive(Default)]
struct Bill {
    days: RefCell<BTreeMap<Day, &'static str>>,
    fails_from: RefCell<Option<Day>>,
    asked: RefCell<Vec<String>>,
}

impl Bill {
    fn put(&self, day: &str, amount: &'static str) {
        self.days.borrow_mut().insert(self::day(day), amount);
    }
}

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

impl Asked for Bill {
    fn page(&self, question: &Question, token: Option<&str>) -> Result<String, String> {
        let value = |name: &str| {
            let (_, value) = question.query.iter().find(|(key, _)| *key == name).unwrap();
            Instant::from_epoch(value.parse().unwrap()).unwrap().day()
        };
        let (from, until) = (value("start_time"), value("end_time"));
        // Two days to a page.
        let from = token.map_or(from, self::day);
        let last = Day::from_days((from.days() + 2).min(until.days()));
        self.asked.borrow_mut().push(format!("{from}..{last}"));
        if self.fails_from.borrow().is_some_and(|day| last > day) {
            return Err("`https://x` failed with 500: it should pass".to_owned());
        }
        let bucket = |day: Day| {
            let amount = self.days.borrow().get(&day).map(|amount| format!("{{\"amount\":{{\"value\":{amount}}}}}"));
            format!(
                "{{\"start_time\":{},\"end_time\":{},\"results\":[{}]}}",
                day.start().seconds(),
                day.end().seconds(),
                amount.unwrap_or_default()
            )
        };
        let data: Vec<_> = days_of(Days { from, until: last }).map(bucket).collect();
        let next = if last < until { format!("\"{last}\"") } else { "null".to_owned() };
        Ok(format!("{{\"data\":[{}],\"has_more\":{},\"next_page\":{next}}}", data.join(","), last < until))
    }

    fn place(&self, _: &Question) -> String {
        "https://x".to_owned()
    }
}

struct Case {
    config: Config,
    book: Book,
    _dir: tempfile::TempDir,
}

impl Case {
    fn new(rest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("[[source]]\nname = \"bill\"\nformat = \"openai-costs\"\ntoken_env = \"X\"\n{rest}");
        let config = Config::parse(&text, Path::new("spendbook.toml")).unwrap_or_else(|errors| panic!("{errors}"));
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        Self { config, book, _dir: dir }
    }

    fn pull(&self, bill: &Bill, now: &str) -> (SourceTotals, Vec<String>, Result<(), String>) {
        self.pull_by(bill, &Options { source: None, dry_run: false, again: false, now: at(now) })
    }

    fn pull_by(&self, bill: &Bill, options: &Options) -> (SourceTotals, Vec<String>, Result<(), String>) {
        let source = &self.config.totals[0];
        let names = Names::of(&self.config);
        let mut pull = Pull {
            config: &self.config,
            source,
            teller: sources::by_name(&source.format).unwrap(),
            book: Some(&self.book),
            names: &names,
            options,
            watch: &Silent,
            totals: SourceTotals::default(),
            notes: Vec::new(),
        };
        let mut state = State::load(Some(&self.book), source, self.config.privacy).unwrap();
        let present = days(&self.book).unwrap().into_iter().map(|(_, day)| day).collect();
        let remote = source.remote.as_ref().unwrap();
        let result = pull.ask(bill, remote, &mut state, &present, None);
        assert!(pull.totals.is_balanced(), "{:?}", pull.totals);
        (pull.totals, pull.notes, result)
    }

    /// The book, a day on a line.
    fn shown(&self) -> Vec<String> {
        let mut shown = Vec::new();
        for (source, day) in days(&self.book).unwrap() {
            let rows = read(&self.book, &source, day).unwrap().unwrap();
            let costs: Vec<_> = rows.iter().map(|row| row.cost.unwrap().shown()).collect();
            let open = if rows.iter().any(|row| !row.is_closed()) { " open" } else { "" };
            shown.push(format!("{day} {}{open}", costs.join(" ")).trim_end().to_owned());
        }
        shown
    }
}

struct Silent;

impl Watch for Silent {
    fn read(&self, _: u64) {}
    fn file(&self, _: &str) {}
}

const NIGHT: &str = "2026-11-16T02:00:00Z";

#[test]
fn days_are_told_once_and_again_while_they_can_be_restated() {
    let case = Case::new("since = \"2026-11-12\"\nlookback = \"2d\"");
    let bill = Bill::default();
    for (day, amount) in [("2026-11-12", "1"), ("2026-11-13", "2"), ("2026-11-15", "4"), ("2026-11-16", "0.5")] {
        bill.put(day, amount);
    }
    let (totals, ..) = case.pull(&bill, NIGHT);
    assert_eq!((totals.new.len(), totals.restated.len(), totals.pages), (5, 0, 3));
    let expect = ["2026-11-12 $1.00", "2026-11-13 $2.00", "2026-11-14", "2026-11-15 $4.00", "2026-11-16 $0.50 open"];
    assert_eq!(case.shown(), expect);

    // Again at once: what is settled is not asked for, and nothing changes.
    bill.asked.take();
    let (totals, ..) = case.pull(&bill, NIGHT);
    assert_eq!((totals.new.len(), totals.restated.len(), totals.unchanged), (0, 0, 3));
    assert_eq!(bill.asked.take(), ["2026-11-14..2026-11-16", "2026-11-16..2026-11-17"]);
    assert_eq!(case.shown(), expect);

    // A day later: yesterday is whole, and the day before was restated; what is
    // restated after its look-back is not seen.
    for (day, amount) in [("2026-11-12", "9"), ("2026-11-15", "4.5"), ("2026-11-16", "6")] {
        bill.put(day, amount);
    }
    let (totals, ..) = case.pull(&bill, "2026-11-17T02:00:00Z");
    assert_eq!(totals.restated, [day("2026-11-15"), day("2026-11-16")]);
    assert_eq!(totals.new, []);
    assert_eq!(case.shown()[3..], ["2026-11-15 $4.50", "2026-11-16 $6.00"]);
    assert_eq!(case.shown()[0], "2026-11-12 $1.00");
}

#[test]
fn a_pull_that_is_cut_short_leaves_whole_days_and_is_gone_on_with() {
    let (whole, cut) = (Case::new("since = \"2026-08-01\""), Case::new("since = \"2026-08-01\""));
    let bill = Bill::default();
    for number in 0..107 {
        bill.days.borrow_mut().insert(Day::from_days(day("2026-08-01").days() + number), "0.25");
    }
    assert_eq!(whole.pull(&bill, NIGHT).2, Ok(()));
    bill.fails_from.replace(Some(day("2026-09-20")));
    let (totals, _, result) = cut.pull(&bill, NIGHT);
    assert_eq!(result, Err("`https://x` failed with 500: it should pass".to_owned()));
    // The first window of 31 days is in the book, of the second nothing.
    assert_eq!((totals.new.len(), cut.shown().len()), (31, 31));
    bill.fails_from.replace(None);
    bill.asked.take();
    assert_eq!(cut.pull(&bill, NIGHT).2, Ok(()));
    assert_eq!(bill.asked.take()[0], "2026-09-01..2026-09-03");
    assert_eq!(cut.shown(), whole.shown());
    let bytes = |case: &Case| {
        let days = days(&case.book).unwrap();
        days.iter().map(|(source, day)| case.book.get(&crate::totals::path(source, *day)).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(bytes(&cut), bytes(&whole));
}

#[test]
fn without_its_state_a_source_is_asked_for_everything_and_the_book_stays_the_same() {
    let case = Case::new("");
    let bill = Bill::default();
    bill.put("2026-11-01", "1");
    assert_eq!(case.pull(&bill, NIGHT).0.new.len(), 30);
    let before = case.shown();
    case.book.delete(&object_store::path::Path::from("state/totals/bill.json")).unwrap();
    let (totals, ..) = case.pull(&bill, NIGHT);
    assert_eq!((totals.new.len(), totals.restated.len(), totals.unchanged), (0, 0, 30));
    assert_eq!(case.shown(), before);
}

#[test]
fn settled_days_are_asked_for_again_where_that_is_wanted() {
    let case = Case::new("since = \"2026-11-12\"\nlookback = \"1d\"");
    let bill = Bill::default();
    bill.put("2026-11-12", "1");
    assert_eq!(case.pull(&bill, NIGHT).2, Ok(()));
    bill.put("2026-11-12", "9");
    assert_eq!(case.pull(&bill, NIGHT).0.restated, []);
    let options = Options { source: Some("bill".to_owned()), dry_run: false, again: true, now: at(NIGHT) };
    assert_eq!(case.pull_by(&bill, &options).0.restated, [day("2026-11-12")]);
    assert_eq!(case.shown()[0], "2026-11-12 $9.00");
}

/// A token that had expired for six weeks.
#[test]
fn days_that_were_never_told_are_asked_for_however_long_ago_they_were() {
    let case = Case::new("");
    let bill = Bill::default();
    bill.put("2026-11-15", "1");
    assert_eq!(case.pull(&bill, NIGHT).2, Ok(()));
    bill.put("2026-11-20", "7");
    bill.fails_from.replace(Some(day("2026-11-17")));
    assert!(case.pull(&bill, "2026-11-30T02:00:00Z").2.is_err());
    bill.fails_from.replace(None);
    assert_eq!(case.pull(&bill, "2026-12-28T02:00:00Z").2, Ok(()));
    assert!(case.shown().contains(&"2026-11-20 $7.00".to_owned()), "{:?}", case.shown());
    let days = case.shown().len();
    assert_eq!(days, usize::try_from(day("2026-12-28").days() - day("2026-10-17").days()).unwrap());
}

#[test]
fn days_in_a_row_are_asked_for_together() {
    let days: Vec<Day> = [1, 2, 3, 4, 8, 9].map(Day::from_days).to_vec();
    let spans = |longest| {
        let windows = windows(&days, longest);
        windows.iter().map(|it| (it.from.days(), it.until.days())).collect::<Vec<_>>()
    };
    assert_eq!(spans(31), [(1, 5), (8, 10)]);
    assert_eq!(spans(2), [(1, 3), (3, 5), (8, 10)]);
    assert_eq!(windows(&[], 31), []);
}

#[test]
fn only_days_that_the_provider_knows_are_asked_for() {
    let remote = |rest: &str| {
        let text = format!("[[source]]\nname = \"a\"\nformat = \"openai-usage\"\ntoken_env = \"X\"\n{rest}");
        let mut config = Config::parse(&text, Path::new("f")).unwrap_or_else(|errors| panic!("{errors}"));
        config.totals.remove(0).remote.unwrap()
    };
    let check = |format: &str, rest: &str, floor: Option<&str>, expect: Option<(&str, &str)>| {
        let wanted = Wanted {
            remote: &remote(rest),
            state: &State::default(),
            present: &BTreeSet::new(),
            floor: floor.map(day),
            again: false,
            now: at(NIGHT),
        };
        let days = wanted.days(sources::by_name(format).unwrap());
        let span = days.first().zip(days.last()).map(|(first, last)| (first.to_string(), last.to_string()));
        assert_eq!(span, expect.map(|(first, last)| (first.to_owned(), last.to_owned())), "{format} {rest}");
    };
    check("openai-usage", "", None, Some(("2026-10-17", "2026-11-16")));
    check("openai-usage", "since = \"2026-01-01\"", None, Some(("2026-01-01", "2026-11-16")));
    check("openai-usage", "since = \"2026-01-01\"", Some("2026-06-01"), Some(("2026-06-01", "2026-11-16")));
    check("openai-usage", "since = \"2026-12-01\"", None, None);
    check("openrouter-activity", "since = \"2026-01-01\"", None, Some(("2026-10-17", "2026-11-15")));
    check("groq-usage", "since = \"2026-01-01\"", None, Some(("2026-11-16", "2026-11-16")));
}
