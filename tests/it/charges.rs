//! Charges and their totals: every amount, when a day is made again, and what
//! a correction changes.

use std::collections::BTreeSet;

use proptest::prelude::*;
use spendbook::{
    book::layout::DayTable,
    charges::{Cause, Options},
    pricing::{Ask, Basis, Request},
    record::{AMOUNTS, METERS, Meter, Quantities, Status},
    time::{Day, Instant},
};

use crate::priced::{Row, Workspace, at, day};
use Meter::{AudioMs, CachedInputTokens, Images, InputTokens, OutputTokens};

const NOW: &str = "2026-12-01";

/// Prices of every shape: changes within a day, ends, returns, corrections,
/// contracts, fallbacks, tiers, least quantities, and what does not divide.
const RICH: [&str; 21] = [
    "groq,m,*,input_tokens,0.59,1M,,2026-01-01,,2026-01-01,list,,",
    "groq,m,*,output_tokens,0.79,1M,,2026-01-01,,2026-01-01,list,,",
    "groq,m,*,cached_input_tokens,0.295,1M,,2026-01-01,,2026-01-01,list,,",
    "groq,m,*,input_tokens,0.61,1M,,2026-06-01T08:00:00Z,,2026-06-01T08:00:00Z,list,,",
    "groq,m,*,input_tokens,0.37,1M,,2026-06-01T16:00:00Z,,2026-06-01T16:00:00Z,list,,",
    "groq,m,*,input_tokens,0.3333333,1k,,2026-06-01T09:00:00Z,2026-06-01T11:00:00Z,2026-06-05,list,,",
    "groq,m,batch,input_tokens,0.295,1M,,2026-01-01,,2026-01-01,list,,",
    "groq,m,batch,output_tokens,0.395,1M,,2026-01-01,,2026-01-01,list,,",
    "groq,m,*,output_tokens,0.5,1M,,2026-06-01T12:00:00Z,,2026-06-01T12:00:00Z,contract,,",
    "groq,w,*,audio_ms,0.111,1h,10s,2026-01-01,,2026-01-01,list,,",
    "groq,w,*,audio_ms,0.04,1h,10s,2026-06-02,,2026-06-02,list,,",
    "groq,t,*,characters,50,1M,,2026-01-01,,2026-01-01,list,,",
    "groq,t,*,characters,,,,2026-06-01T10:00:00Z,,2026-06-01,list,,",
    "groq,t,*,characters,22,1M,,2026-06-02T10:00:00Z,,2026-06-02,list,,",
    "groq,tools,*,web_searches,5,1k,,2026-01-01,,2026-01-01,list,,",
    "groq,tools,*,code_ms,0.18,1h,,2026-01-01,,2026-01-01,list,,",
    "groq,tools,*,input_tokens,0.15,1M,,2026-01-01,,2026-01-01,list,,",
    "groq,tools,*,cache_write_5m_tokens,0.1875,1M,,2026-01-01,,2026-01-01,list,,",
    "groq,tools,*,images,0.004,1,,2026-06-01T06:00:00Z,,2026-06-01,contract,,",
    "groq,*,*,input_tokens,0.10,1M,,2020-01-01,,2020-01-01,fallback,,",
    "groq,*,*,output_tokens,0.10,1M,,2020-01-01,,2020-01-01,fallback,,",
];

fn rich() -> Workspace {
    let mut workspace = Workspace::new(&RICH);
    workspace.add_alias("groq,alias,m,2026-01-01,2026-06-01T20:00:00Z,2026-01-01,,");
    workspace.add_config(
        "[pools.shared]\nchat = 50\nsearch = 50\n\
         [[key]]\nname = \"chat-prod\"\nteam = \"search\"\nvalid_from = \"2026-06-01T13:00:00Z\"\n\
         [[key]]\nname = \"pooled\"\npool = \"shared\"\nenvironment = \"prod\"\n",
    );
    workspace
}

