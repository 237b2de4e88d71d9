//! Worlds and histories, made up from a seed: who spends, at what price, what
//! the logs say, what is changed meanwhile, and what goes wrong in which night.

use std::fmt::Write as _;

use spendbook::time::Instant;

use super::store::Fault;
use crate::support::Dice;

pub(crate) const MINUTE: i64 = 60_000_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// A world, and what happens in it.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) begins: i64,
    pub(crate) world: World,
    pub(crate) steps: Vec<Step>,
}

/// How much of a night is run; whole ones take five times as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Ingest and pricing, in one thread.
    Books,
    /// Every stage, with nobody to tell anything.
    Unread,
    /// Every stage.
    Whole,
}

/// What a config says, and how nights are run.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// In dollars a month: of `chat`, of `lab`, of the organization.
    pub(crate) budgets: [Option<i64>; 3],
    /// What the three may do; see [`LIMITS`].
    pub(crate) limits: [[Option<i64>; 2]; 3],
    /// At how many percent of a budget somebody is told; none are the usual ones.
    pub(crate) thresholds: Option<&'static [u16]>,
    pub(crate) extent: Extent,
    /// Bytes that ingest may take: hardly any, and it spills.
    pub(crate) memory: usize,
    pub(crate) prices: Vec<Price>,
}

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Lines at the end of a log.
    Log {
        source: usize,
        file: usize,
        lines: Vec<Line>,
    },
    /// All of a log once more, under another name.
    Copy {
        source: usize,
        file: usize,
    },
    /// A log that was read is deleted.
    Remove {
        source: usize,
        file: usize,
    },
    /// The price book has one more row.
    Price(Price),
    /// Somebody has another budget.
    Budget {
        of: usize,
        dollars: Option<i64>,
    },
    /// Somebody may do more or less.
    Limits {
        of: usize,
        limits: [Option<i64>; 2],
    },
    Thresholds(Option<&'static [u16]>),
    Night(Night),
}

/// One run of every stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Night {
    /// By so many hours later than the one before; clocks are set back, too.
    pub(crate) hours: i64,
    pub(crate) fault: Option<Fault>,
    /// What the mail server does.
    pub(crate) post: Option<Misdeed>,
    /// Another one is started at the same moment.
    pub(crate) is_double: bool,
    /// It is run once more, with nothing new.
    pub(crate) is_repeated: bool,
}

/// What goes wrong at the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misdeed {
    /// One reader does not exist there.
    Refuses,
    /// One reader is to be tried later.
    Defers,
    /// It leaves in the middle of a mail.
    Drops,
    /// It takes a mail, and leaves before it has said so.
    TakesAndDrops,
    /// It will have none at all.
    IsClosed,
}

/// What a log says.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    Request(Version),
    /// Still being written: the rest comes with the next lines.
    Half(Version),
    /// With a number, so that no two of them are the same.
    Broken(usize),
    HealthCheck,
}

/// One version of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) id: usize,
    pub(crate) micros: i64,
    pub(crate) model: &'static str,
    pub(crate) key: Option<&'static str>,
    /// What the log claims.
    pub(crate) team: Option<&'static str>,
    pub(crate) tier: Option<&'static str>,
    pub(crate) http_status: i64,
    pub(crate) usage: Option<Usage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) input: i64,
    pub(crate) cached: i64,
    pub(crate) output: i64,
}

/// A row of the price book, by millionths of a dollar for a million tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Price {
    pub(crate) model: &'static str,
    pub(crate) tier: &'static str,
    pub(crate) meter: &'static str,
    /// None: the price ends.
    pub(crate) micro: Option<i64>,
    pub(crate) from: i64,
    pub(crate) known_from: i64,
    pub(crate) kind: &'static str,
}

