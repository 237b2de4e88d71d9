//! The `metadata` of a row: who asked, what was counted, what went wrong. It is
//! an object, or a text that holds one (Pub/Sub, CSV).

use super::{
    super::{
        Reject,
        shared::{
            field::{Field, Nested, members, own, scan},
            labels::Labels,
            usage::Usage,
        },
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
    pub(super) usage: Option<Usage>,
    pub(super) batch: BatchModels<'a>,
}

/// The models of a batch.
#[derive(Debug, Default)]
pub(super) struct BatchModels<'a> {
    pub(super) first: Option<Text<'a>>,
    pub(super) several: bool,
}

impl<'a> Metadata<'a> {
    pub(super) fn read(field: &Field<'a>, labels: &mut Labels<'_>) -> Result<Self, Reject> {
        let mut metadata = Self::default();
        match field.nested("metadata")? {
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
        let (mut project_id, mut additional) = (None, None);
        for (name, field) in members(value) {
            let text = || field.any_text().map(keep);
            match name {
                "user_api_key" | "user_api_key_hash" => self.key_hash = text().or(self.key_hash.take()),
                "user_api_key_alias" => self.key_alias = text(),
                "user_api_key_team_id" => self.team_id = text(),
                "user_api_key_team_alias" => self.team_alias = text(),
                "user_api_key_user_id" => self.user = text(),
                "user_api_key_end_user_id" => self.end_user = text(),
                "user_api_key_project_id" => project_id = text(),
                "user_api_key_project_alias" => self.project = text(),
                "original_model_group" => self.first_asked = text(),
                "status" => self.failed = text().as_deref() == Some("failure"),
                "error_information" => self.failure = field.value().map(|it| Failure::of(it, keep)).unwrap_or_default(),
                "usage_object" => {
                    self.usage = Usage::read(field.value())?;
                    let tier = field.value().and_then(|usage| usage.get("service_tier"));
                    self.tier = Field::from(tier).any_text().map(keep);
                }
                "additional_usage_values" => additional = Usage::read(field.value())?,
                "batch_models" => self.batch = field.value().map(|it| BatchModels::of(it, keep)).unwrap_or_default(),
                "spend_logs_metadata" | "requester_metadata" | "tags" => {
                    field.any_object(|it| labels.put_all(it));
                }
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
        let mut names = models.items().filter_map(|model| Field::Json(model).any_text());
        Self { first: names.next().map(keep), several: names.next().is_some() }
    }
}
