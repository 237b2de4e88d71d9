//! What the end of a period will be, beside histories whose end is known.

use super::*;

#[test]
fn a_daily_budget_is_projected_to_midnight() {
    let rows: Vec<_> = (0..12).map(|hour| row(&format!("2026-06-01T{hour:02}:30:00Z"), "a", "0.5")).collect();
    let statement = statement_of(DAILY, &rows, "2026-06-01T12:00:00Z").unwrap();
    assert_eq!(statement.period.until, instant("2026-06-02T00:00:00Z"));
    assert_eq!(statement.burn_per_day, Some(usd("12")));
    let Forecast::Known(projection) = statement.forecast else { panic!("{:?}", statement.forecast) };
    assert_eq!((projection.spend, projection.method), (usd("12"), Method::Pace));
    assert_eq!(projection.reaches_at, Some(instant("2026-06-01T20:00:00Z")));
    assert_eq!(projection.low, usd("6"), "one half day says little");
    assert!(projection.high > usd("18"));
}

/// Weeks of 10 dollars from Monday to Friday at noon, from 2026-09-07 on, a
/// Monday, up to a day.
fn working_weeks(until: &str, times: impl Fn(&str) -> &'static str) -> Vec<SpendRow<'static>> {
    let (mut day, until) = (Day::parse("2026-09-07").unwrap(), Day::parse(until).unwrap());
    let mut rows = Vec::new();
    while day < until {
        if (day.days() - Day::parse("2026-09-07").unwrap().days()) % 7 < 5 {
            let day = day.to_string();
            rows.push(row(&format!("{day}T12:00:00Z"), "a", times(&day)));
        }
        day = day.next();
    }
    rows
}

const MONTHLY: &str = "[teams.a]\nmonthly_budget_usd = \"200\"\n";

fn projected(rows: &[SpendRow<'static>], at: &str) -> Projection {
    match statement_of(MONTHLY, rows, at).unwrap().forecast {
        Forecast::Known(projection) => projection,
        other => panic!("{other:?}"),
    }
}

#[test]
fn past_weeks_say_that_nobody_works_on_sunday() {
    // November 2026 has 21 working days; 10 of them are over at the end of the 13th, a Friday.
    let rows = working_weeks("2026-11-14", |_| "10");
    for at in ["2026-11-14T00:00:00Z", "2026-11-15T00:00:00Z", "2026-11-16T00:00:00Z"] {
        let projection = projected(&rows, at);
        assert_eq!((projection.spend, projection.method), (usd("210"), Method::Weeks(7)), "{at}");
        assert_eq!((projection.low, projection.high), (usd("210"), usd("210")), "no day ever differed");
        // The twentieth working day, in the quarter of an hour in which an hour's spend passes the budget.
        let reaches_at = projection.reaches_at.unwrap();
        assert!(reaches_at > instant("2026-11-27T12:00:00Z") && reaches_at <= instant("2026-11-27T13:00:00Z"), "{at}");
    }
    // Without past weeks, a weekend counts as much as any day.
    let alone: Vec<_> = rows.into_iter().filter(|row| row.bucket >= instant("2026-11-01T00:00:00Z")).collect();
    let projection = projected(&alone, "2026-11-16T00:00:00Z");
    assert_eq!((projection.spend, projection.method), (usd("200"), Method::Pace));
    assert!(projection.low < usd("200") && usd("200") < projection.high);
}

#[test]
fn this_period_weighs_more_the_more_of_it_is_known() {
    let rows = working_weeks("2026-11-28", |day| if day < "2026-11" { "10" } else { "20" });
    let spend = |at: &str| {
        let known: Vec<_> = rows.iter().copied().filter(|row| row.bucket < instant(at)).collect();
        projected(&known, at).spend
    };
    let forecasts =
        ["2026-11-01T00:00:00Z", "2026-11-04T00:00:00Z", "2026-11-14T00:00:00Z", "2026-11-28T00:00:00Z"].map(spend);
    assert_eq!(forecasts[0], usd("210"), "nothing but the past");
    assert!(forecasts.is_sorted(), "{forecasts:?}");
    assert!(forecasts[2] > usd("390") && forecasts[3] > usd("415") && forecasts[3] < usd("420"), "{forecasts:?}");
}

#[test]
fn days_that_differ_widen_the_range_and_time_narrows_it() {
    let uneven = |day: &str| if day.as_bytes()[9].is_multiple_of(2) { "5" } else { "15" };
    let rows = working_weeks("2026-11-28", uneven);
    let width = |at: &str| {
        let known: Vec<_> = rows.iter().copied().filter(|row| row.bucket < instant(at)).collect();
        let projection = projected(&known, at);
        assert!(projection.low <= projection.spend && projection.spend <= projection.high, "{at}");
        projection.high.checked_sub(projection.low).unwrap()
    };
    let widths =
        ["2026-11-02T00:00:00Z", "2026-11-10T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-28T00:00:00Z"].map(width);
    assert!(widths.iter().rev().is_sorted() && widths[0] > widths[3], "{widths:?}");
}

#[test]
fn thin_data_give_no_forecast_and_a_closed_period_needs_none() {
    let rows = [row("2026-11-01T00:00:00Z", "a", "1")];
    let forecast = |at: &str| statement_of(MONTHLY, &rows, at).unwrap().forecast;
    assert_eq!(forecast("2026-11-02T11:59:00Z"), Forecast::Unknown(Unforeseen::TooEarly));
    assert!(matches!(forecast("2026-11-02T12:00:00Z"), Forecast::Known(_)));
    let scope = team("a");
    let pools = no_pools();
    let ledger = Ledger::new(rows.to_vec(), &pools, instant("2026-12-01T00:00:00Z"), &[]);
    let closed = ledger.statement(&scope, &budgets_of(MONTHLY, &scope), instant("2026-11-15T00:00:00Z"));
    let one = usd("1");
    let over = Projection { spend: one, low: one, high: one, method: Method::Over, reaches_at: None };
    assert_eq!(closed.unwrap().unwrap().forecast, Forecast::Known(over));
    // Nothing has been seen of a period that is still to come.
    let ahead = ledger.statement(&scope, &budgets_of(MONTHLY, &scope), instant("2027-01-15T00:00:00Z"));
    let ahead = ahead.unwrap().unwrap();
    assert_eq!((ahead.burn_per_day, ahead.forecast), (None, Forecast::Unknown(Unforeseen::TooEarly)));
}

#[test]
fn a_day_on_which_nothing_was_ever_spent_is_projected_by_its_own_pace() {
    let mut rows = working_weeks("2026-11-14", |_| "10");
    rows.push(row("2026-11-15T06:00:00Z", "a", "3"));
    let sunday = statement_of(DAILY, &rows, "2026-11-15T12:00:00Z").unwrap();
    let Forecast::Known(projection) = sunday.forecast else { panic!("{:?}", sunday.forecast) };
    assert_eq!((projection.spend, projection.method), (usd("6"), Method::Pace));
}

#[test]
fn a_new_team_has_no_weeks_before_it_began() {
    let others = row("2026-09-01T00:00:00Z", "b", "10");
    let since = |day: &str| {
        let own = working_weeks("2026-11-14", |_| "10").into_iter().filter(|row| row.bucket >= instant(day));
        let rows: Vec<_> = own.chain([others]).collect();
        projected(&rows, "2026-11-14T00:00:00Z").method
    };
    assert_eq!(since("2026-10-20T00:00:00Z"), Method::Pace);
    assert_eq!(since("2026-10-17T00:00:00Z"), Method::Pace, "its first day is the 19th");
    assert_eq!(since("2026-10-16T00:00:00Z"), Method::Weeks(2));
    assert_eq!(since("2026-09-01T00:00:00Z"), Method::Weeks(7));
}
