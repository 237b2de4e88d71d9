//! What is sold, in the words of FOCUS: a SKU is a meter of a model of a provider,
//! its price depends on the tier and on the row of the price book.

use serde_json::json;
use xxhash_rust::xxh3::Xxh3;

use crate::{
    charges::{Item, ItemPrice},
    pricing::date_text,
    record::{Meter, Unit},
};

/// How a meter is named where it is sold.
pub(super) struct MeterName {
    /// `SkuMeter`.
    pub name: &'static str,
    /// Of `ConsumedUnit`, in the plural; times are told in seconds.
    pub unit: &'static str,
    direction: Option<&'static str>,
    cache: Option<&'static str>,
}

const fn named(
    name: &'static str,
    unit: &'static str,
    direction: Option<&'static str>,
    cache: Option<&'static str>,
) -> MeterName {
    MeterName { name, unit, direction, cache }
}

pub(super) const fn meter_name(meter: Meter) -> MeterName {
    const INPUT: Option<&str> = Some("Input");
    const SECONDS: &str = "Seconds";
    match meter {
        Meter::InputTokens => named("Input Tokens", "Tokens", INPUT, Some("Uncached")),
        Meter::CachedInputTokens => named("Cached Input Tokens", "Tokens", INPUT, Some("Read")),
        Meter::CacheWrite5mTokens => named("Cache Write Tokens (5 Minutes)", "Tokens", INPUT, Some("Write")),
        Meter::CacheWrite1hTokens => named("Cache Write Tokens (1 Hour)", "Tokens", INPUT, Some("Write")),
        Meter::OutputTokens => named("Output Tokens", "Tokens", Some("Output"), None),
        Meter::AudioMs => named("Audio Transcription", SECONDS, INPUT, None),
        Meter::Characters => named("Characters to Speech", "Characters", INPUT, None),
        Meter::Images => named("Images", "Images", Some("Output"), None),
        Meter::WebSearches => named("Web Searches", "Requests", None, None),
        Meter::PageVisits => named("Page Visits", "Requests", None, None),
        Meter::CodeMs => named("Code Execution", SECONDS, None, None),
        Meter::BrowserMs => named("Browser Automation", SECONDS, None, None),
    }
}

/// `PricingUnit` for a price of so many of a meter's own units.
pub(super) fn pricing_unit(meter: Meter, per: i64) -> String {
    let (count, unit) = match meter.info().unit {
        Unit::Count => (per, meter_name(meter).unit),
        Unit::Time => [(3_600_000, "Hours"), (60_000, "Minutes"), (1_000, "Seconds")]
            .into_iter()
            .find(|(span, _)| per % span == 0)
            .map_or((per, "Milliseconds"), |(span, unit)| (per / span, unit)),
    };
    if count == 1 { unit.to_owned() } else { format!("{count} {unit}") }
}

/// How many of a meter's own units are one of `ConsumedUnit`.
pub(super) const fn per_consumed_unit(meter: Meter) -> i128 {
    match meter.info().unit {
        Unit::Count => 1,
        Unit::Time => 1_000,
    }
}

/// `SkuId`: the same whatever tier it is served in and whatever it costs.
pub(super) fn sku_id(item: &Item) -> String {
    format!("{}/{}/{}", item.provider, item.model, item.meter.info().column)
}

/// `SkuPriceId`: begins with its SKU, and ends in a short digest of the row of the
/// price book and of the list price beside it.
pub(super) fn sku_price_id(item: &Item) -> String {
    let ItemPrice { kind, valid_from, list, digest, .. } = item.price;
    let mut hash = Xxh3::new();
    hash.update(digest.to_string().as_bytes());
    hash.update(&list.price.pico().to_le_bytes());
    hash.update(&list.per.to_le_bytes());
    hash.update(&list.min_quantity.to_le_bytes());
    let short = hash.digest() >> 32;
    format!("{}/{}/{}@{}#{short:08x}", sku_id(item), item.tier, kind.name(), date_text(valid_from))
}

/// `SkuPriceDetails`: what the price depends on. Keys of our own begin with `x_`.
pub(super) fn details(item: &Item) -> String {
    let MeterName { direction, cache, .. } = meter_name(item.meter);
    let mut details = serde_json::Map::new();
    let mut add = |name: &str, value: serde_json::Value| _ = details.insert(name.to_owned(), value);
    if item.price.rate.min_quantity > 0 {
        add("x_MinimumQuantity", json!(item.price.rate.min_quantity));
        add("x_MinimumQuantityUnit", json!(item.meter.info().column));
    }
    add("x_ModelId", json!(item.model));
    add("x_PriceKind", json!(item.price.kind.name()));
    add("x_PriceValidFrom", json!(date_text(item.price.valid_from)));
    add("x_ServiceTier", json!(item.tier));
    if let Some(cache) = cache {
        add("x_TokenCacheAction", json!(cache));
    }
    if item.meter == Meter::CacheWrite1hTokens {
        add("x_TokenCacheLife", json!("1h"));
    }
    if let Some(direction) = direction {
        add("x_TokenDirection", json!(direction));
    }
    serde_json::Value::Object(details).to_string()
}

/// Who bills, as they call themselves, and what they call what they sell.
/// A provider that is not known here is called by its name in the book.
pub(super) fn provider_names(provider: &str) -> (&str, &str) {
    match provider {
        "anthropic" => ("Anthropic", "Anthropic API"),
        "azure" => ("Microsoft", "Azure OpenAI"),
        "bedrock" => ("AWS", "Amazon Bedrock"),
        "cohere" => ("Cohere", "Cohere API"),
        "deepseek" => ("DeepSeek", "DeepSeek API"),
        "fireworks" => ("Fireworks AI", "Fireworks AI API"),
        "gemini" => ("Google", "Gemini API"),
        "groq" => ("Groq", "GroqCloud API"),
        "mistral" => ("Mistral AI", "Mistral AI API"),
        "openai" => ("OpenAI", "OpenAI API"),
        "openrouter" => ("OpenRouter", "OpenRouter API"),
        "perplexity" => ("Perplexity", "Perplexity API"),
        "together" => ("Together AI", "Together AI API"),
        "vertex" => ("Google Cloud", "Vertex AI"),
        "watsonx" => ("IBM", "watsonx.ai"),
        "xai" => ("xAI", "xAI API"),
        other => (other, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::METERS;

    #[test]
    fn a_unit_is_a_count_and_a_plural() {
        for (meter, per, expect) in [
            (Meter::InputTokens, 1_000_000, "1000000 Tokens"),
            (Meter::Characters, 1_000, "1000 Characters"),
            (Meter::Images, 1, "Images"),
            (Meter::WebSearches, 1_000, "1000 Requests"),
            (Meter::AudioMs, 3_600_000, "Hours"),
            (Meter::AudioMs, 7_200_000, "2 Hours"),
            (Meter::CodeMs, 60_000, "Minutes"),
            (Meter::CodeMs, 1_000, "Seconds"),
            (Meter::BrowserMs, 10_000, "10 Seconds"),
            (Meter::BrowserMs, 1_500, "1500 Milliseconds"),
        ] {
            assert_eq!(pricing_unit(meter, per), expect);
        }
    }

    #[test]
    fn meters_are_sold_under_names_of_their_own() {
        let mut names: Vec<_> = METERS.iter().map(|info| meter_name(info.meter).name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METERS.len());
    }
}
