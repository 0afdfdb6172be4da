use super::configurations::configurations;
use super::progress::{Hook, report};
use crate::dynamics::Dynamics;
use crate::error::Error;
use crate::problem::Problem;
use crate::replicas::{Betas, Reads, Replicas, batch, group};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A population in parts, each of which has a thread to itself with the feature `std`. It is the same in any number of
/// parts.
pub(super) struct Crowd<'a> {
    parts: Vec<Part<'a>>,
}

/// Neighbouring members.
struct Part<'a> {
    /// The number of the first.
    first: usize,
    replicas: Box<dyn Replicas + Send + 'a>,
    energies: Vec<f64>,
}

/// Sweeps first .. first + count of so many in all, at β.
#[derive(Clone, Copy)]
pub(super) struct Sweeps {
    pub first: u32,
    pub count: u32,
    pub total: u32,
    pub beta: f32,
}

impl Part<'_> {
    fn sweep(&mut self, Sweeps { first, count, total, beta }: Sweeps, hook: Hook<'_>) -> Result<(), Error> {
        for sweep in first..first + count {
            self.replicas.sweep(sweep, Betas::Same(beta))?;
            report(hook, sweep.into(), total.into())?;
        }
        self.replicas.energies(&mut self.energies)
    }
}

impl<'a> Crowd<'a> {
    /// Members in uniform random configurations, in at most so many parts.
    pub fn new<D: Dynamics>(
        problem: &'a Problem,
        dynamics: &'a D,
        members: u32,
        parts: usize,
        seed: u64,
    ) -> Result<Self, Error> {
        // Reads that share words are not parted.
        let parts = u32::try_from(parts).unwrap_or(u32::MAX).max(1);
        let share = members.div_ceil(parts).checked_next_multiple_of(group(problem, dynamics)).unwrap_or(members);
        let part = |first: u32| {
            let count = share.min(members - first);
            let mut replicas = batch(problem, dynamics, Reads { first, count }, seed)?;
            let mut energies = alloc::vec![0.0; count as usize];
            replicas.energies(&mut energies)?;
            Ok(Part { first: first as usize, replicas, energies })
        };
        let parts = (0..members).step_by(share.max(1) as usize).map(part).collect::<Result<_, Error>>()?;
        Ok(Self { parts })
    }

    /// E of every member, as the last sweeps left it.
    pub fn energies(&self) -> impl Iterator<Item = f64> {
        self.parts.iter().flat_map(|part| part.energies.iter().copied())
    }

    /// Sweeps all members. The hook is called on this thread, after each sweep of its part.
    pub fn sweep(&mut self, sweeps: Sweeps, hook: Hook<'_>) -> Result<(), Error> {
        let Some((first, rest)) = self.parts.split_first_mut() else { return Ok(()) };
        if rest.is_empty() {
            return first.sweep(sweeps, hook);
        }
        #[cfg(feature = "std")]
        return on_threads(first, rest, sweeps, hook);
        #[cfg(not(feature = "std"))]
        rest.iter_mut()
            .try_for_each(|part| part.sweep(sweeps, &mut super::progress::quiet))
            .and(first.sweep(sweeps, hook))
    }

    /// Member i takes the state of member `parents[i]`.
    pub fn resample(&mut self, parents: &[u32]) -> Result<(), Error> {
        // What comes from other parts, before any part changes.
        let mut foreign = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let own = part.first..part.first + part.replicas.len();
            let mut states = BTreeMap::new();
            for &parent in &parents[own.clone()] {
                if !own.contains(&(parent as usize)) && !states.contains_key(&parent) {
                    states.insert(parent, self.part(parent as usize).state(parent as usize)?);
                }
            }
            foreign.push(states);
        }
        for (part, states) in self.parts.iter_mut().zip(foreign) {
            let own = part.first..part.first + part.replicas.len();
            let parents = &parents[own.clone()];
            let within = |&parent: &u32| (parent as usize).checked_sub(own.start).filter(|&at| at < own.len());
            let local: Vec<u32> = parents.iter().map(|parent| within(parent).unwrap_or(0) as u32).collect();
            part.replicas.resample(&local)?;
            for (slot, parent) in parents.iter().enumerate() {
                if let Some(state) = states.get(parent) {
                    part.replicas.set_state(slot, state)?;
                }
            }
        }
        Ok(())
    }

    fn part(&self, member: usize) -> &Part<'a> {
        let after = self.parts.partition_point(|part| part.first <= member);
        &self.parts[after.max(1) - 1]
    }

    /// The configurations of all members, one after another.
    pub fn configurations(&self) -> Result<Vec<u8>, Error> {
        let parts = self.parts.iter().map(|part| configurations(&*part.replicas));
        Ok(parts.collect::<Result<Vec<_>, _>>()?.concat())
    }
}

impl Part<'_> {
    fn state(&self, member: usize) -> Result<crate::dynamics::Replica, Error> {
        self.replicas.state(member - self.first)
    }
}

#[cfg(feature = "std")]
fn on_threads(first: &mut Part<'_>, rest: &mut [Part<'_>], sweeps: Sweeps, hook: Hook<'_>) -> Result<(), Error> {
    use core::ops::ControlFlow;
    use core::sync::atomic::{AtomicBool, Ordering};

    let cancelled = AtomicBool::new(false);
    let elsewhere = |part: &mut Part<'_>| {
        part.sweep(sweeps, &mut |_| {
            if cancelled.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    std::thread::scope(|scope| {
        let elsewhere = &elsewhere;
        let mut refused = Vec::new();
        let mut handles = Vec::new();
        for part in rest {
            // What the system refuses a thread is swept here; the part stays where a failed start cannot take it.
            let place = std::sync::Mutex::new(Some(part));
            let place = std::sync::Arc::new(place);
            let theirs = place.clone();
            let run = move || match theirs.lock().map(|mut part| part.take()) {
                Ok(Some(part)) => elsewhere(part),
                _ => Ok(()),
            };
            match std::thread::Builder::new().spawn_scoped(scope, run) {
                Ok(handle) => handles.push(handle),
                Err(_) => refused.push(place),
            }
        }
        let mut done = first.sweep(sweeps, hook);
        cancelled.store(done.is_err(), Ordering::Relaxed);
        for place in refused {
            if let Ok(Some(part)) = place.lock().map(|mut part| part.take()) {
                done = done.and(elsewhere(part));
            }
        }
        for handle in handles {
            match handle.join() {
                Ok(theirs) => done = done.and(theirs),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}
