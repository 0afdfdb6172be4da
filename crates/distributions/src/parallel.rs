//! Independent pieces of work on threads, if there are any.

use alloc::vec::Vec;
use core::ops::Range;

use yuragi_numeric::tree::Tree;

use crate::Error;

/// Whether to go on: asked from time to time by work that takes long, on any thread.
pub type Going<'a> = &'a (dyn Fn() -> bool + Sync);

/// Processes that go over the same data together, each over its share of the parts that the data are cut into. Sums over parts
/// are added in a [`Tree`] over their numbers, so that they are the same bits for any number of processes.
pub trait Team {
    /// The parts of this process, of so many.
    fn share(&self, parts: usize) -> Range<usize>;

    /// The sum of `length` numbers over all parts, on all processes; each has its share of the parts in `own`.
    ///
    /// # Errors
    /// [`Error::Lost`].
    fn sum(&self, own: Tree<f64>, length: usize) -> Result<Vec<f64>, Error>;
}

/// One process alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Single;

impl Team for Single {
    fn share(&self, parts: usize) -> Range<usize> {
        0..parts
    }

    fn sum(&self, own: Tree<f64>, _: usize) -> Result<Vec<f64>, Error> {
        own.total().ok_or(Error::Lost)
    }
}

/// f(0) … f(count−1), in this order. With the feature `std`, up to `threads` threads take the next
/// piece as they become free; what is computed does not depend on them.
pub fn map<T: Send>(threads: usize, count: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    #[cfg(feature = "std")]
    if threads > 1 && count > 1 {
        return on_threads(threads.min(count), count, &f);
    }
    let _ = threads;
    (0..count).map(f).collect()
}

#[cfg(feature = "std")]
fn on_threads<T: Send>(threads: usize, count: usize, f: &(impl Fn(usize) -> T + Sync)) -> Vec<T> {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return done;
            }
            done.push((i, f(i)));
        }
    };
    let mut done = thread::scope(|scope| {
        // A thread that the system refuses is done without.
        let spawned = (1..threads).filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok());
        let helpers: Vec<_> = spawned.collect();
        let mut done = work();
        for helper in helpers {
            match helper.join() {
                Ok(part) => done.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, value)| value).collect()
}
