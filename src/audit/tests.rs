//! A day against its policies: what is told of which rows.

use std::{fs, path::Path};

use super::{
    day::{DayAudit, Present, Rules},
    exhausted::Allowance,
    row::Row,
    testing::{at, row, usd},
    violation::Violation,
};
use crate::{
    budgets::Scope,
    config::Config,
    money::Usd,
    policy::{History, Policies},
    pricing::{self, PriceBook},
    record::Status,
    teams::Registry,
    time::Instant,
};

const CONFIG: &str = r#"
[organization]
rate_limit_tpm = 1000
[teams.chat]
allowed_models = ["llama", "gpt"]
max_tokens_per_request = 100
rate_limit_rpm = 2
[teams.lab]
[[key]]
name = "fast"
team = "chat"
rate_limit_rpm = 4
rate_limit_tpm = 35
[[key]]
name = "voice"
team = "chat"
allowed_models = ["whisper"]
"#;

/// `gpt` is the gateway's name for `openai/gpt`, and `l` for `llama`.
const ALIASES: &str = "provider,alias,model,valid_from,valid_until,known_from,source,note\n\
    groq,gpt,openai/gpt,2026-01-01,,2026-01-01,made up,\n\
    groq,l,llama,2026-01-01,,2026-01-01,made up,\n";

const PRICE: &str = "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note\n\
    groq,llama,*,input_tokens,0.5,1M,,2026-01-01,,2026-01-01,list,made up,\n";

fn prices() -> PriceBook {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("aliases.csv"), ALIASES).unwrap();
    fs::write(dir.path().join("groq.csv"), PRICE).unwrap();
    pricing::read(dir.path()).into_book().unwrap()
}

fn policies(text: &str) -> Policies {
    let config = Config::parse(text, Path::new("spendbook.toml")).unwrap();
    let mut history = History::default();
    history.observe(&config, at(0));
    Policies::new(&history, &config)
}

fn audit(last: &[Row<'_>], rows: &[Row<'_>], allowances: Vec<Allowance>) -> (Vec<Violation>, Present) {
    let (policies, prices) = (policies(CONFIG), prices());
    let config = Config::parse(CONFIG, Path::new("spendbook.toml")).unwrap();
    let registry = Registry::new(&config);
    let rules = Rules { policies: &policies, registry: &registry, prices: &prices, known_on: at(0) };
    let mut audit = DayAudit::new(rules, allowances);
    for row in last {
        audit.warm(row.ts, row.team, row.key, row.tokens);
    }
    let mut found = Vec::new();
    for row in rows {
        audit.push(row, &mut found);
    }
    let (of_day, present) = audit.finish();
    found.extend(of_day);
    (found, present)
}

/// Each violation in a line, zeros and what is null left out.
fn check(last: &[Row<'_>], rows: &[Row<'_>], expect: &[&str]) {
    let (found, _) = audit(last, rows, Vec::new());
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), expect, "{rows:?}");
}

fn text(it: &Violation) -> String {
    let name = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let number = |it: Option<Usd>| it.map_or_else(|| "-".to_owned(), Usd::shown);
    format!(
        "{} {} {} {} {}/{} x{} {}: {}",
        it.request_id,
        it.kind.name(),
        name(&it.team),
        name(&it.key),
        number(it.value),
        number(it.limit),
        it.requests,
        it.cost.shown(),
        name(&it.detail)
    )
}

fn with_model<'a>(id: &'a str, key: &'a str, model: &'a str, billed: &'a str, requested: Option<&'a str>) -> Row<'a> {
    Row { model, model_billed: billed, model_requested: requested, ..row(1, id, key) }
}

#[test]
fn a_model_is_allowed_by_any_of_its_names() {
    for (model, billed, requested, is_allowed) in [
        ("llama", "llama", None, true),
        ("llama-0613", "llama", None, true),
        ("openai/gpt", "openai/gpt", None, true),
        ("other", "other", Some("llama"), true),
        ("other", "other", Some("l"), true),
        ("other", "other", Some("openai/gpt"), true),
        ("other", "other", Some("router"), false),
        ("other", "other", None, false),
        ("whisper", "whisper", None, false),
        ("Llama", "Llama", None, false),
    ] {
        let (found, _) = audit(&[], &[with_model("1", "a", model, billed, requested)], Vec::new());
        assert_eq!(found.is_empty(), is_allowed, "{model} {billed} {requested:?}");
    }
    let not = "1 model_not_allowed chat a -/- x1 $1.00: asked for `router`; allowed: llama, gpt";
    check(&[], &[with_model("1", "a", "other", "other", Some("router"))], &[not]);
    // A key's own list stands for that of its team.
    check(&[], &[with_model("1", "voice", "whisper", "whisper", None)], &[]);
    let not = "1 model_not_allowed chat voice -/- x1 $1.00: allowed: whisper";
    check(&[], &[row(1, "1", "voice")], &[not]);
    check(&[], &[Row { team: Some("lab"), ..with_model("1", "x", "other", "other", None) }], &[]);
    // What the gateway refused broke nothing.
    check(&[], &[Row { status: Status::Blocked, ..with_model("1", "a", "other", "other", None) }], &[]);
}

