//! Providers that tell totals: the same lines of usage in the shape of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use spendbook::time::{Day, Instant};

use super::{Asked, Reply};

/// What was used of a model on a day, by a key of a project.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub(crate) day: &'static str,
    pub(crate) key: &'static str,
    pub(crate) project: &'static str,
    pub(crate) model: &'static str,
    pub(crate) requests: i64,
    /// What was not in a cache.
    pub(crate) input: i64,
    pub(crate) cached: i64,
    pub(crate) output: i64,
    pub(crate) cost_micros: i64,
}

impl Used {
    /// Of a model that everybody has, a cent per request.
    pub(crate) const fn of(day: &'static str, key: &'static str, requests: i64) -> Self {
        Self {
            day,
            key,
            project: "proj_a",
            model: "model-1",
            requests,
            input: requests * 100,
            cached: requests * 10,
            output: requests * 7,
            cost_micros: requests * 10_000,
        }
    }
}

/// What a provider knows, which a test may change while it is asked.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    used: Arc<Mutex<Vec<Used>>>,
    /// What it takes for now.
    now: Arc<Mutex<Instant>>,
}

impl Ledger {
    pub(crate) fn of(now: &str, used: impl IntoIterator<Item = Used>) -> Self {
        let now = Instant::parse(now, chrono_tz::Tz::UTC).unwrap();
        Self { used: Arc::new(Mutex::new(used.into_iter().collect())), now: Arc::new(Mutex::new(now)) }
    }

    pub(crate) fn set_now(&self, now: &str) {
        *self.now.lock().unwrap() = Instant::parse(now, chrono_tz::Tz::UTC).unwrap();
    }

    fn now(&self) -> Instant {
        *self.now.lock().unwrap()
    }

    /// In the place of what this key used on this day.
    pub(crate) fn put(&self, used: Used) {
        let mut all = self.used.lock().unwrap();
        all.retain(|it| (it.day, it.key) != (used.day, used.key));
        all.push(used);
    }

    fn on(&self, day: Day) -> Vec<Used> {
        self.used.lock().unwrap().iter().filter(|it| Day::parse(it.day) == Some(day)).cloned().collect()
    }

    fn days(&self) -> Vec<Day> {
        let days: BTreeSet<Day> = self.used.lock().unwrap().iter().map(|it| Day::parse(it.day).unwrap()).collect();
        days.into_iter().collect()
    }
}

/// Answers for every provider at once, so many days to a page.
pub(crate) fn tells(ledger: &Ledger, page_days: i32) -> impl Fn(&Asked) -> Reply + Send + Sync + use<> {
    let ledger = ledger.clone();
    move |asked| {
        let now = ledger.now();
        let openai = Shape { start: "start_time", end: "end_time", page_days };
        let anthropic = Shape { start: "starting_at", end: "ending_at", page_days };
        match asked.path.as_str() {
            "/v1/organization/usage/completions" => openai.page(asked, &ledger, completions),
            path if path.starts_with("/v1/organization/usage/") => {
                openai.page(asked, &Ledger::of("2026-01-01T00:00:00Z", []), completions)
            }
            "/v1/organization/costs" => openai.page(asked, &ledger, openai_cost),
            "/v1/organizations/usage_report/messages" => anthropic.page(asked, &ledger, messages),
            "/v1/organizations/cost_report" => anthropic.page(asked, &ledger, anthropic_cost),
            "/api/v1/activity" => activity(&ledger, now.day()),
            "/admin/groq/usage" => usage_by_key(&ledger, now.day()),
            "/api/v1/query_range" => rates(asked, now),
            path => Reply::status(
                404,
                format!(
                    "{{\"error\":{{\"message\":\"Unknown request URL: GET {path}. Please check the URL for typos, or \
                     see the docs at https://console.groq.com/docs/\",\"type\":\"invalid_request_error\",\"code\":\
                     \"unknown_url\"}}}}"
                ),
            ),
        }
    }
}

/// Buckets of a day, on pages.
#[derive(Clone, Copy)]
struct Shape {
    start: &'static str,
    end: &'static str,
    page_days: i32,
}

impl Shape {
    fn time(self, at: Instant) -> String {
        if self.start == "start_time" { at.seconds().to_string() } else { format!("\"{at}\"") }
    }

    fn page(self, asked: &Asked, ledger: &Ledger, result: fn(&Used) -> String) -> Reply {
        assert_eq!(asked.parameter("bucket_width"), "1d");
        let day = |name: &str| {
            let text = asked.parameter(name);
            let at = text.parse().ok().and_then(Instant::from_epoch);
            at.or_else(|| Instant::parse(text, chrono_tz::Tz::UTC)).unwrap_or_else(|| panic!("{asked:?}")).day()
        };
        let (from, until) = (day(self.start), day(self.end));
        let from = Day::parse(asked.parameter("page").trim_start_matches("page_")).unwrap_or(from);
        let last = Day::from_days((from.days() + self.page_days).min(until.days()));
        let mut buckets = Vec::new();
        for number in from.days()..last.days() {
            let day = Day::from_days(number);
            let results: Vec<_> = ledger.on(day).iter().map(result).collect();
            buckets.push(format!(
                "{{\"{}\":{},\"{}\":{},\"results\":[{}]}}",
                self.start,
                self.time(day.start()),
                self.end,
                self.time(day.end()),
                results.join(",")
            ));
        }
        let next = if last < until { format!("\"page_{last}\"") } else { "null".to_owned() };
        let has_more = last < until;
        let data = buckets.join(",");
        Reply::json(format!("{{\"object\":\"page\",\"data\":[{data}],\"has_more\":{has_more},\"next_page\":{next}}}"))
    }
}

