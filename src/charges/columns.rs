//! The columns that pricing adds, encoded for a row group of `charges`. The
//! columns that are there already are copied from `usage` as they stand.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Decimal128Array, DictionaryArray, Int32Array, StringArray},
    buffer::NullBuffer,
    datatypes::Field,
};
use parquet::{
    arrow::{
        ArrowSchemaConverter,
        arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves},
    },
    errors::ParquetError,
    file::writer::SerializedFileWriter,
};

use super::{
    price::{Priced, UNKNOWN},
    slice::{Applied, Applying},
};
use crate::{
    book::schema::{arrow_schema, table_properties},
    pricing::Label,
    record::PRICED,
    teams::Attribution,
};

/// Encodes the columns of [`PRICED`], in their order.
pub(super) fn encode(applied: &Applied<'_>, priced: Priced) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    let schema = arrow_schema(PRICED);
    let root = ArrowSchemaConverter::new().convert(&schema)?;
    let file = SerializedFileWriter::new(std::io::sink(), root.root_schema_ptr(), Arc::new(table_properties(PRICED)))?;
    let writers = ArrowRowGroupWriterFactory::new(&file, schema).create_column_writers(0)?;
    let mut chunks = Vec::with_capacity(PRICED.len());
    for ((column, mut writer), array) in PRICED.iter().zip(writers).zip(arrays(applied, priced)) {
        let field = Field::new(column.name, array.data_type().clone(), column.nullable);
        for leaf in compute_leaves(&field, &array)? {
            writer.write(&leaf)?;
        }
        chunks.push(writer.close()?);
    }
    Ok(chunks)
}

fn arrays(applied: &Applied<'_>, priced: Priced) -> Vec<ArrayRef> {
    let Priced { amounts, label, labels } = priced;
    let mut amounts = amounts.into_iter();
    let mut next_amount = || amounts.next().map(decimals).expect("as many amounts as columns");
    let owner = |of: fn(&Attribution) -> Option<&str>| {
        names(&applied.owner, applied.owners.iter().map(|Applying { it, .. }| of(it)).collect())
    };
    let label = |of: fn(&Label) -> Option<&str>| names(&label, labels.iter().map(of).collect());
    let arrays = PRICED.iter().map(|column| match column.name {
        "team" => owner(|owner| owner.team.as_deref()),
        "environment" => owner(|owner| owner.environment.as_deref()),
        "purpose" => owner(|owner| owner.purpose.as_deref()),
        "team_basis" => owner(|owner| Some(owner.basis.name())),
        "model_billed" => {
            names(&applied.stretch, applied.stretches.iter().map(|stretch| Some(stretch.it.model_billed)).collect())
        }
        "basis" => label(|label| Some(label.basis.name())),
        "reason" => label(|label| label.reason.as_deref()),
        "price_id" => label(|label| label.price_id.as_deref()),
        _ => next_amount(),
    });
    arrays.collect()
}

/// A column of names, of which each row has the place of its own.
fn names(places: &[u32], names: Vec<Option<&str>>) -> ArrayRef {
    let keys: Vec<Option<i32>> = (0..).zip(&names).map(|(key, name)| name.map(|_| key)).collect();
    let keys: Int32Array = places.iter().map(|&place| keys[place as usize]).collect();
    let values: StringArray = names.into_iter().map(|name| Some(name.unwrap_or_default())).collect();
    Arc::new(DictionaryArray::new(keys, Arc::new(values)))
}

fn decimals(values: Vec<i128>) -> ArrayRef {
    let nulls: NullBuffer = values.iter().map(|&value| value != UNKNOWN).collect();
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    let array = Decimal128Array::new(values.into(), nulls);
    Arc::new(array.with_precision_and_scale(38, 12).expect("the precision and scale of `DECIMAL(38,12)` are valid"))
}
