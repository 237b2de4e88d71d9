//! The data of genai-prices: providers, their models, and prices per million
//! that may have dates, tiers and conditions.
//!
//! The repository has it as JSON, in an array or under `providers`; the package
//! as Python, which [`super::python`] translates.

use super::{LeftOut, Offer, PriceList, Reason, Series, Spelling, amount::Scale};
use crate::{
    json::Value,
    pricing::Rate,
    record::Meter,
    time::{Day, Instant},
};

/// The names of prices, and what they are of.
const PRICES: &[(&str, Meter, Scale)] = &[
    ("input_mtok", Meter::InputTokens, Scale::MILLION),
    ("output_mtok", Meter::OutputTokens, Scale::MILLION),
    ("cache_read_mtok", Meter::CachedInputTokens, Scale::MILLION),
    ("cache_write_5m_mtok", Meter::CacheWrite5mTokens, Scale::MILLION),
    ("cache_write_mtok", Meter::CacheWrite5mTokens, Scale::MILLION),
    ("cache_write_1h_mtok", Meter::CacheWrite1hTokens, Scale::MILLION),
    ("input_mchars", Meter::Characters, Scale::MILLION),
    ("audio_hours", Meter::AudioMs, Scale::HOUR),
    ("input_audio_hours", Meter::AudioMs, Scale::HOUR),
    ("web_searches_kcount", Meter::WebSearches, Scale::THOUSAND),
];

/// The providers of a document, if it is such data.
pub(super) fn providers(value: Value<'_>) -> Option<Value<'_>> {
    let providers = if value.is_array() { value } else { value.some("providers").filter(|it| it.is_array())? };
    let first = providers.items().next()?;
    (first.some("id").is_some() && first.some("models").is_some_and(Value::is_array)).then_some(providers)
}

pub(super) fn read(providers: Value<'_>, spelling: Spelling) -> PriceList {
    let mut list = PriceList::new("genai-prices");
    for provider in providers.items() {
        let id = text(provider, "id");
        let page = provider.some("pricing_urls").and_then(|urls| urls.items().next()).and_then(Value::text);
        let page = page.map(std::borrow::Cow::into_owned);
        for model in provider.some("models").into_iter().flat_map(Value::items) {
            let provider = (spelling.provider)(&id);
            Card { list: &mut list, provider, page: &page, model, spelling }.read();
        }
    }
    list
}

fn text(value: Value<'_>, name: &str) -> String {
    value.some(name).and_then(Value::text).unwrap_or_default().into_owned()
}

/// One model of the data.
struct Card<'l, 'v> {
    list: &'l mut PriceList,
    provider: String,
    page: &'l Option<String>,
    model: Value<'v>,
    spelling: Spelling,
}

/// Prices, and from when on; `None` is ever since.
#[derive(Clone, Copy)]
struct Stage<'v> {
    from: Option<Instant>,
    prices: Value<'v>,
}

