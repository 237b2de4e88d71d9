//! How differences are taken apart, case by case, and that the parts always sum
//! to them.

use proptest::prelude::*;

use super::{
    causes::{self, ALL_TOKENS, COMPARED, Cause, Causes, Ours, Paid, Sums, Theirs, Worth},
    claims::Claim,
};
use crate::{
    money::Usd,
    record::{Measure, Meter},
    time::{Day, Instant},
    totals::TotalRow,
};

const INPUT: usize = Meter::InputTokens.index();

/// Ours: so many requests with so many tokens of input, at two pico-dollars each.
fn ours(requests: i128, tokens: i128) -> Ours {
    let mut ours = Ours::default();
    ours.all.requests = requests;
    ours.all.quantities[INPUT] = tokens;
    ours.all.cost = 2 * tokens;
    ours.paid[INPUT] = Paid { quantity: tokens, cost: 2 * tokens };
    ours
}

fn theirs(requests: Option<i128>, tokens: i128) -> Theirs {
    let mut theirs = Theirs { requests, ..Theirs::default() };
    theirs.quantities[INPUT] = Some(tokens);
    theirs
}

fn shown(causes: &Causes) -> String {
    let parts = Cause::ALL.iter().filter(|&&cause| causes[cause] != 0);
    parts.map(|&cause| format!("{} {}", cause.name(), causes[cause])).collect::<Vec<_>>().join(", ")
}

/// By the price book a token costs three.
fn price(at: usize, quantity: i128) -> Option<i128> {
    (at == INPUT).then_some(3 * quantity)
}

fn check(theirs: &Theirs, ours: &Ours, edges: &Sums, expect: &str) {
    let apart = causes::quantities(theirs, ours, edges, &price);
    assert_eq!(shown(&apart.tokens()), expect);
    assert_eq!(apart.tokens().sum(), theirs.quantities[INPUT].unwrap() - ours.all.quantities[INPUT]);
}

#[test]
fn tokens_are_taken_apart() {
    let none = Sums::default();
    check(&theirs(Some(10), 1000), &ours(10, 1000), &none, "");
    check(&theirs(Some(12), 1200), &ours(10, 1000), &none, "not_logged 200");
    check(&theirs(None, 1200), &ours(10, 1000), &none, "not_logged 200");
    // As many requests, and more tokens: nobody knows why.
    check(&theirs(Some(10), 1200), &ours(10, 1000), &none, "unexplained 200");
    check(&theirs(Some(8), 900), &ours(10, 1000), &none, "unexplained -100");

    let unclear = Ours { unclear: 2, ..ours(10, 800) };
    check(&theirs(Some(10), 1000), &unclear, &none, "usage 200");
    // Two of ours without usage, and six that we do not have: a quarter each.
    check(&theirs(Some(16), 1600), &unclear, &none, "not_logged 600, usage 200");
    // Without counts, those without usage are taken to be as large as the others.
    check(&theirs(None, 1600), &unclear, &none, "not_logged 600, usage 200");
    check(&theirs(None, 900), &unclear, &none, "usage 100");

    let mut guessed = Ours { guessed: 1, ..ours(10, 1000) };
    guessed.guesses[INPUT] = 50;
    check(&theirs(Some(10), 980), &guessed, &none, "usage -20");
    check(&theirs(Some(10), 900), &guessed, &none, "usage -50, unexplained -50");

    let edges = Sums { requests: -1, ..Sums::default() };
    let edges = Sums { quantities: ours(1, -100).all.quantities, ..edges };
    check(&theirs(Some(9), 900), &ours(10, 1000), &edges, "edges -100");
    check(&theirs(Some(11), 1100), &ours(10, 1000), &edges, "not_logged 200, edges -100");

    let mut unreported = ours(10, 1000);
    unreported.unreported = ours(4, 400).all;
    check(&theirs(Some(6), 600), &unreported, &none, "unreported -400");
}

fn check_money(claim: i128, slack: i128, theirs: &Theirs, ours: &Ours, expect: &str) {
    let none = Sums::default();
    let worth = causes::quantities(theirs, ours, &none, &price).worth;
    let causes = causes::money(claim, slack, ours, &none, worth);
    assert_eq!(shown(&causes), expect);
    assert_eq!(causes.sum(), claim - ours.all.cost);
}

