//! House rules that a reviewer would otherwise have to repeat.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file longer than this has a second room in it.
const LONGEST: usize = 700;

/// Modules by stage: a module may import its own stage and those before it.
const STAGES: &[&[&str]] = &[
    &["record", "money", "time", "clock", "tally", "json", "secrets", "replace", "threads"],
    &["config", "book", "pricing", "teams", "periods", "budgets", "policy", "floors", "http"],
    &["ingest", "charges", "totals"],
    &["audit", "reconcile", "migrate", "prune"],
    &["runs", "mail", "ping", "bundled", "demo"],
    &["report"],
    &["export"],
    &["night"],
    &["doctor"],
    &["cli"],
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn all_files() -> Vec<(String, String)> {
    let files = ["src", "tests/it", "benches"].into_iter().filter(|dir| root().join(dir).is_dir()).flat_map(rust_files);
    files
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (name, text)
        })
        .collect()
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    for (name, text) in all_files() {
        assert!(text.starts_with("//!"), "{name}: begin with `//!`, what the module is for");
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{name}: {lines} lines, find the second room in it");
    }
}

#[test]
fn nothing_is_left_to_do_or_passed_over() {
    // Put together here, so that this file does not find itself.
    let banned = ["todo", "unimplemented"].map(|word| format!("{word}!("));
    let markers =
        [["FIX", "ME"].concat(), ["TO", "DO:"].concat(), ["#[ign", "ore"].concat(), ["#[all", "ow("].concat()];
    for (name, text) in all_files() {
        for word in banned.iter().chain(&markers) {
            assert!(!text.contains(word.as_str()), "{name}: `{word}`");
        }
    }
}

#[test]
fn imports_point_from_later_stages_to_earlier_ones() {
    let stage_of = |module: &str| STAGES.iter().position(|stage| stage.contains(&module));
    for (name, text) in all_files() {
        let Some(path) = name.strip_prefix("src/") else { continue };
        let module = path.split(['/', '.']).next().unwrap();
        if matches!(module, "lib" | "main") {
            continue;
        }
        let stage = stage_of(module).unwrap_or_else(|| panic!("{name}: give `{module}` a stage in tests/it/tidy.rs"));
        let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for imported in imported_modules(&code.join("\n")) {
            let Some(other) = stage_of(&imported) else { continue };
            assert!(other <= stage, "{name}: imports `{imported}`, which comes later");
            let parser_prices = module == "ingest" && matches!(imported.as_str(), "pricing" | "charges");
            assert!(!parser_prices, "{name}: ingest never prices, but imports `{imported}`");
        }
    }
}

/// The top-level modules that a file's `use crate::…` and `crate::…` name.
fn imported_modules(text: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    letter if depth == 1 && (letter.is_alphanumeric() || letter == '_') => {
                        word.push(letter);
                        continue;
                    }
                    // The first word of each item of the group is its module.
                    ':' | ',' if depth == 1 && !word.is_empty() => modules.push(std::mem::take(&mut word)),
                    _ => {}
                }
                if letter == ',' || letter == '\n' {
                    word.clear();
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            modules.push(rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect());
        }
    }
    modules
}
