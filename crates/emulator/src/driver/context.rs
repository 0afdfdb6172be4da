//! Contexts, the primary one among them, and which is current on a thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, ThreadId};

use super::device::{VERSION, device, machine};
use super::error::{Code, Error, Outcome};
use super::handle::{Handle, Table};
use super::pointer::{In, Out};
use super::stream::{STREAMS, Stream};
use super::{capture, event, function, graph, lock, memory, module};

static CONTEXTS: Table<Context> = Table::new(Code::INVALID_CONTEXT);

/// A context: what its streams, events and modules belong to, and what an error of a kernel spoils.
pub struct Context {
    pub handle: Handle,
    flags: AtomicU32,
    limits: Mutex<BTreeMap<i32, usize>>,
    cache: AtomicU32,
    banks: AtomicU32,
    /// The error that sticks to it, or 0.
    spoiled: AtomicU32,
    legacy: OnceLock<Arc<Stream>>,
    per_thread: Mutex<Vec<(ThreadId, Arc<Stream>)>>,
}

impl Context {
    fn new(handle: Handle, flags: u32) -> Arc<Context> {
        Arc::new(Context {
            handle,
            flags: AtomicU32::new(flags),
            limits: Mutex::new(DEFAULT_LIMITS.into()),
            cache: AtomicU32::new(0),
            banks: AtomicU32::new(0),
            spoiled: AtomicU32::new(0),
            legacy: OnceLock::new(),
            per_thread: Mutex::new(Vec::new()),
        })
    }

    /// The context that is current on this thread, whatever befell it.
    pub fn current() -> Outcome<Arc<Context>> {
        machine()?;
        match CURRENT.get() {
            Handle::NULL => Err(Code::INVALID_CONTEXT.into()),
            handle => CONTEXTS.get(handle).map_err(|_| Code::CONTEXT_IS_DESTROYED.into()),
        }
    }

    /// The context that is current on this thread, if it can still be used.
    pub fn usable() -> Outcome<Arc<Context>> {
        let context = Self::current()?;
        context.check()?;
        Ok(context)
    }

    /// The context of a handle; null means the current one.
    pub fn of(handle: Handle) -> Outcome<Arc<Context>> {
        if handle == Handle::NULL { Self::current() } else { CONTEXTS.get(handle) }
    }

    /// The error that sticks to the context, if there is one.
    pub fn check(&self) -> Outcome {
        match self.spoiled.load(Ordering::Acquire) {
            0 => Ok(()),
            number => Err(Code::of_number(number).into()),
        }
    }

    /// Makes an error stick; the first one stays.
    pub fn spoil(&self, error: &Error) {
        let _ = self.spoiled.compare_exchange(0, error.code.number(), Ordering::AcqRel, Ordering::Acquire);
    }

    pub fn is_spoiled(&self) -> bool {
        self.check().is_err()
    }

    /// Whether an error sticks to the context of a handle.
    pub fn is_spoiled_handle(handle: Handle) -> bool {
        CONTEXTS.get(handle).is_ok_and(|context| context.is_spoiled())
    }

    /// The legacy default stream.
    pub fn legacy(self: &Arc<Self>) -> Arc<Stream> {
        self.legacy.get_or_init(|| Stream::new(self, 0, 0)).clone()
    }

    /// The default stream of this thread.
    pub fn of_this_thread(self: &Arc<Self>) -> Arc<Stream> {
        let mut streams = lock(&self.per_thread);
        let id = thread::current().id();
        if let Some((_, stream)) = streams.iter().find(|(thread, _)| *thread == id) {
            return stream.clone();
        }
        let stream = Stream::new(self, 0, 0);
        streams.push((id, stream.clone()));
        stream
    }

    /// All its streams.
    pub fn streams(self: &Arc<Self>) -> Vec<Arc<Stream>> {
        let mut streams = STREAMS.all(|stream| stream.is_of(self.handle));
        streams.extend(self.legacy.get().cloned());
        streams.extend(lock(&self.per_thread).iter().map(|(_, stream)| stream.clone()));
        streams
    }

    /// Waits until all its streams are done.
    pub fn synchronise(self: &Arc<Self>) -> Outcome {
        capture::forbid_in(self)?;
        self.streams().iter().for_each(|stream| stream.drain());
        self.check()
    }

    /// Ends it: nothing that it made lives on, and what its program forgot to free is reported.
    fn destroy(self: &Arc<Self>) {
        self.streams().iter().for_each(|stream| stream.drain());
        capture::abandon(|owner| owner == self.handle);
        STREAMS.remove_all(|stream| stream.is_of(self.handle));
        event::remove_of(self.handle);
        graph::remove_of(self.handle);
        function::remove_of(self.handle);
        module::remove_of(self.handle);
        memory::release_of(self);
    }
}

