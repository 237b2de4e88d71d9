//! The data that the page filters: the same sums as on it, slot by slot, as
//! JSON. Amounts are whole pico-dollars in text, since numbers of JSON lose
//! digits. What would make the page too large is added up as "the rest": every
//! row that has a name stays exact.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{
    cube::{Cube, HourOf, Measures, Spender, pool_of, ranked},
    read::{Pair, Spent, Violations},
    reconciled::{self, Reconciled},
    slots::{HOURS, Slots, Step},
};
use crate::{config::Pool, report::render::words, teams::SHARED};

/// Teams that can be chosen, and models that are told apart.
const MOST_TEAMS: usize = 250;
const MOST_MODELS: usize = 40;
/// Sums of a team, a model and a slot; a few numbers each.
const MOST_CELLS: usize = 40_000;
/// Sums of a team, an hour and a slot.
const MOST_HOUR_CELLS: usize = 60_000;
/// Sums of a key or user and a slot.
const MOST_SPENDER_CELLS: usize = 16_000;
/// Keys and users that stay whatever the slots are, and of each team as long as
/// there is room.
const BIGGEST: usize = 20;
const BIGGEST_OF_TEAM: usize = 5;

#[derive(Debug, Serialize)]
pub(super) struct Data {
    step: Step,
    /// The first day of each, and what it is called.
    slots: Vec<(String, String)>,
    /// The day after the last one.
    end: String,
    teams: Vec<Team>,
    /// How many teams are the rest.
    more_teams: usize,
    pools: Vec<Shared>,
    models: Vec<[String; 2]>,
    /// How many models are the last one.
    more_models: usize,
    cells: Vec<Cell>,
    hours_of_all: bool,
    hours: Vec<(usize, usize, String)>,
    pub keys: Spenders,
    pub users: Spenders,
    violations: Vec<Broken>,
    reconciled: reconciled::Told,
}

#[derive(Debug, Serialize)]
struct Team {
    /// For people.
    name: String,
    /// In the address of the page; nobody's has none.
    id: Option<String>,
    kind: TeamKind,
    /// Of its keys and users, how many there are.
    keys: usize,
    users: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum TeamKind {
    Team,
    /// Its charges are divided among teams.
    Pool,
    Nobody,
    /// Many, added up.
    Rest,
}

#[derive(Debug, Serialize)]
struct Shared {
    team: usize,
    name: String,
    /// Teams and their shares in millionths of a percent, by name.
    shares: Vec<(usize, i64)>,
}

/// A team's use of a model, a number for each slot: `12,,7`.
#[derive(Debug, Serialize)]
struct Cell {
    team: usize,
    model: usize,
    #[serde(flatten)]
    sums: BTreeMap<&'static str, String>,
}

/// Keys or users.
#[derive(Debug, Default, Serialize)]
pub(super) struct Spenders {
    names: Vec<[String; 2]>,
    /// How many there are, of whom these are the biggest.
    pub all: usize,
    cells: Vec<SpenderCell>,
}

#[derive(Debug, Serialize)]
struct SpenderCell {
    who: usize,
    team: usize,
    requests: String,
    cost: String,
}

#[derive(Debug, Serialize)]
struct Broken {
    kind: &'static str,
    team: usize,
    times: String,
    requests: String,
    cost: String,
}

/// Numbers of slots as text, zeros left out.
pub(super) fn series<T: Copy + Into<i128>>(slots: usize, of: impl Fn(usize) -> T) -> String {
    let mut text = String::new();
    for slot in 0..slots {
        if slot > 0 {
            text.push(',');
        }
        let number: i128 = of(slot).into();
        if number != 0 {
            text.push_str(&number.to_string());
        }
    }
    text.truncate(text.trim_end_matches(',').len());
    text
}

/// What is told apart, and where the rest is.
#[derive(Debug)]
pub(super) struct Kept {
    /// By the cube's numbers of teams.
    team_of: HashMap<Option<String>, usize>,
    rest_team: usize,
}

impl Kept {
    pub(super) fn team(&self, name: Option<&str>) -> usize {
        self.team_of.get(&name.map(str::to_owned)).copied().unwrap_or(self.rest_team)
    }
}

/// All that is filtered.
#[derive(Debug)]
pub(super) struct Told<'t> {
    pub slots: &'t Slots,
    pub cube: &'t mut Cube,
    pub pools: &'t BTreeMap<String, Pool>,
    /// The biggest first, and those without any spend.
    pub teams: &'t [Spender],
    pub models: &'t [Spender],
    /// In all of the period, and those of them that are told apart by slots.
    pub keys: (&'t [Spender], &'t BTreeMap<Pair, BTreeMap<u32, Spent>>),
    pub users: (&'t [Spender], &'t BTreeMap<Pair, BTreeMap<u32, Spent>>),
    pub violations: &'t Violations,
    pub reconciled: &'t Reconciled,
    /// How many keys and users each team has.
    pub of_teams: &'t BTreeMap<Option<String>, [usize; 2]>,
}

