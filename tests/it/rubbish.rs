//! Bad input of every kind: a clear message, or an entry in quarantine with
//! file, line and reason; never a panic, never a row lost without a word, and
//! memory that stays bounded.

use std::{
    fs,
    io::{self, Read, Write as _},
    process::{Child, Stdio},
    time::Duration,
};

use crate::support::{CONFIG, Ran, TestRun, gzip, request};

/// A good line, what is to be tested, and a good line after it.
fn between(middle: &[u8]) -> Vec<u8> {
    let good = |id: &str| request(id, "2026-06-02T08:00:00Z", 1, 1).into_bytes();
    [&good("chatcmpl-before"), middle, b"\n", &good("chatcmpl-after")].concat()
}

/// A line with one member of a request replaced.
fn with(name: &str, value: &str) -> Vec<u8> {
    let good = request("chatcmpl-odd", "2026-06-02T08:00:00Z", 1, 1);
    let start = good.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
    let end = start + good[start..].find([',', '}']).unwrap();
    format!("{}{value}{}", &good[..start], good[end..].trim_end()).into()
}

#[test]
fn a_broken_line_goes_to_quarantine_and_the_others_stay() {
    let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"not json".into(), "not_json: expected a value at byte 0"),
        (b"{\"ts\":\"2026-06-02T08:00:00Z\",".into(), "not_json: "),
        (b"{} {}".into(), "not_json: "),
        (b"\0\0\0\0".into(), "not_json: expected a value at byte 0"),
        (b"{\"model\":\"a\0b\"}".into(), "not_json: "),
        (b"{\"model\":\"\xff\xfe\"}".into(), "not_utf8: not UTF-8 at byte 10"),
        (b"\xed\xa0\x80".into(), "not_utf8: not UTF-8 at byte 0"),
        (b"12".into(), "wrong_type: a number, expected an object"),
        (b"\"text\"".into(), "wrong_type: a text, expected an object"),
        (b"null".into(), "wrong_type: null, expected an object"),
        (b"[1]".into(), "wrong_type: a number, expected an object"),
        (deep(100_000), "not_json: "),
        (
            with("prompt_tokens", "-1"),
            "out_of_range: `prompt_tokens` is `-1`, expected a whole number from 0 to 2^63 - 1",
        ),
        (with("prompt_tokens", "9223372036854775808"), "out_of_range: `prompt_tokens` is `9223372036854775808`, "),
        (
            with("prompt_tokens", "9223372036854775807"),
            "out_of_range: a quantity is `9223372036854775807`, expected less than 2^53",
        ),
        (with("completion_tokens", "1e400"), "out_of_range: `completion_tokens` is `1e400`, "),
        (with("completion_tokens", "1.5"), "wrong_type: `completion_tokens` is `1.5`, "),
        (with("completion_tokens", "\"many\""), "wrong_type: `completion_tokens` is `many`, "),
        (with("completion_tokens", "[]"), "wrong_type: `completion_tokens` is an array, "),
        (
            b"{\"ts\":\"2026-06-02T08:00:00Z\",\"model\":\"m\",\"usage\":7}".into(),
            "wrong_type: `usage` is a number, expected an object",
        ),
        (with("model", "{\"a\":1}"), "wrong_type: `model` is an object, "),
        (with("http_status", "99999"), "out_of_range: `http_status` is `99999`, expected an HTTP status code"),
        (
            with("ts", "\"1970-01-01T00:00:00Z\""),
            "bad_time: `ts` is `1970-01-01T00:00:00Z`, expected a time between 2020 and 2100",
        ),
        (
            with("ts", "\"2286-11-20T17:46:40Z\""),
            "bad_time: `ts` is `2286-11-20T17:46:40Z`, expected a time between 2020 and 2100",
        ),
        (with("ts", "0"), "bad_time: `ts` is `0`, "),
        (with("ts", "9999999999"), "bad_time: `ts` is `9999999999`, "),
        (with("ts", "\"soon\""), "bad_time: `ts` is `soon`, "),
        (with("ts", "null"), "missing_field: `ts` is missing, expected the start of the request as RFC 3339"),
    ];
    let run = TestRun::new();
    for (number, (line, _)) in cases.iter().enumerate() {
        run.write(&format!("logs/{number:02}.jsonl"), between(line));
    }
    run.ingest();
    assert_eq!(run.rows("usage").len(), 2);
    let quarantine = run.quarantine();
    assert_eq!(quarantine.len(), cases.len(), "{quarantine:#?}");
    for (number, ((_, expect), found)) in cases.iter().zip(&quarantine).enumerate() {
        let expect = format!("logs/{number:02}.jsonl:2 {expect}");
        assert!(found.starts_with(&expect), "expected {expect}\n   found {found}");
    }
    // The exit code says so to those who ask for it.
    assert_eq!(run.run(&["ingest", "--strict"]).code, 0);
    run.remove("book/state");
    assert_eq!(run.run(&["ingest", "--strict"]).code, 3);
}

