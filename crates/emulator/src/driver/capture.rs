//! Capture: a stream's work becomes the nodes of a graph.
//!
//! A node depends on what its stream captured last. Waiting in another stream for an event of a capturing one brings
//! that stream into the capture, and all must lead back to the first one before the capture ends.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, ThreadId};

use super::context::Context;
use super::error::{Code, Outcome};
use super::graph::{self, Node};
use super::handle::Handle;
use super::lock;
use super::pointer::Out;
use super::stream::Stream;
use super::work::Work;

/// What a capture forbids elsewhere while it goes on: `CUstreamCaptureMode`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Calls that may not be captured are forbidden on every thread.
    Global,
    /// They are forbidden on the thread that began it.
    ThreadLocal,
    /// Nothing is forbidden.
    Relaxed,
}

impl Mode {
    fn of(number: i32) -> Outcome<Mode> {
        match number {
            0 => Ok(Mode::Global),
            1 => Ok(Mode::ThreadLocal),
            2 => Ok(Mode::Relaxed),
            _ => Err(Code::INVALID_VALUE.into()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Active,
    Invalidated,
    Ended,
}

/// A graph in the making.
pub struct Capture {
    id: u64,
    mode: Mode,
    thread: ThreadId,
    context: Handle,
    /// The stream on which it began, by its id.
    origin: u64,
    /// The handle that the graph will have.
    graph: Handle,
    state: Mutex<State>,
}

struct State {
    status: Status,
    nodes: Vec<Node>,
    streams: Vec<Weak<Stream>>,
}

/// A stream's part in a capture.
pub struct Capturing {
    pub capture: Arc<Capture>,
    /// The nodes that the stream's next one depends on.
    pub tail: Vec<usize>,
    /// Those nodes and their edges' data (always zero), as the program has last seen them.
    shown: (Vec<Handle>, Vec<u64>),
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

    fn has_ended(&self) -> bool {
        lock(&self.state).status == Status::Ended
    }

    /// The `CUstreamCaptureStatus` that its streams have.
    fn status_number(&self) -> i32 {
        if lock(&self.state).status == Status::Active { 1 } else { 2 }
    }

    /// Removes it from the streams in it, and from the captures that forbid anything.
    fn end(self: &Arc<Self>) -> (Status, Vec<Node>) {
        let (status, nodes, streams) = {
            let mut state = lock(&self.state);
            let status = std::mem::replace(&mut state.status, Status::Ended);
            (status, std::mem::take(&mut state.nodes), std::mem::take(&mut state.streams))
        };
        for stream in streams.iter().filter_map(Weak::upgrade) {
            let mut state = stream.state();
            if state.capturing.as_ref().is_some_and(|capturing| Arc::ptr_eq(&capturing.capture, self)) {
                state.capturing = None;
            }
        }
        let mut active = lock(&ACTIVE);
        active.retain(|capture| !Arc::ptr_eq(capture, self));
        ACTIVE_COUNT.store(active.len(), Ordering::Release);
        (status, nodes)
    }
}

impl Capturing {
    /// Adds a node behind the stream's last ones.
    pub fn add(&mut self, work: Work) -> Outcome {
        self.capture.check()?;
        let mut state = lock(&self.capture.state);
        let after = std::mem::replace(&mut self.tail, vec![state.nodes.len()]);
        state.nodes.push(Node { work, after });
        Ok(())
    }

    /// Whether some work of this capture stands behind nodes that this stream's next one would not depend on.
    fn leaves_work_behind(tail: &[usize], nodes: &[Node]) -> bool {
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

/// Makes a stream wait for nodes of a capture.
pub fn join(stream: &Arc<Stream>, capture: &Arc<Capture>, nodes: &[usize]) -> Outcome {
    if capture.has_ended() {
        isolate(stream)?;
        return Err(Code::CAPTURED_EVENT.because("the event was recorded in a capture that has ended"));
    }
    capture.check()?;
    if stream.is_legacy() {
        capture.invalidate();
        return Err(Code::STREAM_CAPTURE_IMPLICIT.because("the default stream cannot join a capture"));
    }
    let mut state = stream.state();
    match &mut state.capturing {
        Some(own) if Arc::ptr_eq(&own.capture, capture) => {
            let more: Vec<usize> = nodes.iter().copied().filter(|node| !own.tail.contains(node)).collect();
            own.tail.extend(more);
        }
        Some(other) => {
            other.capture.invalidate();
            capture.invalidate();
            return Err(Code::STREAM_CAPTURE_MERGE.because("the stream and the event belong to two captures"));
        }
        none => {
            *none = Some(Capturing { capture: capture.clone(), tail: nodes.to_vec(), shown: Default::default() });
            lock(&capture.state).streams.push(Arc::downgrade(stream));
        }
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
        capturing.capture.end();
    }
}

/// Ends the captures in some contexts without a graph.
pub fn abandon(of: impl Fn(Handle) -> bool) {
    let abandoned: Vec<_> = lock(&ACTIVE).iter().filter(|capture| of(capture.context)).cloned().collect();
    abandoned.iter().for_each(|capture| drop(capture.end()));
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
    let capture = Arc::new(Capture {
        id: Handle::fresh().0 as u64,
        mode,
        thread: thread::current().id(),
        context,
        origin: stream.id,
        graph: Handle::fresh(),
        state: Mutex::new(State { status: Status::Active, nodes: Vec::new(), streams: vec![Arc::downgrade(stream)] }),
    });
    state.capturing = Some(Capturing { capture: capture.clone(), tail: Vec::new(), shown: Default::default() });
    let mut active = lock(&ACTIVE);
    active.push(capture);
    ACTIVE_COUNT.store(active.len(), Ordering::Release);
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
    let (status, nodes) = capture.end();
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

super::exported! {
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
        mode.place()?.put(THREAD_MODE.replace(new) as i32);
        Ok(())
    }
}
