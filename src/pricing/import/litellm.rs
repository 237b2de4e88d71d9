//! `LiteLLM`'s price map: an object of models, each with prices per single unit.
//!
//! The map has no dates: it says what is paid on the day it is made. The name of
//! a price tells what it is of, and ends in the tier it is for.

use std::collections::HashMap;

use super::{LeftOut, Offer, PriceList, Reason, Series, Spelling, amount::Scale};
use crate::{json::Value, record::Meter};

/// How the names of prices end, and the tier they are for.
const TIERS: &[(&str, &str)] = &[
    ("_batches", "batch"),
    ("_flex", "flex"),
    ("_priority", "priority"),
    ("_ultrafast", "ultrafast"),
    ("_balanced", "balanced"),
    ("_decisions", "decisions"),
];

const ON_DEMAND: &str = "on_demand";

/// The entry that explains the others.
const EXAMPLE: &str = "sample_spec";

/// Interfaces of a provider that have a name of their own.
const INTERFACES: &[&str] = &["vertex_ai", "fireworks_ai"];

/// Whether a document is such a map: objects, of which one names its provider.
pub(super) fn looks_like_it(value: Value<'_>) -> bool {
    value.entries().any(|(_, model)| model.some("litellm_provider").is_some())
}

pub(super) fn read(value: Value<'_>, spelling: Spelling) -> PriceList {
    let mut list = PriceList::new("LiteLLM price map");
    let mut seen: HashMap<Series, usize> = HashMap::new();
    for (key, entry) in value.entries().filter(|(_, entry)| entry.is_object()) {
        let mut card = Card::new(&key.text(), entry, spelling);
        card.read();
        for offer in card.offers {
            match seen.get(&offer.series) {
                None => {
                    seen.insert(offer.series.clone(), list.offers.len());
                    list.offers.push(offer);
                }
                Some(&at) if list.offers[at].rate == offer.rate => {}
                Some(_) => list.left_out.push(offer.left_out(Reason::TwoPrices)),
            }
        }
        list.left_out.append(&mut card.left_out);
    }
    list
}

/// One model of the map.
struct Card<'v> {
    entry: Value<'v>,
    /// Why nothing of it can be taken.
    refused: Option<Reason>,
    provider: String,
    model: String,
    mode: String,
    offers: Vec<Offer>,
    left_out: Vec<LeftOut>,
    /// What the prices that are taken do not tell.
    remarks: Vec<&'static str>,
}

/// What a price of the map comes to.
enum Meaning {
    Price(Meter, Scale),
    Not(Reason),
    /// Said by another price already.
    Nothing,
}