#[test]
fn what_only_looks_odd_is_taken() {
    let odd = [
        with("prompt_tokens", "\"12\""),
        with("prompt_tokens", "12.0"),
        with("completion_tokens", "null"),
        with("key", "\"\\ud83d\\ude00 \\u0000 \\n\""),
        with("ts", "1780387200.25"),
        with("model", "\"\\ud800\""),
        [b"\xef\xbb\xbf".to_vec(), with("prompt_tokens", "3"), b"\r".to_vec()].concat(),
    ];
    let run = TestRun::new();
    for (number, line) in odd.iter().enumerate() {
        let line = String::from_utf8_lossy(line).replace("chatcmpl-odd", &format!("chatcmpl-odd{number}"));
        run.write(&format!("logs/{number}.jsonl"), line + "\r\n\r\n");
    }
    run.ingest();
    assert_eq!((run.rows("usage").len(), run.quarantine()), (odd.len(), Vec::new()));
}

/// Runs it, and the most memory it ever had, in MiB.
fn ingest_measured(run: &TestRun) -> (Ran, u64) {
    let mut child = run.command(&["ingest"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(high_water(&child).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert!(peak > 0, "it was too quick to be measured");
    (ran, peak / 1024)
}

fn high_water(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What nobody would write on purpose: a line of 100 MB, an array element and a
/// CSV cell of 20 MB.
#[test]
fn an_endless_line_is_passed_over() {
    let run = TestRun::with(&(CONFIG.to_owned() + SHEET));
    run.write("logs/line.jsonl", between(&[b"{\"a\":\"", &vec![b'x'; 100 << 20][..], b"\"}"].concat()));
    let long = vec![b'x'; 20 << 20];
    let good = request("chatcmpl-array", "2026-06-02T08:00:00Z", 1, 1);
    run.write("logs/array.json", [b"[\"", &long[..], b"\",", good.as_bytes(), b"]"].concat());
    run.write("logs/tail.jsonl", &long);
    let row = b"2026-06-02T08:00:00Z,chatcmpl-row,m,1\n";
    run.write("sheets/a.csv", [b"ts,id,model,out\n\"", &long[..], b"\"\n", &row[..]].concat());
    let (ran, peak) = ingest_measured(&run);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(run.rows("usage").len(), 4);
    let too_long = ["logs/array.json:1", "logs/line.jsonl:2", "logs/tail.jsonl:1", "sheets/a.csv:2"]
        .map(|place| format!("{place} too_long: longer than 16 MiB, expected one request"));
    assert_eq!(run.quarantine(), too_long);
    assert!(peak < 200, "{peak} MiB");
    // The rest of a line that was too long is no line of its own.
    run.append("logs/tail.jsonl", format!("x\n{}", request("chatcmpl-tail", "2026-06-02T08:00:00Z", 1, 1)));
    run.ingest();
    assert_eq!(run.rows("usage").len(), 5);
    assert_eq!(run.quarantine(), too_long);
}

const SHEET: &str = r#"
[[source]]
name = "sheet"
format = "custom"
path = "sheets/*"
provider = "groq"
[source.fields]
ts = "ts"
request_id = "id"
model = "model"
completion_tokens = "out"
"#;

/// A few hundred kilobytes that unpack to hundreds of megabytes.
#[test]
fn a_decompression_bomb_is_not_held_in_memory() {
    let run = TestRun::with(&(CONFIG.to_owned() + SHEET));
    let pack = |byte: u8, size: u64| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        io::copy(&mut io::repeat(byte).take(size), &mut encoder).unwrap();
        encoder.write_all(&between(b"")).unwrap();
        encoder.finish().unwrap()
    };
    run.write("logs/zeros.zst", pack(0, 300 << 20));
    run.write("logs/blank.zst", pack(b'\n', 100 << 20));
    run.write("logs/open.zst", pack(b'[', 20 << 20));
    run.write("sheets/quotes.zst", pack(b'"', 20 << 20));
    run.write("sheets/zeros.gz", gzip(&vec![0; 20 << 20]));
    let (ran, peak) = ingest_measured(&run);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(peak < 300, "{peak} MiB");
    // After 300 MB of zeros without a line end, the second line is whole.
    assert_eq!(run.rows("usage").len(), 2);
    assert!(
        run.quarantine().iter().any(|entry| entry.starts_with("logs/zeros.zst:1 too_long")),
        "{:#?}",
        run.quarantine()
    );
}

#[test]
fn what_is_no_file_is_named_and_the_others_are_read() {
    let run = TestRun::with(&(CONFIG.to_owned() + SHEET));
    run.write("logs/good.jsonl", request("chatcmpl-1", "2026-06-02T08:00:00Z", 1, 1));
    run.write("logs/zstd.zst", [0x28, 0xb5, 0x2f, 0xfd, 9, 9, 9, 9, 9]);
    run.write("logs/gzip.gz", [0x1f, 0x8b, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
    fs::create_dir(run.path("logs/directory.jsonl")).unwrap();
    // Root may read anything, so that a link to nothing stands for what cannot be read.
    std::os::unix::fs::symlink("/nowhere/at/all", run.path("logs/link.jsonl")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(run.path("logs/pipe.jsonl")).status().unwrap();
    assert!(pipe.success());
    let ran = run.run(&["ingest"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(run.rows("usage").len(), 1);
    for expect in [
        "failed: gateway: logs/link.jsonl: cannot be read: No such file or directory (os error 2)",
        "failed: gateway: logs/pipe.jsonl: cannot be read: it is a pipe or device, expected a file",
        "failed: gateway: logs/gzip.gz: ",
        "failed: gateway: logs/zstd.zst: ",
        "sheet: no file matches `sheets/*`: check `path`, which is relative to the config's directory",
    ] {
        assert!(ran.stdout.contains(expect), "{expect}\n{}", ran.stdout);
    }
    // Nothing but what failed is tried again.
    let again = run.run(&["ingest"]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(run.accounts("gateway").starts_with("files_unchanged 3"), "{}", run.accounts("gateway"));
}

/// A directory where a file was meant is read as one: its files are.
#[test]
fn a_directory_as_path_is_all_its_files() {
    let run = TestRun::with(&CONFIG.replace("logs/*", "logs/a.jsonl"));
    run.write("logs/a.jsonl/x", request("chatcmpl-1", "2026-06-02T08:00:00Z", 1, 1));
    run.ingest();
    assert!(run.rows_with_provenance("usage")[0].contains("source_file=logs/a.jsonl/x"));
}

#[test]
fn mistakes_in_config_and_arguments_exit_with_2() {
    let run = TestRun::new();
    let cases: &[(&str, &[&str], &str)] = &[
        (CONFIG, &["ingest", "--source", "gatewy"], "there is no source `gatewy`, the config has `gateway`"),
        (CONFIG, &["ingest", "--again"], "--source <NAME>"),
        (CONFIG, &["ingset"], "ingest"),
        (CONFIG, &["ingest", "--memory", "1K"], "at least 64M"),
        (CONFIG, &["ingest", "--config", "none.toml"], "none.toml"),
        (&CONFIG.replace("format", "formt"), &["ingest"], "formt"),
        (&CONFIG.replace("native", "natve"), &["ingest"], "`native`"),
        (&CONFIG.replace("[[source]]", "[[sorce]]"), &["ingest"], "sorce"),
        (&CONFIG.replace("path = \"logs/*\"", ""), &["ingest"], "path"),
        ("not toml", &["ingest"], "spendbook.toml"),
        ("\0", &["ingest"], "spendbook.toml"),
    ];
    for (config, arguments, expect) in cases {
        run.write("spendbook.toml", config);
        let ran = run.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(expect) && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
    run.write("spendbook.toml", CONFIG.replace("logs/*", "logs/***x"));
    let ran = run.run(&["ingest"]);
    assert!(ran.code != 0 && format!("{}{}", ran.stdout, ran.stderr).contains("logs/***x"), "{ran:?}");
}
