//! Work done by several threads, taken up in order.
//!
//! Each thread has every n-th task and may be one ahead of what has been taken
//! from it, so that what waits stays small however many tasks there are.

use std::{sync::mpsc, thread};

/// Does the work of every task, and hands on the results in the order of the
/// tasks.
///
/// # Errors
/// The first that `each` returns; the rest is then left undone.
pub(super) fn ordered<T: Sync, R: Send, E>(
    tasks: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
    mut each: impl FnMut(&T, R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.clamp(1, tasks.len().max(1));
    thread::scope(|scope| {
        let mut results = Vec::with_capacity(threads);
        for worker in 0..threads {
            let (to, from) = mpsc::sync_channel(1);
            results.push(from);
            let work = &work;
            scope.spawn(move || {
                for task in tasks.iter().skip(worker).step_by(threads) {
                    // Nobody waits any more: another task ended it all.
                    if to.send(work(task)).is_err() {
                        break;
                    }
                }
            });
        }
        for (at, task) in tasks.iter().enumerate() {
            // A thread that panicked ends the scope with its panic.
            let Ok(result) = results[at % threads].recv() else { break };
            each(task, result)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_tasks() {
        let tasks: Vec<u64> = (0..100).collect();
        for threads in [0, 1, 2, 7, 200] {
            let mut seen = Vec::new();
            let work = |task: &u64| {
                thread::sleep(std::time::Duration::from_micros(task * 7 % 13));
                task * 2
            };
            let done = ordered(&tasks, threads, work, |task, result| {
                seen.push((*task, result));
                Ok::<(), ()>(())
            });
            assert_eq!(done, Ok(()));
            assert_eq!(seen, tasks.iter().map(|task| (*task, task * 2)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let tasks: Vec<u64> = (0..100).collect();
        let done = ordered(&tasks, 3, |task| *task, |task, _| if *task == 10 { Err(*task) } else { Ok(()) });
        assert_eq!(done, Err(10));
        assert_eq!(ordered(&[], 3, |task: &u64| *task, |_, _| Err(())), Ok(()));
    }
}
