//! The book: a directory of tables, on top of an object store.
//!
//! All reading and writing of the book goes through here, and all of it through
//! the `object_store` crate, so that object storage can follow without a
//! redesign. A file is staged, synced and renamed: it is either the old one or
//! the new one, never half of one. Parquet is staged in a directory of its own,
//! so that who reads a table's directory as a whole, as pandas and Spark do,
//! meets whole files only. A kill leaves at most staged leftovers, which the
//! next writer removes under the lock.

#![deny(clippy::float_arithmetic)]

pub mod batches;
pub mod chunks;
pub mod layout;
pub mod lock;
pub mod schema;
mod steady;

use std::{
    fs, io,
    path::{Path as FsPath, PathBuf},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, executor::block_on};
use object_store::{
    GetResultPayload, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutPayload, local::LocalFileSystem,
    path::Path,
};
use serde::{Deserialize, Serialize};

use crate::time::{Day, Instant};
pub use steady::{FileTimes, steadily};

use layout::{DayTable, LOCK_FILE, PRIVATE_DIRS, SCHEMA_VERSION, STAGED_DIR, VERSION_FILE};

/// Why the book cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error("there is no book at `{}`: `spendbook ingest` makes one, or check `[book] path`", .0.display())]
    Missing(PathBuf),
    #[error("the book's directory `{}` cannot be written: {error}: {}", path.display(), cure_of(error))]
    Directory { path: PathBuf, error: io::Error },
    #[error("another run holds the book's lock: {holder}")]
    Locked { holder: String },
    #[error(
        "the book has schema version {found}, this program knows up to {known}: use the newer spendbook that wrote it"
    )]
    TooNew { found: u32, known: u32 },
    #[error(
        "the book has schema version {found}, this program reads {known}: any command that writes brings it up, such \
         as `spendbook ingest`"
    )]
    TooOld { found: u32, known: u32 },
    #[error("`{path}` in the book is damaged: {detail}")]
    Damaged { path: String, detail: String },
    #[error("`{path}` in the book cannot be {doing}")]
    Store { path: String, doing: &'static str, source: object_store::Error },
}

/// What to do where the book's directory cannot be written.
fn cure_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            "a file is in its place, move it away, or set another `path` under `[book]`"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "let the user that runs this write there, or set another `path` under `[book]`"
        }
        _ => "`spendbook doctor` looks it over",
    }
}

/// A book that is open, for reading, or under its lock for writing.
#[derive(Debug)]
pub struct Book {
    store: Arc<dyn ObjectStore>,
    root: PathBuf,
    /// Held while this run may write.
    _lock: Option<lock::Lock>,
}

/// What `version.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct Version {
    schema: u32,
}

impl Book {
    /// Opens a book to read: takes no lock, works on a read-only directory.
    ///
    /// # Errors
    /// Where there is none, or a newer program wrote it.
    pub fn open(root: &FsPath) -> Result<Self, BookError> {
        if !root.is_dir() {
            return Err(BookError::Missing(root.to_owned()));
        }
        let book = Self { store: local_store(root)?, root: root.to_owned(), _lock: None };
        match book.version()? {
            Some(found) if found < SCHEMA_VERSION => Err(BookError::TooOld { found, known: SCHEMA_VERSION }),
            _ => Ok(book),
        }
    }

    /// Opens a book to write, making it where there is none: takes the lock
    /// and removes what a killed run left staged. An older book stays one until
    /// [`crate::migrate::run`]. `holder` tells a second run who has the lock.
    ///
    /// # Errors
    /// Where another run holds the lock, the directory cannot be written, or a
    /// newer program wrote the book.
    pub fn open_for_writing(root: &FsPath, holder: &str) -> Result<Self, BookError> {
        Self::open_for_writing_over(root, holder, |store| store)
    }

