//! Capture: a stream's work becomes the nodes of a graph.
//!
//! A node depends on what its stream captured last. Waiting in another stream for an event of a capturing one brings
//! that stream into the capture, and all must lead back to the first one before the capture ends.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::lock::lock;
use super::work::{Node, Work};

/// What a capture forbids elsewhere while it goes on: `CUstreamCaptureMode`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Calls that may not be captured are forbidden on every thread.
    Global,
    /// They are forbidden on the thread that began it.
    ThreadLocal,
    /// Nothing is forbidden.
    Relaxed,
}

impl Mode {
    pub fn of(number: i32) -> Outcome<Mode> {
        match number {
            0 => Ok(Mode::Global),
            1 => Ok(Mode::ThreadLocal),
            2 => Ok(Mode::Relaxed),
            _ => Err(Code::INVALID_VALUE.into()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Active,
    Invalidated,
    Ended,
}

/// A graph in the making.
pub struct Capture {
    pub id: u64,
    pub mode: Mode,
    pub thread: ThreadId,
    pub context: Handle,
    /// The stream on which it began, by its id.
    pub origin: u64,
    /// The handle that the graph will have.
    pub graph: Handle,
    state: Mutex<State>,
}

struct State {
    status: Status,
    nodes: Vec<Node>,
}

/// A stream's part in a capture.
pub struct Capturing {
    pub capture: Arc<Capture>,
    /// The nodes that the stream's next one depends on.
    pub tail: Vec<usize>,
    /// Those nodes and their edges' data (always zero), as the program has last seen them.
    pub shown: (Vec<Handle>, Vec<u64>),
}

static ACTIVE: Mutex<Vec<Arc<Capture>>> = Mutex::new(Vec::new());
/// How many there are, so that calls outside of any capture take no lock.
static ACTIVE_COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD_MODE: Cell<Mode> = const { Cell::new(Mode::Global) };
}

impl Capture {
    /// An error if it can no longer succeed.
    pub fn check(&self) -> Outcome {
        match lock(&self.state).status {
            Status::Active => Ok(()),
            Status::Invalidated | Status::Ended => Err(Code::STREAM_CAPTURE_INVALIDATED.into()),
        }
    }

    /// Lets it fail when it ends.
    pub fn invalidate(&self) {
        let mut state = lock(&self.state);
        if state.status == Status::Active {
            state.status = Status::Invalidated;
        }
    }

    /// Begins one on a stream, by its id.
    pub fn begin(mode: Mode, context: Handle, origin: u64) -> Arc<Capture> {
        let capture = Arc::new(Capture {
            id: Handle::fresh().0 as u64,
            mode,
            thread: thread::current().id(),
            context,
            origin,
            graph: Handle::fresh(),
            state: Mutex::new(State { status: Status::Active, nodes: Vec::new() }),
        });
        let mut active = lock(&ACTIVE);
        active.push(capture.clone());
        ACTIVE_COUNT.store(active.len(), Ordering::Release);
        capture
    }

    /// Ends it: it forbids nothing any more. Gives how it went, and its nodes.
    pub fn end(self: &Arc<Self>) -> (Status, Vec<Node>) {
        let ended = {
            let mut state = lock(&self.state);
            (std::mem::replace(&mut state.status, Status::Ended), std::mem::take(&mut state.nodes))
        };
        let mut active = lock(&ACTIVE);
        active.retain(|capture| !Arc::ptr_eq(capture, self));
        ACTIVE_COUNT.store(active.len(), Ordering::Release);
        ended
    }

    /// The `CUstreamCaptureStatus` that its streams have.
    pub fn status_number(&self) -> i32 {
        if lock(&self.state).status == Status::Active { 1 } else { 2 }
    }
}

impl Capturing {
    pub fn new(capture: Arc<Capture>, tail: Vec<usize>) -> Capturing {
        Capturing { capture, tail, shown: Default::default() }
    }

    /// Adds a node behind the stream's last ones.
    pub fn add(&mut self, work: Work) -> Outcome {
        self.capture.check()?;
        let mut state = lock(&self.capture.state);
        let after = std::mem::replace(&mut self.tail, vec![state.nodes.len()]);
        state.nodes.push(Node { work, after });
        Ok(())
    }

    /// Whether the stream's next node depends on a launch.
    pub fn ends_with_launch(&self) -> bool {
        let state = lock(&self.capture.state);
        self.tail.iter().filter_map(|&node| state.nodes.get(node)).any(|node| matches!(node.work, Work::Launch(_)))
    }

    /// Whether some work of this capture stands behind nodes that this stream's next one would not depend on.
    pub fn leaves_work_behind(tail: &[usize], nodes: &[Node]) -> bool {
        let mut reached = BTreeSet::new();
        let mut open = tail.to_vec();
        while let Some(node) = open.pop() {
            if reached.insert(node) {
                open.extend(&nodes[node].after);
            }
        }
        reached.len() < nodes.len()
    }
}

/// The capture of a number, unless it has ended.
pub fn active(id: u64) -> Option<Arc<Capture>> {
    lock(&ACTIVE).iter().find(|capture| capture.id == id).cloned()
}

/// The captures of which something holds.
pub fn active_where(holds: impl Fn(&Capture) -> bool) -> Vec<Arc<Capture>> {
    lock(&ACTIVE).iter().filter(|capture| holds(capture)).cloned().collect()
}

/// Makes a thread's calls captured in another mode; gives that which was.
pub fn exchange_mode(mode: Mode) -> Mode {
    THREAD_MODE.replace(mode)
}

/// Refuses a call that no capture could hold, where a capture forbids such calls, and invalidates that capture.
pub fn forbid() -> Outcome {
    if ACTIVE_COUNT.load(Ordering::Acquire) == 0 {
        return Ok(());
    }
    let (me, mode) = (thread::current().id(), THREAD_MODE.get());
    let forbids = |capture: &&Arc<Capture>| {
        let own = capture.thread == me && capture.mode != Mode::Relaxed;
        match mode {
            Mode::Relaxed => false,
            Mode::ThreadLocal => own,
            Mode::Global => own || capture.mode == Mode::Global,
        }
    };
    let forbidding: Vec<_> = lock(&ACTIVE).iter().filter(forbids).cloned().collect();
    refuse(&forbidding, "a stream is capturing, and this call cannot become a node of its graph")
}

/// Refuses a call on a whole context while one of its streams captures.
pub fn forbid_in(context: &Context) -> Outcome {
    let forbidding: Vec<_> = lock(&ACTIVE).iter().filter(|c| c.context == context.handle).cloned().collect();
    refuse(&forbidding, "a stream of the context is capturing")
}

fn refuse(forbidding: &[Arc<Capture>], why: &str) -> Outcome {
    forbidding.iter().for_each(|capture| capture.invalidate());
    if forbidding.is_empty() { Ok(()) } else { Err(Code::STREAM_CAPTURE_UNSUPPORTED.because(why)) }
}
