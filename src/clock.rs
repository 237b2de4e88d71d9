//! The only module that knows what time it is.

use crate::time::Instant;

/// Where "now" comes from: the machine, or `--now`.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    System,
    Pinned(Instant),
}

impl Clock {
    pub fn now(self) -> Instant {
        match self {
            Self::Pinned(instant) => instant,
            Self::System => {
                #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
                let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                let micros = since_1970.map_or(0, |since| since.as_micros());
                Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
            }
        }
    }
}
