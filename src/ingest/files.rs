//! The files of a source: which ones its path names, and their bytes, plain,
//! gzip or zstd, told apart by content and never by name.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

/// One file that a source's path names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// As it is stored and shown: relative to the config's directory where it
    /// is below it, with `/` between the parts.
    pub name: String,
    pub path: PathBuf,
}

/// Why a source's files cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("`{pattern}` is not a glob: {source}")]
    Pattern { pattern: String, source: glob::PatternError },
    #[error("`{}` cannot be listed: {source}", path.display())]
    List { path: PathBuf, source: io::Error },
}

/// The files that `path` names: a glob, a directory (every file below it) or
/// one file; symlinks are followed. Sorted by name, each once.
///
/// # Errors
/// Where the pattern is malformed or a directory cannot be read.
pub fn list(dir: &Path, path: &str) -> Result<Vec<Found>, FilesError> {
    let full = dir.join(path);
    let mut paths = Vec::new();
    if full.is_dir() {
        list_below(&full, &mut paths, 0)?;
    } else {
        // Only the source's own path is a pattern, not the directory it is in.
        let base = glob::Pattern::escape(&dir.to_string_lossy());
        let pattern = if Path::new(path).is_absolute() { path.to_owned() } else { format!("{base}/{path}") };
        let matches =
            glob::glob(&pattern).map_err(|source| FilesError::Pattern { pattern: path.to_owned(), source })?;
        for entry in matches {
            let entry =
                entry.map_err(|error| FilesError::List { path: error.path().to_owned(), source: error.into() })?;
            if !entry.is_dir() {
                paths.push(entry);
            }
        }
    }
    let mut files: Vec<Found> = paths.into_iter().map(|path| Found { name: name_of(dir, &path), path }).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// Directories nested deeper than this are a loop of symlinks.
const MAX_DEPTH: usize = 64;

fn list_below(dir: &Path, paths: &mut Vec<PathBuf>, depth: usize) -> Result<(), FilesError> {
    let error = |source| FilesError::List { path: dir.to_owned(), source };
    if depth > MAX_DEPTH {
        return Err(error(io::Error::other("nested more than 64 deep, is there a loop of symlinks?")));
    }
    for entry in std::fs::read_dir(dir).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        if path.is_dir() {
            list_below(&path, paths, depth + 1)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

fn name_of(dir: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(dir).unwrap_or(path);
    let name = relative.to_string_lossy().replace('\\', "/");
    crate::secrets::redact(name.strip_prefix("./").unwrap_or(&name)).into_owned()
}

/// How a file's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// What to do about a file that cannot be read.
pub fn cure_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "let the user that runs the night read it",
        io::ErrorKind::NotFound => "make good the link that leads there, or remove it",
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            "is it a whole file, plain or packed with gzip or zstd?"
        }
        _ => "correct the source's `path`, so that it matches log files alone, or look at the disk",
    }
}

/// Opens a file and looks at its first bytes.
///
/// # Errors
/// Where it cannot be opened or read.
pub fn open(path: &Path) -> io::Result<(Packing, Box<dyn Read + Send>)> {
    // A pipe would be waited for, and can be read only once.
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        let what = if meta.is_dir() { "a directory" } else { "a pipe or device" };
        return Err(io::Error::other(format!("it is {what}, expected a file")));
    }
    let mut file = File::open(path)?;
    let mut first = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut first)?;
    let packing = match first.as_slice() {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Packing::Zstd,
        _ => Packing::Plain,
    };
    let all = Cursor::new(first).chain(file);
    Ok((
        packing,
        match packing {
            Packing::Plain => Box::new(all),
            // Several members, as `cat a.gz b.gz` makes, are read one after the other.
            Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(1 << 18, all))),
            Packing::Zstd => Box::new(zstd::Decoder::new(all)?),
        },
    ))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    #[test]
    fn globs_directories_and_single_files_name_files() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["logs/a.jsonl", "logs/b.jsonl.gz", "logs/deep/c.jsonl", "logs/.hidden", "logs/x.txt"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let names = |path: &str| list(dir.path(), path).unwrap().into_iter().map(|file| file.name).collect::<Vec<_>>();
        assert_eq!(names("logs/*.jsonl*"), ["logs/a.jsonl", "logs/b.jsonl.gz"]);
        assert_eq!(names("logs/**/*.jsonl"), ["logs/a.jsonl", "logs/deep/c.jsonl"]);
        assert_eq!(names("logs"), ["logs/a.jsonl", "logs/b.jsonl.gz", "logs/deep/c.jsonl", "logs/x.txt"]);
        assert_eq!(names("logs/a.jsonl"), ["logs/a.jsonl"]);
        assert_eq!(names("nothing/*"), [""; 0]);
        assert!(list(dir.path(), "logs/***x").is_err());
        let odd = dir.path().join("a [b] *c");
        fs::create_dir_all(&odd).unwrap();
        fs::write(odd.join("x.jsonl"), "").unwrap();
        assert_eq!(list(&odd, "*.jsonl").unwrap()[0].name, "x.jsonl");
    }

    #[test]
    fn packing_is_known_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let text = b"{\"a\":1}\n".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        for (bytes, expect) in [(&text, Packing::Plain), (&gzip, Packing::Gzip), (&zstd, Packing::Zstd)] {
            let path = dir.path().join("misleading.gz");
            fs::write(&path, bytes).unwrap();
            let (packing, mut reader) = open(&path).unwrap();
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert_eq!((packing, read == text), (expect, true));
        }
        assert!(open(dir.path()).is_err());
    }
}
