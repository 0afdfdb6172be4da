//! Annealing under way.

use std::{
    ffi::c_void,
    sync::{Arc, Mutex},
};

use yuragi::energy::{
    Error, Problem, Schedule,
    dynamics::{Dynamics, HeatBath, Metropolis},
    replicas::{Betas, Replicas, Threads, batch},
};

use super::{
    pointer::{afford, counted, free, give, guard, held, item, locked, room, tell},
    problem::yuragi_problem,
};
use crate::failure::{
    Answer, Failure, YURAGI_BUFFER, YURAGI_CANCELLED, YURAGI_INTERNAL, YURAGI_NULL, YURAGI_RANGE, failure,
    yuragi_status,
};

/// Reads of a problem that are annealed together. A call on one thread is refused with YURAGI_BUSY while another one
/// works on it.
pub struct yuragi_annealing {
    /// Borrows from `problem`, and is dropped before it.
    running: Mutex<Running>,
    problem: Arc<yuragi_problem>,
}

struct Running {
    replicas: Box<dyn Replicas + Send>,
    schedule: Schedule,
    done: u32,
    /// The configuration that is copied out.
    values: Vec<u8>,
}

/// How a variable decides.
#[repr(C)]
#[allow(dead_code)] // callers give its numbers
pub enum yuragi_chain {
    /// Metropolis: what loses no energy always happens.
    YURAGI_METROPOLIS = 0,
    /// Heat bath: each variable is drawn anew, given its neighbours.
    YURAGI_HEAT_BATH = 1,
}

/// How to anneal.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct yuragi_annealing_settings {
    /// Passes over all variables, at least 1.
    pub sweeps: u32,
    /// Configurations that are annealed beside each other, at least 1. Multiples of 256 are fastest.
    pub reads: u32,
    /// Equal seeds give equal configurations on every machine, for any number of threads.
    pub seed: u64,
    /// The inverse temperatures of the first and the last sweep, between which they grow by equal factors; both 0 for
    /// those that fit the problem.
    pub first_beta: f64,
    /// See above.
    pub last_beta: f64,
    /// A yuragi_chain.
    pub chain: i32,
    /// The threads that the library starts for sweeps; 0 and 1 for none: all is done by the calling thread.
    pub threads: u32,
}

/// 1000 sweeps of 16 reads by the calling thread, at temperatures that fit the problem.
#[unsafe(no_mangle)]
pub extern "C" fn yuragi_annealing_default() -> yuragi_annealing_settings {
    yuragi_annealing_settings {
        sweeps: 1000,
        reads: 16,
        seed: 0,
        first_beta: 0.0,
        last_beta: 0.0,
        chain: 0,
        threads: 1,
    }
}

fn energy(error: Error) -> Failure {
    let status = match error {
        Error::Cancelled => YURAGI_CANCELLED,
        Error::Device(_) => YURAGI_INTERNAL,
        _ => YURAGI_RANGE,
    };
    failure(status, error)
}

fn reads<D: Dynamics + Copy + 'static>(
    problem: &'static Problem,
    chain: D,
    how: &yuragi_annealing_settings,
) -> Answer<Box<dyn Replicas + Send>> {
    if how.threads > 1 {
        Ok(Box::new(Threads::new(how.threads as usize, problem, chain, how.reads, how.seed).map_err(energy)?))
    } else {
        batch(problem, chain, how.reads, how.seed).map_err(energy)
    }
}

/// Begins to anneal a problem, at random configurations; `how` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_annealing_start(
    problem: *const yuragi_problem,
    how: *const yuragi_annealing_settings,
    out: *mut *mut yuragi_annealing,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let problem = held("the problem", problem)?;
            let usual = yuragi_annealing_default();
            let how = if how.is_null() { &usual } else { item("the settings", how)? };
            counted("the number of sweeps", how.sweeps as usize, u32::MAX as usize)?;
            counted("the number of reads", how.reads as usize, u32::MAX as usize)?;
            // A byte and a word for each variable, and of all-coupled ones a field.
            let values = problem.problem.len().saturating_mul(how.reads as usize);
            afford("annealing", values.saturating_mul(12).saturating_add(1 << 16))?;
            let schedule = if how.first_beta == 0.0 && how.last_beta == 0.0 {
                Schedule::default_for(problem.problem.beta_range(), how.sweeps)
            } else {
                Schedule::geometric(how.first_beta, how.last_beta, how.sweeps)
            };
            let schedule = schedule.map_err(energy)?;
            // The reference is kept beside the reads, and the problem does not move.
            let lasting = &(*Arc::as_ptr(&problem)).problem;
            let replicas = match how.chain {
                0 => reads(lasting, Metropolis, how)?,
                1 => reads(lasting, HeatBath, how)?,
                other => {
                    let legal = "YURAGI_METROPOLIS and YURAGI_HEAT_BATH";
                    return Err(failure(YURAGI_RANGE, format_args!("{other} is no chain; legal are {legal}")));
                }
            };
            let values = vec![0; problem.problem.len()];
            let running = Mutex::new(Running { replicas, schedule, done: 0, values });
            Ok(yuragi_annealing { running, problem })
        })
    })
}

