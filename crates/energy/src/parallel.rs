//! Work beside work, on threads with the feature `std`.

use alloc::vec::Vec;

/// What `here` gives on this thread, then what `there` makes of each item on a thread of its own. What the system
/// refuses a thread is done here.
#[cfg(feature = "std")]
pub(crate) fn beside<T: Send, R: Send>(
    here: impl FnOnce() -> R,
    items: Vec<T>,
    there: &(impl Fn(T) -> R + Sync),
) -> Vec<R> {
    use std::sync::{Arc, Mutex};

    std::thread::scope(|scope| {
        let start = |item: T| {
            // The item stays where a failed start cannot take it.
            let place = Arc::new(Mutex::new(Some(item)));
            let taken =
                move |place: Arc<Mutex<Option<T>>>| place.lock().ok().and_then(|mut item| item.take()).map(there);
            let theirs = place.clone();
            match std::thread::Builder::new().spawn_scoped(scope, move || taken(theirs)) {
                Ok(handle) => (Some(handle), None),
                Err(_) => (None, Some(place)),
            }
        };
        let started: Vec<_> = items.into_iter().map(start).collect();
        let mut results = alloc::vec![here()];
        for (handle, place) in started {
            results.extend(match (handle.map(std::thread::ScopedJoinHandle::join), place) {
                (Some(Ok(result)), _) => result,
                (Some(Err(panic)), _) => std::panic::resume_unwind(panic),
                (None, place) => place.and_then(|place| place.lock().ok().and_then(|mut item| item.take())).map(there),
            });
        }
        results
    })
}

/// One after another.
#[cfg(not(feature = "std"))]
pub(crate) fn beside<T: Send, R: Send>(
    here: impl FnOnce() -> R,
    items: Vec<T>,
    there: &(impl Fn(T) -> R + Sync),
) -> Vec<R> {
    core::iter::once(here()).chain(items.into_iter().map(there)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_order() {
        assert_eq!(beside(|| 0, (1..9).collect(), &|i: u32| 10 * i), [0, 10, 20, 30, 40, 50, 60, 70, 80]);
    }
}
