//! The documentation, held against the program: what is written down is what
//! the code does. `SPENDBOOK_UPDATE_DOCS=1 cargo test docs` writes what is
//! generated anew.

use std::{fs, path::Path};

use spendbook::{
    config::{
        Config, Source,
        templates::{Template, files},
    },
    export::focus,
    ingest::{
        formats::{self, Reject, Skip},
        framing::Framer,
        local_times::TimeRead,
        parse::{Outcomes, Parser},
    },
    record::{
        CHARGES, Column, ColumnType, CostColumn, METERS, PRICED, PROVENANCE, ROLLUP, TOTALS, UNLOGGED, USAGE, Unit,
        UsageRecord, VIOLATIONS,
    },
    report::TABLES,
};

fn doc(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Holds a generated page against the one in `docs/`, or writes it.
pub(crate) fn check_generated(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("SPENDBOOK_UPDATE_DOCS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(stored, text, "docs/{name} is not what the code says: run `SPENDBOOK_UPDATE_DOCS=1 cargo test docs`");
}

/// Holds what stands between two lines of a page against what the code says, or
/// writes it.
fn check_generated_part(name: &str, begin: &str, end: &str, part: &str) {
    let page = doc(name);
    let (before, rest) = page.split_once(begin).unwrap_or_else(|| panic!("`{begin}` is not in docs/{name}"));
    let (line, rest) = rest.split_once('\n').unwrap();
    let (_, after) = rest.split_once(end).unwrap_or_else(|| panic!("`{end}` is not in docs/{name}"));
    check_generated(name, &format!("{before}{begin}{line}\n{part}{end}{after}"));
}

fn kind(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Timestamp => "timestamp",
        ColumnType::Text => "text",
        ColumnType::Dict => "text, dictionary",
        ColumnType::Int64 => "int64",
        ColumnType::Int16 => "int16",
        ColumnType::Bool => "bool",
        ColumnType::Decimal => "decimal(38,12)",
    }
}

fn columns<'c>(columns: impl IntoIterator<Item = &'c Column>) -> String {
    let mut text = "| column | type | NULL | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for Column { name, kind: of, nullable, doc } in columns {
        let null = if *nullable { "yes" } else { "" };
        text.push_str(&format!("| `{name}` | {} | {null} | {} |\n", kind(*of), doc.replace('|', "\\|")));
    }
    text
}

fn tables() -> String {
    let mut meters =
        "| meter | unit | `per` in a price | cost column | meaning |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for info in &METERS {
        let (unit, per) = match info.unit {
            Unit::Count => ("count", "`1`, `1k`, `1M`"),
            Unit::Time => ("milliseconds", "`1s`, `1m`, `1h`"),
        };
        let cost = match info.cost_column {
            CostColumn::Input => "input_cost",
            CostColumn::CachedInput => "cached_input_cost",
            CostColumn::CacheWrite => "cache_write_cost",
            CostColumn::Output => "output_cost",
            CostColumn::Other => "other_cost",
        };
        meters.push_str(&format!("| `{}` | {unit} | {per} | `{cost}` | {} |\n", info.column, info.doc));
    }
    let made = TABLES.iter().filter(|table| !table.has_files());
    let made: String =
        made.map(|it| format!("### `{}`: {}\n\n{}\n", it.name, it.about, columns(it.columns()))).collect();
    let provenance = PROVENANCE.map(|name| format!("`{name}`")).join(" and ");
    format!(
        "# The tables

This page is generated from the code, from which the Parquet files derive, too: do not edit it, change the schema (`src/record.rs`, `src/report/tables/`) and run `SPENDBOOK_UPDATE_DOCS=1 cargo test docs`. The meaning of each column is also in the files, as the description of their Arrow fields, in the views of `export views` as comments, and in `spendbook query --describe TABLE`.

Every table is one Parquet file per UTC day, `usage/date=2026-11-15/usage.parquet`. Timestamps are microseconds, UTC. `decimal(38,12)` is exact: US dollars with twelve digits after the point. Text columns of type *dictionary* are text in every reader; inside the file each value is stored once. **A quantity that nobody reported is NULL, never 0**: a sum skips it, and `count(*) - count(output_tokens)` says how often that was.

## `usage`: one row per request, as reported

{usage}
Token columns are disjoint: each token is in exactly one of `input_tokens`, `cached_input_tokens`, `cache_write_5m_tokens`, `cache_write_1h_tokens` and `output_tokens`. `reasoning_tokens` says how many of the output tokens were reasoning. A request is (`provider`, `request_id`, `part`); [FORMATS.md](FORMATS.md) says for every log format how each column is filled.

## `charges`: the same rows, attributed and priced

All columns of `usage` but {provenance}, and these:

{priced}
## `rollup`: 15-minute totals

One row per quarter of an hour and combination of the columns up to `basis`; {rollup_count} columns.

{rollup}
## `violations`: what broke a policy

`model_not_allowed` and `max_tokens_exceeded` have a row per request, `unknown_key` and `unknown_team` one per key and day, `budget_exhausted` one per key, budget and day, and the limits per minute one per stretch of time above the limit. [AUDIT.md](AUDIT.md) says exactly what is counted.

{violations}
## `checks`: what check sources saw

The columns of `usage`, for the requests of sources with `role = \"check\"`: a gateway, an export or a trace that shows traffic which other sources have in the books. They are merged by the same rules and never priced, and are in no other table; a request that two check sources saw is one row. `spendbook reconcile` holds them against `charges`, and [RECONCILE.md](RECONCILE.md) says how.

## `totals`: what providers say in sum

A row per line of a provider's answer, in `totals/source=…/date=2026-11-15/totals.parquet`: a file per source and UTC day. It is what charges are held against, and never one of them: sources overlap, and `usage` and `cost` tell the same twice, so add up the rows of one source and one measure only. A (source, day) is replaced whole by the latest answer that told all of it.

{totals}
## `unlogged`: what providers report and no log shows

Derived from `totals` and `charges`, a row per day, provider, key, project and model, as far as the provider tells them; never a row of `usage` or `charges`. [RECONCILE.md](RECONCILE.md) says how it is calculated.

{unlogged}
## Meters: every quantity that has a price

A meter is a column of `usage`, and its name is what a price in `pricing/*.csv` names.

{meters}
## Tables without files

`spendbook query` makes these when they are asked for, and `export views` writes them down as they are then. [QUERY.md](QUERY.md) says more.

{made}",
        usage = columns(USAGE),
        priced = columns(PRICED),
        rollup = columns(ROLLUP.iter()),
        rollup_count = ROLLUP.len(),
        violations = columns(VIOLATIONS),
        unlogged = columns(UNLOGGED.iter()),
        totals = columns(TOTALS.iter()),
    )
}

