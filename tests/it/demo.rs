//! The way of a newcomer, through the binary: `demo`, `init` and `doctor`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a run of the program came to.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program in `dir`, with nothing of this process's environment.
fn spendbook(dir: &Path, arguments: &[&str]) -> Ran {
    let output =
        Command::new(env!("CARGO_BIN_EXE_spendbook")).args(arguments).current_dir(dir).env_clear().output().unwrap();
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes).replace(env!("CARGO_BIN_EXE_spendbook"), "spendbook").replace('\\', "/")
    };
    Ran { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Every file below a directory, with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn with_tempdir(test: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    test(dir.path());
}

/// The made-up credential in the demo's logs: see `data/demo/generate.py`.
const CREDENTIAL: &[u8] = b"gsk_MadeUpForTheDemo0NotARealKey1234567890";

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

const NOW: &str = "2026-06-19T02:00:00Z";
const CONFIG: &str = "spendbook-demo/spendbook.toml";

#[test]
fn the_demo_tells_what_it_did_and_a_second_run_changes_nothing() {
    with_tempdir(|dir| {
        let first = spendbook(dir, &["demo"]);
        assert_eq!((first.code, first.err.as_str()), (0, ""));
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../snapshots/demo");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("summary", first.out));

        let before = files(&dir.join("spendbook-demo"));
        let live = before.iter().find(|(path, _)| path.ends_with("logs/gateway/gateway.jsonl")).unwrap();
        assert!(holds(
            &files(&dir.join("spendbook-demo/logs")).into_values().flatten().collect::<Vec<_>>(),
            CREDENTIAL
        ));
        assert!(!live.1.ends_with(b"\n"));
        for (path, bytes) in before.iter().filter(|(path, _)| path.starts_with(dir.join("spendbook-demo/book"))) {
            assert!(!holds(bytes, &CREDENTIAL[4..]), "{}", path.display());
        }

        let second = spendbook(dir, &["demo"]);
        assert_eq!((second.code, second.err.as_str()), (0, ""));
        assert!(second.out.contains("Nothing new: every log is as it was"), "{}", second.out);
        let mut after = files(&dir.join("spendbook-demo"));
        let is_state = |path: &Path| path.components().any(|part| part.as_os_str() == "runs") || path.ends_with("lock");
        after.retain(|path, _| !is_state(path));
        let expect: BTreeMap<_, _> = before.into_iter().filter(|(path, _)| !is_state(path)).collect();
        assert_eq!(after.keys().collect::<Vec<_>>(), expect.keys().collect::<Vec<_>>());
        assert!(after == expect, "a second run changed a file");

        let ingest = spendbook(dir, &["--config", CONFIG, "--now", NOW, "ingest"]);
        assert!(ingest.out.contains("\nnothing new: no day changed\n"), "{}", ingest.out);
        assert!(ingest.out.ends_with("\nopenai-usage: the recorded answers are as they were\n"), "{}", ingest.out);
    });
}

#[test]
fn the_demo_leaves_other_directories_alone() {
    with_tempdir(|dir| {
        fs::create_dir(dir.join("mine")).unwrap();
        fs::write(dir.join("mine/spendbook.toml"), "").unwrap();
        let ran = spendbook(dir, &["demo", "mine"]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert_eq!(
            ran.err,
            "error: `mine` has files that the demo did not make, and it writes into no such directory: name another \
             one, `spendbook demo DIR`\n"
        );
        assert_eq!(files(&dir.join("mine")).len(), 1);
    });
}

#[test]
fn the_doctor_finds_the_demo_well_but_for_its_silent_source() {
    with_tempdir(|dir| {
        spendbook(dir, &["-q", "demo"]);
        let ran = spendbook(dir, &["--config", CONFIG, "--now", NOW, "doctor"]);
        let told: Vec<_> = ran.out.lines().filter(|line| !line.starts_with("ok ")).collect();
        assert_eq!(
            (ran.code, told),
            (
                0,
                vec![
                    "warning  source voice         nothing since 2026-06-16T16:40:31Z, for 57 h; `silent_after` is 36 h: \
                     look whether its gateway still writes there, or raise `silent_after`",
                    "warning  keys                 1 registered key in no log of 30 days, and in use: `research-eval`, openai \
                     reports 2193 requests since 2026-06-15: ask its owner to send it through the gateway, or make a \
                     source of the log that has it",
                    "warning  reconcile            10 lines since 2026-05-20 where logs and providers differ without a known \
                     reason: `spendbook reconcile` shows what is in no log, and whose key it is",
                    "",
                    "no problem, 3 warnings"
                ]
            )
        );
    });
}

#[test]
fn a_new_workspace_lacks_only_its_logs() {
    for template in ["basic", "production"] {
        with_tempdir(|dir| {
            let ran = spendbook(dir, &["init", "new", "--template", template]);
            assert_eq!(ran.code, 0, "{}", ran.err);
            assert!(
                ran.out.contains("\n  spendbook.toml                  sources, teams, keys, budgets\n"),
                "{}",
                ran.out
            );
            assert!(ran.out.contains("2. spendbook --config new/spendbook.toml doctor\n"), "{}", ran.out);
            let written = files(dir);

            // What is there stays, and what is missing is added.
            fs::write(dir.join("new/spendbook.toml"), "# mine\n").unwrap();
            fs::remove_file(dir.join("new/pricing/pins.csv")).unwrap();
            let again = spendbook(dir, &["init", "new", "--template", template]).out;
            assert!(again.starts_with("wrote to `new`:\n  pricing/pins.csv  digests"), "{again}");
            assert!(again.contains("left as they were:\n  spendbook.toml\n"), "{again}");
            assert_eq!(fs::read(dir.join("new/spendbook.toml")).unwrap(), b"# mine\n");
            fs::write(dir.join("new/spendbook.toml"), &written[&dir.join("new/spendbook.toml")]).unwrap();
            assert_eq!(files(dir), written);

            let ran = spendbook(&dir.join("new"), &["--now", NOW, "doctor", "--format", "json"]);
            let checks: Vec<serde_json::Value> = serde_json::from_str(&ran.out).unwrap();
            let not_ok: Vec<_> = checks.iter().filter(|check| check["state"] != "ok").collect();
            assert_eq!(ran.code, 4);
            assert!(
                not_ok.iter().all(|check| check["found"].as_str().unwrap().starts_with("no file matches `logs/")
                    || check["found"].as_str().unwrap().contains("SPENDBOOK_SMTP_PASSWORD")),
                "{not_ok:#?}"
            );
            assert_eq!(files(dir), written, "the doctor changed something");
        });
    }
}

/// A workspace with one source, spoilt by `spoil`: what the doctor says of it
/// that is not ok.
fn check(source: &str, spoil: impl FnOnce(&Path), code: i32, expect: &[&str]) {
    with_tempdir(|dir| {
        spendbook(dir, &["-q", "init"]);
        fs::create_dir(dir.join("logs")).unwrap();
        let lines: Vec<String> = (0..10).map(|n| native(n, "r")).collect();
        fs::write(dir.join("logs/a.jsonl"), lines.join("\n") + "\n").unwrap();
        fs::write(dir.join("spendbook.toml"), source).unwrap();
        spoil(dir);
        let ran = spendbook(dir, &["--now", NOW, "doctor"]);
        let not_ok: Vec<&str> = ran.out.lines().filter(|line| !line.starts_with("ok ") && !line.is_empty()).collect();
        let summary = not_ok.last().copied().unwrap_or_default();
        let told = &not_ok[..not_ok.len().saturating_sub(1)];
        assert_eq!((ran.code, told.len()), (code, expect.len()), "{}{}", ran.out, ran.err);
        for (line, expect) in told.iter().zip(expect) {
            assert!(line.contains(expect), "expected `{expect}` in\n{line}");
        }
        assert!(summary.contains("problem") || summary == "all is well", "{}", ran.out);
    });
}

/// A line in the plainest format, `minute` minutes after eight on 18 June.
fn native(minute: u32, id: &str) -> String {
    let usage = format!(r#"{{"prompt_tokens":{},"completion_tokens":5}}"#, 100 + minute);
    format!(
        r#"{{"ts":"2026-06-18T20:{minute:02}:00Z","request_id":"{id}-0000-0000-0000-{minute:04}","key":"chatbot-prod","model":"llama-3.1-8b-instant","usage":{usage}}}"#
    )
}

fn ingest(dir: &Path) {
    let ran = spendbook(dir, &["--now", NOW, "ingest"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

const NATIVE: &str = "[[source]]\nname = \"own\"\nformat = \"native\"\npath = \"logs/*.jsonl\"\nprovider = \"groq\"\n";

#[test]
fn the_doctor_names_what_is_wrong_with_config_prices_and_sources() {
    check(NATIVE, |_| {}, 0, &[]);
    check(NATIVE, ingest, 0, &[]);
    check("", |_| {}, 0, &["there is no `[[source]]`, so there is nothing to read"]);
    let no_owner = format!("{NATIVE}[teams.search]\n");
    check(&no_owner, |_| {}, 0, &["team `search` has no `owners`: nobody is told what it spends: add `owners = "]);
    check(&NATIVE.replace("groq", "nobody"), |_| {}, 0, &["no price of `nobody`, who bills for source `own`: add"]);
    let other = NATIVE.replace("native", "litellm");
    check(&other, |_| {}, 4, &["10 skipped: it looks like `native` (90 % sure)"]);
    let gone = |dir: &Path| fs::remove_dir_all(dir.join("pricing")).unwrap();
    check(NATIVE, gone, 4, &["problem  price book  pricing: the directory of the price book is missing: point"]);
    let broken = |dir: &Path| {
        let path = dir.join("logs/a.jsonl");
        let text = fs::read_to_string(&path).unwrap() + "half a line\nand another\n";
        fs::write(path, text).unwrap();
    };
    check(NATIVE, broken, 0, &["10 requests, 2 broken: line 11: expected a value at byte 0"]);
    let packed = |dir: &Path| fs::write(dir.join("logs/a.jsonl"), b"\x1f\x8b\x08 no gzip").unwrap();
    check(NATIVE, packed, 4, &["`logs/a.jsonl` cannot be read: "]);
    let empty = |dir: &Path| fs::write(dir.join("logs/a.jsonl"), "").unwrap();
    check(NATIVE, empty, 0, &["1 file, all empty: check that the gateway writes there"]);
    let silent = NATIVE.to_owned() + "silent_after = \"90m\"\n";
    check(&silent, ingest, 0, &["nothing since 2026-06-18T20:09:00Z, for 5 h; `silent_after` is 1 h"]);
    let early = |dir: &Path| {
        fs::write(dir.join("logs/a.jsonl"), native(0, "r").replace("2026-06-18", "2026-06-21")).unwrap();
        ingest(dir);
    };
    check(NATIVE, early, 0, &["and source `own` has a request of 2026-06-21T20:00:00Z: set this machine's clock"]);
}

#[test]
fn the_doctor_names_what_is_wrong_with_the_book() {
    let day = "book/usage/date=2026-06-18/usage.parquet";
    let spoilt = |dir: &Path| {
        ingest(dir);
        fs::write(dir.join(day), "no Parquet").unwrap();
    };
    check(NATIVE, spoilt, 4, &["`usage/date=2026-06-18/usage.parquet` in the book: Parquet error: "]);
    let file = |dir: &Path| fs::write(dir.join("book"), "a file").unwrap();
    check(NATIVE, file, 4, &["`book` is a file, expected a directory: move the file away"]);
    let staged = |dir: &Path| {
        ingest(dir);
        fs::create_dir_all(dir.join("book/staged")).unwrap();
        fs::write(dir.join("book/staged/usage.date=2026-06-18.usage.parquet#1"), "half").unwrap();
        fs::create_dir_all(dir.join("book/moves/usage")).unwrap();
        fs::write(dir.join("book/moves/usage/rows.parquet"), "").unwrap();
    };
    let expect = ["an interrupted run left 1 unfinished file", "an interrupted run left requests on their way"];
    check(NATIVE, staged, 0, &expect);
    let newer = |dir: &Path| {
        ingest(dir);
        fs::write(dir.join("book/version.json"), "{\"schema\":99}").unwrap();
    };
    check(NATIVE, newer, 4, &["the book has schema version 99"]);
    let running = |dir: &Path| {
        ingest(dir);
        let lock = fs::File::options().write(true).open(dir.join("book/lock")).unwrap();
        lock.lock().unwrap();
        std::mem::forget(lock); // Held until this process ends.
    };
    check(NATIVE, running, 0, &["a run is going on: `spendbook ingest`"]);
}

/// What is derived can be removed as the doctor says, and is the same again.
#[test]
fn the_doctor_says_how_to_mend_a_derived_file() {
    with_tempdir(|dir| {
        spendbook(dir, &["-q", "init"]);
        fs::create_dir(dir.join("logs")).unwrap();
        fs::write(dir.join("logs/a.jsonl"), native(1, "r") + "\n").unwrap();
        fs::write(dir.join("spendbook.toml"), NATIVE).unwrap();
        ingest(dir);
        let made = |command: &str| assert_eq!(spendbook(dir, &["--now", NOW, command]).code, 0, "{command}");
        made("price");
        made("audit");
        for (table, command) in [("charges", "price"), ("rollup", "price"), ("violations", "audit")] {
            let name = format!("{table}/date=2026-06-18/{table}.parquet");
            let path = dir.join("book").join(&name);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, "no Parquet").unwrap();
            let ran = spendbook(dir, &["--now", NOW, "doctor"]);
            let told: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("problem")).collect();
            assert!(ran.code == 4 && told.len() == 1 && told[0].starts_with("problem  book "), "{}", ran.out);
            assert!(told[0].contains(&format!("`{name}` in the book: Parquet error")), "{}", ran.out);
            assert!(told[0].contains(&format!("remove the file and run `spendbook {command}`")), "{}", ran.out);
            assert!(!ran.out.contains("every file can be opened"), "{}", ran.out);
            fs::remove_file(&path).unwrap();
            made(command);
            assert!(fs::read(&path).unwrap() == whole, "{name} is another one");
        }
    });
}

#[test]
fn two_sources_that_show_the_same_requests_are_told_of() {
    let two = format!("{NATIVE}{}", NATIVE.replace("own", "app").replace("logs/", "app/"));
    let twice = |dir: &Path| {
        fs::create_dir(dir.join("app")).unwrap();
        let lines: Vec<String> = (4..20).map(|n| native(n, "other")).collect();
        fs::write(dir.join("app/a.jsonl"), lines.join("\n") + "\n").unwrap();
    };
    let told = "60 % of its requests are in source `app`, too (same provider, model, minute and tokens): if both log \
                the same traffic it is counted twice: set `role = \"check\"` in one of them";
    check(
        &two,
        |dir| {
            twice(dir);
            let ran = spendbook(dir, &["--now", NOW, "ingest"]);
            assert!(ran.out.contains(&format!("own: {told}\n")), "{}", ran.out);
        },
        0,
        &[told],
    );
    let checked = two.replacen("provider", "role = \"check\"\nprovider", 1);
    check(
        &checked,
        |dir| {
            twice(dir);
            ingest(dir);
            spendbook(dir, &["-q", "--now", NOW, "price"]);
        },
        0,
        &[],
    );
}

#[test]
fn a_config_that_cannot_be_read_is_the_only_thing_told() {
    with_tempdir(|dir| {
        let ran = spendbook(dir, &["doctor"]);
        assert_eq!(ran.code, 4);
        assert!(ran.out.starts_with("problem  config  "), "{}", ran.out);
        let url = NATIVE.replace("logs/*.jsonl", "https://api.groq.com/openai/v1/usage");
        fs::write(dir.join("spendbook.toml"), url).unwrap();
        let ran = spendbook(dir, &["doctor"]);
        assert_eq!(ran.code, 4);
        assert!(ran.out.contains("Groq has no usage endpoint (it answers 404 `unknown_url`)"), "{}", ran.out);
        assert_eq!(spendbook(dir, &["ingest"]).code, 2);
    });
}
