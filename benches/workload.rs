//! The canonical workload: logs of a gateway with a real day's shape, in the
//! `native` format, one file per day.
//!
//! The same arguments give the same bytes on every machine: all arithmetic is
//! in integers, and every file has a random generator of its own, so files do
//! not depend on each other and are written in parallel. Only `std` is used,
//! so that `rustc` alone can build it in seconds. `benches/README.md` says what
//! the logs hold. Left out: broken lines, which the tests see to; a bench of a
//! healthy night should not be one of quarantine.

use std::{
    env,
    fmt::Display,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

const USAGE: &str = "\
usage: workload --out DIR [--lines 5000000] [--days 10] [--files-per-day 1] [--start 2026-05-04] [--seed 1] [--teams 60]
writes DIR/gateway-DATE.jsonl for every day, or DIR/gateway-DATE.N.jsonl for several files a day
";

#[derive(Debug, Clone)]
struct Arguments {
    out: PathBuf,
    lines: u64,
    days: u64,
    files_per_day: u64,
    /// Days since 1970.
    start: i64,
    seed: u64,
    teams: u64,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| write_all(&arguments).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Without standard error there is nobody to tell.
            drop(write!(io::stderr(), "{message}\n{USAGE}"));
            ExitCode::from(2)
        }
    }
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments {
        out: PathBuf::new(),
        lines: 5_000_000,
        days: 10,
        files_per_day: 1,
        start: days_of("2026-05-04").unwrap_or_default(),
        seed: 1,
        teams: 60,
    };
    let mut rest = env::args().skip(1);
    while let Some(name) = rest.next() {
        // `cargo bench` adds this one.
        if name == "--bench" {
            continue;
        }
        let value = rest.next().ok_or_else(|| format!("`{name}` has no value"))?;
        match name.as_str() {
            "--out" => found.out = PathBuf::from(value),
            "--lines" => found.lines = number(&name, &value)?,
            "--days" => found.days = number(&name, &value)?,
            "--files-per-day" => found.files_per_day = number(&name, &value)?,
            "--start" => found.start = days_of(&value).ok_or_else(|| format!("`{value}` is no date"))?,
            "--seed" => found.seed = number(&name, &value)?,
            "--teams" => found.teams = number(&name, &value)?,
            _ => return Err(format!("`{name}` is unknown")),
        }
    }
    if found.out.as_os_str().is_empty() {
        return Err("`--out` is missing".to_owned());
    }
    if found.teams == 0 {
        return Err("`--teams` is 0: somebody has to ask".to_owned());
    }
    Ok(found)
}

fn number<T: FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("`{name}` is `{value}`: {error}"))
}

