//! A ±J glass on a periodic square, as a table in flash, and its exact least energy.

use yuragi_energy::Spins;
use yuragi_energy::draw::{Draws, Stream};
use yuragi_energy::heapless::Error;

/// Sites along a side.
pub const SIDE: usize = 8;
/// Sites.
pub const SITES: usize = SIDE * SIDE;

/// Couplings as rows, worked out by the compiler.
#[derive(Clone, Copy, Debug)]
pub struct Glass {
    /// The bond from a site to the right (0) and down (1): +1 or −1.
    bonds: [[i8; 2]; SITES],
    starts: [usize; SITES + 1],
    columns: [u32; 4 * SITES],
    weights: [f32; 4 * SITES],
}

/// The site to the right (0) or down (1).
const fn next(site: usize, axis: usize) -> usize {
    let (row, column) = (site / SIDE, site % SIDE);
    if axis == 0 { row * SIDE + (column + 1) % SIDE } else { (row + 1) % SIDE * SIDE + column }
}

impl Glass {
    /// Each bond +1 or −1 at even odds.
    pub const fn new(seed: u64) -> Self {
        let draws = Draws::new(seed);
        let mut glass =
            Self { bonds: [[0; 2]; SITES], starts: [0; SITES + 1], columns: [0; 4 * SITES], weights: [0.0; 4 * SITES] };
        let mut site = 0;
        while site < SITES {
            glass.starts[site + 1] = 4 * (site + 1);
            let mut axis = 0;
            while axis < 2 {
                let plus = draws.word((2 * site + axis) as u32, 0, Stream::Start, 0) >> 31 == 1;
                glass.bonds[site][axis] = if plus { 1 } else { -1 };
                axis += 1;
            }
            site += 1;
        }
        let mut filled = [0; SITES];
        // Columns in ascending order, so that each row's ascend.
        let mut column = 0;
        while column < SITES {
            let mut axis = 0;
            while axis < 2 {
                let (above, below) = (next(column, axis), previous(column, axis));
                let own = glass.bonds[column][axis];
                let other = glass.bonds[below][axis];
                glass.put(&mut filled, above, column, own);
                glass.put(&mut filled, below, column, other);
                axis += 1;
            }
            column += 1;
        }
        glass
    }

    const fn put(&mut self, filled: &mut [usize; SITES], row: usize, column: usize, weight: i8) {
        let at = 4 * row + filled[row];
        self.columns[at] = column as u32;
        self.weights[at] = weight as f32;
        filled[row] += 1;
    }

    /// The glass as chains take it.
    ///
    /// # Errors
    /// None.
    pub fn spins(&self) -> Result<Spins<'_>, Error> {
        Spins::new(&self.starts, &self.columns, &self.weights, &[])
    }

    /// The least energy, by transfer matrices in (min, +): site after site, for each state of the last [`SIDE`] sites,
    /// and for each state of the first row, with which the last row is joined.
    pub fn least_energy(&self) -> i32 {
        const STATES: usize = 1 << SIDE;
        let bond = |site: usize, axis: usize, equal: bool| {
            let weight = i32::from(self.bonds[site][axis]);
            if equal { -weight } else { weight }
        };
        let bit = |state: usize, at: usize| state >> at & 1;
        let mut least = i32::MAX;
        // Turning every spin changes nothing: the first spin is down.
        for first in (0..STATES).step_by(2) {
            let mut energies = [i32::MAX / 2; STATES];
            energies[first] = (0..SIDE).map(|c| bond(c, 0, bit(first, c) == bit(first, (c + 1) % SIDE))).sum();
            for site in SIDE..SITES {
                let column = site % SIDE;
                // Both values of the spin above: it is forgotten.
                for state in (0..STATES).filter(|&state| bit(state, column) == 0) {
                    let above = [energies[state], energies[state | 1 << column]];
                    for spin in 0..2 {
                        let now = state | spin << column;
                        let (up, down) = (bond(site - SIDE, 1, spin == 0), bond(site - SIDE, 1, spin == 1));
                        let mut energy = (above[0] + up).min(above[1] + down);
                        if column > 0 {
                            energy += bond(site - 1, 0, bit(now, column - 1) == spin);
                        }
                        if column + 1 == SIDE {
                            energy += bond(site, 0, bit(now, 0) == spin);
                        }
                        energies[now] = energy;
                    }
                }
            }
            for (last, energy) in energies.iter().enumerate() {
                let join = (0..SIDE).map(|c| bond(SITES - SIDE + c, 1, bit(last, c) == bit(first, c)));
                least = least.min(energy + join.sum::<i32>());
            }
        }
        least
    }
}

const fn previous(site: usize, axis: usize) -> usize {
    let (row, column) = (site / SIDE, site % SIDE);
    if axis == 0 { row * SIDE + (column + SIDE - 1) % SIDE } else { (row + SIDE - 1) % SIDE * SIDE + column }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use yuragi_energy::dynamics::Metropolis;
    use yuragi_energy::replicas::batch;
    use yuragi_energy::sampler::{anneal, quiet};
    use yuragi_energy::{Bonds, Problem, Schedule};

    /// The same glass as a problem with a heap.
    fn problem(glass: &Glass) -> Problem {
        // Axis 0 of a lattice goes down.
        let bonds: Vec<f64> = glass.bonds.iter().flat_map(|b| [f64::from(b[1]), f64::from(b[0])]).collect();
        Problem::lattice(&[SIDE, SIDE], Bonds::Each(&bonds), &[]).unwrap()
    }

    #[test]
    fn the_table_is_the_lattice() {
        let glass = Glass::new(3);
        let (spins, problem) = (glass.spins().unwrap(), problem(&glass));
        let draws = Draws::new(1);
        for read in 0..20 {
            let values: Vec<u8> =
                (0..SITES).map(|k| (draws.word(0, k as u32, Stream::Start, read) & 1) as u8).collect();
            assert_eq!(spins.energy(&values).unwrap(), problem.energy(&values).unwrap());
        }
    }

    /// Long annealing of many reads finds the ground states of 64 spins; never anything below them.
    #[test]
    fn nothing_is_below_the_least_energy_and_annealing_reaches_it() {
        for seed in 0..5 {
            let glass = Glass::new(seed);
            let problem = problem(&glass);
            let schedule = Schedule::default_for(problem.beta_range(), 400).unwrap();
            let samples = anneal(&mut *batch(&problem, Metropolis, 256, seed).unwrap(), &schedule, &mut quiet).unwrap();
            assert_eq!(samples.best().unwrap().energy, f64::from(glass.least_energy()), "{seed}");
        }
    }
}
