//! Where things are in a book.

use object_store::path::Path;

use crate::time::Day;

/// The version of tables and files that this program writes.
pub const SCHEMA_VERSION: u32 = 1;

/// Key of a day file's metadata: a digest of what is in it.
pub const DIGEST_KEY: &str = "spendbook.digest";
/// Key of a day file's metadata: the version of its columns.
pub const SCHEMA_KEY: &str = "spendbook.schema";

pub const VERSION_FILE: &str = "version.json";
pub const LOCK_FILE: &str = "lock";
/// Where tables wait until they are whole: no reader of a table looks here.
pub const STAGED_DIR: &str = "staged";

/// Only their owner can read these: they hold names, mails and log excerpts.
pub const PRIVATE_DIRS: &[&str] = &["outbox", "alerts", "weekly", "quarantine", "state"];

/// A table with one file per UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DayTable {
    /// One row per request: the books.
    Usage,
    /// The same for sources of `role = "check"`: never priced, only compared.
    Checks,
    /// The same rows as `usage`, attributed and priced.
    Charges,
    /// Totals of every quarter of an hour.
    Rollup,
    /// What broke a policy.
    Violations,
    /// What providers report and no log shows; never a charge.
    Unlogged,
}

impl DayTable {
    pub const ALL: [Self; 6] =
        [Self::Usage, Self::Checks, Self::Charges, Self::Rollup, Self::Violations, Self::Unlogged];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Checks => "checks",
            Self::Charges => "charges",
            Self::Rollup => "rollup",
            Self::Violations => "violations",
            Self::Unlogged => "unlogged",
        }
    }

    /// The file of one day.
    pub fn file(self, day: Day) -> Path {
        let name = self.name();
        Path::from(format!("{name}/date={day}/{name}.parquet"))
    }

    /// The day that a file of this table is of.
    pub fn day_of(self, file: &Path) -> Option<Day> {
        let rest = file.as_ref().strip_prefix(self.name())?.strip_prefix("/date=")?;
        let (day, name) = rest.split_once('/')?;
        (name.strip_suffix(".parquet") == Some(self.name())).then(|| Day::parse(day))?
    }

    /// Where rows on their way to another day are noted.
    pub fn moves(self) -> Path {
        Path::from(format!("moves/{}", self.name()))
    }
}
