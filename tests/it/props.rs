//! Any set of records, in any order, any split into files and nights, with any
//! memory, gives the rows of a model that has seen everything at once.
//!
//! The model is written from the rules of the design on plain structs, and
//! shares no code with the program.

use std::{cmp::Reverse, collections::BTreeMap, fmt::Write as _};

use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use spendbook::time::Instant;

use crate::support::{TestRun, assert_same_bytes, files_below, ingest, times};

/// Three gateways that see the same traffic; what the second says counts more.
const CONFIG: &str = r#"
[book]
path = "book"
[[source]]
name = "alpha"
format = "native"
path = "alpha/*"
provider = "groq"
[[source]]
name = "beta"
format = "native"
path = "beta/*"
provider = "groq"
priority = 5
[[source]]
name = "gamma"
format = "native"
path = "gamma/*"
provider = "groq"
"#;

const SOURCES: [&str; 3] = ["alpha", "beta", "gamma"];
const MINUTE: i64 = 60_000_000;
const DAY: i64 = 86_400_000_000;

/// One line of a log, as it is meant.
#[derive(Debug, Clone)]
struct Version {
    source: usize,
    id: &'static str,
    micros: i64,
    model: &'static str,
    key: Option<&'static str>,
    user: Option<&'static str>,
    tier: Option<&'static str>,
    http_status: Option<i64>,
    max_tokens: Option<i64>,
    latency_ms: Option<i64>,
    streamed: Option<bool>,
    cached: bool,
    usage: Option<Usage>,
}

#[derive(Debug, Clone)]
struct Usage {
    input: i64,
    cached: i64,
    output: Option<i64>,
    reasoning: Option<i64>,
    audio_ms: Option<i64>,
    /// A total that does not add up: the numbers are kept and marked.
    contradicts: bool,
}

fn instant(micros: i64) -> String {
    Instant::from_micros(micros).to_string()
}

impl Version {
    fn line(&self) -> String {
        let mut line = format!(
            "{{\"ts\":\"{}\",\"request_id\":\"{}\",\"model\":\"{}\"",
            instant(self.micros),
            self.id,
            self.model
        );
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                write!(line, ",\"{name}\":{value}").unwrap();
            }
        };
        let quoted = |text: Option<&str>| text.map(|text| format!("\"{text}\""));
        add("key", quoted(self.key));
        add("user", quoted(self.user));
        add("service_tier", quoted(self.tier));
        add("http_status", self.http_status.map(|code| code.to_string()));
        add("max_tokens", self.max_tokens.map(|count| count.to_string()));
        add("latency_ms", self.latency_ms.map(|count| count.to_string()));
        add("stream", self.streamed.map(|streamed| streamed.to_string()));
        add("cached", self.cached.then(|| "true".to_owned()));
        add("usage", self.usage.as_ref().map(Usage::json));
        line + "}\n"
    }
}

impl Usage {
    fn json(&self) -> String {
        let prompt = self.input + self.cached;
        let mut json =
            format!("{{\"prompt_tokens\":{prompt},\"prompt_tokens_details\":{{\"cached_tokens\":{}}}", self.cached);
        for (name, value) in [("completion_tokens", self.output), ("audio_ms", self.audio_ms)] {
            if let Some(value) = value {
                write!(json, ",\"{name}\":{value}").unwrap();
            }
        }
        if let Some(reasoning) = self.reasoning {
            write!(json, ",\"completion_tokens_details\":{{\"reasoning_tokens\":{reasoning}}}").unwrap();
        }
        let total = prompt + self.output.unwrap_or(0) + if self.contradicts { 1_000_000 } else { 0 };
        write!(json, ",\"total_tokens\":{total}}}").unwrap();
        json
    }
}

/// What the merging rules look at besides identity and time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Quality(u8);

