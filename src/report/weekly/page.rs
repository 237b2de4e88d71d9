//! What the mail says of a week: the news first, then what it rests on, then
//! how far it is known. Pure.

use super::{
    known, parts,
    store::Figures,
    summary::{Summary, change},
};
use crate::{
    budgets::{Forecast, Scope, Standing, Statement},
    money::Usd,
    periods::{Period, PeriodSpan},
    report::render::{
        Footer, Page, Part, Tone,
        words::{self, counted},
    },
};

/// A mailed week that has another sum now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    pub span: PeriodSpan,
    pub mailed: Figures,
    pub now: Figures,
}

/// A week, or days between weeks, that no mail was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missed {
    pub span: PeriodSpan,
    pub figures: Figures,
}

/// What the mail tells beside its week.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Beside {
    pub moved: Vec<Moved>,
    pub missed: Vec<Missed>,
    /// Of the organization: mails that could not be delivered.
    pub failed_mails: Vec<String>,
    /// Prices as known then.
    pub priced_on: Option<crate::time::Instant>,
    /// Who gets it: `an owner of the team`.
    pub reader: String,
    pub organization: Option<String>,
}

/// The chart's content id.
pub(super) const CHART: &str = "days@spendbook";

impl Summary {
    /// Who it is about, as a name.
    pub(super) fn who(&self, beside: &Beside) -> String {
        match &self.scope {
            Scope::Team(team) => words::name(team),
            _ => beside.organization.as_deref().map_or_else(|| "The organization".to_owned(), words::name),
        }
    }

    /// `[chatbot] $41.20 in the week of 9 November 2026 (+12 %), 82 % of November 2026`.
    pub(super) fn subject(&self, beside: &Beside) -> String {
        let organization = beside.organization.as_deref().unwrap_or("organization");
        let label = words::short_name(self.scope.name().unwrap_or(organization));
        let change = self.change().map(|tenths| format!(" ({})", percent_moved(tenths))).unwrap_or_default();
        let budget = self.budgets.first().filter(|it| it.percent() < i64::MAX);
        let budget =
            budget.map(|it| format!(", {} of {}'s budget", words::percent(it.percent()), short_period(&it.period)));
        let week = short_week(&self.span.week);
        format!("[{label}] {week}: {}{change}{}", self.cost.shown(), budget.unwrap_or_default())
    }

    /// The whole page.
    pub(super) fn page(&self, beside: &Beside) -> Page {
        let who = self.who(beside);
        let days = words::days(self.span.week.first, self.span.week.end.previous());
        let mut lead: Vec<String> = beside.moved.iter().map(moved).collect();
        lead.extend(self.budgets.iter().filter(|it| it.period.until > self.span.week.from).take(2).map(budget));
        lead.extend(self.mostly());
        Page {
            label: format!("Weekly summary · {days}"),
            news: format!("{who} {}", self.news()),
            lead,
            parts: self.parts(beside),
            footer: self.footer(beside),
        }
    }

    fn news(&self) -> String {
        if self.cost == Usd::ZERO {
            let requests = self.requests();
            return match (requests, self.cost_before == Usd::ZERO) {
                (0, true) => "spent nothing, as in the week before".to_owned(),
                (0, false) => format!("spent nothing, after {} in the week before", self.cost_before.shown()),
                _ => format!("spent nothing on {}", counted(requests, "request")),
            };
        }
        let spent = format!("spent {}", self.cost.shown());
        let Some(tenths) = self.change() else { return format!("{spent}, and nothing in the week before") };
        match tenths {
            9_000.. => format!("{spent}, {} times as much as in the week before", tenths / 1000 + 1),
            10.. => format!("{spent}, {} more than in the week before", words::percent(tenths / 10)),
            ..=-10 => format!("{spent}, {} less than in the week before", words::percent(-tenths / 10)),
            _ => format!("{spent}, about as much as in the week before"),
        }
    }

