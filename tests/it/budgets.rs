//! Budgets over time through the real binary: of teams, keys and models, as
//! the config has them now and had them before, and the state that every run
//! leaves for gateways.

use std::fs;

use mail_parser::MessageParser;
use serde_json::Value;

use crate::support::{TestRun, files_below};

const CONFIG: &str = r#"
[book]
path = "book"
pricing = "pricing"

[[source]]
name = "gateway"
format = "native"
path = "logs/*"
provider = "groq"

[teams.chat]
monthly_budget_usd = "10"

[teams.lab]

[pools.both]
chat = 60
lab = 40

[[key]]
name = "chat-prod"
team = "chat"
monthly_budget_usd = "4"
fingerprint = "fp_e05f2bbf4a1f"

[[key]]
name = "search"
pool = "both"

[models.x]
[[models.x.budget]]
period = "week"
amount_usd = "2"
rollover = true
rollover_cap_usd = "1"
"#;

const PRICES: &str =
    "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note
groq,m,*,input_tokens,1,1,,2026-01-01,,2026-01-01,list,made up,
groq,x,*,input_tokens,1,1,,2026-01-01,,2026-01-01,list,made up,
";

/// A request that costs as many dollars as it has tokens of input.
fn line(id: u32, ts: &str, key: &str, model: &str, input: i64) -> String {
    format!(
        "{{\"ts\":\"{ts}\",\"request_id\":\"chatcmpl-{id:032}\",\"key\":\"{key}\",\"model\":\"{model}\",\
         \"http_status\":200,\"usage\":{{\"prompt_tokens\":{input}}}}}\n"
    )
}

fn workspace(log: &[String]) -> TestRun {
    let run = TestRun::with(CONFIG);
    run.write("pricing/groq.csv", PRICES);
    run.write("logs/a.jsonl", log.concat());
    run
}

