//! The columns that pricing adds, encoded for a row group of `charges`. The
//! columns that are there already are copied from `usage` as they stand.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use parquet::{
    arrow::ArrowSchemaConverter, basic::ZstdLevel, column::writer::ColumnCloseResult, errors::ParquetError,
    schema::types::ColumnDescPtr,
};

use super::{
    price::{Priced, UNKNOWN},
    slice::{Applied, Applying},
};
use crate::{
    book::{
        chunks::{Amounts, Names, Words},
        schema::arrow_schema,
    },
    pricing::Label,
    record::{AMOUNTS, PRICED},
    teams::Attribution,
};

/// A column of a row group, with what the file's footer says of it.
pub(super) type Chunk = (Bytes, ColumnCloseResult);

/// Encodes the columns of [`PRICED`], in their order.
pub(super) fn encode(applied: &Applied<'_>, priced: &Priced) -> Result<Vec<Chunk>, ParquetError> {
    let schema = ArrowSchemaConverter::new().convert(&arrow_schema(PRICED))?;
    let (mut places, mut amounts) = (0..AMOUNTS.len(), Amounts::new(UNKNOWN));
    let owner = |of: fn(&Attribution) -> Option<&str>| {
        words(&applied.owner, applied.owners.iter().map(|Applying { it, .. }| of(it)))
    };
    let label = |of: fn(&Label) -> Option<&str>| words(&priced.label, priced.labels.iter().map(of));
    let encode = |(column, described): (_, &ColumnDescPtr)| {
        let words = match column {
            "team" => owner(|owner| owner.team.as_deref()),
            "environment" => owner(|owner| owner.environment.as_deref()),
            "purpose" => owner(|owner| owner.purpose.as_deref()),
            "team_basis" => owner(|owner| Some(owner.basis.name())),
            "model_billed" => {
                words(&applied.stretch, applied.stretches.iter().map(|stretch| Some(stretch.it.model_billed)))
            }
            "basis" => label(|label| Some(label.basis.name())),
            "reason" => label(|label| label.reason.as_deref()),
            "price_id" => label(|label| label.price_id.as_deref()),
            _ => {
                let place = places.next().expect("as many amounts as columns");
                return amounts.encode(priced.amounts(place), Arc::clone(described), ZstdLevel::default());
            }
        };
        let present = words.present.filter(|_| described.max_def_level() > 0);
        Words { present, ..words }.encode(Arc::clone(described), ZstdLevel::default())
    };
    PRICED.iter().map(|column| column.name).zip(schema.columns()).map(encode).collect()
}

/// A column of names, of which each row has the place of its own.
pub(super) fn words<'n>(places: &[u32], all: impl Iterator<Item = Option<&'n str>>) -> Words {
    let mut names = Names::default();
    let mut known = HashMap::new();
    let number_of: Vec<Option<u32>> =
        all.map(|name| name.map(|name| *known.entry(name).or_insert_with(|| names.add(name)))).collect();
    let all: Option<Vec<u32>> = number_of.iter().copied().collect();
    let (numbers, present) = if let Some(all) = all {
        (places.iter().map(|&place| all[place as usize]).collect(), vec![true; places.len()])
    } else {
        let mut numbers = Vec::with_capacity(places.len());
        numbers.extend(places.iter().filter_map(|&place| number_of[place as usize]));
        (numbers, places.iter().map(|&place| number_of[place as usize].is_some()).collect())
    };
    Words { numbers, present: Some(present), names }
}
