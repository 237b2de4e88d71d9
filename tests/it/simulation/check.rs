//! After each night: what the book says, and what the model says.

use std::collections::{BTreeMap, BTreeSet};

use spendbook::{money::Usd, time::Instant};

use super::{
    alerts::{self, Expected, Facts},
    audit::{self, SCOPES, Violation, is_of},
    history::{DAY, Extent, Misdeed, Version},
    model::{self, Charge, GROUP, OF_USAGE, Row, Sums},
    play::{Difference, Play, SOURCES},
    post,
};
use crate::support::{columns_of_table, files_below};

/// What there was of commits before a night.
#[derive(Debug)]
pub(super) struct Before {
    alerts: usize,
    weekly: BTreeSet<String>,
    policy: usize,
}

impl Before {
    pub(super) fn of(play: &Play) -> Self {
        let book = play.run.path("book");
        Self {
            alerts: post::commits(&book, "alerts").len(),
            weekly: post::commits(&book, "weekly").into_iter().map(|(name, _)| name).collect(),
            policy: policies(play),
        }
    }
}

fn policies(play: &Play) -> usize {
    // What is torn is no file of it.
    files_below(&play.run.path("book/policy")).into_keys().filter(|name| !name.contains('#')).count()
}

impl Play {
    /// After a night that came to its end: everything is there, exactly.
    pub(super) fn check(&mut self, before: &Before, misdeed: Option<Misdeed>) -> Result<(), Difference> {
        let charges = self.check_books()?;
        if self.world.extent == Extent::Books {
            return Ok(());
        }
        self.observe();
        let violations = audit::violations(&charges, &self.said);
        let rows: Vec<Row> = violations.iter().map(Violation::row).collect();
        same("violations", self.rows("violations", &Violation::COLUMNS), &rows)?;
        self.check_alerts(before, &charges, &violations)?;
        self.check_weekly(before, &charges)?;
        self.check_post(false, misdeed)
    }

    /// What the config says is known to the book from now on.
    fn observe(&mut self) {
        for of in 0..SCOPES.len() {
            let budget = alerts::budget(self.world.budgets[of], self.world.thresholds);
            self.said.budgets[of].observe(&budget, self.now);
            self.said.limits[of].observe(&self.world.limits[of], self.now);
        }
    }

    fn check_books(&self) -> Result<Vec<Charge>, Difference> {
        let charges = model::charges(&self.known, &self.world.prices, self.now);
        let rows: Vec<Row> = charges.iter().map(Charge::row).collect();
        same("charges", self.rows("charges", &Charge::COLUMNS), &rows)?;
        let of_usage = |row: &Row| {
            let mut row = row.clone();
            row.retain(|name, _| OF_USAGE.contains(&name.as_str()));
            row
        };
        same("usage", self.rows("usage", &OF_USAGE), &rows.iter().map(of_usage).collect::<Vec<_>>())?;
        let (found, expected) = (self.rollup(), model::rollup(&charges));
        if found != expected {
            return Err(format!("rollup:\nfound    {found:?}\nexpected {expected:?}"));
        }
        self.check_quarantine()?;
        Ok(charges)
    }

    /// Every broken line of the logs that are there is set aside, and no other.
    fn check_quarantine(&self) -> Result<(), Difference> {
        let mut expected = BTreeSet::new();
        for ((source, file), log) in &self.logs {
            // What ends a file may go on in the next night.
            let broken = log.broken.iter().filter(|&&line| line < log.lines());
            expected.extend(broken.map(|line| format!("{}/{file}.jsonl:{line} ", SOURCES[*source])));
        }
        let found = self.run.quarantine();
        match expected.iter().find(|line| !found.iter().any(|it| it.starts_with(*line))) {
            Some(missing) => Err(format!("{missing}is not in quarantine: {found:#?}")),
            None => Ok(()),
        }
    }

