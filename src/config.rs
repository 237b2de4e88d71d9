//! Configuration: `spendbook.toml`, the environment and the flags, checked as a
//! whole into one [`Config`] before any work.

mod custom;
mod source;

pub use custom::{CachePlace, CustomField, CustomMapping, Mapped, Place, TimeFormat, Unit};
pub use source::{IdentityBy, Role, Source};
