//! What is told of everything but budgets.

use super::{Context, Number, Section, actions, argument, brief, capitalized, day_range, drivers, who};
use crate::{
    audit::ViolationKind,
    config::Config,
    money::Usd,
    report::{
        alerts::{
            drivers::Against,
            event::Count,
            facts::{Broken, Rotation, Silent, Spike, Unpriced},
        },
        render::{Column, Figure, Part, Row, Table, Tone, words},
    },
    secrets,
    time::{Day, Instant, span_text},
};

const WEEK: i64 = 7 * 86_400_000_000;

pub(super) fn spike(spike: &Spike, context: Context<'_>) -> Section {
    let (who, tag) = who(&spike.scope, context.config);
    let day = words::day(spike.day);
    let is_over = context.known_until >= spike.until;
    let so_far = if is_over { "" } else { " so far" };
    let headline = format!("{} on {day}{so_far}, usually {} a day", brief(spike.spend), brief(spike.median));
    let figure = |label: &str, value: String, note: &str, tone| Figure {
        label: label.to_owned(),
        value,
        note: note.to_owned(),
        tone,
    };
    let back = |at: Instant| at.plus_micros(-WEEK);
    let against = Against { now: (spike.from, spike.until), before: (back(spike.from), back(spike.until)) };
    let before = words::weekday(Day::from_days(spike.day.days() - 7));
    let driven =
        drivers(&spike.scope, against, (&format!("vs {before}"), "Against the same day of the week before."), context);
    let mut parts = vec![Part::Figures {
        figures: vec![
            figure(&format!("Spent on {day}{so_far}"), spike.spend.shown(), "", Tone::Warning),
            figure("Usually a day", spike.median.shown(), "median of the last 28 days", Tone::Plain),
        ],
    }];
    parts.extend(driven.parts);
    let command = format!("spendbook top keys --period {}", spike.day);
    parts.push(actions([
        format!("See which key it was: `{command}`, and `spendbook top users --period {}`.", spike.day),
        "If it was meant to be (a launch, a batch job), nothing is to be done: after a day without a spike the next one \
         is told again."
            .to_owned(),
        "If not: revoke the key, or limit it with `rate_limit_tpm` and have the gateway enforce it.".to_owned(),
    ]));
    let mut numbers = vec![
        Number::new("spend_usd", spike.spend),
        Number::new("usual_usd", spike.median),
        Number::new("limit_usd", spike.limit),
    ];
    numbers.extend(driven.numbers);
    Section {
        kind: "spike",
        name: spike.scope.name().unwrap_or_default().to_owned(),
        tag,
        period: Some(spike.day.to_string()),
        headline,
        lead: [format!(
            "{} spent {} on {day}{so_far}. Usual is {} a day; a day above {} is told as a spike: that is far beyond \
             what days differ by.",
            capitalized(&who),
            spike.spend.shown(),
            spike.median.shown(),
            spike.limit.shown()
        ), driven.sentence].into_iter().filter(|sentence| !sentence.is_empty()).collect(),
        parts,
        numbers,
    }
}

