//! Who asked, and for what: the columns that labels and headers of common names
//! fill, where a gateway has no field of its own for them.

use super::field::{Field, members, own};
use crate::{
    json::Value,
    record::{Text, UsageRecord},
};

/// A column that says who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Key,
    Team,
    User,
    Project,
}

const NAMES: &[(Who, &[&str])] = &[
    (Who::Key, &["key", "key_name", "key_alias", "api_key_name", "api_key_id", "apikey", "api_key", "virtual_key"]),
    (Who::Team, &["team", "team_id", "team_name", "teamid", "tenant_id"]),
    (Who::User, &["user", "user_id", "userid", "user_name", "username", "enduser_id", "end_user"]),
    (Who::Project, &["project", "project_id", "project_name", "projectid"]),
];

impl Who {
    /// What a name stands for: `x-user-id`, `user.id`, `userId` and `_user` are
    /// all the user.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let short = ["Helicone-Property-", "x-ai-eg-", "x-", "_"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name);
        let is = |known: &&str| {
            let plain = |byte: u8| if matches!(byte, b'-' | b'.') { b'_' } else { byte.to_ascii_lowercase() };
            known.len() == short.len() && known.bytes().zip(short.bytes()).all(|(a, b)| a == plain(b))
        };
        NAMES.iter().find(|(_, names)| names.iter().any(is)).map(|&(who, _)| who)
    }

    /// The column in a record.
    pub(crate) fn column<'r, 'a>(self, record: &'r mut UsageRecord<'a>) -> &'r mut Option<Text<'a>> {
        match self {
            Self::Key => &mut record.key,
            Self::Team => &mut record.team_reported,
            Self::User => &mut record.user,
            Self::Project => &mut record.project,
        }
    }
}

/// Fills what is still empty from the labels that a caller chose; a name with
/// `_` in front is the gateway's own, and comes first.
pub(crate) fn fill(record: &mut UsageRecord<'_>, labels: Value<'_>) {
    for is_own in [true, false] {
        for (name, field) in members(labels).filter(|(name, _)| name.starts_with('_') == is_own) {
            if let Some(who) = Who::of(name) {
                let column = who.column(record);
                *column = column.take().or_else(|| field.any_text().map(own));
            }
        }
    }
}

/// The limit on output tokens that a request asks for; of two the newer name's.
pub(crate) fn max_tokens(request: Value<'_>) -> Option<i64> {
    ["max_completion_tokens", "max_output_tokens", "max_tokens", "maxTokens"]
        .into_iter()
        .find_map(|name| Field::from(request.get(name)).count(name).ok().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_however_they_are_written() {
        for (name, expect) in [
            ("team", Some(Who::Team)),
            ("userId", Some(Who::User)),
            ("x-ai-eg-user-id", Some(Who::User)),
            ("enduser.id", Some(Who::User)),
            ("_user", Some(Who::User)),
            ("Helicone-Property-Team", Some(Who::Team)),
            ("API-Key-Name", Some(Who::Key)),
            ("Project", Some(Who::Project)),
            ("steam", None),
            ("", None),
        ] {
            assert_eq!(Who::of(name), expect, "{name}");
        }
    }

    #[test]
    fn the_first_label_of_a_column_fills_it_and_the_gateways_own_before_all() {
        let mut scanner = crate::json::Scanner::new();
        let labels = scanner.scan(r#"{"user":"ada","user_id":"u-1","_user":"mary","team":null,"teamId":"search"}"#);
        let mut record = UsageRecord::at(crate::time::Instant::EARLIEST);
        record.key = Some("known".into());
        fill(&mut record, labels.unwrap());
        assert_eq!(
            (record.user.as_deref(), record.team_reported.as_deref(), record.key.as_deref()),
            (Some("mary"), Some("search"), Some("known"))
        );
    }
}
