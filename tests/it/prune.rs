//! `spendbook prune`: what goes, what stays as it is from then on, and that a
//! kill at any moment leaves nothing half done.

use std::{collections::BTreeMap, fs, process::Stdio, time::Instant};

use serde_json::Value;

use crate::support::{Dice, TestRun, assert_same_bytes, files_below, rows_of_file, times};

const CONFIG: &str = r#"
[book]
path = "book"
pricing = "pricing"
keep = { usage = "30d", charges = "60d", rollup = "90d", violations = "60d", runs = "9d", quarantine = "40d" }

[[source]]
name = "gateway"
format = "native"
path = "logs/*"
provider = "groq"

[organization]
[[organization.budget]]
period = "quarter"
amount_usd = "1000"

[teams.chat]
allowed_models = ["m"]
monthly_budget_usd = "100"
"#;

const PRICES: &str =
    "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note
groq,m,*,input_tokens,1,1,,2026-01-01,,2026-01-01,list,made up,
groq,x,*,input_tokens,1,1,,2026-01-01,,2026-01-01,list,made up,
";

const NOW: &str = "2026-06-10T04:00:00Z";

/// Thirty, sixty and ninety days before.
const USAGE_FROM: &str = "2026-05-11";
const CHARGES_FROM: &str = "2026-04-11";
const ROLLUP_FROM: &str = "2026-03-12";

fn line(id: u32, ts: &str, model: &str, input: i64) -> String {
    format!(
        "{{\"ts\":\"{ts}\",\"request_id\":\"chatcmpl-{id:032}\",\"key\":\"chat-prod\",\"user\":\"ann\",\"model\":\"{model}\",\
         \"http_status\":200,\"usage\":{{\"prompt_tokens\":{input}}}}}\n"
    )
}

/// A request a day on every floor, below and above it; some break a policy.
fn log() -> String {
    let days = [
        "2026-02-01",
        "2026-03-11",
        "2026-03-12",
        "2026-04-10",
        "2026-04-11",
        "2026-04-12",
        "2026-05-10",
        "2026-05-11",
        "2026-06-09",
    ];
    let lines = days.iter().zip(1..).flat_map(|(day, id)| {
        let at = |time: &str| format!("{day}T{time}Z");
        [line(id, &at("10:00:00"), "m", 3), line(100 + id, &at("23:59:00"), "x", 2)]
    });
    lines.collect()
}

