//! What pages of `OpenAI` and Anthropic have in common: buckets of time with
//! results in them, and the token of the next page.

use super::{Line, Page, Told, Unreadable};
use crate::{
    ingest::formats::shared::field::Field,
    json::{Scanner, Value},
    time::Instant,
};

/// Scans an answer.
///
/// # Errors
/// Where it is no JSON object, or an error in the place of an answer.
pub(super) fn scan<'s>(text: &'s str, scanner: &'s mut Scanner) -> Result<Value<'s>, Unreadable> {
    let answer = scanner.scan(text.trim_start_matches('\u{feff}')).map_err(|error| {
        Unreadable(format!("the answer is no JSON: {error}, expected the provider's answer as it was sent"))
    })?;
    if let Some(error) = answer.some("error") {
        let message = error.some("message").or(Some(error)).and_then(Value::text).unwrap_or_default();
        return Err(Unreadable(format!("the answer is an error: `{}`", crate::secrets::redact(&message))));
    }
    Ok(answer)
}

/// Whether a text is one JSON value, be it over many lines.
pub(in crate::totals) fn is_one_document(text: &str) -> bool {
    Scanner::new().scan(text.trim_start_matches('\u{feff}')).is_ok()
}

/// The list under a name.
///
/// # Errors
/// Where there is none: an answer of another kind.
pub(super) fn list<'v>(of: Value<'v>, place: &str, name: &str) -> Result<Value<'v>, Unreadable> {
    match of.get(name) {
        Some(list) if list.is_array() => Ok(list),
        Some(other) => Err(Unreadable(format!("`{place}{name}` is {}, expected a list", other.kind_name()))),
        None => Err(Unreadable(format!("`{place}{name}` is not there, expected a list"))),
    }
}

/// Reads an answer of rows: an array of them, or one under `data`.
///
/// # Errors
/// Where it is no such answer, or a row cannot be read.
pub(super) fn rows(
    text: &str,
    told: &Told<'_>,
    line: fn(Value<'_>, &Told<'_>) -> Result<Line, Unreadable>,
) -> Result<Page, Unreadable> {
    let mut scanner = Scanner::new();
    let answer = scan(text, &mut scanner)?;
    let rows = if answer.is_array() { answer } else { list(answer, "", "data")? };
    let lines = rows
        .items()
        .enumerate()
        .map(|(index, row)| line(row, told).map_err(|error| Unreadable(format!("data[{index}]: {error}"))));
    Ok(Page { lines: lines.collect::<Result<_, _>>()?, ..Page::default() })
}

/// The names under which buckets and their time stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets {
    pub(super) start: &'static str,
    pub(super) end: &'static str,
}

/// A bucket that is read, for its results.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket<'b> {
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) told: &'b Told<'b>,
}

impl Buckets {
    /// Hands over every result of every bucket.
    ///
    /// # Errors
    /// Where the page is of another shape, or a result is refused; the message
    /// says which.
    pub(super) fn read(
        self,
        text: &str,
        told: &Told<'_>,
        mut each: impl FnMut(Bucket<'_>, Value<'_>) -> Result<Option<Line>, Unreadable>,
    ) -> Result<Page, Unreadable> {
        let mut scanner = Scanner::new();
        let answer = scan(text, &mut scanner)?;
        let mut page = Page { next: next(answer)?, ..Page::default() };
        for (index, bucket) in list(answer, "", "data")?.items().enumerate() {
            let place = format!("data[{index}].");
            let at = |error: Unreadable| Unreadable(format!("{place}: {error}").replace(".:", ":"));
            let (start, end) = (instant(bucket, self.start).map_err(at)?, instant(bucket, self.end).map_err(at)?);
            // An older version of the answer has `result`.
            let name =
                if bucket.get("results").is_none() && bucket.get("result").is_some() { "result" } else { "results" };
            let results = list(bucket, &place, name)?;
            if results.items().next().is_none() {
                page.empty.push((start, end));
            }
            for (number, result) in results.items().enumerate() {
                match each(Bucket { start, end, told }, result) {
                    Ok(Some(line)) => page.lines.push(line),
                    Ok(None) => page.passed_over += 1,
                    Err(error) => return Err(Unreadable(format!("{place}{name}[{number}]: {error}"))),
                }
            }
        }
        Ok(page)
    }
}