fn completions(used: &Used) -> String {
    format!(
        "{{\"object\":\"organization.usage.completions.result\",\"input_tokens\":{},\"input_cached_tokens\":{},\
         \"output_tokens\":{},\"num_model_requests\":{},\"project_id\":\"{}\",\"user_id\":null,\"api_key_id\":\"{}\",\
         \"model\":\"{}\",\"batch\":false,\"service_tier\":\"default\"}}",
        used.input + used.cached,
        used.cached,
        used.output,
        used.requests,
        used.project,
        used.key,
        used.model
    )
}

/// Dollars with six digits, in which a float has no part.
fn dollars(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn openai_cost(used: &Used) -> String {
    format!(
        "{{\"object\":\"organization.costs.result\",\"amount\":{{\"value\":{},\"currency\":\"usd\"}},\"line_item\":\
         \"{}, input\",\"project_id\":\"{}\",\"api_key_id\":\"{}\"}}",
        dollars(used.cost_micros),
        used.model,
        used.project,
        used.key
    )
}

fn messages(used: &Used) -> String {
    format!(
        "{{\"uncached_input_tokens\":{},\"cache_read_input_tokens\":{},\"cache_creation\":{{\
         \"ephemeral_1h_input_tokens\":2,\"ephemeral_5m_input_tokens\":3}},\"output_tokens\":{},\"server_tool_use\":\
         {{\"web_search_requests\":0}},\"api_key_id\":\"{}\",\"workspace_id\":\"{}\",\"model\":\"{}\",\
         \"service_tier\":\"standard\"}}",
        used.input, used.cached, used.output, used.key, used.project, used.model
    )
}

/// In cents, as a text.
fn anthropic_cost(used: &Used) -> String {
    format!(
        "{{\"amount\":\"{}.{:04}\",\"currency\":\"USD\",\"cost_type\":\"tokens\",\"description\":\"{} Usage\",\
         \"model\":\"{}\",\"service_tier\":\"standard\",\"workspace_id\":\"{}\",\"token_type\":\"{}\"}}",
        used.cost_micros / 10_000,
        used.cost_micros % 10_000,
        used.model,
        used.model,
        used.project,
        // What tells lines apart that have no key.
        used.key
    )
}

/// The last 30 days that are over.
fn activity(ledger: &Ledger, today: Day) -> Reply {
    let is_kept = |day: &Day| *day < today && day.days() >= today.days() - 30;
    let mut rows = Vec::new();
    for day in ledger.days().into_iter().filter(is_kept) {
        for used in ledger.on(day) {
            rows.push(format!(
                "{{\"date\":\"{day}\",\"model\":\"{}\",\"model_permaslug\":\"{}-1115\",\"endpoint_id\":\"{}\",\
                 \"provider_name\":\"Someone\",\"usage\":{},\"byok_usage_inference\":0,\"requests\":{},\
                 \"prompt_tokens\":{},\"completion_tokens\":{},\"reasoning_tokens\":0,\"cached_tokens\":{}}}",
                used.model,
                used.model,
                used.key,
                dollars(used.cost_micros),
                used.requests,
                used.input + used.cached,
                used.output,
                used.cached
            ));
        }
    }
    Reply::json(format!("{{\"data\":[{}]}}", rows.join(",")))
}

fn usage_by_key(ledger: &Ledger, today: Day) -> Reply {
    let key = |used: &Used| {
        format!(
            "{{\"key_name\":\"{}\",\"requests_today\":{},\"tokens_today\":{},\"estimated_cost_usd\":{}}}",
            used.key,
            used.requests,
            used.input + used.cached + used.output,
            dollars(used.cost_micros)
        )
    };
    let keys: Vec<_> = ledger.on(today).iter().map(key).collect();
    Reply::json(format!("{{\"usage_by_key\":[{}]}}", keys.join(",")))
}

/// Steady rates per second, as far as now.
fn rates(asked: &Asked, now: Instant) -> Reply {
    let number = |name: &str| asked.parameter(name).parse::<i64>().unwrap();
    let rate = BTreeMap::from([("requests:", "0.01"), ("tokens_in:", "12.5"), ("tokens_out:", "0.75")]);
    let (_, rate) = rate.into_iter().find(|(metric, _)| asked.parameter("query").contains(metric)).unwrap();
    let mut values = Vec::new();
    let mut at = number("start");
    while at <= number("end").min(now.seconds()) {
        values.push(format!("[{at},\"{rate}\"]"));
        at += number("step");
    }
    Reply::json(format!(
        "{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{{\"metric\":{{\"model\":\"model-1\",\
         \"project_id\":\"proj_a\"}},\"values\":[{}]}}]}}}}",
        values.join(",")
    ))
}
