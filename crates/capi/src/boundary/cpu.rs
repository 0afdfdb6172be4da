//! The processor, and whose threads work.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use yuragi::cpu::{Cpu, Executor};

use super::pointer::{free, give, guard, held, item, value_or};
use crate::failure::{YURAGI_NULL, YURAGI_RANGE, failure, yuragi_status};

/// The processor with threads to work on. All results are the same for any number of threads, and for any pool. Pictures
/// are convolved by minimal filtering, whose rounding errors are up to three times those of plain single precision.
pub struct yuragi_cpu {
    pub cpu: Cpu,
}

/// One share of some work: `call` numbers it.
pub type yuragi_work = unsafe extern "C" fn(work: *mut c_void, call: usize);

/// The caller's own threads.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct yuragi_pool {
    /// The most of them that work at the same time, the calling one included; at least 1.
    pub threads: usize,
    /// Calls `share(work, call)` for each `call` below `calls`, on any threads and in any order, and returns when all
    /// calls have returned. Calls that are not made cost time alone. It may be called from several threads at the same
    /// time, where several plans run, and must not be left by longjmp or an exception.
    pub run: Option<unsafe extern "C" fn(user: *mut c_void, calls: usize, share: yuragi_work, work: *mut c_void)>,
    /// Given to `run`, as long as anything made with this pool exists.
    pub user: *mut c_void,
}

struct Pool {
    threads: usize,
    run: unsafe extern "C" fn(*mut c_void, usize, yuragi_work, *mut c_void),
    user: *mut c_void,
}

// SAFETY: the header asks for a function, and a `user`, that any thread may use.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

/// What a run of the pool works on.
struct Share<'a> {
    work: &'a (dyn Fn(usize) + Sync),
    panicked: AtomicBool,
}

unsafe extern "C" fn share(work: *mut c_void, call: usize) {
    // SAFETY: `Pool::run` made it of such a share, which lives until the caller's `run` returns.
    let share = unsafe { &*work.cast_const().cast::<Share<'_>>() };
    // Nothing unwinds into the caller's threads.
    if catch_unwind(AssertUnwindSafe(|| (share.work)(call))).is_err() {
        share.panicked.store(true, Relaxed);
    }
}

impl Executor for Pool {
    fn threads(&self) -> usize {
        self.threads
    }

    fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync)) {
        let own = Share { work, panicked: AtomicBool::new(false) };
        // SAFETY: as the header asks: no call is made after it returns.
        unsafe { (self.run)(self.user, calls, share, (&raw const own).cast_mut().cast()) };
        assert!(!own.panicked.into_inner(), "a task panicked on a thread of the caller's");
    }
}

/// As the program draws: by minimal filtering.
fn of(cpu: Cpu) -> yuragi_cpu {
    yuragi_cpu { cpu: cpu.winograd(true) }
}

/// So many threads of the library's own, the calling one included; 0 for one for each of the processor's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_cpu_new(threads: usize, out: *mut *mut yuragi_cpu) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe { give(out, || Ok(of(if threads == 0 { Cpu::new() } else { Cpu::with_threads(threads) }))) })
}

/// The caller's threads; the library starts none of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_cpu_on(pool: *const yuragi_pool, out: *mut *mut yuragi_cpu) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let yuragi_pool { threads, run, user } = *item("the pool", pool)?;
            let run = run.ok_or_else(|| failure(YURAGI_NULL, "the function of the pool is NULL"))?;
            if threads == 0 {
                return Err(failure(YURAGI_RANGE, "a pool has at least 1 thread"));
            }
            Ok(of(Cpu::on(Arc::new(Pool { threads, run, user }))))
        })
    })
}

/// The number of threads that work, the calling one included; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_cpu_threads(cpu: *const yuragi_cpu) -> usize {
    // SAFETY: the caller's word.
    value_or(|| Ok(unsafe { held("the processor", cpu) }?.cpu.threads())).unwrap_or(0)
}

/// Frees it; what was made with it stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_cpu_free(cpu: *mut yuragi_cpu) {
    // SAFETY: the caller's word.
    unsafe { free(cpu) };
}