    /// What is committed of alerts, and to whom it goes.
    fn check_alerts(
        &mut self,
        before: &Before,
        charges: &[Charge],
        violations: &[Violation],
    ) -> Result<(), Difference> {
        let facts = Facts { charges, violations, said: &self.said, now: self.now };
        let expected = self.events.expect(facts);
        let found = self.take_commits(before)?.decided();
        if found != expected {
            return Err(format!("alerts:\nfound    {found:#?}\nexpected {expected:#?}"));
        }
        Ok(())
    }

    fn take_commits(&mut self, before: &Before) -> Result<Expected, Difference> {
        let mut found = Expected::default();
        for (name, commit) in post::commits(&self.run.path("book"), "alerts").into_iter().skip(before.alerts) {
            let Expected { told, noted } = self.events.take(&commit).map_err(|error| format!("{name}: {error}"))?;
            found.told.extend(told);
            found.noted.extend(noted);
            if self.post.is_some() {
                check_readers(&commit)?;
            }
        }
        Ok(found)
    }

    /// The last full week of everyone who reads mails, once, and its amounts.
    fn check_weekly(&self, before: &Before, charges: &[Charge]) -> Result<(), Difference> {
        const WEEK: i64 = 7 * DAY;
        let commits = post::commits(&self.run.path("book"), "weekly");
        let new: BTreeSet<&String> =
            commits.iter().map(|(name, _)| name).filter(|name| !before.weekly.contains(*name)).collect();
        // The epoch was a Thursday.
        let monday = (self.now - 4 * DAY).div_euclid(WEEK) * WEEK + 4 * DAY - WEEK;
        let day = |micros: i64| Instant::from_micros(micros).day().to_string();
        let (first, last) = (day(monday), day(monday + 6 * DAY));
        let mut expected = BTreeSet::new();
        for (of, slug) in ["team-chat", "team-lab", "organization"].into_iter().enumerate() {
            let name = format!("{first}_{last}/{slug}.json");
            let has_begun = charges.iter().any(|charge| charge.micros < monday + WEEK);
            let is_mailed =
                before.weekly.iter().any(|known| known.ends_with(&format!("/{slug}.json")) && known[11..21] >= *first);
            if self.post.is_none() || !has_begun || is_mailed {
                continue;
            }
            let of_week = |charge: &&Charge| (monday..monday + WEEK).contains(&charge.micros) && is_of(of, charge);
            let cost: i128 = charges.iter().filter(of_week).map(Charge::known_cost).sum();
            let found = commits.iter().find(|(it, _)| *it == name).map(|(_, commit)| &commit["figures"]);
            let requests = charges.iter().filter(of_week).count();
            let is_right =
                found.is_some_and(|found| found["cost"] == model::usd(cost) && found["requests"] == requests);
            if !is_right {
                return Err(format!("{name} says {found:?}, expected {} for {requests}", model::usd(cost)));
            }
            expected.insert(name);
        }
        if new.iter().copied().ne(&expected) {
            return Err(format!("weekly mails: found {new:?}, expected {expected:?}"));
        }
        Ok(())
    }

    fn check_post(&mut self, is_killed: bool, misdeed: Option<Misdeed>) -> Result<(), Difference> {
        let book = self.run.path("book");
        self.post.as_mut().map_or(Ok(()), |post| post.check(&book, is_killed, misdeed))
    }

    /// After a night that did not come to its end.
    pub(super) fn check_marred(&mut self, before: &Before, misdeed: Option<Misdeed>) -> Result<(), Difference> {
        self.check_whole()?;
        if policies(self) > before.policy {
            self.observe();
        }
        self.take_commits(before)?;
        self.check_post(true, misdeed)
    }

    /// Everything in the book that a night with nothing new leaves as it is.
    pub(super) fn lasting(&self) -> BTreeMap<String, Vec<u8>> {
        let folders = ["usage", "charges", "rollup", "violations", "quarantine", "policy", "alerts", "weekly", "moves"];
        let mut all = BTreeMap::new();
        for folder in folders {
            let files = files_below(&self.run.path("book").join(folder));
            all.extend(files.into_iter().map(|(name, bytes)| (format!("{folder}/{name}"), bytes)));
        }
        all
    }

