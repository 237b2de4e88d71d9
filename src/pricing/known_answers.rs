//! Cases in which usage accounting went wrong in the field, priced right; and
//! the shipped book, which must be sound and hold the prices that were public.

use std::path::Path;

use super::{
    ANY, Basis, Charge, Kind, PriceBook, Request, Verdict, read,
    testing::{ask, at, book, lines, quantities},
};
use crate::{
    money::Usd,
    record::{Meter, Quantities, Status},
};
use Meter::{
    AudioMs, BrowserMs, CacheWrite1hTokens, CacheWrite5mTokens, CachedInputTokens, Characters, CodeMs, InputTokens,
    OutputTokens, PageVisits, WebSearches,
};

const NOW: &str = "2026-11-22";

fn charge(book: &PriceBook, model: &str, tier: &str, when: &str, known_on: &str, of: &[(Meter, i64)]) -> Charge {
    charge_by(book, "groq", model, tier, when, known_on, of)
}

fn charge_by(
    book: &PriceBook,
    provider: &str,
    model: &str,
    tier: &str,
    when: &str,
    known_on: &str,
    of: &[(Meter, i64)],
) -> Charge {
    let quantities: Quantities = quantities(of);
    let stretches = book.stretches(ask(provider, model, tier), at(when), at(when).plus_micros(1), at(known_on));
    let stretch = &stretches[0];
    let request = Request { quantities: &quantities, status: Status::Success, gateway_cache: false };
    stretch.charge(&request).unwrap()
}

fn check(book: &PriceBook, model: &str, tier: &str, when: &str, of: &[(Meter, i64)], expect: &str) {
    let charge = charge(book, model, tier, when, NOW, of);
    let cost = charge.cost.map_or_else(|| "?".to_owned(), |cost| cost.to_string());
    assert_eq!(format!("{cost} {}", charge.basis.name()), expect, "{model} {tier} {when}");
}

fn shipped() -> super::Draft {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("pricing"))
}

fn shipped_book() -> PriceBook {
    shipped().into_book().unwrap_or_else(|errors| panic!("{}", lines(&errors)))
}

#[test]
fn cached_tokens_are_billed_once() {
    let book = book(
        &[
            "groq,m,*,input_tokens,1.25,1M,,2026-01-01,,2026-01-01,list,,",
            "groq,m,*,cached_input_tokens,0.625,1M,,2026-01-01,,2026-01-01,list,,",
            "groq,m,*,output_tokens,10,1M,,2026-01-01,,2026-01-01,list,,",
        ],
        &[],
    );
    let of = [(InputTokens, 262_960 - 257_955), (CachedInputTokens, 257_955), (OutputTokens, 1_744)];
    check(&book, "m", "", "2026-06-01", &of, "0.184918125000 list");
    let savings = charge(&book, "m", "", "2026-06-01", NOW, &of).cache_savings;
    assert_eq!(savings, Usd::parse("0.161221875").ok());
}

#[test]
fn a_model_that_is_not_in_the_book_never_costs_a_quiet_nothing() {
    let of = [(InputTokens, 37_000_000), (OutputTokens, 400_000)];
    let without = book(&["groq,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,"], &[]);
    check(&without, "brand-new", "", "2026-06-01", &of, "? unpriced");
    check(&shipped_book(), "brand-new", "", "2026-06-01", &of, "3.740000000000 fallback");
}

#[test]
fn a_price_cut_inside_a_closed_week_leaves_the_days_before_it() {
    let book = book(
        &[
            "groq,m,*,input_tokens,5,1M,,2026-01-01,,2026-01-01,list,,",
            "groq,m,*,cached_input_tokens,0.5,1M,,2026-01-01,,2026-01-01,list,,",
            "groq,m,*,output_tokens,30,1M,,2026-01-01,,2026-01-01,list,,",
            "groq,m,*,input_tokens,4,1M,,2026-08-21,,2026-08-21,list,,",
            "groq,m,*,cached_input_tokens,0.4,1M,,2026-08-21,,2026-08-21,list,,",
            "groq,m,*,output_tokens,20,1M,,2026-08-21,,2026-08-21,list,,",
        ],
        &[],
    );
    let of = [(InputTokens, 1_000_000), (CachedInputTokens, 1_000_000), (OutputTokens, 1_000_000)];
    check(&book, "m", "", "2026-08-20T23:59:59.999999Z", &of, "35.500000000000 list");
    check(&book, "m", "", "2026-08-21", &of, "24.400000000000 list");
}