/// What a team is called.
pub(super) fn team_name(name: Option<&str>) -> String {
    match name {
        None => "no team".to_owned(),
        Some(name) => owner(name),
    }
}

/// A team, a provider, or a pool as people call it.
pub(super) fn owner(name: &str) -> String {
    name.strip_prefix(SHARED).map_or_else(|| words::name(name), |pool| format!("shared: {}", words::name(pool)))
}

impl Data {
    /// `None` where a sum would not fit.
    pub(super) fn of(told: &mut Told<'_>) -> Option<Self> {
        let (teams, kept, more_teams) = teams(told);
        let (models, model_of, more_models) = models(told);
        let slots = told.slots.len();
        let mut sums: BTreeMap<(usize, usize), Vec<Measures>> = BTreeMap::new();
        for (place, measures) in &told.cube.cells {
            let team = kept.team(told.cube.teams.get(place.team).as_deref());
            let model = model_of.get(&place.model).copied().unwrap_or(models.len() - 1);
            let series = sums.entry((team, model)).or_insert_with(|| vec![Measures::default(); slots]);
            series[place.slot as usize].add(measures)?;
        }
        let cells = sums.iter().map(|((team, model), sums)| cell(*team, *model, sums)).collect();
        if !told.cube.hours_of_all && told.cube.hours.len() > MOST_HOUR_CELLS {
            told.cube.forget_slots_of_hours()?;
        }
        Some(Self {
            step: told.slots.step,
            slots: told.slots.named().map(|(first, name)| (first.to_string(), name)).collect(),
            end: told.slots.end().to_string(),
            pools: shared(told, &kept),
            more_teams,
            more_models,
            hours_of_all: told.cube.hours_of_all,
            hours: hours(told.cube, &kept)?,
            keys: spenders(told.keys, true, &kept, slots),
            users: spenders(told.users, false, &kept, slots),
            violations: broken(told.violations, &kept, slots)?,
            reconciled: reconciled::Told::of(told.reconciled, &kept, slots)?,
            teams,
            models,
            cells,
        })
    }

    /// As it stands in a page: nothing in it can end the element that it is in.
    pub(super) fn to_json(&self) -> Result<String, serde_json::Error> {
        let json = serde_json::to_string(self)?;
        let mut safe = String::with_capacity(json.len());
        for letter in json.chars() {
            match letter {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", u32::from(letter))),
                letter => safe.push(letter),
            }
        }
        Ok(safe)
    }
}

/// The teams that can be chosen, by name; behind them the pools, nobody, and
/// what is left of the teams.
fn teams(told: &Told<'_>) -> (Vec<Team>, Kept, usize) {
    let named = told.teams.iter().filter_map(|it| it.name.as_deref());
    let mut chosen: Vec<&str> = named.clone().take(MOST_TEAMS).collect();
    let more = named.count() - chosen.len();
    chosen.sort_unstable();
    let entry = |name: Option<&str>, kind| {
        let [keys, users] = told.of_teams.get(&name.map(str::to_owned)).copied().unwrap_or_default();
        Team { name: team_name(name), id: name.map(words::plain), kind, keys, users }
    };
    let mut team_of = HashMap::new();
    let mut teams = Vec::new();
    for name in chosen {
        team_of.insert(Some(name.to_owned()), teams.len());
        teams.push(entry(Some(name), TeamKind::Team));
    }
    let mut pools: Vec<&Option<String>> =
        told.cube.teams.list().iter().filter(|name| pool_of(name.as_deref(), told.pools).is_some()).collect();
    pools.sort();
    for name in pools {
        team_of.insert(name.clone(), teams.len());
        teams.push(entry(name.as_deref(), TeamKind::Pool));
    }
    team_of.insert(None, teams.len());
    teams.push(entry(None, TeamKind::Nobody));
    let rest_team = teams.len();
    let name = format!("{} more teams", words::signed(i64::try_from(more).unwrap_or(i64::MAX)));
    let known = |name: &&Option<String>| team_of.contains_key(*name);
    let rest = told.of_teams.iter().filter(|(name, _)| !known(name));
    let [keys, users] = rest.fold([0, 0], |sum, (_, more)| [sum[0] + more[0], sum[1] + more[1]]);
    teams.push(Team { name, id: None, kind: TeamKind::Rest, keys, users });
    (teams, Kept { team_of, rest_team }, more)
}

