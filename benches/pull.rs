//! A proxy of `LiteLLM` on the loopback with a million requests, and how fast
//! `spendbook ingest` takes them in, held against how fast the proxy can tell
//! them to somebody who only counts bytes, and against the same rows in a file
//! (benches/README.md).
//!
//! Needs nothing but `std`, so that `rustc -O` builds it in seconds. Rows lie
//! ready in memory and pages are slices of them: no real proxy is as fast. With
//! `--render` each row is put together when it is asked for, as a proxy in a fast
//! language would. `--proxy 'python3 benches/fastapi_proxy.py'` starts another
//! one, which is given a file of all rows and prints its port. Processor time and
//! memory are read from `/proc`.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

type Failed = Box<dyn Error + Send + Sync>;

struct Options {
    program: PathBuf,
    rows: u64,
    days: u64,
    rounds: u32,
    renders: bool,
    /// The command of another proxy.
    proxy: Option<String>,
    directory: PathBuf,
}

fn options() -> Result<Options, Failed> {
    let mut options = Options {
        program: PathBuf::from("target/release/spendbook"),
        rows: 1_000_000,
        days: 30,
        rounds: 3,
        renders: false,
        proxy: None,
        directory: env::temp_dir().join(format!("spendbook-pull-{}", std::process::id())),
    };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("`{argument}` wants a value"));
        match argument.as_str() {
            "--program" => options.program = value()?.into(),
            "--rows" => options.rows = value()?.parse()?,
            "--days" => options.days = value()?.parse()?,
            "--rounds" => options.rounds = value()?.parse()?,
            "--dir" => options.directory = value()?.into(),
            "--render" => options.renders = true,
            "--proxy" => options.proxy = Some(value()?),
            // What `cargo bench` adds.
            "--bench" => {}
            other => return Err(format!("`{other}` is unknown").into()),
        }
    }
    Ok(options)
}

const DAY: u64 = 86_400;
/// 2026-06-01, in days since 1970.
const FIRST_DAY: u64 = 20_605;
const PAGE: u64 = 1_000;
const THREADS: u64 = 4;

/// What the proxy keeps.
struct Kept {
    rows: u64,
    days: u64,
    /// All rows, each with a comma after it, and where each begins; empty where
    /// they are rendered when they are asked for.
    text: Vec<u8>,
    begins: Vec<usize>,
}

impl Kept {
    fn new(rows: u64, days: u64, renders: bool) -> Self {
        let mut kept = Self { rows, days, text: Vec::new(), begins: Vec::new() };
        if !renders {
            let mut text = String::new();
            for row in 0..rows {
                kept.begins.push(text.len());
                kept.render(row, &mut text);
            }
            kept.begins.push(text.len());
            kept.text = text.into_bytes();
        }
        kept
    }

    /// Where a row begins in the text.
    fn begin(&self, row: u64) -> usize {
        usize::try_from(row).ok().and_then(|row| self.begins.get(row)).copied().unwrap_or(self.text.len())
    }

    /// When a request began, in milliseconds since 1970.
    fn at(&self, row: u64) -> u64 {
        FIRST_DAY * DAY * 1_000 + row * (self.days * DAY * 1_000) / self.rows
    }

