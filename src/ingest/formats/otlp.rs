//! `otlp`: OTLP/JSON, as the file exporter of the OpenTelemetry collector
//! writes it: each line holds the spans of many requests.
//!
//! Only spans of a generation are usage; agents, tools, workflows and the outer
//! spans of SDKs repeat what those say. Where one generation encloses another
//! on the same line, the inner one counts, unless both have ids of their own;
//! across lines only the ids can tell. Log events repeat their span, and
//! metrics are sums: neither is read. What attributes mean is in [`attributes`].

mod attributes;
mod provider;

use std::{borrow::Cow, collections::HashMap};

use attributes::Attributes;

use super::{
    Entry, Format, Found, Recognition, Reject, RejectReason, Sink, Skip,
    shared::{
        ending,
        field::{Field, members},
    },
};
use crate::{
    config::Source,
    json::Value,
    record::{Status, Text, UsageRecord},
    time::Instant,
};

/// Spans nested deeper than this are taken for unrelated.
const MAX_ANCESTORS: usize = 64;

#[derive(Debug)]
pub(super) struct Otlp;

impl Format for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let Entry::Json(line) = entry else { return Recognition::NONE };
        if line.some("resourceSpans").is_some_and(Value::is_array) {
            Recognition::of(98, "`resourceSpans`")
        } else if line.some("resourceLogs").is_some() || line.some("resourceMetrics").is_some() {
            Recognition::of(90, "`resourceLogs` or `resourceMetrics`")
        } else {
            Recognition::NONE
        }
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        let Entry::Json(line) = entry else { return sink.skip(Skip::NotUsage) };
        let Some(resources) = line.some("resourceSpans") else {
            return sink.skip(if line.some("resourceMetrics").is_some() {
                Skip::Aggregate
            } else if line.some("resourceLogs").is_some() {
                Skip::NotGeneration
            } else {
                Skip::NotUsage
            });
        };
        if !resources.is_array() {
            let detail = format!("`resourceSpans` is {}, expected an array", resources.kind_name());
            return sink.reject(Reject::new(RejectReason::WrongType, detail));
        }
        let mut spans = Spans::default();
        for resource in resources.items() {
            let about = resource.path(&["resource", "attributes"]);
            for span in spans_of(resource) {
                match read_span(span, about, source) {
                    Ok(read) => spans.push(read, sink),
                    Err(reject) => sink.reject(reject),
                }
            }
        }
        spans.finish(sink);
    }
}

/// The spans of a resource, under today's names and those of before 2022.
fn spans_of<'a>(resource: Value<'a>) -> impl Iterator<Item = Value<'a>> {
    ["scopeSpans", "instrumentationLibrarySpans"]
        .into_iter()
        .filter_map(move |name| resource.some(name))
        .flat_map(Value::items)
        .filter_map(|scope| scope.some("spans"))
        .flat_map(Value::items)
}

/// A span: where it stands among others, and its usage if it is a generation.
struct Span<'a> {
    id: (Text<'a>, Text<'a>),
    parent: Text<'a>,
    generation: Option<Box<Found<'a>>>,
}

fn read_span<'a>(span: Value<'a>, about: Option<Value<'a>>, source: &Source) -> Result<Span<'a>, Reject> {
    let mut ids = [const { Cow::Borrowed("") }; 3];
    let (mut start, mut end, mut failed) = (None, None, false);
    let mut attributes = Attributes::new(source);
    for (name, field) in members(span) {
        match name {
            "traceId" => ids[0] = field.any_text().unwrap_or_default(),
            "spanId" => ids[1] = field.any_text().unwrap_or_default(),
            "parentSpanId" => ids[2] = field.any_text().unwrap_or_default(),
            "startTimeUnixNano" => start = field.value(),
            "endTimeUnixNano" => end = field.value(),
            "attributes" => {
                if let Some(list) = field.value() {
                    attributes.read(list)?;
                }
            }
            "status" => {
                let code = field.value().and_then(|status| status.get("code")).map_or("", Value::raw);
                failed = matches!(code, "2" | "STATUS_CODE_ERROR");
            }
            _ => {}
        }
    }
    let [trace, id, parent] = ids;
    let mut span = Span { id: (trace, id), parent, generation: None };
    if !attributes.is_generation() {
        return Ok(span);
    }
    let Some(ts) = time("startTimeUnixNano", start)? else {
        return Err(Reject::missing("startTimeUnixNano", "the start of the span in nanoseconds since 1970"));
    };
    let mut found = Found::new(UsageRecord::at(ts));
    found.record.latency_ms = time("endTimeUnixNano", end)?
        .map(|end| (end.micros() - ts.micros()) / 1_000)
        .filter(|&latency_ms| latency_ms >= 0);
    if let Some(about) = about {
        attributes.read_resource(about)?;
    }
    attributes.fill(&mut found);
    let record = &mut found.record;
    let word = record.error_code.as_deref().unwrap_or_default();
    record.status = if ["Cancel", "cancel", "Abort"].iter().any(|sign| word.contains(sign)) {
        Status::Cancelled
    } else if failed || !word.is_empty() {
        Status::Error
    } else {
        ending::status(record.http_status, None)
    };
    if !span.id.1.is_empty() {
        found.ids[1] = Some(Cow::Owned(format!("{}-{}", span.id.0, span.id.1)));
    } else if found.ids[0].is_none() {
        return Err(Reject::missing("spanId", "`traceId` and `spanId`, or an attribute `gen_ai.response.id`"));
    }
    span.generation = Some(Box::new(found));
    Ok(span)
}

