//! Sources that are asked over HTTP for what they logged, day by day.
//!
//! A window is a UTC day. Its pages are fetched and scanned beside the parsing
//! and handed on as they are; each kind of API is a small file here that says how
//! it is asked and what its pages tell ([`Api`]).
//!
//! **Nothing is lost while pages change.** Pages are asked for by time ascending,
//! and a span with many entries is asked for in parts, each of which is read
//! until it holds still: its first and its last page tell the same total, and so
//! many different items came, or the same ones twice. An entry that moved from one page to another while
//! they were read is so read in the next pass; one that came twice is a
//! duplicate, and merging takes it as one. What still changes after some passes
//! (today, on a busy gateway) is taken as it is and asked for again in the next
//! run, like every day until it has been closed for `lookback`: entries come late,
//! and the time by which APIs select is that of a request's start.
//!
//! **Same entries, same rows.** Where an entry stood on its page depends on what
//! else there was, so it is not told: `source_file` is the address without its
//! query, and `source_line` a number made from the entry's own id (of one without
//! an id, from its bytes). So overlapping windows, pages twice or in another
//! order, and any number of nights give the same book.
//!
//! What is read of a window that fails in the middle is kept, since it is merged
//! by identity, and the window is asked for again. Once a source is known to be
//! out of reach, its other windows are left for the next run.

mod cloudflare;
mod feed;
mod langfuse;
mod litellm;
mod pages;
mod windows;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};

use crate::{
    config::{Config, Remote, Source},
    http::{Answer, Client, Credential, Fault, HttpError, Request, Settings, Url, place},
    json::Value,
    time::{Day, Instant},
};

pub(super) use feed::{Feed, Message};
use pages::Memory;
pub(super) use pages::{Ending, Page};
pub(super) use windows::{Window, wanted};

/// How a kind of API is asked.
trait Api: Send + Sync + std::fmt::Debug {
    /// Below the address of the config.
    fn path(&self, remote: &Remote) -> String;
    /// The member of an answer that holds the entries.
    fn holds(&self) -> &'static str;
    /// The field of an entry that is its id.
    fn id(&self) -> &'static str;
    /// Entries on a page, the most first; less where a server refuses that.
    fn page_sizes(&self) -> &'static [u32];
    /// Where the pages of a span begin.
    fn first(&self) -> At {
        At::Number(1)
    }
    fn query(&self, span: Span, at: &At, size: u32) -> Vec<(&'static str, String)>;
    /// What a page with so many entries says beside them.
    fn told(&self, page: Value<'_>, at: &At, size: u32, entries: usize) -> Told;
}

/// What is asked for: from an instant, to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: Instant,
    until: Instant,
}

impl Span {
    fn of(day: Day) -> Self {
        Self { from: day.start(), until: day.end() }
    }
}

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    /// By its number, from 1.
    Number(u32),
    /// By what the page before said; empty for the first.
    Cursor(String),
}

impl At {
    /// The number of a page that has one.
    const fn number(&self) -> u32 {
        match self {
            Self::Number(number) => *number,
            Self::Cursor(_) => 1,
        }
    }

    const fn next(&self) -> Self {
        Self::Number(self.number() + 1)
    }
}

/// What a page says of itself and others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Told {
    next: Option<At>,
    /// How many entries there are in all.
    total: Option<u64>,
    /// There may be more than `total`.
    is_capped: bool,
}

/// A source that is asked, for a whole run.
#[derive(Debug)]
pub(super) struct Endpoint {
    client: Client,
    url: Url,
    /// The address, as the book shows it.
    place: String,
    credential: Credential,
    api: &'static dyn Api,
    /// Which of the page sizes the server takes.
    size: AtomicUsize,
    memory: Memory,
    /// Windows that failed.
    failures: AtomicU32,
    /// Nothing more is asked in this run.
    is_given_up: AtomicBool,
}

/// Where pages are larger, because prompts are told with them, smaller ones are
/// asked for.
const LARGEST_PAGE: usize = 32 << 20;
/// Windows that fail, for whatever reason, before a source is given up.
const MOST_FAILURES: u32 = 2;

impl Endpoint {
    /// # Errors
    /// Where its token or certificates cannot be read.
    pub(super) fn open(config: &Config, source: &Source, remote: &Remote) -> Result<Self, String> {
        let api = api(&source.format).ok_or_else(|| format!("`{}` is not asked over HTTP", source.format))?;
        let url = format!("{}{}", remote.url, api.path(remote));
        let url = Url::parse(&url).map_err(|error| format!("`url` cannot be read: {error}"))?;
        let token = remote.token.as_ref().map(|token| token.read(&config.dir)).transpose();
        let token = token.map_err(|error| format!("{error}: {SET_IT}"))?;
        let credential = match (token, &remote.username) {
            (None, _) => Credential::None,
            (Some(token), None) => Credential::Bearer(token),
            (Some(password), Some(username)) => Credential::Basic { username: username.clone(), password },
        };
        let ca_file = remote.ca_file.as_ref().map(|file| config.resolve(file));
        let settings = Settings { ca_file, largest: LARGEST_PAGE, ..Settings::of_timeout(remote.timeout) };
        let client = Client::new(settings).map_err(|error| error.to_string())?;
        let (size, memory, failures, is_given_up) = Default::default();
        Ok(Self { client, place: place(&url), url, credential, api, size, memory, failures, is_given_up })
    }

