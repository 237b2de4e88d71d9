//! `[[key]]` and `[pools.X]`: which key belongs to whom, and when.
//!
//! A name may be registered several times as long as no instant belongs to
//! two of them. What a key is at a given time is decided elsewhere; here only
//! that there is one answer.

use std::collections::BTreeMap;

use super::{
    budgets::{Above, Budget, Policy, Team, budgets, read_policy},
    document::Span,
    problem::{Problem, nearest, quoted, toml_key},
    reader::{Item, Table},
};
use crate::{money::Usd, secrets, time::Instant};

/// One `[[key]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub name: String,
    pub holder: Holder,
    pub environment: Option<String>,
    pub purpose: Option<String>,
    /// The provider's or gateway's project.
    pub project: Option<String>,
    /// `[valid_from, valid_until)`; open where absent.
    pub valid_from: Option<Instant>,
    pub valid_until: Option<Instant>,
    /// `fp_` and 12 hex digits: what stands in the logs where the key itself stood.
    pub fingerprint: Option<String>,
    /// The provider's own id of the key, by which its reports name it.
    pub key_id: Option<String>,
    /// The name of the key that this one takes over from.
    pub replaces: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    pub policy: Policy,
    /// Of all entries of a name, one may have budgets: they are the key's.
    pub budgets: Vec<Budget>,
}

impl Key {
    /// In how many ways logs and reports may show a key.
    pub const WAYS_SHOWN: usize = 3;

    /// The texts by which logs and reports may show it: its name, its
    /// fingerprint and the provider's id of it. Where two keys have the same
    /// text, it is that of the one that comes first in this order.
    pub fn shown_as(&self) -> [Option<&str>; Self::WAYS_SHOWN] {
        [Some(&self.name), self.fingerprint.as_deref(), self.key_id.as_deref()]
    }
}

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    Team(String),
    /// A key that several teams share.
    Pool(String),
}

/// `[pools.X]`: how the cost of shared keys is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pub name: String,
    /// Each team's share in millionths of a percent; they sum to [`Pool::WHOLE`].
    pub shares: BTreeMap<String, i64>,
}

impl Pool {
    /// 100 %, in millionths of a percent.
    pub const WHOLE: i64 = 100_000_000;
}

/// What keys and pools refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) teams: &'a BTreeMap<String, Team>,
    /// Names, also where what stands under them could not be read.
    pub(super) team_names: &'a [(String, Span)],
    /// What the budgets of a shared key have.
    pub(super) above: Above<'a>,
}

impl<'a> Known<'a> {
    /// What the budgets of a key have where they say nothing else.
    fn above(self, holder: Option<&Holder>) -> Above<'a> {
        let team = match holder {
            Some(Holder::Team(team)) => self.teams.get(team),
            _ => None,
        };
        team.map_or(self.above, |team| Above { timezone: team.timezone, thresholds: &team.thresholds })
    }

    /// Notes a team that there is none of.
    fn check_team(self, name: &str, at: Span, table: &Table<'_>) {
        if self.team_names.iter().any(|(known, _)| known == name) && !self.is_former(name) {
            return;
        }
        let renamed = self.teams.values().find(|team| team.formerly.iter().any(|former| former == name));
        let suggestion =
            renamed.map(|team| team.name.clone()).or_else(|| nearest(name, self.teams.keys().map(String::as_str)));
        table.add(at, Problem::UnknownTeam { found: name.to_owned(), suggestion });
    }

    fn is_former(self, name: &str) -> bool {
        !self.teams.contains_key(name) && self.teams.values().any(|team| team.formerly.iter().any(|it| it == name))
    }
}

pub(super) fn read_pools(pools: &Table<'_>, known: Known<'_>) -> BTreeMap<String, Pool> {
    let mut read = BTreeMap::new();
    for (name, span, item) in pools.named() {
        if name.trim().is_empty() || name.trim() != name || name.chars().any(char::is_control) {
            pools.add(
                span,
                Problem::BadValue {
                    field: "the name of a pool".to_owned(),
                    found: name.to_owned(),
                    expected: "a name on one line without spaces around it".to_owned(),
                    suggestion: None,
                },
            );
        }
        let table = item.table(&format!("[pools.{}]", toml_key(&secrets::redact(name)))).and_then(|mut table| {
            if !table.has_table("shares") {
                return Some(table);
            }
            let inner = table.table("shares");
            table.finish();
            inner
        });
        // A pool that cannot be read has been noted; that there is none would be wrong.
        let shares = table.map(|table| read_shares(&table, name, span, known)).unwrap_or_default();
        read.insert(name.to_owned(), Pool { name: name.to_owned(), shares });
    }
    read
}

