//! The workspace of the demo: made-up logs of two months, a config, and the
//! price book, unpacked into a directory of its own.
//!
//! A directory that the demo did not make is never touched; one that it made
//! is used again as it is, with whatever somebody tried in it.

use std::{
    io,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

use crate::{
    bundled::{self, DEMO, File, PRICE_BOOK, UnpackError},
    time::{Day, Instant},
};

/// The config of the workspace.
pub const CONFIG: &str = "spendbook.toml";

/// By this file a directory is known to be a workspace of the demo.
const MARKER: &str = ".spendbook-demo";

/// What time it is in the demo: 2026-06-19T02:00:00Z, so that last month is
/// complete, this one is not, and the models in the logs have public prices.
pub fn now() -> Instant {
    /// 2026-06-19 in days since 1970.
    const DAY: i32 = 20_623;
    const TWO_HOURS: i64 = 2 * 3_600 * 1_000_000;
    Day::from_days(DAY).start().plus_micros(TWO_HOURS)
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("`{}` is a file: name a directory, `spendbook demo DIR`", .0.display())]
    NoDirectory(PathBuf),
    #[error(
        "`{}` has files that the demo did not make, and it writes into no such directory: name another one, \
         `spendbook demo DIR`",
        .0.display()
    )]
    NotOurs(PathBuf),
    #[error(
        "`{}` was made by the demo of another version of spendbook: remove it, or name another directory, \
         `spendbook demo DIR`",
        .0.display()
    )]
    OtherVersion(PathBuf),
    #[error("`{}` cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}

/// Unpacks the workspace; `false` where it is there already.
///
/// # Errors
/// Where the directory is somebody else's, or cannot be written.
pub fn prepare(dir: &Path) -> Result<bool, DemoError> {
    let unreadable = |source| DemoError::Unreadable { path: dir.to_owned(), source };
    let marker = marker();
    if dir.exists() {
        if !dir.is_dir() {
            return Err(DemoError::NoDirectory(dir.to_owned()));
        }
        match std::fs::read_to_string(dir.join(MARKER)) {
            Ok(text) if text == marker => {}
            Ok(_) => return Err(DemoError::OtherVersion(dir.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if dir.read_dir().map_err(unreadable)?.next().is_some() {
                    return Err(DemoError::NotOurs(dir.to_owned()));
                }
            }
            Err(error) => return Err(unreadable(error)),
        }
    }
    // The marker first: what an interrupted run left is the demo's own.
    let is_new = bundled::write_new(&dir.join(MARKER), marker.as_bytes()).map_err(unreadable)?;
    bundled::unpack(files(), dir)?;
    Ok(is_new)
}

/// How many log files the workspace has.
pub fn log_files() -> usize {
    DEMO.iter().filter(|(name, _)| name.starts_with("logs/")).count()
}

fn files() -> impl Iterator<Item = File> {
    DEMO.iter().chain(PRICE_BOOK).copied()
}

/// What the marker says: another version of the program may carry other logs.
fn marker() -> String {
    let mut digest = Xxh3::new();
    for (name, bytes) in files() {
        digest.update(name.as_bytes());
        digest.update(bytes);
    }
    format!("made by `spendbook demo`, contents {:016x}\n", digest.digest())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_two_in_the_morning() {
        assert_eq!(now().to_string(), "2026-06-19T02:00:00Z");
    }

    #[test]
    fn only_a_directory_of_its_own_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, expect: &str| {
            let error = prepare(&dir.path().join(name)).unwrap_err().to_string();
            assert!(error.contains(expect), "{name}: {error}");
        };
        fs::write(dir.path().join("file"), "").unwrap();
        check("file", "is a file: name a directory");
        fs::create_dir(dir.path().join("mine")).unwrap();
        fs::write(dir.path().join("mine/notes.txt"), "").unwrap();
        check("mine", "has files that the demo did not make");
        assert_eq!(fs::read_dir(dir.path().join("mine")).unwrap().count(), 1);
        fs::create_dir(dir.path().join("old")).unwrap();
        fs::write(dir.path().join("old").join(MARKER), "made by `spendbook demo`, contents 0\n").unwrap();
        check("old", "another version of spendbook");

        let own = dir.path().join("deep/own");
        fs::create_dir_all(&own).unwrap();
        assert!(prepare(&own).unwrap());
        fs::write(own.join(CONFIG), "changed").unwrap();
        fs::remove_file(own.join("logs/gateway/gateway.jsonl")).unwrap();
        assert!(!prepare(&own).unwrap());
        assert_eq!(fs::read(own.join(CONFIG)).unwrap(), b"changed");
        assert!(own.join("logs/gateway/gateway.jsonl").exists());
    }
}
