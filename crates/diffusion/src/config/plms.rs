//! The evaluations of PNDM by timesteps.

use crate::error::{Error, range};
use crate::sampler::{Move, Moves};
use crate::schedule::{Discrete, Point};
use alloc::vec::Vec;

/// PLMS by timesteps, as `PNDMScheduler` steps.
#[derive(Clone, Debug)]
pub(super) struct Plms {
    pub discrete: Discrete,
    /// The timesteps, rising.
    pub times: Vec<usize>,
    /// The timesteps of one step.
    pub ratio: usize,
    /// Where a step that leaves the schedule ends.
    pub end: Point,
}

impl Plms {
    fn point(&self, t: Option<usize>) -> Point {
        t.and_then(|t| self.discrete.point(t)).unwrap_or(self.end)
    }

    /// The evaluations from the `skipped`-th on.
    pub fn moves(&self, skipped: usize) -> Moves {
        let mut list: Vec<usize> = self.times.iter().rev().copied().collect();
        if let [_, second, ..] = list[..] {
            list.insert(1, second);
        }
        let go = |(i, t): (usize, &usize)| {
            let (from, to) = if i == 1 { (t + self.ratio, Some(*t)) } else { (*t, t.checked_sub(self.ratio)) };
            Move { at: self.point(Some(*t)), from: self.point(Some(from)), to: self.point(to) }
        };
        Moves {
            all: list[skipped.min(list.len() - 1)..].iter().enumerate().map(go).collect(),
            runge_kutta: 0,
            raw: true,
        }
    }

    /// The same, begun with three steps of Runge and Kutta.
    pub fn runge_kutta(&self) -> Result<Moves, Error> {
        let n = self.times.len();
        range("the number of steps", n as f64, n >= 4, "at least 4 for PNDM that begins with Runge-Kutta steps")?;
        let half = self.ratio / 2;
        let mut all = Vec::new();
        for k in 0..3 {
            let (t, next) = (self.times[n - 1 - k], self.times[n - 2 - k]);
            // The second and third are made where the next timestep lies, plus a half.
            let middle = next + half;
            let places = [
                (t, t.checked_sub(half)),
                (middle, Some(middle)),
                (middle, middle.checked_sub(half)),
                (next, Some(next)),
            ];
            let from = self.point(Some(t));
            all.extend(places.map(|(at, to)| Move { at: self.point(Some(at)), from, to: self.point(to) }));
        }
        let rest = self.times[..n - 3].iter().rev();
        all.extend(rest.map(|t| {
            let at = self.point(Some(*t));
            Move { at, from: at, to: self.point(t.checked_sub(self.ratio)) }
        }));
        Ok(Moves { all, runge_kutta: 12, raw: true })
    }
}
