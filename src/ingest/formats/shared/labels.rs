//! The labels of a request that its source allows into `tags`, collected from
//! the several places where gateways write them.

use std::{borrow::Cow, collections::BTreeMap};

use super::field::Field;
use crate::{config::Source, json::Value, record::Text};

/// Labels on their way into `tags`: the first value of a name counts.
#[derive(Debug, Default)]
pub(crate) struct Labels<'s> {
    allowed: &'s [String],
    kept: BTreeMap<String, String>,
}

impl<'s> Labels<'s> {
    pub(crate) const fn new(source: &'s Source) -> Self {
        Self { allowed: source.tags.as_slice(), kept: BTreeMap::new() }
    }

    /// Whether no label can be kept at all, so that looking for them is idle.
    pub(crate) const fn is_closed(&self) -> bool {
        self.allowed.is_empty()
    }

    pub(crate) fn put(&mut self, name: &str, value: &str) {
        if self.allowed.iter().any(|allowed| allowed == name) && !self.kept.contains_key(name) {
            self.kept.insert(name.to_owned(), value.to_owned());
        }
    }

    pub(crate) fn put_field(&mut self, name: &str, field: &Field<'_>) {
        if !self.is_closed()
            && let Some(text) = field.label()
        {
            self.put(name, &text);
        }
    }

    /// The members of an object that are texts, numbers or yes and no; of an
    /// array the texts `name:value` and `name=value`, and a bare name as true.
    pub(crate) fn put_all(&mut self, labels: Value<'_>) {
        if self.is_closed() {
            return;
        }
        for (key, value) in labels.entries() {
            self.put_field(&key.text(), &Field::Json(value));
        }
        for label in labels.items().filter_map(Value::text) {
            match label.split_once([':', '=']) {
                Some((name, value)) => self.put(name.trim(), value.trim()),
                None => self.put(label.trim(), "true"),
            }
        }
    }

    /// Canonical JSON: names sorted, values as text. `None` where there are none.
    pub(crate) fn into_tags<'a>(self) -> Option<Text<'a>> {
        if self.kept.is_empty() {
            return None;
        }
        let object: serde_json::Map<_, _> = self.kept.into_iter().map(|(name, text)| (name, text.into())).collect();
        Some(Cow::Owned(serde_json::Value::Object(object).to_string()))
    }
}

/// The labels among the members of one object.
pub(crate) fn tags<'a>(labels: Value<'_>, source: &Source) -> Option<Text<'a>> {
    let mut kept = Labels::new(source);
    kept.put_all(labels);
    kept.into_tags()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    fn check(json: &str, expect: Option<&str>) {
        let source = Source { tags: vec!["env".into(), "feature".into(), "n".into()], ..Source::default() };
        let mut labels = Labels::new(&source);
        labels.put_all(Scanner::new().scan(json).unwrap());
        assert_eq!(labels.into_tags().as_deref(), expect, "{json}");
    }

    #[test]
    fn only_allowed_labels_are_kept() {
        check(r#"{"n":3,"env":"prod","secret":"x"}"#, Some(r#"{"env":"prod","n":"3"}"#));
        check(r#"{"env":null,"n":[1],"feature":true}"#, Some(r#"{"feature":"true"}"#));
        check(r#"["env:prod","feature","other","n=1",5]"#, Some(r#"{"env":"prod","feature":"true","n":"1"}"#));
        check(r#"{"env":"a","env":"b"}"#, Some(r#"{"env":"a"}"#));
        check("{}", None);
        check("3", None);
    }
}