fn night(run: &TestRun, now: &str) {
    let ran = run.run_at(now, &["run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn workspace() -> TestRun {
    let run = TestRun::with(CONFIG);
    run.write("pricing/groq.csv", PRICES);
    run.write("logs/a.jsonl", log());
    // As if a night of February and one of May had been before this one.
    night(&run, "2026-02-02T04:00:00Z");
    night(&run, "2026-05-12T04:00:00Z");
    night(&run, NOW);
    run
}

const TABLES: [&str; 4] = ["usage", "charges", "rollup", "violations"];

fn tables(run: &TestRun) -> BTreeMap<String, Vec<u8>> {
    let files = TABLES.iter().flat_map(|table| {
        files_below(&run.path(&format!("book/{table}")))
            .into_iter()
            .map(move |(name, bytes)| (format!("{table}/{name}"), bytes))
    });
    files.filter(|(name, _)| name.ends_with(".parquet")).collect()
}

/// Rows by table and day: `usage 2026-05-11 2`.
fn counts(run: &TestRun) -> BTreeMap<String, usize> {
    let count = |(name, bytes): (String, Vec<u8>)| {
        let (table, rest) = name.split_once("/date=").unwrap();
        (format!("{table} {}", &rest[..10]), rows_of_file(bytes, &[]).unwrap().len())
    };
    tables(run).into_iter().map(count).collect()
}

fn prune(run: &TestRun, now: &str) -> String {
    let ran = run.run_at(now, &["prune", "--format", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let pruned: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
    let told = pruned.iter().map(|it| {
        format!(
            "{} {} {} {}",
            it["table"].as_str().unwrap(),
            it["kept_from"].as_str().unwrap(),
            it["files"],
            it["rows"]
        )
    });
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_older_leaves_files_without_rows() {
    let run = workspace();
    let before = (tables(&run), counts(&run), files_below(&run.path("book/runs")).len());
    let dry = run.run_at(NOW, &["prune", "--dry-run"]);
    assert!(dry.code == 0 && dry.stdout.contains("this would go; nothing was removed"), "{dry:?}");
    assert_same_bytes(&tables(&run), &before.0, "a dry run");
    assert!(!run.path("book/floors.json").exists());

    let told = prune(&run, NOW);
    let expect = format!(
        "usage {USAGE_FROM} 7 14\ncharges {CHARGES_FROM} 4 8\nrollup {ROLLUP_FROM} 2 4\nviolations {CHARGES_FROM} 4 4\n\
         quarantine 2026-05-01 0 0\nruns 2026-06-01 2 0"
    );
    assert_eq!(told, expect);
    // Every file is still there and whole, those below the floor without rows.
    let after = counts(&run);
    assert_eq!(after.keys().collect::<Vec<_>>(), before.1.keys().collect::<Vec<_>>());
    for (name, rows) in &after {
        let (table, day) = name.split_once(' ').unwrap();
        let floor = match table {
            "usage" => USAGE_FROM,
            "rollup" => ROLLUP_FROM,
            _ => CHARGES_FROM,
        };
        assert_eq!(*rows, if day < floor { 0 } else { before.1[name] }, "{name}");
    }
    let whole = run.run_at(NOW, &["status"]);
    assert!(!whole.stdout.contains("one step apart"), "{whole:?}");
    // Nobody is named any more by what is gone.
    for (name, bytes) in tables(&run).into_iter().filter(|(name, _)| {
        after[&format!("{} {}", name.split('/').next().unwrap(), &name.split("date=").nth(1).unwrap()[..10])] == 0
    }) {
        assert!(!bytes.windows(9).any(|window| window == b"chat-prod"), "{name}");
    }
    // The records of the last run of each command say how fresh the book is.
    assert_eq!(files_below(&run.path("book/runs")).len(), before.2 - 2 + 1);

    // Again there is nothing to do, and a longer time brings nothing back.
    let pruned = tables(&run);
    assert!(prune(&run, NOW).starts_with(&format!("usage {USAGE_FROM} 0 0\n")));
    run.write("spendbook.toml", CONFIG.replace("usage = \"30d\"", "usage = \"300d\""));
    assert!(prune(&run, NOW).starts_with(&format!("usage {USAGE_FROM} 0 0\n")));
    assert_same_bytes(&tables(&run), &pruned, "a second prune");
}

#[test]
fn days_below_a_floor_are_never_built_again() {
    let run = workspace();
    let last_april = run.path("book/charges/date=2026-04-12/charges.parquet");
    let charges = fs::read(&last_april).unwrap();
    prune(&run, NOW);
    let pruned = tables(&run);
    // Another price of all days, and another policy of none: only what has its usage moves.
    run.write("pricing/groq.csv", PRICES.replace("groq,m,*,input_tokens,1,1,", "groq,m,*,input_tokens,2,1,"));
    night(&run, NOW);
    assert_eq!(fs::read(&last_april).unwrap(), charges);
    let moved: Vec<String> =
        tables(&run).into_iter().filter(|(name, bytes)| pruned[name] != *bytes).map(|(name, _)| name).collect();
    assert!(moved.iter().all(|name| &name.split("date=").nth(1).unwrap()[..10] >= USAGE_FROM), "{moved:?}");
    assert!(moved.contains(&"charges/date=2026-05-11/charges.parquet".to_owned()), "{moved:?}");
    // Late records of those days are counted, and not taken in: not as new ones,
    // not from files that are read again, not by `--again`.
    let all = tables(&run);
    run.write("logs/late.jsonl", line(50, "2026-05-10T12:00:00Z", "m", 1) + &line(51, "2026-02-01T12:00:00Z", "m", 1));
    night(&run, NOW);
    assert_eq!(run.run_at(NOW, &["ingest"]).code, 0);
    assert_same_bytes(&tables(&run), &all, "late records");
    fs::remove_dir_all(run.path("book/state")).unwrap();
    let ran = run.run_at(NOW, &["ingest"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("pruned"), "{ran:?}");
    let ran = run.run_at(NOW, &["ingest", "--again", "--source", "gateway"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    night(&run, NOW);
    assert_same_bytes(&tables(&run), &all, "everything again");
}

#[test]
fn a_request_across_the_floor_does_not_come_back() {
    let run = TestRun::with(&CONFIG.replace("usage = \"30d\"", "usage = \"30d\", totals = \"30d\""));
    run.write("pricing/groq.csv", PRICES);
    run.write("logs/a.jsonl", line(1, "2026-05-10T23:59:00Z", "m", 3) + &line(2, "2026-05-10T23:40:00Z", "m", 3));
    night(&run, NOW);
    prune(&run, NOW);
    // Versions of both after the midnight of the floor: of the first within ten
    // minutes, of the second not, so that it is another request.
    run.write("logs/b.jsonl", line(1, "2026-05-11T00:05:00Z", "m", 3) + &line(2, "2026-05-11T00:05:00Z", "m", 3));
    let ran = run.run_at(NOW, &["ingest"]);
    assert!(ran.code == 0 && ran.stdout.contains("pruned"), "{ran:?}");
    let rows = run.rows("usage");
    assert!(rows.len() == 1 && rows[0].contains("0000002"), "{rows:?}");
}

#[test]
fn what_is_not_known_any_more_is_said() {
    let run = workspace();
    // The quarter begins in April, the month in June.
    run.write("spendbook.toml", CONFIG.replace("rollup = \"90d\"", "rollup = \"30d\""));
    prune(&run, NOW);
    let status: Value = serde_json::from_str(&run.run_at(NOW, &["status", "--format", "json"]).stdout).unwrap();
    let standings: Vec<_> = status["budgets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["period"].as_str().unwrap(), it["standing"].as_str().unwrap()))
        .collect();
    assert_eq!(standings, [("2026-06", "within"), ("2026-Q2", "unknown")]);
    let said = run.run_at(NOW, &["status"]).stdout;
    assert!(said.contains("what was spent before 2026-05-11T00:00:00Z was pruned"), "{said}");
    let top = run.run_at(NOW, &["top", "models"]);
    assert!(top.stderr.contains("what was before 2026-05-11 was pruned"), "{top:?}");
    // A key that was last seen below the floor is not one that was never used.
    run.write("spendbook.toml", format!("{CONFIG}[[key]]\nname = \"quiet\"\nteam = \"chat\"\n"));
    assert!(run.run_at(NOW, &["keys"]).stdout.contains("not used since 2026-05-11, before is pruned"));
    let asked = run.run_at(NOW, &["keys", "--safe-to-delete", "quiet"]);
    assert!(asked.code == 4 && asked.stdout.contains("no log has had it since 2026-05-11"), "{asked:?}");
    let explained = run.run_at(NOW, &["explain", &format!("chatcmpl-{:032}", 1)]);
    assert!(explained.code == 4 && explained.stdout.contains("before 2026-05-11 was pruned"), "{explained:?}");
}

#[test]
fn killed_at_any_moment_it_is_finished_by_the_next_one() {
    let before = workspace();
    let copy = |of: &TestRun| {
        let copy = TestRun::with(CONFIG);
        for (name, bytes) in files_below(of.dir()) {
            copy.write(&name, bytes);
        }
        copy
    };
    let undisturbed = copy(&before);
    let begun = Instant::now();
    prune(&undisturbed, NOW);
    let usual = begun.elapsed();
    let (old, new) = (tables(&before), tables(&undisturbed));
    let mut dice = Dice(0x9121);
    for point in 0..times("SPENDBOOK_KILLS", 6) {
        let run = copy(&before);
        let mut command = run.command_after("true", &["prune"]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(usual * u32::try_from(dice.below(1_100)).unwrap() / 1_000);
        child.kill().unwrap();
        child.wait().unwrap();
        for (name, bytes) in tables(&run) {
            assert!(old.get(&name) == Some(&bytes) || new.get(&name) == Some(&bytes), "point {point}: {name}");
        }
        // In between, a night touches nothing of what is to go.
        let ran = run.run(&["run"]);
        assert_eq!(ran.code, 0, "point {point}: {ran:?}");
        prune(&run, NOW);
        assert_same_bytes(&tables(&run), &new, &format!("point {point}"));
    }
}
