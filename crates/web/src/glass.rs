//! A ±J glass that anneals.

use self_cell::self_cell;
use yuragi::{
    Failure,
    energy::{Problem, Schedule, dynamics::Metropolis, replicas::batch, sampler::Exchanging},
};

type Ladder<'a> = Exchanging<'a>;

self_cell! {
    /// The replicas, and the problem that they are of.
    struct Replicas {
        owner: Problem,
        #[not_covariant]
        dependent: Ladder,
    }
}

/// The temperatures of the replicas: the coldest, and by what factor the next ones are warmer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperatures {
    /// That of the coldest, in units of |J|, above 0.
    pub coldest: f64,
    /// Above 1.
    pub ratio: f64,
}

impl Temperatures {
    /// The inverse temperatures, ascending: the last is the coldest.
    fn betas(self, levels: usize) -> Vec<f64> {
        let Temperatures { coldest, ratio } = self;
        let mut betas: Vec<f64> =
            core::iter::successors(Some(1.0 / coldest), |beta| Some(beta / ratio)).take(levels).collect();
        betas.reverse();
        betas
    }
}

/// A two-dimensional ±J glass, of which replicas at several temperatures are swept by Metropolis's rule and exchange.
///
/// ```
/// use yuragi_web::{Glass, Temperatures};
/// let mut glass = Glass::new(16, 4, 7, Temperatures { coldest: 0.4, ratio: 1.4 })?;
/// glass.step(50, true)?;
/// assert_eq!((glass.spins().len(), glass.energies().len()), (4 * 256, 4));
/// assert!(glass.best().1 < -1.0);
/// # Ok::<(), yuragi::Failure>(())
/// ```
pub struct Glass {
    replicas: Replicas,
    sites: usize,
    levels: usize,
    temperatures: Temperatures,
    /// The configuration of the lowest energy so far, and that energy.
    best: (Vec<u8>, f64),
}

impl Glass {
    /// Replicas of a lattice of `side` by `side` spins whose bonds are drawn from the seed, as `yuragi anneal glass:LxL`
    /// has them.
    ///
    /// # Errors
    /// A side outside 2 to 256, fewer than 2 or more than 64 temperatures, or temperatures out of range.
    pub fn new(side: usize, levels: usize, seed: u64, temperatures: Temperatures) -> Result<Glass, Failure> {
        if !(2..=256).contains(&side) || !(2..=64).contains(&levels) {
            return Err(Failure::new("a glass has 2 to 256 spins a side, and 2 to 64 temperatures"));
        }
        let betas = temperatures.betas(levels);
        let replicas = Replicas::try_new(Problem::plus_minus(&[side, side], seed)?, |problem| {
            Exchanging::new(batch(problem, Metropolis, levels as u32, seed)?, &betas)
        })?;
        let sites = side * side;
        Ok(Glass { replicas, sites, levels, temperatures, best: (vec![0; sites], f64::INFINITY) })
    }

    /// Other temperatures from now on.
    ///
    /// # Errors
    /// Temperatures that are not positive and finite, or a ratio that is not above 1.
    pub fn set(&mut self, temperatures: Temperatures) -> Result<(), Failure> {
        if temperatures != self.temperatures {
            let betas = temperatures.betas(self.levels);
            self.replicas.with_dependent_mut(|_, ladder| ladder.set_betas(&betas))?;
            self.temperatures = temperatures;
        }
        Ok(())
    }

