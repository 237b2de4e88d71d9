//! A simulation that tries to break the books: worlds and histories from a
//! seed, whole nights on a store that fails as disks and machines do, and every
//! step held against a small model that has seen everything at once.
//!
//! `SPENDBOOK_HISTORIES=50000 cargo test simulation` plays more of them, and
//! `SPENDBOOK_SEED=7` only that one. A difference prints its seed and the
//! shortest history found that still shows it. Days are written by several
//! threads: at which of them a crash strikes can differ from run to run.

mod history;
mod model;
mod play;
mod store;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use history::{History, Step};
use play::play;
use store::Lie;

use crate::support::times;

/// More threads than cores: mails wait for a server now and then.
const PLAYERS: usize = 2;

/// The first history of so many that shows a difference, cut to what is needed.
fn first_difference(seeds: std::ops::Range<u32>, lie: Option<Lie>) -> Option<String> {
    let next = AtomicU32::new(seeds.start);
    let play_on = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return None;
            }
            let history = history::of(seed.into());
            if let Err(difference) = play(&history, lie) {
                next.store(seeds.end, Ordering::Relaxed);
                let (history, difference) = shortest(history, difference, lie);
                return Some(format!("seed {seed}: {difference}\n{history:#?}"));
            }
        }
    };
    thread::scope(|scope| {
        let players: Vec<_> = (0..PLAYERS).map(|_| scope.spawn(play_on)).collect();
        players.into_iter().find_map(|player| player.join().expect("a player does not panic"))
    })
}

/// Leaves out steps and lines for as long as a difference stays.
fn shortest(mut history: History, mut difference: String, lie: Option<Lie>) -> (History, String) {
    let mut at = 0;
    while at < history.steps.len() {
        let mut shorter = history.clone();
        shorter.steps.remove(at);
        if let Err(found) = play(&shorter, lie) {
            (history, difference) = (shorter, found);
            continue;
        }
        let mut place = 0;
        while let Step::Log { lines, .. } = &history.steps[at]
            && place < lines.len()
        {
            let mut shorter = history.clone();
            if let Step::Log { lines, .. } = &mut shorter.steps[at] {
                lines.remove(place);
            }
            match play(&shorter, lie) {
                Err(found) => (history, difference) = (shorter, found),
                Ok(()) => place += 1,
            }
        }
        at += 1;
    }
    (history, difference)
}

#[test]
fn every_history_ends_in_the_book_of_the_model() {
    let only = times("SPENDBOOK_SEED", u32::MAX);
    let seeds = if only == u32::MAX { 0..times("SPENDBOOK_HISTORIES", 2_000) } else { only..only + 1 };
    if let Some(difference) = first_difference(seeds, None) {
        panic!("{difference}");
    }
}

/// What would be a bug of the worst kind is found, and in few steps.
#[test]
fn a_store_that_forgets_a_file_is_found_out() {
    for below in ["usage/", "charges/"] {
        let lie = Lie::Drops { below, every: 3 };
        let found = first_difference(0..200, Some(lie)).unwrap_or_else(|| panic!("nobody missed a file of {below}"));
        assert!(found.matches("Night(").count() <= 3, "{found}");
    }
}
