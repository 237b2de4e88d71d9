//! What a check finds: data first, text second.

use std::fmt;

use serde::Serialize;

use super::Place;

/// Whether anything may be priced in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is priced until it is cured.
    Error,
    /// Looks like a slip; a `note` says that it is none.
    Warning,
}

/// The codes, each with the name that scripts rely on.
macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $name:literal),+ $(,)?) => {
        /// What kind of finding it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $name)] $code),+ }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$code),+];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name),+ }
            }
        }
    };
}

codes!(
    MissingDirectory = "missing_directory",
    UnreadableFile = "unreadable_file",
    NoPrices = "no_prices",
    BadHeader = "bad_header",
    BadRow = "bad_row",
    MalformedValue = "malformed_value",
    UnknownMeter = "unknown_meter",
    WrongSuffix = "wrong_suffix",
    ReversedDates = "reversed_dates",
    /// Two prices for the same thing at the same time, known from the same instant.
    Tie = "tie",
    AmbiguousAlias = "ambiguous_alias",
    HiddenChange = "hidden_change",
    PinnedPastChanged = "pinned_past_changed",
    Gap = "gap",
    BigMove = "big_move",
    ZeroPrice = "zero_price",
    Backdated = "backdated",
);

impl Code {
    pub const fn severity(self) -> Severity {
        match self {
            Self::Gap | Self::BigMove | Self::ZeroPrice | Self::Backdated => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

/// One error or warning: where, what was found, what to do. Sorts by place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    pub file: String,
    pub line: Option<u64>,
    pub severity: Severity,
    pub code: Code,
    /// What was found, and what was expected.
    pub message: String,
    /// What to do.
    pub cure: String,
}

impl Finding {
    pub(super) fn new(code: Code, place: &Place, message: impl Into<String>, cure: impl Into<String>) -> Self {
        let mut finding = Self::of_file(code, &place.file, message, cure);
        finding.line = Some(place.line);
        finding
    }

    pub(super) fn of_file(code: Code, file: &str, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            severity: code.severity(),
            code,
            message: message.into(),
            cure: cure.into(),
        }
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// One line: `pricing/groq.csv:12: error[tie]: found: what to do`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, ": {severity}[{}]: {}: {}", self.code.name(), self.message, self.cure)
    }
}

/// The errors of a price book: nothing is priced until they are cured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the price book has {} error{}, nothing was priced, the charges made before stay:{}", .0.len(), if .0.len() == 1 { "" } else { "s" }, lines(.0))]
pub struct Refused(pub Vec<Finding>);

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_for_people_and_an_object_for_programs() {
        let place = Place { file: "pricing/groq.csv".into(), line: 12 };
        let finding = Finding::new(Code::ZeroPrice, &place, "found", "do this");
        assert_eq!(finding.to_string(), "pricing/groq.csv:12: warning[zero_price]: found: do this");
        assert_eq!(
            serde_json::to_string(&finding).unwrap(),
            r#"{"file":"pricing/groq.csv","line":12,"severity":"warning","code":"zero_price","message":"found","cure":"do this"}"#
        );
        let finding = Finding::of_file(Code::NoPrices, "pricing", "found", "do this");
        assert_eq!(finding.to_string(), "pricing: error[no_prices]: found: do this");
    }

    #[test]
    fn names_of_codes_are_unique() {
        let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
