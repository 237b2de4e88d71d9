//! Column chunks as Parquet pages, for columns whose values are known better
//! than the general writer knows them: words that rows name by number already,
//! ids, and amounts.
//!
//! The general writer hashes and compares the text of every value to find these
//! numbers again, which took a sixth of an ingest's time, and makes an object of
//! every amount, which took a third of pricing's; all other columns are left to
//! it. A chunk of words or amounts has one data page, since a row group has few
//! enough rows. Numbers are bit-packed, and a run only where all of them are the
//! same: the compression sees to the rest.

mod amounts;
mod ids;
mod pages;
mod words;

pub use amounts::Amounts;
pub use ids::Ids;
pub use words::{Names, Words};