    /// Takes a page's memory back, for another one.
    pub(super) fn give_back(&self, page: Page) {
        self.memory.give_back(page);
    }

    /// The address, as `source_file` has it.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// One cheap request: how many entries its first page has.
    fn try_out(&self, day: Day) -> Result<usize, (String, String)> {
        let size = self.api.page_sizes().last().copied().unwrap_or(1);
        let answer = self.ask(self.api.query(Span::of(day), &self.api.first(), size), Vec::new());
        let answer = answer.map_err(|error| (error.to_string(), error.advice().to_owned()))?;
        pages::count(self, &answer.body).map_err(|found| (found, pages::CHECK_URL.to_owned()))
    }

    fn ask(&self, query: Vec<(&'static str, String)>, memory: Vec<u8>) -> Result<Answer, HttpError> {
        let request = Request { url: self.url.clone(), query, headers: Vec::new(), credential: &self.credential };
        self.client.get_into(&request, memory)
    }

    /// Notes a window that failed.
    fn failed(&self, fault: Option<&Fault>) {
        let is_final = fault.is_some_and(|fault| {
            !matches!(
                fault.last(),
                Fault::Server { .. } | Fault::CutOff(_) | Fault::Empty { .. } | Fault::Refused { .. }
            )
        });
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if is_final || failures >= MOST_FAILURES {
            self.is_given_up.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }
}

const SET_IT: &str = "set it where the night runs (cron and systemd do not know your shell's variables)";

fn api(format: &str) -> Option<&'static dyn Api> {
    match format {
        "litellm-api" => Some(&litellm::LiteLlm),
        "langfuse-api" => Some(&langfuse::Langfuse),
        "cloudflare-api" => Some(&cloudflare::Cloudflare),
        _ => None,
    }
}

/// What a run knows of its sources over HTTP: who was opened, and which windows
/// were asked for.
///
/// A run takes a few windows of each source at a time, and commits them to the
/// book before it goes on: where it is cut short, only the last ones are asked
/// for again.
#[derive(Debug, Default)]
pub(super) struct Pulls(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    opened: Vec<(String, Option<Arc<Endpoint>>)>,
    begun: BTreeSet<(String, Day)>,
    round: u32,
    has_more: bool,
}

/// Windows of a source that are committed together.
const OF_A_ROUND: usize = 7;

impl Pulls {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoint of a source, opened once; `Ok(None)` where that has failed
    /// before.
    ///
    /// # Errors
    /// The first time that it cannot be opened.
    pub(super) fn endpoint(
        &self,
        config: &Config,
        source: &Source,
        remote: &Remote,
    ) -> Result<Option<Arc<Endpoint>>, String> {
        let mut known = self.known();
        if let Some((_, endpoint)) = known.opened.iter().find(|(name, _)| *name == source.name) {
            return Ok(endpoint.clone());
        }
        let endpoint = Endpoint::open(config, source, remote).map(Arc::new);
        known.opened.push((source.name.clone(), endpoint.as_ref().ok().cloned()));
        endpoint.map(Some)
    }

    /// Whether a window is to be asked for now, beside so many of its source: not
    /// if it was in an earlier round, nor if there is no room in this one.
    pub(super) fn begin(&self, source: &str, day: Day, beside: usize) -> bool {
        let window = (source.to_owned(), day);
        let mut known = self.known();
        if known.begun.contains(&window) {
            return false;
        }
        if beside == OF_A_ROUND {
            known.has_more = true;
            return false;
        }
        known.begun.insert(window)
    }

    pub(super) fn is_first_round(&self) -> bool {
        self.known().round == 0
    }

    /// Begins the next round, if one is needed.
    pub(super) fn next_round(&self) -> bool {
        let mut known = self.known();
        known.round += 1;
        std::mem::take(&mut known.has_more)
    }
}

/// What a source over HTTP says to one cheap request.
#[derive(Debug)]
pub struct TriedOut {
    pub place: String,
    /// How many entries its first page of today has; or why there is no answer,
    /// and what to do.
    pub entries: Result<usize, (String, String)>,
}

/// Asks a source for its first page of a day; `None` where it is not asked over
/// HTTP.
///
/// # Errors
/// Where its token or certificates cannot be read.
pub fn try_out(config: &Config, source: &Source, day: Day) -> Option<Result<TriedOut, String>> {
    let remote = source.remote.as_ref()?;
    let tried = Endpoint::open(config, source, remote).map(|endpoint| {
        let entries = endpoint.try_out(day);
        TriedOut { place: endpoint.place, entries }
    });
    Some(tried)
}
