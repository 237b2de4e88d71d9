//! The same work for each of many, in threads, with the answers in their order.
//!
//! For work of about equal size that shares nothing; stages that share memory or
//! hand work on have threads of their own.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Threads for work that waits for the disk: files that are synced one by one
/// cost several milliseconds each, synced side by side they share them.
const FOR_THE_DISK: usize = 16;

/// For work that computes.
pub fn on_every_core<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    side_by_side(thread::available_parallelism().map_or(1, usize::from), items, work)
}

/// Adds items up, a part of them on each core: what the parts come to, in the
/// order of the items.
///
/// # Errors
/// The first of a part.
pub fn parts_on_every_core<T: Sync, S: Default + Send, E: Send>(
    items: &[T],
    add: impl Fn(&T, &mut S) -> Result<(), E> + Sync,
) -> Result<Vec<S>, E> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<&[T]> = items.chunks(items.len().div_ceil(cores).max(1)).collect();
    let sums = on_every_core(&parts, |items| {
        let mut sum = S::default();
        items.iter().try_for_each(|item| add(item, &mut sum)).map(|()| sum)
    });
    sums.into_iter().collect()
}

/// For work that writes a file and waits until it is there.
pub fn on_the_disk<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    side_by_side(FOR_THE_DISK, items, work)
}

fn side_by_side<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(item) = items.get(at)
        {
            done.push((at, work(item)));
        }
        done
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(items.len())).map(|_| scope.spawn(take)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("the work does not panic")).collect()
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_and_answers_keep_their_order() {
        for count in [0, 1, 15, 16, 17, 500] {
            let items: Vec<usize> = (0..count).collect();
            let expect: Vec<usize> = items.iter().map(|item| item * 2).collect();
            assert_eq!(on_the_disk(&items, |item| item * 2), expect);
            assert_eq!(on_every_core(&items, |item| item * 2), expect);
        }
    }

    #[test]
    fn every_item_is_added_to_one_part() {
        for count in [0, 1, 2, 3, 500] {
            let items: Vec<usize> = (0..count).collect();
            let add = |item: &usize, part: &mut Vec<usize>| {
                part.push(*item);
                Ok::<(), usize>(())
            };
            assert_eq!(parts_on_every_core(&items, add).unwrap().concat(), items);
        }
        let add = |item: &usize, (): &mut ()| if *item < 3 { Ok(()) } else { Err(*item) };
        assert_eq!(parts_on_every_core(&[1, 2, 3, 4], add), Err(3));
    }
}