    /// The first row at this second or after it.
    fn first_at(&self, second: u64) -> u64 {
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = low.midpoint(high);
            if self.at(middle) < second * 1_000 { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// As the proxy of today writes a row, without prompts.
    fn render(&self, row: u64, text: &mut String) {
        let (input, output) = tokens(row);
        let at = self.at(row);
        let (start, end) = (Timestamp(at), Timestamp(at + 300 + row % 4_000));
        let (team, key) = (row % 12, row % 40);
        let written = write!(
            text,
            "{{\"request_id\":\"chatcmpl-{row:032x}\",\"call_type\":\"acompletion\",\"api_key\":\"{key:064x}\",\
             \"spend\":0.{:09},\"total_tokens\":{},\"prompt_tokens\":{input},\"completion_tokens\":{output},\
             \"startTime\":\"{start}\",\"endTime\":\"{end}\",\"request_duration_ms\":{},\"completionStartTime\":\"{start}\",\
             \"model\":\"llama-3.1-8b-instant\",\"model_id\":\"8f2c\",\"model_group\":\"fast\",\"custom_llm_provider\":\"groq\",\
             \"api_base\":\"https://api.groq.com/openai/v1\",\"user\":\"user-{}\",\"metadata\":{{\"user_api_key_alias\":\
             \"team{team}-prod\",\"user_api_key_team_id\":\"team{team}\",\"user_api_key_team_alias\":\"team{team}\",\
             \"status\":\"success\",\"applied_guardrails\":[],\"usage_object\":{{\"prompt_tokens\":{input},\
             \"completion_tokens\":{output},\"prompt_tokens_details\":{{\"cached_tokens\":0}}}},\"attempted_retries\":0,\
             \"additional_usage_values\":{{\"prompt_tokens_details\":null}}}},\"cache_hit\":\"False\",\"cache_key\":\"Cache OFF\",\
             \"request_tags\":[\"User-Agent: openai\"],\"team_id\":\"team{team}\",\"organization_id\":null,\"end_user\":\"\",\
             \"requester_ip_address\":\"10.0.0.{}\",\"messages\":{{}},\"response\":{{}},\"proxy_server_request\":{{}},\
             \"session_id\":\"{row:032x}\",\"status\":\"success\",\"mcp_namespaced_tool_name\":null,\"agent_id\":null}},",
            row % 1_000_000_000,
            input + output,
            300 + row % 4_000,
            row % 900,
            row % 250,
        );
        written.unwrap_or_else(|error| unreachable!("a text takes everything: {error}"));
    }

    fn page(&self, target: &str, body: &mut Vec<u8>) {
        let parameter = |name: &str| {
            let pairs = target.split_once('?').map_or("", |(_, query)| query);
            let value = pairs.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().replace("%3A", ":").replace('+', " ")
        };
        let number = |name: &str| parameter(name).parse::<u64>().unwrap_or(1);
        let (page, size) = (number("page"), number("page_size").min(PAGE));
        let from = self.first_at(second(&parameter("start_date")));
        // The end is included.
        let until = self.first_at(second(&parameter("end_date")) + 1);
        let total = until.saturating_sub(from);
        let (first, last) = ((from + (page - 1) * size).min(until), (from + page * size).min(until));
        body.clear();
        body.extend_from_slice(b"{\"data\":[");
        if self.text.is_empty() {
            let mut text = String::new();
            for row in first..last {
                self.render(row, &mut text);
            }
            body.extend_from_slice(text.as_bytes());
        } else {
            body.extend_from_slice(&self.text[self.begin(first)..self.begin(last)]);
        }
        if last > first {
            body.pop();
        }
        let pages = total.div_ceil(size);
        let counted = total.min(10_000);
        let capped = total > 10_000;
        let rest = format!(
            "],\"total\":{counted},\"page\":{page},\"page_size\":{size},\"total_pages\":{pages},\"total_is_capped\":{capped}}}"
        );
        body.extend_from_slice(rest.as_bytes());
    }
}

const fn tokens(row: u64) -> (u64, u64) {
    (200 + row * 7 % 3_000, 10 + row * 3 % 500)
}

/// Milliseconds since 1970, written as a time.
struct Timestamp(u64);

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = date(self.0 / 1_000 / DAY);
        let second = self.0 / 1_000 % DAY;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}000Z", self.0 % 1_000)
    }
}

/// Year, month and day of a day since 1970 that lies in 2026.
fn date(day: u64) -> (u64, u64, u64) {
    const MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut rest = day - 20_454;
    for (month, days) in (1..).zip(MONTHS) {
        if rest < days {
            return (2026, month, rest + 1);
        }
        rest -= days;
    }
    (2027, 1, rest + 1)
}

/// The second since 1970 of `2026-06-01 00:00:00`.
fn second(text: &str) -> u64 {
    let part = |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<u64>().ok()).unwrap_or(0);
    let is_day = |&day: &u64| date(day) == (part(0, 4), part(5, 7), part(8, 10));
    let day = (20_454..20_854).find(is_day).unwrap_or(0);
    day * DAY + part(11, 13) * 3_600 + part(14, 16) * 60 + part(17, 19)
}