/// `chatbot = 60` for each team, in the pool's table or in `shares` inside it.
fn read_shares(table: &Table<'_>, pool: &str, span: Span, known: Known<'_>) -> BTreeMap<String, i64> {
    let mut shares = BTreeMap::new();
    let mut is_whole = true;
    for (team, team_span, item) in table.named() {
        known.check_team(team, team_span, table);
        match percent(&item) {
            Some(share) => _ = shares.insert(team.to_owned(), share),
            None => is_whole = false,
        }
    }
    let sum: i64 = shares.values().sum();
    // One that could not be read has been noted; what the rest sums to says nothing.
    if is_whole && sum != Pool::WHOLE {
        table.add(span, Problem::SharesSum { pool: pool.to_owned(), sum: shown_percent(sum) });
    }
    shares
}

/// A share above 0 and up to 100, with at most six digits after the point.
fn percent(item: &Item<'_>) -> Option<i64> {
    const PICO_PER_MILLIONTH: i128 = 1_000_000;
    let expected = "a share in percent like `60` or `\"33.34\"`";
    if item.is_whole() {
        return item.whole(1, 100).map(|percent| percent * 1_000_000);
    }
    let text = item.raw_text().unwrap_or_default();
    // Any exact decimal type will do; the one for money is at hand.
    let pico = Usd::parse(text).ok().map(Usd::pico).filter(|pico| pico % PICO_PER_MILLIONTH == 0);
    let share = pico
        .and_then(|pico| i64::try_from(pico / PICO_PER_MILLIONTH).ok())
        .filter(|share| (1..=Pool::WHOLE).contains(share));
    if share.is_none() {
        item.bad(expected, None);
    }
    share
}

