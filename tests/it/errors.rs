//! What the program says when something is wrong: one folder per case in
//! `tests/errors/`, with what is there before (`input/`), what is done
//! (`case.toml`) and every word of the answer (`stderr`). `docs/ERRORS.md` is
//! made of them. `SPENDBOOK_UPDATE_DOCS=1 cargo test errors` writes both anew.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    docs::check_generated,
    support::{TestRun, files_below},
};

/// `case.toml`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What has gone wrong, in a sentence.
    means: String,
    /// Commands that are run before.
    #[serde(default)]
    before: Vec<String>,
    command: String,
    exit: i32,
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors")
}

fn cases() -> Vec<(String, Case)> {
    let mut cases: Vec<_> = fs::read_dir(dir())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(path.join("case.toml")).unwrap_or_else(|error| panic!("{name}: {error}"));
            let case = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, case)
        })
        .collect();
    cases.sort_by(|(a, _), (b, _)| a.cmp(b));
    cases
}

/// A command's arguments; quotes hold one together, as in a shell.
fn words(command: &str) -> Vec<&str> {
    let parts = command.split('"').enumerate();
    parts.flat_map(|(at, part)| if at % 2 == 1 { vec![part] } else { part.split_whitespace().collect() }).collect()
}

/// What the program says to a case.
fn answer(name: &str, case: &Case) -> String {
    let run = TestRun::empty();
    for (file, bytes) in files_below(&dir().join(name).join("input")) {
        run.write(&file, bytes);
    }
    let ran = |command: &str| run.run(&words(command));
    for command in &case.before {
        let before = ran(command);
        assert_eq!(before.code, 0, "{name}: {before:?}");
    }
    let ran = ran(&case.command);
    assert_eq!(ran.code, case.exit, "{name}: {ran:?}");
    // A source that fails is told among the accounts.
    let failures: String =
        ran.stdout.lines().filter(|line| line.starts_with("failed: ")).map(|it| format!("{it}\n")).collect();
    format!("{failures}{}", ran.stderr).replace(&run.dir().display().to_string(), "<dir>")
}

#[test]
fn every_mistake_has_an_answer_that_helps_and_the_page_of_errors_shows_it() {
    let mut page = "# Errors

This page is generated from `tests/errors/`, where each case is tested to the word: do not edit it, change the case and run `SPENDBOOK_UPDATE_DOCS=1 cargo test errors`. A message says where, what was found, what was expected and what to do, in one line for the mails that cron sends; only mistakes in the config and the price book take a line each, all of them at once.
"
    .to_owned();
    for (name, case) in cases() {
        let found = answer(&name, &case);
        let path = dir().join(&name).join("stderr");
        if std::env::var_os("SPENDBOOK_UPDATE_DOCS").is_some() {
            fs::write(&path, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&path).unwrap_or_default(), "{name}");
        let Case { means, command, exit, .. } = case;
        write!(
            page,
            "\n## {name}\n\n{means} Exit code {exit}.\n\n```console\n$ spendbook {command}\n{}\n```\n",
            found.trim_end()
        )
        .unwrap();
    }
    check_generated("ERRORS.md", &page);
}
