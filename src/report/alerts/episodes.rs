//! What lasts is told once: when it begins, and again only after it was gone.
//! Pure.
//!
//! An episode ends when runs have not found it for 24 hours. Where only one run
//! could look before it is there again, it goes on, unless that was two days
//! ago: a night that did not run must not hide that something began anew.

use std::collections::BTreeSet;

use super::{
    event::{Event, Lasting},
    state::State,
};
use crate::time::Instant;

const DAY_MICROS: i64 = 86_400_000_000;

/// What runs found, by what it is about; the names of kinds and subjects stay
/// the same over time.
pub(super) type Present = BTreeSet<(Lasting, String)>;

/// What begins, goes, comes back and ends. Of what begins, `says_already` is
/// not told on its own.
pub(super) fn decide(state: &State, present: &Present, says_already: &Present, now: Instant) -> Vec<Event> {
    let mut events = Vec::new();
    let passed = |since: Instant| now.micros() - since.micros();
    for found in present {
        let (kind, subject) = found.clone();
        match state.episodes.get(found).map(|episode| episode.absent_since) {
            Some(None) => {}
            Some(Some(since)) if passed(since) < 2 * DAY_MICROS => events.push(Event::Back { kind, subject }),
            _ => events.push(Event::Began { kind, subject, is_told: !says_already.contains(found) }),
        }
    }
    for (known, episode) in state.episodes.iter().filter(|(known, _)| !present.contains(*known)) {
        let (kind, subject) = known.clone();
        match episode.absent_since {
            None => events.push(Event::Gone { kind, subject }),
            Some(since) if passed(since) >= DAY_MICROS => events.push(Event::Ended { kind, subject }),
            Some(_) => {}
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::{super::event::Past, *};

    fn folded(past: &[Past]) -> State {
        State::of(past)
    }

    /// Runs at these hours, each with `+` where it is there and `-` where not;
    /// what each said: `!` told, `g`one, `b`ack, `e`nded, `.` nothing.
    fn check(runs: &str, expect: &str) {
        let mut past: Vec<Past> = Vec::new();
        let mut said = String::new();
        for run in runs.split(' ') {
            let (hours, is_there) = run.split_at(run.len() - 1);
            let at = Instant::EARLIEST.plus_micros(hours.parse::<i64>().unwrap() * 3_600_000_000);
            let subject = (Lasting::SilentSource, "gateway".to_owned());
            let present = Present::from_iter((is_there == "+").then_some(subject));
            let events = decide(&folded(&past), &present, &Present::new(), at);
            said.push(match events.as_slice() {
                [] => '.',
                [Event::Began { is_told: true, .. }] => '!',
                [Event::Gone { .. }] => 'g',
                [Event::Back { .. }] => 'b',
                [Event::Ended { .. }] => 'e',
                other => panic!("{other:?}"),
            });
            past.push(Past { at, events, mails: Vec::new() });
        }
        assert_eq!(said, expect, "{runs}");
    }

    #[test]
    fn an_episode_is_told_once_and_ends_after_a_day_without_it() {
        check("0+ 1+ 24+ 48+", "!...");
        check("0- 24- 48+", "..!");
        // Gone for less than a day: the same one.
        check("0+ 1- 24+ 25+", "!gb.");
        check("0+ 1- 24- 25- 26+", "!g.e!");
        // Every other night.
        check("0+ 24- 48+ 72- 96+", "!gbgb");
        check("0+ 24- 48- 72+", "!ge!");
        // Nights that did not run.
        check("0+ 24- 240+", "!g!");
        check("0+ 240+", "!.");
        check("0+ 24- 72+", "!g!");
    }

    #[test]
    fn what_another_alert_says_already_is_an_episode_too() {
        let subject = Present::from([(Lasting::Forecast, "chat".to_owned())]);
        let events = decide(&State::default(), &subject, &subject, Instant::EARLIEST);
        assert!(matches!(events.as_slice(), [Event::Began { is_told: false, .. }]), "{events:?}");
    }
}
