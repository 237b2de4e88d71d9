//! Damaged fixtures: whatever bytes come, no format panics, every entry is
//! accounted for, and what is taken for a record is a sane one.

use std::{collections::BTreeSet, fs, path::Path};

use spendbook::{
    ingest::{
        formats::{self, Reject, Skip},
        framing::Framer,
        local_times::TimeRead,
        parse::{Outcomes, Parser},
    },
    record::UsageRecord,
};

use crate::{formats::fixture_source, support::Dice};

/// The bytes with one thing wrong with them.
fn damage(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let at = dice.below(bytes.len());
    let end = (at + dice.below(40)).min(bytes.len());
    let words: &[&[u8]] = &[
        b"-1",
        b"1e400",
        b"9223372036854775808",
        b"0.1",
        b"null",
        b"true",
        b"\"\"",
        b"\"None\"",
        b"[]",
        b"{}",
        b"{\"a\":",
        b"[1,{\"b\":\"c\"}]",
        b"\"\\ud800\"",
        b"\0",
        b"\xff",
        b"\n",
        b",",
        b"\"",
        b"\"gsk_\"",
        b"\"2286-11-20T17:46:40Z\"",
    ];
    match dice.below(5) {
        0 => bytes[at] = u8::try_from(dice.below(256)).expect("less than 256"),
        1 => drop(bytes.drain(at..end)),
        2 => bytes.truncate(at),
        3 => {
            let copy = bytes[at..end].to_vec();
            let to = dice.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        // Another value where one stands.
        _ => {
            let start =
                bytes[at..].iter().position(|&byte| byte == b':' || byte == b',').map_or(at, |skip| at + skip + 1);
            let end = bytes[start..].iter().position(|byte| b",}]\n".contains(byte)).map_or(start, |skip| start + skip);
            bytes.splice(start..end, words[dice.below(words.len())].iter().copied());
        }
    }
}

#[derive(Default)]
struct Accounted {
    lines: BTreeSet<u64>,
    records: usize,
}

impl Outcomes for Accounted {
    fn record(&mut self, line: u64, record: &UsageRecord<'_>, _time: TimeRead) {
        self.lines.insert(line);
        self.records += 1;
        assert!(record.ts.is_sane() && record.ts_last == record.ts, "{record:?}");
        assert!(!record.request_id.is_empty() && !record.provider.is_empty() && !record.model.is_empty(), "{record:?}");
        assert!(record.quantities.0.iter().flatten().all(|quantity| *quantity >= 0), "{record:?}");
    }
    fn skip(&mut self, line: u64, _: Skip) {
        self.lines.insert(line);
    }
    fn reject(&mut self, line: u64, reject: Reject, _: &[u8]) {
        self.lines.insert(line);
        assert!(!reject.detail.is_empty(), "{reject:?}");
    }
    fn pending(&mut self, line: u64) {
        self.lines.insert(line);
    }
}

#[test]
fn damaged_entries_are_accounted_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut dice = Dice(0x5eed);
    for name in formats::names() {
        let dir = root.join(name);
        let source = fixture_source(name, &dir);
        let format = formats::by_name(name).expect("it is one of the names");
        let mut files: Vec<_> =
            fs::read_dir(&dir).expect("it has fixtures").map(|it| it.expect("a file").path()).collect();
        files.sort();
        let mut records = 0;
        for path in files.iter().filter(|path| path.extension().is_some_and(|kind| kind == "jsonl" || kind == "csv")) {
            let whole = fs::read(path).expect("a readable file");
            for _ in 0..100 {
                let mut bytes = whole.clone();
                for _ in 0..=dice.below(4) {
                    damage(&mut dice, &mut bytes);
                    if bytes.is_empty() {
                        break;
                    }
                }
                let mut framer = Framer::new(&bytes[..], format.reads_csv());
                let mut parser = Parser::new(&source, format, "damaged", framer.shape(), true);
                while let Some(block) = framer.next_block() {
                    let mut accounted = Accounted::default();
                    parser.block(&block, &mut accounted);
                    let expected: BTreeSet<u64> = block.entries().map(|(cut, _)| cut.number).collect();
                    assert_eq!(accounted.lines, expected, "{}", path.display());
                    records += accounted.records;
                }
            }
        }
        assert!(records > 100, "{name}: hardly anything was read");
    }
}
