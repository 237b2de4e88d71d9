//! Reads day files of `charges`, `rollup` and `violations`, a batch at a time.

use arrow::{
    array::{
        Array, AsArray, Decimal128Array, Int16Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    },
    datatypes::{DataType, Decimal128Type, Field, Int16Type, Int32Type, Int64Type, Schema, TimestampMicrosecondType},
    record_batch::RecordBatch,
};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use std::sync::Arc;

use super::{AuditError, errors::Attempt, row::Row};
use crate::{
    book::{
        Book, Stored,
        batches::Batches,
        layout::{DIGEST_KEY, DayTable},
    },
    money::Usd,
    record::Status,
    time::{Day, Instant},
};

/// A day's file, with what its end says about it.
#[derive(Debug)]
pub(crate) struct DayFile {
    path: String,
    stored: Stored,
    metadata: ArrowReaderMetadata,
}

impl DayFile {
    pub(crate) fn open(book: &Book, table: DayTable, day: Day) -> Result<Option<Self>, AuditError> {
        let path = table.file(day);
        let Some(stored) = book.read(&path)? else { return Ok(None) };
        let path = path.to_string();
        match ArrowReaderMetadata::load(&stored, ArrowReaderOptions::new()) {
            Ok(metadata) => Ok(Some(Self { path, stored, metadata })),
            Err(source) => Err(AuditError::Parquet { path, source }),
        }
    }

    /// What the file's metadata has under a key.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        let pairs = self.metadata.metadata().file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
    }

    pub(super) fn digest(&self) -> &str {
        self.value(DIGEST_KEY).unwrap_or_default()
    }

    /// Hands over batches of these columns, those of row groups that hold
    /// something since an instant.
    pub(crate) fn batches(
        self,
        columns: &[&str],
        since: Option<Instant>,
        mut each: impl FnMut(&Columns<'_>) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let Self { path, stored, metadata } = self;
        let failed = |source| AuditError::Parquet { path: path.clone(), source };
        let parquet = metadata.metadata();
        let groups = (0..parquet.num_row_groups()).filter(|&group| {
            let statistics = parquet.row_group(group).column(0).statistics();
            let last = statistics.and_then(|it| it.max_bytes_opt()?.try_into().ok()).map(i64::from_le_bytes);
            since.is_none_or(|since| last.is_none_or(|last| last >= since.micros()))
        });
        let groups: Vec<usize> = groups.collect();
        let options = ArrowReaderOptions::new().with_schema(Arc::new(with_dictionaries(metadata.schema())));
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(parquet), options).map_err(failed)?;
        let batches = Batches::new(stored, metadata, groups, |name| columns.contains(&name));
        for batch in batches.map_err(failed)? {
            let batch = batch.map_err(failed)?;
            each(&Columns { path: &path, batch: &batch })?;
        }
        Ok(())
    }
}

/// Repeated texts as dictionaries, so that none is copied.
fn with_dictionaries(plain: &Schema) -> Schema {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields = plain.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 if !matches!(field.name().as_str(), "request_id" | "tags" | "detail") => {
            Arc::new(Field::new(field.name(), dictionary.clone(), field.is_nullable()))
        }
        _ => Arc::clone(field),
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// The columns of a batch, by name.
#[derive(Debug)]
pub(crate) struct Columns<'b> {
    path: &'b str,
    batch: &'b RecordBatch,
}

/// A column of repeated texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'b> {
    pub(super) keys: &'b Int32Array,
    values: &'b StringArray,
}

impl<'b> Words<'b> {
    pub(crate) fn get(self, row: usize) -> Option<&'b str> {
        let key = self.keys.is_valid(row).then(|| self.keys.value(row))?;
        Some(self.values.value(usize::try_from(key).ok()?))
    }

    /// Each text once; [`Words::place`] says which of them a row has.
    pub(crate) fn values(self) -> impl ExactSizeIterator<Item = &'b str> {
        (0..self.values.len()).map(move |place| self.values.value(place))
    }

    pub(crate) fn place(self, row: usize) -> Option<usize> {
        self.keys.is_valid(row).then(|| usize::try_from(self.keys.value(row)).ok())?
    }
}

impl<'b> Columns<'b> {
    pub(crate) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    fn array<T>(&self, name: &str, of: impl Fn(&'b dyn Array) -> Option<T>) -> Result<T, AuditError> {
        let found = self.batch.column_by_name(name).and_then(|array| of(array.as_ref()));
        found.ok_or_else(|| AuditError::Column { path: self.path.to_owned(), column: name.to_owned() })
    }

    pub(crate) fn words(&self, name: &str) -> Result<Words<'b>, AuditError> {
        self.array(name, |array| {
            let words = array.as_dictionary_opt::<Int32Type>()?;
            Some(Words { keys: words.keys(), values: words.values().as_string_opt::<i32>()? })
        })
    }

