//! The functions of captures: how they begin and end, and how streams come into them.

use std::sync::Arc;
use std::thread;

use super::capture::{self, Capture, Capturing, Mode, Status};
use super::error::{Code, Outcome};
use super::graph;
use super::handle::Handle;
use super::pointer::Out;
use super::stream::{self, Stream};
use super::work::Node;

/// Makes a stream wait for nodes of a capture.
pub fn join(stream: &Arc<Stream>, capture: u64, nodes: &[usize]) -> Outcome {
    let Some(capture) = capture::active(capture) else {
        isolate(stream)?;
        return Err(Code::CAPTURED_EVENT.because("the event was recorded in a capture that has ended"));
    };
    capture.check()?;
    if stream.is_legacy() {
        capture.invalidate();
        return Err(Code::STREAM_CAPTURE_IMPLICIT.because("the default stream cannot join a capture"));
    }
    let mut state = stream.state();
    match &mut state.capturing {
        Some(own) if Arc::ptr_eq(&own.capture, &capture) => {
            let more: Vec<usize> = nodes.iter().copied().filter(|node| !own.tail.contains(node)).collect();
            own.tail.extend(more);
        }
        Some(other) => {
            other.capture.invalidate();
            capture.invalidate();
            return Err(Code::STREAM_CAPTURE_MERGE.because("the stream and the event belong to two captures"));
        }
        none => *none = Some(Capturing::new(capture, nodes.to_vec())),
    }
    Ok(())
}

/// Refuses to let a capturing stream wait for work outside of its capture.
pub fn isolate(stream: &Stream) -> Outcome {
    match &stream.state().capturing {
        None => Ok(()),
        Some(capturing) => {
            capturing.capture.invalidate();
            Err(Code::STREAM_CAPTURE_ISOLATION.because(
                "a capturing stream was to wait for an event recorded outside of the capture; with cudarc, \
                 `disable_event_tracking` before the slices are made",
            ))
        }
    }
}

/// A destroyed stream leaves its capture, which cannot succeed then.
pub fn leave(stream: &Stream) {
    let Some(capturing) = stream.state().capturing.take() else { return };
    capturing.capture.invalidate();
    if capturing.capture.origin == stream.id {
        finish(&capturing.capture);
    }
}

/// Ends a capture, and takes the streams out of it.
fn finish(capture: &Arc<Capture>) -> (Status, Vec<Node>) {
    let ended = capture.end();
    for stream in stream::all_of(capture.context) {
        let mut state = stream.state();
        if state.capturing.as_ref().is_some_and(|capturing| Arc::ptr_eq(&capturing.capture, capture)) {
            state.capturing = None;
        }
    }
    ended
}

/// Ends the captures in some contexts without a graph.
pub fn abandon(of: impl Fn(Handle) -> bool) {
    capture::active_where(|capture| of(capture.context)).iter().for_each(|capture| drop(finish(capture)));
}

fn begin(stream: &Arc<Stream>, mode: Mode) -> Outcome {
    if stream.is_legacy() {
        return Err(Code::STREAM_CAPTURE_UNSUPPORTED.because("the default stream cannot capture; make a stream"));
    }
    let context = stream.context()?.handle;
    let mut state = stream.state();
    if state.capturing.is_some() {
        return Err(Code::ILLEGAL_STATE.because("the stream is capturing already"));
    }
    state.capturing = Some(Capturing::new(Capture::begin(mode, context, stream.id), Vec::new()));
    Ok(())
}