/// The models that are told apart, where they are, and how many are not.
fn models(told: &Told<'_>) -> (Vec<[String; 2]>, HashMap<u32, usize>, usize) {
    let mut users: HashMap<u32, BTreeSet<u32>> = HashMap::new();
    for place in told.cube.cells.keys() {
        users.entry(place.model).or_default().insert(place.team);
    }
    let ids: HashMap<&(String, String), u32> =
        (0_u32..).zip(told.cube.models.list()).map(|(id, name)| (name, id)).collect();
    let mut room = MOST_CELLS / told.slots.len();
    let (mut models, mut model_of) = (Vec::new(), HashMap::new());
    for it in told.models {
        let name = (it.name.clone().unwrap_or_default(), it.owner.clone().unwrap_or_default());
        let Some(id) = ids.get(&name) else { continue };
        let needed = users.get(id).map_or(0, BTreeSet::len);
        if models.len() == MOST_MODELS || (needed > room && !models.is_empty()) {
            break;
        }
        room = room.saturating_sub(needed);
        model_of.insert(*id, models.len());
        models.push([words::name(&name.0), words::name(&name.1)]);
    }
    let more = told.models.len() - models.len();
    models.push([format!("{} more", words::signed(i64::try_from(more).unwrap_or(i64::MAX))), String::new()]);
    (models, model_of, more)
}

fn shared(told: &Told<'_>, kept: &Kept) -> Vec<Shared> {
    let of = |(name, team): (&Option<String>, &usize)| {
        let pool = pool_of(name.as_deref(), told.pools)?;
        let shares = pool.shares.iter().map(|(team, share)| (kept.team(Some(team)), *share)).collect();
        Some(Shared { team: *team, name: words::name(&pool.name), shares })
    };
    let mut shared: Vec<Shared> = kept.team_of.iter().filter_map(of).collect();
    shared.sort_by_key(|pool| pool.team);
    shared
}