impl Running {
    fn sweep(&mut self) -> Answer<bool> {
        if self.done == self.schedule.sweeps() {
            return Ok(false);
        }
        self.replicas.sweep(self.done, Betas::Same(self.schedule.beta(self.done))).map_err(energy)?;
        self.done += 1;
        Ok(true)
    }
}

/// Goes on for at most so many sweeps of all reads. Writes how many are done and how many there are, where these are not
/// NULL. With several threads, sweeps that are too short to be worth them are gathered, and made by a later call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_annealing_advance(
    annealing: *const yuragi_annealing,
    sweeps: u32,
    done: *mut u32,
    total: *mut u32,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let annealing = held("the annealing", annealing)?;
        let mut running = locked("the annealing", &annealing.running)?;
        for _ in 0..sweeps {
            if !running.sweep()? {
                break;
            }
        }
        tell(done, running.done);
        tell(total, running.schedule.sweeps());
        Ok(())
    })
}

/// Told after each sweep how many are done; what is not 0 cancels.
pub type yuragi_progress = Option<unsafe extern "C" fn(user: *mut c_void, done: u32, total: u32) -> i32>;

/// Goes on to the end, or until `progress`, which may be NULL, answers with what is not 0: then YURAGI_CANCELLED. The
/// configurations can be read in either case, and the rest be done by another call. `progress` must not work on this
/// annealing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_annealing_run(
    annealing: *const yuragi_annealing,
    progress: yuragi_progress,
    user: *mut c_void,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let annealing = held("the annealing", annealing)?;
        let mut running = locked("the annealing", &annealing.running)?;
        while running.sweep()? {
            let stop = progress.is_some_and(|progress| progress(user, running.done, running.schedule.sweeps()) != 0);
            if stop {
                return Err(energy(Error::Cancelled));
            }
        }
        Ok(())
    })
}

fn short(what: &str, needed: usize, have: usize) -> Answer {
    if have >= needed {
        return Ok(());
    }
    Err(failure(YURAGI_BUFFER, format_args!("{what} take {needed} values, the buffer has {have}")))
}

/// Writes the energy of every read as it stands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_annealing_energies(
    annealing: *const yuragi_annealing,
    energies: *mut f64,
    capacity: usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let annealing = held("the annealing", annealing)?;
        let mut running = locked("the annealing", &annealing.running)?;
        let reads = running.replicas.len();
        let out = room("the buffer for the energies", energies, capacity)?;
        short("the energies", reads, out.len())?;
        running.replicas.energies(&mut out[..reads]).map_err(energy)
    })
}

/// Writes the configuration of one read as it stands: a value for each variable, of the kind that yuragi_problem_kind says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_annealing_values(
    annealing: *const yuragi_annealing,
    read: u32,
    configuration: *mut i16,
    capacity: usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let annealing = held("the annealing", annealing)?;
        let mut running = locked("the annealing", &annealing.running)?;
        let out = room("the buffer for the configuration", configuration, capacity)?;
        let Running { replicas, values, .. } = &mut *running;
        short("the configuration's values", values.len(), out.len())?;
        replicas.values(read as usize, values).map_err(energy)?;
        let variables = annealing.problem.variables;
        out.iter_mut().zip(values.iter()).for_each(|(to, from)| *to = variables.shown(*from));
        Ok(())
    })
}

/// Writes the read of least energy as it stands, and that energy, where these are not NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_annealing_best(
    annealing: *const yuragi_annealing,
    read: *mut u32,
    least: *mut f64,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let annealing = held("the annealing", annealing)?;
        let mut running = locked("the annealing", &annealing.running)?;
        let mut energies = vec![0.0; running.replicas.len()];
        running.replicas.energies(&mut energies).map_err(energy)?;
        let best = energies.iter().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
        let (place, energy) = best.ok_or_else(|| failure(YURAGI_NULL, "there is no read"))?;
        tell(read, place as u32);
        tell(least, *energy);
        Ok(())
    })
}

/// Frees it; NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_annealing_free(annealing: *mut yuragi_annealing) {
    // SAFETY: the caller's word.
    unsafe { free(annealing) };
}
