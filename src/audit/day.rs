//! One day's charges, request by request, against the policies in force.
//!
//! One pass in the order of the file. What is kept grows with the keys of the
//! day and the requests of a minute, never with the requests of the day.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::BuildHasher,
};

use hashbrown::{DefaultHashBuilder, HashTable};
use serde::{Deserialize, Serialize};

use super::{
    exhausted::{Allowance, Exhaustion},
    rates::{Hit, Stretch, Window},
    row::Row,
    violation::{Violation, ViolationKind, count},
};
use crate::{
    money::Usd,
    policy::{Bound, Policies, Terms},
    pricing::PriceBook,
    record::Status,
    teams::Registry,
    time::Instant,
};

/// What decides what is a violation.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'r> {
    pub policies: &'r Policies,
    /// For the names of keys, whatever logs show them by.
    pub registry: &'r Registry<'r>,
    /// For the names of models.
    pub prices: &'r PriceBook,
    pub known_on: Instant,
}

impl<'r> Rules<'r> {
    /// The registered name of a key, and what holds for it and its team.
    pub fn terms<'k>(&self, team: Option<&str>, key: Option<&'k str>, at: Instant) -> (Option<&'k str>, Terms)
    where
        'r: 'k,
    {
        let name = key.map(|key| self.registry.key_name(key, at));
        (name, self.policies.terms(team, name, at))
    }
}

/// Whose policies and which names of models a day depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Team and key, as charges show them.
    pub payers: BTreeSet<(Option<String>, Option<String>)>,
    pub providers: BTreeSet<String>,
    /// By provider, the models that were asked for by another name.
    pub requested: BTreeMap<String, BTreeSet<String>>,
}

/// A team and a key, and what holds for them.
#[derive(Debug)]
struct Payer {
    team: Option<String>,
    key: Option<String>,
    terms: Terms,
    /// Places among the windows.
    rpm: Option<usize>,
    tpm: Option<usize>,
}

/// Whose requests a window counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Counted {
    All,
    Team(String),
    /// By its registered name.
    Key(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Unit {
    Requests,
    Tokens,
}

#[derive(Debug)]
struct Counter {
    counted: Counted,
    unit: Unit,
    team: Option<String>,
    window: Window,
}

/// Requests of a key and day that are told in one row.
#[derive(Debug)]
struct Group {
    first: Instant,
    request_id: String,
    team: Option<String>,
    requests: i64,
    cost: Usd,
    /// What logs say instead of a team.
    named: BTreeSet<String>,
}

/// How many names a row tells.
const SHOWN_NAMES: usize = 5;

/// A day while it is looked through.
#[derive(Debug)]
pub struct DayAudit<'r> {
    rules: Rules<'r>,
    /// Places among those that are known, by team and key.
    payers: HashTable<usize>,
    hasher: DefaultHashBuilder,
    known: Vec<Payer>,
    /// Until when what is known of payers holds.
    known_until: Instant,
    present: Present,
    counters: Vec<Counter>,
    counter_of: HashMap<(Counted, Unit), usize>,
    unknown_keys: BTreeMap<String, Group>,
    unknown_teams: BTreeMap<Option<String>, Group>,
    exhaustions: Vec<Exhaustion>,
    found: Vec<Violation>,
}

impl<'r> DayAudit<'r> {
    /// `allowances` are the budgets that apply on the day.
    pub fn new(rules: Rules<'r>, allowances: Vec<Allowance>) -> Self {
        Self {
            rules,
            payers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            known: Vec::new(),
            known_until: Instant::from_micros(i64::MIN),
            present: Present::default(),
            counters: Vec::new(),
            counter_of: HashMap::new(),
            unknown_keys: BTreeMap::new(),
            unknown_teams: BTreeMap::new(),
            exhaustions: allowances.into_iter().map(Exhaustion::new).collect(),
            found: Vec::new(),
        }
    }