/// What each row of a day must be charged, row by row, in integers.
fn check_day(workspace: &Workspace, day: Day, rows: &[Row], known_on: Instant) {
    let prices = workspace.price_book();
    let charges = workspace.read(DayTable::Charges, day);
    assert_eq!(charges.rows(), rows.len());
    for (at, row) in rows.iter().enumerate() {
        let ask = Ask { provider: "groq", model: &row.model, tier: row.tier.as_deref() };
        let stretch = prices.stretches(ask, row.ts, row.ts.plus_micros(1), known_on).remove(0);
        let request = Request { quantities: &row.quantities, status: row.status, gateway_cache: row.gateway_cache };
        let expect = stretch.charge(&request).unwrap();
        let amounts = [
            expect.input_cost,
            expect.cached_input_cost,
            expect.cache_write_cost,
            expect.output_cost,
            expect.other_cost,
            expect.cost,
            expect.list_cost,
            expect.cache_savings,
            expect.batch_savings,
        ];
        for (column, amount) in AMOUNTS.iter().zip(amounts) {
            assert_eq!(charges.pico(column, at), amount.map(spendbook::money::Usd::pico), "{column} of {row:?}");
        }
        assert_eq!(charges.text("basis", at), Some(expect.basis.name()), "{row:?}");
        assert_eq!(charges.text("reason", at), expect.reason.as_deref(), "{row:?}");
        assert_eq!(charges.text("price_id", at), expect.price_id.as_deref(), "{row:?}");
        assert_eq!(charges.text("model_billed", at), Some(stretch.model_billed), "{row:?}");
        assert_eq!(charges.text("model", at), Some(row.model.as_str()));
        assert_eq!(charges.number("ts", at), Some(row.ts.micros()));
        for info in &METERS {
            assert_eq!(charges.number(info.column, at), row.quantities[info.meter], "{row:?}");
        }
    }
}

/// Sum of rows = sum of rollup, in all and by whatever a report groups by.
fn check_sums(workspace: &Workspace, day: Day) {
    let charges = workspace.read(DayTable::Charges, day);
    let rollup = workspace.read(DayTable::Rollup, day);
    for column in ["team", "environment", "purpose", "key", "model", "model_billed", "tier", "basis", "operation"] {
        assert_eq!(charges.sums_by(column), rollup.sums_by(column), "by {column}");
    }
    assert_eq!(charges.sums_by_quarter("ts"), rollup.sums_by_quarter("bucket_start"));
    let count = |table: &crate::priced::Table, column: &str| -> i64 {
        (0..table.rows()).filter_map(|row| table.number(column, row)).sum()
    };
    for info in &METERS {
        assert_eq!(count(&charges, info.column), count(&rollup, info.column), "{}", info.column);
    }
    let of = |wanted: Basis| {
        let rows = (0..charges.rows()).filter(|&row| charges.text("basis", row) == Some(wanted.name()));
        i64::try_from(rows.count()).unwrap()
    };
    let errors = (0..charges.rows()).filter(|&row| charges.text("status", row) == Some("error")).count();
    assert_eq!(count(&rollup, "requests"), i64::try_from(charges.rows()).unwrap());
    assert_eq!(count(&rollup, "errors"), i64::try_from(errors).unwrap());
    assert_eq!(count(&rollup, "unpriced_requests"), of(Basis::Unpriced));
    assert_eq!(count(&rollup, "estimated_requests"), of(Basis::Fallback));
    let mut keys = BTreeSet::new();
    for row in 0..rollup.rows() {
        let start = rollup.number("bucket_start", row).unwrap();
        assert_eq!(start % (15 * 60 * 1_000_000), 0);
        assert_eq!(Instant::from_micros(start).day(), day);
        let names = ["team", "environment", "purpose", "key", "provider", "model", "model_billed", "tier", "basis"];
        let names = names.map(|name| rollup.text(name, row).map(str::to_owned));
        assert!(keys.insert((start, names)), "two rows of one group");
    }
}

