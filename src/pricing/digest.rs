//! Digests of rows: which prices made a charge, and whether the past changed.
//!
//! A row's digest covers what decides an amount, so source, note, file and line
//! may be edited; that of several rows does not depend on their order.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Alias, Price, Validity};

/// The first half of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 16]);

impl Digest {
    /// Of a row that is not yet known.
    pub(super) const NONE: Self = Self([0; 16]);

    pub(super) fn of_price(price: &Price) -> Self {
        let rate = price.rate.map_or_else(
            || "end".to_owned(),
            |rate| format!("{}/{}/{}", rate.price.pico(), rate.per, rate.min_quantity),
        );
        Self::of_texts(&[
            "price",
            &price.provider,
            &price.model,
            &price.tier,
            price.meter.info().column,
            price.kind.name(),
            &rate,
            &dates(&price.validity),
        ])
    }

    pub(super) fn of_alias(alias: &Alias) -> Self {
        let model = alias.model.as_deref().unwrap_or_default();
        Self::of_texts(&["alias", &alias.provider, &alias.alias, model, &dates(&alias.validity)])
    }

    /// That of several rows, whatever their order.
    pub fn of_rows(rows: impl IntoIterator<Item = Self>) -> Self {
        let mut rows: Vec<Self> = rows.into_iter().collect();
        rows.sort_unstable();
        rows.dedup();
        let mut hasher = Sha256::new();
        for row in rows {
            hasher.update(row.0);
        }
        Self::take(hasher)
    }

    /// Each text is preceded by its length, so that no two lists look alike.
    fn of_texts(texts: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        for text in texts {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Self::take(hasher)
    }

    fn take(hasher: Sha256) -> Self {
        let full = hasher.finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        Self(half)
    }

    /// The first eight hex digits: enough beside a readable name.
    pub fn short(self) -> String {
        self.0[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads the 32 hex digits that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        Some(Self(u128::from_str_radix(text, 16).ok()?.to_be_bytes()))
    }
}

fn dates(validity: &Validity) -> String {
    let until = validity.until.map_or_else(|| "open".to_owned(), |until| until.micros().to_string());
    format!("{}/{until}/{}", validity.from.micros(), validity.known_from.micros())
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_back_and_do_not_depend_on_order() {
        let [a, b] = [Digest::of_texts(&["a", "b"]), Digest::of_texts(&["ab", ""])];
        assert_ne!(a, b);
        assert_eq!(Digest::parse(&a.to_string()), Some(a));
        assert_eq!(Digest::of_rows([a, b]), Digest::of_rows([b, a]));
        assert_ne!(Digest::of_rows([a]), Digest::of_rows([a, b]));
        assert!(a.to_string().starts_with(&a.short()));
        for text in ["", "abc", "zz000000000000000000000000000000", "+0000000000000000000000000000000"] {
            assert_eq!(Digest::parse(text), None);
        }
    }
}
