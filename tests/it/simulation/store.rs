//! A store that fails as disks and machines do: it dies before, in or after an
//! operation, is full, loses its temper once, or lies.
//!
//! Operations that change something are counted. Once it has died nothing is
//! answered any more, as for a process that was killed; what was in the middle
//! leaves a staged file that is torn, as the local store does.

use std::{
    fmt, io,
    ops::Range,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart, path::Path,
};

/// What goes wrong, and at which change of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    DiesBefore(usize),
    /// In the middle of writing a file.
    Tears(usize),
    DiesAfter(usize),
    /// From then on there is no room for anything more.
    IsFull(usize),
    /// This once.
    Fails(usize),
}

/// What a store may be told to do wrong on purpose, so that the simulation has
/// something that it must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Says that it has written every so many-th file below a folder, and has not.
    Drops { below: &'static str, every: usize },
}

/// What became of a store.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    changes: AtomicUsize,
    lied: AtomicUsize,
    is_dead: AtomicBool,
    has_failed: AtomicBool,
    /// Every change that was asked for, for whoever looks into a difference.
    log: Mutex<Vec<String>>,
}

impl Fate {
    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    /// Whether anything went wrong at all.
    pub(crate) fn is_marred(&self) -> bool {
        self.is_dead() || self.has_failed.load(Ordering::SeqCst)
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("no thread has panicked").clone()
    }
}

/// A store with a fault in it.
#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) inner: Arc<dyn ObjectStore>,
    /// Where torn files are left.
    pub(crate) root: PathBuf,
    pub(crate) fault: Option<Fault>,
    pub(crate) lie: Option<Lie>,
    pub(crate) fate: Arc<Fate>,
}

/// What is done with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Do,
    Pretend,
    Refuse,
    Die,
    Tear,
    DoAndDie,
}

impl Faulty {
    fn judge(&self, what: &str, path: &Path) -> Then {
        if self.fate.is_dead() {
            return Then::Die;
        }
        let number = self.fate.changes.fetch_add(1, Ordering::SeqCst);
        self.fate.log.lock().expect("no thread has panicked").push(format!("{number} {what} {path}"));
        if let Some(Lie::Drops { below, every }) = self.lie
            && path.as_ref().starts_with(below)
            && (self.fate.lied.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(every)
        {
            return Then::Pretend;
        }
        let then = match self.fault {
            Some(Fault::DiesBefore(at)) if at == number => Then::Die,
            Some(Fault::Tears(at)) if at == number => Then::Tear,
            Some(Fault::DiesAfter(at)) if at == number => Then::DoAndDie,
            // What is only renamed or removed needs no room.
            Some(Fault::IsFull(at)) if at <= number && what == "put" => Then::Refuse,
            Some(Fault::Fails(at)) if at == number => Then::Refuse,
            _ => Then::Do,
        };
        match then {
            Then::Refuse => self.fate.has_failed.store(true, Ordering::SeqCst),
            Then::Die | Then::Tear | Then::DoAndDie => self.fate.is_dead.store(true, Ordering::SeqCst),
            Then::Do | Then::Pretend => {}
        }
        if then == Then::Tear && what == "put" {
            let torn = self.root.join(format!("{path}#7"));
            if let Some(dir) = torn.parent() {
                std::fs::create_dir_all(dir).expect("a directory can be made");
            }
            std::fs::write(torn, "half of i").expect("a file can be written");
        }
        then
    }

    /// The same store with the same fate.
    fn again(&self) -> Self {
        let (inner, fate) = (Arc::clone(&self.inner), Arc::clone(&self.fate));
        Self { inner, root: self.root.clone(), fault: self.fault, lie: self.lie, fate }
    }
}

fn error(text: &'static str) -> Error {
    Error::Generic { store: "simulation", source: io::Error::other(text).into() }
}

fn killed() -> Error {
    error("the process was killed")
}

fn dead<'f, T: Send + 'static>() -> BoxFuture<'f, Result<T>> {
    async { Err(killed()) }.boxed()
}

fn refused() -> Error {
    error("no room on the disk")
}

/// Does a change as it was judged; `pretended` is what a lie says.
fn change<'f, T: Send + 'f>(
    then: Then,
    done: BoxFuture<'f, Result<T>>,
    pretended: impl FnOnce() -> T + Send + 'f,
) -> BoxFuture<'f, Result<T>> {
    async move {
        match then {
            Then::Do => done.await,
            Then::Pretend => Ok(pretended()),
            Then::Refuse => Err(refused()),
            Then::Die | Then::Tear => Err(killed()),
            Then::DoAndDie => done.await.and(Err(killed())),
        }
    }
    .boxed()
}

