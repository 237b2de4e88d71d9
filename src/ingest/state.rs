//! What an earlier run read, so that this one need not read it again.
//!
//! Only work is saved: with the state gone, everything is read once more and
//! the book stays the same, byte for byte.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
    time::UNIX_EPOCH,
};

use object_store::path::Path as BookPath;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::framing::Progress;
use crate::{
    book::{Book, BookError},
    config::{Privacy, Source},
    tally::Reasons,
};

/// One source's files, as the last run left them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Digest of the options that decide what a record says.
    pub options: String,
    pub files: BTreeMap<String, FileState>,
}

/// One file, as it was when it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    pub stamp: Stamp,
    /// How far whole lines were read; only a plain file of lines can be read
    /// on from there.
    pub bytes: u64,
    pub lines: u64,
    /// Digest of those bytes.
    pub digest: u64,
    pub resumable: bool,
    /// Entries at its end that waited for the rest.
    pub pending: u64,
    /// Why it could not be read to its end: a truncated gzip.
    pub incomplete: Option<String>,
    /// For `auto`: what it was taken for.
    #[serde(default)]
    pub format: Option<String>,
    /// Broken entries up to there that are only counted, by reason: what is in
    /// quarantine may be of a later run that did not come to its end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more_broken: Reasons,
    /// Of a window over HTTP: when it was read to its end, in microseconds; none
    /// where it changed meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<i64>,
}

/// By what a file is known to be unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub size: u64,
    pub modified_ns: u64,
    /// Changes with the file's content even where its time was set back.
    pub changed_ns: i64,
    pub inode: u64,
}

impl Stamp {
    /// # Errors
    /// Where the file cannot be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        let modified = meta.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let mut stamp =
            Self { size: meta.len(), modified_ns: u64::try_from(modified).unwrap_or(u64::MAX), ..Self::default() };
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            stamp.changed_ns = meta.ctime().saturating_mul(1_000_000_000).saturating_add(meta.ctime_nsec());
            stamp.inode = meta.ino();
        }
        Ok(stamp)
    }
}

/// What to do with a file, given what an earlier run left.
pub enum Plan {
    /// As it was: nothing to read.
    Unchanged,
    /// Read on from where the last run stopped.
    GoOn(Progress, Box<Xxh3>, Ending),
    Read(Ending),
}

/// What is known of a file's last entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The rest of it may still come.
    Open,
    /// The file is as it was in an earlier run: it is taken as it is, or refused.
    Settled,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "Unchanged",
            Self::GoOn(..) => "GoOn",
            Self::Read(_) => "Read",
        })
    }
}

/// Decides what to do with a file.
///
/// # Errors
/// Where its beginning cannot be read.
pub fn plan(path: &Path, stamp: &Stamp, before: Option<&FileState>) -> io::Result<Plan> {
    let Some(before) = before else { return Ok(Plan::Read(Ending::Open)) };
    let mut ending = Ending::Open;
    if before.stamp == *stamp {
        if before.pending == 0 || before.incomplete.is_some() {
            return Ok(Plan::Unchanged);
        }
        ending = Ending::Settled;
    }
    if before.resumable && before.bytes > 0 && stamp.size >= before.bytes {
        let digest = digest_of_beginning(path, before.bytes)?;
        if digest.digest() == before.digest {
            return Ok(Plan::GoOn(before.progress(), Box::new(digest), ending));
        }
    }
    Ok(Plan::Read(ending))
}

fn digest_of_beginning(path: &Path, bytes: u64) -> io::Result<Xxh3> {
    let mut digest = Xxh3::new();
    let mut file = fs::File::open(path)?.take(bytes);
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(digest);
        }
        digest.update(&buffer[..read]);
    }
}

impl FileState {
    pub fn progress(&self) -> Progress {
        Progress { bytes: self.bytes, lines: self.lines, digest: self.digest }
    }
}

/// The options of a source that decide what its records say.
pub fn options_digest(source: &Source, privacy: Privacy) -> String {
    let options = format!(
        "{:?}",
        (
            &source.format,
            &source.provider,
            source.role,
            &source.tier,
            source.timezone,
            source.priority,
            source.identity,
            &source.source_version,
            &source.tags,
            &source.custom,
            privacy.users,
        )
    );
    format!("{:016x}", xxh3_64(options.as_bytes()))
}

fn path_of(source: &str) -> BookPath {
    BookPath::from(format!("state/ingest/{source}.json"))
}

impl SourceState {
    /// What the last run left; nothing where that cannot be read, which only
    /// costs reading everything again.
    ///
    /// # Errors
    /// Where the book cannot be read.
    pub fn load(book: Option<&Book>, source: &str) -> Result<Self, BookError> {
        let Some(book) = book else { return Ok(Self::default()) };
        let bytes = book.get(&path_of(source))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, book: &Book, source: &str) -> Result<(), BookError> {
        let text = serde_json::to_string(self).unwrap_or_default();
        book.put(&path_of(source), text.into())
    }
}