#[test]
fn money_is_taken_apart_by_what_quantities_are_worth() {
    // A tenth more tokens at our price, and the rest is theirs.
    check_money(2_200, 1, &theirs(Some(11), 1100), &ours(10, 1000), "not_logged 200");
    check_money(3_300, 1, &theirs(Some(11), 1100), &ours(10, 1000), "not_logged 200, price 1100");
    check_money(2_500, 1, &theirs(Some(10), 1000), &ours(10, 1000), "price 500");
    check_money(2_490, 500, &theirs(Some(10), 1000), &ours(10, 1000), "rounding 490");
    // Nobody of ours used it: the price book says what it is worth.
    check_money(310, 1, &theirs(Some(1), 100), &ours(0, 0), "not_logged 300, price 10");
    // Neither do our logs nor the price book know a price.
    let mut output = Theirs { requests: Some(1), ..Theirs::default() };
    output.quantities[Meter::OutputTokens.index()] = Some(100);
    check_money(310, 1, &output, &ours(0, 0), "not_logged 310");
    let mut unpriced = ours(1, 0);
    unpriced.all.quantities[Meter::OutputTokens.index()] = 90;
    unpriced.unpriced = 1;
    check_money(310, 1, &output, &unpriced, "price 310");
    // Speech, where they tell tokens.
    check_money(310, 1, &theirs(Some(1), 0), &ours(0, 0), "not_logged 310");
    // Money alone.
    let nothing = Theirs::default();
    check_money(310, 1, &nothing, &ours(0, 0), "not_logged 310");
    check_money(2_500, 1, &nothing, &ours(10, 1000), "unexplained 500");
    check_money(2_004, 5, &nothing, &ours(10, 1000), "rounding 4");
    let unclear = Ours { unclear: 1, ..ours(5, 1000) };
    check_money(2_800, 1, &nothing, &unclear, "usage 500, unexplained 300");
}

fn row(of: impl FnOnce(&mut TotalRow)) -> TotalRow {
    let day = Day::parse("2026-06-01").unwrap();
    let mut row = TotalRow::about("s", "anthropic", day.start(), day.end());
    row.measure = Measure::Both;
    of(&mut row);
    row
}

#[test]
fn ours_are_put_together_as_theirs_are() {
    use Meter::{CachedInputTokens, InputTokens, OutputTokens};

    let mut mine = ours(1, 100);
    mine.all.quantities[Meter::CachedInputTokens.index()] = 20;
    mine.all.quantities[Meter::OutputTokens.index()] = 7;
    let tells = |meters: &[Meter]| row(|row| meters.iter().for_each(|&meter| row.quantities[meter] = Some(1)));
    let check = |rows: Vec<TotalRow>, expect: [i128; 4]| {
        let claim = Claim::new("s", "anthropic", rows);
        let ours = claim.like_theirs(mine);
        let at = [INPUT, Meter::CachedInputTokens.index(), Meter::OutputTokens.index(), ALL_TOKENS];
        assert_eq!(at.map(|at| ours.all.quantities[at]), expect);
    };
    check(vec![tells(&[InputTokens, CachedInputTokens, OutputTokens])], [100, 20, 7, 0]);
    check(vec![tells(&[InputTokens, OutputTokens])], [120, 0, 7, 0]);
    check(vec![row(|row| row.total_tokens = Some(1))], [0, 0, 0, 127]);
    // Of rows that split tokens and rows that do not, all are taken together.
    let rows = vec![row(|row| row.total_tokens = Some(5)), tells(&[InputTokens, OutputTokens])];
    let claim = Claim::new("s", "anthropic", rows);
    assert_eq!(
        claim.rows.iter().map(|row| claim.theirs(row).quantities[ALL_TOKENS]).collect::<Vec<_>>(),
        [Some(5), Some(2)]
    );
}

#[test]
fn an_empty_answer_tells_nothing_of_what_its_source_tells() {
    let (all, none) = (Some(0), None);
    for (measure, expect) in
        [(Measure::Usage, [all, all, none]), (Measure::Cost, [none, none, all]), (Measure::Both, [all, all, all])]
    {
        let claim = Claim::empty("s", "anthropic", measure);
        let Theirs { requests, quantities, cost, .. } = claim.nothing();
        assert_eq!([requests, quantities[ALL_TOKENS], cost], expect, "{measure:?}");
        // All our tokens are held against it.
        let ours = claim.like_theirs(ours(1, 100)).all.quantities;
        assert_eq!(ours[if claim.tells_quantities() { ALL_TOKENS } else { INPUT }], 100, "{measure:?}");
        assert_eq!(claim.leaves_out(Some("priority")), measure == Measure::Cost);
    }
}

