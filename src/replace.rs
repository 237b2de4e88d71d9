//! Puts a file outside of the book into its place in one step: whoever reads
//! it finds the old one or the new one, whole.
//!
//! Left out on purpose: the files of the book itself, which `book` writes.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

/// Writes a file beside its place, then renames it. What is there already and
/// no file, such as a pipe, is written to.
///
/// # Errors
/// Where it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = match fs::metadata(path) {
        Ok(old) if !old.is_file() => return fs::OpenOptions::new().write(true).open(path)?.write_all(bytes),
        Ok(old) => Some(old),
        Err(_) => None,
    };
    // A link stays one, to the new file.
    let path = if old.is_some() { path.canonicalize()? } else { path.to_owned() };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut staged = builder.prefix(".spendbook-").tempfile_in(dir)?;
    staged.write_all(bytes)?;
    if let Some(old) = old {
        // Who may read it was somebody's decision.
        staged.as_file().set_permissions(old.permissions())?;
    }
    staged.as_file().sync_all()?;
    staged.persist(path)?;
    Ok(())
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
