//! The columns of `totals`.

use std::sync::LazyLock;

use super::{
    Column,
    ColumnType::{Decimal, Dict, Int64, Timestamp},
    METERS, optional, quantity, required,
};

/// What a provider said in sum, in the order in which it is written.
pub static TOTALS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let before = [
        required("source", Dict, "name of the source that told it"),
        required("provider", Dict, "who bills, in lower case"),
        required("bucket_start", Timestamp, "the first instant that the line is about"),
        required(
            "bucket_end",
            Timestamp,
            "the first instant that it is no longer about; where that is after the day of the file, the line is \
             about several days and stands on the first",
        ),
        optional(
            "covers_until",
            Timestamp,
            "how far the line reaches, where its time was not over when it was told: such a day is never reconciled; \
             NULL where it was over",
        ),
        required(
            "fetched_at",
            Timestamp,
            "when these values were first told; asked again, the same answer changes nothing",
        ),
        required("measure", Dict, "`usage` tells quantities, `cost` money, `both` the two"),
        optional("key", Dict, "name of the API key, as the provider or `[[key]]` has it; never the key itself"),
        optional("key_id", Dict, "the provider's id of the API key"),
        optional("project", Dict, "the provider's project or workspace"),
        optional("user", Dict, "the provider's id of the user, or what `[privacy]` leaves of it"),
        optional(
            "model",
            Dict,
            "the model as the provider names it; as all names before and after it, NULL is a sum over all",
        ),
        optional("tier", Dict, "the service tier, spelt as in `usage`"),
        optional("line_item", Dict, "what the provider calls the line: of a bill, or the kind of usage"),
        optional("requests", Int64, "how many requests"),
    ];
    let after = [
        optional("total_tokens", Int64, "all tokens, where the provider does not say which are input and which output"),
        optional("cost", Decimal, "what the provider says it cost, in USD, from its own digits"),
        required("quality", Dict, "`reported`, or `estimated` where it was put together from samples"),
    ];
    before.into_iter().chain(METERS.iter().map(|info| quantity(info.meter))).chain(after).collect()
});