/// The schedules that `init` writes, as they are.
#[test]
fn the_schedules_are_those_of_init() {
    let mut part = String::new();
    for (name, text) in files(Template::Basic).iter().filter(|(name, _)| name.starts_with("deploy/")) {
        let language = if name.ends_with("yaml") { "yaml" } else { "ini" };
        part += &format!("\n`{name}`\n\n```{language}\n{}\n```\n", text.trim_end());
    }
    assert_eq!(part.matches("```").count(), 8);
    check_generated_part("NIGHT.md", "<!-- schedules", "<!-- end -->", &(part + "\n"));
}

#[test]
fn the_page_of_tables_is_generated() {
    assert_eq!(CHARGES.len(), USAGE.len() - PROVENANCE.len() + PRICED.len());
    check_generated("TABLES.md", &(tables().trim_end().to_owned() + "\n"));
}

#[test]
fn the_columns_of_focus_are_generated() {
    let mut table = "| column | type | NULL | versions | here |\n| --- | --- | --- | --- | --- |\n".to_owned();
    let both = [focus::Version::V1_2, focus::Version::V1_4];
    let mut all: Vec<_> = both.into_iter().flat_map(focus::columns).collect();
    // Standard ones in the order of the alphabet, then ours.
    all.sort_by_key(|column| (column.name.starts_with("x_"), column.name));
    all.dedup_by_key(|column| column.name);
    for column in all {
        let kind = match column.kind {
            focus::Kind::Text => "text",
            focus::Kind::Json => "JSON",
            focus::Kind::Time => "timestamp",
            focus::Kind::Decimal => "decimal",
            focus::Kind::Count => "int64",
        };
        let versions: Vec<_> = both.into_iter().filter(|it| column.is_in(*it)).map(focus::Version::name).collect();
        let null = if column.nullable { "yes" } else { "" };
        table.push_str(&format!(
            "| `{}` | {kind} | {null} | {} | {} |\n",
            column.name,
            versions.join(", "),
            column.doc
        ));
    }
    check_generated_part("EXPORTS.md", "<!-- columns:", "<!-- end of columns -->", &table);
}

/// The fenced blocks of a page below a heading, with their languages, up to the
/// next heading of the same level.
fn blocks(page: &str, heading: &str) -> Vec<(String, String)> {
    let section = page.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("no heading `{heading}`"));
    let level = heading.split(' ').next().unwrap();
    let section = section.split(&format!("\n{level} ")).next().unwrap();
    let mut blocks = Vec::new();
    let mut parts = section.split("```");
    parts.next();
    while let (Some(block), Some(_)) = (parts.next(), parts.next()) {
        let (language, text) = block.split_once('\n').unwrap();
        blocks.push((language.to_owned(), text.to_owned()));
    }
    blocks
}