    /// Takes in a request of the 60 seconds before the day that counts.
    pub fn warm(&mut self, at: Instant, team: Option<&str>, key: Option<&str>, tokens: i64) {
        let payer = self.payer(at, team, key);
        for (place, amount, _) in self.counters_of(payer, tokens) {
            self.counters[place].window.warm(at, amount);
        }
    }

    /// Takes in a request of the day; what it breaks by itself goes to `out`.
    pub fn push(&mut self, row: &Row<'_>, out: &mut Vec<Violation>) {
        let payer = self.payer(row.ts, row.team, row.key);
        if !self.present.providers.contains(row.provider) {
            self.present.providers.insert(row.provider.to_owned());
        }
        if let Some(requested) = row.model_requested
            && !self.present.requested.get(row.provider).is_some_and(|models| models.contains(requested))
        {
            self.present.requested.entry(row.provider.to_owned()).or_default().insert(requested.to_owned());
        }
        // What the gateway refused broke nothing: the policy was at work.
        if row.status != Status::Blocked {
            let terms = &self.known[payer].terms;
            out.extend(self.model_not_allowed(terms, row));
            out.extend(max_tokens_exceeded(terms, row));
        }
        self.note_unknown(row);
        for exhaustion in &mut self.exhaustions {
            exhaustion.push(row, self.rules.registry);
        }
        if !row.counts_per_minute() {
            return;
        }
        for (place, amount, limit) in self.counters_of(payer, row.tokens) {
            let (cost, request_id) = (row.known_cost(), row.request_id);
            let hit = Hit { at: row.ts, amount, request_id, key: row.key, cost };
            let counter = &mut self.counters[place];
            if let Some(stretch) = counter.window.push(hit, limit) {
                self.found.push(counter.violation(stretch));
            }
        }
    }

    /// What a whole day is needed for, in the order of time, and what it all
    /// depends on.
    pub fn finish(mut self) -> (Vec<Violation>, Present) {
        let mut found = std::mem::take(&mut self.found);
        for mut counter in self.counters {
            let window = std::mem::take(&mut counter.window);
            found.extend(window.finish().map(|stretch| counter.violation(stretch)));
        }
        for (key, group) in self.unknown_keys {
            found.push(group.violation(ViolationKind::UnknownKey, Some(key)));
        }
        for (key, group) in self.unknown_teams {
            found.push(group.violation(ViolationKind::UnknownTeam, key));
        }
        found.extend(self.exhaustions.into_iter().flat_map(exhausted));
        found.sort_by(|a, b| order(a).cmp(&order(b)));
        (found, self.present)
    }

    /// The place of a payer among those that are known.
    fn payer(&mut self, at: Instant, team: Option<&str>, key: Option<&str>) -> usize {
        if at >= self.known_until {
            self.payers.clear();
            self.known.clear();
            self.known_until = self.rules.policies.next_turn(at);
        }
        let hash = self.hasher.hash_one((team, key));
        let is_it = |&place: &usize| {
            let Payer { team: own_team, key: own_key, .. } = &self.known[place];
            own_team.as_deref() == team && own_key.as_deref() == key
        };
        if let Some(&place) = self.payers.find(hash, is_it) {
            return place;
        }
        let (name, terms) = self.rules.terms(team, key, at);
        let mut counter = |limit: Option<(Bound, i64)>, unit| {
            let counted = match limit?.0 {
                Bound::Team => Counted::Team(team.unwrap_or_default().to_owned()),
                Bound::Key => Counted::Key(name.unwrap_or_default().to_owned()),
            };
            Some(self.counter(counted, unit, team))
        };
        let (rpm, tpm) = (counter(terms.rpm, Unit::Requests), counter(terms.tpm, Unit::Tokens));
        let (team, key) = (team.map(str::to_owned), key.map(str::to_owned));
        self.present.payers.insert((team.clone(), key.clone()));
        let place = self.known.len();
        self.known.push(Payer { team, key, terms, rpm, tpm });
        let Self { payers, known, hasher, .. } = self;
        let hash_of = |&place: &usize| hasher.hash_one((known[place].team.as_deref(), known[place].key.as_deref()));
        payers.insert_unique(hash, place, hash_of);
        place
    }

