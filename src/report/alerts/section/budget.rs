//! What is told of budgets: a threshold, a forecast, a threshold that no longer
//! stands.

use super::{Context, Number, Section, actions, brief, capitalized, drivers, moment, short, who};
use crate::{
    budgets::{Forecast, Gap, Scope, Standing, Statement, Unforeseen},
    money::Usd,
    report::render::{Meter, Part, Table, Tone, words},
};

/// A budget at or above a threshold.
pub(super) fn threshold(statement: &Statement, level: u16, context: Context<'_>) -> Section {
    let standing = statement.standing();
    let (spend, budget, period) = (statement.spend, statement.budget(), &statement.period);
    let is_over = context.known_until >= period.until;
    let at_least = if statement.gaps.is_empty() { "" } else { "at least " };
    let amounts = format!("{} of {}", brief(spend), brief(budget));
    let share = share(statement);
    let headline = match (standing, is_over) {
        (Standing::Exceeded, false) => format!("{at_least}{share} of {} budget, exceeded: {amounts}", short(period)),
        (Standing::Exceeded, true) => format!("{} budget exceeded, {at_least}{share}: {amounts}", short(period)),
        (Standing::Reached, _) => format!("{at_least}{share} of {} budget, reached: {amounts}", short(period)),
        (_, false) => format!("{at_least}{share} of {} budget: {amounts}", short(period)),
        (_, true) => format!("{} ended at {at_least}{share} of its budget: {amounts}", short(period)),
    };
    let mut lead = vec![what_happened(statement, level, context)];
    lead.extend(known(statement));
    lead.push(what_is_next(statement, level, context));
    section("threshold", statement, headline, lead, context).with(
        Number::new("threshold_percent", i64::from(level)),
        context,
        statement,
    )
}

/// An open period that is to end above its budget.
pub(super) fn forecast(statement: &Statement, context: Context<'_>) -> Section {
    let period = &statement.period;
    let at_least = if statement.gaps.is_empty() { "" } else { "at least " };
    let expected = statement.forecast.projection().map_or(statement.spend, |it| it.spend);
    let percent = words::percent(crate::budgets::percent(expected, statement.budget()));
    let headline = format!(
        "{} is forecast to end at {at_least}{percent} of budget: {} of {}",
        short(period),
        brief(expected),
        brief(statement.budget())
    );
    let (who, _) = who(&statement.scope, context.config);
    let mut lead = vec![format!(
        "{} has spent {} of {} so far, {}. {}",
        capitalized(&who),
        statement.spend.shown(),
        statement.budget().shown(),
        share(statement),
        outlook(statement)
    )];
    lead.extend(known(statement));
    let section = section("forecast", statement, headline, lead, context);
    section.with(
        Number::new("forecast_percent", crate::budgets::percent(expected, statement.budget())),
        context,
        statement,
    )
}

/// A budget that was told to be at a threshold, and by a correction is not.
pub(super) fn withdrawn(
    statement: &Statement,
    (from, to, before): (u16, Option<u16>, Usd),
    context: Context<'_>,
) -> Section {
    let (who, tag) = who(&statement.scope, context.config);
    let period = &statement.period;
    let budget = statement.budget();
    let headline = format!(
        "withdrawn: {} budget is not at {from} %, it is at {}: {} of {}",
        short(period),
        share(statement),
        brief(statement.spend),
        brief(budget)
    );
    let stands = to.map_or_else(
        || "No threshold stands any more.".to_owned(),
        |to| format!("The threshold of {to} % still stands."),
    );
    let lead = vec![
        format!(
            "An earlier alert said that {who} had spent {from} % of its budget for {}. What is known of that period was \
             corrected: {} before, {} now. {stands}",
            words::period(period),
            before.shown(),
            statement.spend.shown()
        ),
        "Nothing is to be done. Should the spend rise to a withdrawn threshold again, you are told once more."
            .to_owned(),
    ];
    Section {
        kind: "withdrawn",
        name: statement.scope.name().unwrap_or_default().to_owned(),
        tag,
        period: Some(period.name.clone()),
        headline,
        lead,
        parts: vec![
            meter(statement),
            actions([format!(
                "See what moved: the runs in `runs/` list every amount that a new pricing changed, and `{}` shows where it stands.",
                command(statement, context)
            )]),
        ],
        numbers: vec![
            Number::new("threshold_percent", i64::from(from)),
            Number { before: Some(before.to_string()), ..Number::new("spend_usd", statement.spend) },
            Number::new("budget_usd", budget),
        ],
    }
}

/// What sections about a budget share: meter, facts, drivers, actions.
fn section(
    kind: &'static str,
    statement: &Statement,
    headline: String,
    lead: Vec<String>,
    context: Context<'_>,
) -> Section {
    let (_, tag) = who(&statement.scope, context.config);
    let mut parts = vec![meter(statement)];
    parts.extend(gaps(statement));
    Section {
        kind,
        name: statement.scope.name().unwrap_or_default().to_owned(),
        tag,
        period: Some(statement.period.name.clone()),
        headline,
        lead,
        parts,
        numbers: numbers(statement),
    }
}

