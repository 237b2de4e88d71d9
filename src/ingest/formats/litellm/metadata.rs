//! The `metadata` of a row: who asked, what was counted, what went wrong. It is
//! an object, or a text that holds one (Pub/Sub, CSV).

use std::borrow::Cow;

use super::{
    super::{
        Fields, Reject,
        cell::{Cell, Nested, scan},
        labels::Labels,
        passed_on::Passed,
    },
    row::Failure,
};
use crate::{
    json::{Scanner, Value},
    record::Text,
};

#[derive(Debug, Default)]
pub(super) struct Metadata<'a> {
    pub(super) key_hash: Option<Text<'a>>,
    pub(super) key_alias: Option<Text<'a>>,
    pub(super) team_id: Option<Text<'a>>,
    pub(super) team_alias: Option<Text<'a>>,
    pub(super) user: Option<Text<'a>>,
    pub(super) end_user: Option<Text<'a>>,
    pub(super) project: Option<Text<'a>>,
    /// The model that was asked for before a fallback took its place.
    pub(super) first_asked: Option<Text<'a>>,
    pub(super) tier: Option<Text<'a>>,
    pub(super) failed: bool,
    pub(super) failure: Failure<'a>,
    pub(super) usage: Option<Passed>,
    pub(super) batch: BatchModels<'a>,
}

/// The models of a batch.
#[derive(Debug, Default)]
pub(super) struct BatchModels<'a> {
    pub(super) first: Option<Text<'a>>,
    pub(super) several: bool,
}

impl<'a> Metadata<'a> {
    pub(super) fn read(cell: Cell<'a>, labels: &mut Labels<'_>) -> Result<Self, Reject> {
        let mut metadata = Self::default();
        match cell.nested("metadata")? {
            Nested::Nothing => {}
            Nested::Here(value) => metadata.fill(value, |text| text, labels)?,
            Nested::Inside(text) => {
                let mut scanner = Scanner::new();
                metadata.fill(scan("metadata", &text, &mut scanner)?, own, labels)?;
            }
        }
        Ok(metadata)
    }

    /// `keep` makes text of the document live as long as the entry.
    fn fill<'m>(
        &mut self,
        value: Value<'m>,
        keep: fn(Text<'m>) -> Text<'a>,
        labels: &mut Labels<'_>,
    ) -> Result<(), Reject> {
        let text = |value| Fields::any_text(Some(value)).map(keep);
        let (mut project_id, mut additional) = (None, None);
        for (key, value) in value.entries() {
            match key.raw() {
                "user_api_key" | "user_api_key_hash" => self.key_hash = text(value).or(self.key_hash.take()),
                "user_api_key_alias" => self.key_alias = text(value),
                "user_api_key_team_id" => self.team_id = text(value),
                "user_api_key_team_alias" => self.team_alias = text(value),
                "user_api_key_user_id" => self.user = text(value),
                "user_api_key_end_user_id" => self.end_user = text(value),
                "user_api_key_project_id" => project_id = text(value),
                "user_api_key_project_alias" => self.project = text(value),
                "original_model_group" => self.first_asked = text(value),
                "status" => self.failed = text(value).as_deref() == Some("failure"),
                "error_information" => self.failure = Failure::of(value, keep),
                "usage_object" => {
                    self.usage = Passed::read(value)?;
                    self.tier = value.some("service_tier").and_then(text);
                }
                "additional_usage_values" => additional = Passed::read(value)?,
                "batch_models" => self.batch = BatchModels::of(value, keep),
                "spend_logs_metadata" | "requester_metadata" | "tags" => labels.put_all(value),
                _ => {}
            }
        }
        self.project = self.project.take().or(project_id);
        self.usage = match (self.usage, additional) {
            (Some(usage), Some(additional)) => Some(usage.or(additional)),
            (usage, additional) => usage.or(additional),
        };
        Ok(())
    }
}

impl<'a> BatchModels<'a> {
    pub(super) fn of<'m>(models: Value<'m>, keep: fn(Text<'m>) -> Text<'a>) -> Self {
        let mut names = models.items().filter_map(|model| Fields::any_text(Some(model)));
        Self { first: names.next().map(keep), several: names.next().is_some() }
    }
}

fn own<'a>(text: Text<'_>) -> Text<'a> {
    Cow::Owned(text.into_owned())
}
