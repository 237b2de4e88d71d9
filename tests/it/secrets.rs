//! Canary secrets in every place of every format's fixtures: none of their
//! bytes may be found in the book, in what the program says, or in its errors.

use std::{fs, path::Path};

use spendbook::ingest::formats;

use crate::support::{CONFIG, Dice, TestRun, files_below, request, rows_of_file};

/// In every canary, and in nothing else; a part of one would show it too.
const MARK: &str = "canary";

/// Every kind of credential, most with digits among their letters.
const CANARIES: [&str; 15] = [
    "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",
    "AIzaCANARY_QwErTyUiOp-AsDfGhJkLzXcVbNmQ",
    "sk-proj-CANARYqwertyuiopasdfg",
    "gsk_CANARY0Q2Fu4ry7abcdefgh0123456789ABCDEFGHIJKLMNOPQRS",
    "sk-CANARY0abcdefghijklmnopqrstuvwxyz012345",
    "sk-proj-CANARY0_abc-DEF456ghi789JKL012mno345",
    "sk-ant-api03-CANARY0abcdefgh12345678ijklmnop-AA",
    "sk-or-v1-CANARY00123456789abcdef0123456789abcdef",
    "sk-lf-CANARY00-1234-5678-9abc-def012345678",
    "xai-CANARY00123456789abcdefghijklmnop",
    "AIzaCANARY01234567890abcdefghijklmnop",
    "AKIACANARY0123456789",
    "hf_CANARY0abcdefghijklmnopqrstuv1234",
    "eyJCANARYhbGciOiJIUzI1NiJ9.CANARYeyJzdWIiOiIxMjM0NTY3ODkwIn0.CANARYabc123def456ghi789",
    "Bearer CANARY00123456789abcdef0123456789",
];

/// What may stand around one.
const PLACES: [(&str, &str); 12] = [
    ("", ""),
    ("", ""),
    ("used ", " today"),
    ("key=", ", and so on"),
    ("first\n", "\nthird"),
    ("first\ttab\t", "\r\n"),
    ("\"", "\""),
    ("https://example.com/v1?key=", "&n=1"),
    ("https%3A%2F%2Fexample.com%2F%3Fkey%3D", "%26n%3D1"),
    ("ключ ", "é"),
    ("name:", "@example.com"),
    ("[{(<", ">)}]"),
];

fn canary(dice: &mut Dice) -> String {
    let (before, after) = PLACES[dice.below(PLACES.len())];
    format!("{before}{}{after}", CANARIES[dice.below(CANARIES.len())])
}

/// Every value that could be another: texts, numbers, and what is inside.
fn leaves(value: &mut serde_json::Value, each: &mut dyn FnMut(&mut serde_json::Value)) {
    match value {
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| leaves(item, each)),
        serde_json::Value::Object(members) => members.values_mut().for_each(|member| leaves(member, each)),
        leaf => each(leaf),
    }
}

/// A JSON line with a canary in every place, one at a time, as a value and as a
/// name; each whole, cut off after the canary, and with a quote missing.
fn planted_in_json(line: &str, dice: &mut Dice) -> Vec<String> {
    let Ok(original) = serde_json::from_str::<serde_json::Value>(line) else { return Vec::new() };
    let mut count = 0;
    leaves(&mut original.clone(), &mut |_| count += 1);
    let mut planted = Vec::new();
    for wanted in 0..count {
        let mut value = original.clone();
        let mut at = 0;
        leaves(&mut value, &mut |leaf| {
            if at == wanted {
                *leaf = canary(dice).into();
            }
            at += 1;
        });
        planted.push(value.to_string());
    }
    let mut everywhere = original.clone();
    leaves(&mut everywhere, &mut |leaf| *leaf = canary(dice).into());
    planted.push(everywhere.to_string());
    if let serde_json::Value::Object(mut members) = original {
        members.insert(canary(dice), "a value".into());
        planted.push(serde_json::Value::Object(members).to_string());
    }
    let mut broken = Vec::new();
    for line in planted.iter().step_by(4) {
        let Some(after) = line.rfind("CANARY").and_then(|at| line[at..].find('"').map(|quote| at + quote)) else {
            continue;
        };
        broken.push(line[..=after].to_owned());
        broken.push(format!("{}{}", &line[..after], &line[after + 1..]));
        broken.push(format!("{} {line}", canary(dice).replace(['\r', '\n'], " ")));
    }
    planted.extend(broken);
    planted
}

