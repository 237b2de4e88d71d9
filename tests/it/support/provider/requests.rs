//! Gateways that tell requests page by page: `LiteLLM`'s spend logs, Langfuse's
//! observations, Cloudflare's logs, as far as their shapes go.

use std::sync::{Arc, Mutex};

use chrono_tz::Tz;
use spendbook::time::Instant;

use super::{Asked, Reply};

/// A request as a gateway keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) ts: String,
    pub(crate) input: i64,
    pub(crate) output: i64,
}

impl Kept {
    pub(crate) fn new(id: &str, ts: &str, input: i64, output: i64) -> Self {
        Self { id: id.to_owned(), ts: ts.to_owned(), input, output }
    }

    fn at(&self) -> Instant {
        instant(&self.ts)
    }

    /// As a row of `LiteLLM`'s spend logs.
    pub(crate) fn spend_log(&self) -> String {
        format!(
            "{{\"request_id\":\"{}\",\"call_type\":\"acompletion\",\"api_key\":\"{}\",\"spend\":0.5,\"total_tokens\":{},\
             \"prompt_tokens\":{},\"completion_tokens\":{},\"startTime\":\"{}\",\"endTime\":\"{}\",\
             \"model\":\"llama-3.1-8b-instant\",\"custom_llm_provider\":\"groq\",\"user\":\"ada\",\"team_id\":\"chatbot\",\
             \"metadata\":{{\"user_api_key_alias\":\"chatbot-prod\",\"status\":\"success\"}},\"cache_hit\":\"False\",\
             \"request_tags\":[],\"status\":\"success\"}}",
            self.id,
            "ab".repeat(32),
            self.input + self.output,
            self.input,
            self.output,
            self.ts,
            self.ts
        )
    }

    fn observation(&self) -> String {
        format!(
            "{{\"id\":\"{}\",\"traceId\":\"t\",\"type\":\"GENERATION\",\"startTime\":\"{}\",\"endTime\":\"{}\",\
             \"providedModelName\":\"llama-3.1-8b-instant\",\"level\":\"DEFAULT\",\
             \"usageDetails\":{{\"input\":{},\"output\":{},\"total\":{}}},\"metadata\":{{}}}}",
            self.id,
            self.ts,
            self.ts,
            self.input,
            self.output,
            self.input + self.output
        )
    }

    fn gateway_log(&self) -> String {
        format!(
            "{{\"id\":\"{}\",\"created_at\":\"{}\",\"cached\":false,\"duration\":12,\"model\":\"llama-3.1-8b-instant\",\
             \"provider\":\"groq\",\"path\":\"chat/completions\",\"success\":true,\"status_code\":200,\
             \"tokens_in\":{},\"tokens_out\":{}}}",
            self.id, self.ts, self.input, self.output
        )
    }
}

pub(crate) fn instant(text: &str) -> Instant {
    Instant::parse(text, Tz::UTC).unwrap_or_else(|| panic!("{text} is no time"))
}

/// What a gateway keeps; tests change it while it is told.
pub(crate) type Log = Arc<Mutex<Vec<Kept>>>;

pub(crate) fn log(kept: impl IntoIterator<Item = Kept>) -> Log {
    Arc::new(Mutex::new(kept.into_iter().collect()))
}

/// What a proxy of `LiteLLM` is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proxy {
    /// Larger pages are refused.
    pub(crate) largest_page: usize,
    /// It counts no further.
    pub(crate) counts_to: usize,
    /// It sorts as it was asked to.
    pub(crate) sorts: bool,
}

impl Default for Proxy {
    fn default() -> Self {
        Self { largest_page: 1_000, counts_to: usize::MAX, sorts: true }
    }
}

