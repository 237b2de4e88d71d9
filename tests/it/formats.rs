//! Each format against its fixtures: `basic`, `full`, `rejects`, `unrelated`,
//! `escapes`. What was read prints sorted, so that a snapshot reads like a ledger.

use std::{fs, path::Path};

use spendbook::{
    config::{Config, Source},
    ingest::{
        files,
        formats::{self, Reject, Skip},
        framing::Framer,
        local_times::TimeRead,
        parse::{Outcomes, Parser},
    },
    record::{METERS, UsageRecord},
};

/// The columns of a record that say something, in the schema's order.
fn describe(record: &UsageRecord<'_>) -> String {
    let mut parts = vec![record.ts.to_string(), format!("{}/{}", record.provider, record.model)];
    let mut add = |name: &str, value: Option<String>| parts.extend(value.map(|value| format!("{name}={value}")));
    add("id", Some(record.request_id.to_string()));
    add("part", Some(record.part.to_string()).filter(|part| !part.is_empty()));
    add("requested", record.model_requested.as_deref().map(str::to_owned));
    add("tier", record.tier.as_deref().map(str::to_owned));
    add("operation", Some(record.operation.name().to_owned()).filter(|name| name != "chat"));
    add("key", record.key.as_deref().map(str::to_owned));
    add("team", record.team_reported.as_deref().map(str::to_owned));
    add("user", record.user.as_deref().map(str::to_owned));
    add("project", record.project.as_deref().map(str::to_owned));
    add("tags", record.tags.as_deref().map(str::to_owned));
    add("status", Some(record.status.name().to_owned()));
    add("http", record.http_status.map(|code| code.to_string()));
    add("error", record.error_code.as_deref().map(str::to_owned));
    add("max_tokens", record.max_tokens.map(|count| count.to_string()));
    add("latency_ms", record.latency_ms.map(|count| count.to_string()));
    add("streamed", record.streamed.map(|streamed| streamed.to_string()));
    add("gateway_cache", Some("true".to_owned()).filter(|_| record.gateway_cache));
    add("quality", Some(record.quality.name().to_owned()));
    for info in &METERS {
        add(info.column, record.quantities[info.meter].map(|count| count.to_string()));
    }
    add("reasoning_tokens", record.reasoning_tokens.map(|count| count.to_string()));
    add("reported_cost", record.reported_cost.map(|cost| cost.to_string()));
    parts.join(" ")
}

#[derive(Default)]
struct Ledger(Vec<(u64, String)>);

impl Outcomes for Ledger {
    fn record(&mut self, line: u64, record: &UsageRecord<'_>, _time: TimeRead) {
        self.0.push((line, describe(record)));
    }
    fn skip(&mut self, line: u64, reason: Skip) {
        self.0.push((line, format!("skipped: {}", reason.name())));
    }
    fn reject(&mut self, line: u64, reject: Reject, _raw: &[u8]) {
        self.0.push((line, format!("rejected: {}: {}", reject.reason.name(), reject.detail)));
    }
    fn pending(&mut self, line: u64) {
        self.0.push((line, "pending".to_owned()));
    }
}

fn ledger(format: &str, path: &Path, source: &Source) -> String {
    let format = formats::by_name(format).unwrap();
    let (_, reader) = files::open(path).unwrap();
    let mut framer = Framer::new(reader, format.reads_csv());
    let mut ledger = Ledger::default();
    let mut parser = Parser::new(source, format, "fixture", framer.shape(), false);
    while let Some(block) = framer.next_block() {
        parser.block(&block, &mut ledger);
    }
    ledger.0.sort();
    ledger.0.iter().map(|(line, text)| format!("{line}: {text}\n")).collect()
}

/// The source that a format's fixtures are read with: `source.toml` beside
/// them holds what a config has below `[[source]]`.
pub(crate) fn fixture_source(format: &str, dir: &Path) -> Source {
    let options = fs::read_to_string(dir.join("source.toml")).unwrap_or_default();
    let text = format!("[[source]]\nname = \"fixture\"\nformat = \"{format}\"\npath = \"*\"\n{options}");
    Config::parse(&text, &dir.join("source.toml")).unwrap().sources.remove(0)
}

#[test]
fn every_format_reads_its_fixtures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut seen = Vec::new();
    for format in formats::names() {
        let dir = root.join(format);
        let source = fixture_source(format, &dir);
        let mut files: Vec<_> = fs::read_dir(&dir)
            .unwrap_or_else(|_| panic!("{} has no fixtures", dir.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for path in files.iter().filter(|path| path.file_name().is_some_and(|name| name != "source.toml")) {
            let name = path.file_name().unwrap().to_str().unwrap();
            seen.push(format!("{format}/{}", name.split('.').next().unwrap()));
            let settings = insta_settings();
            settings.bind(|| insta::assert_snapshot!(format!("{format}-{name}"), ledger(format, path, &source)));
        }
        for kind in ["basic", "full", "rejects", "unrelated", "escapes"] {
            assert!(seen.contains(&format!("{format}/{kind}")), "tests/fixtures/{format} has no `{kind}`");
        }
    }
}

fn insta_settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots/formats");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// An entry of one format must not be taken for one of another.
#[test]
fn fixtures_are_recognised_as_their_own_format() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for format in formats::names().filter(|&name| name != "custom") {
        let dir = root.join(format);
        let mut basics: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("basic."))
            .collect();
        basics.sort();
        for path in basics {
            let (_, reader) = files::open(&path).unwrap();
            let mut framer = Framer::new(reader, true);
            let shape = framer.shape();
            let block = framer.next_block().unwrap();
            let best = spendbook::ingest::parse::with_first_entries(&block, shape, 20, &mut |entry| {
                formats::names().map(|name| (formats::by_name(name).unwrap().recognises(&entry).confidence, name)).max()
            });
            let votes = best.iter().filter(|(_, name)| *name == format).count();
            assert!(votes * 2 > best.len(), "{}: taken for {best:?}", path.display());
        }
    }
}
