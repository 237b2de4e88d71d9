//! The columns of `unlogged`.

use std::sync::LazyLock;

use super::{
    Column,
    ColumnType::{Decimal, Dict, Int64, Timestamp},
    METERS, optional, quantity, required,
};

/// What providers report and no log shows, in the order in which it is written.
pub static UNLOGGED: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let before = [
        required("bucket_start", Timestamp, "the first instant of the UTC day"),
        required("provider", Dict, "who bills, in lower case"),
        required("source", Dict, "name of the source that told it: of several, the one that tells most names apart"),
        optional(
            "key",
            Dict,
            "name, fingerprint or the provider's id of the API key; NULL where it does not tell keys",
        ),
        optional("project", Dict, "the provider's project; NULL where it does not tell any"),
        optional("model", Dict, "the price book's name for the model; NULL where it does not tell models"),
        optional("team", Dict, "whose key it is, as in `charges`"),
        optional("environment", Dict, "as in `charges`"),
        optional("purpose", Dict, "as in `charges`"),
        required("team_basis", Dict, "how the team was found: `registry`, `convention` or `none`"),
        optional("owner", Dict, "who answers for the key, by the registry"),
        optional("requests", Int64, "how many requests more than our logs show; NULL where it does not count them"),
    ];
    let after = [
        optional("total_tokens", Int64, "all tokens, where the provider does not say which are input and which output"),
        optional("cost", Decimal, "what that cost or will have cost, in USD; NULL where nobody knows"),
        required(
            "cost_basis",
            Dict,
            "where the cost is from: `charges`, what our own requests of the same names paid; `prices`, the price book; \
             `reported`, the provider's own amount; or `unknown`",
        ),
    ];
    before.into_iter().chain(METERS.iter().map(|info| quantity(info.meter))).chain(after).collect()
});