    /// The same, with a layer of one's own over the store: what a simulation
    /// puts there fails, tears and dies as disks and machines do.
    ///
    /// # Errors
    /// As above, and whatever the layer makes up.
    pub fn open_for_writing_over(
        root: &FsPath,
        holder: &str,
        layer: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>,
    ) -> Result<Self, BookError> {
        let failed = |error| BookError::Directory { path: root.to_owned(), error };
        fs::create_dir_all(root).map_err(failed)?;
        let lock = match lock::take(&root.join(LOCK_FILE), holder).map_err(failed)? {
            lock::Taken::Held(lock) => lock,
            lock::Taken::Busy(holder) => return Err(BookError::Locked { holder }),
        };
        for name in PRIVATE_DIRS {
            private_dir(&root.join(name)).map_err(failed)?;
        }
        let book = Self { store: layer(local_store(root)?), root: root.to_owned(), _lock: Some(lock) };
        let found = book.version()?;
        remove_staged(root).map_err(failed)?;
        if found.is_none() && book.days(DayTable::Usage)?.is_empty() {
            book.set_current()?;
        }
        Ok(book)
    }

    /// Whether its tables are as this program writes them.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn is_current(&self) -> Result<bool, BookError> {
        Ok(self.version()? == Some(SCHEMA_VERSION))
    }

    /// Notes that its tables are as this program writes them.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn set_current(&self) -> Result<(), BookError> {
        let text = serde_json::json!({ "schema": SCHEMA_VERSION }).to_string() + "\n";
        self.put(&Path::from(VERSION_FILE), text.into())
    }

    /// The directory it is in.
    pub fn root(&self) -> &FsPath {
        &self.root
    }

    fn version(&self) -> Result<Option<u32>, BookError> {
        let Some(bytes) = self.get(&Path::from(VERSION_FILE))? else { return Ok(None) };
        let version: Version = serde_json::from_slice(&bytes)
            .map_err(|error| BookError::Damaged { path: VERSION_FILE.to_owned(), detail: error.to_string() })?;
        if version.schema > SCHEMA_VERSION {
            return Err(BookError::TooNew { found: version.schema, known: SCHEMA_VERSION });
        }
        Ok(Some(version.schema))
    }

    /// A file's bytes; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn get(&self, path: &Path) -> Result<Option<Bytes>, BookError> {
        let result = block_on(async { self.store.get(path).await?.bytes().await });
        found(path, result)
    }

    /// Whether a file is there.
    ///
    /// # Errors
    /// Where that cannot be found out.
    pub fn has(&self, path: &Path) -> Result<bool, BookError> {
        Ok(found(path, block_on(self.store.head(path)))?.is_some())
    }

    /// A file to read parts of; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn read(&self, path: &Path) -> Result<Option<Stored>, BookError> {
        let result = block_on(async {
            let result = self.store.get(path).await?;
            if let GetResultPayload::File(file, _) = result.payload {
                return Ok(Stored::File(file));
            }
            result.bytes().await.map(Stored::Bytes)
        });
        found(path, result)
    }

    /// Writes a file in one step: it is there whole, or not at all.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn put(&self, path: &Path, bytes: Bytes) -> Result<(), BookError> {
        let staged = staging(path);
        let put = async {
            self.store.put(staged.as_ref().unwrap_or(path), PutPayload::from_bytes(bytes)).await?;
            match &staged {
                Some(staged) => self.store.rename(staged, path).await,
                None => Ok(()),
            }
        };
        block_on(put).map_err(|source| BookError::Store { path: path.to_string(), doing: "written", source })
    }

    /// Writes a file where there is none, in one step; whether it did.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn put_new(&self, path: &Path, bytes: Bytes) -> Result<bool, BookError> {
        match block_on(self.store.put_opts(path, PutPayload::from_bytes(bytes), PutMode::Create.into())) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(BookError::Store { path: path.to_string(), doing: "written", source }),
        }
    }

    /// Gives a file another place. In a directory this is one step; in object
    /// storage a kill can leave it in both places, never in none.
    ///
    /// # Errors
    /// Where it cannot be moved, or is not there.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), BookError> {
        block_on(self.store.rename(from, to)).map_err(|source| BookError::Store {
            path: from.to_string(),
            doing: "moved",
            source,
        })
    }

    /// Begins a file that is written piece by piece, and is there once
    /// [`Upload::finish`] returns.
    ///
    /// # Errors
    /// Where it cannot be begun.
    pub fn upload(&self, path: &Path) -> Result<Upload, BookError> {
        let staged = staging(path);
        let to = staged.as_ref().unwrap_or(path);
        let parts = block_on(self.store.put_multipart(to)).map_err(|source| BookError::Store {
            path: path.to_string(),
            doing: "written",
            source,
        })?;
        let store = Arc::clone(&self.store);
        Ok(Upload { store, parts, staged, path: path.clone(), part: BytesMut::new(), is_done: false })
    }

    /// Copies a file from another book.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn copy_from(&self, other: &Self, path: &Path) -> Result<(), BookError> {
        match other.read(path)? {
            None => Ok(()),
            Some(Stored::Bytes(bytes)) => self.put(path, bytes),
            Some(Stored::File(mut file)) => {
                let mut upload = self.upload(path)?;
                io::copy(&mut file, &mut upload)
                    .map_err(|error| BookError::Directory { path: self.root.join(path.as_ref()), error })?;
                upload.finish()
            }
        }
    }

    /// Removes a file; none is as good.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn delete(&self, path: &Path) -> Result<(), BookError> {
        match block_on(self.store.delete(path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(BookError::Store { path: path.to_string(), doing: "removed", source }),
        }
    }

    /// When a file was last written; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be looked at.
    pub fn modified(&self, path: &Path) -> Result<Option<Instant>, BookError> {
        let meta = found(path, block_on(self.store.head(path)))?;
        Ok(meta.map(|meta| Instant::from_micros(meta.last_modified.timestamp_micros())))
    }

    /// The files below a directory, sorted.
    ///
    /// # Errors
    /// Where it cannot be listed.
    pub fn list(&self, dir: &Path) -> Result<Vec<Path>, BookError> {
        let listed = self.store.list(Some(dir)).map(|entry| entry.map(|meta| meta.location)).boxed();
        let mut paths: Vec<Path> = block_on(listed.try_collect()).map_err(|source| BookError::Store {
            path: dir.to_string(),
            doing: "listed",
            source,
        })?;
        paths.sort();
        Ok(paths)
    }

    /// The days that a table has files of, in order.
    ///
    /// # Errors
    /// Where the table cannot be listed.
    pub fn days(&self, table: DayTable) -> Result<Vec<Day>, BookError> {
        let files = self.list(&Path::from(table.name()))?;
        Ok(files.iter().filter_map(|file| table.day_of(file)).collect())
    }
}

