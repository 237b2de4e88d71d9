//! Amounts, instants and days as the texts that events and tables have.

/// An exact amount.
pub(super) mod usd {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::money::Usd;

    pub(in super::super) fn serialize<S: Serializer>(amount: &Usd, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Usd, D::Error> {
        let text = String::deserialize(deserializer)?;
        Usd::parse(&text).map_err(|error| D::Error::custom(format!("`{text}`: {error}")))
    }
}

/// An instant, RFC 3339.
pub(super) mod instant {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::time::Instant;

    pub(in super::super) fn serialize<S: Serializer>(instant: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(instant)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
        let text = String::deserialize(deserializer)?;
        Instant::parse(&text, chrono_tz::Tz::UTC).ok_or_else(|| D::Error::custom(format!("`{text}` is no instant")))
    }
}

/// A calendar day.
pub(super) mod day {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::time::Day;

    pub(in super::super) fn serialize<S: Serializer>(day: &Day, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(day)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        let text = String::deserialize(deserializer)?;
        Day::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no day")))
    }
}
