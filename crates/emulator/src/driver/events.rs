//! The functions of events.

use std::sync::Arc;
use std::time::Instant;

use super::context::Context;
use super::error::{Code, Outcome};
use super::event::{EVENTS, Event};
use super::handle::Handle;
use super::pointer::Out;
use super::stream::Stream;
use super::work::Work;
use super::{capture, captures};

/// `CU_EVENT_DISABLE_TIMING`, and all flags.
const DISABLE_TIMING: u32 = 2;
const INTERPROCESS: u32 = 4;
const ALL_FLAGS: u32 = 7;
/// `CU_EVENT_RECORD_EXTERNAL`: a captured record becomes a node of the graph.
const EXTERNAL: u32 = 1;

/// Marks the end of what the stream has to do now.
fn record(event: &Arc<Event>, stream: &Arc<Stream>, flags: u32) -> Outcome {
    if !stream.is_of(event.context) {
        return Err(Code::INVALID_HANDLE.because("the event and the stream are of different contexts"));
    }
    if flags & EXTERNAL == 0
        && let Some(capturing) = &stream.state().capturing
    {
        capturing.capture.check()?;
        event.state().captured = Some((capturing.capture.id, capturing.tail.clone()));
        return Ok(());
    }
    let record = {
        let mut state = event.state();
        state.captured = None;
        state.asked += 1;
        state.asked
    };
    stream.submit(Work::Record(event.clone(), record))
}

/// Lets the stream wait for the last record. In a capture that is a dependency, and it may bring a stream in.
fn wait_on(event: &Arc<Event>, stream: &Arc<Stream>) -> Outcome {
    let (asked, captured) = {
        let state = event.state();
        (state.asked, state.captured.clone())
    };
    if let Some((capture, nodes)) = captured {
        return captures::join(stream, capture, &nodes);
    }
    if asked == 0 {
        return Ok(());
    }
    captures::isolate(stream)?;
    stream.submit(Work::Await(event.clone(), asked))
}

/// Queries and waits are no part of a capture.
fn forbid_if_captured(event: &Event) -> Outcome {
    if let Some((capture, _)) = event.state().captured {
        capture::active(capture).iter().for_each(|capture| capture.invalidate());
        return Err(Code::CAPTURED_EVENT.into());
    }
    Ok(())
}

fn last_time(event: &Event) -> Outcome<Instant> {
    forbid_if_captured(event)?;
    let state = event.state();
    match state.when {
        _ if !event.timed => Err(Code::INVALID_HANDLE.because("the event was made without timing")),
        None if state.asked == 0 => Err(Code::INVALID_HANDLE.because("the event was never recorded")),
        Some(when) if state.done == state.asked => Ok(when),
        _ => Err(Code::NOT_READY.into()),
    }
}

/// Milliseconds of the host's clock from one record to the other.
fn elapsed(out: Out<f32>, start: Handle, end: Handle) -> Outcome {
    let place = out.place()?;
    let (start, end) = (last_time(&*Event::of(start)?)?, last_time(&*Event::of(end)?)?);
    let seconds = match end.checked_duration_since(start) {
        Some(forward) => forward.as_secs_f64(),
        None => -start.duration_since(end).as_secs_f64(),
    };
    place.put((1e3 * seconds) as f32);
    Ok(())
}

super::boundary::exported! {
    fn cuEventCreate(out: Out<Handle>, flags: u32) {
        let place = out.place()?;
        if flags & !ALL_FLAGS != 0 || flags & INTERPROCESS != 0 && flags & DISABLE_TIMING == 0 {
            return Err(Code::INVALID_VALUE.into());
        }
        let context = Context::usable()?.handle;
        let timed = flags & DISABLE_TIMING == 0;
        place.put(EVENTS.add(Arc::new(Event::new(context, timed))));
        Ok(())
    }

    fn cuEventDestroy_v2(handle: Handle) {
        Context::current()?;
        EVENTS.remove(handle).map(|_| ())
    }

    fn cuEventRecord(handle: Handle, stream: Handle) {
        record(&Event::of(handle)?, &Stream::of(stream)?, 0)
    }

    fn cuEventRecordWithFlags(handle: Handle, stream: Handle, flags: u32) {
        if flags & !EXTERNAL != 0 {
            return Err(Code::INVALID_VALUE.into());
        }
        record(&Event::of(handle)?, &Stream::of(stream)?, flags)
    }

    fn cuStreamWaitEvent(handle: Handle, event: Handle, _flags: u32) {
        let stream = Stream::of(handle)?;
        wait_on(&Event::of(event)?, &stream)
    }

    fn cuEventQuery(handle: Handle) {
        let event = Event::of(handle)?;
        forbid_if_captured(&event)?;
        capture::forbid()?;
        let state = event.state();
        if state.done == state.asked { Ok(()) } else { Err(Code::NOT_READY.into()) }
    }

    fn cuEventSynchronize(handle: Handle) {
        let event = Event::of(handle)?;
        forbid_if_captured(&event)?;
        capture::forbid()?;
        let asked = event.state().asked;
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
