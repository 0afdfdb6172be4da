//! A pool of threads that runs numbered tasks without allocating.
//!
//! The caller works too. Idle workers spin for a moment, so that the next of
//! many short jobs finds them awake, and then sleep.
#![allow(unsafe_code)] // a job borrows from its caller's stack, workers see it without a lifetime

/// The body of a job: called once for every task, with the task's number and
/// that of the thread (in `0..threads`) that runs it.
pub(crate) type Body<'a> = dyn Fn(usize, usize) + Sync + 'a;

#[cfg(feature = "std")]
pub(crate) use workers::Pool;

#[cfg(not(feature = "std"))]
pub(crate) use alone::Pool;

fn run_alone(tasks: usize, body: &Body<'_>) {
    for task in 0..tasks {
        body(task, 0);
    }
}

#[cfg(not(feature = "std"))]
mod alone {
    use super::{Body, run_alone};

    /// The calling thread, for platforms without threads.
    #[derive(Debug)]
    pub(crate) struct Pool;

    impl Pool {
        pub fn single() -> Self {
            Self
        }

        pub fn threads(&self) -> usize {
            1
        }

        pub fn run(&self, tasks: usize, body: &Body<'_>) {
            run_alone(tasks, body);
        }
    }
}

#[cfg(feature = "std")]
mod workers {
    extern crate std;

    use alloc::{sync::Arc, vec::Vec};
    use core::cell::UnsafeCell;
    use core::fmt;
    use core::hint::spin_loop;
    use core::mem::transmute;
    use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
    use std::sync::{Mutex, TryLockError};
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant};

    use super::{Body, run_alone};

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

    /// Threads that run the tasks of one job at a time.
    pub(crate) struct Pool {
        shared: Arc<Shared>,
        workers: Vec<JoinHandle<()>>,
        /// Held by the caller whose job runs.
        busy: Mutex<()>,
    }

    struct Shared {
        state: AtomicU64,
        job: UnsafeCell<Job>,
        /// The next task to claim.
        next: Line<AtomicUsize>,
        /// Worker by worker: asleep, or about to be.
        asleep: Vec<Line<AtomicBool>>,
    }

    /// A cache line of its own.
    #[repr(align(128))]
    struct Line<T>(T);

    #[derive(Clone, Copy)]
    struct Job {
        tasks: usize,
        body: &'static Body<'static>,
    }

    // SAFETY: `job` is written only while `state` is not open and counts nobody
    // inside, and read only by those whom `state` counts.
    unsafe impl Sync for Shared {}

    impl Shared {
        /// Runs unclaimed tasks until none is left.
        fn work(&self, job: Job, thread: usize) {
            loop {
                let task = self.next.0.fetch_add(1, Relaxed);
                if task >= job.tasks {
                    break;
                }
                (job.body)(task, thread);
            }
        }

        /// The life of one worker.
        fn serve(&self, worker: usize) {
            let mut last = 0;
            while let Some(state) = self.wait(last, worker) {
                if self.state.compare_exchange_weak(state, state + 1, SeqCst, Relaxed).is_ok() {
                    // SAFETY: counted inside an open job, so nobody writes it.
                    let job = unsafe { *self.job.get() };
                    self.work(job, worker + 1);
                    self.state.fetch_sub(1, Release);
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
                job: UnsafeCell::new(Job { tasks: 0, body: &|_, _| {} }),
                next: Line(AtomicUsize::new(0)),
                asleep: (0..count).map(|_| Line(AtomicBool::new(false))).collect(),
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

        /// The calling thread alone.
        pub fn single() -> Self {
            Self::new(1)
        }

        /// The number of threads that a job can run on.
        pub fn threads(&self) -> usize {
            self.workers.len() + 1
        }

        /// Calls `body` once for each task in `0..tasks` and returns when all
        /// are done. A call from inside a task, or while another thread's job
        /// runs, does its tasks on the calling thread.
        pub fn run(&self, tasks: usize, body: &Body<'_>) {
            if tasks < 2 || self.workers.is_empty() {
                return run_alone(tasks, body);
            }
            let _busy = match self.busy.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return run_alone(tasks, body),
            };
            // SAFETY: only the lifetime changes; this call does not return, nor
            // unwind, before the last worker has left the job.
            let body = unsafe { transmute::<&Body<'_>, &'static Body<'static>>(body) };
            let job = Job { tasks, body };
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
            shared.work(job, 0);
            drop(guard);
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

    impl fmt::Debug for Pool {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Pool").field("threads", &self.threads()).finish()
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering::*};

    use super::*;

    fn counts<const N: usize>() -> [AtomicUsize; N] {
        core::array::from_fn(|_| AtomicUsize::new(0))
    }

    #[test]
    fn every_task_runs_once() {
        for threads in [0, 1, 2, 5] {
            let pool = Pool::new(threads);
            assert_eq!(pool.threads(), threads.max(1));
            for tasks in [0, 1, 2, 3, 100] {
                let count = counts::<100>();
                pool.run(tasks, &|task, thread| {
                    assert!(thread < pool.threads());
                    count[task].fetch_add(1, Relaxed);
                });
                assert!((0..100).all(|i| count[i].load(Relaxed) == usize::from(i < tasks)));
            }
        }
    }

    #[test]
    fn many_short_jobs_and_sleep() {
        let pool = Pool::new(3);
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
        let pool = Pool::new(4);
        let inside = counts::<4>();
        pool.run(500, &|_, thread| {
            assert_eq!(inside[thread].fetch_add(1, AcqRel), 0);
            core::hint::spin_loop();
            inside[thread].fetch_sub(1, AcqRel);
        });
    }

    #[test]
    fn nested_and_concurrent_calls_complete() {
        let pool = Pool::new(3);
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
}
