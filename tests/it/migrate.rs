//! A book of an earlier version, which has fewer columns, becomes one of this
//! version: byte for byte the one that this version would have made.

use std::{fs, sync::Arc};

use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::metadata::KeyValue,
};

use crate::support::{TestRun, assert_same_bytes, files_below, log, tables};

/// What the earlier version did not know of.
const LATER: [&str; 2] = ["browser_ms", "project"];

/// A priced and audited book.
fn book() -> TestRun {
    let run = TestRun::new();
    fs::create_dir_all(run.path("pricing")).unwrap();
    fs::write(
        run.path("pricing/groq.csv"),
        "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note\n\
         groq,*,*,input_tokens,0.10,1M,,2024-01-01,,2024-01-01,fallback,policy,\n\
         groq,*,*,output_tokens,0.10,1M,,2024-01-01,,2024-01-01,fallback,policy,\n",
    )
    .unwrap();
    run.write("logs/a.jsonl", log(300).join("\n") + "\n");
    for command in ["ingest", "price", "audit"] {
        let ran = run.run(&[command]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    run
}

/// The same file as the earlier version would have written it.
fn earlier(bytes: Vec<u8>) -> Vec<u8> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let schema = Arc::clone(reader.schema());
    let kept: Vec<usize> =
        (0..schema.fields().len()).filter(|&at| !LATER.contains(&schema.field(at).name().as_str())).collect();
    let schema = Arc::new(schema.project(&kept).unwrap());
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    let known = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    for pair in known.into_iter().filter(|pair| pair.key != "ARROW:schema") {
        let value = if pair.key == "spendbook.schema" { Some("0".to_owned()) } else { pair.value };
        writer.append_key_value_metadata(KeyValue::new(pair.key, value));
    }
    for batch in reader.build().unwrap() {
        writer.write(&batch.unwrap().project(&kept).unwrap()).unwrap();
    }
    writer.into_inner().unwrap()
}

/// Makes the files of the book that are `meant` those of the earlier version.
fn grow_old(run: &TestRun, meant: impl Fn(usize) -> bool) {
    let files = files_below(&run.path("book")).into_iter().filter(|(name, _)| name.ends_with(".parquet"));
    for (_, (name, bytes)) in files.enumerate().filter(|(number, _)| meant(*number)) {
        run.write(&format!("book/{name}"), earlier(bytes));
    }
    run.write("book/version.json", "{\"schema\":0}\n");
}

#[test]
fn an_older_book_becomes_the_one_that_this_version_would_have_made() {
    let run = book();
    let expect = tables(&run.path("book"));
    grow_old(&run, |_| true);
    assert_ne!(tables(&run.path("book")), expect);

    let reader = run.run(&["status"]);
    assert!(reader.code == 1 && reader.stderr.contains("the book has schema version 0"), "{reader:?}");
    for command in ["ingest", "price", "audit"] {
        let ran = run.run(&[command]);
        assert_eq!(ran.code, 0, "{ran:?}");
        // At every moment all files of a table can be read as one.
        let asked = run.run(&["query", "SELECT count(browser_ms) AS n, count(project) AS p FROM charges"]);
        assert_eq!(asked.code, 0, "{asked:?}");
    }
    assert_same_bytes(&tables(&run.path("book")), &expect, "brought up");
    assert_eq!(fs::read_to_string(run.path("book/version.json")).unwrap(), "{\"schema\":1}\n");
}

#[test]
fn one_that_was_killed_in_between_is_gone_on_with() {
    let run = book();
    let expect = tables(&run.path("book"));
    for even in [0, 1] {
        grow_old(&run, |number| number % 2 == even);
        for command in ["ingest", "price", "audit"] {
            assert_eq!(run.run(&[command]).code, 0);
        }
        assert_same_bytes(&tables(&run.path("book")), &expect, "gone on with");
    }
}

#[test]
fn what_a_later_version_knew_is_never_dropped() {
    let run = book();
    let name = files_below(&run.path("book")).into_keys().find(|name| name.starts_with("usage/")).unwrap();
    let bytes = fs::read(run.path(&format!("book/{name}"))).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let mut fields: Vec<_> = reader.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[0] = fields[0].clone().with_name("moon_phase");
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    let writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    run.write(&format!("book/{name}"), writer.into_inner().unwrap());
    run.write("book/version.json", "{\"schema\":0}\n");
    let before = files_below(&run.path("book/usage"));
    let ran = run.run(&["ingest"]);
    assert!(ran.code == 1 && ran.stderr.contains("has the column `moon_phase`"), "{ran:?}");
    assert_eq!(files_below(&run.path("book/usage")), before);
}
