//! `export focus` through the binary: the dataset against the charges of the
//! book, read by arrow, and what no validator looks at.

use std::collections::{BTreeMap, BTreeSet};

use arrow::{
    array::{RecordBatch, RecordBatchReader as _},
    datatypes::{DataType, SchemaRef, TimeUnit},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use spendbook::{
    export::focus::{Kind, Version, columns},
    money::Usd,
};

use crate::support::{Dice, Ran, TestRun, cells_of_file, files_below};

const PRICES: &str = "\
provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note
groq,m,*,input_tokens,0.59,1M,,2026-01-01,,2026-01-01,list,,
groq,m,*,output_tokens,0.79,1M,,2026-01-01,,2026-01-01,list,,
groq,m,*,cached_input_tokens,0.295,1M,,2026-01-01,,2026-01-01,list,,
groq,m,batch,input_tokens,0.295,1M,,2026-01-01,,2026-01-01,list,,
groq,m,batch,output_tokens,0.395,1M,,2026-01-01,,2026-01-01,list,,
groq,m,*,input_tokens,0.61,1M,,2026-06-02T12:00:00Z,,2026-06-02,list,,
groq,org/k,*,input_tokens,2,1M,,2026-01-01,,2026-01-01,list,,
groq,org/k,*,output_tokens,3,1M,,2026-01-01,,2026-01-01,list,,
groq,org/k,*,output_tokens,0.0015,1k,,2026-06-01,,2026-06-01,contract,,
groq,w,*,audio_ms,0.111,1h,10s,2026-01-01,,2026-01-01,list,,
groq,*,*,input_tokens,0.10,1M,,2020-01-01,,2020-01-01,fallback,,
groq,*,*,output_tokens,0.10,1M,,2020-01-01,,2020-01-01,fallback,,
";

const CONFIG: &str = r#"
[book]
path = "book"
pricing = "pricing"

[organization]
name = "Example"

[[source]]
name = "gateway"
format = "native"
path = "logs/*"
provider = "groq"

[teams.chat]
[teams.search]

[pools.shared]
chat = 50
search = 50

[[key]]
name = "pooled"
pool = "shared"
environment = "prod"
"#;

/// Requests of four days around the beginning of a month, of every kind.
fn log() -> String {
    let mut dice = Dice(7);
    let mut text = String::new();
    for at in 0..600 {
        let day = ["2026-05-31", "2026-06-01", "2026-06-02", "2026-06-03"][dice.below(4)];
        let (hour, minute) = (dice.below(24), dice.below(60));
        let key = ["chat-prod", "chat-dev-load", "search-prod", "pooled", "=1+1", "whose"][dice.below(6)];
        let model = ["m", "m", "m", "org/k", "w", "unheard-of"][dice.below(6)];
        let tier = ["", "", "\"service_tier\":\"batch\",", "\"service_tier\":\"flex\","][dice.below(4)];
        let project = ["", "\"project\":\"shop, \\\"one\\\"\","][dice.below(2)];
        let (input, output) = (dice.below(90_000), dice.below(3_000));
        let usage = match (model, at % 40) {
            ("w", _) => format!("{{\"audio_ms\":{}}}", dice.below(40_000)),
            (_, 3) => "{\"prompt_tokens\":5,\"images\":2}".to_owned(),
            (_, 5) => "{\"prompt_tokens\":0,\"completion_tokens\":0}".to_owned(),
            _ => format!(
                "{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\
                 \"prompt_tokens_details\":{{\"cached_tokens\":{}}}}}",
                input / 3
            ),
        };
        text.push_str(&format!(
            "{{\"ts\":\"{day}T{hour:02}:{minute:02}:00.{at:03}Z\",\"request_id\":\"chatcmpl-{at:032}\",\"key\":\"{key}\",\
             {project}{tier}\"model\":\"{model}\",\"cached\":{},\"http_status\":200,\"usage\":{usage}}}\n",
            at % 40 == 7
        ));
    }
    // One microsecond before the month, and its first instant.
    for (id, ts) in [("before", "2026-05-31T23:59:59.999999Z"), ("first", "2026-06-01T00:00:00Z")] {
        text.push_str(&format!(
            "{{\"ts\":\"{ts}\",\"request_id\":\"chatcmpl-{id:0>32}\",\"key\":\"search-prod-edge\",\"model\":\"m\",\
             \"http_status\":200,\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":0}}}}\n"
        ));
    }
    text
}

