//! Killed, out of space, twice at once, damaged: at every moment the book is
//! readable and right, and the next run completes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::{Duration, Instant},
};

use spendbook::{book::Book, config::Config, ingest::Options};

use crate::support::{
    CONFIG, Dice, Ran, TestRun, assert_same_bytes, files_below, log, request, rows_of_file, tables, times,
};

/// The second of two nights: what was read before, what is new, and the books
/// before and after an undisturbed run.
struct Night {
    before: TestRun,
    old: BTreeMap<String, Vec<u8>>,
    new: BTreeMap<String, Vec<u8>>,
    usual: Duration,
    arguments: Vec<&'static str>,
}

/// A few megabytes over three days. Half of it was read the night before; the
/// rest brings new requests, new broken lines, a file that has grown, and for
/// some requests after midnight a version from before it.
fn night() -> Night {
    let before = TestRun::new();
    let lines = log(10_000);
    let mut half: Vec<String> = lines.iter().step_by(2).cloned().collect();
    let mut rest: Vec<String> = lines.into_iter().skip(1).step_by(2).collect();
    for number in 0..50 {
        for (day, next) in [(1, 2), (2, 3)] {
            let id = format!("chatcmpl-moves-{day}-{number:020}");
            half.push(request(&id, &format!("2026-06-0{next}T00:02:{number:02}Z"), 10, 5));
            rest.push(request(&id, &format!("2026-06-0{day}T23:58:{number:02}Z"), 10, 3));
        }
    }
    before.write("logs/a.jsonl", half.concat());
    before.ingest();
    let (grown, other) = rest.split_at(rest.len() / 2);
    before.append("logs/a.jsonl", grown.concat());
    before.write("logs/b.jsonl", other.concat());
    Night::of(before, &["ingest"])
}

