//! The CSV that comes with the mail: every number with all its digits.

use super::summary::{Spender, Summary};
use crate::{mail::Attachment, report::render::csv};

const COLUMNS: [&str; 6] = ["kind", "name", "of", "requests", "cost_usd", "cost_before_usd"];

/// One row per day, team, model, key and user, pools and reasons among them,
/// the sum, and for each key what providers report and no log shows.
pub(super) fn attachment(summary: &Summary, slug: &str) -> Attachment {
    let mut writer = csv_writer();
    let mut row = |cells: [&str; 6]| {
        // Memory takes whatever it is given.
        writer.write_record(cells).expect("a row of text fits into memory");
    };
    row(COLUMNS);
    let amounts = |requests: Option<i64>, cost: crate::money::Usd, before: crate::money::Usd| {
        [requests.map(|it| it.to_string()).unwrap_or_default(), cost.to_string(), before.to_string()]
    };
    let [requests, cost, before] = amounts(Some(summary.requests()), summary.cost, summary.cost_before);
    row(["total", "", "", &requests, &cost, &before]);
    for day in &summary.days {
        let [requests, cost, before] = amounts(None, day.cost, day.before);
        row(["day", &day.day.to_string(), "", &requests, &cost, &before]);
    }
    let kinds: [(&str, &[Spender]); 4] =
        [("team", &summary.teams), ("model", &summary.models), ("key", &summary.keys), ("user", &summary.users)];
    for (kind, spenders) in kinds {
        for spender in spenders {
            let name = |at: usize| spender.names.get(at).and_then(Option::as_deref).unwrap_or_default();
            let [requests, cost, before] = amounts(Some(spender.requests), spender.cost, spender.cost_before);
            row([kind, &csv::text(name(0)), &csv::text(name(1)), &requests, &cost, &before]);
        }
    }
    for (pool, [before, now]) in &summary.shared {
        let [requests, cost, before] = amounts(None, *now, *before);
        row(["shared", &csv::text(pool), "", &requests, &cost, &before]);
    }
    for it in &summary.missing.keys {
        let requests = Some(it.sum.requests).filter(|requests| *requests != 0);
        let [requests, cost, before] = amounts(requests, it.sum.cost, it.cost_before);
        let (key, team) = (it.key.as_deref().unwrap_or_default(), it.team.as_deref().unwrap_or_default());
        row(["unlogged", &csv::text(key), &csv::text(team), &requests, &cost, &before]);
    }
    if let Some(why) = summary.why {
        for (name, part) in ["volume", "mix", "cache", "price", "shared", "unlogged"].into_iter().zip(why.parts()) {
            // Where what no log shows is no spend, it explains nothing.
            if name != "unlogged" || summary.missing.is_spend {
                row(["change", name, "", "", &part.to_string(), ""]);
            }
        }
    }
    let bytes = writer.into_inner().unwrap_or_default();
    let first = summary.span.week.first;
    Attachment { file_name: format!("{slug}-{first}.csv"), content_type: "text/csv; charset=utf-8".to_owned(), bytes }
}

fn csv_writer() -> ::csv::Writer<Vec<u8>> {
    ::csv::Writer::from_writer(Vec::new())
}