fn book() -> TestRun {
    let run = TestRun::with(CONFIG);
    run.write("pricing/groq.csv", PRICES);
    run.write("logs/gateway.jsonl", log());
    run.ingest();
    price(&run);
    run
}

fn price(run: &TestRun) {
    let priced = run.run(&["price"]);
    assert_eq!(priced.code, 0, "{priced:?}");
}

fn export(run: &TestRun, arguments: &[&str]) -> Ran {
    let ran = run.run(&[&["export", "focus"], arguments].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    ran
}

const JUNE: &str = "focus/billing_period=2026-06";

/// A row by the names of its columns, without what is null.
type Cells = BTreeMap<String, String>;

fn batches(bytes: Vec<u8>) -> (SchemaRef, Vec<RecordBatch>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap();
    (reader.schema(), reader.map(Result::unwrap).collect())
}

fn dataset(run: &TestRun, month: &str) -> Vec<Cells> {
    cells_of_file(std::fs::read(run.path(month).join("focus.parquet")).unwrap())
}

/// The rows of a table of the book on the days of June.
fn table(run: &TestRun, name: &str) -> Vec<Cells> {
    let files = files_below(&run.path("book").join(name));
    files
        .into_iter()
        .filter(|(file, _)| file.starts_with("date=2026-06"))
        .flat_map(|(_, bytes)| cells_of_file(bytes))
        .collect()
}

fn usd(cells: &Cells, column: &str) -> Usd {
    cells.get(column).map_or(Usd::ZERO, |text| Usd::parse(text).unwrap())
}

/// Sums of a column by others; what is null is empty.
fn sums(rows: &[Cells], by: &[&str], column: &str) -> BTreeMap<Vec<String>, i128> {
    let mut sums = BTreeMap::new();
    for row in rows {
        let key: Vec<String> = by.iter().map(|name| row.get(*name).cloned().unwrap_or_default()).collect();
        *sums.entry(key).or_default() += usd(row, column).pico();
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

#[test]
fn sums_are_those_of_the_book_to_the_last_digit() {
    let run = book();
    export(&run, &["--month", "2026-06"]);
    let (rows, charges) = (dataset(&run, JUNE), table(&run, "charges"));
    assert!(rows.len() > 100, "{}", rows.len());
    for (focus, own) in [("BilledCost", "cost"), ("ListCost", "list_cost")] {
        let ours = sums(&charges, &["team", "key", "project", "environment", "purpose", "model_billed"], own);
        let by = ["SubAccountId", "x_Key", "x_Project", "x_Environment", "x_Purpose", "x_Model"];
        assert_eq!(sums(&rows, &by, focus), ours, "{focus}");
        assert!(ours.len() > 20);
    }
    for (meter, column) in [
        ("input_tokens", "input_cost"),
        ("cached_input_tokens", "cached_input_cost"),
        ("output_tokens", "output_cost"),
        ("audio_ms", "other_cost"),
    ] {
        let of_meter: Vec<Cells> = rows.iter().filter(|row| row["x_Meter"] == meter).cloned().collect();
        let priced: Vec<Cells> = charges.iter().filter(|row| row.contains_key("cost")).cloned().collect();
        assert_eq!(sums(&of_meter, &["SubAccountId"], "BilledCost"), sums(&priced, &["team"], column), "{meter}");
        let reported: i128 = priced
            .iter()
            .filter(|row| row["basis"] != "free")
            .filter_map(|row| row.get(meter))
            .map(|quantity| quantity.parse::<i128>().unwrap())
            .sum();
        let consumed: i128 = of_meter.iter().map(|row| usd(row, "ConsumedQuantity").pico()).sum();
        let unit = if meter == "audio_ms" { 1_000_000_000 } else { 1_000_000_000_000 };
        assert_eq!(consumed, reported * unit, "{meter}");
    }
    let estimated: Vec<Cells> = rows.iter().filter(|row| row["x_CostBasis"] == "Estimated").cloned().collect();
    let rollup = sums(&table(&run, "rollup"), &["team"], "estimated_cost");
    assert!(!rollup.is_empty());
    assert_eq!(sums(&estimated, &["SubAccountId"], "BilledCost"), rollup);
}

#[test]
fn rows_hold_together() {
    let run = book();
    export(&run, &["--month", "2026-06"]);
    let rows = dataset(&run, JUNE);
    let mut grain = BTreeSet::new();
    let mut by_price: BTreeMap<String, BTreeSet<Vec<String>>> = BTreeMap::new();
    for row in &rows {
        let [billed, effective, contracted, list] =
            ["BilledCost", "EffectiveCost", "ContractedCost", "ListCost"].map(|name| usd(row, name));
        assert!(billed == effective && billed == contracted && billed > Usd::ZERO && list > Usd::ZERO, "{row:?}");
        assert_eq!(usd(row, "PricingCurrencyEffectiveCost"), billed);
        for (price, cost) in [("ContractedUnitPrice", billed), ("ListUnitPrice", list)] {
            let product = usd(row, price).pico() * usd(row, "PricingQuantity").pico();
            let off = (product - cost.pico() * 1_000_000_000_000).abs();
            let requests: i128 = row["x_RequestCount"].parse().unwrap();
            // Half a digit for each request and one for the quantity, where the
            // price does not divide; else nothing.
            let allowed = if row["x_Meter"] == "audio_ms" { (requests + 1) * 500_000_000_000 } else { 0 };
            assert!(off <= allowed, "{price}: off by {off}: {row:?}");
        }
        assert_eq!(row["BillingPeriodStart"], "2026-06-01T00:00:00Z");
        assert_eq!(row["BillingPeriodEnd"], "2026-07-01T00:00:00Z");
        let (start, end) = (&row["ChargePeriodStart"], &row["ChargePeriodEnd"]);
        assert!(&row["BillingPeriodStart"] <= start && start < end && end <= &row["BillingPeriodEnd"]);
        assert_eq!(row.contains_key("SubAccountId"), row.contains_key("SubAccountType"));
        assert!(row.values().all(|value| !value.is_empty()), "null is null: {row:?}");
        for name in ["Tags", "SkuPriceDetails"] {
            let object: serde_json::Value = serde_json::from_str(&row[name]).unwrap();
            let values = object.as_object().unwrap();
            assert!(values.values().all(|value| value.is_string() || value.is_number()), "{object}");
            assert!(name == "Tags" || values.keys().all(|key| key.starts_with("x_")), "{object}");
        }
        assert!(row["SkuPriceId"].starts_with(&format!("{}/{}/", row["SkuId"], row["x_ServiceTier"])), "{row:?}");
        let of_price = ["SkuId", "ContractedUnitPrice", "ListUnitPrice", "PricingUnit", "SkuPriceDetails", "SkuMeter"];
        by_price.entry(row["SkuPriceId"].clone()).or_default().insert(of_price.map(|name| row[name].clone()).into());
        let of_grain = ["ChargePeriodStart", "SkuPriceId", "x_CostBasis", "SubAccountId", "Tags"];
        let key = of_grain.map(|name| row.get(name).cloned().unwrap_or_default());
        assert!(grain.insert(key), "two rows of one grain: {row:?}");
    }
    for (id, of_price) in by_price {
        assert_eq!(of_price.len(), 1, "`{id}` is the price of one thing: {of_price:?}");
    }
    let prices = |model: &str, meter: &str| {
        let of = rows.iter().filter(|row| row["x_Model"] == model && row["x_Meter"] == meter);
        let shown = |row: &Cells| {
            let [paid, list] = ["ContractedUnitPrice", "ListUnitPrice"].map(|name| usd(row, name).shown());
            format!("{} {} {paid} of {list} per {}", row["x_ServiceTier"], row["x_PriceKind"], row["PricingUnit"])
        };
        of.map(shown).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ")
    };
    // What is a list price per million is told per thousand, as the contract is.
    assert!(prices("org/k", "output_tokens").contains("on_demand contract $0.0015 of $0.003 per 1000 Tokens"));
    let of_m = prices("m", "input_tokens");
    for expect in ["batch list $0.30 of $0.30", "flex list $0.59 of $0.59", "on_demand list $0.61 of $0.61"] {
        assert!(of_m.contains(expect), "{of_m}");
    }
    let least = rows.iter().find(|row| row["x_Meter"] == "audio_ms").unwrap();
    assert!(least["SkuPriceDetails"].contains("\"x_MinimumQuantity\":10000"), "{least:?}");
    assert_eq!((least["PricingUnit"].as_str(), least["ConsumedUnit"].as_str()), ("Hours", "Seconds"));
}

#[test]
fn a_month_begins_and_ends_at_midnight_utc() {
    let run = book();
    for month in ["2026-06", "2026-05"] {
        export(&run, &["--month", month]);
    }
    let edge = |month: &str| {
        let rows = dataset(&run, month);
        let rows = rows.into_iter().filter(|row| row["x_Key"] == "search-prod-edge");
        rows.map(|row| format!("{} {}", row["ChargePeriodStart"], row["x_RequestCount"])).collect::<Vec<_>>()
    };
    assert_eq!(edge(JUNE), ["2026-06-01T00:00:00Z 1"]);
    assert_eq!(edge("focus/billing_period=2026-05"), ["2026-05-31T00:00:00Z 1"]);
}

/// The columns that 1.2 has, 1.4 no longer, and 1.4 in their place, and those
/// that are never null, as the specification lists them.
const SINCE_1_2: &str = "AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingAccountType \
    BillingCurrency BillingPeriodEnd BillingPeriodStart CapacityReservationId CapacityReservationStatus ChargeCategory \
    ChargeClass ChargeDescription ChargeFrequency ChargePeriodEnd ChargePeriodStart CommitmentDiscountCategory \
    CommitmentDiscountId CommitmentDiscountName CommitmentDiscountQuantity CommitmentDiscountStatus \
    CommitmentDiscountType CommitmentDiscountUnit ConsumedQuantity ConsumedUnit ContractedCost ContractedUnitPrice \
    EffectiveCost InvoiceId InvoiceIssuerName ListCost ListUnitPrice PricingCategory PricingCurrency \
    PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice PricingQuantity \
    PricingUnit RegionId RegionName ResourceId ResourceName ResourceType ServiceCategory ServiceName \
    ServiceSubcategory SkuId SkuMeter SkuPriceDetails SkuPriceId SubAccountId SubAccountName SubAccountType Tags";
const ONLY_1_2: &str = "ProviderName PublisherName";
const ONLY_1_4: &str = "AllocatedMethodDetails AllocatedMethodId AllocatedResourceId AllocatedResourceName \
    AllocatedTags CommitmentProgramEligibilityDetails ContractApplied HostProviderName InvoiceDetailId \
    ServiceProviderName";
const NEVER_NULL: &str = "BilledCost BillingAccountId BillingAccountType BillingCurrency BillingPeriodEnd \
    BillingPeriodStart ChargeCategory ChargeFrequency ChargePeriodEnd ChargePeriodStart ContractedCost EffectiveCost \
    InvoiceIssuerName ListCost PricingCurrency PricingCurrencyEffectiveCost ProviderName PublisherName \
    ServiceCategory ServiceName ServiceProviderName ServiceSubcategory";

/// What the files' columns are: the specification's, then ours.
fn check_schema(run: &TestRun, dir: &str, version: Version) {
    let (schema, _) = batches(std::fs::read(run.path(dir).join("focus.parquet")).unwrap());
    let only = if version == Version::V1_2 { ONLY_1_2 } else { ONLY_1_4 };
    let mut listed: Vec<&str> = SINCE_1_2.split_whitespace().chain(only.split_whitespace()).collect();
    listed.sort_unstable();
    let standard: Vec<_> = schema.fields().iter().take(listed.len()).collect();
    assert_eq!(standard.iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), listed);
    for field in standard {
        let is_required = NEVER_NULL.split_whitespace().any(|name| name == field.name());
        assert_eq!(!field.is_nullable(), is_required, "{}", field.name());
    }
    let expect: Vec<_> = columns(version).collect();
    assert_eq!(schema.fields().len(), expect.len());
    for (field, column) in schema.fields().iter().zip(expect) {
        let kind = match column.kind {
            Kind::Text | Kind::Json => DataType::Utf8,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Decimal => DataType::Decimal128(38, 12),
            Kind::Count => DataType::Int64,
        };
        assert_eq!((field.name().as_str(), field.data_type()), (column.name, &kind));
        assert_eq!(field.is_nullable(), column.nullable, "{}", column.name);
    }
}

#[test]
fn both_versions_have_all_their_columns() {
    let run = book();
    export(&run, &["--month", "2026-06"]);
    let billed = ["--billing-account", "groq=org_1", "--output", "newer"];
    export(&run, &[&["--month", "2026-06", "--version", "1.4"], &billed[..]].concat());
    check_schema(&run, JUNE, Version::V1_2);
    check_schema(&run, "newer/billing_period=2026-06", Version::V1_4);
    let (old, new) = (dataset(&run, JUNE), dataset(&run, "newer/billing_period=2026-06"));
    assert_eq!(old.len(), new.len());
    assert_eq!((&old[0]["BillingAccountId"], &new[0]["BillingAccountId"]), (&"groq".into(), &"org_1".into()));
    assert_eq!((&old[0]["ProviderName"], &new[0]["ServiceProviderName"]), (&"Groq".into(), &"Groq".into()));
    assert!(!new[0].contains_key("ProviderName") && !old[0].contains_key("ServiceProviderName"));
    let metadata = |dir: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(run.path(dir).join("metadata.json")).unwrap()).unwrap()
    };
    let (old, new) = (metadata(JUNE), metadata("newer/billing_period=2026-06"));
    assert_eq!((&old["Schema"]["FocusVersion"], &new["Schema"][0]["FocusVersion"]), (&"1.2".into(), &"1.4".into()));
    let sectors = new["Recency"][0]["TimeSectors"].as_array().unwrap();
    assert!(sectors.len() == 3 && sectors.iter().all(|sector| sector["TimeSectorComplete"] == true), "{sectors:?}");
    assert_eq!(new["Recency"][0]["DatasetInstanceComplete"], false, "the month goes on");
}