    fn counter(&mut self, counted: Counted, unit: Unit, team: Option<&str>) -> usize {
        let team = team.map(str::to_owned).filter(|_| counted != Counted::All);
        let next = self.counters.len();
        let place = *self.counter_of.entry((counted.clone(), unit)).or_insert(next);
        if place == next {
            self.counters.push(Counter { counted, unit, team, window: Window::default() });
        } else {
            self.counters[place].team = team;
        }
        place
    }

    /// Where a request counts, by how much, and up to what limit.
    fn counters_of(&mut self, payer: usize, tokens: i64) -> Vec<(usize, i64, Option<i64>)> {
        let Payer { terms, rpm, tpm, .. } = &self.known[payer];
        let limit = |limit: Option<(Bound, i64)>| limit.map(|(_, limit)| limit);
        let own = [rpm.map(|place| (place, 1, limit(terms.rpm))), tpm.map(|place| (place, tokens, limit(terms.tpm)))];
        let shared = [(Unit::Requests, 1, terms.organization_rpm), (Unit::Tokens, tokens, terms.organization_tpm)];
        let mut counters: Vec<_> = own.into_iter().flatten().collect();
        for (unit, amount, limit) in shared {
            if limit.is_some() {
                counters.push((self.counter(Counted::All, unit, None), amount, limit));
            }
        }
        counters
    }

    /// A model is allowed under any of its names: as asked for, as served, and
    /// what the price book calls either.
    fn model_not_allowed(&self, terms: &Terms, row: &Row<'_>) -> Option<Violation> {
        let allowed = terms.allowed_models.as_ref()?;
        let is_listed = |name: &str| allowed.iter().any(|model| model == name);
        if is_listed(row.model) || is_listed(row.model_billed) || row.model_requested.is_some_and(is_listed) {
            return None;
        }
        let Rules { prices, known_on, .. } = self.rules;
        let requested = row.model_requested.map(|name| prices.billed_name(row.provider, name, row.ts, known_on));
        let is_meant = |model: &String| {
            let model = prices.billed_name(row.provider, model, row.ts, known_on);
            model == row.model_billed || requested.is_some_and(|requested| model == requested)
        };
        if requested.is_some_and(is_listed) || allowed.iter().any(is_meant) {
            return None;
        }
        let asked = row.model_requested.map_or_else(String::new, |model| format!("asked for `{model}`; "));
        let detail = format!("{asked}allowed: {}", allowed.join(", "));
        Some(Violation { detail: Some(detail), ..of_request(row, ViolationKind::ModelNotAllowed) })
    }

    fn note_unknown(&mut self, row: &Row<'_>) {
        if let Some(key) = row.key.filter(|_| !row.is_key_known) {
            match self.unknown_keys.get_mut(key) {
                Some(group) => group.add(row),
                None => _ = self.unknown_keys.insert(key.to_owned(), Group::new(row)),
            }
        }
        if let Some(named) = row.team_reported.filter(|_| row.team.is_none()) {
            let group = match self.unknown_teams.get_mut(&row.key.map(str::to_owned)) {
                Some(group) => {
                    group.add(row);
                    group
                }
                None => self.unknown_teams.entry(row.key.map(str::to_owned)).or_insert_with(|| Group::new(row)),
            };
            if group.named.len() <= SHOWN_NAMES && !group.named.contains(named) {
                group.named.insert(named.to_owned());
            }
        }
    }
}

/// A violation by one request.
fn of_request(row: &Row<'_>, kind: ViolationKind) -> Violation {
    let own = |text: Option<&str>| text.map(str::to_owned);
    Violation {
        ts: row.ts,
        team: own(row.team),
        key: own(row.key),
        user: own(row.user),
        provider: Some(row.provider.to_owned()),
        model: Some(row.model.to_owned()),
        request_id: row.request_id.to_owned(),
        kind,
        limit: None,
        value: None,
        requests: 1,
        cost: row.known_cost(),
        detail: None,
    }
}