/// Of two versions the one whose rank is smaller wins.
type Rank = (Quality, Reverse<i64>, Reverse<Option<i64>>, Reverse<i64>, Content, &'static str);

/// The winner's own columns in the order of the schema; `None` is smallest.
type Content = (&'static str, u8, Option<bool>, bool, [Option<i64>; 5]);

impl Version {
    fn quality(&self) -> Quality {
        Quality(self.usage.as_ref().map_or(3, |usage| u8::from(usage.contradicts)))
    }

    fn status(&self) -> u8 {
        match self.http_status {
            Some(499) => 3,
            Some(400..) => 1,
            _ => 0,
        }
    }

    fn part(&self) -> String {
        if self.is_hit() { format!("cache {}", instant(self.micros)) } else { String::new() }
    }

    /// An error does not come from a cache.
    fn is_hit(&self) -> bool {
        self.cached && self.status() != 1
    }

    fn numbers(&self) -> [Option<i64>; 5] {
        let usage = self.usage.as_ref();
        [
            usage.map(|usage| usage.input),
            usage.map(|usage| usage.cached),
            usage.and_then(|usage| usage.output),
            usage.and_then(|usage| usage.reasoning),
            usage.and_then(|usage| usage.audio_ms),
        ]
    }

    fn rank(&self) -> Rank {
        let numbers = self.numbers();
        let [input, cached, output, _, audio] = numbers;
        let sum = [input, cached, output, audio].iter().flatten().sum();
        let priority = if self.source == 1 { 5 } else { 0 };
        let content = (self.model, self.status(), self.streamed, self.is_hit(), numbers);
        (self.quality(), Reverse(priority), Reverse(output), Reverse(sum), content, SOURCES[self.source])
    }
}

/// The rows that these versions are, as the book's rows read.
fn model(versions: &[Version]) -> Vec<String> {
    let mut identities: BTreeMap<(&str, String), Vec<&Version>> = BTreeMap::new();
    for version in versions {
        identities.entry((version.id, version.part())).or_default().push(version);
    }
    let mut rows = Vec::new();
    for of_one in identities.values_mut() {
        of_one.sort_by_key(|version| version.micros);
        let mut request: Vec<&Version> = Vec::new();
        for &version in of_one.iter() {
            if request.last().is_some_and(|last| version.micros - last.micros > 10 * MINUTE) {
                rows.push(merged(&request));
                request.clear();
            }
            request.push(version);
        }
        rows.push(merged(&request));
    }
    rows.sort();
    rows
}

fn merged(versions: &[&Version]) -> String {
    let winner = versions.iter().min_by_key(|version| version.rank()).unwrap();
    let smallest = |of: fn(&Version) -> Option<&'static str>| {
        // Names before fingerprints.
        versions.iter().filter_map(|it| of(it)).min_by_key(|text| (text.starts_with("fp_"), *text)).map(str::to_owned)
    };
    let least =
        |of: fn(&Version) -> Option<i64>| versions.iter().filter_map(|it| of(it)).min().map(|it| it.to_string());
    let [input, cached, output, reasoning, audio] = winner.numbers().map(|number| number.map(|it| it.to_string()));
    let times = || versions.iter().map(|version| version.micros);
    let text = |text: &str| Some(text.to_owned());
    let columns = [
        ("ts", times().min().map(instant)),
        ("ts_last", times().max().map(instant)),
        ("request_id", text(winner.id)),
        ("part", Some(winner.part()).filter(|part| !part.is_empty())),
        ("source", text(SOURCES[winner.source])),
        ("provider", text("groq")),
        ("model", text(winner.model)),
        ("tier", smallest(|it| it.tier)),
        ("operation", text("chat")),
        ("key", smallest(|it| it.key)),
        ("user", smallest(|it| it.user)),
        ("status", text(["success", "error", "partial", "cancelled"][usize::from(winner.status())])),
        ("http_status", least(|it| it.http_status)),
        ("max_tokens", least(|it| it.max_tokens)),
        ("latency_ms", versions.iter().filter_map(|it| it.latency_ms).max().map(|it| it.to_string())),
        ("streamed", winner.streamed.map(|it| it.to_string())),
        ("gateway_cache", text(&winner.is_hit().to_string())),
        ("quality", text(["reported", "estimated", "partial", "missing"][usize::from(winner.quality().0)])),
        ("input_tokens", input),
        ("cached_input_tokens", cached),
        ("output_tokens", output),
        ("reasoning_tokens", reasoning),
        ("audio_ms", audio),
    ];
    let shown: Vec<_> = columns.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect();
    shown.join(" ")
}

fn any_usage() -> impl Strategy<Value = Usage> {
    let few = || prop_oneof![Just(0_i64), Just(1), Just(2), Just(400)];
    (few(), 0..3_i64, prop::option::of(few()), any::<bool>(), prop::option::of(0..3_i64), prop::bool::weighted(0.2))
        .prop_map(|(input, cached, output, reasons, audio_ms, contradicts)| Usage {
            input,
            cached,
            output,
            reasoning: output.filter(|_| reasons).map(|output| output / 2),
            audio_ms,
            contradicts,
        })
}

/// Close to one of four midnights, at distances around ten minutes.
fn any_time() -> impl Strategy<Value = i64> {
    let first = Instant::parse("2026-06-01T00:00:00Z", chrono_tz::Tz::UTC).unwrap().micros();
    (0..4_i64, -6..6_i64, prop_oneof![Just(9), Just(10), Just(11)], -1..=1_i64)
        .prop_map(move |(day, steps, minutes, jitter)| first + day * DAY + steps * minutes * MINUTE + jitter)
}

fn any_version() -> impl Strategy<Value = Version> {
    let id = prop_oneof![
        4 => Just("chatcmpl-6b77f788-464c-47b3-ad3d-baf89e67bc6f"),
        4 => Just("chatcmpl-3e9d51c4-7a20-4f6b-9c88-52d1e6a70001"),
        1 => Just("chatcmpl-424"),
        1 => Just("chatcmpl-999"),
    ];
    let who = (
        prop::option::of(prop_oneof![Just("search-prod"), Just("chatbot-prod"), Just("fp_0123456789ab")]),
        prop::option::of(prop_oneof![Just("ann"), Just("bob")]),
        prop::option::of(prop_oneof![Just("flex"), Just("on_demand"), Just("batch")]),
    );
    let how = (
        prop::option::of(prop_oneof![Just(200_i64), Just(429), Just(499), Just(500)]),
        prop::option::of(1..3_i64),
        prop::option::of(1..900_i64),
        any::<Option<bool>>(),
        prop::bool::weighted(0.1),
    );
    let usage = prop::option::weighted(0.8, any_usage());
    (0..SOURCES.len(), id, any_time(), prop_oneof![Just("a"), Just("b")], who, how, usage).prop_map(
        |(source, id, micros, model, who, how, usage)| {
            let (key, user, tier) = who;
            let (http_status, max_tokens, latency_ms, streamed, cached) = how;
            Version {
                source,
                id,
                micros,
                model,
                key,
                user,
                tier,
                http_status,
                max_tokens,
                latency_ms,
                streamed,
                cached,
                usage,
            }
        },
    )
}

/// A version, its night, its file, and whether another file repeats it.
type Placed = (Version, usize, usize, bool);

const NIGHTS: usize = 4;

fn any_traffic() -> impl Strategy<Value = Vec<Placed>> {
    prop::collection::vec((any_version(), 0..NIGHTS, 0..3_usize, prop::bool::weighted(0.2)), 1..40)
}

/// Writes the lines of a night; `night` of [`NIGHTS`] is none of them.
fn write(run: &TestRun, traffic: &[Placed], nights: std::ops::Range<usize>) -> u64 {
    let mut lines = 0;
    for (version, night, file, repeated) in traffic.iter().filter(|(_, night, ..)| nights.contains(night)) {
        let mut files = vec![format!("{}/{file}.jsonl", SOURCES[version.source])];
        if *repeated {
            // On another night, in another source's directory too.
            files.push(format!("{}/copy-{night}.jsonl", SOURCES[version.source]));
        }
        for name in files {
            if !run.path(&name).exists() {
                run.write(&name, "");
            }
            run.append(&name, version.line());
            lines += 1;
        }
    }
    lines
}

/// The digests in the day files, which leave out where rows were read.
fn digests(run: &TestRun) -> BTreeMap<String, String> {
    let mut digests = BTreeMap::new();
    for (name, bytes) in run.tables() {
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let metadata = reader.metadata().file_metadata();
        let pairs = metadata.key_value_metadata().unwrap();
        let digest = pairs.iter().find(|pair| pair.key == "spendbook.digest").unwrap().value.clone().unwrap();
        if metadata.num_rows() > 0 {
            digests.insert(name, digest);
        }
    }
    digests
}

/// The tables, but for days whose rows have all moved elsewhere.
fn tables_with_rows(run: &TestRun) -> BTreeMap<String, Vec<u8>> {
    let kept = digests(run);
    run.tables().into_iter().filter(|(name, _)| kept.contains_key(name)).collect()
}

fn check(traffic: &[Placed], memory: usize, threads: usize) {
    let by_night = TestRun::in_memory(CONFIG);
    let (mut read, mut accounted, mut kept, mut replaced) = (0, 0, 0, 0);
    for night in 0..NIGHTS {
        read += write(&by_night, traffic, night..night + 1);
        let done = ingest(&by_night, memory, threads);
        assert_eq!(done.tally.imbalance(), None);
        for tally in done.tally.sources.values() {
            accounted += tally.kept + tally.duplicate + tally.superseded;
        }
        for tally in done.tally.days.values() {
            kept += tally.kept;
            replaced += tally.replaced;
        }
    }
    let versions: Vec<Version> = traffic.iter().map(|(version, ..)| version.clone()).collect();
    let expected = model(&versions);
    assert_eq!(by_night.rows("usage"), expected);
    assert_eq!((accounted, kept - replaced), (read, expected.len() as u64));

    // The same files at once, with all the memory: the same bytes.
    let at_once = TestRun::in_memory(CONFIG);
    for source in SOURCES {
        for (name, bytes) in files_below(&by_night.path(source)) {
            at_once.write(&format!("{source}/{name}"), bytes);
        }
    }
    ingest(&at_once, 1 << 30, 2);
    assert_same_bytes(&tables_with_rows(&at_once), &tables_with_rows(&by_night), "at once");

    // One file per source, backwards: the same digests.
    let backwards = TestRun::in_memory(CONFIG);
    for (number, source) in SOURCES.iter().enumerate() {
        let lines = versions.iter().rev().filter(|version| version.source == number).map(Version::line);
        backwards.write(&format!("{source}/all.jsonl"), lines.collect::<String>());
    }
    ingest(&backwards, 1 << 30, 1);
    assert_eq!(digests(&backwards), digests(&by_night));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: times("SPENDBOOK_CASES", 40), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_book_depends_only_on_the_set_of_records(
        traffic in any_traffic(),
        memory in prop_oneof![Just(0_usize), Just(3_000), Just(12_000), Just(100_000), Just(1 << 30)],
        threads in 1..3_usize,
    ) {
        check(&traffic, memory, threads);
    }
}
