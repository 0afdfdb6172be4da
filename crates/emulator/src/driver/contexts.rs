//! The functions of contexts, the primary one among them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};

use super::context::{CONTEXTS, Context, current, pop, push, set_current};
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::lock::lock;
use super::machine::{VERSION, device, machine};
use super::pointer::{In, Out};
use super::stream::{self, GREATEST_PRIORITY};
use super::{allocation, array, capture, captures, event, function, graph, module, textures};

/// Waits until all streams of a context are done.
fn synchronise(context: &Arc<Context>) -> Outcome {
    capture::forbid_in(context)?;
    stream::all_of(context.handle).iter().for_each(|stream| stream.drain());
    context.check()
}

/// Ends a context: nothing that it made lives on, and what its program forgot to free is reported.
fn destroy(context: &Context) {
    let handle = context.handle;
    stream::all_of(handle).iter().for_each(|stream| stream.drain());
    captures::abandon(|owner| owner == handle);
    stream::remove_of(handle);
    event::remove_of(handle);
    graph::remove_of(handle);
    function::remove_of(handle);
    module::remove_of(handle);
    textures::remove_of(handle);
    array::remove_of(handle);
    allocation::release_of(context);
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

super::boundary::exported! {
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
            destroy(&*CONTEXTS.remove(primary_handle())?);
        }
        Ok(())
    }

    fn cuDevicePrimaryCtxReset_v2(ordinal: i32) {
        device(ordinal)?;
        let primary = lock(&PRIMARY);
        if let Ok(context) = CONTEXTS.remove(primary_handle()) {
            destroy(&context);
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
        destroy(&*CONTEXTS.remove(handle)?);
        if current() == handle {
            pop()?;
        }
        Ok(())
    }

    fn cuCtxGetCurrent(out: Out<Handle>) {
        let place = out.place()?;
        machine()?;
        place.put(current());
        Ok(())
    }

    fn cuCtxSetCurrent(handle: Handle) {
        machine()?;
        if handle != Handle::NULL {
            CONTEXTS.get(handle)?;
        }
        set_current(handle);
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
        synchronise(&Context::current()?)
    }

    fn cuCtxSynchronize_v2(handle: Handle) {
        synchronise(&Context::of(handle)?)
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
        greatest.put_if_wanted(GREATEST_PRIORITY);
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