/// A CSV file with a canary in every cell, one at a time, in its header, and in
/// rows that have a cell too many.
fn planted_in_csv(text: &str, dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let rows: Vec<Vec<String>> =
        reader.records().filter_map(Result::ok).map(|row| row.iter().map(str::to_owned).collect()).collect();
    let Some((header, rows)) = rows.split_first() else { return Vec::new() };
    let mut planted = vec![header.clone()];
    for row in rows {
        for cell in 0..row.len() {
            let mut row = row.clone();
            row[cell] = canary(dice);
            planted.push(row.clone());
            row.push(canary(dice));
            planted.push(row);
        }
    }
    let mut odd_header = header.clone();
    odd_header.push(canary(dice));
    let write = |rows: &[Vec<String>]| {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        for row in rows {
            writer.write_record(row).unwrap();
        }
        writer.into_inner().unwrap()
    };
    vec![write(&planted), write(&[odd_header, planted[planted.len() - 2].clone()])]
}

/// That no byte of a canary is anywhere.
fn assert_unseen(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    if let Some(at) = text.find(MARK) {
        let from = (at.saturating_sub(200)..=at).find(|&from| text.is_char_boundary(from)).unwrap();
        panic!("{what}: …{}…", text[from..].chars().take(300).collect::<String>());
    }
}

/// Nothing in the book, neither in its files' bytes nor in the rows they hold.
fn assert_unseen_in_book(run: &TestRun) {
    for (name, bytes) in files_below(&run.path("book")) {
        assert_unseen("a name in the book", name.as_bytes());
        assert_unseen(&name, &bytes);
        if name.ends_with(".parquet") {
            rows_of_file(bytes, &[]).unwrap().iter().for_each(|row| assert_unseen(&name, row.as_bytes()));
        }
    }
}

#[test]
fn no_secret_in_any_field_of_any_format_is_ever_stored_or_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut dice = Dice(0x5ec7);
    let mut config = "[book]\npath = \"book\"\n".to_owned();
    let run = TestRun::new();
    for format in formats::names() {
        let options = fs::read_to_string(root.join(format).join("source.toml")).unwrap_or_default();
        config +=
            &format!("[[source]]\nname = \"{format}\"\nformat = \"{format}\"\npath = \"{format}/*\"\n{options}\n");
        config += &format!(
            "[[source]]\nname = \"{format}-auto\"\nformat = \"auto\"\npath = \"{format}/basic*\"\nrole = \"check\"\n"
        );
        for (number, (name, bytes)) in files_below(&root.join(format)).into_iter().enumerate() {
            let text = String::from_utf8_lossy(&bytes);
            // A file's own name may hold one as well.
            let file = |kind: &str| format!("{format}/{name}-{}-{kind}", CANARIES[number % CANARIES.len()]);
            let kind = Path::new(&name).extension().unwrap().to_str().unwrap();
            if kind == "jsonl" {
                let lines: Vec<String> = text.lines().flat_map(|line| planted_in_json(line, &mut dice)).collect();
                assert!(!lines.is_empty(), "{format}/{name}");
                run.write(&file("0.jsonl"), lines.join("\n"));
            } else if kind == "csv" {
                for (part, bytes) in planted_in_csv(&text, &mut dice).into_iter().enumerate() {
                    run.write(&file(&format!("{part}.csv")), bytes);
                }
            }
        }
    }
    run.write("spendbook.toml", config);
    // The second run takes or sets aside what waited in the first.
    for arguments in [&["ingest", "--dry-run", "-v"][..], &["ingest", "-v"], &["ingest", "--log-format", "json", "-v"]]
    {
        let ran = run.run(arguments);
        assert_unseen(&format!("{arguments:?} on standard output"), ran.stdout.as_bytes());
        assert_unseen(&format!("{arguments:?} on standard error"), ran.stderr.as_bytes());
    }
    assert_unseen_in_book(&run);
    // That something was looked for: rows, entries that were set aside, and what stands for secrets.
    let (rows, quarantine) = (run.rows("usage"), run.quarantine());
    assert!(rows.len() > 500 && quarantine.len() > 1_000, "{} {}", rows.len(), quarantine.len());
    for column in ["request_id", "model", "key", "user", "tags", "team_reported", "provider", "source_file"] {
        let rows = run.rows_with_provenance("usage");
        let stands_for = |row: &String| {
            let value = row.split_once(&format!("{column}=")).map(|(_, rest)| rest);
            value.is_some_and(|rest| rest.split('=').next().unwrap_or_default().contains("fp_"))
        };
        assert!(rows.iter().any(stands_for), "no fingerprint in `{column}`");
    }
}