/// A file of the book, to read parts of.
#[derive(Debug)]
pub enum Stored {
    File(fs::File),
    Bytes(Bytes),
}

/// A file being written. Dropped before it is finished, it was never there.
#[derive(Debug)]
pub struct Upload {
    store: Arc<dyn ObjectStore>,
    parts: Box<dyn MultipartUpload>,
    /// Where it waits until it is whole, if not beside its place.
    staged: Option<Path>,
    path: Path,
    /// What comes next; its memory is used again for every part.
    part: BytesMut,
    is_done: bool,
}

/// Object stores take parts of at least 5 MiB.
const PART: usize = 8 << 20;

impl Upload {
    /// Puts the file into its place, whole and synced.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> Result<(), BookError> {
        let last = std::mem::take(&mut self.part).freeze();
        let result = block_on(async {
            self.parts.put_part(last.into()).await?;
            self.parts.complete().await?;
            self.is_done = true;
            match &self.staged {
                Some(staged) => self.store.rename(staged, &self.path).await,
                None => Ok(()),
            }
        });
        result.map_err(|source| BookError::Store { path: self.path.to_string(), doing: "written", source })
    }
}

impl io::Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART {
            let part = std::mem::take(&mut self.part).freeze();
            block_on(self.parts.put_part(part.clone().into())).map_err(io::Error::other)?;
            self.part = part.try_into_mut().unwrap_or_default();
            self.part.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_done
            && let Err(error) = block_on(self.parts.abort())
        {
            tracing::debug!(path = %self.path, %error, "a staged file stays until the next run");
        }
    }
}

/// Where a file of a table waits until it is whole. The local store would stage
/// it beside its place, where a reader of the directory finds it half written.
fn staging(path: &Path) -> Option<Path> {
    let name = path.as_ref();
    name.ends_with(".parquet").then(|| Path::from(format!("{STAGED_DIR}/{}", name.replace('/', "."))))
}

fn found<T>(path: &Path, result: object_store::Result<T>) -> Result<Option<T>, BookError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(BookError::Store { path: path.to_string(), doing: "read", source }),
    }
}

fn local_store(root: &FsPath) -> Result<Arc<dyn ObjectStore>, BookError> {
    let store = LocalFileSystem::new_with_prefix(root).map_err(|source| BookError::Store {
        path: root.display().to_string(),
        doing: "opened",
        source,
    })?;
    Ok(Arc::new(store.with_fsync(true)))
}

