//! Threads that work on the numbered tasks of a kernel: a pool of our own, or whatever the caller has.
//!
//! Nothing here allocates while tasks run. The caller works too. Idle workers of our pool spin for a moment, so
//! that the next of many short jobs finds them awake, and then sleep.
#![allow(unsafe_code)] // a job borrows from its caller's stack, workers see it without a lifetime

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering::*};

#[cfg(feature = "std")]
use workers::Pool;

/// Threads of the caller's own, for [`Cpu::on`](crate::Cpu::on): an engine's job system, a page's workers, the cores of
/// a microcontroller.
///
/// What is computed does not depend on the implementation, to the last bit, nor can one do harm: tasks are handed out
/// behind it, each once. It decides only how long they take.
///
/// ```
/// use std::{num::NonZero, sync::Arc, thread};
/// use yuragi_cpu::{Cpu, Executor};
///
/// struct Scoped;
///
/// impl Executor for Scoped {
///     fn threads(&self) -> usize {
///         thread::available_parallelism().map_or(1, NonZero::get)
///     }
///
///     fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync)) {
///         thread::scope(|scope| {
///             (1..calls).for_each(|call| _ = scope.spawn(move || work(call)));
///             work(0);
///         });
///     }
/// }
///
/// let cpu = Cpu::on(Arc::new(Scoped));
/// assert!(cpu.threads() >= 1);
/// ```
pub trait Executor: Send + Sync {
    /// The most threads that work at the same time, the one that calls [`run`](Executor::run) included. It is asked once,
    /// by [`Cpu::on`](crate::Cpu::on): each plan has working memory for so many.
    fn threads(&self) -> usize;

    /// Calls `work(call)` for each `call` in `0..calls`, on any threads and in any order, and returns when all calls have
    /// returned. A call takes tasks until none is left, so those that begin late find nothing to do. `calls` is at most
    /// [`threads`](Executor::threads). Calls that are never made cost time alone: the calling thread does their tasks.
    ///
    /// Several threads may be inside `run` at the same time, where several plans run.
    fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync));
}

/// The most threads that are used: memory is kept for each.
const MOST_THREADS: usize = 1024;

/// The body of a job: called once for every task, with the task's number and
/// that of the thread (in `0..threads`) that runs it.
pub(crate) type Body<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// What runs tasks, and the number of threads that memory is kept for.
#[derive(Clone)]
pub(crate) struct Threads {
    executor: Arc<dyn Executor>,
    count: usize,
}

impl Threads {
    /// The threads of an executor.
    pub fn on(executor: Arc<dyn Executor>) -> Self {
        let count = executor.threads().clamp(1, MOST_THREADS);
        Self { executor, count }
    }

    /// So many threads of our own, the caller of [`run`](Self::run) included; 0 counts as 1. Fewer where the system
    /// refuses to start more, and one without `std`.
    pub fn new(count: usize) -> Self {
        #[cfg(feature = "std")]
        if count > 1 {
            return Self::on(Arc::new(Pool::new(count.min(MOST_THREADS))));
        }
        let _ = count;
        Self::on(Arc::new(Alone))
    }

    /// The number of threads that a job can run on.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Calls `body` once for each task in `0..tasks` and returns when all are done.
    pub fn run(&self, tasks: usize, body: &Body<'_>) {
        let calls = tasks.min(self.count);
        if calls < 2 {
            return (0..tasks).for_each(|task| body(task, 0));
        }
        let (next, inside) = (Line(AtomicUsize::new(0)), Line(AtomicUsize::new(0)));
        // Whoever finds no task left has seen, by the order of changes to `next`, all that was done before.
        let work = |thread: usize| {
            loop {
                let task = next.0.fetch_add(1, AcqRel);
                if task >= tasks {
                    break;
                }
                body(task, thread);
            }
        };
        self.executor.run(calls, &|_| {
            // The executor's word is not taken for who calls: one that calls too often finds no thread's number left.
            let thread = inside.0.fetch_add(1, Relaxed);
            if thread < self.count {
                work(thread);
            }
        });
        work(0);
    }
}

/// A cache line of its own.
#[repr(align(128))]
struct Line<T>(T);

/// The calling thread.
struct Alone;

impl Executor for Alone {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..calls).for_each(work);
    }
}

