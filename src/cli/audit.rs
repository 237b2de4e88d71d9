//! `spendbook audit`: charges against policies and budgets, and what was found.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::{
    Days, Failure, Outcome, Session, count,
    known::{self, CONFIG_AND_BOOK, Wanted},
    listing::{self, Cell, Column, Listing, Page, To},
    outcome_of,
};
use crate::{
    audit::{self, ErrorCount, Violation, ViolationKind},
    book::{Book, layout::DayTable},
    config::Config,
    money::Usd,
    night::Prices,
    policy,
    runs::{self, RunRecord, Stage, StageRecord},
    time::{Day, Instant},
};

/// Looks for what broke a policy or a budget, and shows it with what to do.
#[derive(Debug, Args)]
#[command(after_help = "\
A table sums violations up by kind, team and key; CSV and Parquet have each of
them, JSON has both, and errors by key. All of them are in the book's table
`violations`.

Examples:
  spendbook audit                                    the last 30 days
  spendbook audit --from 2026-06-01 --to 2026-06-30  only these days
  spendbook audit --team chatbot --format csv        each violation of a team")]
pub(super) struct Arguments {
    #[command(flatten)]
    days: Days,
    /// Only this team
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Only this key
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Only this kind
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<ViolationKind>,
    /// How many violations CSV, JSON and Parquet have at most; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = count)]
    limit: usize,
    /// Show what the last audit found; look for nothing new, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    to_format: To,
}

fn kind(text: &str) -> Result<ViolationKind, String> {
    ViolationKind::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = ViolationKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let now = session.clock.now();
    let from = arguments.days.in_order(now)?;
    let (book, done) = if arguments.dry_run {
        (Book::open(&config.book_dir())?, audit::Outcome::default())
    } else {
        let book = Session::book_for_writing(&config, "audit").map_err(with_dry_run)?;
        let done = audited(session, &config, &book)?;
        (book, done)
    };
    check(&config, &book, arguments)?;
    if !session.global.quiet {
        let found = Found::read(&book, arguments, from)?;
        arguments.to_format.write(&found.page(&done, from, arguments.days.to))?;
    }
    Ok(outcome(&done))
}

/// Where the book cannot be written, what was found before can still be read.
fn with_dry_run(Failure { error, code }: Failure) -> Failure {
    let can = "nothing new can be looked for now, `spendbook audit --dry-run` shows what was found before";
    Failure { error: error.context(can), code }
}

/// Refuses names that neither config nor book knows.
fn check(config: &Config, book: &Book, arguments: &Arguments) -> Result<(), Failure> {
    let in_book = |column| move || known::in_table(book, DayTable::Rollup, &[column]);
    if let Some(name) = arguments.team.as_deref() {
        let teams = config.teams.keys().map(String::as_str);
        Wanted { flag: "--team", what: "team", name, places: CONFIG_AND_BOOK }.check(teams, in_book("team"))?;
    }
    if let Some(name) = arguments.key.as_deref() {
        let keys = config.keys.iter().map(|key| key.name.as_str());
        Wanted { flag: "--key", what: "key", name, places: CONFIG_AND_BOOK }.check(keys, in_book("key"))?;
    }
    Ok(())
}

fn audited(session: &Session, config: &Config, book: &Book) -> Result<audit::Outcome, Failure> {
    let now = session.clock.now();
    // Before the prices: a mistake there does not make today's policies later ones.
    let kept = policy::keep(book, config, now)?;
    let done = audit::run(config, &Prices::read(config)?.book, &kept, book, now)?;
    runs::store(book, &RunRecord::of_stage(Stage::Audit, now, session.clock.now(), StageRecord::audit(&done)))?;
    Ok(done)
}

/// How well it went.
pub(super) fn outcome(done: &audit::Outcome) -> Outcome {
    outcome_of(&done.failed)
}

/// What an audit came to, in a line.
pub(super) fn report(done: &audit::Outcome) -> String {
    let days = done.audited.len();
    let noun = if days == 1 { "day" } else { "days" };
    format!("{days} {noun} audited: `spendbook audit` lists what was found\n")
}

/// Violations of one kind, team and key.
#[derive(Debug)]
struct Group {
    violations: i64,
    requests: i64,
    cost: Usd,
    first: Instant,
    last: Instant,
}

type GroupKey = (ViolationKind, Option<String>, Option<String>);

/// What is shown.
#[derive(Debug)]
struct Found {
    groups: BTreeMap<GroupKey, Group>,
    rows: Listing,
    left_out: i64,
    errors: Vec<ErrorCount>,
}

impl Found {
    fn read(book: &Book, arguments: &Arguments, from: Day) -> Result<Self, Failure> {
        let is_wanted = |team: Option<&str>, key: Option<&str>| {
            arguments.team.as_deref().is_none_or(|wanted| team == Some(wanted))
                && arguments.key.as_deref().is_none_or(|wanted| key == Some(wanted))
        };
        let mut groups: BTreeMap<GroupKey, Group> = BTreeMap::new();
        let mut rows = Listing::new("violations", ROWS);
        let (mut count, mut left_out) = (0, 0);
        for day in book.days(DayTable::Violations)? {
            if day < from || arguments.days.to.is_some_and(|to| day > to) {
                continue;
            }
            audit::violations(book, day, |it| {
                let is_kind = arguments.kind.is_none_or(|kind| kind == it.kind);
                if !is_kind || !is_wanted(it.team.as_deref(), it.key.as_deref()) {
                    return;
                }
                add(&mut groups, &it);
                if arguments.limit == 0 || count < arguments.limit {
                    count += 1;
                    rows.push(cells(it));
                } else {
                    left_out += 1;
                }
            })?;
        }
        let mut errors = audit::errors(book, Some(from), arguments.days.to)?;
        errors.retain(|it| is_wanted(it.team.as_deref(), it.key.as_deref()));
        Ok(Self { groups, rows, left_out, errors })
    }

