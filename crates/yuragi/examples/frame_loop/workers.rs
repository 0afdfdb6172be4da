//! An engine's own threads, which the model works on: they take the calls of one piece of work after another.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use yuragi::cpu::Executor;

type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// A few threads and whoever calls.
pub struct Workers {
    threads: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do.
    wanted: Condvar,
    /// Something was done.
    done: Condvar,
}

#[derive(Default)]
struct State {
    work: Option<&'static Work<'static>>,
    next: usize,
    calls: usize,
    inside: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes calls until none is left.
    fn help<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while let Some(work) = state.work.filter(|_| state.next < state.calls) {
            let call = state.next;
            state.next += 1;
            state.inside += 1;
            drop(state);
            work(call);
            state = self.lock();
            state.inside -= 1;
        }
        self.done.notify_all();
        state
    }
}

impl Workers {
    /// So many threads, the calling one included.
    pub fn new(threads: usize) -> Workers {
        let shared = Arc::<Shared>::default();
        for _ in 1..threads {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut state = shared.lock();
                loop {
                    state = shared.help(state);
                    state = shared.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            });
        }
        Workers { threads, shared }
    }
}

impl Executor for Workers {
    fn threads(&self) -> usize {
        self.threads
    }

    fn run(&self, calls: usize, work: &Work<'_>) {
        let mut state = self.shared.lock();
        while state.work.is_some() {
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // SAFETY: only the lifetime changes, and no call begins or goes on after this function.
        state.work = Some(unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) });
        (state.next, state.calls) = (0, calls);
        self.shared.wanted.notify_all();
        state = self.shared.help(state);
        while state.inside > 0 {
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.work = None;
        self.shared.done.notify_all();
    }
}