impl Night {
    fn of(before: TestRun, arguments: &[&'static str]) -> Self {
        let undisturbed = copy(&before);
        let begun = Instant::now();
        let ran = undisturbed.run(arguments);
        let usual = begun.elapsed();
        assert_eq!(ran.code, 0, "{ran:?}");
        let (old, new) = (before.tables(), undisturbed.tables());
        assert!(!old.is_empty() && old != new);
        Self { before, old, new, usual, arguments: arguments.to_vec() }
    }

    /// Each file is the old one or the new one, whole, and no request is twice
    /// in the book.
    fn assert_right(&self, book: &Path, context: &str) {
        let mut ids = BTreeSet::new();
        for (name, bytes) in tables(book) {
            if is_staged(&name) {
                assert!(name.starts_with("quarantine/"), "{context}: {name} is in the directory of a table");
                continue;
            }
            let is_old_or_new = self.old.get(&name) == Some(&bytes) || self.new.get(&name) == Some(&bytes);
            assert!(is_old_or_new, "{context}: {name} is neither the old nor the new one");
            if name.ends_with(".parquet") {
                for row in rows_of_file(bytes, &[]).unwrap() {
                    let id = row.split(' ').find(|column| column.starts_with("request_id=")).unwrap().to_owned();
                    assert!(ids.insert(id), "{context}: twice in the book: {row}");
                }
            }
        }
    }

    /// The next run leaves the book as if nothing had happened.
    fn assert_completes(&self, run: &TestRun, context: &str) {
        let ran = run.run(&self.arguments);
        assert_eq!(ran.code, 0, "{context}: {ran:?}");
        assert_same_bytes(&run.tables(), &self.new, context);
        let leftovers: Vec<_> = files_below(&run.path("book"))
            .into_keys()
            .filter(|name| name.starts_with("moves/") || is_staged(name))
            .collect();
        assert_eq!(leftovers, [""; 0], "{context}");
    }

    fn kill_at_random(&self, points: u32, seed: u64) {
        let mut dice = Dice(seed);
        for point in 0..points {
            let run = copy(&self.before);
            let mut child = run.command(&self.arguments).stdout(std::process::Stdio::null()).spawn().unwrap();
            let delay = some_of(self.usual, &mut dice);
            std::thread::sleep(delay);
            child.kill().unwrap();
            child.wait().unwrap();
            let context = format!("point {point}, killed after {delay:?} of {:?}", self.usual);
            self.assert_right(&run.path("book"), &context);
            self.assert_completes(&run, &context);
        }
    }
}

/// Between nothing and a little more than all of it.
fn some_of(usual: Duration, dice: &mut Dice) -> Duration {
    usual * u32::try_from(dice.below(1_100)).unwrap() / 1_000
}

/// A table in the place for it, anything else beside its own, as the local store does.
fn is_staged(name: &str) -> bool {
    name.starts_with("staged/")
        || name.rsplit_once('#').is_some_and(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn copy(run: &TestRun) -> TestRun {
    let copy = TestRun::new();
    for (name, bytes) in files_below(run.dir()) {
        copy.write(&name, bytes);
    }
    copy
}

#[test]
fn killed_at_any_moment() {
    night().kill_at_random(times("SPENDBOOK_KILLS", 20), 0x5eed);
}

#[test]
fn killed_while_reading_again() {
    let before = TestRun::new();
    before.write("logs/a.jsonl", log(4_000).concat().replace('Z', ""));
    before.ingest();
    // Now every request is eight hours earlier, and many on another day.
    before.write("spendbook.toml", CONFIG.to_owned() + "timezone = \"Asia/Singapore\"\n");
    let night = Night::of(before, &["ingest", "--again", "--source", "gateway"]);
    let mut dice = Dice(0xa6a1);
    for point in 0..times("SPENDBOOK_KILLS", 20) / 2 {
        let run = copy(&night.before);
        let mut child = run.command(&night.arguments).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(some_of(night.usual, &mut dice));
        child.kill().unwrap();
        child.wait().unwrap();
        // A next night that knows nothing of it loses nothing.
        let ids = |run: &TestRun| -> BTreeSet<String> {
            run.rows("usage").iter().filter_map(|row| row.split(' ').nth(2).map(str::to_owned)).collect()
        };
        let unaware = copy(&run);
        unaware.ingest();
        assert_eq!(ids(&unaware), ids(&night.before), "point {point}");
        night.assert_completes(&run, &format!("again, point {point}"));
        night.assert_completes(&unaware, &format!("a night and again, point {point}"));
    }
}

/// The moments of a move between days that are too short to be hit by chance:
/// the note is written, then the later day, then the earlier.
#[test]
fn a_move_that_was_interrupted_is_finished() {
    let (id, other) =
        ("chatcmpl-6b77f788-464c-47b3-ad3d-baf89e67bc6f", "chatcmpl-3e9d51c4-7a20-4f6b-9c88-52d1e6a70001");
    let (late, early) = (request(id, "2026-06-02T00:02:00Z", 10, 5), request(id, "2026-06-01T23:58:00Z", 10, 3));
    let before = TestRun::new();
    before.write("logs/b.jsonl", late + &request(other, "2026-06-02T12:00:00Z", 1, 1));
    before.ingest();
    before.write("logs/c.jsonl", early);
    let night = Night::of(before, &["ingest"]);
    let (first, second) = ("usage/date=2026-06-01/usage.parquet", "usage/date=2026-06-02/usage.parquet");
    assert!(!night.old.contains_key(first) && night.old[second] != night.new[second]);
    for written in [&[][..], &[second], &[second, first]] {
        for logs_are_gone in [false, true] {
            let run = copy(&night.before);
            // The note holds the row that moves; the day it moves to holds nothing else.
            run.write("book/moves/usage/rows.parquet", &night.new[first]);
            for name in written {
                run.write(&format!("book/{name}"), &night.new[*name]);
            }
            if logs_are_gone {
                run.remove("logs");
            }
            night.assert_completes(&run, &format!("{written:?}, logs gone: {logs_are_gone}"));
        }
    }
}

/// A limit on the size of files: writing fails wherever the limit is met.
#[test]
fn a_full_disk_fails_and_harms_nothing() {
    let night = night();
    let largest = files_below(&night.before.path("book")).values().map(Vec::len).max().unwrap();
    let mut failed = 0;
    for share in [0, 1, 20, 40, 60, 80, 100, 1_000] {
        // Of 512 bytes, or of 1,024: shells differ.
        let blocks = largest * share / 100 / 512;
        let run = copy(&night.before);
        let output = run.command_after(&format!("trap '' XFSZ; ulimit -f {blocks}"), &["ingest"]).output().unwrap();
        let ran = Ran::of(&output);
        let context = format!("{blocks} blocks: {ran:?}");
        assert!(ran.code == 0 || ran.code == 1 && ran.stderr.starts_with("error: "), "{context}");
        if ran.code == 1 {
            failed += 1;
            assert!(ran.stderr.contains("File too large"), "{context}");
        }
        night.assert_right(&run.path("book"), &context);
        night.assert_completes(&run, &context);
    }
    assert!((4..8).contains(&failed), "{failed}");
}

#[test]
fn a_second_run_is_told_who_holds_the_lock() {
    let run = TestRun::new();
    run.write("logs/a.jsonl", log(100).concat());
    let first = Book::open_for_writing(&run.path("book"), "`spendbook run`, process 7, since 02:00").unwrap();
    let second = run.run(&["ingest"]);
    assert_eq!(second.code, 75, "{second:?}");
    assert_eq!(second.stderr, "error: another run holds the book's lock: `spendbook run`, process 7, since 02:00\n");
    // Looking takes no lock.
    assert_eq!(run.run(&["ingest", "--dry-run"]).code, 0);
    drop(first);
    run.ingest();
}

#[test]
fn runs_at_once_do_not_disturb_each_other() {
    let night = night();
    let run = copy(&night.before);
    let children: Vec<_> = (0..4)
        .map(|_| {
            run.command(&["ingest"]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn()
        })
        .collect();
    let codes: Vec<_> =
        children.into_iter().map(|child| Ran::of(&child.unwrap().wait_with_output().unwrap()).code).collect();
    assert!(codes.contains(&0) && codes.iter().all(|code| [0, 75].contains(code)), "{codes:?}");
    night.assert_completes(&run, "four at once");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let run = TestRun::with(&CONFIG.replace("\"book\"", "\"file/book\""));
    run.write("file", "in the way");
    run.write("logs/a.jsonl", log(10).concat());
    let ran = run.run(&["ingest"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let expected = "error: the book's directory `./file/book` cannot be written: Not a directory (os error 20): a \
                    file is in its place, move it away, or set another `path` under `[book]`\n";
    assert_eq!(ran.said(&run), expected);
}

#[test]
fn staged_leftovers_are_removed() {
    let run = TestRun::new();
    run.write("logs/a.jsonl", log(10).concat());
    let leftovers =
        ["book/usage/date=2026-06-01/usage.parquet#1", "book/state/ingest/gateway.json#27", "book/runs/x.json#3"];
    for name in leftovers {
        run.write(name, "half of it");
    }
    run.ingest();
    for name in leftovers {
        assert!(!run.path(name).exists(), "{name}");
    }
}

#[test]
fn a_book_of_a_newer_program_is_left_alone() {
    let run = TestRun::new();
    run.write("logs/a.jsonl", log(10).concat());
    run.write("book/version.json", "{\"schema\":99}\n");
    for arguments in [&["ingest"][..], &["ingest", "--dry-run"]] {
        let ran = run.run(arguments);
        assert_eq!(ran.code, 1, "{ran:?}");
        let expected = "error: the book has schema version 99, this program knows up to 1: use the newer spendbook that wrote it\n";
        assert_eq!(ran.stderr, expected);
    }
    assert!(!run.path("book/usage").exists());
}

#[test]
fn a_damaged_day_is_named_and_can_be_rebuilt() {
    let run = TestRun::new();
    run.write("logs/a.jsonl", log(500).concat());
    run.ingest();
    let whole = run.tables();
    let name = "usage/date=2026-06-02/usage.parquet";
    let bytes = whole[name].clone();
    run.write("logs/b.jsonl", request("chatcmpl-new", "2026-06-02T12:00:00Z", 1, 1));
    for damaged in [&bytes[..bytes.len() / 2], b"", b"PAR1PAR1", b"not a table", &[0; 4096]] {
        run.write(&format!("book/{name}"), damaged);
        let ran = run.run(&["ingest"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("error: `{name}` in the book: ")), "{ran:?}");
        assert_eq!(fs::read(run.path(&format!("book/{name}"))).unwrap(), damaged);
    }
    // What is derived from logs can be thrown away.
    run.remove("logs/b.jsonl");
    run.remove(&format!("book/{name}"));
    run.remove("book/state");
    run.ingest();
    assert_same_bytes(&run.tables(), &whole, "rebuilt");
}

/// Single bytes that went wrong: an error or another value, never a panic.
#[test]
fn a_day_with_a_wrong_byte_does_not_panic() {
    let run = TestRun::in_memory(CONFIG);
    run.write("logs/a.jsonl", log(300).concat());
    run.ingest();
    run.write("logs/b.jsonl", request("chatcmpl-new", "2026-06-02T12:00:00Z", 1, 1));
    let name = "book/usage/date=2026-06-02/usage.parquet";
    let bytes = fs::read(run.path(name)).unwrap();
    let config = Config::load(&run.path("spendbook.toml")).unwrap();
    let options = Options { dry_run: true, threads: 1, ..Options::default() };
    let mut dice = Dice(0xdada);
    let mut errors = 0;
    for _ in 0..300 {
        let mut damaged = bytes.clone();
        let at = dice.below(damaged.len());
        damaged[at] = damaged[at].wrapping_add(u8::try_from(1 + dice.below(255)).unwrap());
        run.write(name, damaged);
        let book = Book::open(&run.path("book")).unwrap();
        let done = spendbook::ingest::run(&config, Some(&book), &options, &crate::support::Silent);
        errors += u32::from(done.is_err());
    }
    assert!(errors > 30, "{errors}");
}