    /// The reason that moved it most, where it moved by more than a hundredth.
    fn mostly(&self) -> Option<String> {
        self.change().filter(|tenths| tenths.abs() >= 10)?;
        let is_up = self.cost > self.cost_before;
        let named =
            ["volume", "mix of models and output", "caching", "prices", "shared keys", "requests that no log shows"];
        let in_direction = self.why?.parts().into_iter().zip(named).filter(|(part, _)| (*part > Usd::ZERO) == is_up);
        let (part, name) = in_direction.max_by_key(|(part, _)| part.pico().abs())?;
        let all = self.cost.checked_sub(self.cost_before)?;
        let absolute = |amount: Usd| if is_up { Some(amount) } else { Usd::ZERO.checked_sub(amount) };
        let (part, all) = (absolute(part)?, absolute(all)?);
        let than = if is_up { "more" } else { "less" };
        Some(match part.cmp(&all) {
            std::cmp::Ordering::Less => format!("Mostly {name}: {} of the {} {than}.", part.shown(), all.shown()),
            std::cmp::Ordering::Equal => format!("The whole change is {name}."),
            std::cmp::Ordering::Greater => {
                format!("Mostly {name}: {} {than}, of which other reasons took some back.", part.shown())
            }
        })
    }

    fn parts(&self, beside: &Beside) -> Vec<Part> {
        let mut all = vec![parts::figures(self)];
        all.extend(parts::notes(self));
        all.extend(parts::budgets(self));
        all.push(parts::chart(self));
        all.extend(parts::missed(beside));
        all.extend(parts::teams(self));
        all.extend(parts::why(self));
        all.extend(parts::models(self));
        all.extend(parts::keys(self));
        all.extend(parts::users(self));
        all.extend(parts::savings(self));
        all.extend(parts::violations(self));
        all.push(known::coverage(self));
        all.extend(known::failed_mails(beside));
        all
    }

    fn footer(&self, beside: &Beside) -> Footer {
        let Summary { span, .. } = self;
        let days = |span: &PeriodSpan| words::days(span.first, span.end.previous());
        let mut lines = vec![format!(
            "{}, days in {}, beside {}. Costs are exact sums of charges, rounded once to be shown; percents are rounded down.",
            days(&span.week),
            span.calendar.zone.name(),
            days(&span.before),
        )];
        let prices = beside.priced_on.map(|at| format!("Prices as known on {}. ", words::instant(at)));
        lines.push(format!("{}The attached CSV has every number with all its digits.", prices.unwrap_or_default()));
        lines.push(format!("You get this as {}. Who does is said in the config of Spendbook.", beside.reader));
        let team = match &self.scope {
            Scope::Team(team) => format!(" --team {}", shell(team)),
            _ => String::new(),
        };
        let command = format!("spendbook report weekly --week {}{team} --dry-run", span.week.name);
        Footer { lines, command }
    }
}

/// `+12 %`, of tenths; what is ten times as much and more as `×12`.
pub(super) fn percent_moved(tenths: i64) -> String {
    match tenths / 10 {
        0 => "±0 %".to_owned(),
        900.. => format!("×{}", words::signed(tenths / 1000 + 1)),
        whole @ 1.. => format!("+{}", words::percent(whole)),
        whole => format!("−{}", words::percent(-whole)),
    }
}

/// As a word of a command.
fn shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    if !word.is_empty() && word.chars().all(is_plain) && !word.starts_with('-') {
        word.to_owned()
    } else {
        format!("'{}'", words::plain(word).replace('\'', "'\\''"))
    }
}

/// `9 to 15 November`, without a year.
fn short_week(span: &PeriodSpan) -> String {
    let text = words::days(span.first, span.end.previous());
    text.rsplit_once(' ').map_or(text.clone(), |(days, _)| days.to_owned())
}

/// `November`, without a year where there is one.
pub(super) fn short_period(span: &PeriodSpan) -> String {
    let text = words::period(span);
    match span.kind {
        Some(Period::Month) => text.rsplit_once(' ').map_or(text.clone(), |(month, _)| month.to_owned()),
        _ => text,
    }
}