#[test]
fn a_report_made_before_a_rise_was_cancelled_can_be_reproduced() {
    let row =
        |output: &str, from: &str, known: &str| format!("groq,m,*,output_tokens,{output},1M,,{from},,{known},list,,");
    let rows = [
        row("10", "2026-01-01", "2026-01-01"),
        row("15", "2026-09-01", "2026-07-15"),
        row("10", "2026-09-01", "2026-08-28"),
    ];
    let book = book(&rows.each_ref().map(String::as_str), &[]);
    let cost = |known_on| charge(&book, "m", "", "2026-09-02", known_on, &[(OutputTokens, 1_000_000)]).cost.unwrap();
    assert_eq!(cost(NOW).to_string(), "10.000000000000");
    assert_eq!(cost("2026-08-27").to_string(), "15.000000000000");
}

#[test]
fn a_thousand_small_charges_reach_a_budget_exactly() {
    let book = book(&["groq,m,*,output_tokens,4,1M,,2026-01-01,,2026-01-01,list,,"], &[]);
    let one = charge(&book, "m", "", "2026-06-01", NOW, &[(OutputTokens, 1_000)]).cost.unwrap();
    let sum = (0..2_500).try_fold(Usd::ZERO, |sum, _| sum.checked_add(one));
    assert_eq!(sum, Usd::parse("10").ok());
    assert!(sum.unwrap().checked_add(one) > Usd::parse("10").ok());
}

#[test]
fn the_shipped_book_is_sound() {
    assert_eq!(lines(&shipped().check(None)), "");
    for row in shipped_book().prices().iter().filter(|row| row.kind == Kind::List) {
        assert_ne!(row.tier, ANY, "{}", row.place);
        let of_groq = ["on_demand", "flex", "batch"].contains(&row.tier.as_str());
        assert!(of_groq || row.provider != "groq", "{}", row.place);
        assert_eq!(row.validity.known_from, row.validity.from, "{}", row.place);
        assert!(!row.source.is_empty(), "{}", row.place);
    }
}

#[test]
fn the_shipped_book_has_the_prices_that_were_public() {
    let book = shipped_book();
    let million = [(InputTokens, 1_000_000), (OutputTokens, 1_000_000)];
    let cached = [(InputTokens, 1_000_000), (CachedInputTokens, 1_000_000), (OutputTokens, 1_000_000)];
    for (model, tier, when, of, expect) in [
        ("llama-3.1-8b-instant", "", "2026-08-15T23:59:59.999999Z", &million[..], "0.130000000000 list"),
        ("llama-3.1-8b-instant", "", "2026-08-16", &million, "0.200000000000 fallback"),
        ("groq/llama-3.1-8b-instant", "flex", "2025-01-01", &million, "0.130000000000 list"),
        ("llama-3.3-70b-versatile", "on_demand", "2026-06-01", &million, "1.380000000000 list"),
        ("llama-3.3-70b-versatile", "batch", "2026-06-01", &million, "0.690000000000 list"),
        ("meta-llama/llama-4-scout-17b-16e-instruct", "", "2026-06-01", &million, "0.450000000000 list"),
        ("openai/gpt-oss-120b", "", "2025-10-15T23:59:59.999999Z", &million, "0.900000000000 list"),
        ("openai/gpt-oss-120b", "", "2025-10-16", &cached, "0.825000000000 list"),
        ("openai/gpt-oss-120b", "batch", "2026-06-01", &cached, "0.450000000000 list"),
        ("openai/gpt-oss-20b", "", "2025-10-15", &cached, "0.700000000000 list"),
        ("openai/gpt-oss-20b", "", "2026-06-01", &cached, "0.412500000000 list"),
        (
            "openai/gpt-oss-20b",
            "",
            "2026-06-01",
            &[(WebSearches, 3), (PageVisits, 2), (CodeMs, 1_000)],
            "0.017050000000 list",
        ),
        ("groq/compound", "", "2026-09-20", &[(BrowserMs, 90_000)], "0.002000000000 list"),
        ("groq/compound", "", "2026-09-21", &[(BrowserMs, 90_000)], "? unpriced"),
        ("whisper-large-v3", "", "2026-06-01", &[(AudioMs, 4_000)], "0.000308333333 list"),
        ("whisper-large-v3", "", "2026-06-01", &[(AudioMs, 10_001)], "0.000308364167 list"),
        ("whisper-large-v3", "batch", "2026-06-01", &[(AudioMs, 3_600_000)], "0.055500000000 list"),
        ("canopylabs/orpheus-v1-english", "", "2026-06-01", &[(Characters, 200)], "0.004400000000 list"),
        ("llama-3.1-405b-reasoning", "", "2025-01-01", &million, "0.200000000000 fallback"),
    ] {
        check(&book, model, tier, when, of, expect);
    }
    let batch = charge(&book, "openai/gpt-oss-120b", "batch", "2026-06-01", NOW, &cached);
    assert_eq!(batch.input_cost, batch.cached_input_cost, "batch does not stack with caching");
    assert_eq!(batch.batch_savings, Usd::parse("0.375").ok());
    assert_eq!((batch.cache_savings, batch.basis, batch.reason), (Some(Usd::ZERO), Basis::List, None));
}