/// Writes all files, on every core.
fn write_all(arguments: &Arguments) -> io::Result<()> {
    fs::create_dir_all(&arguments.out)?;
    let shapes = Shapes::new(arguments.teams);
    let files = arguments.days * arguments.files_per_day;
    let next = AtomicU64::new(0);
    let threads = thread::available_parallelism()?.get();
    let results: Vec<io::Result<()>> = thread::scope(|scope| {
        let write = || -> io::Result<()> {
            loop {
                let file = next.fetch_add(1, Ordering::Relaxed);
                if file >= files {
                    return Ok(());
                }
                write_file(arguments, &shapes, file)?;
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(write)).collect();
        threads.into_iter().map(|it| it.join().unwrap_or_else(|_| Err(io::Error::other("a thread died")))).collect()
    });
    results.into_iter().collect()
}

fn write_file(arguments: &Arguments, shapes: &Shapes, file: u64) -> io::Result<()> {
    let per_day = arguments.files_per_day;
    let day = arguments.start + (file / per_day).cast_signed();
    let date = Date::of(day);
    let name =
        if per_day == 1 { format!("gateway-{date}.jsonl") } else { format!("gateway-{date}.{}.jsonl", file % per_day) };
    let mut out = BufWriter::with_capacity(1 << 20, File::create(arguments.out.join(name))?);
    let until = |file| arguments.lines * busy(arguments, file) / busy(arguments, arguments.days * per_day);
    let lines = until(file + 1) - until(file);
    let mut random = Random(arguments.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (file << 32 | 0x5bd1_e995));
    let mut log = Log { out: &mut out, left: lines, late: Vec::new(), text: Vec::with_capacity(1024) };
    for (minute, count) in (0..).zip(minutes(&mut random, day, lines)) {
        log.minute(&mut random, shapes, day * DAY + minute * 60_000_000, count)?;
    }
    out.flush()
}

const DAY: i64 = 86_400_000_000;

/// How much the files before this one weigh together.
fn busy(arguments: &Arguments, file: u64) -> u64 {
    let weight =
        |file: u64| if is_weekend(arguments.start + (file / arguments.files_per_day).cast_signed()) { 45 } else { 100 };
    (0..file).map(weight).sum()
}

/// 1970-01-01 was a Thursday.
fn is_weekend(day: i64) -> bool {
    matches!((day + 3).rem_euclid(7), 5 | 6)
}

/// How busy each hour of the day is, midnight first: people work, batch jobs
/// run at night.
const HOURS: [u64; 24] =
    [30, 24, 20, 18, 18, 22, 32, 48, 74, 96, 104, 100, 88, 98, 106, 104, 96, 84, 66, 56, 50, 46, 42, 36];

/// How many requests end in each minute of a day: its curve, and bursts of a
/// few minutes in which a job or a retry storm sends many times as much.
fn minutes(random: &mut Random, day: i64, lines: u64) -> Vec<u64> {
    let mut weights: Vec<u64> = (0..1440)
        .map(|minute| {
            let (hour, part) = (minute / 60, (minute % 60) as u64);
            let curve = HOURS[hour] * (60 - part) + HOURS[(hour + 1) % 24] * part;
            curve * (80 + random.below(40))
        })
        .collect();
    for _ in 0..if is_weekend(day) { 6 } else { 20 } {
        let (from, length, times) = (random.below(1440), 1 + random.below(8), 2 + random.heavy(0, 4));
        for weight in weights.iter_mut().skip(index(from)).take(index(length)) {
            *weight *= times;
        }
    }
    let sum: u64 = weights.iter().sum();
    let mut before = 0;
    let mut counted = 0;
    weights
        .iter()
        .map(|weight| {
            before += weight;
            let until = u64::try_from(u128::from(lines) * u128::from(before) / u128::from(sum)).unwrap_or(lines);
            let count = until - counted;
            counted = until;
            count
        })
        .collect()
}

/// One file as the gateway writes it: a line when a request has ended.
struct Log<'o> {
    out: &'o mut dyn Write,
    /// How many lines may still be written.
    left: u64,
    /// Lines that are written again later, and after how many others.
    late: Vec<(u64, Vec<u8>)>,
    text: Vec<u8>,
}

impl Log<'_> {
    /// The lines of one minute, by the time at which their requests ended.
    fn minute(&mut self, random: &mut Random, shapes: &Shapes, start: i64, count: u64) -> io::Result<()> {
        let mut ends: Vec<u64> = (0..count).map(|_| random.below(60_000_000)).collect();
        ends.sort_unstable();
        for end in ends {
            if self.repeat_late()? {
                continue;
            }
            let request = Request::draw(random, shapes, start + end.cast_signed());
            self.text.clear();
            // Five in a thousand come twice: most as they are, since a shipper
            // tried again, some as a stream that had not come to its end.
            let repeats = random.below(1000) < 5 && self.left > 1 + self.late.len() as u64;
            if repeats {
                let is_later_version = request.error.is_none() && random.below(10) < 3;
                let mut again = Vec::new();
                request.write(&mut again);
                self.late.push((1 + random.heavy(2, 8), again));
                let first = if is_later_version { Request { output: request.output / 3, ..request } } else { request };
                first.write(&mut self.text);
            } else {
                request.write(&mut self.text);
            }
            self.put()?;
        }
        Ok(())
    }

    /// Writes a line that is due again in place of a new one; near the end of
    /// the file all of them are.
    fn repeat_late(&mut self) -> io::Result<bool> {
        let all_are_due = self.left <= self.late.len() as u64;
        for (lines, _) in &mut self.late {
            *lines = lines.saturating_sub(1);
        }
        let Some(at) = self.late.iter().position(|(lines, _)| *lines == 0 || all_are_due) else { return Ok(false) };
        self.text = self.late.swap_remove(at).1;
        self.put()?;
        Ok(true)
    }

    fn put(&mut self) -> io::Result<()> {
        self.left = self.left.saturating_sub(1);
        self.out.write_all(&self.text)
    }
}

/// Who asks for what, drawn once: a few teams make most of the requests.
struct Shapes {
    teams: Vec<Team>,
    /// Sums of the weights up to each team.
    shares: Vec<u64>,
}

