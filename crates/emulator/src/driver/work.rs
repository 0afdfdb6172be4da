//! What a stream does, a graph replays, and a queue holds.

use std::sync::{Arc, Mutex};

use super::allocation::{self, GraphMemory};
use super::context::Context;
use super::error::{Code, Error, Outcome};
use super::event::Event;
use super::handle::Handle;
use super::lock::lock;
use super::pointer::Buffer;
use super::report;
use super::run::KernelLaunch;
use super::transfer::{Copy, Fill};

/// One operation of a stream.
#[derive(Clone)]
pub enum Work {
    Launch(Arc<KernelLaunch>),
    Copy(Copy),
    Fill(Fill),
    /// The event's record of this number has happened.
    Record(Arc<Event>, u64),
    /// Nothing more happens before the event's record of this number.
    Await(Arc<Event>, u64),
    Call(Call),
    /// An allocation is given back.
    Free(u64),
    Replay(Arc<Executable>),
    /// Memory that lives as long as the graph with this node.
    Hold(Arc<GraphMemory>),
    /// The end of such memory's use.
    Release(Arc<GraphMemory>),
}

impl Work {
    /// Whether it may wait for something that its program does later.
    pub fn may_wait(&self) -> bool {
        match self {
            Work::Call(_) => true,
            Work::Await(event, record) => !event.has_happened(*record),
            Work::Replay(executable) => executable.work().iter().any(Work::may_wait),
            Work::Launch(_) | Work::Copy(_) | Work::Fill(_) | Work::Record(..) => false,
            Work::Free(_) | Work::Hold(_) | Work::Release(_) => false,
        }
    }

    /// The same, done later: what a call may only read until it returns has been read.
    pub fn detached(self) -> Work {
        match self {
            Work::Copy(copy) => Work::Copy(copy.detached()),
            other => other,
        }
    }

    pub fn run(&self, context: &Arc<Context>) -> Outcome {
        match self {
            Work::Record(event, record) => {
                event.happen(*record);
                Ok(())
            }
            Work::Await(event, record) => {
                event.wait_for(*record);
                Ok(())
            }
            Work::Free(address) => allocation::free(*address),
            Work::Hold(memory) => {
                memory.hold();
                Ok(())
            }
            Work::Release(memory) => {
                memory.release();
                Ok(())
            }
            // What follows an error does not run, except for what others may wait for.
            Work::Launch(_) | Work::Copy(_) | Work::Fill(_) | Work::Call(_) | Work::Replay(_) => {
                context.check()?;
                match self {
                    Work::Launch(launch) => launch.run(context),
                    Work::Copy(copy) => copy.run(),
                    Work::Fill(fill) => fill.run(),
                    Work::Call(call) => {
                        call.run();
                        Ok(())
                    }
                    Work::Replay(executable) => executable.run(context),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Its `CUgraphNodeType`.
    pub fn node_type(&self) -> i32 {
        match self {
            Work::Launch(_) => 0,
            Work::Copy(_) => 1,
            Work::Fill(_) => 2,
            Work::Call(_) => 3,
            Work::Replay(_) => 4,
            Work::Await(..) => 6,
            Work::Record(..) => 7,
            Work::Hold(_) => 10,
            Work::Free(_) | Work::Release(_) => 11,
        }
    }
}

/// Work that waits for the nodes of some indices, which are smaller than its own.
#[derive(Clone)]
pub struct Node {
    pub work: Work,
    pub after: Vec<usize>,
}

/// A graph made ready: its work in an order that keeps every dependency, which is that of the capture.
pub struct Executable {
    pub context: Handle,
    pub flags: u64,
    work: Vec<Work>,
    /// One replay at a time.
    replaying: Mutex<()>,
}

impl Executable {
    pub fn new(context: Handle, flags: u64, work: Vec<Work>) -> Executable {
        Executable { context, flags, work, replaying: Mutex::new(()) }
    }

    pub fn work(&self) -> &[Work] {
        &self.work
    }

    pub fn run(&self, context: &Arc<Context>) -> Outcome {
        let _one = lock(&self.replaying);
        self.work.iter().try_for_each(|work| work.run(context))
    }
}

/// Says what went wrong in work whose call has returned long ago.
pub fn report_late(error: &Error) {
    let message = error.message.as_deref().unwrap_or("work in a stream failed");
    report::say_once(&format!("{message} ({})", error.code));
}

/// `CUhostFn`.
pub type HostFunction = Option<unsafe extern "C" fn(Buffer)>;
/// `CUstreamCallback`.
pub type StreamCallback = Option<unsafe extern "C" fn(Handle, Code, Buffer)>;

/// A function of the program that its stream calls.
#[derive(Clone, Copy)]
pub struct Call {
    function: Function,
    data: Buffer,
}

#[derive(Clone, Copy)]
enum Function {
    Host(unsafe extern "C" fn(Buffer)),
    Callback(Handle, unsafe extern "C" fn(Handle, Code, Buffer)),
}

// SAFETY: whoever gives a function and its data to a stream declares that the driver may call it on a thread of its
// own; the driver itself never looks at the data.
unsafe impl Send for Call {}
// SAFETY: as above; a shared `Call` can only be copied and run.
unsafe impl Sync for Call {}

impl Call {
    pub fn host(function: HostFunction, data: Buffer) -> Outcome<Call> {
        let function = Function::Host(function.ok_or(Code::INVALID_VALUE)?);
        Ok(Call { function, data })
    }

    pub fn callback(stream: Handle, callback: StreamCallback, data: Buffer) -> Outcome<Call> {
        let function = Function::Callback(stream, callback.ok_or(Code::INVALID_VALUE)?);
        Ok(Call { function, data })
    }

    fn run(&self) {
        match self.function {
            // SAFETY: the caller of `cuLaunchHostFunc` gave a function that may be called once with its data when
            // the stream comes to it (again for each replay of a graph); this is that call.
            Function::Host(function) => unsafe { function(self.data) },
            // SAFETY: as above, for `cuStreamAddCallback`.
            Function::Callback(stream, function) => unsafe { function(stream, Code::SUCCESS, self.data) },
        }
    }
}