impl<'v> Card<'_, 'v> {
    fn read(mut self) {
        let names = self.names();
        let Some(prices) = self.model.some("prices") else { return };
        let stages = if prices.is_array() { stages(prices) } else { Ok(vec![Stage { from: None, prices }]) };
        let stages = match stages {
            Ok(stages) if !names.is_empty() => stages,
            Ok(_) => return self.leave_out(Reason::Likeness, "prices", prices),
            Err(reason) => return self.leave_out(reason, "prices", prices),
        };
        for stage in &stages {
            self.leave_out_of(stage.prices);
        }
        self.offer(&names, "on_demand", &stages, &[]);
        self.variants(&names, &stages);
    }

    /// The names that the model is known by, exactly.
    fn names(&mut self) -> Vec<String> {
        let id = text(self.model, "id");
        let mut names = Vec::new();
        if let Some(clause) = self.model.some("match") {
            if matches(clause, &id) {
                names.push(id);
            }
            let has_patterns = collect(clause, &mut names);
            if has_patterns && !names.is_empty() {
                self.leave_out(Reason::Likeness, "match", clause);
            }
        } else if !id.is_empty() {
            names.push(id);
        }
        let mut names: Vec<String> =
            names.into_iter().map(|name| (self.spelling.model)(&name, &self.provider)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What other tiers cost: the ordinary prices, but for those that the tier
    /// has of its own.
    fn variants(&mut self, names: &[String], stages: &[Stage<'v>]) {
        let Some(variants) = self.model.some("price_variants") else { return };
        let mut tiers: Vec<(String, Vec<Stage<'v>>)> = Vec::new();
        for variant in variants.items() {
            let (Some(prices), Some(when)) = (variant.some("prices"), variant.some("when")) else { continue };
            let (tier, from) = (tier(when), start(variant.some("constraint")));
            match (tier, from) {
                (Some(tier), _) if tier == "default" => {}
                (Some(tier), Ok(from)) => {
                    self.leave_out_of(prices);
                    let stage = Stage { from, prices };
                    match tiers.iter_mut().find(|(name, _)| *name == tier) {
                        // The first that holds is the one that counts.
                        Some((_, own)) if own.iter().any(|own| own.from <= from) => {}
                        Some((_, own)) => own.push(stage),
                        None => tiers.push((tier, vec![stage])),
                    }
                }
                (None, _) => self.leave_out(Reason::Condition, when.raw(), prices),
                (_, Err(reason)) => self.leave_out(reason, when.raw(), prices),
            }
        }
        for (tier, mut own) in tiers {
            own.sort_by_key(|stage| stage.from);
            let first = own.iter().map(|stage| stage.from).min().flatten();
            // Before its first start, the data does not say what a tier costs.
            let mut ordinary: Vec<Stage<'v>> = stages.iter().copied().filter(|stage| stage.from >= first).collect();
            if let Some(before) = stages.iter().rfind(|stage| stage.from < first) {
                ordinary.insert(0, Stage { from: first, ..*before });
            }
            self.offer(names, &tier, &ordinary, &own);
        }
    }

    /// Adds what each stage costs; in `own`, prices that go before the ordinary
    /// ones from their start on.
    fn offer(&mut self, names: &[String], tier: &str, stages: &[Stage<'v>], own: &[Stage<'v>]) {
        let mut starts: Vec<Option<Instant>> = stages.iter().chain(own).map(|stage| stage.from).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut before: Vec<Meter> = Vec::new();
        for from in starts {
            let at = |stages: &[Stage<'v>]| stages.iter().rfind(|stage| stage.from <= from).map(|stage| stage.prices);
            let (ordinary, own) = (at(stages), at(own));
            let mut here = Vec::new();
            for &(field, meter, scale) in PRICES {
                let value = own.and_then(|it| it.some(field)).or_else(|| ordinary.and_then(|it| it.some(field)));
                let Some(value) = value.filter(|_| !here.contains(&meter)) else { continue };
                let (digits, has_tiers) = base(value);
                let Some(rate) = digits.and_then(|digits| scale.rate(digits).ok()) else { continue };
                here.push(meter);
                let note = if has_tiers { "dearer for long prompts, which is not in the book" } else { "" };
                self.push(names, tier, meter, from, Some(rate), note);
            }
            for &gone in before.iter().filter(|meter| !here.contains(meter)) {
                self.push(names, tier, gone, from, None, "");
            }
            before = here;
        }
    }

    fn push(
        &mut self,
        names: &[String],
        tier: &str,
        meter: Meter,
        from: Option<Instant>,
        rate: Option<Rate>,
        note: &str,
    ) {
        for model in names {
            let (provider, tier) = (self.provider.clone(), tier.to_owned());
            let series = Series { provider, model: model.clone(), tier, meter };
            self.list.offers.push(Offer { series, from, rate, page: self.page.clone(), note: note.to_owned() });
        }
    }

    /// Names the prices that have no meter, no price, or parts that the book
    /// cannot say.
    fn leave_out_of(&mut self, prices: Value<'v>) {
        for (field, value) in prices.entries().filter(|(_, value)| !value.is_null()) {
            let field = field.text();
            let known = PRICES.iter().find(|(name, ..)| *name == field);
            let (digits, has_tiers) = base(value);
            if has_tiers {
                self.leave_out(Reason::PromptLength, &field, value);
            }
            match known.map(|(.., scale)| digits.ok_or(Reason::NotANumber).and_then(|digits| scale.rate(digits))) {
                Some(Ok(_)) => {}
                Some(Err(reason)) => self.leave_out(reason, &field, value),
                None if ["audio", "image", "video"].iter().any(|kind| field.contains(kind)) => {
                    self.leave_out(Reason::Modality, &field, value);
                }
                None if field.contains("reasoning") => self.leave_out(Reason::Reasoning, &field, value),
                None => self.leave_out(Reason::NoMeter, &field, value),
            }
        }
    }

    fn leave_out(&mut self, reason: Reason, field: &str, value: Value<'_>) {
        self.list.left_out.push(LeftOut {
            reason,
            provider: self.provider.clone(),
            model: text(self.model, "id"),
            field: field.to_owned(),
            value: value.raw().chars().take(60).collect(),
        });
    }
}

/// The dated prices of a list in which later ones take precedence.
fn stages<'v>(conditional: Value<'v>) -> Result<Vec<Stage<'v>>, Reason> {
    let mut stages: Vec<Stage<'v>> = Vec::new();
    for item in conditional.items() {
        let Some(prices) = item.some("prices") else { continue };
        stages.push(Stage { from: start(item.some("constraint"))?, prices });
    }
    // One that takes precedence and starts earlier makes the ones before it
    // never apply from its start on.
    let mut kept: Vec<Stage<'v>> = Vec::new();
    for stage in stages {
        kept.retain(|before| before.from < stage.from);
        kept.push(stage);
    }
    Ok(kept)
}

/// The price for short prompts, and whether long ones cost something else.
fn base(value: Value<'_>) -> (Option<&str>, bool) {
    let base = if value.is_object() { value.some("base") } else { Some(value) };
    (base.and_then(Value::number), value.is_object())
}

/// When a price starts; `None` is ever since.
fn start(constraint: Option<Value<'_>>) -> Result<Option<Instant>, Reason> {
    let Some(constraint) = constraint else { return Ok(None) };
    if constraint.some("start_time").is_some() || constraint.some("end_time").is_some() {
        return Err(Reason::TimeOfDay);
    }
    let date = constraint.some("start_date").and_then(Value::text);
    date.and_then(|date| Day::parse(&date)).map(|day| Some(day.start())).ok_or(Reason::Condition)
}

/// The tier that a condition is about, if it is about nothing else.
fn tier(when: Value<'_>) -> Option<String> {
    let mut entries = when.entries();
    let (key, value) = entries.next()?;
    let is_tier = matches!(key.raw(), "processing" | "service_tier") && entries.next().is_none();
    value.text().filter(|_| is_tier).map(std::borrow::Cow::into_owned)
}

/// Whether a clause matches a name. Of a pattern it is not said.
fn matches(clause: Value<'_>, name: &str) -> bool {
    let is = |kind: &str, test: fn(&str, &str) -> bool| {
        clause.some(kind).and_then(Value::text).is_some_and(|text| test(&name.to_lowercase(), &text))
    };
    is("equals", |name, text| name == text)
        || is("starts_with", |name, text| name.starts_with(text))
        || is("ends_with", |name, text| name.ends_with(text))
        || is("contains", |name, text| name.contains(text))
        || clause.some("or").is_some_and(|clauses| clauses.items().any(|clause| matches(clause, name)))
        || clause.some("and").is_some_and(|clauses| clauses.items().all(|clause| matches(clause, name)))
}

/// Adds the names that a clause matches exactly; whether it matches others, too.
fn collect(clause: Value<'_>, names: &mut Vec<String>) -> bool {
    if let Some(name) = clause.some("equals").and_then(Value::text) {
        names.push(name.into_owned());
        return false;
    }
    let Some(clauses) = clause.some("or") else { return true };
    clauses.items().fold(false, |has_patterns, clause| collect(clause, names) | has_patterns)
}
