//! Amounts, instants and days as the texts that events and tables have.

#![expect(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "serde hands over references to fields")]

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

/// An instant, or null.
pub(super) mod instant_or_none {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::Instant;

    pub(in super::super) fn serialize<S: Serializer>(it: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
        match it {
            Some(instant) => serializer.collect_str(instant),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Instant>, D::Error> {
        #[derive(Deserialize)]
        struct It(#[serde(with = "super::instant")] Instant);
        Ok(Option::<It>::deserialize(deserializer)?.map(|it| it.0))
    }
}

/// A day, or null.
pub(super) mod day_or_none {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::Day;

    pub(in super::super) fn serialize<S: Serializer>(it: &Option<Day>, serializer: S) -> Result<S::Ok, S::Error> {
        match it {
            Some(day) => serializer.collect_str(day),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Day>, D::Error> {
        #[derive(Deserialize)]
        struct It(#[serde(with = "super::day")] Day);
        Ok(Option::<It>::deserialize(deserializer)?.map(|it| it.0))
    }
}

/// What there was on each day.
pub(super) mod by_day {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::Day;

    #[derive(Serialize, Deserialize)]
    struct On<V> {
        #[serde(with = "super::day")]
        day: Day,
        #[serde(flatten)]
        value: V,
    }

    pub(in super::super) fn serialize<V, S>(days: &BTreeMap<Day, V>, serializer: S) -> Result<S::Ok, S::Error>
    where
        V: Serialize + Copy,
        S: Serializer,
    {
        serializer.collect_seq(days.iter().map(|(&day, &value)| On { day, value }))
    }

    pub(in super::super) fn deserialize<'de, V, D>(deserializer: D) -> Result<BTreeMap<Day, V>, D::Error>
    where
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<On<V>>::deserialize(deserializer)?.into_iter().map(|it| (it.day, it.value)).collect())
    }
}
