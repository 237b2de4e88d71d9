//! The sources of totals: does each answer, and is it asked in time.

use super::Check;
use crate::{
    book::Book,
    config::{Config, Source},
    time::{Instant, span_text},
    totals,
};

/// Asks for one day, and writes nothing.
pub(super) fn check(config: &Config, source: &Source, book: Option<&Book>, now: Instant) -> Check {
    let subject = format!("source {}", source.name);
    let said = match totals::probe(config, source, now) {
        Ok(said) => said,
        // What to do is said with it.
        Err(error) => return Check { cure: None, ..Check::problem(&subject, error, "") },
    };
    let told = book.and_then(|book| totals::last_told(config, book, source));
    let silent = told.map_or(0, |told| now.micros() - told.micros());
    if source.remote.is_some() && silent > source.silent_after_micros {
        let found = format!(
            "{said}; but nothing was pulled for {}, `silent_after` is {}",
            span_text(silent),
            span_text(source.silent_after_micros)
        );
        let cure = "look whether the nights run, and what their records in `runs/` say of this source";
        return Check::warning(&subject, found, cure);
    }
    Check::ok(&subject, said)
}