    /// So many sweeps of every replica, with exchanges between neighbouring temperatures or without.
    ///
    /// # Errors
    /// More than four billion sweeps in all.
    pub fn step(&mut self, sweeps: u32, exchanges: bool) -> Result<(), Failure> {
        let Glass { replicas, best: (values, least), .. } = self;
        replicas.with_dependent_mut(|_, ladder| {
            for _ in 0..sweeps {
                ladder.step(exchanges)?;
                for (slot, &energy) in ladder.energies().iter().enumerate() {
                    if energy < *least {
                        *least = energy;
                        ladder.replicas().values(slot, values)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Sweeps that were made.
    pub fn sweeps(&self) -> u32 {
        self.replicas.with_dependent(|_, ladder| ladder.sweep())
    }

    /// Which replica is at each temperature, from the warmest on.
    pub fn replicas(&self) -> Vec<u8> {
        self.replicas.with_dependent(|_, ladder| ladder.slots().iter().map(|&slot| slot as u8).collect())
    }

    /// The energy a spin at each temperature, from the warmest on.
    pub fn energies(&self) -> Vec<f32> {
        let sites = self.sites as f64;
        self.replicas.with_dependent(|_, ladder| {
            ladder.slots().iter().map(|&slot| (ladder.energies()[slot] / sites) as f32).collect()
        })
    }

    /// The share of exchanges between neighbouring temperatures that were accepted, from the warmest on.
    pub fn acceptance(&self) -> Vec<f32> {
        let share = |(accepted, tried): (u64, u64)| if tried == 0 { 0.0 } else { accepted as f32 / tried as f32 };
        self.replicas.with_dependent(|_, ladder| ladder.exchanges().map(share).collect())
    }

    /// The spins at each temperature, from the warmest on, row by row: 0 or 1 each.
    pub fn spins(&self) -> Vec<u8> {
        let mut spins = vec![0; self.levels * self.sites];
        self.replicas.with_dependent(|_, ladder| {
            for (&slot, spins) in ladder.slots().iter().zip(spins.chunks_mut(self.sites)) {
                // A slot of the ladder, and as many spins as there are sites.
                let _ = ladder.replicas().values(slot, spins);
            }
        });
        spins
    }

    /// The spins of the lowest energy so far, and that energy a spin.
    pub fn best(&self) -> (&[u8], f64) {
        (&self.best.0, self.best.1 / self.sites as f64)
    }
}

/// The temperature after `done` of `total` sweeps of an annealing from one temperature to another, evenly in their
/// logarithms.
///
/// # Errors
/// Temperatures that are not positive and finite, or no sweeps.
pub fn cooled(warmest: f64, coldest: f64, total: u32, done: u32) -> Result<f64, Failure> {
    let schedule = Schedule::geometric(1.0 / warmest, 1.0 / coldest, total)?;
    Ok(1.0 / f64::from(schedule.beta(done.min(total.saturating_sub(1)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WARM: Temperatures = Temperatures { coldest: 1.0, ratio: 1.3 };

    #[test]
    fn temperatures_that_are_none_are_refused() {
        for (coldest, ratio) in [(0.0, 1.3), (-1.0, 1.3), (f64::NAN, 1.3), (1.0, 1.0), (1.0, 0.5), (1.0, f64::NAN)] {
            let temperatures = Temperatures { coldest, ratio };
            assert!(Glass::new(8, 4, 1, temperatures).is_err(), "{temperatures:?}");
            assert!(Glass::new(8, 4, 1, WARM).unwrap().set(temperatures).is_err(), "{temperatures:?}");
        }
        assert!(Glass::new(1, 4, 1, WARM).is_err() && Glass::new(8, 1, 1, WARM).is_err());
        assert!(cooled(1.0, 0.0, 5, 1).is_err());
    }

    #[test]
    fn what_is_shown_is_what_the_energies_are_of() {
        let mut glass = Glass::new(12, 5, 3, WARM).unwrap();
        glass.step(40, true).unwrap();
        glass.set(Temperatures { coldest: cooled(1.0, 0.3, 100, 99).unwrap(), ratio: 1.2 }).unwrap();
        glass.step(200, true).unwrap();
        let problem = Problem::plus_minus(&[12, 12], 3).unwrap();
        for (spins, energy) in glass.spins().chunks(144).zip(glass.energies()) {
            assert_eq!((problem.energy(spins).unwrap() / 144.0) as f32, energy);
        }
        let (spins, energy) = glass.best();
        assert_eq!(problem.energy(spins).unwrap() / 144.0, energy);
        assert!(energy as f32 <= glass.energies().iter().copied().fold(f32::INFINITY, f32::min));
        let mut replicas = glass.replicas();
        assert_ne!(replicas, [0, 1, 2, 3, 4], "replicas move");
        replicas.sort_unstable();
        assert_eq!(replicas, [0, 1, 2, 3, 4]);
        assert!(glass.acceptance().iter().all(|share| (0.05..1.0).contains(share)), "{:?}", glass.acceptance());
        assert_eq!(glass.sweeps(), 240);
    }
}