impl Section {
    /// With its own number first, what drove it, and what to do.
    fn with(mut self, number: Number, context: Context<'_>, statement: &Statement) -> Self {
        self.numbers.insert(0, number);
        let against = super::as_much_before(statement, context.known_until);
        let last = short(&statement.calendar.before(&statement.period));
        let is_over = context.known_until >= statement.period.until;
        let note = if is_over { format!("Against {last}.") } else { format!("Against the same part of {last}.") };
        let driven = drivers(&statement.scope, against, (&format!("vs {last}"), &note), context);
        self.lead.insert(1, driven.sentence);
        self.lead.retain(|sentence| !sentence.is_empty());
        self.parts.extend(driven.parts);
        self.numbers.extend(driven.numbers);
        self.parts.push(facts(statement, context));
        self.parts.push(actions(what_to_do(statement, context)));
        self
    }
}

/// `82 %`; of a budget of nothing there is no percentage.
fn share(statement: &Statement) -> String {
    if statement.percent() == i64::MAX { "more than 100 %".to_owned() } else { words::percent(statement.percent()) }
}

fn what_happened(statement: &Statement, level: u16, context: Context<'_>) -> String {
    let (who, _) = who(&statement.scope, context.config);
    let period = words::period(&statement.period);
    let state = match statement.standing() {
        Standing::Exceeded => ": the budget is exceeded",
        Standing::Reached => ": the budget is reached to the last digit",
        Standing::Within | Standing::Unknown => "",
    };
    let since = context.reached_at.map_or_else(String::new, |at| {
        format!(" The threshold of {level} % was reached shortly before {}.", moment(at, statement.calendar))
    });
    format!(
        "{} has spent {} of its budget of {} for {period}{state}.{since}",
        capitalized(&who),
        statement.spend.shown(),
        statement.budget().shown()
    )
}

/// That it may be more.
fn known(statement: &Statement) -> Option<String> {
    (!statement.gaps.is_empty())
        .then(|| "How much it is exactly is not known: what is missing comes on top.".to_owned())
}

fn what_is_next(statement: &Statement, level: u16, context: Context<'_>) -> String {
    if context.known_until >= statement.period.until {
        return format!("{} is over: this is what it came to.", words::period(&statement.period));
    }
    let next = statement.thresholds.iter().find(|&&threshold| threshold > level);
    let next = next.map_or_else(
        || " There is no higher threshold: this is the last alert of this period.".to_owned(),
        |next| format!(" The next alert comes at {next} %."),
    );
    format!("{}{next}", outlook(statement))
}

/// Where the period is going to end.
fn outlook(statement: &Statement) -> String {
    let (projection, more) = match &statement.forecast {
        Forecast::Known(projection) => (projection, ""),
        Forecast::AtLeast(projection) => (projection, " or more"),
        Forecast::Unknown(Unforeseen::TooEarly) => {
            return "It is too early to say where the period will end.".to_owned();
        }
        Forecast::Unknown(_) => return "Where the period will end cannot be said.".to_owned(),
    };
    let range = if projection.low < projection.high {
        format!(" (four of five such periods: {} to {})", projection.low.shown(), projection.high.shown())
    } else {
        String::new()
    };
    let reaches = projection
        .reaches_at
        .map_or_else(String::new, |at| format!(" The budget is used up around {}.", moment(at, statement.calendar)));
    format!("At this pace the period ends at {}{more}{range}.{reaches}", projection.spend.shown())
}

fn meter(statement: &Statement) -> Part {
    let tone = match statement.standing() {
        Standing::Exceeded | Standing::Reached => Tone::Grave,
        _ if statement.percent() >= 80 => Tone::Warning,
        _ => Tone::Plain,
    };
    let note = statement
        .forecast
        .projection()
        .filter(|projection| projection.spend > statement.spend)
        .map_or_else(String::new, |projection| format!("forecast {}", projection.spend.shown()));
    Part::Meters {
        heading: String::new(),
        meters: vec![Meter {
            label: format!("Budget for {}", words::period(&statement.period)),
            value: format!("{} of {}", statement.spend.shown(), statement.budget().shown()),
            percent: statement.percent(),
            shown: share(statement),
            note,
            tone,
        }],
    }
}

fn gaps(statement: &Statement) -> Option<Part> {
    let gaps: Vec<String> = statement.gaps.iter().map(gap).collect();
    let text = format!("The state of this budget is unknown: {}.", words::list(&gaps));
    (!gaps.is_empty()).then_some(Part::Note { tone: Tone::Warning, text })
}

/// A gap in the data, with a name from a config that may be anything.
fn gap(gap: &Gap) -> String {
    match gap {
        Gap::Silent(silence) => {
            format!("nothing from the source {} since {}", words::name(&silence.source), words::instant(silence.since))
        }
        Gap::Unpriced { requests, of } => {
            format!("{} of {} have no price", words::signed(*requests), words::counted(*of, "request"))
        }
        Gap::Stale { .. } | Gap::Pruned { .. } => gap.to_string(),
    }
}

