//! What may be known of who asked: a key by its registered name and never by
//! itself, a user as `[privacy] users` says.
//!
//! A hashed user is `u_` and the first 12 hex digits of the SHA-256 of the name
//! as it was logged, without any key: the same user is the same in every source
//! and every book, and counts and limits by user still work. It is a pseudonym:
//! who has a list of names can find out which is whose.

use std::{borrow::Cow, collections::BTreeSet};

use crate::{
    config::{Config, Users},
    record::Text,
    secrets,
};

/// What the config says of the names in every source's records.
#[derive(Debug, Clone)]
pub struct Names {
    /// The keys that the config lists, some of which may look like credentials.
    registered: BTreeSet<String>,
    users: Users,
}

/// Nothing registered, and users as they are.
pub static PLAIN: Names = Names { registered: BTreeSet::new(), users: Users::Plain };

impl Names {
    pub fn of(config: &Config) -> Self {
        let registered = config.keys.iter().map(|key| key.name.clone()).collect();
        Self { registered, users: config.privacy.users }
    }

    pub fn users(&self) -> Users {
        self.users
    }

    /// A key as the book may show it.
    pub(crate) fn key<'a>(&self, key: Text<'a>) -> Text<'a> {
        match secrets::redact_key(&key) {
            Cow::Owned(safe) if !self.registered.contains(key.as_ref()) => Cow::Owned(safe),
            _ => key,
        }
    }

    /// A user as the book may show them.
    pub(crate) fn user<'a>(&self, user: Text<'a>) -> Option<Text<'a>> {
        match self.users {
            Users::Plain => Some(user),
            Users::Hash => Some(Cow::Owned(secrets::pseudonym(&user))),
            Users::Drop => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn names(rest: &str) -> Names {
        let text =
            format!("[teams.search]\n[[key]]\nname = \"sk-search2-production-eu-west\"\nteam = \"search\"\n{rest}");
        Names::of(&Config::parse(&text, Path::new("spendbook.toml")).unwrap_or_else(|errors| panic!("{errors}")))
    }

    #[test]
    fn a_registered_name_is_no_credential() {
        let (listed, other) = ("sk-search2-production-eu-west", "sk-search3-production-eu-west");
        let names = names("");
        assert_eq!(names.key(listed.into()), listed);
        assert_eq!(names.key(other.into()), secrets::fingerprint(other));
        assert_eq!(PLAIN.key(listed.into()), secrets::fingerprint(listed));
        assert_eq!(names.key("chatbot-prod".into()), "chatbot-prod");
    }

    #[test]
    fn users_are_shown_hashed_or_not_at_all() {
        for (privacy, expect) in [
            ("", Some("ada@example.com")),
            ("[privacy]\nusers = \"plain\"", Some("ada@example.com")),
            ("[privacy]\nusers = \"hash\"", Some("u_b5fc85e55755")),
            ("[privacy]\nusers = \"drop\"", None),
        ] {
            assert_eq!(names(privacy).user("ada@example.com".into()).as_deref(), expect, "{privacy}");
        }
    }
}