#[test]
fn a_day_that_is_open_or_not_a_day_is_not_ready() {
    let day = Day::parse("2026-06-01").unwrap();
    let at = |text: &str| Instant::parse(text, chrono_tz::Tz::UTC).unwrap();
    let check = |rows: Vec<TotalRow>| Claim::new("s", "anthropic", rows).unready(day).map(|it| format!("{it:?}"));
    assert_eq!(check(vec![row(|_| {})]), None);
    assert_eq!(check(Vec::new()), None);
    assert_eq!(check(vec![row(|row| row.bucket_end = day.next().end())]).as_deref(), Some("SeveralDays"));
    let open = row(|row| row.covers_until = Some(at("2026-06-01T18:00:00Z")));
    assert!(check(vec![row(|_| {}), open]).unwrap().starts_with("Open"));
}

#[test]
fn digits_that_are_not_written_are_rounding() {
    for (cost, expect) in [
        ("0.06", "0.005000000000"),
        ("12", "0.005000000000"),
        ("0.0612", "0.000050000000"),
        ("0.000000000001", "0.000000000001"),
        ("0", "0.005000000000"),
    ] {
        let rows = vec![row(|row| row.cost = Some(Usd::parse(cost).unwrap()))];
        let claim = Claim::new("s", "anthropic", rows);
        let slack = claim.theirs(&claim.rows[0]).slack;
        assert_eq!(Usd::from_pico(slack).unwrap().to_string(), expect, "{cost}");
    }
}

#[test]
fn priority_capacity_is_in_no_cost_report_of_anthropic() {
    let leaves_out =
        |measure, tier| Claim::new("s", "anthropic", vec![row(|row| row.measure = measure)]).leaves_out(tier);
    assert!(leaves_out(Measure::Cost, Some("priority")));
    assert!(!leaves_out(Measure::Usage, Some("priority")) && !leaves_out(Measure::Cost, Some("batch")));
    assert!(!leaves_out(Measure::Cost, None));
}

fn amounts() -> impl Strategy<Value = [i128; COMPARED]> {
    proptest::array::uniform13(prop_oneof![Just(0_i128), 0..10_i128.pow(12)])
}

fn sums() -> impl Strategy<Value = Sums> {
    (0..10_i128.pow(9), amounts(), 0..10_i128.pow(20)).prop_map(|(requests, quantities, cost)| Sums {
        requests,
        quantities,
        cost,
    })
}

prop_compose! {
    fn any_ours()(
        all in sums(),
        unreported in sums(),
        counts in proptest::array::uniform3(0..100_i128),
        guesses in amounts(),
        paid in amounts(),
        cost in 0..10_i128.pow(18),
    ) -> Ours {
        let [unclear, guessed, unpriced] = counts;
        Ours {
            all, unreported, unclear, guessed, unpriced, guesses,
            paid: paid.map(|quantity| Paid { quantity, cost }),
        }
    }
}

prop_compose! {
    fn any_theirs()(
        requests in proptest::option::of(0..10_i128.pow(9)),
        told in proptest::array::uniform13(any::<bool>()),
        quantities in amounts(),
        slack in 0..10_i128.pow(10),
    ) -> Theirs {
        let quantities = std::array::from_fn(|at| told[at].then_some(quantities[at]));
        Theirs { requests, quantities, cost: None, slack }
    }
}

proptest! {
    #[test]
    fn causes_sum_to_the_difference(
        theirs in any_theirs(),
        ours in any_ours(),
        gain in sums(),
        loss in sums(),
        claim in -(10_i128.pow(20))..10_i128.pow(20),
        costs in proptest::option::of(1..1000_i128),
    ) {
        let mut edges = gain;
        edges.take(&loss);
        let price = |_: usize, quantity: i128| costs.map(|costs| costs * quantity);
        let apart = causes::quantities(&theirs, &ours, &edges, &price);
        if let Some(requests) = theirs.requests {
            prop_assert_eq!(apart.requests.sum(), requests - ours.all.requests);
        }
        for at in 0..COMPARED {
            let expect = theirs.quantities[at].map_or(0, |told| told - ours.all.quantities[at]);
            prop_assert_eq!(apart.quantities[at].sum(), expect);
            prop_assert!(apart.quantities[at][Cause::NotLogged] >= 0);
        }
        prop_assert!(theirs.tells_quantities() || apart.worth == Worth::Untold);
        for worth in [apart.worth, Worth::Untold, Worth::Unknown] {
            let causes = causes::money(claim, theirs.slack, &ours, &edges, worth);
            prop_assert_eq!(causes.sum(), claim - ours.all.cost);
        }
    }
}