fn shown_percent(millionths: i64) -> String {
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A key with the places that later checks point to.
struct Placed {
    key: Key,
    name: Span,
    fingerprint: Option<Span>,
    key_id: Option<Span>,
}

pub(super) fn read_keys(tables: Vec<Table<'_>>, known: Known<'_>, pools: &BTreeMap<String, Pool>) -> Vec<Key> {
    let mut read: Vec<Placed> = Vec::new();
    for table in tables {
        if let Some(placed) = read_key(table, known, pools, &read) {
            read.push(placed);
        }
    }
    read.into_iter().map(|placed| placed.key).collect()
}

fn read_key(
    mut table: Table<'_>,
    known: Known<'_>,
    pools: &BTreeMap<String, Pool>,
    earlier: &[Placed],
) -> Option<Placed> {
    let name = table.required("name", "the name of the key as logs have it");
    let holder = holder(&mut table, known, pools);
    let (valid_from, valid_until) = validity(&mut table);
    let fingerprint = table.get("fingerprint");
    let key_id = table.get("key_id");
    let replaces = table.get("replaces");
    let text = |item: Option<Item<'_>>| item.and_then(|item| item.string());
    let key = Key {
        name: name.as_ref().and_then(Item::string).unwrap_or_default(),
        holder: holder.clone().unwrap_or(Holder::Team(String::new())),
        environment: text(table.get("environment")),
        purpose: text(table.get("purpose")),
        project: text(table.get("project")),
        valid_from,
        valid_until,
        fingerprint: fingerprint.as_ref().and_then(read_fingerprint),
        key_id: key_id.as_ref().and_then(read_key_id),
        replaces: replaces.as_ref().and_then(Item::string),
        owner: text(table.get("owner")),
        policy: read_policy(&mut table),
        budgets: budgets(&mut table, known.above(holder.as_ref())),
    };
    if let Some(item) = replaces.filter(|_| key.replaces.as_ref() == Some(&key.name)) {
        item.add(Problem::Conflict {
            found: "`replaces` names the key itself".to_owned(),
            expected: "the name of the key that this one takes over from".to_owned(),
        });
    }
    let name = name.map_or(table.span(), |item| item.span);
    let (fingerprint, key_id) = (fingerprint.map(|item| item.span), key_id.map(|item| item.span));
    let placed = Placed { key, name, fingerprint, key_id };
    check_overlap(&table, &placed, earlier);
    let key = &placed.key;
    check_budgets(&table, key, name, earlier);
    table.finish();
    // A key of nobody is kept for the checks of the keys after it; it has been noted.
    (!key.name.is_empty()).then_some(placed)
}

/// A budget is of a key by its name, whatever its entries: what stands in two
/// of them would be one budget twice, or two that look like one.
fn check_budgets(table: &Table<'_>, key: &Key, at: Span, earlier: &[Placed]) {
    let has_budgets = |key: &Key| !key.budgets.is_empty();
    let same = |other: &&Placed| other.key.name == key.name && has_budgets(&other.key);
    if let Some(other) = earlier.iter().find(same).filter(|_| has_budgets(key)) {
        let span = table.span_of("monthly_budget_usd").or_else(|| table.span_of("budget")).unwrap_or(at);
        let line = table.line(other.name);
        table.add(
            span,
            Problem::Conflict {
                found: format!("the key {} has budgets in another entry too, on line {line}", quoted(&key.name)),
                expected: "all of them in one entry, with `valid_from` where they change".to_owned(),
            },
        );
    }
}

/// Exactly one of `team` and `pool`.
fn holder(table: &mut Table<'_>, known: Known<'_>, pools: &BTreeMap<String, Pool>) -> Option<Holder> {
    match (table.get("team"), table.get("pool")) {
        (Some(team), None) => {
            let name = team.text()?;
            known.check_team(name, team.span, table);
            Some(Holder::Team(name.to_owned()))
        }
        (None, Some(pool)) => {
            let name = pool.text()?;
            if !pools.contains_key(name) {
                let suggestion = nearest(name, pools.keys().map(String::as_str));
                pool.add(Problem::UnknownPool { found: name.to_owned(), suggestion });
            }
            Some(Holder::Pool(name.to_owned()))
        }
        (Some(_), Some(pool)) => {
            pool.add(Problem::Conflict {
                found: "both `team` and `pool` are there".to_owned(),
                expected: "one of them".to_owned(),
            });
            None
        }
        (None, None) => {
            table.missing("team", "the team that the key belongs to, or `pool` for a shared key");
            None
        }
    }
}

fn validity(table: &mut Table<'_>) -> (Option<Instant>, Option<Instant>) {
    let from = table.get("valid_from").and_then(|item| item.instant());
    let until_item = table.get("valid_until");
    let until = until_item.as_ref().and_then(Item::instant);
    if let (Some(from), Some(until), Some(item)) = (from, until, until_item)
        && until <= from
    {
        item.add(Problem::ReversedDates {
            from_field: "`valid_from`",
            from: from.to_string(),
            until_field: "`valid_until`",
            until: until.to_string(),
        });
    }
    (from, until)
}

/// `fp_` and 12 hex digits; a whole SHA-256 becomes that.
fn read_fingerprint(item: &Item<'_>) -> Option<String> {
    let expected = "`fp_` and 12 hex digits, as logs and `spendbook keys` show it, or a SHA-256 in hex";
    let text = item.text_of(expected)?;
    let known = secrets::redact_key(text);
    let is_hash = known.strip_prefix("fp_").is_some_and(|hex| {
        hex.len() == 12 && hex.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
    });
    if is_hash && secrets::redact(text) != text {
        item.add(Problem::Secret { advice: format!("write its fingerprint instead: `fingerprint = \"{known}\"`") });
        return None;
    }
    if !is_hash {
        item.bad(expected, None);
        return None;
    }
    Some(known.into_owned())
}

/// As a provider's console shows it: a name, and never the key.
fn read_key_id(item: &Item<'_>) -> Option<String> {
    let text = item.string()?;
    if secrets::redact(&text) != text {
        item.add(Problem::Secret { advice: "write the id that the provider's console shows for it".to_owned() });
        return None;
    }
    Some(text)
}

/// A text by which one key is known, and its place.
type OwnText = fn(&Placed) -> (Option<&String>, Option<Span>);

/// No instant may belong to two keys of one name, of one fingerprint or of one
/// id.
fn check_overlap(table: &Table<'_>, placed: &Placed, earlier: &[Placed]) {
    let Placed { key, name: name_at, .. } = placed;
    let overlaps = |other: &Key| {
        let begins_before = |from: Option<Instant>, until: Option<Instant>| match (from, until) {
            (Some(from), Some(until)) => from < until,
            _ => true,
        };
        begins_before(key.valid_from, other.valid_until) && begins_before(other.valid_from, key.valid_until)
    };
    if key.name.is_empty() {
        return;
    }
    if let Some(other) = earlier.iter().find(|other| other.key.name == key.name && overlaps(&other.key)) {
        let first_line = table.line(other.name);
        table.add(*name_at, Problem::OverlappingKeys { what: "named", name: key.name.clone(), first_line });
        return;
    }
    let others: [(&str, OwnText); 2] = [
        ("with the fingerprint", |it| (it.key.fingerprint.as_ref(), it.fingerprint)),
        ("with the id", |it| (it.key.key_id.as_ref(), it.key_id)),
    ];
    for (what, of) in others {
        let (Some(text), Some(at)) = of(placed) else { continue };
        let same = |other: &&Placed| of(other).0 == Some(text) && overlaps(&other.key);
        if let Some(other) = earlier.iter().find(same) {
            let first_line = table.line(of(other).1.unwrap_or(other.name));
            table.add(at, Problem::OverlappingKeys { what, name: text.clone(), first_line });
        }
    }
}