struct Team {
    name: String,
    keys: Vec<String>,
    users: Vec<String>,
    user_shares: Vec<u64>,
    models: [&'static str; 3],
}

const SUBJECTS: [&str; 12] = [
    "search",
    "chatbot",
    "support",
    "billing",
    "research",
    "docs",
    "risk",
    "growth",
    "mobile",
    "catalog",
    "security",
    "analytics",
];
const MODELS: [&str; 12] = [
    "llama-3.3-70b-versatile",
    "llama-3.1-8b-instant",
    "openai/gpt-oss-120b",
    "openai/gpt-oss-20b",
    "meta-llama/llama-4-scout-17b-16e-instruct",
    "meta-llama/llama-4-maverick-17b-128e-instruct",
    "qwen/qwen3-32b",
    "moonshotai/kimi-k2-instruct-0905",
    "groq/compound",
    "groq/compound-mini",
    "meta-llama/llama-guard-4-12b",
    "deepseek-r1-distill-llama-70b",
];
const PURPOSES: [&str; 5] = ["prod", "staging", "dev", "prod-eu", "prod-batch"];

impl Shapes {
    fn new(teams: u64) -> Self {
        let mut random = Random(0x7ea5);
        let teams: Vec<Team> = (0..teams)
            .map(|number| {
                let subject = SUBJECTS[index(number) % SUBJECTS.len()];
                let name = if number < 12 { subject.to_owned() } else { format!("{subject}-{}", number / 12 + 1) };
                let keys = PURPOSES[..index(1 + random.below(5))].iter().map(|it| format!("{name}-{it}")).collect();
                // Large teams have many users: some 20,000 in all.
                let users = 12_000 / (number + 2) + 40;
                let users: Vec<String> = (0..users).map(|_| format!("u-{:06x}", random.next() >> 40)).collect();
                let user_shares = shares(users.len() as u64);
                let models = [0; 3].map(|_| MODELS[index(random.heavy(0, 4)) % MODELS.len()]);
                Team { name, keys, users, user_shares, models }
            })
            .collect();
        Self { shares: shares(teams.len() as u64), teams }
    }
}

/// Sums of 1, 1/2, 1/3, …: what is drawn by them is heavy-tailed.
fn shares(count: u64) -> Vec<u64> {
    (1..=count)
        .scan(0, |sum, rank| {
            *sum += (1 << 32) / rank;
            Some(*sum)
        })
        .collect()
}

/// One request.
#[derive(Clone, Copy)]
struct Request<'s> {
    id: [u64; 2],
    start: i64,
    team: &'s Team,
    key: &'s str,
    user: &'s str,
    model: &'s str,
    tier: &'static str,
    max_tokens: Option<u64>,
    latency_ms: u64,
    /// HTTP status and code.
    error: Option<(u16, &'static str)>,
    prompt: u64,
    cached: u64,
    output: u64,
}

const ERRORS: [(u16, &str); 6] = [
    (429, "rate_limit_exceeded"),
    (429, "rate_limit_exceeded"),
    (503, "service_unavailable"),
    (500, "internal_server_error"),
    (400, "context_length_exceeded"),
    (403, "blocked_api_access"),
];

impl<'s> Request<'s> {
    fn draw(random: &mut Random, shapes: &'s Shapes, end: i64) -> Self {
        let team = &shapes.teams[random.pick(&shapes.shares)];
        let key = &team.keys[index(random.heavy(0, 3)) % team.keys.len()];
        let user = &team.users[random.pick(&team.user_shares)];
        let model = team.models[index(random.heavy(0, 2)) % 3];
        let tier = match random.below(100) {
            0..82 => "on_demand",
            82..96 => "flex",
            _ => "performance",
        };
        let max_tokens = (random.below(5) < 2).then(|| 256 << random.below(6));
        let error = (random.below(1000) < 15).then(|| ERRORS[index(random.below(6))]);
        let prompt = random.heavy(5, 10);
        // Caches hold whole blocks of 128 tokens: short prompts have none.
        let cached = if random.below(1000) < 326 { prompt * (20 + random.below(80)) / 100 / 128 * 128 } else { 0 };
        let output = 1 + random.heavy(3, 9).min(max_tokens.unwrap_or(u64::MAX) - 1);
        let latency_ms =
            if error.is_some() { 3 + random.below(400) } else { 60 + random.heavy(4, 5) + output * 1000 / 280 };
        let start = end - (latency_ms * 1000).cast_signed();
        let id = [random.next(), random.next()];
        Self { id, start, team, key, user, model, tier, max_tokens, latency_ms, error, prompt, cached, output }
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"{\"ts\":\"");
        put_time(to, self.start);
        to.extend_from_slice(b"\",\"request_id\":\"chatcmpl");
        put_uuid(to, self.id);
        let texts = [("key", self.key), ("team", &self.team.name), ("user", self.user), ("model", self.model)];
        to.push(b'"');
        for (name, text) in texts {
            put_name(to, name);
            to.push(b'"');
            to.extend_from_slice(text.as_bytes());
            to.push(b'"');
        }
        put_name(to, "http_status");
        put_number(to, u64::from(self.error.map_or(200, |(code, _)| code)));
        if let Some((_, code)) = self.error {
            put_name(to, "error_code");
            to.extend_from_slice(format!("\"{code}\"").as_bytes());
        }
        put_name(to, "service_tier");
        to.extend_from_slice(format!("\"{}\"", self.tier).as_bytes());
        if let Some(max_tokens) = self.max_tokens {
            put_name(to, "max_tokens");
            put_number(to, max_tokens);
        }
        put_name(to, "latency_ms");
        put_number(to, self.latency_ms);
        if self.error.is_none() {
            self.write_usage(to);
        }
        to.extend_from_slice(b"}\n");
    }

