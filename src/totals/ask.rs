//! Asks for totals: every question about some days, page after page. Only
//! where all pages of all answers are there, the days are told.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    TotalRow,
    gather::{Answer, Counts},
    sources::{Days, Question, Teller, Told},
};
use crate::{
    config::{Config, Remote, Source},
    http::{self, Client, Credential, Request, Settings, Url},
    time::{Day, Instant},
};

/// Somebody who answers questions.
pub(super) trait Asked {
    /// The text of a page; the first where no token is given.
    ///
    /// # Errors
    /// With what went wrong and what to do, on one line.
    fn page(&self, question: &Question, token: Option<&str>) -> Result<String, String>;

    /// Who that is, as messages say it.
    fn place(&self, question: &Question) -> String;
}

/// A token that comes again and again is told earlier; this ends a provider
/// that makes up new ones.
const MOST_PAGES: u64 = 100_000;

/// Everything that is told of some days, as far as it is of them.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) days: BTreeMap<Day, Vec<TotalRow>>,
    /// Lines about other days than those that were asked about.
    pub(super) outside: u64,
}

/// Asks everything about these days.
///
/// # Errors
/// Where any page is not to be had, or cannot be read.
pub(super) fn ask(
    asked: &dyn Asked,
    teller: &dyn Teller,
    told: Told<'_>,
    days: Days,
    pages: &mut u64,
    counts: &mut Counts,
) -> Result<Heard, String> {
    let mut heard = Heard::default();
    for question in teller.questions(days) {
        let told = Told { question: Some(&question), ..told };
        let mut answer = Answer::default();
        let mut token: Option<String> = None;
        let mut seen = BTreeSet::new();
        loop {
            let text = asked.page(&question, token.as_deref())?;
            let page = teller.read(&text, &told).map_err(|error| {
                let place = asked.place(&question);
                format!("`{place}` gave an answer that cannot be read: {error}: check `url` and `format`")
            })?;
            *pages += 1;
            token.clone_from(&page.next);
            answer.add(page, counts);
            let Some(next) = &token else { break };
            if !seen.insert(next.clone()) || seen.len() as u64 > MOST_PAGES {
                let place = asked.place(&question);
                return Err(format!(
                    "`{place}` names the same page as the next one again and again, expected a last page: tell the \
                     provider, or ask for fewer days with `since`"
                ));
            }
        }
        for row in answer.into_rows() {
            let day = row.bucket_start.day();
            if (days.from..days.until).contains(&day) {
                heard.days.entry(day).or_default().push(row);
            } else {
                heard.outside += 1;
            }
        }
    }
    Ok(heard)
}

/// A source that is asked over HTTP.
#[derive(Debug)]
pub(super) struct Provider {
    client: Client,
    credential: Credential,
    base: String,
    headers: Vec<(&'static str, String)>,
}

impl Provider {
    /// # Errors
    /// Where its credential cannot be read.
    pub(super) fn of(config: &Config, source: &Source, remote: &Remote, teller: &dyn Teller) -> Result<Self, String> {
        let secret = remote.token.as_ref().map(|token| token.read(&config.dir)).transpose();
        let secret = secret.map_err(|error| format!("source `{}`: {error}", source.name))?;
        let credential = match (secret, teller.credential_header()) {
            (None, _) => Credential::None,
            (Some(secret), None) => Credential::Bearer(secret),
            (Some(secret), Some(header)) => Credential::Header(header, secret),
        };
        let mut settings = Settings::of_timeout(remote.timeout);
        settings.ca_file = remote.ca_file.as_ref().map(|file| config.resolve(file));
        let client = Client::new(settings).map_err(|error| error.to_string())?;
        let headers = teller.headers().iter().map(|&(name, value)| (name, value.to_owned())).collect();
        Ok(Self { client, credential, base: remote.url.clone(), headers })
    }

    fn url(&self, question: &Question) -> Result<Url, String> {
        let text = joined(&self.base, question.path);
        Url::parse(&text).map_err(|error| format!("`url` and `{}` are no address together: {error}", question.path))
    }
}

impl Asked for Provider {
    fn page(&self, question: &Question, token: Option<&str>) -> Result<String, String> {
        let mut query = question.query.clone();
        query.extend(token.map(|token| ("page", token.to_owned())));
        let request =
            Request { url: self.url(question)?, query, headers: self.headers.clone(), credential: &self.credential };
        let answer = self.client.get(&request).map_err(|error| error.with_advice())?;
        String::from_utf8(answer.body)
            .map_err(|_| format!("`{}` gave an answer that is not UTF-8: check `url`", self.place(question)))
    }

    fn place(&self, question: &Question) -> String {
        self.url(question).map_or_else(|_| question.path.to_owned(), |url| http::place(&url))
    }
}

/// An address and a path below it; what both have, the version of the API say,
/// is there once.
fn joined(base: &str, path: &str) -> String {
    let ends = path.match_indices('/').map(|(at, _)| at).filter(|&at| at > 0);
    let overlap = ends.filter(|&at| base.ends_with(&path[..at])).max().unwrap_or(0);
    format!("{base}{}", &path[overlap..])
}

/// What is told now, by this source.
pub(super) fn told<'t>(source: &'t Source, teller: &'t dyn Teller, now: Instant) -> Told<'t> {
    let provider = source.provider.as_deref().unwrap_or(teller.provider());
    let measure = teller.measure();
    Told { source: &source.name, provider, measure, at: now, is_certain: true, question: None, file: "" }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::VecDeque};

