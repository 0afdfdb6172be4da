//! Events: marks in a stream, and the time when it came to them.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::capture::{self, Capture};
use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::{Handle, Table};
use super::lock;
use super::pointer::Out;
use super::stream::Stream;
use super::work::Work;

static EVENTS: Table<Event> = Table::new(Code::INVALID_HANDLE);

/// `CU_EVENT_DISABLE_TIMING`, and all flags.
const DISABLE_TIMING: u32 = 2;
const INTERPROCESS: u32 = 4;
const ALL_FLAGS: u32 = 7;
/// `CU_EVENT_RECORD_EXTERNAL`: a captured record becomes a node of the graph.
const EXTERNAL: u32 = 1;

pub struct Event {
    context: Handle,
    timed: bool,
    state: Mutex<State>,
    happened: Condvar,
}

/// Records are numbered from 1 in the order of the calls.
#[derive(Default)]
struct State {
    /// The last record asked for.
    asked: u64,
    /// The last record that its stream came to, and when.
    done: u64,
    when: Option<Instant>,
    /// Where the last record stands if a stream captured it.
    captured: Option<(Arc<Capture>, Vec<usize>)>,
}

impl Event {
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

    /// Marks the end of what the stream has to do now.
    fn record(self: &Arc<Self>, stream: &Arc<Stream>, flags: u32) -> Outcome {
        if !stream.is_of(self.context) {
            return Err(Code::INVALID_HANDLE.because("the event and the stream are of different contexts"));
        }
        if flags & EXTERNAL == 0
            && let Some(capturing) = &stream.state().capturing
        {
            capturing.capture.check()?;
            lock(&self.state).captured = Some((capturing.capture.clone(), capturing.tail.clone()));
            return Ok(());
        }
        let record = {
            let mut state = lock(&self.state);
            state.captured = None;
            state.asked += 1;
            state.asked
        };
        stream.submit(Work::Record(self.clone(), record))
    }

    /// Lets the stream wait for the last record. In a capture that is a dependency, and it may bring a stream in.
    pub fn wait_on(self: &Arc<Self>, stream: &Arc<Stream>) -> Outcome {
        let (asked, captured) = {
            let state = lock(&self.state);
            (state.asked, state.captured.clone())
        };
        if let Some((capture, nodes)) = captured {
            return capture::join(stream, &capture, &nodes);
        }
        if asked == 0 {
            return Ok(());
        }
        capture::isolate(stream)?;
        stream.submit(Work::Await(self.clone(), asked))
    }

    /// Queries and waits are no part of a capture.
    fn forbid_if_captured(&self) -> Outcome {
        if let Some((capture, _)) = &lock(&self.state).captured {
            capture.invalidate();
            return Err(Code::CAPTURED_EVENT.into());
        }
        Ok(())
    }

    fn last_time(&self) -> Outcome<Instant> {
        self.forbid_if_captured()?;
        let state = lock(&self.state);
        match state.when {
            _ if !self.timed => Err(Code::INVALID_HANDLE.because("the event was made without timing")),
            None if state.asked == 0 => Err(Code::INVALID_HANDLE.because("the event was never recorded")),
            Some(when) if state.done == state.asked => Ok(when),
            _ => Err(Code::NOT_READY.into()),
        }
    }
}

/// Milliseconds of the host's clock from one record to the other.
fn elapsed(out: Out<f32>, start: Handle, end: Handle) -> Outcome {
    let place = out.place()?;
    let (start, end) = (Event::of(start)?.last_time()?, Event::of(end)?.last_time()?);
    let seconds = match end.checked_duration_since(start) {
        Some(forward) => forward.as_secs_f64(),
        None => -start.duration_since(end).as_secs_f64(),
    };
    place.put((1e3 * seconds) as f32);
    Ok(())
}

pub fn remove_of(context: Handle) {
    EVENTS.remove_all(|event| event.context == context);
}

super::exported! {
    fn cuEventCreate(out: Out<Handle>, flags: u32) {
        let place = out.place()?;
        if flags & !ALL_FLAGS != 0 || flags & INTERPROCESS != 0 && flags & DISABLE_TIMING == 0 {
            return Err(Code::INVALID_VALUE.into());
        }
        let context = Context::usable()?.handle;
        let timed = flags & DISABLE_TIMING == 0;
        place.put(EVENTS.add(Arc::new(Event { context, timed, state: Mutex::default(), happened: Condvar::new() })));
        Ok(())
    }

    fn cuEventDestroy_v2(handle: Handle) {
        Context::current()?;
        EVENTS.remove(handle).map(|_| ())
    }

    fn cuEventRecord(handle: Handle, stream: Handle) {
        Event::of(handle)?.record(&Stream::of(stream)?, 0)
    }

    fn cuEventRecordWithFlags(handle: Handle, stream: Handle, flags: u32) {
        if flags & !EXTERNAL != 0 {
            return Err(Code::INVALID_VALUE.into());
        }
        Event::of(handle)?.record(&Stream::of(stream)?, flags)
    }

    fn cuEventQuery(handle: Handle) {
        let event = Event::of(handle)?;
        event.forbid_if_captured()?;
        capture::forbid()?;
        let state = lock(&event.state);
        if state.done == state.asked { Ok(()) } else { Err(Code::NOT_READY.into()) }
    }

    fn cuEventSynchronize(handle: Handle) {
        let event = Event::of(handle)?;
        event.forbid_if_captured()?;
        capture::forbid()?;
        let asked = lock(&event.state).asked;
        event.wait_for(asked);
        Context::usable().map(|_| ())
    }

    fn cuEventElapsedTime(out: Out<f32>, start: Handle, end: Handle) {
        elapsed(out, start, end)
    }

    fn cuEventElapsedTime_v2(out: Out<f32>, start: Handle, end: Handle) {
        elapsed(out, start, end)
    }
}
