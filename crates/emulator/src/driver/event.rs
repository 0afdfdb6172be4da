//! Events: marks in a stream, and the time when it came to them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::{Handle, Table};
use super::lock::lock;

pub static EVENTS: Table<Event> = Table::new(Code::INVALID_HANDLE);

pub struct Event {
    pub context: Handle,
    pub timed: bool,
    state: Mutex<State>,
    happened: Condvar,
}

/// Records are numbered from 1 in the order of the calls.
#[derive(Default)]
pub struct State {
    /// The last record asked for.
    pub asked: u64,
    /// The last record that its stream came to, and when.
    pub done: u64,
    pub when: Option<Instant>,
    /// The number of the capture that the last record stands in, if in one, and the nodes that it stands behind.
    pub captured: Option<(u64, Vec<usize>)>,
}

impl Event {
    pub fn new(context: Handle, timed: bool) -> Event {
        Event { context, timed, state: Mutex::default(), happened: Condvar::new() }
    }

    pub fn of(handle: Handle) -> Outcome<Arc<Event>> {
        Context::usable()?;
        EVENTS.get(handle)
    }

    pub fn has_happened(&self, record: u64) -> bool {
        lock(&self.state).done >= record
    }

    /// The stream came to a record.
    pub fn happen(&self, record: u64) {
        let mut state = lock(&self.state);
        if record > state.done {
            state.done = record;
            state.when = Some(Instant::now());
        }
        self.happened.notify_all();
    }

    pub fn wait_for(&self, record: u64) {
        let mut state = lock(&self.state);
        while state.done < record {
            state = self.happened.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

pub fn remove_of(context: Handle) {
    EVENTS.remove_all(|event| event.context == context);
}