#[test]
fn the_shipped_book_has_the_prices_of_other_providers() {
    let book = shipped_book();
    let million = [(InputTokens, 1_000_000), (OutputTokens, 1_000_000)];
    for (provider, model, tier, when, of, expect) in [
        ("openai", "gpt-5.2-2025-12-11", "", "2026-06-01", &million[..], "15.750000000000 list"),
        ("openai", "gpt-5.2", "batch", "2026-11-21", &million, "7.875000000000 list"),
        ("openai", "gpt-5.6", "", "2026-08-20T23:59:59.999999Z", &million, "0.200000000000 fallback"),
        ("openai", "gpt-5.6", "", "2026-08-21", &million, "24.000000000000 list"),
        ("openai", "whisper-1", "", "2026-06-01", &[(AudioMs, 60_000)], "0.006000000000 list"),
        ("anthropic", "claude-opus-4-5-20251101", "", "2026-06-01", &million, "30.000000000000 list"),
        (
            "anthropic",
            "claude-opus-4-5-20251101",
            "batch",
            "2026-11-21",
            &[(CacheWrite5mTokens, 1_000_000), (CacheWrite1hTokens, 1_000_000), (CachedInputTokens, 1_000_000)],
            "8.375000000000 list",
        ),
        ("mistral", "brand-new", "", "2026-06-01", &million, "0.200000000000 fallback"),
        ("nobody", "brand-new", "", "2026-06-01", &million, "? unpriced"),
    ] {
        let charge = charge_by(&book, provider, model, tier, when, NOW, of);
        let cost = charge.cost.map_or_else(|| "?".to_owned(), |cost| cost.to_string());
        assert_eq!(format!("{cost} {}", charge.basis.name()), expect, "{provider} {model} {tier} {when}");
    }
}

#[test]
fn every_row_considered_has_a_verdict() {
    let book = book(
        &[
            "groq,m,*,input_tokens,1,1M,,2026-01-01,2026-02-01,2026-01-01,list,,",
            "groq,m,*,input_tokens,2,1M,,2026-02-01,,2026-02-01,list,,",
            "groq,m,*,input_tokens,3,1M,,2026-02-01,2026-08-01,2026-03-01,list,,",
            "groq,m,*,input_tokens,4,1M,,2026-02-01,2026-08-01,2026-09-01,list,,",
            "groq,m,*,input_tokens,5,1M,,2026-08-01,,2026-03-01,list,,",
            "groq,m,batch,input_tokens,6,1M,,2026-01-01,,2026-01-01,list,,",
            "groq,m,*,input_tokens,,,,2026-01-01,,2026-01-01,contract,,",
            "groq,*,*,input_tokens,0.1,1M,,2026-01-01,,2026-01-01,fallback,,",
            "groq,m,*,output_tokens,1,1M,,2026-01-01,,2026-01-01,list,,",
        ],
        &[],
    );
    let considered = |meter| {
        let rows = book.considered(ask("groq", "m", ""), meter, at("2026-06-01"), at("2026-06-02"));
        rows.iter().map(|row| format!("{} {}", row.price.place.line, row.verdict.text())).collect::<Vec<_>>()
    };
    let expect = [
        "2 no longer valid",
        "3 corrected by pricing/p.csv:4",
        "4 chosen",
        "5 not known yet",
        "6 not valid yet",
        "7 for another tier",
        "8 ends the price",
        "9 a better price was found",
    ];
    assert_eq!(considered(InputTokens), expect);
    assert_eq!(considered(CachedInputTokens), ["4 chosen"]);
    let rows = book.considered(ask("groq", "m", ""), CachedInputTokens, at("2026-06-01"), at("2026-06-02"));
    assert!(matches!(rows[0].verdict, Verdict::Chosen));
}
