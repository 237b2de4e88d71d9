//! `groq-prometheus`: the metrics that Groq offers to Enterprise customers,
//! rates of requests and tokens per second over the last five minutes. Asked
//! every five minutes, they are integrated over the day: an estimate, marked
//! as one. There is no money in them, no key, and no word of caches.

use std::collections::BTreeMap;

use super::{
    Days, Line, Page, Question, Teller, Told, Unreadable,
    pages::{list, scan, text},
};
use crate::{
    json::{Scanner, Value},
    money::Usd,
    record::{Meter, Quality},
    time::{Day, Instant},
};

#[derive(Debug)]
pub(super) struct GroqPrometheus;

/// Seconds between two samples, which is what each is the mean of.
const STEP: i64 = 300;

/// What is asked for: by what name it is kept, and what it is called there.
const METRICS: [(&str, &str); 3] = [
    ("requests", "sum by (model, project_id) (model_project_id_status_code:requests:rate5m)"),
    ("tokens_in", "sum by (model, project_id) (model_project_id:tokens_in:rate5m)"),
    ("tokens_out", "sum by (model, project_id) (model_project_id:tokens_out:rate5m)"),
];

impl Teller for GroqPrometheus {
    fn name(&self) -> &'static str {
        "groq-prometheus"
    }

    fn provider(&self) -> &'static str {
        "groq"
    }

    /// A sample tells of the five minutes before it.
    fn questions(&self, days: Days) -> Vec<Question> {
        let (start, end) = (days.from.start().seconds() + STEP, days.until.start().seconds());
        let question = |&(kind, metric): &(&'static str, &'static str)| Question {
            path: "/api/v1/query_range",
            query: vec![
                ("query", metric.to_owned()),
                ("start", start.to_string()),
                ("end", end.to_string()),
                ("step", STEP.to_string()),
            ],
            kind,
        };
        METRICS.iter().map(question).collect()
    }

    /// A week of samples; servers answer 11,000 at most.
    fn longest(&self) -> i32 {
        7
    }

    fn has_kinds(&self) -> bool {
        true
    }

    fn read(&self, text: &str, told: &Told<'_>) -> Result<Page, Unreadable> {
        let mut scanner = Scanner::new();
        let answer = scan(text, &mut scanner)?;
        let data = answer.some("data").unwrap_or(answer);
        let mut page = Page::default();
        for (index, series) in list(data, "data.", "result")?.items().enumerate() {
            let read = lines(series, told).map_err(|error| Unreadable(format!("data.result[{index}]: {error}")));
            page.lines.append(&mut read?);
        }
        Ok(page)
    }
}

/// The days of one series.
fn lines(series: Value<'_>, told: &Told<'_>) -> Result<Vec<Line>, Unreadable> {
    let metric =
        series.some("metric").ok_or_else(|| Unreadable("`metric` is not there, expected labels".to_owned()))?;
    let name = text(metric, "__name__")?;
    let kind = match (&name, told.question) {
        (Some(name), _) => METRICS.iter().find(|(_, query)| query.contains(&format!("({name})"))),
        (None, Some(question)) => METRICS.iter().find(|(kind, _)| *kind == question.kind),
        // A sum has no name of its own.
        (None, None) => METRICS.iter().find(|(kind, _)| told.file.contains(kind)),
    };
    let kind = kind.map(|&(kind, _)| kind).ok_or_else(|| {
        Unreadable(
            "`metric` does not say which it is, expected `__name__`, or `requests`, `tokens_in` or `tokens_out` in the \
             name of the file"
                .to_owned(),
        )
    })?;
    let mut days: BTreeMap<Day, i128> = BTreeMap::new();
    for sample in list(series, "", "values")?.items() {
        // The last sample of a day is at its end, and tells of the time before.
        let Some((at, rate)) = read_sample(sample)? else { continue };
        let day = at.plus_micros(-1).day();
        let sum = days.entry(day).or_default();
        *sum = sum.checked_add(rate).ok_or_else(too_many)?;
    }
    let (model, project) = (text(metric, "model")?, text(metric, "project_id")?);
    let line = |(day, sum): (Day, i128)| {
        let mut row = told.row(day.start(), day.end())?;
        (row.model, row.project, row.line_item) = (model.clone(), project.clone(), Some(kind.to_owned()));
        let count = Some(integral(sum).ok_or_else(too_many)?);
        match kind {
            "requests" => row.requests = count,
            "tokens_in" => row.quantities[Meter::InputTokens] = count,
            _ => row.quantities[Meter::OutputTokens] = count,
        }
        row.quality = Quality::Estimated;
        Ok(Line { row, kind, apart: text(metric, "status_code")?.unwrap_or_default() })
    };
    days.into_iter().map(line).collect()
}

