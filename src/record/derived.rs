//! The columns of the tables that are derived from `usage`.

use std::sync::LazyLock;

use super::{
    Column,
    ColumnType::{Decimal, Dict, Int64, Timestamp},
    METERS, USAGE, optional, quantity, required,
};

/// Columns of `usage` that say where a row was read: they may differ between
/// two books of the same requests, so they are in no digest, and not in `charges`.
pub const PROVENANCE: [&str; 2] = ["source_file", "source_line"];

/// What pricing adds to a request.
pub const PRICED: &[Column] = &[
    optional("team", Dict, "who pays: a team of the config, or `shared:` and the name of a pool; NULL is unattributed"),
    optional("environment", Dict, "`prod`, `staging`, …: from the registry of keys, or from the name of the key"),
    optional("purpose", Dict, "what the key is for: from the registry of keys, or the rest of the name of the key"),
    required("team_basis", Dict, "how the team was found: `registry`, `convention`, `reported` by the log, or `none`"),
    required("model_billed", Dict, "the price book's name for the model"),
    optional("input_cost", Decimal, "cost of input that no cache made cheaper or dearer, in USD"),
    optional("cached_input_cost", Decimal, "cost of input read from the provider's cache, in USD"),
    optional("cache_write_cost", Decimal, "cost of input written to the provider's cache, in USD"),
    optional("output_cost", Decimal, "cost of output, reasoning included, in USD"),
    optional("other_cost", Decimal, "cost of audio, characters, images and tools, in USD"),
    optional("cost", Decimal, "the sum of the five, in USD; NULL where anything of it is not known"),
    optional("list_cost", Decimal, "what it would cost at list price, in USD"),
    optional("cache_savings", Decimal, "what caching saved at this row's own prices, in USD; below 0 if it cost more"),
    optional("batch_savings", Decimal, "what batching saved at this row's own prices, in USD"),
    required("basis", Dict, "how certain the cost is: `list`, `contract`, `fallback`, `unpriced` or `free`"),
    optional("reason", Dict, "why it is free, unpriced or estimated"),
    optional("price_id", Dict, "the prices that made it, with a digest of their rows"),
];

/// The columns of `charges`: those of `usage` but where a row was read, and
/// what pricing adds.
pub static CHARGES: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let kept = USAGE.iter().filter(|column| !PROVENANCE.contains(&column.name));
    kept.chain(PRICED).copied().collect()
});

/// The amounts of a charge, in the order of their columns.
pub const AMOUNTS: [&str; 9] = [
    "input_cost",
    "cached_input_cost",
    "cache_write_cost",
    "output_cost",
    "other_cost",
    "cost",
    "list_cost",
    "cache_savings",
    "batch_savings",
];

/// What the rows of `rollup` are told apart by.
pub const ROLLUP_KEYS: &[Column] = &[
    required("bucket_start", Timestamp, "the first instant of the quarter of an hour"),
    optional("team", Dict, "who pays: a team of the config, or `shared:` and the name of a pool; NULL is unattributed"),
    optional("environment", Dict, "as in `charges`"),
    optional("purpose", Dict, "as in `charges`"),
    optional("key", Dict, "name or fingerprint of the API key"),
    required("provider", Dict, "who bills, in lower case"),
    required("model", Dict, "the model that served the requests"),
    required("model_billed", Dict, "the price book's name for the model"),
    optional("tier", Dict, "the service tier as served"),
    required("operation", Dict, "as in `usage`"),
    required("basis", Dict, "as in `charges`; billed tokens are those of rows whose basis is not `free`"),
];

/// The columns of `rollup`.
pub static ROLLUP: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let counts = [
        required("requests", Int64, "how many requests"),
        required("errors", Int64, "how many of them have the status `error`"),
    ];
    let amounts = PRICED.iter().filter(|column| AMOUNTS.contains(&column.name));
    let marks = [
        required("unpriced_requests", Int64, "how many requests have no known cost"),
        required("estimated_requests", Int64, "how many were priced by a fallback"),
        required("estimated_cost", Decimal, "what those cost, in USD"),
    ];
    let quantities = METERS.iter().map(|info| quantity(info.meter));
    ROLLUP_KEYS.iter().copied().chain(counts).chain(quantities).chain(amounts.copied()).chain(marks).collect()
});

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn column_names_are_unique() {
        for table in [&*CHARGES, &*ROLLUP] {
            let names: HashSet<_> = table.iter().map(|column| column.name).collect();
            assert_eq!(names.len(), table.len());
        }
        assert_eq!(CHARGES.len(), USAGE.len() - PROVENANCE.len() + PRICED.len());
    }
}