pub(crate) const METERS: [&str; 3] = ["input_tokens", "cached_input_tokens", "output_tokens"];
const MODELS: [&str; 4] = ["alpha", "beta", "alpha", "new"];
/// By registry, by convention of two teams, of nobody.
/// What `chat`, `lab` and everybody together are limited in, by two keys of the
/// config each; of the first one any number means that `alpha` alone is allowed.
pub(crate) const LIMITS: [[&str; 2]; 3] = [
    ["allowed_models", "rate_limit_rpm"],
    ["max_tokens_per_request", "rate_limit_tpm"],
    ["rate_limit_rpm", "rate_limit_tpm"],
];
const KEYS: [&str; 5] = ["robot", "chat-prod", "chat-prod", "lab-dev", "stranger"];

impl Version {
    pub(crate) fn request_id(&self) -> String {
        format!("chatcmpl-{:032}", self.id)
    }

    pub(crate) fn line(&self) -> String {
        let mut line = format!(
            "{{\"ts\":\"{}\",\"request_id\":\"{}\",\"model\":\"{}\",\"http_status\":{}",
            Instant::from_micros(self.micros),
            self.request_id(),
            self.model,
            self.http_status,
        );
        for (name, value) in [("key", self.key), ("team", self.team), ("service_tier", self.tier)] {
            if let Some(value) = value {
                write!(line, ",\"{name}\":\"{value}\"").expect("a text takes it");
            }
        }
        if let Some(Usage { input, cached, output }) = self.usage {
            write!(
                line,
                ",\"usage\":{{\"prompt_tokens\":{},\"prompt_tokens_details\":{{\"cached_tokens\":{cached}}},\
                 \"completion_tokens\":{output}}}",
                input + cached
            )
            .expect("a text takes it");
        }
        line + "}\n"
    }
}

impl Price {
    pub(crate) fn line(&self) -> String {
        let price = self.micro.map(|micro| format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000));
        let (from, known) = (Instant::from_micros(self.from), Instant::from_micros(self.known_from));
        let Self { model, tier, meter, kind, .. } = self;
        format!("groq,{model},{tier},{meter},{},1M,,{from},,{known},{kind},a list,noted\n", price.unwrap_or_default())
    }

    fn is_of(&self, other: &Self) -> bool {
        (self.model, self.tier, self.meter, self.kind) == (other.model, other.tier, other.meter, other.kind)
    }
}

/// Makes up a history.
pub(crate) fn of(seed: u64) -> History {
    // Neighbouring seeds must not be similar, and no state may be zero.
    let mixed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let dice = Dice((mixed ^ (mixed >> 31)) | 1);
    Maker { dice, now: 0, requests: Vec::new(), prices: Vec::new(), broken: 0, changes: 40 }.history()
}

struct Maker {
    dice: Dice,
    /// Of the night that comes.
    now: i64,
    /// The first version of each request.
    requests: Vec<Version>,
    prices: Vec<Price>,
    broken: usize,
    /// A night of such a small book changes it so often, or less.
    changes: usize,
}