fn private_dir(path: &FsPath) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Removes what a killed run left.
fn remove_staged(root: &FsPath) -> io::Result<()> {
    staged(root)?.iter().try_for_each(fs::remove_file)
}

/// What is staged, or was left by a killed run: tables in `staged`, of other
/// files `name#1` beside `name`.
///
/// # Errors
/// Where a directory cannot be listed.
pub fn staged(root: &FsPath) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        let is_for_staging = dir == root.join(STAGED_DIR);
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                dirs.push(entry.path());
            } else if is_for_staging || is_staged(&entry.file_name().to_string_lossy()) {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

fn is_staged(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_second_writer_is_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let first = Book::open_for_writing(dir.path(), "run 1, since 08:00").unwrap();
        let second = Book::open_for_writing(dir.path(), "run 2").unwrap_err();
        assert_eq!(second.to_string(), "another run holds the book's lock: run 1, since 08:00");
        drop(first);
        Book::open_for_writing(dir.path(), "run 3").unwrap();
    }

    #[test]
    fn an_unfinished_file_was_never_there() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let path = DayTable::Usage.file(Day::parse("2026-06-01").unwrap());
        let mut upload = book.upload(&path).unwrap();
        upload.write_all(b"half").unwrap();
        drop(upload);
        assert!(book.get(&path).unwrap().is_none());
        let mut upload = book.upload(&path).unwrap();
        upload.write_all(&vec![7; PART + 1]).unwrap();
        upload.finish().unwrap();
        assert_eq!(book.get(&path).unwrap().unwrap().len(), PART + 1);
        assert_eq!(book.days(DayTable::Usage).unwrap(), [Day::parse("2026-06-01").unwrap()]);
    }

    #[test]
    fn a_file_is_written_once_and_can_be_moved() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let (here, there) = (Path::from("outbox/pending/a.eml"), Path::from("outbox/sent/a.eml"));
        assert!(book.put_new(&here, "first".into()).unwrap());
        assert!(!book.put_new(&here, "second".into()).unwrap());
        book.rename(&here, &there).unwrap();
        assert!(!book.has(&here).unwrap() && book.has(&there).unwrap());
        assert_eq!(book.get(&here).unwrap(), None);
        assert_eq!(book.get(&there).unwrap().unwrap(), "first");
        let error = book.rename(&here, &there).unwrap_err();
        assert_eq!(error.to_string(), "`outbox/pending/a.eml` in the book cannot be moved");
    }

    #[test]
    fn leftovers_of_a_killed_run_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        drop(Book::open_for_writing(dir.path(), "").unwrap());
        let left = ["staged/a.parquet", "staged/b.parquet#2", "usage/date=2026-06-01/usage.parquet#1", "runs/a.json#1"];
        for name in left {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "half").unwrap();
        }
        assert_eq!(staged(dir.path()).unwrap().len(), left.len());
        drop(Book::open_for_writing(dir.path(), "").unwrap());
        assert!(staged(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn a_file_being_written_is_not_in_the_directory_of_its_table() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let path = DayTable::Usage.file(Day::parse("2026-06-01").unwrap());
        book.put(&path, "old".into()).unwrap();
        let in_table = || fs::read_dir(dir.path().join("usage/date=2026-06-01")).unwrap().count();
        let mut upload = book.upload(&path).unwrap();
        upload.write_all(&vec![7; PART + 1]).unwrap();
        assert_eq!((in_table(), staged(dir.path()).unwrap().len()), (1, 1));
        upload.finish().unwrap();
        assert_eq!((in_table(), staged(dir.path()).unwrap().len()), (1, 0));
        assert_eq!(book.get(&path).unwrap().unwrap().len(), PART + 1);
    }

    #[test]
    fn a_newer_book_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(VERSION_FILE), "{\"schema\":99}").unwrap();
        assert!(matches!(Book::open(dir.path()), Err(BookError::TooNew { found: 99, .. })));
        fs::write(dir.path().join(VERSION_FILE), "{").unwrap();
        assert!(matches!(Book::open(dir.path()), Err(BookError::Damaged { .. })));
        assert!(matches!(Book::open(&dir.path().join("none")), Err(BookError::Missing(_))));
    }
}