fn too_many() -> Unreadable {
    Unreadable("rates add up to more than can be counted".to_owned())
}

/// When, and how many per second in millionths of a millionth; `None` of a
/// sample that says that there is none.
fn read_sample(sample: Value<'_>) -> Result<Option<(Instant, i128)>, Unreadable> {
    let wrong = || Unreadable(format!("a sample is `{}`, expected `[time, \"rate\"]`", sample.raw()));
    let mut parts = sample.items();
    let (Some(at), Some(rate)) = (parts.next(), parts.next()) else { return Err(wrong()) };
    let seconds = at.number().and_then(|digits| digits.split('.').next()?.parse::<i64>().ok());
    let at = seconds.and_then(Instant::from_epoch).ok_or_else(wrong)?;
    let rate = rate.text().or_else(|| rate.number().map(Into::into)).ok_or_else(wrong)?;
    if matches!(rate.as_ref(), "NaN" | "+Inf" | "-Inf" | "Inf") {
        return Ok(None);
    }
    // The digits of a number are exact in the type for money, too.
    let rate = Usd::parse_rounded(rate.as_bytes(), 0).map_err(|_| wrong())?.pico();
    if rate < 0 { Err(wrong()) } else { Ok(Some((at, rate))) }
}

/// A sum of rates times the time of each, as a whole number, rounded half up.
fn integral(sum: i128) -> Option<i64> {
    const ONE: i128 = 1_000_000_000_000;
    i64::try_from(sum.checked_mul(i128::from(STEP))?.checked_add(ONE / 2)? / ONE).ok()
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{asked, lines, refused, shown, told},
        *,
    };

    fn answer(metric: &str, values: &str) -> String {
        format!(
            "{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{{\"metric\":{{{metric}}},\
             \"values\":[{values}]}}]}}}}"
        )
    }

    const NAMED: &str = "\"__name__\":\"model_project_id:tokens_in:rate5m\",\"model\":\"llama-3.1-8b-instant\",\"project_id\":\"project_a\"";

    #[test]
    fn rates_are_integrated_over_each_day() {
        // 2 per second for five minutes, then 0.5; the sample at midnight is of the day before.
        let values = "[1794786900,\"2\"],[1794787200,\"0.5\"],[1794787500,\"0.001\"],[1794787800,\"NaN\"]";
        let start = "usage model=llama-3.1-8b-instant";
        assert_eq!(
            lines(&GroqPrometheus, &answer(&NAMED.replace(",\"project_id\":\"project_a\"", ""), values)),
            [
                format!("2026-11-15T00:00:00Z {start} item=tokens_in input_tokens=750 estimated"),
                "2026-11-16T00:00:00Z usage covers=2026-11-16T02:00:00Z model=llama-3.1-8b-instant item=tokens_in \
                 input_tokens=0 estimated"
                    .to_owned(),
            ]
        );
    }

    #[test]
    fn a_sum_is_of_the_metric_that_was_asked_for() {
        let questions = GroqPrometheus.questions(Days { from: Day::from_days(20_772), until: Day::from_days(20_773) });
        let told = Told { question: Some(&questions[2]), ..told() };
        let page = GroqPrometheus.read(&answer("\"model\":\"m\"", "[1794786900,\"1.0\"]"), &told).unwrap();
        assert_eq!(
            shown(&page.lines[0].row),
            "2026-11-15T00:00:00Z usage model=m item=tokens_out output_tokens=300 estimated"
        );
        assert_eq!(
            asked(&GroqPrometheus, "2026-11-15", "2026-11-16")[1],
            "/api/v1/query_range?query=sum by (model, project_id) (model_project_id:tokens_in:rate5m)&\
             start=1794701100&end=1794787200&step=300"
        );
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        for (metric, values, expect) in [
            ("\"model\":\"m\"", "[1794786900,\"1\"]", "data.result[0]: `metric` does not say which it is, "),
            (NAMED, "[1794786900]", "data.result[0]: a sample is `[1794786900]`, expected `[time, \"rate\"]`"),
            (NAMED, "[1794786900,\"-1\"]", "data.result[0]: a sample is "),
            (NAMED, "[\"now\",\"1\"]", "data.result[0]: a sample is "),
            (NAMED, "[1794786900,\"1e25\"]", "data.result[0]: rates add up to more than can be counted"),
        ] {
            let error = refused(&GroqPrometheus, &answer(metric, values));
            assert!(error.starts_with(expect), "{error}");
        }
        assert_eq!(
            refused(&GroqPrometheus, "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"no such metric\"}"),
            "the answer is an error: `no such metric`"
        );
    }
}
