//! One run at a time: an advisory lock of the operating system on `book/lock`.
//!
//! The system drops it when the process ends, however it ends, so no lock is
//! ever stale and no process id is ever tested. The file's text only tells a
//! second run who holds it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
};

/// Held for as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What taking the lock came to.
#[derive(Debug)]
pub enum Taken {
    Held(Lock),
    /// Another run has it; what it wrote about itself.
    Busy(String),
}

/// Takes the lock, or says who holds it.
///
/// # Errors
/// Where the lock file cannot be opened or written.
pub fn take(path: &Path, holder: &str) -> io::Result<Taken> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())?;
            Ok(Taken::Held(Lock { _file: file }))
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok(Taken::Busy(text.trim().to_owned()))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Who holds the lock right now, for those who only look.
///
/// # Errors
/// Where the lock file cannot be read.
pub fn holder(path: &Path) -> io::Result<Option<String>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok(Some(text.trim().to_owned()))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}