    pub(super) fn texts(&self, name: &str) -> Result<&'b StringArray, AuditError> {
        self.array(name, AsArray::as_string_opt::<i32>)
    }

    pub(crate) fn instants(&self, name: &str) -> Result<&'b TimestampMicrosecondArray, AuditError> {
        self.array(name, AsArray::as_primitive_opt::<TimestampMicrosecondType>)
    }

    pub(crate) fn numbers(&self, name: &str) -> Result<&'b Int64Array, AuditError> {
        self.array(name, AsArray::as_primitive_opt::<Int64Type>)
    }

    fn small(&self, name: &str) -> Result<&'b Int16Array, AuditError> {
        self.array(name, AsArray::as_primitive_opt::<Int16Type>)
    }

    pub(crate) fn amounts(&self, name: &str) -> Result<&'b Decimal128Array, AuditError> {
        self.array(name, AsArray::as_primitive_opt::<Decimal128Type>)
    }
}

pub(super) fn amount(column: &Decimal128Array, row: usize) -> Option<Usd> {
    column.is_valid(row).then(|| Usd::from_pico(column.value(row)))?
}

/// Input, cached or not, and output.
const TOKENS: [&str; 5] =
    ["input_tokens", "cached_input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens"];

const OUTPUT: usize = 4;

/// The columns of `charges` that a [`Row`] is made of.
const CHARGES: [&str; 22] = [
    "ts",
    "request_id",
    "provider",
    "model",
    "model_requested",
    "model_billed",
    "tier",
    "key",
    "team",
    "team_basis",
    "team_reported",
    "user",
    "status",
    "http_status",
    "error_code",
    "max_tokens",
    TOKENS[0],
    TOKENS[1],
    TOKENS[2],
    TOKENS[3],
    TOKENS[4],
    "cost",
];

/// Hands over the rows of a file of charges in its order, those since an instant.
pub(super) fn rows(
    charges: DayFile,
    since: Option<Instant>,
    mut each: impl FnMut(&Row<'_>) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    charges.batches(&CHARGES, since, |columns| {
        let rows = Rows::of(columns)?;
        for at in 0..columns.rows() {
            let row = rows.row(at);
            if since.is_none_or(|since| row.ts >= since) {
                each(&row)?;
            }
        }
        Ok(())
    })
}

/// Hands over what may have failed of a file of charges.
pub(super) fn attempts(charges: DayFile, mut each: impl FnMut(&Attempt<'_>)) -> Result<(), AuditError> {
    charges.batches(&["ts", "key", "team", "status", "http_status", "error_code"], None, |columns| {
        let (instants, http_status) = (columns.instants("ts")?, columns.small("http_status")?);
        let (key, team) = (columns.words("key")?, columns.words("team")?);
        let (status, error_code) = (columns.words("status")?, columns.words("error_code")?);
        for row in 0..columns.rows() {
            each(&Attempt {
                ts: Instant::from_micros(instants.value(row)),
                key: key.get(row),
                team: team.get(row),
                status: status.get(row).and_then(Status::from_name).unwrap_or(Status::Success),
                http_status: http_status.is_valid(row).then(|| http_status.value(row)),
                error_code: error_code.get(row),
            });
        }
        Ok(())
    })
}

struct Rows<'b> {
    ts: &'b TimestampMicrosecondArray,
    request_id: &'b StringArray,
    words: [Words<'b>; 12],
    http_status: &'b Int16Array,
    max_tokens: &'b Int64Array,
    tokens: [&'b Int64Array; TOKENS.len()],
    cost: &'b Decimal128Array,
}

impl<'b> Rows<'b> {
    fn of(columns: &Columns<'b>) -> Result<Self, AuditError> {
        let word = |name| columns.words(name);
        let tokens = |at: usize| columns.numbers(TOKENS[at]);
        Ok(Self {
            ts: columns.instants("ts")?,
            request_id: columns.texts("request_id")?,
            words: [
                word("provider")?,
                word("model")?,
                word("model_requested")?,
                word("model_billed")?,
                word("tier")?,
                word("key")?,
                word("team")?,
                word("team_basis")?,
                word("team_reported")?,
                word("user")?,
                word("status")?,
                word("error_code")?,
            ],
            http_status: columns.small("http_status")?,
            max_tokens: columns.numbers("max_tokens")?,
            tokens: [tokens(0)?, tokens(1)?, tokens(2)?, tokens(3)?, tokens(4)?],
            cost: columns.amounts("cost")?,
        })
    }

    fn row(&self, at: usize) -> Row<'b> {
        let [provider, model, requested, billed, tier, key, team, basis, reported, user, status, error_code] =
            self.words.map(|words| words.get(at));
        let number = |column: &Int64Array| column.is_valid(at).then(|| column.value(at));
        let tokens = self.tokens.iter().filter_map(|column| number(column)).fold(0, i64::saturating_add);
        Row {
            ts: Instant::from_micros(self.ts.value(at)),
            request_id: self.request_id.value(at),
            provider: provider.unwrap_or_default(),
            model: model.unwrap_or_default(),
            model_billed: billed.unwrap_or_default(),
            model_requested: requested,
            tier,
            key,
            team,
            is_key_known: matches!(basis, Some("registry" | "convention")),
            team_reported: reported,
            user,
            status: status.and_then(Status::from_name).unwrap_or(Status::Success),
            http_status: self.http_status.is_valid(at).then(|| self.http_status.value(at)),
            error_code,
            max_tokens: number(self.max_tokens),
            output_tokens: number(self.tokens[OUTPUT]),
            tokens,
            cost: amount(self.cost, at),
        }
    }
}
