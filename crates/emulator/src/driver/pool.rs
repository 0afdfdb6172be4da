//! Memory pools: who counts what is allocated in the order of a stream. Freed memory is never kept back.

use std::sync::{Arc, Mutex, OnceLock};

use super::error::{Code, Outcome};
use super::handle::{Handle, Table};
use super::lock::lock;
use super::machine::device;
use super::pointer::{Buffer, In, Out};

static POOLS: Table<Pool> = Table::new(Code::INVALID_VALUE);
/// The pool that allocations without one come from.
static CURRENT: Mutex<Handle> = Mutex::new(Handle::NULL);

#[derive(Default)]
struct Pool {
    state: Mutex<State>,
}

struct State {
    /// `REUSE_FOLLOW_EVENT_DEPENDENCIES`, `.._ALLOW_OPPORTUNISTIC`, `.._ALLOW_INTERNAL_DEPENDENCIES`.
    reuse: [i32; 3],
    release_threshold: u64,
    used: u64,
    high: u64,
}

impl Default for State {
    fn default() -> State {
        State { reuse: [1; 3], release_threshold: 0, used: 0, high: 0 }
    }
}

/// `CUmemPoolProps`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Props {
    allocation: i32,
    handles: i32,
    location: [i32; 2],
    security: usize,
    max_bytes: usize,
    usage: u16,
    reserved: [u8; 54],
}

/// `CU_MEM_ALLOCATION_TYPE_PINNED` on `CU_MEM_LOCATION_TYPE_DEVICE` 0.
const ALLOCATION: i32 = 1;
const LOCATION: [i32; 2] = [1, 0];

/// The device's default pool.
fn default() -> Handle {
    static DEFAULT: OnceLock<Handle> = OnceLock::new();
    *DEFAULT.get_or_init(|| POOLS.add(Arc::default()))
}

pub fn current() -> Handle {
    match *lock(&CURRENT) {
        Handle::NULL => default(),
        pool => pool,
    }
}

pub fn check(pool: Handle) -> Outcome {
    POOLS.get(pool).map(|_| ())
}

/// Counts an allocation. A pool that was destroyed meanwhile counts no more.
pub fn grow(pool: Handle, bytes: u64) {
    if let Ok(pool) = POOLS.get(pool) {
        let mut state = lock(&pool.state);
        state.used += bytes;
        state.high = state.high.max(state.used);
    }
}

pub fn shrink(pool: Handle, bytes: u64) {
    if let Ok(pool) = POOLS.get(pool) {
        let mut state = lock(&pool.state);
        state.used = state.used.saturating_sub(bytes);
    }
}

fn give_default(out: Out<Handle>, ordinal: i32) -> Outcome {
    let place = out.place()?;
    device(ordinal)?;
    place.put(default());
    Ok(())
}

super::boundary::exported! {
    fn cuDeviceGetDefaultMemPool(out: Out<Handle>, ordinal: i32) {
        give_default(out, ordinal)
    }

    fn cuDeviceGetMemPool(out: Out<Handle>, ordinal: i32) {
        let place = out.place()?;
        device(ordinal)?;
        place.put(current());
        Ok(())
    }

    fn cuDeviceSetMemPool(ordinal: i32, pool: Handle) {
        device(ordinal)?;
        check(pool)?;
        *lock(&CURRENT) = pool;
        Ok(())
    }

    fn cuMemPoolCreate(out: Out<Handle>, props: In<Props>) {
        let place = out.place()?;
        let props = props.get()?;
        device(0)?;
        if props.allocation != ALLOCATION || props.handles != 0 || props.location != LOCATION {
            return Err(Code::NOT_SUPPORTED.because("a pool elsewhere than on device 0, or to be shared"));
        }
        place.put(POOLS.add(Arc::default()));
        Ok(())
    }

    fn cuMemPoolDestroy(pool: Handle) {
        device(0)?;
        if pool == default() {
            return Err(Code::INVALID_VALUE.because("the default pool cannot be destroyed"));
        }
        POOLS.remove(pool)?;
        let mut current = lock(&CURRENT);
        if *current == pool {
            *current = Handle::NULL;
        }
        Ok(())
    }

    fn cuMemPoolTrimTo(pool: Handle, _keep: usize) {
        check(pool)
    }

    fn cuMemPoolSetAccess(pool: Handle, _access: Buffer, _count: usize) {
        check(pool)
    }

    fn cuMemPoolGetAttribute(pool: Handle, attribute: i32, value: Buffer) {
        let pool = POOLS.get(pool)?;
        let state = lock(&pool.state);
        let (number, long) = (value.out::<i32>(), value.out::<u64>());
        match attribute {
            1..=3 => number.place()?.put(state.reuse[attribute as usize - 1]),
            4 => long.place()?.put(state.release_threshold),
            5 | 7 => long.place()?.put(state.used),
            6 | 8 => long.place()?.put(state.high),
            _ => return Err(Code::INVALID_VALUE.into()),
        }
        Ok(())
    }

    fn cuMemPoolSetAttribute(pool: Handle, attribute: i32, value: Buffer) {
        let pool = POOLS.get(pool)?;
        let mut state = lock(&pool.state);
        match attribute {
            1..=3 => state.reuse[attribute as usize - 1] = value.array::<i32>().get()?,
            4 => state.release_threshold = value.array::<u64>().get()?,
            // High-water marks can only be set back.
            6 | 8 if value.array::<u64>().get()? == 0 => state.high = state.used,
            _ => return Err(Code::INVALID_VALUE.into()),
        }
        Ok(())
    }
}