#[cfg(feature = "std")]
mod workers {
    use alloc::{sync::Arc, vec::Vec};
    use core::cell::UnsafeCell;
    use core::hint::spin_loop;
    use core::mem::transmute;
    use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
    use std::sync::{Mutex, TryLockError};
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant};

    use super::{Executor, Line};

    /// What the caller and the workers call, with numbers that differ.
    type Work<'a> = dyn Fn(usize) + Sync + 'a;

    /// How long an idle worker waits awake.
    const PATIENCE: Duration = Duration::from_micros(50);

    /// [`Shared::state`]: the lowest bits count the workers inside the job.
    const INSIDE: u64 = (1 << 16) - 1;
    /// [`Shared::state`]: workers may enter the job.
    const OPEN: u64 = 1 << 16;
    /// [`Shared::state`]: the bits above number the jobs.
    const JOB: u64 = 1 << 17;
    /// [`Shared::state`] when workers are to end.
    const CLOSED: u64 = u64::MAX;

    /// Threads that make the calls of one job at a time.
    pub(super) struct Pool {
        shared: Arc<Shared>,
        workers: Vec<JoinHandle<()>>,
        /// Held by the caller whose job runs.
        busy: Mutex<()>,
    }

    struct Shared {
        state: AtomicU64,
        job: UnsafeCell<Job>,
        /// The next call to make.
        next: Line<AtomicUsize>,
        /// Worker by worker: asleep, or about to be.
        asleep: Vec<Line<AtomicBool>>,
        /// A call of this job panicked on a worker, which has ended.
        panicked: AtomicBool,
    }

    #[derive(Clone, Copy)]
    struct Job {
        calls: usize,
        work: &'static Work<'static>,
    }

    // SAFETY: `job` is written only while `state` is not open and counts nobody
    // inside, and read only by those whom `state` counts.
    unsafe impl Sync for Shared {}

    impl Shared {
        /// Makes calls until none is left.
        fn work(&self, job: Job) {
            loop {
                let call = self.next.0.fetch_add(1, Relaxed);
                if call >= job.calls {
                    break;
                }
                (job.work)(call);
            }
        }

        /// The life of one worker.
        fn serve(&self, worker: usize) {
            let mut last = 0;
            while let Some(state) = self.wait(last, worker) {
                if self.state.compare_exchange_weak(state, state + 1, SeqCst, Relaxed).is_ok() {
                    // SAFETY: counted inside an open job, so nobody writes it.
                    let job = unsafe { *self.job.get() };
                    let inside = Inside(self);
                    self.work(job);
                    drop(inside);
                    last = state / JOB;
                }
            }
        }

        /// The state once a job other than `last` is open, `None` at the end.
        fn wait(&self, last: u64, worker: usize) -> Option<u64> {
            let ready = |state| state == CLOSED || (state & OPEN != 0 && state / JOB != last);
            let answer = |state| (state != CLOSED).then_some(state);
            let asleep = &self.asleep[worker].0;
            loop {
                let start = Instant::now();
                while start.elapsed() < PATIENCE {
                    for _ in 0..16 {
                        let state = self.state.load(SeqCst);
                        if ready(state) {
                            return answer(state);
                        }
                        spin_loop();
                    }
                }
                // Publish the intention, then look again: a caller opens its
                // job first and reads `asleep` second, so one sees the other.
                asleep.store(true, SeqCst);
                while asleep.load(SeqCst) {
                    let state = self.state.load(SeqCst);
                    if ready(state) {
                        asleep.store(false, SeqCst);
                        return answer(state);
                    }
                    thread::park();
                }
            }
        }
    }

    impl Pool {
        /// A pool of `threads` threads, the caller of [`run`](Self::run)
        /// included; 0 counts as 1. Fewer where the system refuses to start more.
        pub fn new(threads: usize) -> Self {
            let count = threads.saturating_sub(1).min(INSIDE as usize);
            let shared = Arc::new(Shared {
                state: AtomicU64::new(0),
                job: UnsafeCell::new(Job { calls: 0, work: &|_| {} }),
                next: Line(AtomicUsize::new(0)),
                asleep: (0..count).map(|_| Line(AtomicBool::new(false))).collect(),
                panicked: AtomicBool::new(false),
            });
            let workers = (0..count)
                .map_while(|worker| {
                    let shared = shared.clone();
                    let name = alloc::format!("yuragi-{}", worker + 1);
                    thread::Builder::new().name(name).spawn(move || shared.serve(worker)).ok()
                })
                .collect();
            let busy = Mutex::new(());
            drop(busy.lock()); // some systems allocate at the first lock
            Self { shared, workers, busy }
        }
    }

    impl Executor for Pool {
        fn threads(&self) -> usize {
            self.workers.len() + 1
        }

        /// A call from inside a call, or while another thread's job runs, stays on the calling thread.
        fn run(&self, calls: usize, work: &Work<'_>) {
            if calls < 2 || self.workers.is_empty() {
                return (0..calls).for_each(work);
            }
            let _busy = match self.busy.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return (0..calls).for_each(work),
            };
            // SAFETY: only the lifetime changes; this call does not return, nor
            // unwind, before the last worker has left the job.
            let work = unsafe { transmute::<&Work<'_>, &'static Work<'static>>(work) };
            let job = Job { calls, work };
            let shared = &*self.shared;
            // SAFETY: `busy` is held, the last job is over and nobody is inside it.
            unsafe { *shared.job.get() = job };
            shared.next.0.store(0, Relaxed);
            let number = shared.state.load(Relaxed) / JOB + 1;
            shared.state.store(number * JOB + OPEN, SeqCst);
            for (worker, asleep) in self.workers.iter().zip(&shared.asleep) {
                if asleep.0.swap(false, SeqCst) {
                    worker.thread().unpark();
                }
            }
            let guard = Leave(shared);
            shared.work(job);
            drop(guard);
            assert!(!shared.panicked.swap(false, Relaxed), "a task panicked on another thread");
        }
    }

    /// A worker inside a job, until it is dropped.
    struct Inside<'a>(&'a Shared);

    impl Drop for Inside<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                self.0.panicked.store(true, Relaxed);
            }
            self.0.state.fetch_sub(1, Release);
        }
    }

    /// Ends a job: closes it to newcomers and waits for those inside.
    struct Leave<'a>(&'a Shared);

    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            self.0.state.fetch_and(!OPEN, SeqCst);
            let mut spins = 0u32;
            while self.0.state.load(Acquire) & INSIDE != 0 {
                spins = spins.saturating_add(1);
                if spins < 10_000 { spin_loop() } else { thread::yield_now() }
            }
        }
    }

    impl Drop for Pool {
        fn drop(&mut self) {
            self.shared.state.store(CLOSED, SeqCst);
            for (worker, asleep) in self.workers.drain(..).zip(&self.shared.asleep) {
                asleep.0.store(false, SeqCst);
                worker.thread().unpark();
                // A worker can only have ended by a panic, already reported.
                let _ = worker.join();
            }
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    fn counts<const N: usize>() -> [AtomicUsize; N] {
        core::array::from_fn(|_| AtomicUsize::new(0))
    }

    #[test]
    fn every_task_runs_once() {
        for threads in [0, 1, 2, 5] {
            let pool = Threads::new(threads);
            assert_eq!(pool.count(), threads.max(1));
            for tasks in [0, 1, 2, 3, 100] {
                let count = counts::<100>();
                pool.run(tasks, &|task, thread| {
                    assert!(thread < pool.count());
                    count[task].fetch_add(1, Relaxed);
                });
                assert!((0..100).all(|i| count[i].load(Relaxed) == usize::from(i < tasks)));
            }
        }
    }

    #[test]
    fn many_short_jobs_and_sleep() {
        let pool = Threads::new(3);
        let total = AtomicUsize::new(0);
        for round in 0..3000 {
            pool.run(4, &|task, _| _ = total.fetch_add(task, Relaxed));
            if round % 500 == 0 {
                std::thread::sleep(core::time::Duration::from_millis(1));
            }
        }
        assert_eq!(total.into_inner(), 3000 * 6);
    }

    #[test]
    fn a_thread_number_is_never_used_twice_at_once() {
        let pool = Threads::new(4);
        let inside = counts::<4>();
        pool.run(500, &|_, thread| {
            assert_eq!(inside[thread].fetch_add(1, AcqRel), 0);
            core::hint::spin_loop();
            inside[thread].fetch_sub(1, AcqRel);
        });
    }

    #[test]
    fn a_task_that_panics_ends_its_job_and_no_other() {
        let pool = Threads::new(3);
        for _ in 0..4 {
            let hurt = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
                pool.run(50, &|task, _| {
                    std::thread::sleep(core::time::Duration::from_micros(100));
                    assert!(task != 20);
                });
            }));
            assert!(hurt.is_err());
            let total = AtomicUsize::new(0);
            pool.run(50, &|task, _| _ = total.fetch_add(task, Relaxed));
            assert_eq!(total.into_inner(), 49 * 25);
        }
    }

    #[test]
    fn nested_and_concurrent_calls_complete() {
        let pool = Threads::new(3);
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        pool.run(5, &|_, _| pool.run(7, &|_, _| _ = total.fetch_add(1, Relaxed)));
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 3 * 100 * 35);
    }

    type Behaviour = fn(usize, &(dyn Fn(usize) + Sync));

    /// An executor that calls as it likes.
    struct Odd(usize, Behaviour);

    impl Executor for Odd {
        fn threads(&self) -> usize {
            self.0
        }

        fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync)) {
            (self.1)(calls, work);
        }
    }

    #[test]
    fn no_executor_can_run_a_task_twice_or_leave_one_out() {
        let behaviours: [Behaviour; 5] = [
            |_, _| {},                                         // never
            |calls, work| (0..calls).rev().for_each(work),     // one after another, from the last
            |_, work| (0..100).for_each(|_| work(usize::MAX)), // far too often, with numbers of its own
            |calls, work| {
                // all on other threads, and each twice at the same time
                std::thread::scope(|s| (0..2 * calls).for_each(|call| _ = s.spawn(move || work(call / 2))));
            },
            |_, work| std::thread::scope(|s| _ = s.spawn(|| work(0))), // too seldom
        ];
        for (number, behaviour) in behaviours.into_iter().enumerate() {
            for threads in [0, 2, 3, usize::MAX] {
                let odd = Threads::on(Arc::new(Odd(threads, behaviour)));
                assert!((1..=MOST_THREADS).contains(&odd.count()));
                let (count, inside) = (counts::<50>(), counts::<MOST_THREADS>());
                odd.run(50, &|task, thread| {
                    assert_eq!(inside[thread].fetch_add(1, AcqRel), 0, "behaviour {number}");
                    count[task].fetch_add(1, Relaxed);
                    inside[thread].fetch_sub(1, AcqRel);
                });
                assert!(count.iter().all(|count| count.load(Relaxed) == 1), "behaviour {number}, {threads} threads");
            }
        }
    }
}