fn end(stream: &Arc<Stream>) -> Outcome<Handle> {
    let (capture, tail) = match &stream.state().capturing {
        None => return Err(Code::ILLEGAL_STATE.because("the stream is not capturing")),
        Some(capturing) => (capturing.capture.clone(), capturing.tail.clone()),
    };
    if capture.origin != stream.id {
        capture.invalidate();
        return Err(Code::STREAM_CAPTURE_UNMATCHED.into());
    }
    if capture.mode != Mode::Relaxed && capture.thread != thread::current().id() {
        return Err(Code::STREAM_CAPTURE_WRONG_THREAD.into());
    }
    let (status, nodes) = finish(&capture);
    if status != Status::Active {
        return Err(Code::STREAM_CAPTURE_INVALIDATED.into());
    }
    if Capturing::leaves_work_behind(&tail, &nodes) {
        let message = "work of another stream in the capture was not waited for by the stream that began it";
        return Err(Code::STREAM_CAPTURE_UNJOINED.because(message));
    }
    graph::add(capture.graph, capture.context, nodes);
    Ok(capture.graph)
}

/// Where `cuStreamGetCaptureInfo` and its later forms put what they tell.
struct Info {
    status: Out<i32>,
    id: Out<u64>,
    graph: Out<Handle>,
    nodes: Out<*const Handle>,
    edges: Out<*const u64>,
    count: Out<usize>,
}

impl Info {
    fn fill(self, stream: Handle) -> Outcome {
        let status = self.status.place()?;
        let stream = Stream::of(stream)?;
        let mut state = stream.state();
        let Some(capturing) = &mut state.capturing else {
            status.put(0);
            return Ok(());
        };
        let graph = capturing.capture.graph;
        status.put(capturing.capture.status_number());
        self.id.put_if_wanted(capturing.capture.id);
        self.graph.put_if_wanted(graph);
        let handles: Vec<Handle> = capturing.tail.iter().filter_map(|&node| graph.part(node)).collect();
        self.count.put_if_wanted(handles.len());
        let data = vec![0; handles.len()];
        // The arrays live until the next such call on this stream, which is what the API promises.
        capturing.shown = (handles, data);
        self.nodes.put_if_wanted(capturing.shown.0.as_ptr());
        self.edges.put_if_wanted(capturing.shown.1.as_ptr());
        Ok(())
    }
}

super::boundary::exported! {
    fn cuStreamBeginCapture_v2(stream: Handle, mode: i32) {
        begin(&Stream::of(stream)?, Mode::of(mode)?)
    }

    fn cuStreamEndCapture(stream: Handle, graph: Out<Handle>) {
        let place = graph.place()?;
        match end(&Stream::of(stream)?) {
            Ok(handle) => {
                place.put(handle);
                Ok(())
            }
            Err(error) => {
                place.put(Handle::NULL);
                Err(error)
            }
        }
    }

    fn cuStreamIsCapturing(stream: Handle, status: Out<i32>) {
        let place = status.place()?;
        let stream = Stream::of(stream)?;
        let number = stream.state().capturing.as_ref().map_or(0, |c| c.capture.status_number());
        place.put(number);
        Ok(())
    }

    fn cuStreamGetCaptureInfo(stream: Handle, status: Out<i32>, id: Out<u64>) {
        Info { status, id, graph: Out::NULL, nodes: Out::NULL, edges: Out::NULL, count: Out::NULL }.fill(stream)
    }

    fn cuStreamGetCaptureInfo_v2(
        stream: Handle,
        status: Out<i32>,
        id: Out<u64>,
        graph: Out<Handle>,
        nodes: Out<*const Handle>,
        count: Out<usize>,
    ) {
        Info { status, id, graph, nodes, edges: Out::NULL, count }.fill(stream)
    }

    fn cuStreamGetCaptureInfo_v3(
        stream: Handle,
        status: Out<i32>,
        id: Out<u64>,
        graph: Out<Handle>,
        nodes: Out<*const Handle>,
        edges: Out<*const u64>,
        count: Out<usize>,
    ) {
        Info { status, id, graph, nodes, edges, count }.fill(stream)
    }

    fn cuThreadExchangeStreamCaptureMode(mode: Out<i32>) {
        let new = Mode::of(mode.get()?)?;
        mode.place()?.put(capture::exchange_mode(new) as i32);
        Ok(())
    }
}
