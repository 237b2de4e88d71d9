//! Reading things again: twice, after growing, copied, rotated, split, shuffled,
//! packed, half written. The book is the same, and the accounts say why.

use std::fs;

use crate::support::{CONFIG, Dice, TestRun, assert_same_bytes, gzip, ingest, log, request};

/// A name and what is in it.
type File = (&'static str, Vec<u8>);

#[test]
fn twice_is_once() {
    let run = TestRun::new();
    run.write("logs/a.jsonl", log(1_000).concat());
    run.ingest();
    let first = run.tables();
    assert_eq!(run.accounts("gateway"), "kept 979, skipped not_usage 11, quarantined not_json 10");
    assert!(run.ingest().contains("nothing new: no day changed"));
    assert_same_bytes(&run.tables(), &first, "read twice");
    assert_eq!(run.accounts("gateway"), "files_unchanged 1, lines_unchanged 1000");
    assert_eq!(run.record()["days_changed"], serde_json::json!([]));
    // Everything that only saves work is gone: everything is read once more.
    run.remove("book/state");
    run.ingest();
    assert_same_bytes(&run.tables(), &first, "without state");
    assert_eq!(run.accounts("gateway"), "duplicate 979, skipped not_usage 11, quarantined not_json 10");
}

#[test]
fn a_file_that_grows_is_read_on() {
    let lines = log(1_000);
    let whole = TestRun::new();
    whole.write("logs/a.jsonl", lines.concat());
    whole.ingest();
    let grown = TestRun::new();
    grown.write("logs/a.jsonl", "");
    for part in lines.chunks(301) {
        grown.append("logs/a.jsonl", part.concat());
        grown.ingest();
    }
    assert_same_bytes(&grown.tables(), &whole.tables(), "grown");
    assert!(grown.accounts("gateway").starts_with("lines_unchanged 903, kept "), "{}", grown.accounts("gateway"));
}

/// The same requests in other files: first beside those that were read before,
/// then in their place, then in a book of their own.
#[test]
fn the_same_requests_in_other_files_are_the_same_rows() {
    let lines = log(1_000);
    let whole = lines.concat().into_bytes();
    let mut shuffled = lines.clone();
    Dice(0x5eed).shuffle(&mut shuffled);
    let (first, second) = lines.split_at(437);
    let arrangements: [(&str, Vec<File>); 8] = [
        ("copied", vec![("copy.jsonl", whole.clone())]),
        ("copied to a name before", vec![("0.jsonl", whole.clone())]),
        ("split", vec![("1.jsonl", first.concat().into()), ("2.jsonl", second.concat().into())]),
        ("shuffled", vec![("s.jsonl", shuffled.concat().into())]),
        ("gzip", vec![("a.jsonl.gz", gzip(&whole))]),
        (
            "gzip of two members",
            vec![("a.gz", [gzip(first.concat().as_bytes()), gzip(second.concat().as_bytes())].concat())],
        ),
        ("zstd", vec![("a.jsonl.zst", zstd::encode_all(&whole[..], 1).unwrap())]),
        ("gzip by another name", vec![("a.txt", gzip(&whole))]),
    ];
    let original = TestRun::new();
    original.write("logs/a.jsonl", &whole);
    original.ingest();
    let expected = original.rows("usage");
    assert_eq!(expected.len(), 979);
    for (name, files) in arrangements {
        let beside = TestRun::new();
        beside.write("logs/a.jsonl", &whole);
        beside.ingest();
        let alone = TestRun::new();
        for (file, bytes) in &files {
            beside.write(&format!("logs/{file}"), bytes);
            alone.write(&format!("logs/{file}"), bytes);
        }
        beside.ingest();
        assert_eq!(beside.rows("usage"), expected, "{name}");
        assert_eq!(
            beside.accounts("gateway"),
            "files_unchanged 1, lines_unchanged 1000, duplicate 979, skipped not_usage 11, quarantined not_json 10",
            "{name}"
        );
        beside.remove("logs/a.jsonl");
        beside.ingest();
        assert_eq!(beside.rows("usage"), expected, "{name}, and the first file gone");
        alone.ingest();
        assert_eq!(alone.rows("usage"), expected, "{name}, alone");
    }
}

#[test]
fn a_rotated_log_is_the_same_log() {
    let lines = log(600);
    let run = TestRun::new();
    run.write("logs/app.log", lines[..300].concat());
    run.ingest();
    fs::rename(run.path("logs/app.log"), run.path("logs/app.log.1")).unwrap();
    run.write("logs/app.log", lines[300..].concat());
    run.ingest();
    let (rows, quarantine) = (run.rows("usage"), run.quarantine());
    assert_eq!(rows.len(), 587);
    // What was broken in the first is told of it under both its names.
    assert_eq!(quarantine.len(), 3 + 3 + 3, "{quarantine:?}");
    // Rotated in place: the name keeps, the content goes.
    fs::copy(run.path("logs/app.log"), run.path("logs/app.log.2")).unwrap();
    run.write("logs/app.log", "");
    run.ingest();
    assert_eq!(run.rows("usage"), rows);
}

const DAY: &str = "2026-06-02T";

fn at(time: &str) -> String {
    format!("{DAY}{time}Z")
}

#[test]
fn a_stream_ends_with_its_final_usage() {
    let run = TestRun::new();
    let id = "chatcmpl-6b77f788-464c-47b3-ad3d-baf89e67bc6f";
    let begun =
        format!("{{\"ts\":\"{}\",\"request_id\":\"{id}\",\"model\":\"llama-3.1-8b-instant\"}}\n", at("08:00:00"));
    run.write("logs/a.jsonl", begun + &request(id, &at("08:00:02"), 40, 7) + &request(id, &at("08:00:04"), 40, 439));
    run.ingest();
    assert_eq!(run.accounts("gateway"), "kept 1, superseded 2");
    let rows = run.rows("usage");
    assert_eq!(rows.len(), 1);
    assert!(rows[0].starts_with("ts=2026-06-02T08:00:00Z ts_last=2026-06-02T08:00:04Z"), "{rows:?}");
    assert!(rows[0].contains("quality=reported input_tokens=40 output_tokens=439"), "{rows:?}");
    // The next night brings the last chunk once more, and one from before the end.
    run.write("logs/b.jsonl", request(id, &at("08:00:04"), 40, 439) + &request(id, &at("08:00:03"), 40, 100));
    run.ingest();
    assert_eq!(run.accounts("gateway"), "files_unchanged 1, lines_unchanged 3, duplicate 1, superseded 1");
    assert_eq!(run.rows("usage"), rows);
}

#[test]
fn an_id_used_again_hours_apart_is_two_requests() {
    let run = TestRun::new();
    run.write(
        "logs/a.jsonl",
        request("chatcmpl-424", &at("08:00:00"), 10, 1) + &request("chatcmpl-424", &at("13:00:00"), 10, 1),
    );
    run.ingest();
    assert_eq!(run.accounts("gateway"), "kept 2");
    // One between them, on another night, joins neither; two more join all.
    run.write("logs/b.jsonl", request("chatcmpl-424", &at("08:20:00"), 10, 1));
    run.ingest();
    assert_eq!(run.rows("usage").len(), 3);
    run.write("logs/c.jsonl", request("chatcmpl-424", &at("08:10:00"), 10, 1));
    run.ingest();
    assert_eq!(run.accounts("gateway"), "files_unchanged 2, lines_unchanged 3, duplicate 1");
    assert_eq!(run.rows("usage").len(), 2);
}

#[test]
fn a_hit_in_the_gateways_cache_keeps_its_tokens() {
    let run = TestRun::new();
    let id = "chatcmpl-6b77f788-464c-47b3-ad3d-baf89e67bc6f";
    let hit = |time: &str| request(id, &at(time), 40, 9).replace("\"http_status\"", "\"cached\":true,\"http_status\"");
    run.write("logs/a.jsonl", request(id, &at("08:00:00"), 40, 9) + &hit("08:00:01") + &hit("08:00:02"));
    run.ingest();
    let rows = run.rows("usage");
    assert_eq!(run.accounts("gateway"), "kept 3");
    assert_eq!(rows.iter().filter(|row| row.contains("gateway_cache=true")).count(), 2, "{rows:?}");
    assert!(rows[1].contains("part=cache 2026-06-02T08:00:01Z") && rows[1].contains("output_tokens=9"), "{rows:?}");
}

#[test]
fn the_last_line_of_a_file_that_is_being_written() {
    let (one, two) = (request("chatcmpl-1", &at("08:00:00"), 1, 1), request("chatcmpl-2", &at("08:00:01"), 2, 2));
    // Complete JSON without a line end is taken, and is the same once that comes.
    let run = TestRun::new();
    run.write("logs/a.jsonl", one.clone() + two.trim_end());
    run.ingest();
    assert_eq!(run.accounts("gateway"), "kept 2");
    let rows = run.rows_with_provenance("usage");
    run.append("logs/a.jsonl", "\n");
    run.ingest();
    assert_eq!(run.rows_with_provenance("usage"), rows);

    // Half of it waits, and is taken when the rest is there.
    let run = TestRun::new();
    run.write("logs/a.jsonl", one.clone() + &two[..40]);
    run.ingest();
    assert_eq!(run.accounts("gateway"), "pending 1, kept 1");
    run.append("logs/a.jsonl", &two[40..]);
    run.ingest();
    assert_eq!(run.accounts("gateway"), "lines_unchanged 1, kept 1");
    assert_eq!(run.rows_with_provenance("usage"), rows);

    // Unchanged since, it is set aside; what comes after all is taken still.
    let run = TestRun::new();
    run.write("logs/a.jsonl", one + &two[..40]);
    run.ingest();
    run.ingest();
    assert_eq!(run.accounts("gateway"), "lines_unchanged 1, quarantined cut_off 1");
    assert!(run.quarantine()[0].starts_with("logs/a.jsonl:2 cut_off: "), "{:?}", run.quarantine());
    run.ingest();
    assert_eq!(run.accounts("gateway"), "files_unchanged 1, lines_unchanged 1");
    run.append("logs/a.jsonl", &two[40..]);
    run.ingest();
    assert_eq!(run.rows_with_provenance("usage"), rows);
    assert_eq!(run.quarantine(), [""; 0]);
}

/// Of a number at the end of a CSV file nobody knows whether it is whole.
#[test]
fn the_last_row_of_a_csv_file_waits() {
    let run = TestRun::with(&CSV.replace("<path>", "logs/*.csv"));
    run.write("logs/a.csv", "ts,id,model,in,out\n2026-06-02T08:00:00Z,r1,m,1,2\n2026-06-02T08:00:01Z,r2,m,1,2");
    run.ingest();
    assert_eq!(run.accounts("sheet"), "pending 1, kept 1");
    run.append("logs/a.csv", "34\n2026-06-02T08:00:02Z,r3,m,1,5");
    run.ingest();
    assert_eq!(run.accounts("sheet"), "pending 1, kept 1, duplicate 1");
    run.ingest();
    assert_eq!(run.accounts("sheet"), "kept 1, duplicate 2");
    let rows = run.rows("usage");
    assert!(rows[1].contains("output_tokens=234") && rows[2].contains("output_tokens=5"), "{rows:?}");
    run.ingest();
    assert_eq!(run.accounts("sheet"), "files_unchanged 1, lines_unchanged 3");
}

const CSV: &str = r#"
[book]
path = "book"
[[source]]
name = "sheet"
format = "custom"
path = "<path>"
provider = "groq"
[source.fields]
ts = "ts"
request_id = "id"
model = "model"
prompt_tokens = "in"
completion_tokens = "out"
"#;

#[test]
fn a_truncated_gzip_keeps_what_came_before_the_cut() {
    for format in ["native", "auto"] {
        let run = TestRun::with(&CONFIG.replace("native", format));
        let whole = gzip(log(2_000).concat().as_bytes());
        run.write("logs/a.jsonl.gz", &whole[..whole.len() / 2]);
        let ran = run.run(&["ingest"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(
            ran.stdout.contains("failed: gateway: logs/a.jsonl.gz: is cut off: what came before is kept"),
            "{ran:?}"
        );
        let kept = run.rows("usage").len();
        assert!((100..1_900).contains(&kept), "{kept}");
        // As long as it is as it was, it is named and not read.
        let ran = run.run(&["ingest"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stdout.contains("is cut off, as before: it is read again when it changes"), "{ran:?}");
        run.write("logs/a.jsonl.gz", &whole);
        run.ingest();
        assert_eq!(run.rows("usage").len(), 2_000 - 21 - 21);
        // Cut before the first entry: that is told as well.
        run.write("logs/b.jsonl.gz", &whole[..20]);
        let ran = run.run(&["ingest"]);
        assert_eq!(ran.code, 1, "{format}: {ran:?}");
        assert!(ran.stdout.contains("logs/b.jsonl.gz: is cut off"), "{format}: {ran:?}");
    }
}

/// What a file is in is found out once, not from whatever was added last.
#[test]
fn a_recognised_file_stays_recognised_as_it_grows() {
    let run = TestRun::with(&CONFIG.replace("native", "auto"));
    run.write("logs/empty.jsonl", "");
    run.write("logs/a.jsonl", &log(12)[0][..30]);
    run.ingest();
    assert_eq!(run.accounts("gateway"), "pending 1");
    run.write("logs/a.jsonl", log(12)[..9].concat());
    assert!(run.ingest().contains("logs/a.jsonl: read as `native` (90 % sure)"));
    assert_eq!(run.accounts("gateway"), "files_unchanged 1, kept 9");
    // By itself this is recognised as nothing, or as another format.
    run.append("logs/a.jsonl", "{\"path\":\"/healthz\"}\n{\"resourceSpans\":[]}\n");
    run.ingest();
    assert_eq!(run.accounts("gateway"), "files_unchanged 1, lines_unchanged 9, skipped not_usage 2");
    run.append("logs/a.jsonl", log(12)[9..].concat());
    run.ingest();
    assert_eq!(run.accounts("gateway"), "files_unchanged 1, lines_unchanged 11, kept 2, skipped not_usage 1");
}

#[test]
fn a_dry_run_writes_nothing() {
    let run = TestRun::new();
    run.write("logs/a.jsonl", log(200).concat());
    let ran = run.run(&["ingest", "--dry-run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("the first records, as they would be stored:"), "{ran:?}");
    assert!(ran.stdout.contains("request_id = chatcmpl-00000000000000000000000000000000"), "{ran:?}");
    assert!(!run.path("book").exists());
    // It has told what would be done, in numbers.
    let numbers = |said: &str| said.lines().take(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(numbers(&run.ingest()), numbers(&ran.stdout));
    let before = crate::support::files_below(&run.path("book"));
    run.write("logs/b.jsonl", request("chatcmpl-1", &at("08:00:00"), 1, 1) + "broken\n{\"half\":");
    run.run(&["ingest", "--dry-run"]);
    run.run(&["ingest", "--dry-run", "--again", "--source", "gateway"]);
    assert_same_bytes(&crate::support::files_below(&run.path("book")), &before, "dry run");
}

#[test]
fn a_check_source_never_reaches_the_books() {
    let second = "\n[[source]]\nname = \"provider\"\nformat = \"native\"\nrole = \"check\"\npath = \"export/*\"\nprovider = \"groq\"\n";
    let run = TestRun::with(&(CONFIG.to_owned() + second));
    run.write("logs/a.jsonl", request("chatcmpl-1", &at("08:00:00"), 1, 1));
    run.write(
        "export/a.jsonl",
        request("chatcmpl-1", &at("08:00:00"), 1, 1) + &request("chatcmpl-2", &at("08:00:00"), 1, 1),
    );
    run.ingest();
    assert_eq!((run.rows("usage").len(), run.rows("checks").len()), (1, 2));
    assert!(run.rows("usage")[0].contains("source=gateway") && run.rows("checks")[0].contains("source=provider"));
    assert_eq!(run.accounts("provider"), "kept 2");
    assert_eq!(run.record()["days_changed"], serde_json::json!(["2026-06-02"]));
}

/// Two sources with one request in common; the second's options are wrong.
fn again_config(options: &str) -> String {
    format!(
        "[book]\npath = \"book\"\n[[source]]\nname = \"gateway\"\nformat = \"native\"\npath = \"logs/*\"\nprovider = \"groq\"\n\
         [[source]]\nname = \"proxy\"\nformat = \"custom\"\npath = \"sheets/*\"\nprovider = \"groq\"\n{options}\n\
         [source.fields]\nts = \"ts\"\nrequest_id = \"id\"\nmodel = \"model\"\ncompletion_tokens = \"out\"\n"
    )
}

/// A book of these options; the sheets without a line end, read until nothing
/// waits.
fn again_book(options: &str) -> TestRun {
    let run = TestRun::with(&again_config(options));
    run.write(
        "logs/a.jsonl",
        request("chatcmpl-0", &at("08:00:00"), 1, 1) + &request("chatcmpl-1", &at("09:00:00"), 1, 1),
    );
    run.write(
        "sheets/a.csv",
        format!("ts,id,model,out\n{},chatcmpl-1,m,7\n{},chatcmpl-2,m,8", at("09:00:00"), at("01:00:00")),
    );
    run.write("sheets/b.csv", format!("ts,id,model,out\n{},chatcmpl-3,m,9\nnever,chatcmpl-4,m,9", at("23:58:00")));
    run.write("sheets/c.csv", "ts,id,model,out\n2026-06-03T00:03:00Z,chatcmpl-3,m,99");
    run.ingest();
    run.ingest();
    run
}

#[test]
fn ingest_again_reads_the_new_way_what_was_read_the_old_way() {
    let run = again_book("tier = \"flex\"");
    assert_eq!(run.rows("usage").len(), 4);
    // Times without a zone would move; these have one, so that only the tier changes.
    run.write("spendbook.toml", again_config("tier = \"batch\"\npriority = 5"));
    let asked = run.ingest();
    assert!(
        asked.contains("its options have changed since it was read: run `spendbook ingest --again --source proxy`"),
        "{asked}"
    );
    let ran = run.run(&["ingest", "--again", "--source", "proxy"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let fresh = again_book("tier = \"batch\"\npriority = 5");
    assert_same_bytes(&run.tables(), &fresh.tables(), "again");
    assert_eq!(run.record()["accounts"]["sources"]["proxy"]["withdrawn"], 3);
    // It is asked for no more, and doing it again changes nothing.
    assert!(!run.ingest().contains("its options have changed"));
    run.run(&["ingest", "--again", "--source", "proxy"]);
    assert_same_bytes(&run.tables(), &fresh.tables(), "again, and again");
}

/// What was quarantined for an option that was wrong is not broken any more.
#[test]
fn ingest_again_takes_back_what_was_quarantined() {
    let run = TestRun::with(&CONFIG.replace("provider = \"groq\"", ""));
    run.write("logs/a.jsonl", request("chatcmpl-0", &at("08:00:00"), 1, 1));
    run.ingest();
    assert!(run.quarantine()[0].contains("set `provider` in the source"), "{:?}", run.quarantine());
    run.write("spendbook.toml", CONFIG);
    run.run(&["ingest", "--again", "--source", "gateway"]);
    assert_eq!((run.rows("usage").len(), run.quarantine().len()), (1, 0));
}

/// What cannot be read again stays as it was, and is named.
#[test]
fn ingest_again_leaves_what_cannot_be_read_again() {
    let run = again_book("");
    let rows = run.rows_with_provenance("usage");
    run.remove("sheets/b.csv");
    run.write("sheets/c.csv", &gzip(b"ts,id,model,out\n2026-06-03T00:03:00Z,chatcmpl-3,m,99\n")[..30]);
    let ran = run.run(&["ingest", "--again", "--source", "proxy"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(run.rows_with_provenance("usage"), rows);
    assert!(ran.stdout.contains("failed: proxy: sheets/c.csv: is cut off"), "{ran:?}");
    assert!(
        ran.stdout.contains("proxy: sheets/c.csv: the file is gone or cannot be read: 1 of its requests stay"),
        "{ran:?}"
    );
}

/// A request whose versions lie on both sides of the first or the last day.
#[test]
fn ingest_again_of_some_days_keeps_requests_whole() {
    for days in [["--from", "2026-06-02"], ["--to", "2026-06-02"], ["--from", "2026-06-03"], ["--to", "2026-06-03"]] {
        let run = again_book("");
        let tables = run.tables();
        let ran = run.run(&["ingest", "--again", "--source", "proxy", days[0], days[1]]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_same_bytes(&run.tables(), &tables, &days.concat());
        let ran = run.run(&["ingest"]);
        assert!(ran.stdout.contains("nothing new"), "{ran:?}");
    }
    // With another zone, a request may come back on a day that was not asked for.
    let run = TestRun::with(&again_config("timezone = \"UTC\""));
    run.write("logs/a.jsonl", "");
    run.write("sheets/a.csv", "ts,id,model,out\n2026-06-02 01:00:00,chatcmpl-1,m,7\n");
    run.ingest();
    run.write("spendbook.toml", again_config("timezone = \"Asia/Tokyo\""));
    run.run(&["ingest", "--again", "--source", "proxy", "--from", "2026-06-02"]);
    let rows = run.rows("usage");
    assert!(rows.len() == 1 && rows[0].starts_with("ts=2026-06-01T16:00:00Z"), "{rows:?}");
}

/// One request that is logged on both sides of two midnights, in every order,
/// one line a night; and one that only looks like it.
#[test]
fn requests_across_midnight_come_in_any_order() {
    let id = "chatcmpl-6b77f788-464c-47b3-ad3d-baf89e67bc6f";
    let times = ["2026-06-02T23:45:00Z", "2026-06-02T23:54:59Z", "2026-06-03T00:04:00Z", "2026-06-03T00:14:00Z"];
    let lines: Vec<String> = (1..).zip(times).map(|(output, ts)| request(id, ts, 10, output)).collect();
    let apart = request(id, "2026-06-03T00:24:00.000001Z", 10, 9);
    let at_once = TestRun::in_memory(CONFIG);
    at_once.write("logs/a.jsonl", lines.concat() + &apart);
    ingest(&at_once, 1 << 30, 1);
    let rows = at_once.rows("usage");
    assert_eq!(rows.len(), 2);
    assert!(rows[0].starts_with("ts=2026-06-02T23:45:00Z ts_last=2026-06-03T00:14:00Z"), "{rows:?}");
    assert!(rows[0].contains("output_tokens=4") && rows[1].contains("output_tokens=9"), "{rows:?}");
    for order in orders(4) {
        for night_of_the_other in [0, 3] {
            let run = TestRun::in_memory(CONFIG);
            for (night, &line) in order.iter().enumerate() {
                run.write(&format!("logs/{night}.jsonl"), &lines[line]);
                if night == night_of_the_other {
                    run.write("logs/apart.jsonl", &apart);
                }
                let done = ingest(&run, 1 << 30, 2);
                // Each night's book is right by itself: nothing is in two days.
                let rows = run.rows("usage");
                let after: u64 = done.tally.days.values().map(|day| day.after).sum();
                assert!(rows.len() as u64 >= after && rows.len() <= 4, "{order:?}: {rows:?}");
            }
            assert_eq!(run.rows("usage"), rows, "{order:?}");
        }
    }
}

/// Every order of the first few numbers.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for number in 0..count {
        all = all
            .iter()
            .flat_map(|order: &Vec<usize>| {
                (0..=order.len()).map(move |at| [&order[..at], &[number], &order[at..]].concat())
            })
            .collect();
    }
    all
}

/// Counted twice, it was found out: the second source only checks from now on.
#[test]
fn a_source_that_becomes_a_check_leaves_the_books() {
    let second = "\n[[source]]\nname = \"provider\"\nformat = \"native\"\npath = \"export/*\"\nprovider = \"groq\"\npriority = 1\n";
    let write = |run: &TestRun| {
        run.write("logs/a.jsonl", request("chatcmpl-1", &at("08:00:00"), 1, 1));
        let export = request("chatcmpl-1", &at("08:00:00"), 1, 1) + &request("chatcmpl-2", &at("09:00:00"), 1, 1);
        run.write("export/a.jsonl", export);
    };
    let run = TestRun::with(&(CONFIG.to_owned() + second));
    write(&run);
    run.ingest();
    assert!(run.rows("usage").len() == 2 && run.rows("usage")[0].contains("source=provider"));
    let check = CONFIG.to_owned() + second + "role = \"check\"\n";
    run.write("spendbook.toml", &check);
    assert!(run.ingest().contains("provider: its options have changed since it was read"));
    let ran = run.run(&["ingest", "--again", "--source", "provider"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let fresh = TestRun::with(&check);
    write(&fresh);
    fresh.ingest();
    assert_same_bytes(&run.tables(), &fresh.tables(), "as if it had always been a check");
    assert!(run.ingest().contains("nothing new"));
    // And back.
    run.write("spendbook.toml", CONFIG.to_owned() + second);
    run.run(&["ingest", "--again", "--source", "provider"]);
    assert_eq!((run.rows("usage").len(), run.rows("checks").len()), (2, 0));
}