fn night(run: &TestRun, now: &str) {
    let ran = run.run_at(now, &["run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn amount(value: &Value) -> &str {
    value.as_str().unwrap().trim_end_matches('0').trim_end_matches('.')
}

/// The budgets at a time: `scope name period spend/budget`.
fn budgets(run: &TestRun, now: &str) -> Vec<String> {
    let ran = run.run_at(now, &["status", "--format", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let status: Value = serde_json::from_str(&ran.stdout).unwrap();
    let shown = |it: &Value| {
        let text = |name: &str| it[name].as_str().unwrap_or("-").to_owned();
        let (spend, budget) = (amount(&it["spend"]), amount(&it["budget"]));
        format!("{} {} {} {spend}/{budget}", text("scope"), text("name"), text("period"))
    };
    // Teams without a budget are listed too.
    status["budgets"].as_array().unwrap().iter().filter(|it| !it["budget"].is_null()).map(shown).collect()
}

const MAY: &str = "2026-05-20T04:00:00Z";
const JUNE: &str = "2026-06-10T04:00:00Z";

#[test]
fn an_undated_change_is_of_the_open_period_and_the_last_one_keeps_its_own() {
    let log =
        [line(1, "2026-05-04T10:00:00Z", "chat-prod", "m", 3), line(2, "2026-06-02T10:00:00Z", "chat-prod", "m", 5)];
    let run = workspace(&log);
    night(&run, MAY);
    let of_chat = |run: &TestRun, now: &str| budgets(run, now).remove(0);
    assert_eq!(of_chat(&run, MAY), "team chat 2026-05 3/10");
    // Who only looks sees what the next run will keep, and keeps nothing.
    run.write("spendbook.toml", CONFIG.replace("monthly_budget_usd = \"10\"", "monthly_budget_usd = \"25\""));
    let kept = || fs::read_dir(run.path("book/policy")).unwrap().count();
    assert_eq!((of_chat(&run, JUNE), kept()), ("team chat 2026-06 5/25".to_owned(), 1));
    night(&run, JUNE);
    assert_eq!((of_chat(&run, JUNE), kept()), ("team chat 2026-06 5/25".to_owned(), 2));
    assert_eq!(of_chat(&run, "2026-05-31T23:59:59Z"), "team chat 2026-05 3/10");
    // A dated one stands from its date: of thirty days of June, ten at 25 and twenty at 40.
    let dated = "[teams.chat]\n[[teams.chat.budget]]\nperiod = \"month\"\namount_usd = \"40\"\nvalid_from = \
                 \"2026-06-11\"\n";
    run.write(
        "spendbook.toml",
        CONFIG
            .replace("monthly_budget_usd = \"10\"", "monthly_budget_usd = \"25\"")
            .replace("[teams.chat]\n", dated)
            .replace(
                "\"2026-06-11\"\nmonthly_budget_usd = \"25\"\n",
                "\"2026-06-11\"\n[[teams.chat.budget]]\nperiod = \"month\"\namount_usd = \"25\"\n",
            ),
    );
    night(&run, JUNE);
    assert_eq!(of_chat(&run, JUNE), "team chat 2026-06 5/35");
    assert_eq!(of_chat(&run, MAY), "team chat 2026-05 3/10");
    // Taken out, it is gone from the open period, and May still has its own.
    run.write("spendbook.toml", CONFIG.replacen("monthly_budget_usd = \"10\"", "", 1));
    night(&run, JUNE);
    assert_eq!(of_chat(&run, JUNE), "key chat-prod 2026-06 5/4");
    assert_eq!(of_chat(&run, MAY), "team chat 2026-05 3/10");
}

#[test]
fn shares_of_a_pool_are_those_of_their_time() {
    let log = [line(1, "2026-05-04T10:00:00Z", "search", "m", 10), line(2, "2026-06-02T10:00:00Z", "search", "m", 100)];
    let run = workspace(&log);
    night(&run, MAY);
    // The team has another name and another share now.
    let now = CONFIG
        .replace("[teams.chat]", "[teams.talk]\nformerly = [\"chat\"]")
        .replace("team = \"chat\"", "team = \"talk\"")
        .replace("chat = 60\nlab = 40", "talk = 25\nlab = 75");
    run.write("spendbook.toml", now);
    night(&run, JUNE);
    assert_eq!(budgets(&run, MAY)[0], "team talk 2026-05 6/10");
    assert_eq!(budgets(&run, JUNE)[0], "team talk 2026-06 25/10");
    let ran = run.run_at(JUNE, &["top", "teams", "--period", "last-month", "--format", "json"]);
    let top: Value = serde_json::from_str(&ran.stdout).unwrap();
    let parts: Vec<_> =
        top.as_array().unwrap().iter().map(|it| (it["team"].as_str().unwrap(), amount(&it["cost"]))).collect();
    assert_eq!(parts, [("talk", "6"), ("lab", "4")]);
    assert_eq!((&top[0]["shared"], &top[0]["pools"]), (&"6.000000000000".into(), &"both=6.000000000000".into()));
    let said = run.run_at(JUNE, &["top", "teams", "--period", "last-month"]).stdout;
    assert!(said.contains("`talk`: $0.00 own + $6.00 of the pool `both`\n"), "{said}");
}

#[test]
fn keys_and_models_have_budgets_whoever_spends() {
    let log = [
        line(1, "2026-06-02T10:00:00Z", "chat-prod", "m", 1),
        // The same key, as a log that holds the key itself shows it.
        line(2, "2026-06-03T10:00:00Z", "fp_e05f2bbf4a1f", "m", 3),
        line(3, "2026-06-04T10:00:00Z", "fp_e05f2bbf4a1f", "m", 1),
        line(4, "2026-06-08T10:00:00Z", "search", "x", 2),
        line(5, "2026-06-09T10:00:00Z", "lab-dev", "x", 1),
    ];
    let run = workspace(&log);
    night(&run, JUNE);
    // A week without any use of the model left two dollars, of which one stays.
    let expect = ["team chat 2026-06 6.2/10", "key chat-prod 2026-06 5/4", "model x 2026-W24 3/3"];
    assert_eq!(budgets(&run, JUNE), expect);
    let told: Vec<String> =
        run.rows("violations").iter().map(|row| row.split(" detail=").nth(1).unwrap_or_default().to_owned()).collect();
    assert_eq!(told, ["the budget of the key `chat-prod` for 2026-06"]);
    let state: Value = serde_json::from_slice(&fs::read(run.path("book/budget-state.json")).unwrap()).unwrap();
    assert_eq!(state["keys"]["chat-prod"]["exhausted"], true);
    assert_eq!((&state["models"]["x"]["exhausted"], state["keys"].as_object().unwrap().len()), (&true.into(), 1));
}

#[test]
fn every_run_replaces_the_state_of_budgets() {
    let run = workspace(&[line(1, "2026-06-02T10:00:00Z", "chat-prod", "m", 1)]);
    night(&run, JUNE);
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(run.path(name)).unwrap()).unwrap() };
    assert_eq!(read("book/budget-state.json")["teams"]["chat"]["budgets"][0]["percent"], 10);
    let exported = run.run_at(JUNE, &["export", "budget-state"]).stdout;
    assert_eq!(exported, fs::read_to_string(run.path("book/budget-state.json")).unwrap());
    // Elsewhere, where a gateway looks for it; relative to the config.
    run.write("gateway/budgets.json", "old");
    run.write("spendbook.toml", format!("{CONFIG}[run]\nbudget_state = \"gateway/budgets.json\"\n"));
    run.append("logs/a.jsonl", line(2, "2026-06-09T10:00:00Z", "chat-prod", "m", 9));
    night(&run, "2026-06-10T05:00:00Z");
    let state = read("gateway/budgets.json");
    assert_eq!((&state["as_of"], &state["teams"]["chat"]["exhausted"]), (&"2026-06-10T05:00:00Z".into(), &true.into()));
    assert_eq!(fs::read_dir(run.path("gateway")).unwrap().count(), 1);
    // A place that cannot be written fails the run, and nothing else of it.
    run.write("spendbook.toml", format!("{CONFIG}[run]\nbudget_state = \"none/such.json\"\n"));
    let ran = run.run_at(JUNE, &["run"]);
    assert!(ran.code == 1 && ran.stderr.contains("none/such.json` cannot be written"), "{ran:?}");
}

/// The days that the last run priced again, and what it said had moved.
fn moved(run: &TestRun) -> (Vec<String>, Vec<String>) {
    let before = files_below(&run.path("book/charges"));
    let ran = run.run_at(JUNE, &["run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let after = files_below(&run.path("book/charges"));
    let days = after.iter().filter(|(name, bytes)| before.get(*name) != Some(bytes));
    let days = days.map(|(name, _)| name["date=".len()..][..10].to_owned()).collect();
    let told = ran.stdout.lines().filter_map(|line| line.strip_prefix("moved: ")).map(str::to_owned).collect();
    (days, told)
}

#[test]
fn another_owner_makes_again_only_what_it_touches_and_says_what_moved() {
    let log = [
        line(1, "2026-06-01T10:00:00Z", "chat-prod", "m", 1),
        line(2, "2026-06-02T10:00:00Z", "chat-prod", "m", 2),
        line(3, "2026-06-03T10:00:00Z", "lab-prod", "m", 3),
        line(4, "2026-06-04T10:00:00Z", "chat-prod", "m", 4),
        line(5, "2026-06-05T10:00:00Z", "stray", "m", 5),
    ];
    let run = workspace(&log);
    night(&run, JUNE);
    // A key moves on the 2nd: the 1st stays, and so do days without it.
    let registered =
        "name = \"chat-prod\"\nteam = \"chat\"\nmonthly_budget_usd = \"4\"\nfingerprint = \"fp_e05f2bbf4a1f\"\n";
    assert!(CONFIG.contains(registered));
    let two = format!(
        "{registered}valid_until = \"2026-06-02\"\n[[key]]\nname = \"chat-prod\"\nteam = \"lab\"\nvalid_from = \"2026-06-02\"\n"
    );
    let config = CONFIG.replace(registered, &two);
    run.write("spendbook.toml", &config);
    let (days, told) = moved(&run);
    assert_eq!(days, ["2026-06-02", "2026-06-04"]);
    assert_eq!(
        told,
        [
            "2026-06-02 `chat` `m`: $2.00 -> $0.00, 1 -> 0 requests",
            "2026-06-02 `lab` `m`: $0.00 -> $2.00, 0 -> 1 requests",
            "2026-06-04 `chat` `m`: $4.00 -> $0.00, 1 -> 0 requests",
            "2026-06-04 `lab` `m`: $0.00 -> $4.00, 0 -> 1 requests",
        ]
    );
    assert_eq!(budgets(&run, JUNE)[0], "team chat 2026-06 1/10");
    // A key that nobody had registered.
    let config = format!("{config}[[key]]\nname = \"stray\"\nteam = \"lab\"\n");
    run.write("spendbook.toml", &config);
    assert_eq!(
        moved(&run),
        (
            vec!["2026-06-05".to_owned()],
            vec![
                "2026-06-05 nobody's `m`: $5.00 -> $0.00, 1 -> 0 requests".to_owned(),
                "2026-06-05 `lab` `m`: $0.00 -> $5.00, 0 -> 1 requests".to_owned(),
            ]
        )
    );
    // A team with another name takes its history along, and nothing else.
    let config = config
        .replace("[teams.lab]", "[teams.science]\nformerly = [\"lab\"]")
        .replace("\"lab\"\n", "\"science\"\n")
        .replace("lab = 40", "science = 40");
    run.write("spendbook.toml", config);
    let (days, told) = moved(&run);
    assert_eq!(days, ["2026-06-02", "2026-06-03", "2026-06-04", "2026-06-05"]);
    assert_eq!(told[0], "2026-06-02 `lab` `m`: $2.00 -> $0.00, 1 -> 0 requests");
    assert_eq!(told.len(), 8);
    // Nobody uses these: nothing is made again.
    let more = fs::read_to_string(run.path("spendbook.toml")).unwrap();
    run.write("spendbook.toml", more + "[teams.new]\n[[key]]\nname = \"new-prod\"\nteam = \"new\"\n");
    assert_eq!(moved(&run), (Vec::new(), Vec::new()));
}

/// Teams of whose budgets one does not roll over any more since the middle of
/// June, and one does; `lab` has spent nothing in April.
const ROLLING: &str = r#"
[organization]
finance = ["finops@example.com"]

[teams.chat]
owners = ["chat@example.com"]
[[teams.chat.budget]]
period = "month"
amount_usd = "100"
rollover = true
[[teams.chat.budget]]
period = "month"
amount_usd = "100"
valid_from = "2026-06-10"

[teams.lab]
owners = ["lab@example.com"]
[[teams.lab.budget]]
period = "month"
amount_usd = "100"
rollover = true
"#;

/// The book and source of [`CONFIG`], with other teams.
fn with_teams(teams: &str, log: &[String]) -> TestRun {
    let run = workspace(log);
    run.write("spendbook.toml", CONFIG.split("[teams.chat]").next().unwrap().to_owned() + teams);
    run
}

/// The texts of the mails that wait, by the beginning of their names.
fn mails(run: &TestRun, begins: &str) -> Vec<String> {
    let files = files_below(&run.path("book/outbox/pending")).into_iter();
    let text = |bytes: Vec<u8>| MessageParser::default().parse(&bytes).unwrap().body_text(0).unwrap().into_owned();
    files.filter(|(name, _)| name.starts_with(begins)).map(|(_, bytes)| text(bytes)).collect()
}

#[test]
fn what_rolled_over_as_a_period_began_is_the_same_wherever_it_is_told() {
    let monday = "2026-06-22T04:00:00Z";
    let log = [
        // More than eight weeks before June.
        line(1, "2026-04-02T10:00:00Z", "chat-prod", "m", 70),
        line(2, "2026-04-20T10:00:00Z", "chat-prod", "m", 5),
        line(3, "2026-05-05T10:00:00Z", "chat-prod", "m", 90),
        line(4, "2026-05-05T10:00:00Z", "lab-prod", "m", 150),
        line(5, "2026-06-15T10:00:00Z", "chat-prod", "m", 5),
        line(6, "2026-06-16T10:00:00Z", "chat-prod", "m", 120),
        line(7, "2026-06-17T10:00:00Z", "chat-prod", "m", 1),
        line(8, "2026-06-16T10:00:00Z", "lab-prod", "m", 60),
    ];
    // Nobody else's budget makes it read all there is.
    let (chat, _) = ROLLING.split_once("[teams.lab]").unwrap();
    let alone = with_teams(chat, &log);
    for stage in ["ingest", "price"] {
        assert_eq!(alone.run_at(monday, &[stage]).code, 0, "{stage}");
    }
    assert_eq!(budgets(&alone, monday), ["team chat 2026-06 126/135"]);
    let run = with_teams(ROLLING, &log);
    night(&run, monday);
    // 25 left of April, so 35 of May; and of `lab` 100 of April, so 50 of May.
    assert_eq!(budgets(&run, monday), ["team chat 2026-06 126/135", "team lab 2026-06 60/150"]);
    let state: Value = serde_json::from_slice(&fs::read(run.path("book/budget-state.json")).unwrap()).unwrap();
    assert_eq!(amount(&state["teams"]["chat"]["budgets"][0]["budget_usd"]), "135");
    let exhausted = |row: &&String| row.contains("budget_exhausted");
    assert_eq!(run.rows("violations").iter().filter(exhausted).collect::<Vec<_>>(), [""; 0]);
    for (begins, expect) in [
        ("weekly-2026-06-15-team-chat", &["$126.00 of $135.00"][..]),
        ("weekly-2026-06-15-team-lab", &["$60.00 of $150.00"]),
        ("weekly-2026-06-15-organization", &["93 %", "40 %"]),
        ("alert-", &["$126.00 of its budget of $135.00"]),
    ] {
        let told = mails(&run, begins).concat().replace(['\u{a0}', '\r', '\n'], " ").replace("  ", " ");
        assert!(expect.iter().all(|text| told.contains(text)), "{begins}: {told}");
    }
}

#[test]
fn finance_reads_of_a_teams_quarter_all_that_was_spent_in_it() {
    let quarter = "[organization]\nfinance = [\"finops@example.com\"]\n[teams.chat]\n[[teams.chat.budget]]\n\
                   period = \"quarter\"\namount_usd = \"100\"\n";
    let log =
        [line(1, "2026-04-02T10:00:00Z", "chat-prod", "m", 30), line(2, "2026-06-16T10:00:00Z", "chat-prod", "m", 20)];
    let run = with_teams(quarter, &log);
    night(&run, "2026-06-22T04:00:00Z");
    let told = mails(&run, "weekly-").concat();
    assert!(told.contains("50 %"), "{told}");
}