fn cell(team: usize, model: usize, sums: &[Measures]) -> Cell {
    let of = |number: &dyn Fn(&Measures) -> i128| series(sums.len(), |slot| number(&sums[slot]));
    let all: [(&'static str, String); 11] = [
        ("requests", of(&|it| it.requests.into())),
        ("errors", of(&|it| it.errors.into())),
        ("unpriced", of(&|it| it.unpriced.into())),
        ("estimated", of(&|it| it.estimated.into())),
        ("prompt", of(&|it| it.prompt.into())),
        ("cached", of(&|it| it.cached.into())),
        ("output", of(&|it| it.output.into())),
        ("cost", of(&|it| it.cost.pico())),
        ("estimated_cost", of(&|it| it.estimated_cost.pico())),
        ("cache_savings", of(&|it| it.cache_savings.pico())),
        ("batch_savings", of(&|it| it.batch_savings.pico())),
    ];
    Cell { team, model, sums: all.into_iter().filter(|(_, text)| !text.is_empty()).collect() }
}

/// The hours of each team and slot: a number for each hour of the week.
fn hours(cube: &Cube, kept: &Kept) -> Option<Vec<(usize, usize, String)>> {
    let mut sums: BTreeMap<(usize, u32), [i128; HOURS]> = BTreeMap::new();
    for (HourOf { team, slot, hour }, cost) in &cube.hours {
        let team = kept.team(cube.teams.get(*team).as_deref());
        let sum = &mut sums.entry((team, *slot)).or_insert([0; HOURS])[*hour as usize];
        *sum = sum.checked_add(cost.pico())?;
    }
    let text =
        |((team, slot), hours): ((usize, u32), [i128; HOURS])| (team, slot as usize, series(HOURS, |hour| hours[hour]));
    Some(sums.into_iter().map(text).collect())
}

/// Keys or users that are told apart by slots: the biggest, and the biggest of
/// each team.
pub(super) fn chosen(ranked: &[Spender], pairs: &[(Pair, Spent)], slots: usize, has_owner: bool) -> BTreeSet<Pair> {
    let room = (MOST_SPENDER_CELLS / slots.max(1)).max(BIGGEST);
    let full_name = |it: &Spender| (it.name.clone(), if has_owner { it.owner.clone() } else { None });
    let mut names: BTreeSet<(Option<String>, Option<String>)> = ranked.iter().take(BIGGEST).map(full_name).collect();
    let name_of = |(team, name): &Pair| {
        let text = |name: &Option<std::sync::Arc<str>>| name.as_deref().map(str::to_owned);
        (text(name), if has_owner { text(team) } else { None })
    };
    let mut of_team: BTreeMap<&Option<std::sync::Arc<str>>, usize> = BTreeMap::new();
    let mut count = 0;
    for (pair, _) in pairs {
        let so_far = of_team.entry(&pair.0).or_default();
        if *so_far < BIGGEST_OF_TEAM && count < room {
            *so_far += 1;
            count += 1;
            names.insert(name_of(pair));
        }
    }
    // One who is told apart is told whole, so that its sums are exact.
    pairs.iter().filter(|(pair, _)| names.contains(&name_of(pair))).map(|(pair, _)| pair.clone()).collect()
}

fn spenders(
    (all, told): (&[Spender], &BTreeMap<Pair, BTreeMap<u32, Spent>>),
    has_owner: bool,
    kept: &Kept,
    slots: usize,
) -> Spenders {
    let mut who: BTreeMap<(Option<&str>, Option<&str>), usize> = BTreeMap::new();
    let (mut names, mut cells) = (Vec::new(), Vec::new());
    for ((team, name), spent) in told {
        let (team, name) = (team.as_deref(), name.as_deref());
        let number = *who.entry((name, team.filter(|_| has_owner))).or_insert_with(|| {
            let nobody = if has_owner { "without a key" } else { "not named" };
            let below = if has_owner { team_name(team) } else { String::new() };
            names.push([name.map_or_else(|| nobody.to_owned(), words::name), below]);
            names.len() - 1
        });
        let of = |slot: usize| spent.get(&u32::try_from(slot).unwrap_or_default()).copied().unwrap_or_default();
        cells.push(SpenderCell {
            who: number,
            team: kept.team(team),
            requests: series(slots, |slot| of(slot).requests),
            cost: series(slots, |slot| of(slot).cost.pico()),
        });
    }
    Spenders { names, all: all.len(), cells }
}

fn broken(violations: &Violations, kept: &Kept, slots: usize) -> Option<Vec<Broken>> {
    let mut sums: BTreeMap<(_, usize), BTreeMap<u32, super::read::Broken>> = BTreeMap::new();
    for ((kind, team), by_slot) in violations {
        let sum = sums.entry((*kind, kept.team(team.as_deref()))).or_default();
        for (slot, broken) in by_slot {
            sum.entry(*slot).or_default().add(*broken)?;
        }
    }
    let text = |((kind, team), by_slot): ((crate::audit::ViolationKind, usize), BTreeMap<u32, super::read::Broken>)| {
        let of = |slot: usize| by_slot.get(&u32::try_from(slot).unwrap_or_default()).copied().unwrap_or_default();
        Broken {
            kind: kind.name(),
            team,
            times: series(slots, |slot| of(slot).times),
            requests: series(slots, |slot| of(slot).requests),
            cost: series(slots, |slot| of(slot).cost.pico()),
        }
    };
    Some(sums.into_iter().map(text).collect())
}

/// Keys by key and team, or users by user, added up over the period.
pub(super) fn spenders_of(pairs: &[(Pair, Spent)], has_owner: bool) -> Option<Vec<Spender>> {
    let mut sums: BTreeMap<(Option<&str>, Option<&str>), Spent> = BTreeMap::new();
    for ((team, name), spent) in pairs {
        sums.entry((name.as_deref(), team.as_deref().filter(|_| has_owner))).or_default().add(*spent)?;
    }
    let own = |name: Option<&str>| name.map(str::to_owned);
    let spender = |((name, owner), spent): ((Option<&str>, Option<&str>), Spent)| Spender {
        name: own(name),
        owner: own(owner),
        requests: spent.requests,
        cost: spent.cost,
    };
    Some(ranked(sums.into_iter().map(spender).collect()))
}