/// `/spend/logs/v2`. `meanwhile` may change what is kept after each answer.
pub(crate) fn litellm(
    proxy: Proxy,
    log: Log,
    meanwhile: impl Fn(&Asked, &mut Vec<Kept>) + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| {
        if asked.path != "/spend/logs/v2" {
            return Reply::status(404, "{\"detail\":\"Not Found\"}");
        }
        let number = |name: &str| asked.parameter(name).parse::<usize>().unwrap_or(0);
        let (page, size) = (number("page"), number("page_size"));
        let [from, until] = ["start_date", "end_date"].map(|name| asked.parameter(name));
        let is_time = |text: &str| text.len() == 19 && text.as_bytes()[10] == b' ';
        if page == 0 || size == 0 || size > proxy.largest_page || !is_time(from) || !is_time(until) {
            return Reply::status(422, "{\"detail\":[{\"msg\":\"Input should be less than or equal to 100\"}]}");
        }
        let mut kept = log.lock().unwrap();
        // Both ends are included.
        let inside = |it: &&Kept| (instant(from)..=instant(until)).contains(&it.at());
        let mut found: Vec<Kept> = kept.iter().filter(inside).cloned().collect();
        if proxy.sorts && asked.parameter("sort_by") == "startTime" {
            found.sort_by_key(Kept::at);
            if asked.parameter("sort_order") != "asc" {
                found.reverse();
            }
        }
        let total = found.len().min(proxy.counts_to);
        let rows: Vec<String> = found.iter().skip((page - 1) * size).take(size).map(Kept::spend_log).collect();
        meanwhile(asked, &mut kept);
        Reply::json(format!(
            "{{\"data\":[{}],\"total\":{total},\"page\":{page},\"page_size\":{size},\"total_pages\":{},\"total_is_capped\":{}}}",
            rows.join(","),
            total.div_ceil(size),
            total < found.len()
        ))
    }
}

/// Langfuse's observations, the latest first; a page names the last one on it.
pub(crate) fn langfuse(log: Log) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| {
        if asked.path != "/api/public/v2/observations" {
            return Reply::status(404, "{\"message\":\"Not Found\"}");
        }
        let span = instant(asked.parameter("fromStartTime"))..instant(asked.parameter("toStartTime"));
        let limit: usize = asked.parameter("limit").parse().unwrap_or(50);
        if limit > 100 {
            return Reply::status(400, "{\"message\":\"Invalid request data\"}");
        }
        let mut found: Vec<Kept> = log.lock().unwrap().iter().filter(|it| span.contains(&it.at())).cloned().collect();
        found.sort_by(|a, b| (b.at(), &b.id).cmp(&(a.at(), &a.id)));
        let place = |it: &Kept| format!("{}|{}", it.ts, it.id);
        let begin = match asked.parameter("cursor") {
            "" => 0,
            cursor => found.iter().position(|it| place(it) == cursor).map_or(found.len(), |at| at + 1),
        };
        let page: Vec<Kept> = found[begin..].iter().take(limit).cloned().collect();
        let next = page.last().filter(|_| begin + page.len() < found.len());
        let cursor = next.map_or("null".to_owned(), |last| format!("\"{}\"", place(last)));
        let items: Vec<String> = page.iter().map(Kept::observation).collect();
        Reply::json(format!("{{\"data\":[{}],\"meta\":{{\"cursor\":{cursor}}}}}", items.join(",")))
    }
}

/// The logs of the gateway `main` of the account `acc`.
pub(crate) fn cloudflare(log: Log) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| {
        let number = |name: &str| asked.parameter(name).parse::<usize>().unwrap_or(1);
        let (page, size) = (number("page"), number("per_page"));
        if asked.path != "/accounts/acc/ai-gateway/gateways/main/logs" || size > 50 {
            return Reply::status(
                400,
                "{\"success\":false,\"errors\":[{\"code\":7003,\"message\":\"Could not route\"}]}",
            );
        }
        let span = instant(asked.parameter("start_date"))..=instant(asked.parameter("end_date"));
        let mut found: Vec<Kept> = log.lock().unwrap().iter().filter(|it| span.contains(&it.at())).cloned().collect();
        found.sort_by_key(Kept::at);
        let items: Vec<String> = found.iter().skip((page - 1) * size).take(size).map(Kept::gateway_log).collect();
        Reply::json(format!(
            "{{\"success\":true,\"errors\":[],\"result\":[{}],\"result_info\":{{\"page\":{page},\"per_page\":{size},\
             \"count\":{},\"total_count\":{}}}}}",
            items.join(","),
            items.len(),
            found.len()
        ))
    }
}