fn serve(kept: &Arc<Kept>) -> Result<u16, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let kept = Arc::clone(kept);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            // A client that leaves ends its thread.
            thread::spawn(move || drop(answer(&stream, &kept)));
        }
    });
    Ok(port)
}

/// A proxy that is a process of its own, and its port.
struct Other(Child);

impl Other {
    fn start(command: &str, rows: &Path) -> Result<(Self, u16), Failed> {
        let mut words = command.split_whitespace();
        let mut command = Command::new(words.next().ok_or("`--proxy` wants a command")?);
        let mut child = command.args(words).arg(rows).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let said = child.stdout.take().ok_or("the other proxy has no output")?;
        let other = Self(child);
        let mut port = String::new();
        BufReader::new(said).read_line(&mut port)?;
        Ok((other, port.trim().parse().map_err(|_| format!("the other proxy told `{port}`, expected its port"))?))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn answer(stream: &TcpStream, kept: &Kept) -> Result<(), Failed> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line)?;
        }
        kept.page(&target, &mut body);
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        (&mut &*stream).write_all(head.as_bytes())?;
        (&mut &*stream).write_all(&body)?;
    }
}

/// Reads every page, day by day, with as many connections as the program has,
/// and looks at nothing; how many bytes that were.
fn read_bare(port: u16, kept: &Kept) -> Result<u64, Failed> {
    let (next, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let read = || -> Result<(), Failed> {
                    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port))?);
                    loop {
                        let day = next.fetch_add(1, Ordering::Relaxed);
                        if day >= kept.days {
                            return Ok(());
                        }
                        bytes.fetch_add(read_day(&mut stream, kept, day)?, Ordering::Relaxed);
                    }
                };
                if let Err(error) = read()
                    && let Ok(mut failed) = failed.lock()
                {
                    *failed = Some(error);
                }
            });
        }
    });
    match failed.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(bytes.into_inner()),
    }
}

fn read_day(stream: &mut BufReader<TcpStream>, kept: &Kept, day: u64) -> Result<u64, Failed> {
    let (year, month, date_of_month) = date(FIRST_DAY + day);
    let begin = (FIRST_DAY + day) * DAY;
    let total = kept.first_at(begin + DAY) - kept.first_at(begin);
    let mut all = 0;
    let mut body = Vec::new();
    for page in 1..=total.div_ceil(PAGE) {
        let day = format!("{year}-{month:02}-{date_of_month:02}");
        let head = format!(
            "GET /spend/logs/v2?start_date={day}+00:00:00&end_date={day}+23:59:59&page={page}&page_size={PAGE} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
        stream.get_mut().write_all(head.as_bytes())?;
        let (mut line, mut length) = (String::new(), 0);
        stream.read_line(&mut line)?;
        if !line.contains(" 200 ") {
            return Err(format!("the proxy answered `{}`", line.trim()).into());
        }
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line)?;
            if let Some((name, told)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = told.trim().parse()?;
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
        all += length as u64;
    }
    Ok(all)
}

/// Processor time of a process and of its children that ended, in hundredths of
/// a second.
fn processor_time(process: &str) -> Result<[u64; 2], Failed> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Its name, in brackets, can hold blanks.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let fields: Vec<u64> = fields.split(' ').skip(11).take(4).map(str::parse).collect::<Result<_, _>>()?;
    Ok([fields[0] + fields[1], fields[2] + fields[3]])
}

/// The most memory that a process had so far, in KiB.
fn peak_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// All rows in one file, a line each.
fn write_file(options: &Options, kept: &Kept, path: &Path) -> Result<(), Failed> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    let mut line = String::new();
    for row in 0..options.rows {
        line.clear();
        kept.render(row, &mut line);
        line.pop();
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}