#[test]
fn more_than_the_limit_of_tokens_is_told_per_request() {
    let asked = |max_tokens, output_tokens| [Row { max_tokens, output_tokens, ..row(1, "1", "a") }];
    check(&[], &asked(Some(100), Some(100)), &[]);
    check(&[], &asked(None, None), &[]);
    let line = "1 max_tokens_exceeded chat a $101.00/$100.00 x1 $1.00: asked for so many";
    check(&[], &asked(Some(101), Some(1)), &[line]);
    let line = "1 max_tokens_exceeded chat a $101.00/$100.00 x1 $1.00: answered with so many";
    check(&[], &asked(None, Some(101)), &[line]);
    check(&[], &asked(None, Some(101)).map(|row| Row { tier: Some("batch"), ..row }), &[]);
}

#[test]
fn unknown_keys_and_teams_are_a_row_per_key() {
    let unknown =
        |second, id, key, named| Row { team: None, is_key_known: false, team_reported: named, ..row(second, id, key) };
    let nameless = Row { key: None, ..unknown(4, "4", "", Some("ghosts")) };
    check(
        &[],
        &[
            unknown(1, "1", "x", None),
            unknown(2, "2", "y", Some("ghosts")),
            unknown(3, "3", "x", None),
            nameless,
            Row { is_key_known: false, team: Some("lab"), team_reported: Some("lab"), ..row(5, "5", "z") },
        ],
        &[
            "1 unknown_key - x -/- x2 $2.00: -",
            "2 unknown_key - y -/- x1 $1.00: -",
            "2 unknown_team - y -/- x1 $1.00: the log names `ghosts`",
            "4 unknown_team - - -/- x1 $1.00: the log names `ghosts`",
            "5 unknown_key lab z -/- x1 $1.00: -",
        ],
    );
}

#[test]
fn keys_without_a_limit_of_their_own_share_that_of_their_team() {
    let rows = |keys: &[&'static str]| -> Vec<Row<'static>> {
        let ids = ["1", "2", "3", "4", "5"];
        (1..).zip(ids).zip(keys).map(|((second, id), key)| row(second, id, key)).collect()
    };
    check(&[], &rows(&["a", "b"]), &[]);
    let line = "3 rate_limit_rpm_exceeded chat - $3.00/$2.00 x1 $1.00: of the team's keys without a limit of their \
                own, until 2026-06-01T00:00:03Z, the most at 2026-06-01T00:00:03Z";
    check(&[], &rows(&["a", "b", "a"]), &[line]);
    check(&[], &rows(&["fast", "fast", "fast"]), &[]);
    let line = "4 rate_limit_tpm_exceeded chat fast $40.00/$35.00 x1 $1.00: of the key, until 2026-06-01T00:00:04Z, \
                the most at 2026-06-01T00:00:04Z";
    check(&[], &rows(&["fast", "fast", "fast", "fast"]), &[line]);
    let before = [row(-59, "b", "a"), row(-1, "c", "a")];
    let line = "1 rate_limit_rpm_exceeded chat - $3.00/$2.00 x1 $1.00: of the team's keys without a limit of their \
                own, until 2026-06-01T00:00:01Z, the most at 2026-06-01T00:00:01Z";
    check(&before, &[row(0, "1", "b")], &[&line.replace(":01Z", ":00Z")]);
    check(&before, &[row(1, "1", "b")], &[]);
}

#[test]
fn refused_requests_and_batches_have_no_rate() {
    let of = |status, http_status| Row { status, http_status, ..row(3, "3", "a") };
    let counted = |last: Row<'static>| {
        let (found, _) = audit(&[], &[row(1, "1", "a"), row(2, "2", "a"), last], Vec::new());
        !found.is_empty()
    };
    assert!(counted(of(Status::Success, Some(200))));
    assert!(counted(of(Status::Error, Some(500))));
    assert!(counted(of(Status::Error, None)));
    assert!(!counted(of(Status::Error, Some(429))));
    assert!(!counted(of(Status::Blocked, None)));
    assert!(!counted(Row { error_code: Some("spend_limit"), ..of(Status::Error, None) }));
    assert!(!counted(Row { tier: Some("batch"), ..of(Status::Success, None) }));
}

#[test]
fn all_keys_share_the_limit_of_the_organization() {
    let big = |second, id, team| Row { tokens: 501, team, ..row(second, id, "k") };
    check(
        &[],
        &[big(1, "1", Some("lab")), big(2, "2", None)],
        &["2 rate_limit_tpm_exceeded - - $1,002.00/$1,000.00 x1 $1.00: of all keys, until 2026-06-01T00:00:02Z, the \
           most at 2026-06-01T00:00:02Z"],
    );
}

#[test]
fn what_went_on_after_a_budget_is_told_per_key() {
    let allowance = Allowance {
        scope: Scope::Team("lab".to_owned()),
        period: "2026-06".to_owned(),
        from: at(0),
        until: Instant::LATEST,
        limit: usd("2"),
        carried: usd("1"),
    };
    let lab = |second, id, key| Row { team: Some("lab"), ..row(second, id, key) };
    let rows = [lab(1, "1", "a"), lab(2, "2", "b"), lab(200, "3", "a"), lab(300, "4", "b")];
    let (found, present) = audit(&[], &rows, vec![allowance]);
    assert_eq!(
        found.iter().map(text).collect::<Vec<_>>(),
        [
            "2 budget_exhausted lab b $2.00/$2.00 x2 $2.00: the budget of the team `lab` for 2026-06",
            "3 budget_exhausted lab a $3.00/$2.00 x1 $1.00: the budget of the team `lab` for 2026-06",
        ]
    );
    let payer = |key: &str| (Some("lab".to_owned()), Some(key.to_owned()));
    assert_eq!(present.payers, [payer("a"), payer("b")].into());
}