/// A piece of an entry is shown of one that is too long: not with half a secret.
#[test]
fn no_part_of_a_secret_is_shown_where_an_entry_is_cut() {
    let run = TestRun::new();
    for padding in (180..260).step_by(5).chain((880..980).step_by(5)) {
        let pad = "x ".repeat(padding / 2);
        for (number, canary) in CANARIES.iter().enumerate() {
            let line = format!("{{\"a\":\"{pad}\",\"b\":\"{canary}\",\"c\":\n");
            let good = request("chatcmpl-1", "2026-06-02T08:00:00Z", 1, 1);
            run.write(&format!("logs/{padding}-{number}.jsonl"), good + &line);
        }
    }
    for (number, canary) in CANARIES.iter().enumerate() {
        let pad = "x".repeat(200 + number);
        let endless = format!("{{\"a\":\"{pad}\",\"b\":\"{canary}\",\"c\":\"{}\"\n", "y".repeat(17 << 20));
        run.write(&format!("logs/{number}.jsonl"), endless);
    }
    run.ingest();
    assert_unseen_in_book(&run);
    assert!(run.quarantine().len() > 400);
}

#[test]
fn no_secret_is_said_where_nothing_can_be_read() {
    for canary in CANARIES {
        let name = canary.replace(' ', "-").replace("Bearer-", "xai-");
        let run = TestRun::with(&CONFIG.replace("logs/*", "logs/**/*"));
        fs::create_dir_all(run.path("logs")).unwrap();
        std::os::unix::fs::symlink("/nowhere", run.path(&format!("logs/{name}.jsonl"))).unwrap();
        run.write(&format!("logs/{name}/a.gz"), [0x1f, 0x8b, 9, 9]);
        run.write("logs/b.jsonl", request("chatcmpl-1", "2026-06-02T08:00:00Z", 1, 1));
        let ran = run.run(&["ingest", "-v"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert_unseen(canary, format!("{ran:?}").as_bytes());
        assert_unseen_in_book(&run);
        // In the config itself, where it does not belong.
        for line in [
            format!("password = \"{canary}\""),
            format!("provider = \"{canary}\""),
            format!("tier = {canary}"),
            format!("path = \"{name}/*\""),
        ] {
            run.write(
                "spendbook.toml",
                format!("[[source]]\nname = \"s\"\nformat = \"native\"\npath = \"x\"\n{line}\n"),
            );
            let ran = run.run(&["ingest", "-v"]);
            assert_unseen(&line.replace("CANARY", "*"), format!("{ran:?}").as_bytes());
        }
    }
}
