//! `groq-activity`: what Groq's console loads for its usage page, saved to a
//! file by hand: a row per model and UTC day, or several. There is no key to
//! ask for it with, so it is only ever read from files.

use super::{
    Days, Line, Page, Question, Teller, Told, Unreadable,
    openai_costs::money,
    pages::{apart, count, instant, rows, text},
};
use crate::{ingest::formats::shared::tokens::Totals, json::Value, record::Measure};

#[derive(Debug)]
pub(super) struct GroqActivity;

impl Teller for GroqActivity {
    fn name(&self) -> &'static str {
        "groq-activity"
    }

    fn provider(&self) -> &'static str {
        "groq"
    }

    fn measure(&self) -> Measure {
        Measure::Both
    }

    fn questions(&self, _: Days) -> Vec<Question> {
        Vec::new()
    }

    fn read(&self, text: &str, told: &Told<'_>) -> Result<Page, Unreadable> {
        rows(text, told, line)
    }
}

fn line(value: Value<'_>, told: &Told<'_>) -> Result<Line, Unreadable> {
    let day = instant(value, "timestamp")?.day();
    let mut row = told.row(day.start(), day.end())?;
    row.model = text(value, "model")?;
    row.project = text(value, "project_id")?;
    row.requests = count(value, "num_requests")?;
    let input = count(value, "n_context_tokens_total")?;
    let fresh = count(value, "n_non_cached_context_tokens_total")?;
    let cached = input.zip(fresh).and_then(|(input, fresh)| input.checked_sub(fresh)).filter(|&cached| cached >= 0);
    let counts =
        Totals { prompt: input, completion: count(value, "n_generated_tokens_total")?, cached, ..Totals::default() };
    let counts = counts.counts();
    (row.quantities, row.quality) = (counts.quantities, row.quality.max(counts.quality));
    row.cost = Some(money(value, "cost", 0)?);
    Ok(Line { row, kind: "", apart: apart(value, &["organization_name"]) })
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{asked, lines, refused},
        *,
    };

    #[test]
    fn a_day_of_a_model_is_a_line_or_several() {
        let row = "{\"organization_name\":\"Personal\",\"model\":\"llama-3.1-8b-instant\",\"timestamp\":1794700800,\
                   \"num_requests\":3,\"n_context_tokens_total\":100,\"n_non_cached_context_tokens_total\":80,\
                   \"n_generated_tokens_total\":40,\"cost\":0.01}";
        let expect = "2026-11-15T00:00:00Z both model=llama-3.1-8b-instant requests=3 input_tokens=80 \
                      cached_input_tokens=20 output_tokens=40 cost=0.01";
        assert_eq!(lines(&GroqActivity, &format!("{{\"object\":\"list\",\"data\":[{row},{row}]}}")), [expect, expect]);
        assert_eq!(lines(&GroqActivity, &format!("[{row}]")), [expect]);
        assert_eq!(
            refused(&GroqActivity, "[{\"timestamp\":1794700800}]"),
            "data[0]: `cost` is not there, expected an amount"
        );
    }

    #[test]
    fn there_is_nobody_to_ask() {
        assert_eq!(asked(&GroqActivity, "2026-11-01", "2026-11-16"), [""; 0]);
    }
}