    fn write_usage(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b",\"usage\":{\"prompt_tokens\":");
        put_number(to, self.prompt);
        put_name(to, "completion_tokens");
        put_number(to, self.output);
        put_name(to, "total_tokens");
        put_number(to, self.prompt + self.output);
        if self.cached > 0 {
            to.extend_from_slice(b",\"prompt_tokens_details\":{\"cached_tokens\":");
            put_number(to, self.cached);
            to.push(b'}');
        }
        to.push(b'}');
    }
}

fn put_name(to: &mut Vec<u8>, name: &str) {
    to.extend_from_slice(b",\"");
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"\":");
}

fn put_number(to: &mut Vec<u8>, number: u64) {
    put_digits(to, number, number.checked_ilog10().unwrap_or(0) + 1);
}

/// The last `count` decimal digits.
fn put_digits(to: &mut Vec<u8>, number: u64, count: u32) {
    for at in (0..count).rev() {
        to.push(b'0' + (number / 10_u64.pow(at) % 10) as u8);
    }
}

fn put_time(to: &mut Vec<u8>, micros: i64) {
    let date = Date::of(micros.div_euclid(DAY));
    put_digits(to, date.year, 4);
    to.push(b'-');
    put_digits(to, date.month, 2);
    to.push(b'-');
    put_digits(to, date.day, 2);
    let of_day = micros.rem_euclid(DAY).cast_unsigned();
    for (mark, unit, modulus) in [(b'T', 3_600_000_000, 24), (b':', 60_000_000, 60), (b':', 1_000_000, 60)] {
        to.push(mark);
        put_digits(to, of_day / unit % modulus, 2);
    }
    to.push(b'.');
    put_digits(to, of_day % 1_000_000, 6);
    to.push(b'Z');
}

/// A random UUID of version 4, and a dash before it.
fn put_uuid(to: &mut Vec<u8>, [high, low]: [u64; 2]) {
    let high = high & !0xf000 | 0x4000;
    let low = low & !(3 << 62) | 2 << 62;
    for (number, from, until) in [(high, 32, 64), (high, 16, 32), (high, 0, 16), (low, 48, 64), (low, 0, 48)] {
        to.push(b'-');
        for nibble in (from / 4..until / 4).rev() {
            to.push(b"0123456789abcdef"[index(number >> (nibble * 4) & 15)]);
        }
    }
}

/// A day of the calendar.
struct Date {
    year: u64,
    month: u64,
    day: u64,
}

impl Date {
    /// The date of a day since 1970, by counting from March of the year 0, so
    /// that the leap day comes last.
    fn of(days: i64) -> Self {
        let days = (days + 719_468).cast_unsigned();
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Self { year: era * 400 + year + u64::from(month <= 2), month, day }
    }
}

impl Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Days since 1970 of a date.
fn days_of(date: &str) -> Option<i64> {
    // Some day of that year, and from there to the one that reads the same.
    let year: i64 = date.get(..4)?.parse().ok()?;
    let first = (year - 1970) * 365;
    (first..first + 600).find(|&days| Date::of(days).to_string() == date)
}

/// A list is indexed by small numbers only.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// `SplitMix64`: small, quick and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From 0 to below `limit`, which is small: the bias does not matter here.
    fn below(&mut self, limit: u64) -> u64 {
        ((self.next() >> 32) * limit) >> 32
    }

    /// Heavy-tailed, roughly log-normal: around 2 to the power of
    /// `least + spread / 2`.
    fn heavy(&mut self, least: u32, spread: u32) -> u64 {
        let coins = (self.next() & ((1 << spread) - 1)).count_ones();
        let low = 1 << (least + coins);
        low + self.below(low) - 1
    }

    /// A place in a list, by the sums of its weights.
    fn pick(&mut self, sums: &[u64]) -> usize {
        let most = sums.last().copied().unwrap_or(1);
        let drawn = u64::try_from((u128::from(self.next()) * u128::from(most)) >> 64).unwrap_or(0);
        sums.partition_point(|&sum| sum <= drawn)
    }
}
