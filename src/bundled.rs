//! What the program carries in itself: the price book, and the workspace of
//! the demo. So `init` and `demo` need neither network nor repository.
//!
//! Files are only ever added: one that is there is somebody's, and stays as it
//! is. The lists are made by hand, and a test holds them against the directories.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A file: its path below the directory it is unpacked to, and its bytes.
pub type File = (&'static str, &'static [u8]);

macro_rules! files {
    ($from:literal: $($path:literal),+ $(,)?) => { &[$(($path, include_bytes!(concat!($from, $path)))),+] };
}

/// The price book that the program comes with.
pub static PRICE_BOOK: &[File] = files!("../":
    "pricing/NOTICE",
    "pricing/README.md",
    "pricing/aliases.csv",
    "pricing/anthropic.csv",
    "pricing/fallback.csv",
    "pricing/groq.csv",
    "pricing/openai.csv",
    "pricing/pins.csv",
);

/// The workspace of the demo, beside the price book.
pub static DEMO: &[File] = files!("../data/demo/":
    "spendbook.toml",
    "answers/groq-activity-2026-06.json",
    "answers/openai-usage-2026-06.json",
    "logs/batches/2026-05-05_batch_01kqttkm00zw26bcz7m2mz8mrr_output.jsonl",
    "logs/batches/2026-05-12_batch_01krcvcn00gs6wv7qyeahyzft5_output.jsonl",
    "logs/batches/2026-05-19_batch_01kryw5p005rsp3rqbnfdapar2_output (1).jsonl",
    "logs/batches/2026-05-19_batch_01kryw5p005rsp3rqbnfdapar2_output.jsonl",
    "logs/batches/2026-05-26_batch_01ksgwyq00fa258b84wvrgp57f_output.jsonl",
    "logs/batches/2026-06-02_batch_01kt2xqr00dbnr6f35e9tqfgb5_output.jsonl",
    "logs/batches/2026-06-09_batch_01ktmygs00pv3kfcdb3hds2arx_output.jsonl",
    "logs/batches/2026-06-16_batch_01kv6z9t00kr4tyzf1wjshc1py_error.jsonl",
    "logs/batches/2026-06-16_batch_01kv6z9t00kr4tyzf1wjshc1py_output.jsonl",
    "logs/gateway/gateway.jsonl",
    "logs/gateway/gateway.jsonl-20260601.gz",
    "logs/gateway/gateway.jsonl-20260615.gz",
    "logs/gateway/gateway.jsonl.bak",
    "logs/litellm/spendlogs-2026-05.jsonl.gz",
    "logs/litellm/spendlogs-2026-06.jsonl.gz",
    "logs/voice/voice-2026-05.csv",
    "logs/voice/voice-2026-06.csv",
);

/// What unpacking came to, by path.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    pub written: Vec<&'static str>,
    /// Were there already, and are as they were.
    pub kept: Vec<&'static str>,
}

/// A file that cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be written: {source}", path.display())]
pub struct UnpackError {
    path: PathBuf,
    source: io::Error,
}

/// Writes the files that are not there yet, each whole or not at all.
///
/// # Errors
/// Where one cannot be written.
pub fn unpack(files: impl IntoIterator<Item = File>, dir: &Path) -> Result<Unpacked, UnpackError> {
    let mut done = Unpacked::default();
    for (name, bytes) in files {
        let path = dir.join(name);
        match write_new(&path, bytes) {
            Ok(true) => done.written.push(name),
            Ok(false) => done.kept.push(name),
            Err(source) => return Err(UnpackError { path, source }),
        }
    }
    Ok(done)
}

/// Writes a file unless there is one.
///
/// # Errors
/// Where it cannot be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut staged = builder.prefix(".spendbook-").tempfile_in(dir)?;
    staged.write_all(bytes)?;
    match staged.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(failed) => Err(failed.error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn below(root: &Path, dir: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(root, &path, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn the_lists_name_every_file_of_their_directories() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (base, dir, files, left_out) in
            [(root.to_owned(), "pricing", PRICE_BOOK, ""), (root.join("data/demo"), "", DEMO, "generate.py")]
        {
            let mut found = BTreeSet::new();
            below(&base, &base.join(dir), &mut found);
            found.remove(left_out);
            let listed: BTreeSet<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(listed, found);
        }
    }

    #[test]
    fn what_is_there_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let files: [File; 2] = [("a/b.txt", b"new"), ("c.txt", b"new")];
        fs::write(dir.path().join("c.txt"), "mine").unwrap();
        let done = unpack(files, dir.path()).unwrap();
        assert_eq!(done, Unpacked { written: vec!["a/b.txt"], kept: vec!["c.txt"] });
        assert_eq!(fs::read(dir.path().join("c.txt")).unwrap(), b"mine");
        assert_eq!(unpack(files, dir.path()).unwrap().written, [""; 0]);
        let error = unpack([("c.txt/d.txt", &b"new"[..])], dir.path()).unwrap_err().to_string();
        assert!(error.contains("c.txt/d.txt` cannot be written: "), "{error}");
    }
}
