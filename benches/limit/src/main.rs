//! What ingest could reach: reads the fields of `native` lines with `simd-json`
//! and writes the columns of `usage` as the same kind of Parquet, and does
//! nothing else.
//!
//! Left out on purpose is all that makes a book of it: lines are not checked,
//! versions of a request not merged, credentials not looked for, rows neither
//! sorted nor accounted for, files not synced. Only the plain logs of
//! `benches/workload.rs` are understood.
//!
//! ```console
//! limit LOGS OUT [THREADS]
//! ```

mod columns;
mod file;

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use columns::{Columns, DAY, Line};
use file::Days;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn Error + Send + Sync>;

/// How much of a file a thread takes at a time.
const BLOCK: u64 = 8 << 20;

fn main() -> ExitCode {
    match run() {
        Ok(rows) => {
            // Without standard output there is nobody to tell.
            drop(writeln!(io::stdout(), "{rows}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            drop(writeln!(io::stderr(), "{error}\nusage: limit LOGS OUT [THREADS]"));
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<usize, Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (Some(logs), Some(out)) = (arguments.first(), arguments.get(1)) else { return Err("too few arguments".into()) };
    let threads = arguments.get(2).map_or(Ok(2), |text| text.parse())?;
    let blocks = blocks(Path::new(logs))?;
    let days = Days::new(Path::new(out));
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| read(&blocks, &next, &days))).collect();
        threads.into_iter().map(|it| it.join().map_err(|_| "a thread died")?).sum::<Result<usize, Failure>>()
    })
    .and_then(|rows| days.finish().map(|()| rows))
}

/// Whole lines of one file.
struct Block {
    path: PathBuf,
    from: u64,
    until: u64,
}

/// Cuts every file at the ends of lines.
fn blocks(logs: &Path) -> Result<Vec<Block>, Failure> {
    let mut paths: Vec<PathBuf> = fs::read_dir(logs)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    let mut blocks = Vec::new();
    for path in paths {
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        let mut from = 0;
        while from < length {
            let mut text = [0; 1 << 14];
            let near = (from + BLOCK).min(length);
            let read = file.read_at(&mut text, near)?;
            let until = memchr::memchr(b'\n', &text[..read]).map_or(length, |at| near + at as u64 + 1);
            blocks.push(Block { path: path.clone(), from, until });
            from = until;
        }
    }
    Ok(blocks)
}

/// Takes block after block; how many rows they had.
fn read(blocks: &[Block], next: &AtomicUsize, days: &Days) -> Result<usize, Failure> {
    let mut pending: BTreeMap<i64, Columns> = BTreeMap::new();
    let mut buffers = simd_json::Buffers::new(4096);
    let mut text = Vec::new();
    let mut rows = 0;
    while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
        text.resize(usize::try_from(block.until - block.from)?, 0);
        File::open(&block.path)?.read_exact_at(&mut text, block.from)?;
        let name = block.path.to_string_lossy();
        let mut rest = text.as_mut_slice();
        let mut first = None;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at_mut(end + 1);
            let line: Line<'_> = simd_json::serde::from_slice_with_buffers(&mut line[..end], &mut buffers)?;
            let ts = line.instant().ok_or("a time that is not as the workload writes it")?;
            let day = ts.div_euclid(DAY);
            let columns = pending.entry(day).or_default();
            columns.push(&line, ts, &name);
            if columns.is_full() {
                days.write(day, columns)?;
            }
            first.get_or_insert(day);
            rows += 1;
            rest = after;
        }
        // Logs go on from day to day: what lies far behind is not waited for.
        while let Some(entry) = pending.first_entry()
            && first.is_some_and(|first| *entry.key() < first - 1)
        {
            let (day, mut columns) = entry.remove_entry();
            days.write(day, &mut columns)?;
        }
    }
    for (day, mut columns) in pending {
        days.write(day, &mut columns)?;
    }
    Ok(rows)
}