/// A request that asked for more than it may, or got it without asking.
fn max_tokens_exceeded(terms: &Terms, row: &Row<'_>) -> Option<Violation> {
    let limit = terms.max_tokens?;
    let (value, what) = match (row.max_tokens, row.output_tokens) {
        (Some(asked), _) if asked > limit => (asked, "asked for so many"),
        // Some logs have a whole batch in one line.
        (_, Some(got)) if got > limit && row.tier != Some("batch") => (got, "answered with so many"),
        _ => return None,
    };
    Some(Violation {
        limit: count(limit.into()),
        value: count(value.into()),
        detail: Some(what.to_owned()),
        ..of_request(row, ViolationKind::MaxTokensExceeded)
    })
}

impl Group {
    fn new(row: &Row<'_>) -> Self {
        Self {
            first: row.ts,
            request_id: row.request_id.to_owned(),
            team: row.team.map(str::to_owned),
            requests: 1,
            cost: row.known_cost(),
            named: BTreeSet::new(),
        }
    }

    fn add(&mut self, row: &Row<'_>) {
        self.requests += 1;
        // Pricing refuses a day whose sum does not fit.
        self.cost = self.cost.checked_add(row.known_cost()).unwrap_or(self.cost);
    }

    fn violation(self, kind: ViolationKind, key: Option<String>) -> Violation {
        let mut names: Vec<String> = self.named.iter().take(SHOWN_NAMES).map(|name| format!("`{name}`")).collect();
        if self.named.len() > SHOWN_NAMES {
            names.push("…".to_owned());
        }
        let detail = (!names.is_empty()).then(|| format!("the log names {}", names.join(", ")));
        Violation {
            ts: self.first,
            team: self.team,
            key,
            user: None,
            provider: None,
            model: None,
            request_id: self.request_id,
            kind,
            limit: None,
            value: None,
            requests: self.requests,
            cost: self.cost,
            detail,
        }
    }
}

impl Counter {
    fn violation(&self, stretch: Stretch) -> Violation {
        let Stretch { limit, from, request_id, key, until, peak, peak_at, requests, cost } = stretch;
        let (key, whose) = match &self.counted {
            Counted::Key(_) => (key, "of the key"),
            Counted::Team(_) => (None, "of the team's keys without a limit of their own"),
            Counted::All => (None, "of all keys"),
        };
        Violation {
            ts: from,
            team: self.team.clone(),
            key,
            user: None,
            provider: None,
            model: None,
            request_id,
            kind: match self.unit {
                Unit::Requests => ViolationKind::RateLimitRpmExceeded,
                Unit::Tokens => ViolationKind::RateLimitTpmExceeded,
            },
            limit: count(limit.into()),
            value: count(peak),
            requests,
            cost,
            detail: Some(format!("{whose}, until {until}, the most at {peak_at}")),
        }
    }
}

/// A row for each key that went on after a budget was reached.
fn exhausted(exhaustion: Exhaustion) -> impl Iterator<Item = Violation> {
    let Exhaustion { allowance, by_key, .. } = exhaustion;
    let detail = format!("the budget of {} for {}", allowance.scope, allowance.period);
    by_key.into_iter().map(move |(key, after)| Violation {
        ts: after.first,
        team: after.team,
        key,
        user: None,
        provider: None,
        model: None,
        request_id: after.request_id,
        kind: ViolationKind::BudgetExhausted,
        limit: Some(allowance.limit),
        value: Some(after.spent),
        requests: after.requests,
        cost: after.cost,
        detail: Some(detail.clone()),
    })
}

fn order(it: &Violation) -> impl Ord + '_ {
    (it.ts, it.kind, it.team.as_deref(), it.key.as_deref(), &it.request_id, it.detail.as_deref(), it.limit)
}