impl<'v> Card<'v> {
    fn new(key: &str, entry: Value<'v>, spelling: Spelling) -> Self {
        let text = |name: &str| entry.some(name).and_then(Value::text).unwrap_or_default().into_owned();
        let named = text("litellm_provider");
        let interface = INTERFACES.iter().find(|own| named.strip_prefix(**own).is_some_and(|it| it.starts_with('-')));
        let provider = (spelling.provider)(interface.copied().unwrap_or(&named));
        // Its own prefix, or that of the interface.
        let plain = key.strip_prefix(named.as_str()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(key);
        let model = (spelling.model)(plain, &provider);
        let refused = if key == EXAMPLE {
            Some(Reason::Example)
        } else if provider.is_empty() || provider.contains(char::is_whitespace) {
            Some(Reason::NoProvider)
        } else if model.split('/').any(|part| part.contains("-x-")) {
            Some(Reason::PictureSize)
        } else {
            None
        };
        let (offers, left_out, remarks) = (Vec::new(), Vec::new(), Vec::new());
        Self { entry, refused, provider, model, mode: text("mode"), offers, left_out, remarks }
    }

    fn read(&mut self) {
        for (key, value) in self.entry.entries() {
            let field = key.text();
            if !is_price(&field) || value.is_null() {
                continue;
            }
            let (plain, tier) = tier_of(&field);
            let meaning = match self.refused {
                Some(reason) => Meaning::Not(reason),
                None => self.meaning(plain, &field, value),
            };
            let rate = match meaning {
                Meaning::Nothing => continue,
                Meaning::Not(reason) => Err(reason),
                Meaning::Price(meter, scale) => {
                    let digits = if value.is_object() { one_for_all(value) } else { value.number() };
                    let rate = digits.ok_or(Reason::NotANumber).and_then(|digits| scale.rate(digits));
                    rate.map(|rate| (meter, rate))
                }
            };
            match rate {
                Ok((meter, rate)) => self.offer(tier, meter, rate),
                Err(reason) => self.leave_out(reason, &field, value),
            }
        }
        self.tools_in_every_tier();
        let note = self.remarks.join("; ");
        for offer in &mut self.offers {
            offer.note.clone_from(&note);
        }
    }

    /// What a price is of, by its name without the tier.
    fn meaning(&self, plain: &str, field: &str, value: Value<'_>) -> Meaning {
        let is_set = |name: &str| self.entry.some(name).and_then(Value::number).is_some_and(|it| !is_zero(it));
        let by_tokens = is_set("input_cost_per_token") || is_set("output_cost_per_token");
        let heard = self.mode == "audio_transcription";
        match plain {
            "input_cost_per_token" => Meaning::Price(Meter::InputTokens, Scale::EACH),
            "output_cost_per_token" => Meaning::Price(Meter::OutputTokens, Scale::EACH),
            "input_cost_per_token_cache_hit" if is_set("cache_read_input_token_cost") => Meaning::Nothing,
            "cache_read_input_token_cost" | "input_cost_per_token_cache_hit" => {
                Meaning::Price(Meter::CachedInputTokens, Scale::EACH)
            }
            "cache_creation_input_token_cost" => Meaning::Price(Meter::CacheWrite5mTokens, Scale::EACH),
            "cache_creation_input_token_cost_above_1hr" => Meaning::Price(Meter::CacheWrite1hTokens, Scale::EACH),
            "input_cost_per_character" if self.mode == "audio_speech" && by_tokens => {
                Meaning::Not(Reason::BilledByTokens)
            }
            "input_cost_per_character" if self.mode == "audio_speech" => Meaning::Price(Meter::Characters, Scale::EACH),
            "input_cost_per_second" | "output_cost_per_second" if heard && by_tokens => {
                Meaning::Not(Reason::BilledByTokens)
            }
            "input_cost_per_second" if heard => Meaning::Price(Meter::AudioMs, Scale::SECOND),
            // The second that comes out is the one that went in.
            "output_cost_per_second" if heard && self.is_same(value, "input_cost_per_second") => Meaning::Nothing,
            "output_cost_per_image" if self.mode == "image_generation" && self.is_billed_by_picture(by_tokens) => {
                Meaning::Price(Meter::Images, Scale::PICTURE)
            }
            "search_context_cost_per_query" if one_for_all(value).is_none() => Meaning::Not(Reason::SearchContext),
            "search_context_cost_per_query" => Meaning::Price(Meter::WebSearches, Scale::SEARCH),
            "output_cost_per_reasoning_token" if self.is_same(value, "output_cost_per_token") => Meaning::Nothing,
            "output_cost_per_reasoning_token" => Meaning::Not(Reason::Reasoning),
            _ => self.without_meter(plain, field, value),
        }
    }

    /// Why a price that no meter has is left out, or that it says nothing new.
    fn without_meter(&self, plain: &str, field: &str, value: Value<'_>) -> Meaning {
        const KINDS: [&str; 3] = ["audio", "image", "video"];
        if let Some(kind) = KINDS.iter().find(|kind| plain.contains(&format!("_{kind}_token"))) {
            let text = field.replace(&format!("_{kind}_token"), "_token");
            return if self.is_same(value, &text) { Meaning::Nothing } else { Meaning::Not(Reason::Modality) };
        }
        Meaning::Not(if plain.contains("_above_") && plain.contains("tokens") || plain == "tiered_pricing" {
            Reason::PromptLength
        } else if plain.contains("session") {
            Reason::Session
        } else if plain.contains("image") || plain.contains("pixel") {
            Reason::PictureSize
        } else {
            Reason::NoMeter
        })
    }

    fn is_same(&self, value: Value<'_>, other: &str) -> bool {
        let other = self.entry.some(other).and_then(Value::number);
        value.number().is_some() && value.number() == other
    }

    fn is_billed_by_picture(&self, by_tokens: bool) -> bool {
        !by_tokens && self.entry.some("output_cost_per_image_token").is_none()
    }

    fn offer(&mut self, tier: &str, meter: Meter, rate: crate::pricing::Rate) {
        let series =
            Series { provider: self.provider.clone(), model: self.model.clone(), tier: tier.to_owned(), meter };
        let page = self.entry.some("source").and_then(Value::text).map(std::borrow::Cow::into_owned);
        self.offers.push(Offer { series, from: None, rate: Some(rate), page, note: String::new() });
    }

    fn leave_out(&mut self, reason: Reason, field: &str, value: Value<'_>) {
        let remark = match reason {
            Reason::PromptLength => Some("dearer for long prompts, which is not in the book"),
            Reason::Modality => Some("audio, pictures or video cost something else, which is not in the book"),
            Reason::Reasoning => Some("reasoning costs something else, which is not in the book"),
            _ => None,
        };
        self.remarks.extend(remark.filter(|remark| !self.remarks.contains(remark)));
        self.left_out.push(LeftOut {
            reason,
            provider: self.provider.clone(),
            model: self.model.clone(),
            field: field.to_owned(),
            value: value.raw().chars().take(60).collect(),
        });
    }

    /// A tool costs the same in every tier, and the tiers of a card never mix.
    fn tools_in_every_tier(&mut self) {
        let is_tool = |offer: &&Offer| offer.series.meter == Meter::WebSearches;
        let Some(tool) = self.offers.iter().find(is_tool).cloned() else { return };
        let mut tiers: Vec<String> = self.offers.iter().map(|offer| offer.series.tier.clone()).collect();
        tiers.sort_unstable();
        tiers.dedup();
        for tier in tiers.into_iter().filter(|tier| *tier != tool.series.tier) {
            let series = Series { tier, ..tool.series.clone() };
            self.offers.push(Offer { series, ..tool.clone() });
        }
    }
}

/// Whether a field is a price, by its name.
fn is_price(field: &str) -> bool {
    field.contains("cost") || field == "tiered_pricing"
}

/// The name without the tier it ends in, and that tier.
fn tier_of(field: &str) -> (&str, &'static str) {
    let end = TIERS.iter().find_map(|(end, tier)| Some((field.strip_suffix(end)?, *tier)));
    end.unwrap_or((field, ON_DEMAND))
}

fn is_zero(digits: &str) -> bool {
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    mantissa.bytes().all(|byte| !(b'1'..=b'9').contains(&byte))
}

/// The number that all entries of an object agree on.
fn one_for_all(value: Value<'_>) -> Option<&str> {
    let mut numbers = value.entries().map(|(_, value)| value.number());
    let first = numbers.next().flatten()?;
    numbers.all(|number| number == Some(first)).then_some(first)
}
