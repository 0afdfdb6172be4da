//! Streams: work in its order.
//!
//! Work runs on the thread that submits it, before the call returns. Only a host function gets a thread of its own,
//! since it may wait for something that its program does later; until it returns, what follows it on its stream,
//! and on streams that wait for that one, waits in queues.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread::{self, ThreadId};

use super::capture::Capturing;
use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::{Handle, Table};
use super::lock::lock;
use super::report;
use super::work::{self, Work};

pub static STREAMS: Table<Stream> = Table::new(Code::INVALID_HANDLE);

/// `CU_STREAM_NON_BLOCKING`: the stream does not wait for the legacy default stream.
pub const NON_BLOCKING: u32 = 1;
/// Priorities go from 0 down to this.
pub const GREATEST_PRIORITY: i32 = -5;

/// `CU_STREAM_LEGACY` and `CU_STREAM_PER_THREAD`.
const LEGACY: Handle = Handle(1);
const PER_THREAD: Handle = Handle(2);

pub struct Stream {
    context: Weak<Context>,
    pub context_handle: Handle,
    pub id: u64,
    pub flags: u32,
    pub priority: i32,
    /// Whether it is the legacy default stream.
    legacy: bool,
    state: Mutex<State>,
    idle: Condvar,
}

thread_local! {
    /// Whether the call under way means the thread's default stream by null.
    static DEFAULT_IS_PER_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Makes a call in which null means the default stream of its thread.
pub fn per_thread<T>(call: impl FnOnce() -> T) -> T {
    let before = DEFAULT_IS_PER_THREAD.replace(true);
    let result = call();
    DEFAULT_IS_PER_THREAD.set(before);
    result
}

/// What a stream does now.
#[derive(Default)]
pub struct State {
    /// What waits for the thread that works the stream off.
    queue: VecDeque<Work>,
    /// Whether there is such a thread.
    worked_off: bool,
    /// Whether the last work that was put into it, outside of captures, is a launch.
    ends_with_launch: bool,
    /// The graph that work goes into instead of being done.
    pub capturing: Option<Capturing>,
}

impl Stream {
    pub fn new(context: &Arc<Context>, flags: u32, priority: i32) -> Stream {
        Stream {
            context: Arc::downgrade(context),
            context_handle: context.handle,
            id: Handle::fresh().0 as u64,
            flags,
            priority,
            legacy: false,
            state: Mutex::default(),
            idle: Condvar::new(),
        }
    }

    /// The stream of a handle, which for the default streams depends on the current context.
    pub fn of(handle: Handle) -> Outcome<Arc<Stream>> {
        match handle {
            Handle::NULL if DEFAULT_IS_PER_THREAD.get() => Stream::of(PER_THREAD),
            Handle::NULL | LEGACY => Ok(default_of(&Context::usable()?, None)),
            PER_THREAD => Ok(default_of(&Context::usable()?, Some(thread::current().id()))),
            _ => {
                Context::usable()?;
                let stream = STREAMS.get(handle)?;
                stream.context()?.check()?;
                Ok(stream)
            }
        }
    }

    pub fn is_of(&self, context: Handle) -> bool {
        self.context_handle == context
    }

    pub fn context(&self) -> Outcome<Arc<Context>> {
        self.context.upgrade().ok_or(Code::CONTEXT_IS_DESTROYED.into())
    }

    pub fn is_legacy(&self) -> bool {
        self.legacy
    }

    /// Whether it and the legacy default stream wait for each other.
    pub fn is_blocking(&self) -> bool {
        self.flags & NON_BLOCKING == 0
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether work goes into a graph.
    pub fn is_capturing(&self) -> bool {
        self.state().capturing.is_some()
    }

    /// Whether what stands last in it, or in what it captures, is a launch.
    pub fn ends_with_launch(&self) -> bool {
        let state = self.state();
        state.capturing.as_ref().map_or(state.ends_with_launch, Capturing::ends_with_launch)
    }

    /// Puts work at the end of the stream: into the graph that it captures, into its queue, or, if nothing stands
    /// before it, into effect.
    pub fn submit(self: &Arc<Self>, work: Work) -> Outcome {
        let context = self.context()?;
        context.check()?;
        self.keep_order_with_the_legacy_stream(&context)?;
        let mut state = self.state();
        if let Some(capturing) = &mut state.capturing {
            return capturing.add(work);
        }
        state.ends_with_launch = matches!(work, Work::Launch(_));
        if !state.worked_off && !work.may_wait() {
            return work.run(&context).or_else(|error| match context.is_spoiled() {
                // What waits for the work is told of it, as a GPU's driver does.
                true if report::settings().check != report::Check::Now => {
                    work::report_late(&error);
                    Ok(())
                }
                _ => Err(error),
            });
        }
        state.queue.push_back(work.detached());
        if !state.worked_off {
            state.worked_off = true;
            lock(&WORKING).push(self.clone());
            let stream = self.clone();
            if thread::Builder::new().spawn(move || stream.work_off()).is_err() {
                drop(state);
                self.work_off();
            }
        }
        Ok(())
    }

    /// The legacy default stream waits for the blocking ones, and they for it.
    fn keep_order_with_the_legacy_stream(&self, context: &Arc<Context>) -> Outcome {
        if !self.is_blocking() {
            return Ok(());
        }
        if !self.is_legacy() {
            legacy_of(context.handle).iter().for_each(|stream| stream.drain());
            return Ok(());
        }
        let others = all_of(context.handle).into_iter().filter(|s| s.is_blocking() && !s.is_legacy());
        for stream in others {
            let mut state = stream.state();
            if let Some(capturing) = &mut state.capturing {
                capturing.capture.invalidate();
                return Err(Code::STREAM_CAPTURE_IMPLICIT.because(
                    "work on the default stream while a blocking stream captures; capture non-blocking ones",
                ));
            }
            drop(state);
            stream.drain();
        }
        Ok(())
    }

    /// Does what is queued until nothing is.
    fn work_off(&self) {
        loop {
            let mut state = self.state();
            let Some(work) = state.queue.pop_front() else {
                state.worked_off = false;
                lock(&WORKING).retain(|stream| !std::ptr::eq(&**stream, self));
                self.idle.notify_all();
                return;
            };
            drop(state);
            let Ok(context) = self.context() else { continue };
            let outcome = catch_unwind(AssertUnwindSafe(|| work.run(&context)));
            if let Err(error) = outcome.unwrap_or_else(|_| Err(Code::UNKNOWN.because("a panic in queued work"))) {
                work::report_late(&error);
                context.spoil(&error);
            }
        }
    }

    /// Waits until all its work is done.
    pub fn drain(&self) {
        let mut state = self.state();
        while state.worked_off {
            state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether all its work is done; false while another thread submits some.
    pub fn is_idle(&self) -> bool {
        match self.state.try_lock() {
            Ok(state) => !state.worked_off,
            Err(TryLockError::Poisoned(state)) => !state.into_inner().worked_off,
            Err(TryLockError::WouldBlock) => false,
        }
    }

    /// Waits until all its work is done, and gives the error that came of it.
    pub fn synchronise(&self) -> Outcome {
        self.forbid_while_capturing()?;
        self.drain();
        self.context()?.check()
    }

    pub fn forbid_while_capturing(&self) -> Outcome {
        match &self.state().capturing {
            None => Ok(()),
            Some(capturing) => {
                capturing.capture.invalidate();
                Err(Code::STREAM_CAPTURE_UNSUPPORTED.because("the stream is capturing"))
            }
        }
    }
}

/// A default stream: the context and, unless it is the legacy one, the thread that it is of.
type DefaultStream = (Handle, Option<ThreadId>, Arc<Stream>);

static DEFAULTS: Mutex<Vec<DefaultStream>> = Mutex::new(Vec::new());

/// The default stream of a context and a thread, or the legacy one.
fn default_of(context: &Arc<Context>, thread: Option<ThreadId>) -> Arc<Stream> {
    let mut all = lock(&DEFAULTS);
    if let Some((.., stream)) = all.iter().find(|(of, by, _)| *of == context.handle && *by == thread) {
        return stream.clone();
    }
    let stream = Arc::new(Stream { legacy: thread.is_none(), ..Stream::new(context, 0, 0) });
    all.push((context.handle, thread, stream.clone()));
    stream
}

/// The legacy default stream of a context, if anything was done in it.
fn legacy_of(context: Handle) -> Option<Arc<Stream>> {
    let all = lock(&DEFAULTS);
    all.iter().find(|(of, thread, _)| *of == context && thread.is_none()).map(|(.., stream)| stream.clone())
}

/// Streams with queued work, which go on when their handle is destroyed.
static WORKING: Mutex<Vec<Arc<Stream>>> = Mutex::new(Vec::new());

/// All streams of a context.
pub fn all_of(context: Handle) -> Vec<Arc<Stream>> {
    let mut streams = STREAMS.all(|stream| stream.is_of(context));
    let working: Vec<Arc<Stream>> = lock(&WORKING).iter().filter(|stream| stream.is_of(context)).cloned().collect();
    streams.extend(working);
    streams.extend(lock(&DEFAULTS).iter().filter(|(of, ..)| *of == context).map(|(.., stream)| stream.clone()));
    streams
}

/// Takes all streams of a context out of the tables.
pub fn remove_of(context: Handle) {
    STREAMS.remove_all(|stream| stream.is_of(context));
    lock(&DEFAULTS).retain(|(of, ..)| *of != context);
}
