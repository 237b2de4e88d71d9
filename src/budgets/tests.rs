//! Budgets beside small histories, and the known answers about them.

mod forecast;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chrono::Weekday;
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;
use crate::{
    config::{Budget, Config, Pool},
    periods::Period,
    teams::OverTime,
    time::Day,
};

type Pools = OverTime<BTreeMap<String, Pool>>;

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

/// Without the zeros at the end.
fn plain(amount: Usd) -> String {
    let text = amount.to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn instant(text: &str) -> Instant {
    Instant::parse(text, Tz::UTC).unwrap()
}

fn team(name: &str) -> Scope {
    Scope::Team(name.to_owned())
}

/// A row of a team's own.
fn row(bucket: &str, team: &'static str, cost: &str) -> SpendRow<'static> {
    SpendRow {
        bucket: instant(bucket),
        team: Some(team),
        key: None,
        model: "m",
        requests: 1,
        unpriced_requests: 0,
        estimated_requests: 0,
        cost: usd(cost),
        estimated_cost: Usd::ZERO,
        is_unlogged: false,
    }
}

/// Every budget of a config, as if it had always stood.
fn of_config(config: &Config) -> Vec<(Scope, Timeline)> {
    let organization = (Scope::Organization, &config.organization.budgets);
    let teams = config.teams.values().map(|team| (Scope::Team(team.name.clone()), &team.budgets));
    let mut timelines = Vec::new();
    for (scope, budgets) in std::iter::once(organization).chain(teams) {
        for (_, period) in Period::ALL {
            let of_period: Vec<_> = budgets.iter().filter(|budget| budget.period == period).cloned().collect();
            if !of_period.is_empty() {
                timelines.push((scope.clone(), Timeline::always(period, config.book.week_start, of_period)));
            }
        }
    }
    timelines
}

fn budgets_of(text: &str, scope: &Scope) -> Timeline {
    let config = Config::parse(text, Path::new("spendbook.toml")).unwrap();
    of_config(&config).into_iter().find(|(of, _)| of == scope).unwrap().1
}

fn no_pools() -> Pools {
    OverTime::always(BTreeMap::new())
}

/// The statement of the team `a`, at the instant up to which all is known.
fn statement_of(config: &str, rows: &[SpendRow<'static>], at: &str) -> Option<Statement> {
    let scope = team("a");
    let pools = no_pools();
    let ledger = Ledger::new(rows.to_vec(), &pools, instant(at), &[]);
    ledger.statement(&scope, &budgets_of(config, &scope), instant(at)).unwrap()
}

const DAILY: &str = "[teams.a]\n[[teams.a.budget]]\nperiod = \"day\"\namount_usd = \"10\"\n";

#[test]
fn two_thousand_five_hundred_times_four_tenths_of_a_cent_are_ten_dollars() {
    let mut rows = vec![row("2026-06-01T08:00:00Z", "a", "0.004"); 2_500];
    let reached = statement_of(DAILY, &rows, "2026-06-01T12:00:00Z").unwrap();
    assert_eq!((reached.spend, reached.percent(), reached.standing()), (usd("10"), 100, Standing::Reached));
    assert_eq!((reached.remaining(), reached.level()), (Some(Usd::ZERO), Some(100)));
    rows.push(row("2026-06-01T23:45:00Z", "a", "0.004"));
    let exceeded = statement_of(DAILY, &rows, "2026-06-01T12:00:00Z").unwrap();
    assert_eq!((exceeded.percent(), exceeded.standing()), (100, Standing::Exceeded));
    assert_eq!(exceeded.remaining(), Some(usd("-0.004")));
    rows.truncate(2_499);
    let within = statement_of(DAILY, &rows, "2026-06-01T12:00:00Z").unwrap();
    assert_eq!((within.percent(), within.standing(), within.level()), (99, Standing::Within, Some(95)));
}

#[test]
fn percentages_are_rounded_down() {
    for (part, whole, expect) in [
        ("0", "3", 0),
        ("1", "3", 33),
        ("2.999999999999", "3", 99),
        ("3", "3", 100),
        ("3.000000000001", "3", 100),
        ("3.03", "3", 101),
        ("-0.01", "3", -1),
        ("0", "0", 0),
        ("1", "0", i64::MAX),
        ("99999999999999999999999999", "0.000000000001", i64::MAX),
    ] {
        assert_eq!(percent(usd(part), usd(whole)), expect, "{part} of {whole}");
    }
}

#[test]
fn a_month_in_tokyo_begins_at_three_in_the_afternoon() {
    let config = "[book]\ntimezone = \"Asia/Tokyo\"\n[teams.a]\nmonthly_budget_usd = \"10\"\n";
    let rows = [row("2026-07-31T14:45:00Z", "a", "1"), row("2026-07-31T15:00:00Z", "a", "2")];
    let spend = |at: &str| {
        let statement = statement_of(config, &rows, at).unwrap();
        format!("{} {}", statement.period.name, plain(statement.spend))
    };
    assert_eq!(spend("2026-07-31T14:59:59.999999Z"), "2026-07 1");
    assert_eq!(spend("2026-07-31T15:00:00Z"), "2026-08 2");
}

fn amounts(timeline: &Timeline, at: &[&str]) -> Vec<String> {
    let amount = |at: &&str| {
        let Some((calendar, span)) = timeline.span_at(instant(at)) else { return "none".to_owned() };
        let amount = timeline.amount_in(calendar, &span).unwrap();
        format!("{} {} {}", span.name, plain(amount.amount), amount.from)
    };
    at.iter().map(amount).collect()
}

#[test]
fn a_dated_change_counts_by_days_and_is_rounded_once() {
    let config = r#"
        [teams.a]
        monthly_budget_usd = "200"
        [[teams.a.budget]]
        period = "month"
        amount_usd = "300"
        valid_from = "2026-11-11"
    "#;
    let months = amounts(
        &budgets_of(config, &team("a")),
        &["2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"],
    );
    // 10 of 30 days at 200, 20 at 300.
    let november = "2026-11 266.666666666667 2026-11-01T00:00:00Z";
    assert_eq!(months, ["2026-10 200 2026-10-01T00:00:00Z", november, november, "2026-12 300 2026-12-01T00:00:00Z"]);
}

#[test]
fn a_budget_that_begins_within_a_period_counts_from_its_first_day() {
    let config = r#"
        [teams.a]
        timezone = "America/New_York"
        [[teams.a.budget]]
        period = "month"
        amount_usd = "300"
        valid_from = "2026-11-16"
    "#;
    let timeline = budgets_of(config, &team("a"));
    let begins = "2026-11 150 2026-11-16T05:00:00Z";
    assert_eq!(amounts(&timeline, &["2026-11-16T04:59:59Z", "2026-11-16T05:00:00Z"]), ["none", begins]);
    let rows = [row("2026-11-16T04:45:00Z", "a", "100"), row("2026-11-16T05:00:00Z", "a", "30")];
    assert_eq!(statement_of(config, &rows, "2026-11-16T04:59:00Z"), None);
    let statement = statement_of(config, &rows, "2026-11-17T05:00:00Z").unwrap();
    assert_eq!((statement.spend, statement.percent()), (usd("30"), 20));
    assert_eq!(statement.burn_per_day, Some(usd("30")));
}

fn monthly(amount: &str, valid_from: Option<&str>) -> Budget {
    Budget {
        period: Period::Month,
        amount: usd(amount),
        timezone: Tz::UTC,
        thresholds: vec![50, 100],
        valid_from: valid_from.map(|day| Day::parse(day).unwrap()),
        rollover: false,
        rollover_cap: None,
    }
}

#[test]
fn an_undated_change_holds_for_the_open_period_and_a_closed_one_keeps_its_own() {
    let mut timeline = Timeline::always(Period::Month, Weekday::Mon, vec![monthly("100", None)]);
    let mut observe = |now: &str, budgets: &[Budget]| {
        timeline.observe(instant(now), budgets.to_vec()).map(|since| since.to_string()).unwrap_or_default()
    };
    let dated = monthly("400", Some("2026-07-16"));
    assert_eq!(observe("2026-05-20T00:00:00Z", &[monthly("100", None)]), "");
    assert_eq!(observe("2026-06-20T00:00:00Z", &[monthly("200", None)]), "2026-06-01T00:00:00Z");
    // A date in the past is meant.
    assert_eq!(observe("2026-09-10T00:00:00Z", &[monthly("200", None), dated]), "2026-09-01T00:00:00Z");
    // And one that is taken out again has stood as long as it was there.
    assert_eq!(observe("2026-10-10T00:00:00Z", &[monthly("250", None)]), "2026-10-01T00:00:00Z");
    let in_month = |month: u32| amounts(&timeline, &[&format!("2026-{month:02}-20T00:00:00Z")]).remove(0);
    for (month, expect) in [
        (5, "100"),
        (6, "200"),
        // 15 of 31 days at 200, 16 at 400.
        (7, "303.225806451613"),
        (8, "400"),
        (9, "400"),
        (10, "250"),
        (11, "250"),
    ] {
        assert_eq!(in_month(month), format!("2026-{month:02} {expect} 2026-{month:02}-01T00:00:00Z"));
    }
}

#[test]
fn a_dated_budget_that_is_corrected_is_corrected_from_its_date() {
    let mut timeline = Timeline::always(Period::Month, Weekday::Mon, vec![monthly("100", Some("2026-02-01"))]);
    timeline.observe(instant("2026-04-10T00:00:00Z"), vec![monthly("120", Some("2026-02-01"))]);
    assert_eq!(
        amounts(&timeline, &["2026-01-10T00:00:00Z", "2026-02-10T00:00:00Z", "2026-04-10T00:00:00Z"]),
        ["none", "2026-02 120 2026-02-01T00:00:00Z", "2026-04 120 2026-04-01T00:00:00Z"]
    );
    // Removed: the open period and later have none.
    timeline.observe(instant("2026-05-10T00:00:00Z"), Vec::new());
    assert_eq!(
        amounts(&timeline, &["2026-04-30T00:00:00Z", "2026-05-01T00:00:00Z"]),
        ["2026-04 120 2026-04-01T00:00:00Z", "none"]
    );
}

#[test]
fn what_is_left_rolls_over_up_to_a_cap() {
    let config = |more: &str| {
        format!("[teams.a]\n[[teams.a.budget]]\nperiod = \"month\"\namount_usd = \"100\"\nrollover = true\n{more}")
    };
    let rows = [
        row("2026-01-20T00:00:00Z", "a", "70"),
        row("2026-02-10T00:00:00Z", "a", "125"),
        row("2026-03-10T00:00:00Z", "a", "200"),
        row("2026-04-10T00:00:00Z", "a", "0"),
    ];
    let check = |more: &str, expect: [&str; 7]| {
        for (month, expect) in expect.iter().enumerate() {
            let at = format!("2026-{:02}-15T00:00:00Z", month + 1);
            let statement = statement_of(&config(more), &rows, &at).unwrap();
            let shown = format!("{} {}", plain(statement.rolled_over), plain(statement.budget()));
            assert_eq!(&shown, expect, "{at} {more}");
        }
    };
    // Overspending is not carried; nothing more than a whole budget is.
    check("", ["0 100", "30 130", "5 105", "0 100", "100 200", "100 200", "100 200"]);
    check("rollover_cap_usd = \"20\"", ["0 100", "20 120", "0 100", "0 100", "20 120", "20 120", "20 120"]);
    check("rollover_cap_usd = \"150\"", ["0 100", "30 130", "5 105", "0 100", "100 200", "150 250", "150 250"]);
    let without = config("").replace("true", "false");
    assert_eq!(statement_of(&without, &rows, "2026-02-15T00:00:00Z").unwrap().rolled_over, Usd::ZERO);
}

#[test]
fn whether_a_period_takes_what_was_left_is_decided_as_it_begins() {
    let budget = |from: &str, amount: &str, rolls: bool| {
        let from = if from.is_empty() { String::new() } else { format!("valid_from = \"{from}\"\n") };
        format!("[[teams.a.budget]]\nperiod = \"month\"\namount_usd = \"{amount}\"\n{from}rollover = {rolls}\n")
    };
    let rows = [row("2026-01-20T00:00:00Z", "a", "70"), row("2026-02-20T00:00:00Z", "a", "90")];
    let rolled = |budgets: &[String], at: &str| {
        plain(statement_of(&format!("[teams.a]\n{}", budgets.concat()), &rows, at).unwrap().rolled_over)
    };
    // February begins with a budget that takes what January left, ends with one
    // that does not, and March begins with one that does again.
    let on_and_off = [budget("", "100", true), budget("2026-02-10", "100", false), budget("2026-03-01", "100", true)];
    assert_eq!(rolled(&on_and_off, "2026-02-09T00:00:00Z"), "30");
    assert_eq!(rolled(&on_and_off, "2026-02-20T00:00:00Z"), "30");
    assert_eq!(rolled(&on_and_off, "2026-03-20T00:00:00Z"), "40");
    // The other way round, February takes nothing, also when March asks.
    let off_and_on = [budget("", "100", false), budget("2026-02-10", "100", true)];
    assert_eq!(rolled(&off_and_on, "2026-02-20T00:00:00Z"), "0");
    assert_eq!(rolled(&off_and_on, "2026-03-20T00:00:00Z"), "10");
}

#[test]
fn spend_is_needed_since_ever_where_something_may_have_rolled_over() {
    let scope = team("a");
    let month = "period = \"month\"\namount_usd = \"100\"\n";
    let of = |budgets: &str| budgets_of(&format!("[teams.a]\n{budgets}"), &scope);
    let plain = of(&format!("[[teams.a.budget]]\n{month}valid_from = \"2026-02-10\"\n"));
    let needed = |timeline: &Timeline, at: &str, weeks: i32| timeline.first_needed(instant(at), weeks);
    assert_eq!(needed(&plain, "2026-02-09T23:59:59Z", 0), None);
    assert_eq!(needed(&plain, "2026-02-10T00:00:00Z", 0), Some(instant("2026-02-01T00:00:00Z")));
    assert_eq!(needed(&plain, "2026-06-20T00:00:00Z", WEEKS_BACK), Some(instant("2026-04-06T00:00:00Z")));
    let rolled = of(&format!(
        "[[teams.a.budget]]\n{month}rollover = true\n[[teams.a.budget]]\n{month}valid_from = \"2026-06-10\"\n"
    ));
    assert_eq!(needed(&rolled, "2026-06-20T00:00:00Z", WEEKS_BACK), Some(Instant::EARLIEST));
}

#[test]
fn a_team_has_left_what_it_did_not_spend_since_anybody_spent() {
    let config = "[teams.a]\n[[teams.a.budget]]\nperiod = \"month\"\namount_usd = \"100\"\nrollover = true\n";
    let (other, own) = (row("2026-01-20T00:00:00Z", "b", "1"), row("2026-02-20T00:00:00Z", "a", "150"));
    let (scope, pools, at) = (team("a"), no_pools(), instant("2026-03-15T00:00:00Z"));
    let timeline = budgets_of(config, &scope);
    let rolled = |rows: &[SpendRow<'static>], first: &SpendRow<'_>| {
        let ledger = Ledger::new(rows.to_vec(), &pools, at, &[]).with_first(Some(first.bucket));
        ledger.statement(&scope, &timeline, at).unwrap().unwrap().rolled_over
    };
    assert_eq!(rolled(&[other, own], &other), usd("50"));
    assert_eq!(rolled(&[own], &other), usd("50"), "a ledger of the team alone");
    assert_eq!(rolled(&[own], &own), usd("0"));
}

fn pool(shares: &[(&str, i64)]) -> Pool {
    Pool { name: "p".to_owned(), shares: shares.iter().map(|(team, share)| ((*team).to_owned(), *share)).collect() }
}

#[test]
fn a_pool_is_divided_to_the_last_digit() {
    let thirds = pool(&[("a", 33_333_333), ("b", 33_333_333), ("c", 33_333_334)]);
    let divided = |total: &str| -> Vec<String> {
        divide(usd(total), &thirds).into_iter().map(|(team, part)| format!("{team} {}", plain(part))).collect()
    };
    assert_eq!(divided("100"), ["a 33.333333", "b 33.333333", "c 33.333334"]);
    assert_eq!(divided("0.000000000001"), ["a 0", "b 0", "c 0.000000000001"]);
    assert_eq!(divided("0.000000000002"), ["a 0.000000000001", "b 0", "c 0.000000000001"]);
    assert_eq!(divided("0"), ["a 0", "b 0", "c 0"]);
}

#[test]
fn the_part_of_a_pool_is_a_line_of_its_own() {
    let config = r#"
        [teams.a]
        monthly_budget_usd = "10"
        [teams.b]
        monthly_budget_usd = "10"
        [organization]
        monthly_budget_usd = "10"
    "#;
    let at = |pools: &[(Option<&str>, i64)]| {
        let value = |a: i64| BTreeMap::from([("p".to_owned(), pool(&[("a", a), ("b", Pool::WHOLE - a)]))]);
        OverTime::of(pools.iter().map(|(since, a)| (since.map(instant), value(*a))).collect())
    };
    let mut unlogged = row("2026-11-02T00:00:00Z", "a", "0.25");
    unlogged.is_unlogged = true;
    let rows = vec![
        row("2026-10-31T23:45:00Z", "shared:p", "100"),
        row("2026-11-01T00:00:00Z", "shared:p", "0.5"),
        row("2026-11-03T00:00:00Z", "shared:p", "0.500000000001"),
        row("2026-11-03T00:00:00Z", "a", "2"),
        row("2026-11-03T00:00:00Z", "shared:other", "7"),
        unlogged,
    ];
    let check = |scope: &Scope, pools: &Pools, expect: &str| {
        let ledger = Ledger::new(rows.clone(), pools, instant("2026-11-20T00:00:00Z"), &[]);
        let statement =
            ledger.statement(scope, &budgets_of(config, scope), instant("2026-11-20T00:00:00Z")).unwrap().unwrap();
        let Lines { own, shared, unlogged, .. } = &statement.lines;
        let shared: Vec<_> = shared.iter().map(|(name, part)| format!("{name} {}", plain(*part))).collect();
        let shown = format!("{} {shared:?} {} {}", plain(*own), plain(*unlogged), plain(statement.spend));
        assert_eq!(shown, expect, "{scope}");
    };
    let always = at(&[(None, 60_000_000)]);
    check(&team("a"), &always, r#"2 ["p 0.600000000001"] 0.25 2.850000000001"#);
    check(&team("b"), &always, r#"0 ["p 0.4"] 0 0.4"#);
    check(&Scope::Organization, &always, "10.000000000001 [] 0.25 10.250000000001");
    // Shares that changed in this period hold for all of it, later ones do not.
    let changed =
        at(&[(None, 60_000_000), (Some("2026-11-19T00:00:00Z"), 50_000_000), (Some("2026-12-01T00:00:00Z"), 1)]);
    check(&team("b"), &changed, r#"0 ["p 0.5"] 0 0.5"#);
}

#[test]
fn scopes_see_what_is_theirs() {
    let pools = no_pools();
    let keyed = |key, model, cost: &str| SpendRow { key, model, ..row("2026-11-02T00:00:00Z", "a", cost) };
    let nobody = SpendRow { team: None, ..row("2026-11-02T00:00:00Z", "a", "8") };
    let rows = vec![keyed(Some("k"), "m", "1"), keyed(None, "n", "2"), keyed(Some("l"), "m", "4"), nobody];
    let ledger = Ledger::new(rows, &pools, instant("2026-11-20T00:00:00Z"), &[]);
    let timeline = Timeline::always(Period::Month, Weekday::Mon, vec![monthly("100", None)]);
    for (scope, expect) in [
        (Scope::Organization, "15"),
        (team("a"), "7"),
        (team("b"), "0"),
        (Scope::Key("k".to_owned()), "1"),
        (Scope::Model("m".to_owned()), "13"),
    ] {
        let statement = ledger.statement(&scope, &timeline, instant("2026-11-20T00:00:00Z")).unwrap().unwrap();
        assert_eq!(plain(statement.spend), expect, "{scope}");
    }
}

#[test]
fn what_is_not_known_is_not_fine() {
    let unpriced = |unpriced_requests, cost: &str| SpendRow {
        requests: 100,
        unpriced_requests,
        ..row("2026-06-01T08:00:00Z", "a", cost)
    };
    let silence = |since: &str, of: &str| {
        let of = BTreeSet::from([team(of)]);
        [Silence { source: "gateway".to_owned(), since: instant(since), of }]
    };
    let check = |row: SpendRow<'static>, silent: &[Silence], standing: Standing, gap: &str| {
        let scope = team("a");
        let pools = no_pools();
        let ledger = Ledger::new(vec![row], &pools, instant("2026-06-01T12:00:00Z"), silent);
        let at = instant("2026-06-01T12:00:00Z");
        let statement = ledger.statement(&scope, &budgets_of(DAILY, &scope), at).unwrap().unwrap();
        let gaps: String = statement.gaps.iter().map(ToString::to_string).collect();
        assert_eq!((statement.standing(), gaps.as_str()), (standing, gap));
        assert_eq!(matches!(statement.forecast, Forecast::AtLeast(_)), !gap.is_empty());
    };
    check(unpriced(1, "1"), &[], Standing::Within, "");
    check(unpriced(2, "1"), &[], Standing::Unknown, "2 of 100 requests have no price");
    check(unpriced(2, "10"), &[], Standing::Reached, "2 of 100 requests have no price");
    let silent = "nothing from the source `gateway` since 2026-05-30T00:00:00Z";
    check(unpriced(0, "1"), &silence("2026-05-30T00:00:00Z", "a"), Standing::Unknown, silent);
    check(unpriced(0, "1"), &silence("2026-05-30T00:00:00Z", "b"), Standing::Within, "");
    check(unpriced(0, "1"), &silence("2026-06-02T00:00:00Z", "a"), Standing::Within, "");
}

#[test]
fn a_day_that_is_not_priced_is_not_known() {
    let scope = team("a");
    let pools = no_pools();
    let at = instant("2026-06-01T12:00:00Z");
    for (stale, expect) in [(&["2026-05-31", "2026-06-02"][..], ""), (&["2026-06-01"], "a day of it is not priced")] {
        let stale = stale.iter().map(|day| Day::parse(day).unwrap());
        let ledger = Ledger::new(vec![row("2026-06-01T08:00:00Z", "a", "1")], &pools, at, &[]).with_stale(stale);
        let statement = ledger.statement(&scope, &budgets_of(DAILY, &scope), at).unwrap().unwrap();
        let gaps: String = statement.gaps.iter().map(ToString::to_string).collect();
        assert_eq!((gaps.as_str(), statement.standing() == Standing::Unknown), (expect, !expect.is_empty()));
    }
}

#[test]
fn a_sum_that_does_not_fit_names_its_place() {
    let most = row("2026-06-01T08:00:00Z", "a", "99999999999999999999999999");
    let scope = team("a");
    let pools = no_pools();
    let ledger = Ledger::new(vec![most; 2], &pools, instant("2026-06-01T12:00:00Z"), &[]);
    let error = ledger.statement(&scope, &budgets_of(DAILY, &scope), instant("2026-06-01T12:00:00Z")).unwrap_err();
    assert!(error.to_string().starts_with("the spend of the team `a` in the period `2026-06-01` has more than 26"));
}

proptest! {
    #[test]
    fn parts_of_a_pool_sum_to_it(total in -10_i128.pow(30)..10_i128.pow(30), first in 1..Pool::WHOLE - 1, second in 0..Pool::WHOLE) {
        let second = 1 + second % (Pool::WHOLE - first - 1);
        let shares = [("a", first), ("b", second), ("c", Pool::WHOLE - first - second)];
        let total = Usd::from_pico(total).unwrap();
        let pool = pool(&shares);
        let divided = divide(total, &pool);
        prop_assert_eq!(divided.values().map(|part| part.pico()).sum::<i128>(), total.pico());
        for (team, share) in shares {
            let exact_times_whole = total.pico() * i128::from(share);
            let off = divided[team].pico() * i128::from(Pool::WHOLE) - exact_times_whole;
            prop_assert!(off.abs() < i128::from(Pool::WHOLE), "{} is off by more than the last digit", team);
        }
    }

    /// Every charge is in the budget period of its team's zone, once.
    #[test]
    fn periods_sum_to_all_there_is(
        zone in prop::sample::select(&chrono_tz::TZ_VARIANTS[..]),
        kind in prop::sample::select(Period::ALL.map(|(_, kind)| kind).to_vec()),
        costs in prop::collection::vec((0_i64..20_000, 0_i128..10_i128.pow(15)), 1..40),
    ) {
        let begin = instant("2026-03-01T00:00:00Z");
        let rows: Vec<_> = costs.iter().map(|&(quarter_hours, cost)| {
            let bucket = begin.plus_micros(quarter_hours * 900_000_000);
            SpendRow { bucket, cost: Usd::from_pico(cost).unwrap(), ..row("2026-03-01T00:00:00Z", "a", "0") }
        }).collect();
        let pools = no_pools();
        let end = begin.plus_micros(20_000 * 900_000_000);
        let ledger = Ledger::new(rows, &pools, end, &[]);
        let budget = Budget { period: kind, timezone: zone, ..monthly("1", None) };
        let timeline = Timeline::always(kind, Weekday::Sun, vec![budget]);
        let (mut at, mut sum) = (begin, 0);
        while at < end {
            let (_, span) = timeline.span_at(at).unwrap();
            sum += ledger.lines(&team("a"), &span, span.from).unwrap().total().unwrap().pico();
            at = span.until;
        }
        prop_assert_eq!(sum, costs.iter().map(|(_, cost)| cost).sum::<i128>());
    }
}