fn nothing() -> PutResult {
    PutResult { e_tag: None, version: None, extensions: object_store::Extensions::new() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {:?}", self.inner, self.fault)
    }
}

type Async<'f, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'f>>;

impl ObjectStore for Faulty {
    fn put_opts<'s, 'p, 'f>(&'s self, location: &'p Path, payload: PutPayload, opts: PutOptions) -> Async<'f, PutResult>
    where
        's: 'f,
        'p: 'f,
        Self: 'f,
    {
        change(self.judge("put", location), self.inner.put_opts(location, payload, opts), nothing)
    }

    fn put_multipart_opts<'s, 'p, 'f>(
        &'s self,
        location: &'p Path,
        opts: PutMultipartOptions,
    ) -> Async<'f, Box<dyn MultipartUpload>>
    where
        's: 'f,
        'p: 'f,
        Self: 'f,
    {
        async move {
            if self.fate.is_dead() {
                return Err(killed());
            }
            let inner = self.inner.put_multipart_opts(location, opts).await?;
            let store = self.again();
            Ok(Box::new(FaultyUpload { inner, store, path: location.clone() }) as Box<dyn MultipartUpload>)
        }
        .boxed()
    }

    fn get_opts<'s, 'p, 'f>(&'s self, location: &'p Path, options: GetOptions) -> Async<'f, GetResult>
    where
        's: 'f,
        'p: 'f,
        Self: 'f,
    {
        if self.fate.is_dead() { dead() } else { self.inner.get_opts(location, options) }
    }

    fn get_ranges<'s, 'p, 'r, 'f>(&'s self, location: &'p Path, ranges: &'r [Range<u64>]) -> Async<'f, Vec<Bytes>>
    where
        's: 'f,
        'p: 'f,
        'r: 'f,
        Self: 'f,
    {
        if self.fate.is_dead() { dead() } else { self.inner.get_ranges(location, ranges) }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = Arc::new(self.again());
        locations
            .then(move |path| {
                let store = Arc::clone(&store);
                async move {
                    let path = path?;
                    let then = store.judge("delete", &path);
                    let one = futures::stream::once(std::future::ready(Ok(path.clone()))).boxed();
                    let mut deleted = store.inner.delete_stream(one);
                    let done = async move { deleted.next().await.unwrap_or(Ok(path)) }.boxed();
                    change(then, done, Path::default).await
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.fate.is_dead() {
            return futures::stream::once(std::future::ready(Err(killed()))).boxed();
        }
        self.inner.list(prefix)
    }

    fn list_with_delimiter<'s, 'p, 'f>(&'s self, prefix: Option<&'p Path>) -> Async<'f, ListResult>
    where
        's: 'f,
        'p: 'f,
        Self: 'f,
    {
        if self.fate.is_dead() { dead() } else { self.inner.list_with_delimiter(prefix) }
    }

    fn copy_opts<'s, 'p, 'q, 'f>(&'s self, from: &'p Path, to: &'q Path, options: CopyOptions) -> Async<'f, ()>
    where
        's: 'f,
        'p: 'f,
        'q: 'f,
        Self: 'f,
    {
        change(self.judge("copy", to), self.inner.copy_opts(from, to, options), || ())
    }

    fn rename_opts<'s, 'p, 'q, 'f>(&'s self, from: &'p Path, to: &'q Path, options: RenameOptions) -> Async<'f, ()>
    where
        's: 'f,
        'p: 'f,
        'q: 'f,
        Self: 'f,
    {
        change(self.judge("rename", to), self.inner.rename_opts(from, to, options), || ())
    }
}

/// A file that is written in parts; its end is what counts.
#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    store: Faulty,
    path: Path,
}

impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if self.store.fate.is_dead() { dead() } else { self.inner.put_part(data) }
    }

    fn complete<'s, 'f>(&'s mut self) -> Async<'f, PutResult>
    where
        's: 'f,
        Self: 'f,
    {
        change(self.store.judge("put", &self.path), self.inner.complete(), nothing)
    }

    fn abort<'s, 'f>(&'s mut self) -> Async<'f, ()>
    where
        's: 'f,
        Self: 'f,
    {
        if self.store.fate.is_dead() { dead() } else { self.inner.abort() }
    }
}