#[test]
fn csv_has_the_same_rows_and_no_formula() {
    let run = book();
    export(&run, &["--month", "2026-06"]);
    let mut csv = csv::Reader::from_path(run.path(JUNE).join("focus.csv")).unwrap();
    let header = csv.headers().unwrap().clone();
    let rows = dataset(&run, JUNE);
    let lines: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    assert_eq!(lines.len(), rows.len());
    let mut formulas = 0;
    for (line, row) in lines.iter().zip(&rows) {
        for (name, cell) in header.iter().zip(line) {
            let expect = row.get(name).map(String::as_str).unwrap_or_default();
            match columns(Version::V1_2).find(|column| column.name == name).unwrap().kind {
                Kind::Decimal if !cell.is_empty() => {
                    assert!(cell.contains('.'), "{name}: {cell}");
                    assert_eq!(Usd::parse(cell).unwrap().to_string(), expect);
                }
                _ if expect == "=1+1" => {
                    formulas += 1;
                    assert_eq!(cell, "'=1+1");
                }
                _ => assert_eq!(cell, expect, "{name}"),
            }
        }
    }
    assert!(formulas > 0);
}

#[test]
fn metadata_counts_what_is_in_and_what_is_left_out() {
    let run = book();
    let ran = export(&run, &["--month", "2026-06"]);
    let metadata = std::fs::read(run.path(JUNE).join("metadata.json")).unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).unwrap();
    let own = &metadata["x_Spendbook"];
    let charges = table(&run, "charges");
    let count = |basis: &str| charges.iter().filter(|row| row["basis"] == basis).count();
    assert!(count("unpriced") > 0 && count("free") > 0 && count("fallback") > 0);
    assert_eq!(own["requests"], charges.len());
    assert_eq!(own["free_requests"], count("free"));
    assert_eq!(own["unpriced"]["requests"], count("unpriced"));
    assert_eq!(own["estimated"]["requests"], count("fallback"));
    let sum = |column: &str| charges.iter().map(|row| usd(row, column).pico()).sum::<i128>();
    assert_eq!(own["cost"], Usd::from_pico(sum("cost")).unwrap().to_string());
    assert_eq!(own["list_cost"], Usd::from_pico(sum("list_cost")).unwrap().to_string());
    let days: Vec<_> = own["days"].as_array().unwrap().iter().map(|day| day["date"].as_str().unwrap()).collect();
    assert_eq!(days, ["2026-06-01", "2026-06-02", "2026-06-03"]);
    assert!(own["what"].as_str().unwrap().contains("estimate until it is reconciled"));
    for file in own["files"].as_array().unwrap() {
        let bytes = std::fs::read(run.path(JUNE).join(file["name"].as_str().unwrap())).unwrap();
        assert_eq!(file["bytes"], bytes.len());
        assert_eq!(file["sha256"], sha256(&bytes));
    }
    let names: Vec<_> = metadata["Schema"]["ColumnDefinition"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), columns(Version::V1_2).count());
    for part in ["FOCUS 1.2, 2026-06 (UTC)", "focus.parquet", "estimated: ", "left out: ", "estimates until"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert_eq!(run.run(&["--strict", "export", "focus", "--month", "2026-06"]).code, 3);
    assert_eq!(run.run(&["-q", "export", "focus"]).stdout, "");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_same_charges_give_the_same_bytes_and_new_ones_replace_the_month() {
    let run = book();
    export(&run, &["--month", "2026-06"]);
    let first = files_below(&run.path("focus"));
    assert_eq!(first.len(), 3, "{:?}", first.keys());
    // A price that is learnt and not applied yet: the charges are still those of
    // the old one, and so is what they are told to be made of.
    run.write("pricing/more.csv", {
        let header = PRICES.lines().next().unwrap();
        format!("{header}\ngroq,m,*,input_tokens,9,1M,,2026-06-01,2026-06-02,2026-06-09,list,,\n")
    });
    export(&run, &["--month", "2026-06"]);
    assert!(files_below(&run.path("focus")) == first);
    price(&run);
    export(&run, &["--month", "month"]);
    let second = files_below(&run.path("focus"));
    let data = |files: &BTreeMap<String, Vec<u8>>| files["billing_period=2026-06/focus.parquet"].clone();
    assert!(data(&first) != data(&second));
    assert_eq!(
        sums(&dataset(&run, JUNE), &["ChargePeriodStart"], "BilledCost").values().sum::<i128>(),
        table(&run, "charges").iter().map(|row| usd(row, "cost").pico()).sum::<i128>()
    );
    run.append(
        "logs/gateway.jsonl",
        crate::support::request("late", "2026-06-03T23:59:00Z", 7, 7).replace("llama-3.1-8b-instant", "m"),
    );
    run.ingest();
    let ran = run.run(&["export", "focus"]);
    assert!(ran.code == 0 && ran.stderr.contains("one step apart"), "{ran:?}");
    let metadata = std::fs::read_to_string(run.path(JUNE).join("metadata.json")).unwrap();
    assert!(metadata.contains("\"behind\": \"charges\""), "{metadata}");
    price(&run);
    export(&run, &[]);
    let late = dataset(&run, JUNE).into_iter().filter(|row| row["x_Key"] == "chatbot-prod").count();
    assert_eq!(late, 2, "its input and its output");
}

#[test]
fn prices_that_were_edited_are_told() {
    let run = book();
    run.write("pricing/groq.csv", PRICES.replace("m,*,input_tokens,0.59", "m,*,input_tokens,0.58"));
    let ran = run.run(&["export", "focus", "--month", "2026-06"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("2026-06-01: the price book no longer says"), "{ran:?}");
    assert!(!run.path(JUNE).join("focus.parquet").exists(), "nothing is written by halves");
    price(&run);
    export(&run, &["--month", "2026-06"]);
}

#[test]
fn a_target_that_is_somebody_elses_is_refused() {
    let run = book();
    for (arguments, code, expect) in [
        (&["--output", "book"][..], 1, "is the live book"),
        (&["--output", "book/exports"], 1, "is the live book"),
        (&["--output", "."], 1, "around it"),
        (&["--output", "spendbook.toml"], 1, "cannot be written"),
        (&["--month", "2026-13"], 2, "`--month`"),
        (&["--month", "2026-W23"], 2, "expected a month"),
        (&["--month", "june"], 2, "`--month`"),
        (&["--version", "1.0"], 2, "1.2"),
        (&["--billing-account", "groq"], 2, "groq=org_01example"),
    ] {
        let ran = run.run(&[&["export", "focus"], arguments].concat());
        assert!(ran.code == code && ran.stderr.contains(expect), "{arguments:?}: {ran:?}");
    }
    export(&run, &["--month", "2026-05"]);
    let ran = run.run(&["export", "focus", "--version", "1.4"]);
    assert!(ran.code == 1 && ran.stderr.contains("holds months of FOCUS 1.2, expected 1.4"), "{ran:?}");
    run.write("focus/billing_period=2026-06/part-1.parquet", "somebody's");
    let ran = run.run(&["export", "focus"]);
    assert!(ran.code == 1 && ran.stderr.contains("part-1.parquet` is not of this export"), "{ran:?}");
    assert_eq!(files_below(&run.path(JUNE)).len(), 1);
}

#[test]
fn a_month_without_charges_has_no_rows_and_says_so() {
    let run = book();
    let ran = export(&run, &["--month", "2026-07"]);
    assert!(ran.stdout.contains("no charges of this month"), "{ran:?}");
    assert!(dataset(&run, "focus/billing_period=2026-07").is_empty());
}

#[test]
fn a_month_that_was_pruned_does_not_replace_a_whole_one() {
    let run = book();
    export(&run, &["--month", "2026-06"]);
    let whole = files_below(&run.path("focus"));
    run.write("spendbook.toml", CONFIG.replace("pricing = ", "keep = { charges = \"8d\" }\npricing = "));
    let pruned = run.run_at("2026-06-11T00:00:00Z", &["prune"]);
    assert_eq!(pruned.code, 0, "{pruned:?}");
    let ran = run.run(&["export", "focus", "--month", "2026-06"]);
    assert!(ran.code == 1 && ran.stderr.contains("the charges before 2026-06-03 were pruned"), "{ran:?}");
    assert!(files_below(&run.path("focus")) == whole);
    let ran = run.run(&["export", "focus", "--month", "2026-06", "--output", "rest"]);
    assert!(ran.code == 0 && ran.stderr.contains("what was before 2026-06-03 was pruned"), "{ran:?}");
}