fn quantity() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(0)),
        6 => (1_i64..100_000).prop_map(Some),
        1 => (1_i64..1 << 52).prop_map(Some),
    ]
}

fn pick(of: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    proptest::sample::select(of).prop_map(|text| (!text.is_empty()).then(|| text.to_owned()))
}

fn row() -> impl Strategy<Value = Row> {
    let micros = prop_oneof![
        0_i64..86_400_000_000,
        // Close to where prices change.
        (0_i64..24, -2_i64..3).prop_map(|(hour, off)| (hour * 3_600_000_000 + off).clamp(0, 86_399_999_999)),
    ];
    let model = proptest::sample::select(vec!["m", "w", "t", "tools", "alias", "unknown", "a \"b\", 😀"]);
    let status = proptest::sample::select(Status::ALL);
    let names = (
        pick(&["", "", "batch", "flex", "on_demand"]),
        pick(&["", "chat-prod", "pooled", "search-dev-x", "fp_0123456789ab"]),
        pick(&["", "search", "nobody"]),
    );
    let quantities = proptest::array::uniform12(quantity());
    (micros, model, names, status, prop::bool::weighted(0.1), quantities).prop_map(
        |(micros, model, (tier, key, team_reported), status, gateway_cache, quantities)| Row {
            ts: at("2026-06-01").plus_micros(micros),
            model: model.to_owned(),
            tier,
            key,
            team_reported,
            status,
            gateway_cache,
            quantities: Quantities(quantities),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_equals_the_calculation_in_integers(
        mut rows in proptest::collection::vec(row(), 0..80),
        group in 1_usize..50,
    ) {
        rows.sort_by_key(|row| row.ts);
        let workspace = rich();
        workspace.put_groups(day("2026-06-01"), &rows, group);
        let done = workspace.price(NOW);
        prop_assert!(done.failed.is_empty(), "{:?}", done.failed);
        check_day(&workspace, day("2026-06-01"), &rows, at(NOW));
        check_sums(&workspace, day("2026-06-01"));
    }
}

/// The costs of a day, as text: `0.000590000000`, or `?`.
fn costs(workspace: &Workspace, of: &str) -> Vec<String> {
    let charges = workspace.read(DayTable::Charges, day(of));
    let text = |pico: i128| spendbook::money::Usd::from_pico(pico).unwrap().to_string();
    (0..charges.rows()).map(|row| charges.pico("cost", row).map_or("?".to_owned(), text)).collect()
}

#[test]
fn a_price_changes_to_the_microsecond_twice_in_a_day() {
    let workspace = rich();
    let of = |ts: &str| Row::new(ts, "m", &[(InputTokens, 1_000_000)]);
    let rows = [
        of("2026-06-01T00:00:00Z"),
        of("2026-06-01T07:59:59.999999Z"),
        of("2026-06-01T08:00:00Z"),
        of("2026-06-01T15:59:59.999999Z"),
        of("2026-06-01T16:00:00Z"),
        of("2026-06-01T23:59:59.999999Z"),
    ];
    workspace.put(day("2026-06-01"), &rows);
    workspace.price("2026-06-02");
    assert_eq!(costs(&workspace, "2026-06-01"), ["0.59", "0.59", "0.61", "0.61", "0.37", "0.37"].map(padded));
}

fn padded(text: &str) -> String {
    spendbook::money::Usd::parse(text).unwrap().to_string()
}

#[test]
fn a_price_can_end_and_return() {
    let mut workspace = Workspace::new(&RICH[11..14]);
    let of = |ts: &str| Row::new(ts, "t", &[(Meter::Characters, 1_000_000)]);
    workspace.put(day("2026-06-01"), &[of("2026-06-01T09:59:59.999999Z"), of("2026-06-01T10:00:00Z")]);
    workspace.put(day("2026-06-02"), &[of("2026-06-02T09:59:59.999999Z"), of("2026-06-02T10:00:00Z")]);
    let done = workspace.price(NOW);
    assert_eq!(costs(&workspace, "2026-06-01"), ["50.000000000000", "?"]);
    assert_eq!(costs(&workspace, "2026-06-02"), ["?", "22.000000000000"]);
    assert_eq!((done.totals.requests, done.totals.unpriced), (4, 2));
    let rollup = workspace.read(DayTable::Rollup, day("2026-06-02"));
    assert_eq!(rollup.pico("cost", 0), None, "what is not known is not 0");
    // With a policy for what is unknown, the hole becomes an estimate.
    workspace.add_price("groq,*,*,characters,10,1M,,2020-01-01,,2020-01-01,fallback,,");
    let done = workspace.price(NOW);
    assert_eq!(costs(&workspace, "2026-06-01"), ["50.000000000000", "10.000000000000"]);
    assert_eq!((done.totals.estimated, done.totals.estimated_cost().to_string()), (2, padded("20")));
}

#[test]
fn known_answers() {
    let workspace = Workspace::new(&[
        "groq,gemini,*,input_tokens,1.25,1M,,2026-01-01,,2026-01-01,list,,",
        "groq,gemini,*,cached_input_tokens,0.625,1M,,2026-01-01,,2026-01-01,list,,",
        "groq,gemini,*,output_tokens,10,1M,,2026-01-01,,2026-01-01,list,,",
        "groq,whisper,*,audio_ms,0.111,1h,10s,2026-01-01,,2026-01-01,list,,",
        "groq,small,*,images,0.004,1,,2026-01-01,,2026-01-01,list,,",
    ]);
    let mut cached = Row::new("2026-06-01T02:00:00Z", "gemini", &[(InputTokens, 5_000), (OutputTokens, 7)]);
    cached.gateway_cache = true;
    let rows = [
        Row::new(
            "2026-06-01T01:00:00Z",
            "gemini",
            &[(InputTokens, 5_005), (CachedInputTokens, 257_955), (OutputTokens, 1_744)],
        ),
        cached,
        Row::new("2026-06-01T03:00:00Z", "whisper", &[(AudioMs, 4_000)]),
        Row::new("2026-06-01T04:00:00Z", "small", &[(Images, 1)]),
        Row::new("2026-06-01T05:00:00Z", "nobody's", &[(InputTokens, 37_400_000)]),
    ];
    workspace.put(day("2026-06-01"), &rows);
    let done = workspace.price(NOW);
    assert_eq!(
        costs(&workspace, "2026-06-01"),
        ["0.184918125000", "0.000000000000", "0.000308333333", "0.004000000000", "?"]
    );
    assert_eq!((done.totals.free, done.totals.unpriced), (1, 1));
    // 2,500 times $0.004 is $10, exactly.
    let many: Vec<Row> = (0..2_500).map(|_| Row::new("2026-06-02", "small", &[(Images, 1)])).collect();
    workspace.put_groups(day("2026-06-02"), &many, 300);
    assert_eq!(workspace.price(NOW).totals.cost().to_string(), "10.000000000000");
}

#[test]
fn who_pays_is_decided_at_the_instant_of_the_request() {
    let workspace = rich();
    let of = |ts: &str, key: &str| Row::new(ts, "m", &[(InputTokens, 1)]).key(key);
    let mut reported = Row::new("2026-06-01T14:00:00Z", "m", &[(InputTokens, 1)]);
    reported.team_reported = Some("search".to_owned());
    let rows = [
        of("2026-06-01T12:59:59.999999Z", "chat-prod"),
        of("2026-06-01T13:00:00Z", "chat-prod"),
        of("2026-06-01T13:00:00Z", "pooled"),
        of("2026-06-01T13:00:00Z", "chat-prod-nightly"),
        reported,
        of("2026-06-01T15:00:00Z", "someone"),
    ];
    workspace.put(day("2026-06-01"), &rows);
    workspace.price(NOW);
    let charges = workspace.read(DayTable::Charges, day("2026-06-01"));
    let shown: Vec<String> = (0..charges.rows())
        .map(|row| {
            let cells = ["team", "environment", "purpose", "team_basis"].map(|name| charges.text(name, row));
            cells.map(|cell| cell.unwrap_or("-")).join(" ")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "chat prod - convention",
            "search - - registry",
            "shared:shared prod - registry",
            "chat prod nightly convention",
            "search - - reported",
            "- - - none",
        ]
    );
}

#[test]
fn an_empty_day_and_a_day_of_one_row() {
    let workspace = rich();
    workspace.put(day("2026-06-01"), &[]);
    workspace.put(day("2026-06-02"), &[Row::new("2026-06-02", "m", &[(InputTokens, 3)])]);
    let done = workspace.price(NOW);
    assert_eq!(done.priced.len(), 2);
    assert!(done.failed.is_empty(), "{:?}", done.failed);
    for (of, rows) in [("2026-06-01", 0), ("2026-06-02", 1)] {
        assert_eq!(workspace.read(DayTable::Charges, day(of)).rows(), rows);
        assert_eq!(workspace.read(DayTable::Rollup, day(of)).rows(), rows);
    }
    assert_eq!(workspace.price(NOW).unchanged, 2);
}

#[test]
fn names_are_kept_to_the_letter() {
    let name = "we\"ird, 'model' 😀\nname";
    let quoted = format!("groq,\"{}\",*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,", name.replace('"', "\"\""));
    let workspace = Workspace::new(&[&quoted]);
    let rows = [
        Row::new("2026-06-01T01:00:00Z", name, &[(InputTokens, 7)]).key("ключ, \"🔑\""),
        Row::new("2026-06-01T01:00:00Z", "we", &[(InputTokens, 7)]).tier("on_demand"),
        Row::new("2026-06-01T01:00:00Z", "", &[(InputTokens, 7)]).tier(""),
    ];
    workspace.put(day("2026-06-01"), &rows);
    workspace.price(NOW);
    check_day(&workspace, day("2026-06-01"), &rows, at(NOW));
    check_sums(&workspace, day("2026-06-01"));
    assert_eq!(costs(&workspace, "2026-06-01"), ["0.000007000000", "?", "?"]);
}

#[test]
fn what_cannot_be_priced_names_the_row_and_leaves_the_day_as_it_was() {
    let mut workspace = Workspace::new(&["groq,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,"]);
    let of = |quantity| Row::new("2026-06-01T01:00:00Z", "m", &[(InputTokens, quantity)]);
    workspace.put(day("2026-06-01"), &[of(1), of(5)]);
    workspace.put(day("2026-06-02"), &[of(1)].map(|row| Row { ts: at("2026-06-02"), ..row }));
    workspace.price(NOW);
    let before = workspace.bytes(DayTable::Charges, day("2026-06-01"));
    workspace.add_price("groq,m,*,input_tokens,999999999,1,,2026-06-01,,2026-06-10,list,,yes");
    for (quantities, expect) in [
        (
            vec![1, 1, 1 << 60],
            "2026-06-01: request `req_0000000000000002` (logs/gateway.jsonl, line 3) cannot be priced: \
             the cost of `input_tokens` = `1152921504606846976` is more than a table can hold",
        ),
        (
            vec![1, -1],
            "2026-06-01: request `req_0000000000000001` (logs/gateway.jsonl, line 2) cannot be priced: \
             `input_tokens` is `-1`, expected 0 or more",
        ),
        (
            // Each fits, their sum does not.
            vec![500_000_000_000_000; 3],
            "2026-06-01: the sum of `input_cost` is more than a table can hold, look for a request with an absurd quantity",
        ),
        (
            vec![i64::MAX, 1],
            "2026-06-01: request `req_0000000000000000` (logs/gateway.jsonl, line 1) cannot be priced: \
             the cost of `input_tokens` = `9223372036854775807` is more than a table can hold",
        ),
    ] {
        let rows: Vec<Row> = quantities.into_iter().map(of).collect();
        workspace.put_groups(day("2026-06-01"), &rows, 1);
        let done = workspace.price(NOW);
        let failed: Vec<String> = done.failed.values().map(ToString::to_string).collect();
        assert_eq!(failed, [expect]);
        assert!(!done.priced.contains_key(&day("2026-06-01")));
        assert_eq!(workspace.bytes(DayTable::Charges, day("2026-06-01")), before);
    }
    // The other day was priced all the same.
    assert_eq!(costs(&workspace, "2026-06-02"), [padded("999999999")]);
}

#[test]
fn quantities_that_are_never_priced_may_not_add_up_to_nonsense_either() {
    let workspace = Workspace::new(&["groq,m,*,images,1,1M,,2026-01-01,,2026-01-01,list,,"]);
    let rows = [0, 1].map(|_| Row::new("2026-06-01", "m", &[(InputTokens, i64::MAX)]));
    workspace.put_groups(day("2026-06-01"), &rows, 1);
    let done = workspace.price(NOW);
    let failed: Vec<String> = done.failed.values().map(ToString::to_string).collect();
    assert_eq!(
        failed,
        [
            "2026-06-01: the sum of `input_tokens` is more than a table can hold, look for a request with an absurd quantity"
        ]
    );
}

#[test]
fn a_day_is_made_again_when_and_only_when_what_it_is_made_from_changed() {
    let mut workspace = rich();
    let of = |ts: &str, model: &str| Row::new(ts, model, &[(InputTokens, 10)]).key("chat-prod");
    workspace.put(day("2026-06-01"), &[of("2026-06-01T01:00:00Z", "m")]);
    workspace.put(day("2026-06-02"), &[of("2026-06-02T01:00:00Z", "tools")]);
    workspace.put(day("2026-06-03"), &[of("2026-06-03T01:00:00Z", "m").tier("batch")]);
    let mut check = |what: &str, change: &dyn Fn(&mut Workspace), known_on: &str, expect: &[(&str, Cause)]| {
        change(&mut workspace);
        let done = workspace.price(known_on);
        let priced: Vec<(String, Vec<Cause>)> =
            done.priced.into_iter().map(|(day, causes)| (day.to_string(), causes.into_iter().collect())).collect();
        let expect: Vec<(String, Vec<Cause>)> =
            expect.iter().map(|(day, cause)| ((*day).to_owned(), vec![*cause])).collect();
        assert_eq!(priced, expect, "{what}");
        assert_eq!(workspace.price(known_on).unchanged, 3, "{what}: twice");
    };
    let days = ["2026-06-01", "2026-06-02", "2026-06-03"];
    check("the first time", &|_| {}, "2026-06-04", &days.map(|day| (day, Cause::New)));
    check("nothing", &|_| {}, "2026-06-04", &[]);
    let add_price = |row: &'static str| move |workspace: &mut Workspace| workspace.add_price(row);
    let add_config = |text: &'static str| move |workspace: &mut Workspace| workspace.add_config(text);
    check(
        "an unused model",
        &add_price("groq,x,*,input_tokens,9,1M,,2026-01-01,,2026-01-01,list,,"),
        "2026-06-04",
        &[],
    );
    check("next month", &add_price("groq,m,*,input_tokens,9,1M,,2026-07-01,,2026-06-04,list,,"), "2026-06-04", &[]);
    check(
        "an unused tier",
        &add_price("groq,m,flex,input_tokens,9,1M,,2026-01-01,,2026-01-01,list,,"),
        "2026-06-04",
        &[],
    );
    check("a key that nobody used", &add_config("[[key]]\nname = \"new\"\nteam = \"chat\"\n"), "2026-06-04", &[]);
    check("a team that nobody is in", &add_config("[teams.chat-prod-lab]\n"), "2026-06-04", &[]);
    check("what is learnt on the 5th, on the 6th", &|_| {}, "2026-06-06", &[("2026-06-01", Cause::Prices)]);
    check(
        "a price of one day's model",
        &add_price("groq,tools,*,input_tokens,0.16,1M,,2026-06-02,,2026-06-06,list,,"),
        "2026-06-06",
        &[("2026-06-02", Cause::Prices)],
    );
    check(
        "a key from some day on",
        &add_config("[[key]]\nname = \"fp_0123456789ab\"\nteam = \"chat\"\n[teams.chat-prod]\n"),
        "2026-06-06",
        &[],
    );
    check(
        "usage",
        &|workspace| workspace.put(day("2026-06-03"), &[of("2026-06-03T02:00:00Z", "m")]),
        "2026-06-06",
        &[("2026-06-03", Cause::Usage)],
    );
    check(
        "a rollup that is gone",
        &|workspace| {
            std::fs::remove_file(workspace.book_dir().join(DayTable::Rollup.file(day("2026-06-02")).as_ref())).unwrap();
        },
        "2026-06-06",
        &[("2026-06-02", Cause::Rollup)],
    );
}

#[test]
fn a_correction_says_what_moved_and_yesterday_can_be_made_again() {
    let mut workspace = rich();
    let of = |ts: &str, model: &str, key: &str| Row::new(ts, model, &[(InputTokens, 1_000_000)]).key(key);
    let rows = [
        of("2026-06-01T10:00:00Z", "m", "chat-dev"),
        of("2026-06-01T10:00:00Z", "m", "search-dev"),
        of("2026-06-01T18:00:00Z", "tools", "chat-dev"),
    ];
    workspace.put(day("2026-06-01"), &rows);
    let files = |workspace: &Workspace| {
        [DayTable::Charges, DayTable::Rollup].map(|table| workspace.bytes(table, day("2026-06-01")))
    };
    workspace.price("2026-06-02");
    let yesterday = files(&workspace);
    workspace.add_price("groq,m,*,input_tokens,0.7,1M,,2026-06-01T08:00:00Z,2026-06-01T16:00:00Z,2026-06-03,list,,");

    // A dry run tells the same, and writes nothing.
    let tried = workspace.price_with(&Options { dry_run: true, ..Options::known_on(at("2026-06-04")) });
    assert_eq!(files(&workspace), yesterday);
    let done = workspace.price("2026-06-04");
    assert_eq!(tried.changes, done.changes);
    assert_ne!(files(&workspace), yesterday);
    let moved: Vec<String> = done
        .changes
        .iter()
        .map(|change| {
            let team = change.team.as_deref().unwrap_or("-");
            let (before, after) = (&change.before, &change.after);
            assert_eq!((before.price_ids.len(), after.price_ids.len()), (1, 1));
            format!("{} {team} {} {} {}", change.day, change.model, before.cost, after.cost)
        })
        .collect();
    assert_eq!(
        moved,
        ["2026-06-01 chat m 0.610000000000 0.700000000000", "2026-06-01 search m 0.610000000000 0.700000000000"]
    );
    assert!(done.changes[0].after.price_ids[0].starts_with("groq/m/*/list@2026-06-01T08:00:00Z#"));

    // As known yesterday: the same bytes as yesterday.
    workspace.price("2026-06-02");
    assert_eq!(files(&workspace), yesterday);
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_on_when() {
    let rows: Vec<Row> = (0..200)
        .map(|at| {
            let model = ["m", "w", "tools", "unknown"][at % 4];
            let ts = format!("2026-06-01T{:02}:{:02}:00Z", at / 10, at % 60);
            Row::new(&ts, model, &[(InputTokens, i64::try_from(at).unwrap()), (AudioMs, 77)]).key("chat-prod")
        })
        .collect();
    let mut made = BTreeSet::new();
    for (threads, known_on) in [(1, NOW), (2, NOW), (8, "2027-12-01")] {
        let workspace = rich();
        workspace.put_groups(day("2026-06-01"), &rows, 17);
        workspace.price_with(&Options { threads, memory: 8 << 30, ..Options::known_on(at(known_on)) });
        made.insert([DayTable::Charges, DayTable::Rollup].map(|table| workspace.bytes(table, day("2026-06-01"))));
    }
    assert_eq!(made.len(), 1);
}
