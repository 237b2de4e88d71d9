//! A journal of daily charges, for plain-text accounting: `hledger`, `ledger` and
//! programs that read theirs.
//!
//! A transaction is a day of the book's zone and a provider: each team's charges
//! are an expense, what they come to is owed to the provider. Amounts have all
//! their digits, so that a transaction sums to zero without any rounding, and an
//! account to what `top teams` tells of the period. Names from logs and config are
//! written so that none can be taken for another, or for syntax ([`word`]).
//!
//! Left out: teams' shares of pools, which are of whole periods and not of days.
//! A pool has an account of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    book::{Book, BookError, layout::DayTable, steadily},
    charges::Behind,
    config::KeptTable,
    floors::Floors,
    money::Usd,
    periods::{Calendar, PeriodSpan},
    report::{
        ReportError, freshness,
        sums::{self, By, Names, Query, Sum},
    },
    teams::SHARED,
    time::Day,
};

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("{0}: the sum of the costs is more than an amount can hold, look for a price that is wrong by many digits")]
    TooMuch(Day),
    #[error("a run kept replacing the totals: export them again when it is done")]
    Replaced,
}

/// What is asked for.
#[derive(Debug)]
pub struct Options {
    pub period: PeriodSpan,
    /// Whose days.
    pub calendar: Calendar,
    /// An account for each model below that of its team.
    pub by_model: bool,
}

/// A journal, and what is in it.
#[derive(Debug)]
pub struct Journal {
    pub text: String,
    pub unpriced: i64,
    pub behind: BTreeMap<Day, Behind>,
    /// The first day that is kept, where the period begins before it.
    pub pruned_until: Option<Day>,
}

/// Writes the journal of a period.
///
/// # Errors
/// Where the book cannot be read, or a sum is too large.
pub fn journal(book: &Book, options: &Options) -> Result<Journal, JournalError> {
    let period = &options.period;
    let entries = steadily(|| book.written_of(DayTable::Rollup), |_| Entries::read(book, options))?;
    let entries = entries.ok_or(JournalError::Replaced)?;
    let floor = Floors::read(book)?.of(KeptTable::Rollup);
    Ok(Journal {
        unpriced: entries.all.unpriced,
        text: entries.journal(options),
        behind: freshness::behind(book, period.from, period.until)?,
        pruned_until: floor.filter(|floor| period.from < floor.start()),
    })
}

/// The transactions, with what stands before them.
#[derive(Debug, Default)]
struct Entries {
    accounts: BTreeSet<String>,
    text: String,
    all: Sum,
}

impl Entries {
    fn read(book: &Book, options: &Options) -> Result<Self, JournalError> {
        let columns: &[_] =
            if options.by_model { &["provider", "team", "model_billed"] } else { &["provider", "team"] };
        let by = By::columns(columns);
        let mut entries = Self::default();
        let days = book.days(DayTable::Rollup)?;
        let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(entries) };
        // A zone's day reaches into the day of UTC before or after it.
        let mut day = options.period.first.max(first.previous());
        while day < options.period.end.min(last.next().next()) {
            let (from, until) = (options.calendar.start_of(day), options.calendar.start_of(day.next()));
            let sums = sums::of(book, Query { table: DayTable::Rollup, by: &by, from, until })?;
            entries.add(day, &sums).ok_or(JournalError::TooMuch(day))?;
            day = day.next();
        }
        Ok(entries)
    }

    /// Adds a day; `None` where a sum would not fit.
    fn add(&mut self, day: Day, sums: &BTreeMap<Names, Sum>) -> Option<()> {
        let mut of_providers: BTreeMap<&str, Vec<Payer<'_>>> = BTreeMap::new();
        for (names, sum) in sums {
            self.all.add(sum)?;
            let (provider, payer) = names.split_first()?;
            of_providers.entry(provider.as_deref().unwrap_or_default()).or_default().push((payer, sum));
        }
        for (provider, payers) in of_providers {
            let mut postings = Vec::new();
            let mut owed = Usd::ZERO;
            for (payer, sum) in payers {
                owed = owed.checked_add(sum.cost)?;
                postings.extend(expenses(payer, sum)?);
            }
            if postings.is_empty() {
                continue;
            }
            let account = format!("liabilities:llm:{}", word(provider));
            postings.push(Posting { account, amount: Usd::ZERO.checked_sub(owed)?, note: String::new() });
            self.text.push_str(&transaction(day, provider, &postings));
            self.accounts.extend(postings.into_iter().map(|posting| posting.account));
        }
        Some(())
    }

    fn journal(self, options: &Options) -> String {
        let PeriodSpan { name, .. } = &options.period;
        let zone = options.calendar.zone.name();
        let Sum { requests, unpriced, cost, estimated_cost, .. } = self.all;
        let mut text = format!(
            "; What LLM inference cost in {name}, by day ({zone}), written by `spendbook export hledger`.\n\
             ; {requests} requests, {} USD, of which {} USD are estimated; {unpriced} requests without a price are not \
             in it.\n\
             ; Computed from logs and prices, not from invoices: estimates until they are reconciled.\n\
             ; Exact to the last digit: `hledger balance -E -c '1000.00 USD'` shows cents.\n\n\
             commodity USD\n\
             tag estimated\n\
             tag unpriced\n",
            short(cost),
            short(estimated_cost),
        );
        for account in &self.accounts {
            text.push_str(&format!("account {account}\n"));
        }
        text + &self.text
    }
}

/// The names of a payer, and what its requests come to.
type Payer<'n> = (&'n [Option<String>], &'n Sum);

#[derive(Debug)]
struct Posting {
    account: String,
    amount: Usd,
    note: String,
}