/// A time that must be there.
///
/// # Errors
/// Where it is not, or is none.
pub(super) fn instant(value: Value<'_>, name: &str) -> Result<Instant, Unreadable> {
    let time = Field::from(value.get(name)).time(name, chrono_tz::Tz::UTC)?;
    time.ok_or_else(|| Unreadable(format!("`{name}` is not there, expected a time")))
}

fn next(answer: Value<'_>) -> Result<Option<String>, Unreadable> {
    let token = Field::from(answer.get("next_page")).text("next_page")?.map(std::borrow::Cow::into_owned);
    match (answer.some("has_more").and_then(Value::bool), token) {
        (Some(false), _) | (None, None) => Ok(None),
        (Some(true), None) => {
            Err(Unreadable("`has_more` is true and `next_page` is empty, expected where to read on".to_owned()))
        }
        (_, token) => Ok(token),
    }
}

/// A name of a result; empty is none.
pub(super) fn text(result: Value<'_>, name: &str) -> Result<Option<String>, Unreadable> {
    Ok(Field::from(result.get(name)).text(name)?.map(std::borrow::Cow::into_owned))
}

/// A count of a result.
pub(super) fn count(result: Value<'_>, name: &str) -> Result<Option<i64>, Unreadable> {
    Ok(Field::from(result.get(name)).count(name)?)
}

/// What tells a result apart and has no column.
pub(super) fn apart(result: Value<'_>, names: &[&str]) -> String {
    let of = |name: &&str| result.some(name).map_or(String::new(), |value| value.raw().to_owned());
    names.iter().map(of).collect::<Vec<_>>().join("\u{1f}")
}

#[cfg(test)]
mod tests {
    use super::{super::testing::told, *};

    fn read(text: &str) -> Result<(usize, Option<String>), String> {
        let buckets = Buckets { start: "start_time", end: "end_time" };
        let page = buckets.read(text, &told(), |bucket, result| {
            let row = bucket.told.row(bucket.start, bucket.end)?;
            count(result, "n")?;
            Ok(Some(Line { row, kind: "", apart: String::new() }))
        });
        page.map(|page| (page.lines.len(), page.next)).map_err(|error| error.to_string())
    }

    #[test]
    fn pages_say_whether_there_is_another() {
        for (rest, expect) in [
            ("", Ok(None)),
            (",\"has_more\":false,\"next_page\":\"page_2\"", Ok(None)),
            (",\"has_more\":true,\"next_page\":\"page_2\"", Ok(Some("page_2"))),
            (",\"next_page\":\"page_2\"", Ok(Some("page_2"))),
            (",\"has_more\":true", Err("`has_more` is true and `next_page` is empty, expected where to read on")),
        ] {
            let read = read(&format!("{{\"data\":[]{rest}}}"));
            assert_eq!(read, expect.map(|next| (0, next.map(str::to_owned))).map_err(str::to_owned), "{rest}");
        }
    }

    #[test]
    fn what_is_no_page_is_told_with_its_place() {
        let bucket = |rest: &str| format!("{{\"data\":[{{\"start_time\":1794700800,{rest}}}]}}");
        for (text, expect) in [
            ("", "the answer is no JSON: "),
            ("<html>", "the answer is no JSON: "),
            ("{}", "`data` is not there, expected a list"),
            ("{\"data\":{}}", "`data` is an object, expected a list"),
            (
                "{\"error\":{\"message\":\"bad key sk-admin-Q2Fu4ryCanaryCanary0123456789\"}}",
                "the answer is an error: `bad key fp_",
            ),
            (&bucket("\"results\":[]"), "data[0]: `end_time` is not there, expected a time"),
            (&bucket("\"end_time\":1794787200"), "`data[0].results` is not there, expected a list"),
            (
                &bucket("\"end_time\":1794787200,\"results\":[{},{\"n\":-1}]"),
                "data[0].results[1]: `n` is `-1`, expected a whole number",
            ),
            (&bucket("\"end_time\":1794700800,\"results\":[{}]"), "data[0].results[0]: a line is about "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expect), "{text}: {error}");
        }
        assert_eq!(read(&bucket("\"end_time\":1794787200,\"result\":[{}]")), Ok((1, None)));
    }
}
