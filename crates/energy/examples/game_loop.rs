//! Annealing inside a game's loop: frames of fixed length, each with a budget for thinking. A frame takes as many
//! sweeps as fit, the game goes on with the best plan so far.
//!
//! The plan: eight guards choose one of two posts each, so that friends stand together and rivals apart.

use std::time::{Duration, Instant};

use yuragi_energy::dynamics::Metropolis;
use yuragi_energy::replicas::{Reads, batch};
use yuragi_energy::sampler::Annealing;
use yuragi_energy::{Error, Problem, Schedule};

const FRAME: Duration = Duration::from_micros(16_667);
const BUDGET: Duration = Duration::from_micros(500);

fn main() -> Result<(), Error> {
    let likes =
        [(0, 1, 1.0), (1, 2, -2.0), (2, 3, 1.0), (3, 4, -1.0), (4, 5, 2.0), (5, 6, -1.0), (6, 7, 1.0), (0, 7, -2.0)];
    let guards = Problem::ising(8, likes, &[0.0; 8])?;
    let schedule = Schedule::default_for(guards.beta_range(), 2000)?;
    let mut plan = Annealing::new(batch(&guards, Metropolis, Reads { first: 0, count: 64 }, 1)?, schedule);

    let mut thinking = true;
    for frame in 0..10 {
        let start = Instant::now();
        // At most BUDGET: stop before the sweep that might not fit.
        let mut longest = Duration::ZERO;
        while thinking && start.elapsed() + longest < BUDGET {
            let before = Instant::now();
            thinking = plan.step()?;
            longest = longest.max(before.elapsed());
        }
        let samples = plan.samples()?;
        let best = samples.best().map(|sample| (sample.energy, sample.values.to_vec()));
        println!("frame {frame}: {} sweeps, {:?} used, best {best:?}", plan.sweep(), start.elapsed());
        // … update, draw …
        std::thread::sleep(FRAME.saturating_sub(start.elapsed()));
    }
    Ok(())
}