pub(super) fn silent(silent: &Silent, config: &Config) -> Section {
    let name = words::name(&silent.source);
    let since = words::instant(silent.since);
    let may_be = format!("It may be silent for {}.", span_text(silent.limit_micros));
    let concerned: Vec<String> =
        silent.of.iter().map(|scope| scope.name().map_or_else(|| "the organization".to_owned(), words::name)).collect();
    let (headline, mut lead, look, measure) = if silent.was_heard {
        let last = format!("The last request that the source {name} shows is of {since}. {may_be}");
        let look = "Look whether the gateway still writes its log, and whether it reaches the path that the source \
                    names: `spendbook doctor`.";
        (format!("nothing since {since}"), vec![last], look, "last_heard")
    } else {
        let headline = format!("no run since {since} found a request of it");
        let nothing = format!("Nothing of the source {name} is in the book, and {headline}. {may_be}");
        let look = "Run `spendbook doctor`: it says what it finds there, whether that can be read, and whether it is \
                    in the format that is named.";
        let lead = [Some(nothing), place(silent, config)].into_iter().flatten().collect();
        (headline, lead, look, "sought_since")
    };
    if !concerned.is_empty() {
        let more = concerned.len().saturating_sub(5);
        let shown = concerned.iter().take(5).cloned().collect::<Vec<_>>();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lead.push(format!(
            "Until it is heard again, these budgets are unknown, since a part of their spend came from it: {}{more}.",
            words::list(&shown)
        ));
    }
    Section {
        kind: "silent_source",
        name: silent.source.clone(),
        tag: format!("source {name}"),
        period: None,
        headline,
        lead,
        parts: vec![actions([
            look.to_owned(),
            "If the source is meant to be quiet for longer: set `silent_after` of the source, such as `\"8d\"`."
                .to_owned(),
            "If it is gone for good: take the `[[source]]` out of `spendbook.toml`. What was read stays.".to_owned(),
        ])],
        numbers: vec![
            Number::new(measure, silent.since),
            Number::new("silent_after_seconds", silent.limit_micros / 1_000_000),
        ],
    }
}

/// Where a source is looked for.
fn place(silent: &Silent, config: &Config) -> Option<String> {
    let source = config.sources.iter().find(|source| source.name == silent.source)?;
    Some(match &source.remote {
        Some(remote) => format!("It is asked at {}.", words::plain(&secrets::redact(&remote.url))),
        None => format!(
            "Its files are looked for at `{}`, which is relative to the directory of `spendbook.toml`.",
            words::plain(&source.path)
        ),
    })
}

pub(super) fn unpriced(unpriced: &Unpriced) -> Section {
    let (provider, model) = (words::name(&unpriced.provider), words::name(&unpriced.model));
    let requests = words::counted(unpriced.requests, "request");
    let (headline, what) = match unpriced.estimate {
        None => (
            format!("no price for {requests}"),
            format!(
                "The price book has no price for {requests} to the model {model} of {provider} in the last seven days: \
                 their cost is not known, and in no total."
            ),
        ),
        Some(estimate) => (
            format!("no price of its own: {requests} are estimated at {}", brief(estimate)),
            format!(
                "The price book does not have the model {model} of {provider}. The fallback price makes {} of {requests} \
                 in the last seven days: an estimate.",
                estimate.shown()
            ),
        ),
    };
    let mut numbers = vec![Number::new("requests", unpriced.requests)];
    numbers.extend(unpriced.estimate.map(|estimate| Number::new("estimated_cost_usd", estimate)));
    Section {
        kind: "unpriced",
        name: format!("{} {}", unpriced.provider, unpriced.model),
        tag: format!("model {model}"),
        period: None,
        headline,
        lead: vec![what],
        parts: vec![actions([
            format!(
                "Add its prices to `pricing/{provider}.csv` with the day from which they are valid: the next run prices \
                 those requests, and only those. `pricing/README.md` says how."
            ),
            "If it is another name of a model that has prices: add it to `pricing/aliases.csv`.".to_owned(),
            "If nobody should use it: leave it out of `allowed_models`.".to_owned(),
        ])],
        numbers,
    }
}