/// One ingest of a source into a new book: how long it took, and the most memory.
fn ingest(options: &Options, source: &str, directory: &Path) -> Result<(Duration, u64), Failed> {
    fs::create_dir_all(directory)?;
    let config = format!("[book]\npath = \"book\"\n[[source]]\nname = \"proxy\"\n{source}");
    fs::write(directory.join("spendbook.toml"), config)?;
    let begun = Instant::now();
    let mut child =
        command(options, directory).args(["ingest"]).stdout(fs::File::create(directory.join("said"))?).spawn()?;
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        peak = peak.max(peak_kib(child.id()).unwrap_or(0));
        thread::sleep(Duration::from_millis(10));
    }
    let wall = begun.elapsed();
    if !child.wait()?.success() {
        return Err(format!("ingest failed: {}", fs::read_to_string(directory.join("said"))?).into());
    }
    Ok((wall, peak))
}

fn command(options: &Options, directory: &Path) -> Command {
    let (year, month, day) = date(FIRST_DAY + options.days);
    let mut command = Command::new(&options.program);
    command.arg("--config").arg(directory.join("spendbook.toml"));
    command.args(["--now", &format!("{year}-{month:02}-{day:02}T04:00:00Z")]).stdin(Stdio::null());
    command
}

/// That the book holds what the proxy told.
fn check(options: &Options, directory: &Path) -> Result<(), Failed> {
    let sums = "select count(*) as requests, sum(input_tokens) as input, sum(output_tokens) as output from usage";
    let said = command(options, directory).args(["query", sums, "--format", "csv"]).output()?;
    let found = String::from_utf8_lossy(&said.stdout).lines().nth(1).unwrap_or_default().to_owned();
    let all = (0..options.rows).map(tokens).fold((0, 0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
    let expect = format!("{},{},{}", options.rows, all.0, all.1);
    if found == expect { Ok(()) } else { Err(format!("the book holds `{found}`, expected `{expect}`").into()) }
}

/// Hundredths of a second, in seconds.
fn seconds(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn line(name: &str, rows: u64, wall: Duration, rest: &str) -> Result<(), Failed> {
    let rate = u128::from(rows) * 1_000_000 / wall.as_micros().max(1);
    writeln!(std::io::stdout(), "{name}: {:.2} s, {rate} rows a second, {rest}", wall.as_secs_f64())?;
    Ok(())
}

fn main() -> Result<(), Failed> {
    let options = options()?;
    let kept = Arc::new(Kept::new(options.rows, options.days, options.renders || options.proxy.is_some()));
    fs::create_dir_all(&options.directory)?;
    let rows = options.directory.join("rows.jsonl");
    write_file(&options, &kept, &rows)?;
    let (other, port) = match &options.proxy {
        Some(command) => Other::start(command, &rows).map(|(other, port)| (Some(other), port))?,
        None => (None, serve(&kept)?),
    };
    // The reader that looks at nothing is in this process, too.
    let proxy_time = || -> Result<u64, Failed> {
        let other = other.as_ref().map_or(Ok([0; 2]), |Other(child)| processor_time(&child.id().to_string()));
        Ok(processor_time("self")?[0] + other?[0])
    };
    let of_proxy = format!("format = \"litellm-api\"\nurl = \"http://127.0.0.1:{port}\"\nsince = \"2026-06-01\"\n");
    for round in 0..options.rounds {
        let before = proxy_time()?;
        let begun = Instant::now();
        let bytes = read_bare(port, &kept)?;
        let wall = begun.elapsed();
        let rest = format!("{} MB, {} s CPU of proxy and reader", bytes / 1_000_000, seconds(proxy_time()? - before));
        line("bare", options.rows, wall, &rest)?;
        for (name, source) in
            [("pull", of_proxy.as_str()), ("file", "format = \"litellm\"\npath = \"../rows.jsonl\"\n")]
        {
            let ([_, children_before], proxy_before) = (processor_time("self")?, proxy_time()?);
            let directory = options.directory.join(format!("{name}-{round}"));
            let (wall, peak) = ingest(&options, source, &directory)?;
            let ([_, children_after], proxy_after) = (processor_time("self")?, proxy_time()?);
            let (own, proxy) = (seconds(children_after - children_before), seconds(proxy_after - proxy_before));
            let rest = format!("{own} s CPU, {proxy} s of the proxy, at most {} MiB", peak >> 10);
            line(name, options.rows, wall, &rest)?;
            check(&options, &directory)?;
            fs::remove_dir_all(directory)?;
        }
    }
    fs::remove_dir_all(&options.directory)?;
    Ok(())
}