    /// Every file is whole, no request is there twice, and none that was there
    /// is lost: it is in its day, or noted as on its way to another.
    fn check_whole(&self) -> Result<(), Difference> {
        let found = self.rows("usage", &["ts", "ts_last", "request_id"]);
        let mut spans: BTreeMap<&String, Vec<(&String, &String)>> = BTreeMap::new();
        for row in &found {
            spans.entry(&row["request_id"]).or_default().push((&row["ts"], &row["ts_last"]));
        }
        for (id, of_one) in &mut spans {
            of_one.sort();
            if of_one.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
                return Err(format!("{id} is in the book twice: {of_one:?}"));
            }
        }
        // A row that was on its way to another day is noted until it is there.
        let moving = self.rows("moves/usage", &["request_id"]);
        let ids: BTreeSet<&String> = spans.into_keys().chain(moving.iter().map(|row| &row["request_id"])).collect();
        match self.known.iter().map(Version::request_id).find(|id| !ids.contains(id)) {
            Some(lost) => Err(format!("{lost} was in the book and is lost")),
            None => Ok(()),
        }
    }

    fn rows(&self, table: &str, names: &[&str]) -> Vec<Row> {
        columns_of_table(&self.run.path("book"), table, names)
    }

    fn rollup(&self) -> BTreeMap<Vec<String>, Sums> {
        let mut sums: BTreeMap<Vec<String>, Sums> = BTreeMap::new();
        let names = [&GROUP[..], &["requests", "unpriced_requests", "cost"]].concat();
        for row in self.rows("rollup", &names) {
            let number = |name: &str| row[name].parse::<i64>().expect("a count");
            let cost = row.get("cost").map_or(0, |cost| Usd::parse(cost).expect("an amount").pico());
            let group = GROUP.map(|name| row.get(name).cloned().unwrap_or_default());
            let sum = sums.entry(group.to_vec()).or_default();
            sum.0 += number("requests");
            sum.1 += number("unpriced_requests");
            sum.2 += cost;
        }
        sums
    }
}

/// Who is told of each alert, and that each of them has a mail, and no other.
fn check_readers(commit: &serde_json::Value) -> Result<(), Difference> {
    let mut readers = BTreeSet::new();
    for alert in commit["alerts"].as_array().into_iter().flatten() {
        let text = |name: &str| alert[name].as_str().unwrap_or_default();
        let expected = match (text("kind"), text("name")) {
            ("unpriced" | "silent_source", _) | ("violations", "") => "ops@example.com".to_owned(),
            (_, "chat" | "lab") => format!("{}@example.com", text("name")),
            _ => "finance@example.com".to_owned(),
        };
        if alert["to"] != serde_json::json!([expected]) {
            return Err(format!("{alert}\nis for {expected}"));
        }
        readers.insert(expected);
    }
    let mails = commit["mails"].as_array().into_iter().flatten();
    let found: BTreeSet<String> = mails.map(|mail| mail["to"].as_str().unwrap_or_default().to_owned()).collect();
    if found == readers { Ok(()) } else { Err(format!("mails to {found:?}, expected to {readers:?}")) }
}

fn same(what: &str, mut found: Vec<Row>, expected: &[Row]) -> Result<(), Difference> {
    let mut expected = expected.to_vec();
    found.sort();
    expected.sort();
    if found == expected {
        return Ok(());
    }
    let only = |these: &[Row], those: &[Row]| {
        these.iter().filter(|row| !those.contains(row)).map(|row| format!("  {row:?}\n")).collect::<String>()
    };
    let (extra, missing) = (only(&found, &expected), only(&expected, &found));
    let counts = format!("{} rows, expected {}", found.len(), expected.len());
    Err(format!("{what}: {counts}\nfound:\n{extra}expected:\n{missing}"))
}