pub(super) fn violations(team: Option<&str>, days: (Day, Day), kinds: &Broken) -> Section {
    let total: i64 = kinds.values().map(|count| count.number).sum();
    let tag = team.map_or_else(|| "unattributed".to_owned(), words::name);
    let whose = team.map_or_else(|| "requests of nobody".to_owned(), |team| format!("the team {}", words::name(team)));
    // What has no price has no cost here either: that is not nothing.
    let cost = |count: &Count| if count.cost == Usd::ZERO { String::new() } else { count.cost.shown() };
    let kind_name = |kind: &ViolationKind| kind.name().replace('_', " ");
    let row =
        |(kind, count): (&ViolationKind, &Count)| Row::new([kind_name(kind), words::signed(count.number), cost(count)]);
    let command = format!("spendbook audit --from {} --to {}", days.0, days.1);
    let numbers = kinds.iter().flat_map(|(kind, count)| {
        let item = || kind.name().to_owned();
        [
            Number { item: item(), ..Number::new("violations", count.number) },
            Number { item: item(), ..Number::new("violations_cost_usd", count.cost) },
        ]
    });
    Section {
        kind: "violations",
        name: team.unwrap_or_default().to_owned(),
        tag,
        period: Some(format!("{}..{}", days.0, days.1.next())),
        headline: format!("{} of policy, {}", words::counted(total, "violation"), day_range(days)),
        lead: vec![format!(
            "The audit found {} in {whose} that nobody has been told of.",
            words::counted(total, "violation")
        )],
        parts: vec![
            Part::Table(Table {
                heading: "What broke the policy".to_owned(),
                note: String::new(),
                columns: vec![Column::text("kind"), Column::number("number"), Column::number("cost")],
                rows: kinds.iter().map(row).collect(),
                more: String::new(),
            }),
            actions(
                std::iter::once(format!("See each of them, with key, user and request: `{command}`."))
                    .chain(kinds.keys().map(|kind| format!("{}: {}.", kind_name(kind), kind.remedy())))
                    .collect::<Vec<_>>(),
            ),
        ],
        numbers: numbers.collect(),
    }
}

pub(super) fn unattributed(days: (Day, Day), count: Count, all: Count) -> Section {
    let requests = words::counted(count.number, "request");
    let share = |part: i128, whole: i128| {
        if whole > 0 { i64::try_from(part.saturating_mul(1_000) / whole).unwrap_or_default() } else { 0 }
    };
    let of_cost = share(count.cost.pico(), all.cost.pico());
    Section {
        kind: "unattributed",
        name: String::new(),
        tag: "unattributed".to_owned(),
        period: Some(format!("{}..{}", days.0, days.1.next())),
        headline: format!("{requests} of nobody for {}", brief(count.cost)),
        lead: vec![format!(
            "{requests} of {} cannot be attributed to a team: {} as far as it has a price, {} of all that was spent then. \
             It is in the spend of the organization, and in that of no team.",
            day_range(days),
            count.cost.shown(),
            words::tenths(of_cost)
        )],
        parts: vec![actions([
            "See which keys they were made with, and whose those may be: `spendbook keys`.".to_owned(),
            "Register the key as a `[[key]]` with its team, or call keys `{team}-{environment}`: past requests become the \
             team's, too."
                .to_owned(),
            "If nobody knows the key: revoke it.".to_owned(),
        ])],
        numbers: vec![
            Number { item: "unattributed".to_owned(), ..Number::new("requests", count.number) },
            Number { item: "unattributed".to_owned(), ..Number::new("cost_usd", count.cost) },
            Number { item: "all".to_owned(), ..Number::new("requests", all.number) },
            Number { item: "all".to_owned(), ..Number::new("cost_usd", all.cost) },
        ],
    }
}

pub(super) fn rotation(rotation: &Rotation) -> Section {
    let key = words::name(&rotation.key);
    let age = rotation.days.map_or_else(
        || "in use for more than 90 days".to_owned(),
        |days| format!("{} old", words::counted(days, "day")),
    );
    Section {
        kind: "key_rotation",
        name: rotation.key.clone(),
        tag: format!("key {key}"),
        period: None,
        headline: format!("{age}, to be rotated"),
        lead: vec![format!(
            "The key {key}{} is {age} and still used. The longer a key lives, the more places have it.",
            rotation.team.as_deref().map_or_else(String::new, |team| format!(" of {}", words::name(team)))
        )],
        parts: vec![actions([
            "Make a new key at the provider or the gateway, and register it as a `[[key]]` with `replaces` and the name of \
             this one and `valid_from`."
                .to_owned(),
            format!(
                "When the new one is in use: `spendbook keys --safe-to-delete {}` says when nobody needs the old one.",
                argument(&rotation.key, "KEY")
            ),
        ])],
        numbers: rotation.days.map(|days| Number::new("age_days", days)).into_iter().collect(),
    }
}