/// A time in nanoseconds since 1970, also as the pair of halves that some
/// JavaScript SDKs write.
fn time(name: &str, value: Option<Value<'_>>) -> Result<Option<Instant>, Reject> {
    match value.and_then(halves) {
        Some(nanos) => Field::Text(nanos.to_string().into()).time(name, chrono_tz::Tz::UTC),
        None => Field::from(value).time(name, chrono_tz::Tz::UTC),
    }
}

/// The number of `{"low":…,"high":…}`.
fn halves(value: Value<'_>) -> Option<i64> {
    let half = |name: &str| value.get(name)?.number()?.parse::<i64>().ok().and_then(i32_bits);
    Some((half("high")? << 32) | half("low")?)
}

/// A 32-bit half, signed or not, as its bits.
fn i32_bits(half: i64) -> Option<i64> {
    (i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(&half).then_some(half & 0xFFFF_FFFF)
}

/// The spans of one line: generations wait until it is known what is in them.
#[derive(Default)]
struct Spans<'a> {
    parents: HashMap<(Text<'a>, Text<'a>), Text<'a>>,
    generations: Vec<((Text<'a>, Text<'a>), Box<Found<'a>>)>,
}

impl<'a> Spans<'a> {
    fn push(&mut self, span: Span<'a>, sink: &mut dyn Sink<'a>) {
        match span.generation {
            Some(found) => self.generations.push((span.id.clone(), found)),
            None => sink.skip(Skip::NotGeneration),
        }
        if !span.parent.is_empty() {
            self.parents.insert(span.id, span.parent);
        }
    }

    fn finish(self, sink: &mut dyn Sink<'a>) {
        let repeats = if self.generations.len() > 1 { self.repeats() } else { vec![false; self.generations.len()] };
        for ((_, mut found), repeats) in self.generations.into_iter().zip(repeats) {
            if repeats {
                sink.skip(Skip::NotGeneration);
            } else {
                sink.record(&mut found);
            }
        }
    }

    /// Which generations only repeat another one: those around one that
    /// reports usage, and those without usage within one that reports it.
    fn repeats(&self) -> Vec<bool> {
        let places: HashMap<_, _> = self.generations.iter().enumerate().map(|(at, (id, _))| (id, at)).collect();
        let mut repeats = vec![false; self.generations.len()];
        for (inner, (id, found)) in self.generations.iter().enumerate() {
            let mut at = id.clone();
            for _ in 0..MAX_ANCESTORS {
                let Some(parent) = self.parents.get(&at) else { break };
                at.1 = parent.clone();
                let Some(&outer) = places.get(&at).filter(|&&outer| outer != inner) else { continue };
                let around = &self.generations[outer].1;
                if both_have_their_own_id(found, around) {
                    continue;
                }
                if found.record.quantities.any() {
                    repeats[outer] = true;
                } else if around.record.quantities.any() && found.record.status == Status::Success {
                    repeats[inner] = true;
                }
            }
        }
        repeats
    }
}

fn both_have_their_own_id(one: &Found<'_>, other: &Found<'_>) -> bool {
    one.ids[0].is_some() && other.ids[0].is_some() && one.ids[0] != other.ids[0]
}

#[cfg(test)]
mod tests {
    use super::{super::shared::testing, *};

    /// A span of trace `t`: its id, its parent's, and its attributes.
    fn span(id: &str, parent: &str, attributes: &str) -> String {
        format!(
            r#"{{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"{id}","parentSpanId":"{parent}","startTimeUnixNano":"1780300800000000999","endTimeUnixNano":"1780300802000000000","attributes":[{attributes}]}}"#
        )
    }

    fn text(name: &str, value: &str) -> String {
        format!(r#"{{"key":"{name}","value":{{"stringValue":"{value}"}}}}"#)
    }

    fn int(name: &str, value: i64) -> String {
        format!(r#"{{"key":"{name}","value":{{"intValue":"{value}"}}}}"#)
    }

    fn check(spans: &[String], expect: &str) {
        let json = format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{}]}},"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
            text("service.name", "shop"),
            spans.join(",")
        );
        assert_eq!(testing::ledger(&Otlp, &json, &Source::default()), expect, "{json}");
    }

    fn chat(input: i64) -> String {
        [
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", "m"),
            int("gen_ai.usage.input_tokens", input),
            int("gen_ai.usage.output_tokens", 5),
        ]
        .join(",")
    }

    const ROW: &str = "2026-06-01T08:00:00Z openai m chat success reported";

    #[test]
    fn a_generation_is_counted_once() {
        let id = |id: &str| format!(",{}", text("gen_ai.response.id", id));
        let agent = text("gen_ai.operation.name", "invoke_agent");
        check(
            &[span("a", "", &agent), span("b", "a", &chat(10)), span("c", "a", &chat(20))],
            &format!("skip not_generation\n{ROW} in=10 out=5 project=shop\n{ROW} in=20 out=5 project=shop"),
        );
        // One generation around another, with something in between.
        check(
            &[span("a", "", &chat(10)), span("b", "a", &agent), span("c", "b", &chat(10))],
            &format!("skip not_generation\nskip not_generation\n{ROW} in=10 out=5 project=shop"),
        );
        check(
            &[span("a", "", &(chat(10) + &id("one"))), span("b", "a", &(chat(20) + &id("two")))],
            &format!("{ROW} in=10 out=5 project=shop\n{ROW} in=20 out=5 project=shop"),
        );
        let bare = [text("gen_ai.operation.name", "chat"), text("gen_ai.request.model", "m")].join(",");
        check(
            &[span("a", "", &chat(10)), span("b", "a", &bare)],
            &format!("{ROW} in=10 out=5 project=shop\nskip not_generation"),
        );
        // A circle of parents ends.
        check(&[span("a", "b", &agent), span("b", "a", &agent)], "skip not_generation\nskip not_generation");
    }

    #[test]
    fn spans_without_ids_or_times_are_refused() {
        let json = |rest: &str| {
            format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{rest},"attributes":[{}]}}]}}]}}]}}"#, chat(1))
        };
        for (rest, expect) in [
            (r#""traceId":"t","spanId":"s""#, "reject missing_field: `startTimeUnixNano`"),
            (r#""traceId":"t","spanId":"s","startTimeUnixNano":"0""#, "reject bad_time: `startTimeUnixNano` is `0`"),
            (r#""traceId":"t","startTimeUnixNano":"1780300800000000000""#, "reject missing_field: `spanId`"),
        ] {
            let found = testing::ledger(&Otlp, &json(rest), &Source::default());
            assert!(found.starts_with(expect), "{found}");
        }
    }

    #[test]
    fn numbers_in_halves_are_put_together() {
        let nanos = 1_780_300_803_000_000_000_i64;
        let (high, low) = (nanos.div_euclid(1 << 32), nanos.rem_euclid(1 << 32));
        for (low, expect) in [(low, Some(nanos)), (low - (1 << 32), Some(nanos)), (low - (1 << 33), None)] {
            let json = format!(r#"{{"low":{low},"high":{high},"unsigned":true}}"#);
            assert_eq!(testing::with_json(&json, halves), expect, "{json}");
        }
        assert_eq!(testing::with_json(r#"{"low":1}"#, halves), None);
    }

    #[test]
    fn logs_and_metrics_are_skipped() {
        let check = |json: &str, expect: &str| assert_eq!(testing::ledger(&Otlp, json, &Source::default()), expect);
        check(r#"{"resourceLogs":[]}"#, "skip not_generation");
        check(r#"{"resourceMetrics":[]}"#, "skip aggregate");
        check(r#"{"resourceSpans":{}}"#, "reject wrong_type: `resourceSpans` is an object, expected an array");
        check("{}", "skip not_usage");
    }
}