    use super::{super::sources, *};
    use crate::{record::Meter, totals::tests::at};

    /// Answers with these pages, one after the other, and then fails.
    struct Script {
        pages: RefCell<VecDeque<String>>,
        tokens: RefCell<Vec<Option<String>>>,
    }

    impl Script {
        fn of(pages: impl IntoIterator<Item = String>) -> Self {
            Self { pages: RefCell::new(pages.into_iter().collect()), tokens: RefCell::default() }
        }
    }

    impl Asked for Script {
        fn page(&self, _: &Question, token: Option<&str>) -> Result<String, String> {
            self.tokens.borrow_mut().push(token.map(str::to_owned));
            self.pages.borrow_mut().pop_front().ok_or_else(|| "`x` failed with 500".to_owned())
        }

        fn place(&self, question: &Question) -> String {
            question.path.to_owned()
        }
    }

    fn page(days: &[(i64, i64)], next: Option<&str>) -> String {
        let bucket = |(day, input): &(i64, i64)| {
            let start = 1_794_700_800 + day * 86_400;
            format!(
                "{{\"start_time\":{start},\"end_time\":{},\"results\":[{{\"amount\":{{\"value\":{input}}},\
                 \"line_item\":\"tokens\"}}]}}",
                start + 86_400
            )
        };
        let data: Vec<_> = days.iter().map(bucket).collect();
        let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
        format!("{{\"data\":[{}],\"has_more\":{},\"next_page\":{next}}}", data.join(","), next != "null")
    }

    fn run(script: &Script) -> Result<(Vec<String>, u64, u64), String> {
        let teller = sources::by_name("openai-costs").unwrap();
        let now = at("2026-11-18T02:00:00Z");
        let measure = teller.measure();
        let told = Told { source: "s", provider: "p", measure, at: now, is_certain: true, question: None, file: "" };
        let days = Days { from: Day::parse("2026-11-15").unwrap(), until: Day::parse("2026-11-18").unwrap() };
        let (mut pages, mut counts) = (0, Counts::default());
        let heard = ask(script, teller, told, days, &mut pages, &mut counts)?;
        let rows: Vec<String> = heard
            .days
            .iter()
            .flat_map(|(day, rows)| rows.iter().map(move |row| format!("{day} {}", row.cost.unwrap().shown())))
            .collect();
        assert_eq!(counts.lines, rows.len() as u64 + heard.outside + counts.duplicate + counts.superseded);
        assert!(heard.days.values().flatten().all(|row| row.quantities[Meter::InputTokens].is_none()));
        Ok((rows, heard.outside, pages))
    }

    #[test]
    fn all_pages_are_asked_for_by_their_tokens() {
        let script =
            Script::of([page(&[(0, 1), (1, 2)], Some("b")), page(&[(2, 3)], Some("c")), page(&[(7, 9)], None)]);
        let days = ["2026-11-15 $1.00", "2026-11-16 $2.00", "2026-11-17 $3.00"].map(str::to_owned);
        assert_eq!(run(&script), Ok((days.to_vec(), 1, 3)));
        assert_eq!(*script.tokens.borrow(), [None, Some("b".to_owned()), Some("c".to_owned())]);
    }

    #[test]
    fn duplicate_and_unordered_pages_are_the_same_days() {
        let in_order = run(&Script::of([page(&[(0, 1), (1, 2), (2, 3)], None)])).unwrap().0;
        for pages in [
            vec![page(&[(2, 3)], Some("b")), page(&[(0, 1)], Some("c")), page(&[(1, 2)], None)],
            vec![page(&[(0, 1), (1, 2)], Some("b")), page(&[(0, 1), (1, 2)], Some("c")), page(&[(1, 2), (2, 3)], None)],
            vec![page(&[(0, 1), (1, 9)], Some("b")), page(&[(1, 2), (2, 3)], None)],
        ] {
            assert_eq!(run(&Script::of(pages)).unwrap().0, in_order);
        }
    }

    #[test]
    fn a_page_that_is_not_there_tells_nothing() {
        let script = Script::of([page(&[(0, 1)], Some("b"))]);
        assert_eq!(run(&script), Err("`x` failed with 500".to_owned()));
        let script = Script::of([page(&[(0, 1)], Some("b")), "{\"data\":[".to_owned()]);
        let error = run(&script).unwrap_err();
        assert!(
            error.starts_with("`/v1/organization/costs` gave an answer that cannot be read: the answer is no JSON")
        );
    }

    #[test]
    fn pages_that_go_in_a_circle_end() {
        let script = Script::of((0..3).map(|_| page(&[(0, 1)], Some("b"))));
        assert!(run(&script).unwrap_err().contains("names the same page as the next one again and again"));
        assert_eq!(script.tokens.borrow().len(), 2);
    }

    #[test]
    fn a_base_may_have_the_version_or_not() {
        for (base, path, expect) in [
            ("https://api.openai.com", "/v1/organization/costs", "https://api.openai.com/v1/organization/costs"),
            ("https://api.openai.com/v1", "/v1/organization/costs", "https://api.openai.com/v1/organization/costs"),
            ("https://openrouter.ai/api/v1", "/api/v1/activity", "https://openrouter.ai/api/v1/activity"),
            ("https://openrouter.ai/api", "/api/v1/activity", "https://openrouter.ai/api/v1/activity"),
            ("https://x/v1/metrics", "/api/v1/query_range", "https://x/v1/metrics/api/v1/query_range"),
            ("https://x/usage", "", "https://x/usage"),
        ] {
            assert_eq!(joined(base, path), expect);
        }
    }
}