    fn page(self, done: &audit::Outcome, from: Day, to: Option<Day>) -> Page {
        let Self { groups, rows, left_out, errors } = self;
        let mut page = Page::default();
        page.fact("from", from.to_string()).fact("left_out", left_out);
        page.data(rows);
        if groups.is_empty() {
            let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
            page.say(format!("no violations since {from}{to}\n"));
        }
        let kinds: BTreeSet<ViolationKind> = groups.keys().map(|(kind, ..)| *kind).collect();
        let mut summary = Listing::new("summary", SUMMARY);
        for ((kind, team, key), group) in groups {
            let Group { violations, requests, cost, first, last } = group;
            let names = [kind.name().into(), team.into(), key.into()];
            let counts = [violations.into(), requests.into(), cost.into(), first.into(), last.into()];
            summary.push(names.into_iter().chain(counts).chain([kind.remedy().into()]).collect());
        }
        page.list(summary);
        let remedies = kinds.iter().map(|kind| format!("{}: {}\n", kind.name(), kind.remedy()));
        page.say(spaced(remedies.collect()));
        if !errors.is_empty() {
            page.say("\n");
        }
        let kinds: BTreeSet<_> = errors.iter().map(|it| it.kind).collect();
        let mut listing = Listing::new("errors", ERRORS);
        for it in errors {
            let tenths = i64::try_from(it.rate_hundredths() / 10).unwrap_or(i64::MAX);
            let number = |count: u64| Cell::from(i64::try_from(count).unwrap_or(i64::MAX));
            listing.push(vec![
                it.kind.name().into(),
                it.team.into(),
                it.key.into(),
                number(it.count),
                tenths.into(),
                number(it.requests),
                it.first.into(),
                it.last.into(),
                it.kind.meaning().into(),
                it.kind.remedy().into(),
            ]);
        }
        page.list(listing);
        let remedies = kinds.iter().map(|kind| format!("{}: {}: {}\n", kind.name(), kind.meaning(), kind.remedy()));
        page.say(spaced(remedies.collect()));
        page.say(notes(done));
        page
    }
}

/// Set apart from the table before it.
fn spaced(text: String) -> String {
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// What the audit itself came to, where that is worth a line.
fn notes(done: &audit::Outcome) -> String {
    let mut text = String::new();
    if let Some(day) = done.unpriced_days.first() {
        let count = listing::count(done.unpriced_days.len() as u64);
        text.push_str(&format!("{count} days, the first {day}, are not priced yet: run `spendbook price`\n"));
    }
    text.extend(done.failed.values().map(|error| format!("failed: {error}\n")));
    spaced(text)
}

fn add(groups: &mut BTreeMap<GroupKey, Group>, it: &Violation) {
    let group = groups.entry((it.kind, it.team.clone(), it.key.clone())).or_insert(Group {
        violations: 0,
        requests: 0,
        cost: Usd::ZERO,
        first: it.ts,
        last: it.ts,
    });
    group.violations += 1;
    group.requests += it.requests;
    // Each day's sum fits by far.
    group.cost = group.cost.checked_add(it.cost).unwrap_or(group.cost);
    group.first = group.first.min(it.ts);
    group.last = group.last.max(it.ts);
}

const SUMMARY: &[Column] = &[
    Column::text("kind"),
    Column::text("team"),
    Column::text("key"),
    Column::count("violations"),
    Column::count("requests"),
    Column::usd("cost"),
    Column::instant("first"),
    Column::instant("last"),
    Column::text("remedy").in_data(),
];

const ERRORS: &[Column] = &[
    Column::text("error"),
    Column::text("team"),
    Column::text("key"),
    Column::count("count"),
    Column::tenths("share_percent"),
    Column::count("requests"),
    Column::instant("first"),
    Column::instant("last"),
    Column::text("meaning").in_data(),
    Column::text("remedy").in_data(),
];

/// As in the table of the book.
const ROWS: &[Column] = &[
    Column::instant("ts"),
    Column::text("team"),
    Column::text("key"),
    Column::text("user"),
    Column::text("provider"),
    Column::text("model"),
    Column::text("request_id"),
    Column::text("kind"),
    Column::usd("limit"),
    Column::usd("value"),
    Column::count("requests"),
    Column::usd("cost"),
    Column::text("detail"),
];

fn cells(it: Violation) -> Vec<Cell> {
    vec![
        it.ts.into(),
        it.team.into(),
        it.key.into(),
        it.user.into(),
        it.provider.into(),
        it.model.into(),
        it.request_id.into(),
        it.kind.name().into(),
        it.limit.into(),
        it.value.into(),
        it.requests.into(),
        it.cost.into(),
        it.detail.into(),
    ]
}