fn facts(statement: &Statement, context: Context<'_>) -> Part {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = Vec::new();
    if statement.rolled_over > Usd::ZERO {
        facts.push(fact("Left over from before, in the budget", statement.rolled_over.shown()));
    }
    match statement.remaining() {
        Some(left) if left >= Usd::ZERO => facts.push(fact("Left", left.shown())),
        Some(left) => {
            let over = Usd::ZERO.checked_sub(left).unwrap_or_default();
            facts.push(fact("Above the budget", over.shown()));
        }
        None => {}
    }
    for (pool, part) in &statement.lines.shared {
        facts.push(fact(&format!("Your part of the pool {}", words::name(pool)), part.shown()));
    }
    if statement.lines.unlogged > Usd::ZERO {
        facts.push(fact("Billed and in no log", statement.lines.unlogged.shown()));
    }
    if let Some(per_day) = statement.burn_per_day.filter(|_| context.known_until < statement.period.until) {
        facts.push(fact("Per day so far", per_day.shown()));
    }
    facts.push(fact("Requests", words::signed(statement.lines.requests)));
    if statement.lines.estimated_requests > 0 {
        let cost = statement.lines.estimated_cost.shown();
        facts.push(fact(
            "of which priced by an estimate",
            format!("{}, {cost}", words::signed(statement.lines.estimated_requests)),
        ));
    }
    if statement.lines.unpriced_requests > 0 {
        facts.push(fact("of which without a price", words::signed(statement.lines.unpriced_requests)));
    }
    facts.push(fact("Period begins", moment(statement.from, statement.calendar)));
    facts.push(fact("Period ends", moment(statement.period.until, statement.calendar)));
    Part::Table(Table::facts("The numbers", facts))
}

fn numbers(statement: &Statement) -> Vec<Number> {
    let mut numbers = vec![Number::new("spend_usd", statement.spend), Number::new("budget_usd", statement.budget())];
    if statement.percent() < i64::MAX {
        numbers.push(Number::new("percent", statement.percent()));
    }
    if let Some(projection) = statement.forecast.projection() {
        numbers.push(Number::new("forecast_usd", projection.spend));
        numbers.push(Number::new("forecast_low_usd", projection.low));
        numbers.push(Number::new("forecast_high_usd", projection.high));
    }
    let shared = statement.lines.shared.iter();
    numbers.extend(shared.map(|(pool, part)| Number { item: pool.clone(), ..Number::new("pool_cost_usd", *part) }));
    numbers.push(Number::new("requests", statement.lines.requests));
    numbers.push(Number::new("unpriced_requests", statement.lines.unpriced_requests));
    numbers.push(Number::new("estimated_requests", statement.lines.estimated_requests));
    numbers.push(Number::new("estimated_cost_usd", statement.lines.estimated_cost));
    numbers
}

fn what_to_do(statement: &Statement, context: Context<'_>) -> Vec<String> {
    let mut items = vec![format!("See what it was spent on: `{}`.", command(statement, context))];
    let is_used_up = statement.spend >= statement.budget();
    if matches!(statement.scope, Scope::Team(_)) && !is_used_up && context.known_until < statement.period.until {
        items.push(
            "Spend less: a smaller model for what does not need the large one, prompts that can be cached, the batch \
             tier for what can wait."
                .to_owned(),
        );
    }
    if matches!(statement.scope, Scope::Team(_) | Scope::Organization) {
        items.push(
            "Have the gateway refuse requests once the budget is used up: `spendbook export budget-state` writes the \
             file that it reads."
                .to_owned(),
        );
    }
    let setting = setting(&statement.scope);
    items.push(format!(
        "If the budget is too small: change {setting} in `spendbook.toml`. It applies from the open period on."
    ));
    items
}

/// Where the budget of a scope stands in the config.
fn setting(scope: &Scope) -> String {
    let name = words::name(scope.name().unwrap_or_default());
    match scope {
        Scope::Organization => "`monthly_budget_usd` or `[[organization.budget]]`".to_owned(),
        Scope::Team(_) => format!("`monthly_budget_usd` of `[teams.{name}]`, or its `[[teams.{name}.budget]]`,"),
        Scope::Key(_) => format!("the budget of the `[[key]]` {name}"),
        Scope::Model(_) => format!("the budget of `[models.\"{name}\"]`"),
    }
}

fn command(statement: &Statement, context: Context<'_>) -> String {
    let by = match statement.scope {
        Scope::Organization => "teams",
        Scope::Team(_) | Scope::Key(_) => "models",
        Scope::Model(_) => "keys",
    };
    // Periods of `top` are those of the book's zone.
    let zone = context.config.book.timezone;
    let beside = if statement.calendar.zone == zone { String::new() } else { format!(" ({zone} there)") };
    format!("spendbook top {by} --period {}{beside}", statement.period.name)
}
