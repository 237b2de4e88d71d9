//! A book with nothing but totals: a year of `rollup/`, as large as asked for,
//! and a config with budgets of teams, keys and models beside it. For measuring
//! what `status` and `top` cost on a large book.
//!
//! The same arguments give the same rows. What all of it cost is printed, so
//! that a fast wrong answer is seen: `top teams --period` over the same days has
//! to say the same.

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::DataType,
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use spendbook::{book::schema::arrow_schema, money::Usd, record::ROLLUP, time::Day};

const USAGE: &str = "usage: totals --out DIR [--days 365] [--rows 10000] [--until 2026-06-10]\n";

/// Quarters of an hour in a day.
const QUARTERS: usize = 96;
const QUARTER_MICROS: i64 = 900_000_000;

const TEAMS: usize = 12;
const MODELS: [&str; 5] =
    ["llama-3.1-8b-instant", "llama-3.3-70b-versatile", "openai/gpt-oss-20b", "openai/gpt-oss-120b", "qwen/qwen3-32b"];

fn main() -> Result<(), Box<dyn Error>> {
    let (mut out, mut days, mut rows, mut until) = (None, 365, 10_000, Day::parse("2026-06-10"));
    let mut rest = env::args().skip(1).filter(|argument| argument != "--bench");
    while let (Some(name), Some(value)) = (rest.next(), rest.next()) {
        match name.as_str() {
            "--out" => out = Some(PathBuf::from(value)),
            "--days" => days = value.parse()?,
            "--rows" => rows = value.parse()?,
            "--until" => until = Day::parse(&value),
            _ => return Err(USAGE.into()),
        }
    }
    let (Some(out), Some(until)) = (out, until) else { return Err(USAGE.into()) };
    fs::create_dir_all(out.join("book"))?;
    fs::write(out.join("book/version.json"), "{\"schema\":1}\n")?;
    fs::write(out.join("spendbook.toml"), config())?;
    let mut total = 0;
    for ago in 1..=days {
        total += write_day(&out, Day::from_days(until.days() - ago), rows)?;
    }
    let total = Usd::from_pico(total).ok_or("more than an amount can hold")?;
    writeln!(io::stdout(), "{days} days of {rows} rows, {} in all", total.shown())?;
    Ok(())
}

fn config() -> String {
    let teams = (0..TEAMS).map(|team| format!("[teams.team{team}]\nmonthly_budget_usd = \"1000\"\n"));
    let keys = "[[key]]\nname = \"team1-prod-7\"\nteam = \"team1\"\nmonthly_budget_usd = \"100\"\n";
    let models = format!("[models.\"{}\"]\nmonthly_budget_usd = \"5000\"\n", MODELS[1]);
    format!("[organization]\nmonthly_budget_usd = \"9000\"\n{}{keys}{models}", teams.collect::<String>())
}

/// Writes a day; what it cost, in pico-dollars.
fn write_day(out: &Path, day: Day, rows: usize) -> Result<i128, Box<dyn Error>> {
    let at = |row: usize| row * QUARTERS / rows;
    let text = |name: &str, row: usize| -> Option<String> {
        let group = row % (rows / QUARTERS).max(1);
        Some(match name {
            "team" => format!("team{}", group % TEAMS),
            "environment" => "prod".to_owned(),
            "key" => format!("team{}-prod-{}", group % TEAMS, group / TEAMS / MODELS.len()),
            "provider" => "groq".to_owned(),
            "model" | "model_billed" => MODELS[group / TEAMS % MODELS.len()].to_owned(),
            "operation" => "chat".to_owned(),
            "basis" => "list".to_owned(),
            _ => return None,
        })
    };
    // Between a hundredth of a cent and a cent, of no round number of digits.
    let cost = |row: usize| 100_000_000 + i128::try_from(row * 7_919 % 9_900).unwrap_or_default() * 1_000_003;
    let schema = arrow_schema(&ROLLUP);
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef, Box<dyn Error>> {
        let name = field.name().as_str();
        Ok(match field.data_type() {
            DataType::Timestamp(..) => {
                let start = day.start().micros();
                let times = (0..rows).map(|row| start + i64::try_from(at(row)).unwrap_or_default() * QUARTER_MICROS);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
            }
            DataType::Utf8 => Arc::new((0..rows).map(|row| text(name, row)).collect::<StringArray>()),
            DataType::Int64 if name == "requests" => Arc::new(Int64Array::from(vec![3; rows])),
            DataType::Int64 => Arc::new(Int64Array::from(vec![0; rows])),
            _ => {
                let costs = (0..rows).map(|row| if name == "cost" || name == "input_cost" { cost(row) } else { 0 });
                Arc::new(Decimal128Array::from_iter_values(costs).with_precision_and_scale(38, 12)?)
            }
        })
    });
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_, _>>()?)?;
    let path = out.join(format!("book/rollup/date={day}/rollup.parquet"));
    fs::create_dir_all(path.parent().ok_or(USAGE)?)?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let mut writer = ArrowWriter::try_new(fs::File::create(path)?, schema, Some(properties))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok((0..rows).map(cost).sum())
}