/// What somebody's requests cost: what is known, and what is estimated. Nothing
/// where they cost nothing, but for requests of which that is not known.
fn expenses(payer: &[Option<String>], sum: &Sum) -> Option<Vec<Posting>> {
    let account = account(payer);
    let sure = sum.cost.checked_sub(sum.estimated_cost)?;
    let unpriced = if sum.unpriced > 0 { format!("unpriced: {}", sum.unpriced) } else { String::new() };
    let mut postings = Vec::new();
    if sum.estimated_cost != Usd::ZERO {
        postings.push(Posting { account: account.clone(), amount: sum.estimated_cost, note: "estimated:".to_owned() });
    }
    if sure != Usd::ZERO || !unpriced.is_empty() {
        postings.insert(0, Posting { account, amount: sure, note: unpriced });
    }
    Some(postings)
}

/// Of a team, and below it of a model where that is told.
fn account(payer: &[Option<String>]) -> String {
    let mut names = payer.iter().map(Option::as_deref);
    let mut account = "expenses:llm:".to_owned();
    match names.next().flatten() {
        None => account.push_str("unattributed"),
        Some(team) => match team.strip_prefix(SHARED) {
            Some(pool) => account.extend(["pools:", &word(pool)]),
            None => account.extend(["teams:", &word(team)]),
        },
    }
    for name in names {
        account.extend([":", &word(name.unwrap_or_default())]);
    }
    account
}

/// A name as a part of an account: letters, digits, a few signs and single blanks
/// inside stay, everything else becomes the `%XX` of its bytes, so that different
/// names stay different. What has no name is `%`.
fn word(name: &str) -> String {
    if name.is_empty() {
        return "%".to_owned();
    }
    let mut text = String::new();
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_blank = letter == ' ' && !text.is_empty() && !text.ends_with(' ') && letters.peek().is_some();
        if letter.is_alphanumeric() || "-_./@+&".contains(letter) || is_blank {
            text.push(letter);
            continue;
        }
        text.extend(letter.to_string().bytes().map(|byte| format!("%{byte:02X}")));
    }
    text
}

fn transaction(day: Day, provider: &str, postings: &[Posting]) -> String {
    let amounts: Vec<String> = postings.iter().map(|posting| short(posting.amount)).collect();
    let whole = |amount: &String| amount.find('.').unwrap_or(amount.len());
    let wide = postings.iter().map(|posting| posting.account.chars().count()).max().unwrap_or_default();
    let left = amounts.iter().map(whole).max().unwrap_or_default();
    let mut text = format!("\n{day} {} | LLM inference\n", word(provider));
    for (Posting { account, note, .. }, amount) in postings.iter().zip(&amounts) {
        let pad = " ".repeat(left - whole(amount));
        let blank = if note.is_empty() { "" } else { "  ; " };
        text.push_str(&format!("    {account:wide$}  {pad}{amount} USD{blank}{note}\n"));
    }
    text
}

/// All digits of an amount but for zeros at its end: at least cents.
fn short(amount: Usd) -> String {
    let text = amount.to_string();
    let cents = text.len() + 2 - Usd::SCALE as usize;
    let (shown, rest) = text.split_at(cents);
    format!("{shown}{}", rest.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_syntax_and_stays_itself() {
        for (name, expect) in [
            ("llama-3.3-70b-versatile", "llama-3.3-70b-versatile"),
            ("openai/gpt-oss-120b", "openai/gpt-oss-120b"),
            ("deepseek/r1:free", "deepseek/r1%3Afree"),
            ("Größe & Söhne", "Größe & Söhne"),
            ("a  b", "a %20b"),
            (" a ", "%20a%20"),
            ("100%3A", "100%253A"),
            ("(x); [y]\n", "%28x%29%3B %5By%5D%0A"),
            ("", "%"),
        ] {
            assert_eq!(word(name), expect, "{name:?}");
        }
    }

    #[test]
    fn an_amount_keeps_its_digits() {
        for (amount, expect) in
            [("0", "0.00"), ("1.5", "1.50"), ("-12.345", "-12.345"), ("0.000000000001", "0.000000000001")]
        {
            assert_eq!(short(Usd::parse(amount).unwrap()), expect);
        }
    }

    #[test]
    fn what_is_estimated_or_not_known_is_said() {
        let usd = |text| Usd::parse(text).unwrap();
        let check = |cost, estimated_cost, unpriced, expect: &[(&str, &str)]| {
            let sum = Sum { cost: usd(cost), estimated_cost: usd(estimated_cost), unpriced, ..Sum::default() };
            let postings = expenses(&[Some("chat".to_owned())], &sum).unwrap();
            let found: Vec<_> = postings.iter().map(|it| (short(it.amount), it.note.as_str())).collect();
            let found: Vec<_> = found.iter().map(|(amount, note)| (amount.as_str(), *note)).collect();
            assert_eq!(found, expect);
        };
        check("0", "0", 0, &[]);
        check("3", "0", 0, &[("3.00", "")]);
        check("3", "1", 0, &[("2.00", ""), ("1.00", "estimated:")]);
        check("1", "1", 2, &[("0.00", "unpriced: 2"), ("1.00", "estimated:")]);
        check("0", "0", 2, &[("0.00", "unpriced: 2")]);
    }

    #[test]
    fn teams_pools_and_nobody_have_accounts_apart() {
        let check = |payer: &[Option<&str>], expect| {
            let payer: Vec<_> = payer.iter().map(|name| name.map(str::to_owned)).collect();
            assert_eq!(account(&payer), expect);
        };
        check(&[Some("chat")], "expenses:llm:teams:chat");
        check(&[Some("shared:chat")], "expenses:llm:pools:chat");
        check(&[None], "expenses:llm:unattributed");
        check(&[Some("unattributed"), Some("m:1")], "expenses:llm:teams:unattributed:m%3A1");
    }
}