thread_local! {
    /// No destructor runs for it, so destructors of other thread-local values can still use the driver.
    static CURRENT: Cell<Handle> = const { Cell::new(Handle::NULL) };
    /// What lies below the current context on the thread's stack.
    static BELOW: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

/// The device's primary context: who retains it, and with which flags it is made.
struct Primary {
    retained: usize,
    flags: u32,
}

static PRIMARY: Mutex<Primary> = Mutex::new(Primary { retained: 0, flags: 0 });

/// The primary context's handle, which it keeps when it is made anew.
fn primary_handle() -> Handle {
    static HANDLE: OnceLock<Handle> = OnceLock::new();
    *HANDLE.get_or_init(Handle::fresh)
}

fn create(out: Out<Handle>, flags: u32, ordinal: i32) -> Outcome {
    let place = out.place()?;
    device(ordinal)?;
    let flags = legal_flags(flags)?;
    let handle = Handle::fresh();
    CONTEXTS.insert(handle, Context::new(handle, flags));
    push(handle);
    place.put(handle);
    Ok(())
}

/// The scheduling policy is one of four; the other flags stand for themselves.
fn legal_flags(flags: u32) -> Outcome<u32> {
    let policy_is_known = matches!(flags & 7, 0 | 1 | 2 | 4);
    if policy_is_known && flags & !0xFF == 0 { Ok(flags) } else { Err(Code::INVALID_VALUE.into()) }
}

fn push(handle: Handle) {
    let below = CURRENT.replace(handle);
    let _ = BELOW.try_with(|stack| stack.borrow_mut().push(below));
}

fn pop() -> Outcome<Handle> {
    let top = CURRENT.get();
    if top == Handle::NULL {
        return Err(Code::INVALID_CONTEXT.into());
    }
    let below = BELOW.try_with(|stack| stack.borrow_mut().pop()).ok().flatten();
    CURRENT.set(below.unwrap_or(Handle::NULL));
    Ok(top)
}

/// `CUlimit` numbers, and what an H200 has for them.
const DEFAULT_LIMITS: [(i32, usize); 6] = [(0, 1024), (1, 1 << 20), (2, 8 << 20), (4, 2048), (5, 64), (6, 0)];

super::exported! {
    fn cuDevicePrimaryCtxRetain(out: Out<Handle>, ordinal: i32) {
        let place = out.place()?;
        device(ordinal)?;
        let mut primary = lock(&PRIMARY);
        let handle = primary_handle();
        if primary.retained == 0 {
            CONTEXTS.insert(handle, Context::new(handle, primary.flags));
        }
        primary.retained += 1;
        place.put(handle);
        Ok(())
    }

    fn cuDevicePrimaryCtxRelease_v2(ordinal: i32) {
        device(ordinal)?;
        let mut primary = lock(&PRIMARY);
        primary.retained = primary.retained.checked_sub(1).ok_or(Code::INVALID_CONTEXT)?;
        if primary.retained == 0 {
            CONTEXTS.remove(primary_handle())?.destroy();
        }
        Ok(())
    }

    fn cuDevicePrimaryCtxReset_v2(ordinal: i32) {
        device(ordinal)?;
        let primary = lock(&PRIMARY);
        if let Ok(context) = CONTEXTS.remove(primary_handle()) {
            context.destroy();
        }
        if primary.retained > 0 {
            let handle = primary_handle();
            CONTEXTS.insert(handle, Context::new(handle, primary.flags));
        }
        Ok(())
    }

    fn cuDevicePrimaryCtxGetState(ordinal: i32, flags: Out<u32>, active: Out<i32>) {
        let (flags, active) = (flags.place()?, active.place()?);
        device(ordinal)?;
        let primary = lock(&PRIMARY);
        flags.put(primary.flags);
        active.put((primary.retained > 0).into());
        Ok(())
    }

    fn cuDevicePrimaryCtxSetFlags_v2(ordinal: i32, flags: u32) {
        device(ordinal)?;
        let flags = legal_flags(flags)?;
        lock(&PRIMARY).flags = flags;
        if let Ok(context) = CONTEXTS.get(primary_handle()) {
            context.flags.store(flags, Ordering::Relaxed);
        }
        Ok(())
    }

    fn cuCtxCreate_v2(out: Out<Handle>, flags: u32, ordinal: i32) {
        create(out, flags, ordinal)
    }

    fn cuCtxCreate_v3(out: Out<Handle>, affinities: In<u64>, count: i32, flags: u32, ordinal: i32) {
        if count != 0 || !affinities.is_null() {
            return Err(Code::UNSUPPORTED_EXEC_AFFINITY.into());
        }
        create(out, flags, ordinal)
    }

    fn cuCtxCreate_v4(out: Out<Handle>, params: In<[usize; 3]>, flags: u32, ordinal: i32) {
        // Affinities, their number, and what is shared with a graphics API.
        if !params.is_null() && params.get()? != [0; 3] {
            return Err(Code::NOT_SUPPORTED.because("contexts with an affinity or shared with a graphics API"));
        }
        create(out, flags, ordinal)
    }

    fn cuCtxDestroy_v2(handle: Handle) {
        machine()?;
        if handle == primary_handle() {
            return Err(Code::INVALID_CONTEXT.because("the primary context is released, not destroyed"));
        }
        CONTEXTS.remove(handle)?.destroy();
        if CURRENT.get() == handle {
            pop()?;
        }
        Ok(())
    }

    fn cuCtxGetCurrent(out: Out<Handle>) {
        let place = out.place()?;
        machine()?;
        place.put(CURRENT.get());
        Ok(())
    }

    fn cuCtxSetCurrent(handle: Handle) {
        machine()?;
        if handle != Handle::NULL {
            CONTEXTS.get(handle)?;
        }
        CURRENT.set(handle);
        Ok(())
    }

    fn cuCtxPushCurrent_v2(handle: Handle) {
        machine()?;
        CONTEXTS.get(handle)?;
        push(handle);
        Ok(())
    }

    fn cuCtxPopCurrent_v2(out: Out<Handle>) {
        machine()?;
        out.put_if_wanted(pop()?);
        Ok(())
    }

    fn cuCtxGetDevice(out: Out<i32>) {
        let place = out.place()?;
        Context::current()?;
        place.put(0);
        Ok(())
    }

    fn cuCtxGetDevice_v2(out: Out<i32>, handle: Handle) {
        let place = out.place()?;
        Context::of(handle)?;
        place.put(0);
        Ok(())
    }

    fn cuCtxGetApiVersion(handle: Handle, version: Out<u32>) {
        let place = version.place()?;
        Context::of(handle)?;
        place.put(VERSION as u32);
        Ok(())
    }

    fn cuCtxGetId(handle: Handle, id: Out<u64>) {
        let place = id.place()?;
        place.put(Context::of(handle)?.handle.0 as u64);
        Ok(())
    }

    fn cuCtxGetFlags(flags: Out<u32>) {
        let place = flags.place()?;
        place.put(Context::current()?.flags.load(Ordering::Relaxed));
        Ok(())
    }

    fn cuCtxSetFlags(flags: u32) {
        Context::current()?.flags.store(legal_flags(flags)?, Ordering::Relaxed);
        Ok(())
    }

    fn cuCtxSynchronize() {
        Context::current()?.synchronise()
    }

    fn cuCtxSynchronize_v2(handle: Handle) {
        Context::of(handle)?.synchronise()
    }

    fn cuCtxGetLimit(value: Out<usize>, limit: i32) {
        let place = value.place()?;
        let context = Context::current()?;
        place.put(*lock(&context.limits).get(&limit).ok_or(Code::UNSUPPORTED_LIMIT)?);
        Ok(())
    }

    /// Limits are kept and given back; the emulator needs none of them.
    fn cuCtxSetLimit(limit: i32, value: usize) {
        let context = Context::usable()?;
        *lock(&context.limits).get_mut(&limit).ok_or(Code::UNSUPPORTED_LIMIT)? = value;
        Ok(())
    }

    fn cuCtxGetCacheConfig(config: Out<u32>) {
        let place = config.place()?;
        place.put(Context::current()?.cache.load(Ordering::Relaxed));
        Ok(())
    }

    fn cuCtxSetCacheConfig(config: u32) {
        if config > 3 {
            return Err(Code::INVALID_VALUE.into());
        }
        Context::current()?.cache.store(config, Ordering::Relaxed);
        Ok(())
    }

    fn cuCtxGetSharedMemConfig(config: Out<u32>) {
        let place = config.place()?;
        place.put(Context::current()?.banks.load(Ordering::Relaxed));
        Ok(())
    }

    fn cuCtxSetSharedMemConfig(config: u32) {
        if config > 2 {
            return Err(Code::INVALID_VALUE.into());
        }
        Context::current()?.banks.store(config, Ordering::Relaxed);
        Ok(())
    }

    fn cuCtxGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) {
        Context::current()?;
        least.put_if_wanted(0);
        greatest.put_if_wanted(super::stream::GREATEST_PRIORITY);
        Ok(())
    }

    fn cuCtxResetPersistingL2Cache() {
        Context::current().map(|_| ())
    }

    fn cuCtxEnablePeerAccess(_peer: Handle, _flags: u32) {
        Context::current()?;
        Err(Code::PEER_ACCESS_UNSUPPORTED.into())
    }

    fn cuCtxDisablePeerAccess(_peer: Handle) {
        Context::current()?;
        Err(Code::PEER_ACCESS_NOT_ENABLED.into())
    }
}
