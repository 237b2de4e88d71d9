//! Puts a file outside of the book into its place in one step: whoever reads
//! it finds the old one or the new one, whole.
//!
//! Left out on purpose: the files of the book itself, which `book` writes.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// What the name of a file begins with that is not in its place yet, or was left
/// by a program that was killed.
pub const STAGED: &str = ".spendbook-";

/// Writes a file beside its place, then renames it. What is there already and
/// no file, such as a pipe, is written to.
///
/// # Errors
/// Where it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|old| !old.is_file()) {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let mut replacement = Replacement::begin(path)?;
    replacement.write_all(bytes)?;
    replacement.finish()
}

/// A file that is written piece by piece, and in its place once it is finished.
/// Dropped before, it was never there.
#[derive(Debug)]
pub struct Replacement {
    staged: tempfile::NamedTempFile,
    path: PathBuf,
    old: Option<fs::Metadata>,
}

impl Replacement {
    /// Begins it beside its place.
    ///
    /// # Errors
    /// Where it cannot be written there.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let old = fs::metadata(path).ok();
        // A link stays one, to the new file.
        let path = if old.is_some() { path.canonicalize()? } else { path.to_owned() };
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let staged = builder.prefix(STAGED).tempfile_in(dir).map_err(|error| told(dir, &error))?;
        Ok(Self { staged, path, old })
    }

    /// Puts it into its place.
    ///
    /// # Errors
    /// Where it cannot be synced or renamed.
    pub fn finish(self) -> io::Result<()> {
        let Self { staged, path, old } = self;
        if let Some(old) = old {
            // Who may read it was somebody's decision.
            staged.as_file().set_permissions(old.permissions())?;
        }
        staged.as_file().sync_all()?;
        staged.persist(path)?;
        Ok(())
    }
}

/// Why nothing can be made in a directory, without the name that it would have.
fn told(dir: &Path, error: &io::Error) -> io::Error {
    let (dir, kind) = (dir.display(), error.kind());
    let text = match kind {
        io::ErrorKind::NotFound => format!("there is no directory `{dir}`, make it or write elsewhere"),
        io::ErrorKind::NotADirectory => format!("`{dir}` is no directory, write elsewhere"),
        io::ErrorKind::PermissionDenied => format!("nothing can be made in `{dir}` ({kind}), write elsewhere"),
        _ => format!("nothing can be made in `{dir}`: {kind}"),
    };
    io::Error::new(kind, text)
}

impl io::Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.staged.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.staged.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("listing.csv");
        replace(&path, b"old").unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(fs::metadata(&path).unwrap().permissions().readonly());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace(&dir.path().join("none/listing.csv"), b"").is_err());
    }
}
