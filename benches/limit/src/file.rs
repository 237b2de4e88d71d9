//! Day files that several threads write to: each encodes its row groups by
//! itself, and only the finished bytes are written in turn.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::datatypes::DataType;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves},
    },
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
    schema::types::ColumnPath,
};

use super::{
    Failure,
    columns::{Columns, ROW_GROUP, schema},
};

/// A file and what makes the writers of its columns.
type DayFile = Mutex<(SerializedFileWriter<File>, Arc<ArrowRowGroupWriterFactory>)>;

pub struct Days {
    out: PathBuf,
    files: Mutex<BTreeMap<i64, Arc<DayFile>>>,
}

impl Days {
    pub fn new(out: &Path) -> Self {
        Self { out: out.to_owned(), files: Mutex::default() }
    }

    /// Writes a row group of the columns' rows.
    pub fn write(&self, day: i64, columns: &mut Columns) -> Result<(), Failure> {
        let schema = schema();
        let file = self.file(day)?;
        let factory = Arc::clone(&file.lock().unwrap_or_else(PoisonError::into_inner).1);
        let mut chunks = Vec::new();
        let arrays = columns.take();
        for ((array, field), mut writer) in arrays.iter().zip(schema.fields()).zip(factory.create_column_writers(0)?) {
            for leaf in compute_leaves(field, array)? {
                writer.write(&leaf)?;
            }
            chunks.push(writer.close()?);
        }
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut group = file.0.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group)?;
        }
        group.close()?;
        Ok(())
    }

    fn file(&self, day: i64) -> Result<Arc<DayFile>, Failure> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&day) {
            return Ok(Arc::clone(file));
        }
        // Days are told apart by number here: what they are called does not matter.
        let directory = self.out.join(format!("usage/day={day}"));
        fs::create_dir_all(&directory)?;
        let writer =
            ArrowWriter::try_new(File::create(directory.join("usage.parquet"))?, schema(), Some(properties()))?;
        let (file, factory) = writer.into_serialized_writer()?;
        let file = Arc::new(Mutex::new((file, Arc::new(factory))));
        files.insert(day, Arc::clone(&file));
        Ok(file)
    }

    /// Ends every file.
    pub fn finish(self) -> Result<(), Failure> {
        for file in self.files.into_inner().unwrap_or_else(PoisonError::into_inner).into_values() {
            file.lock().unwrap_or_else(PoisonError::into_inner).0.finish()?;
        }
        Ok(())
    }
}

/// As `ingest::day_file` has them.
fn properties() -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for field in schema().fields() {
        let path = ColumnPath::from(field.name().as_str());
        builder = match field.data_type() {
            DataType::Timestamp(..) | DataType::Int64 => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            DataType::Utf8 if matches!(field.name().as_str(), "request_id" | "tags") => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path, EnabledStatistics::None),
            _ => builder,
        };
    }
    builder.set_column_bloom_filter_enabled(ColumnPath::from("request_id"), true).build()
}