/// What came of an example: its records, and everything else as text.
#[derive(Default)]
struct Found {
    records: Vec<String>,
    others: Vec<String>,
}

impl Outcomes for Found {
    fn record(&mut self, _: u64, record: &UsageRecord<'_>, _: TimeRead) {
        assert_ne!(record.quantities.sum(), 0, "{record:?}");
        self.records.push(format!("{record:?}"));
    }
    fn skip(&mut self, _: u64, reason: Skip) {
        self.others.push(format!("skip {}", reason.name()));
    }
    fn reject(&mut self, _: u64, reject: Reject, _: &[u8]) {
        self.others.push(format!("{reject:?}"));
    }
    fn pending(&mut self, line: u64) {
        self.others.push(format!("pending {line}"));
    }
}

fn read(source: &Source, text: &str) -> Found {
    let format = formats::by_name(&source.format).unwrap();
    let mut framer = Framer::new(text.as_bytes(), format.reads_csv());
    let mut parser = Parser::new(source, format, "docs", framer.shape(), true);
    let mut found = Found::default();
    while let Some(block) = framer.next_block() {
        parser.block(&block, &mut found);
    }
    found
}

fn source(text: &str) -> Source {
    Config::parse(text, Path::new("spendbook.toml")).unwrap_or_else(|errors| panic!("{errors}")).sources.remove(0)
}

#[test]
fn every_format_is_described_with_an_example_that_it_reads() {
    let page = doc("FORMATS.md");
    let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`')).collect();
    let names: Vec<_> = formats::names().chain(["auto"]).collect();
    assert_eq!(headings, names, "the sections of docs/FORMATS.md, in the order of the formats");
    for name in formats::names().filter(|&name| name != "custom") {
        assert!(page.contains(&format!("| [`{name}`](#{name}) |")), "`{name}` is not in the list of docs/FORMATS.md");
        let (language, example) = blocks(&page, &format!("## `{name}`")).remove(0);
        assert!(matches!(language.as_str(), "json" | "csv"), "{name}: {language}");
        let source =
            source(&format!("[[source]]\nname = \"docs\"\nformat = \"{name}\"\npath = \"*\"\nprovider = \"groq\""));
        let found = read(&source, &example);
        assert!(found.others.is_empty() && found.records.len() == 1, "{name}: {:?} {:?}", found.records, found.others);
    }
}

#[test]
fn the_mappings_of_custom_read_their_examples() {
    let page = doc("FORMATS.md");
    let blocks = blocks(&page, "## `custom`");
    let examples: Vec<_> = blocks.chunks(2).collect();
    assert_eq!(examples.len(), 2);
    let expect: [(&[&str], &[&str]); 2] = [
        (&["Instant(1780300801000000)", "key: Some(\"search-prod\")", "latency_ms: Some(2858)"], &["skip not_usage"]),
        (&["Some(20), Some(100)", "user: Some(\"ada\")", "tags: Some(\"{\\\"app\\\":\\\"shop\\\"}\")"], &[]),
    ];
    for (example, (parts, others)) in examples.iter().zip(expect) {
        let [(toml, mapping), (json, lines)] = example else { panic!("a mapping and its log") };
        assert_eq!((toml.as_str(), json.as_str()), ("toml", "json"));
        let found = read(&source(mapping), lines);
        assert_eq!(
            (found.records.len(), &found.others[..]),
            (1, &others.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()[..]),
            "{mapping}"
        );
        for part in parts {
            assert!(found.records[0].contains(part), "`{part}` is not in {}", found.records[0]);
        }
    }
}

#[test]
fn the_native_lines_say_what_their_tables_list() {
    let page = doc("NATIVE.md");
    let lines: Vec<_> = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let [minimal, full] = lines[..] else { panic!("a minimal line and a full one") };
    let source = source(
        "[[source]]\nname = \"docs\"\nformat = \"native\"\npath = \"*\"\nprovider = \"groq\"\ntags = [\"feature\"]",
    );
    for line in [minimal, full] {
        let found = read(&source, line);
        assert!(found.others.is_empty() && found.records.len() == 1, "{:?}", found.others);
    }
    // Every column of the record is filled by the full line, the two lives of a
    // cache aside, of which it can only show one.
    let record = &read(&source, full).records[0];
    assert_eq!(record.matches("None").count(), 1, "{record}");
    let object: serde_json::Value = serde_json::from_str(full).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    for name in rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)) {
        let is_there = object.get(name).is_some() || object["usage"].get(name).is_some();
        assert!(is_there || name == "audio_seconds", "`{name}` is in a table, and not in the full line");
    }
}