impl Maker {
    fn chance(&mut self, percent: usize) -> bool {
        self.dice.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.dice.below(of.len())]
    }

    fn below(&mut self, limit: i64) -> i64 {
        i64::try_from(self.dice.below(usize::try_from(limit).expect("it fits"))).expect("it fits")
    }

    fn history(mut self) -> History {
        let first = Instant::parse("2026-11-10T02:00:00Z", chrono_tz::Tz::UTC).expect("a time").micros();
        let begins = first + self.below(25) * DAY;
        self.now = begins;
        self.first_prices();
        let prices = self.prices.clone();
        let budgets = [(); 3].map(|()| self.budget());
        let limits = [0, 1, 2].map(|of| self.limits(of));
        let thresholds = self.thresholds();
        let extent = match self.dice.below(40) {
            0 => Extent::Whole,
            1..=4 => Extent::Unread,
            _ => Extent::Books,
        };
        if extent != Extent::Books {
            self.changes = 90;
        }
        let world =
            World { budgets, limits, thresholds, extent, memory: self.pick(&[1 << 28, 1 << 28, 1 << 28, 0]), prices };
        let mut steps = Vec::new();
        for night in 0..self.pick(&[1, 1, 1, 2, 2, 3]) {
            let events = usize::from(night == 0) + self.dice.below(4);
            steps.extend((0..events).map(|_| self.event()));
            let night = self.night();
            self.now += night.hours * HOUR;
            steps.push(Step::Night(night));
        }
        // In the end everything is put right.
        let is_marred = |step: Option<&Step>| matches!(step, Some(Step::Night(night)) if night.fault.is_some());
        if is_marred(steps.last()) || self.chance(30) {
            let is_repeated = self.chance(40);
            steps.push(Step::Night(Night { hours: 24, fault: None, post: None, is_double: false, is_repeated }));
        }
        History { begins, world, steps }
    }

    fn budget(&mut self) -> Option<i64> {
        self.chance(75).then(|| self.pick(&[10, 40, 100, 250]))
    }

    fn thresholds(&mut self) -> Option<&'static [u16]> {
        self.pick(&[None, None, Some(&[50, 100, 200][..]), Some(&[1, 20, 99])])
    }

    fn limits(&mut self, of: usize) -> [Option<i64>; 2] {
        LIMITS[of].map(|what| {
            let some: [i64; 2] = match what {
                "rate_limit_rpm" => [1, 2],
                "rate_limit_tpm" => [5, 9_000_000],
                _ => [1, 2_000_000],
            };
            self.chance(40).then(|| self.pick(&some))
        })
    }

    fn event(&mut self) -> Step {
        let (source, file) = (self.dice.below(2), self.dice.below(2));
        match self.dice.below(20) {
            0 => Step::Copy { source, file },
            1 => Step::Remove { source, file },
            2..=4 => Step::Price(self.correction()),
            5 => Step::Budget { of: self.dice.below(3), dollars: self.budget() },
            6 => match self.dice.below(4) {
                3 => Step::Thresholds(self.thresholds()),
                of => Step::Limits { of, limits: self.limits(of) },
            },
            _ => {
                let count = 1 + self.dice.below(4);
                Step::Log { source, file, lines: (0..count).map(|_| self.line()).collect() }
            }
        }
    }

    fn night(&mut self) -> Night {
        let hours = match self.dice.below(20) {
            0 => 1,
            1 => 0,
            2 => 24 * (2 + self.below(9)),
            3 => -self.below(48),
            4 => -24 * self.below(35),
            _ => 24,
        };
        let at = self.dice.below(self.changes);
        let fault = match self.dice.below(20) {
            0..=1 => Some(Fault::DiesBefore(at)),
            2..=3 => Some(Fault::Tears(at)),
            4..=5 => Some(Fault::DiesAfter(at)),
            6 => Some(Fault::IsFull(at)),
            7 => Some(Fault::Fails(at)),
            _ => None,
        };
        let post = match self.dice.below(20) {
            0 => Some(Misdeed::Refuses),
            1 => Some(Misdeed::Defers),
            2 => Some(Misdeed::Drops),
            3 => Some(Misdeed::TakesAndDrops),
            4 => Some(Misdeed::IsClosed),
            _ => None,
        };
        Night { hours, fault, post, is_double: self.chance(5), is_repeated: self.chance(10) }
    }

    fn line(&mut self) -> Line {
        self.broken += 1;
        match self.dice.below(20) {
            0 => Line::Broken(self.broken),
            1 => Line::HealthCheck,
            2 => Line::Half(self.version()),
            _ => Line::Request(self.version()),
        }
    }

    /// A request, or one that was logged before with another end.
    fn version(&mut self) -> Version {
        if self.requests.is_empty() || self.chance(70) {
            let request = self.request();
            self.requests.push(request);
        }
        let mut version = self.requests[self.dice.below(self.requests.len())].clone();
        // Around ten minutes, versions are one request or two.
        version.micros += self.pick(&[0, 0, 0, 4, 9, 10, 11, 25]) * MINUTE;
        if self.chance(10) {
            version.key = None;
        }
        if self.chance(10) {
            version.team = None;
        }
        if let Some(usage) = version.usage.filter(|_| !self.chance(10)) {
            let output = usage.output * self.pick(&[1, 1, 2, 3]);
            version.usage = Some(Usage { output, ..usage });
        } else {
            version.usage = None;
            version.http_status = self.pick(&[200, 500]);
        }
        version
    }

    fn request(&mut self) -> Version {
        let today = self.now.div_euclid(DAY) * DAY;
        let last = self.requests.last().map_or(today, |request| request.micros);
        let micros = match self.dice.below(20) {
            // Within a minute of another one, or just not.
            0..=3 => last + self.pick(&[0, 20, 40, 60]) * (MINUTE / 60),
            4..=11 => today - DAY + self.below(24 * 60) * MINUTE,
            // Around a midnight.
            12..=17 => today - self.below(2) * DAY + (self.below(40) - 25) * MINUTE,
            // Late, and in another month; of few days, as each costs time.
            _ => today - self.pick(&[3, 30]) * DAY + self.below(24 * 60) * MINUTE,
        };
        let million = 1_000_000;
        let usage = Usage {
            input: self.pick(&[0, 1, 2 * million, 11 * million, 40 * million]),
            cached: self.pick(&[0, 0, 3, 5 * million]),
            output: self.pick(&[0, 7, million, 4 * million]),
        };
        Version {
            id: self.requests.len(),
            micros,
            model: self.pick(&MODELS),
            key: Some(self.pick(&KEYS)),
            team: self.pick(&[None, None, None, Some("lab"), Some("ghost")]),
            tier: self.pick(&[None, None, None, Some("flex"), Some("batch")]),
            http_status: 200,
            usage: Some(usage),
        }
    }

    fn first_prices(&mut self) {
        let from = self.begins_of_year();
        for model in ["alpha", "beta"] {
            for meter in METERS {
                // Cached input is often not listed.
                if meter != METERS[1] || self.chance(50) {
                    self.first_price(model, "*", meter, from, "list");
                }
            }
        }
        for (percent, model, tier, kind) in
            [(30, "alpha", "flex", "list"), (30, "beta", "*", "contract"), (50, "*", "*", "fallback")]
        {
            if self.chance(percent) {
                for meter in METERS {
                    if self.chance(80) {
                        self.first_price(model, tier, meter, from, kind);
                    }
                }
            }
        }
    }

    fn begins_of_year(&self) -> i64 {
        (self.now.div_euclid(DAY) - 300) * DAY
    }

    fn first_price(
        &mut self,
        model: &'static str,
        tier: &'static str,
        meter: &'static str,
        from: i64,
        kind: &'static str,
    ) {
        let micro = Some(1 + self.below(3_000_000));
        self.prices.push(Price { model, tier, meter, micro, from, known_from: from, kind });
    }

    /// A row that is learnt now: of the last price's beginning, or of a later
    /// day, so that it hides no change that is known already.
    fn correction(&mut self) -> Price {
        let mut price = self.prices[self.dice.below(self.prices.len())].clone();
        let of_series = || self.prices.iter().filter(|other| other.is_of(&price));
        let last = of_series().map(|other| other.from).max().expect("it is of its own series");
        let known = of_series().map(|other| other.known_from).max().expect("it is of its own series");
        price.from = last;
        if self.chance(60) {
            price.from = last.max((self.now.div_euclid(DAY) - self.below(40)) * DAY);
        }
        // No two rows of a series are learnt at once.
        price.known_from = self.now.max(known + MINUTE);
        price.micro = (!self.chance(15)).then(|| 1 + self.below(3_000_000));
        self.prices.push(price.clone());
        price
    }
}