/// A sentence about a budget: where it stands, and what is to be expected.
fn budget(statement: &Statement) -> String {
    let period = short_period(&statement.period);
    let of = format!("{} of {period}'s {}", statement.spend.shown(), statement.budget().shown());
    let percent = words::percent(statement.percent());
    let over = || statement.spend.checked_sub(statement.budget()).unwrap_or_default().shown();
    let now = match statement.standing() {
        Standing::Exceeded => format!("The budget is exceeded by {}: {of} are spent ({percent}).", over()),
        Standing::Reached => format!("The budget is reached: {of} are spent."),
        Standing::Within => format!("{of} are spent ({percent})."),
        Standing::Unknown => format!("At least {of} are spent ({percent}): not everything is known."),
    };
    format!("{now}{}", outlook(statement).map(|text| format!(" {text}")).unwrap_or_default())
}

/// What the end of a budget's period will be, where that is not known yet.
fn outlook(statement: &Statement) -> Option<String> {
    let (projection, least) = match &statement.forecast {
        Forecast::Known(projection) => (projection, ""),
        Forecast::AtLeast(projection) => (projection, "at least "),
        Forecast::Unknown(_) => return None,
    };
    if projection.method == crate::budgets::Method::Over || statement.standing() == Standing::Exceeded {
        return None;
    }
    let end = words::day(statement.period.end.previous());
    let spend = format!("{least}{}", projection.spend.shown());
    let Some(at) = projection.reaches_at else {
        return Some(format!("At this pace it will be {spend} on {end}."));
    };
    let day = words::day(statement.calendar.day_of(at));
    Some(format!("At this pace the budget is reached on {day}, and it will be {spend} on {end}."))
}

/// How grave a budget's standing is.
pub(in crate::report) fn tone(statement: &Statement) -> Tone {
    match statement.standing() {
        Standing::Exceeded | Standing::Reached => Tone::Grave,
        _ if statement.forecast.projection().is_some_and(|it| it.spend > statement.budget()) => Tone::Warning,
        _ => Tone::Plain,
    }
}

/// What a mailed week was, what it is, and why.
fn moved(moved: &Moved) -> String {
    let Moved { span, mailed, now } = moved;
    let days = words::days(span.first, span.end.previous());
    format!(
        "Corrected: {days} was mailed as {} and is {} now, because {}.",
        mailed.cost.shown(),
        now.cost.shown(),
        because(mailed, now)
    )
}

/// What can be told from the stored figures of why a week moved.
fn because(mailed: &Figures, now: &Figures) -> String {
    let mut reasons = Vec::new();
    let more = now.requests - mailed.requests;
    match more {
        0 => {}
        1.. => reasons.push(format!("{} came in late or turned out to belong here", counted(more, "request"))),
        _ => reasons
            .push(format!("{} turned out to belong elsewhere, or to be the same as others", counted(-more, "request"))),
    }
    let priced = mailed.unpriced - now.unpriced;
    match priced {
        0 => {}
        1.. => reasons.push(format!("{} got a price", counted(priced, "request"))),
        _ => reasons.push(format!("{} lost their price", counted(-priced, "request"))),
    }
    if now.shared != mailed.shared {
        reasons.push(format!("the part of shared keys went from {} to {}", mailed.shared.shown(), now.shared.shown()));
    }
    if now.unlogged != mailed.unlogged {
        reasons.push(format!(
            "what providers report and no log shows went from {} to {}",
            mailed.unlogged.shown(),
            now.unlogged.shown()
        ));
    }
    if now.estimated_cost != mailed.estimated_cost {
        reasons.push(format!(
            "estimates went from {} to {}",
            mailed.estimated_cost.shown(),
            now.estimated_cost.shown()
        ));
    }
    if reasons.is_empty() {
        reasons.push("prices were corrected".to_owned());
    }
    words::list(&reasons)
}

/// By how much something moved, in dollars and percent.
pub(super) fn moved_by(now: Usd, before: Usd) -> String {
    let amount = now.checked_sub(before).unwrap_or_default();
    match change(now, before) {
        Some(_) if amount == Usd::ZERO => "as before".to_owned(),
        Some(tenths) => format!("{} ({})", words::moved(amount), percent_moved(tenths)),
        None if now == Usd::ZERO => "as before".to_owned(),
        None => "nothing before".to_owned(),
    }
}
