use yuragi_energy::{
    Error, Problem,
    dynamics::{Rule, TwoState},
    replicas::Reads,
};

use super::executor::{Argument, Executor, Kernel};
use super::memory::{Orders, Waiting, read_energies, room, upload};
use super::schedule::{Schedule, Units};

/// Spins as bits of words, in groups of 32 reads; reads of a group that nobody asked for are swept along.
pub(super) struct Sparse<E: Executor> {
    executor: E,
    rule: Rule,
    key: [u32; 2],
    n: usize,
    first_group: u32,
    groups: usize,
    /// With one more where threads have two groups each.
    held: usize,
    /// The first read's place in its group.
    skip: usize,
    count: usize,
    depth: usize,
    words: E::Memory,
    spare: E::Memory,
    sites: E::Memory,
    positions: E::Memory,
    levels: E::Memory,
    rows: E::Memory,
    columns: E::Memory,
    weights: [E::Memory; 2],
    fields: [E::Memory; 2],
    units: Option<(Units, [E::Memory; 2])>,
    orders: Orders<E>,
    parents: E::Memory,
    energies: E::Memory,
    counts: E::Memory,
    values: E::Memory,
}

/// Threads of blocks that are not sweeps.
const THREADS: u32 = 256;
/// Bytes of configurations in one copy.
const COPIED: usize = 1 << 26;
/// Sites of a level from which on it is worth a launch of its own.
const WIDE: usize = 2048;

impl<E: Executor> Sparse<E> {
    pub fn new(executor: E, problem: &Problem, chain: TwoState, reads: Reads, key: [u32; 2]) -> Result<Self, Error> {
        let n = problem.len();
        let too_large = || Error::Overflow { what: "the number of sites or couplings" };
        let schedule = Schedule::new(problem, &chain.order.visits(problem)).ok_or_else(too_large)?;
        if n >= 1 << 31 {
            return Err(too_large());
        }
        let skip = reads.first as usize % 32;
        let groups = (skip + reads.count as usize).div_ceil(32);
        let held = if groups > 1 { groups.next_multiple_of(2) } else { groups };
        let units = Units::new(&schedule);
        let u32s = |values: &[u32]| upload(&executor, values, u32::to_le_bytes);
        let floats = |values: &[f64]| upload(&executor, values, |x| (x as f32).to_le_bytes());
        let doubles = |values: &[f64]| upload(&executor, values, f64::to_le_bytes);
        let words = 4 * held * (n + 1);
        let units = match units {
            Some(units) => {
                let tables = [u32s(&units.totals)?, u32s(&units.bonds)?];
                Some((Units { totals: Vec::new(), bonds: Vec::new(), ..units }, tables))
            }
            None => None,
        };
        let sparse = Self {
            rule: chain.rule,
            key,
            n,
            first_group: reads.first / 32,
            groups,
            held,
            skip,
            count: reads.count as usize,
            depth: schedule.depth(),
            words: room(&executor, words)?,
            spare: room(&executor, words)?,
            sites: u32s(&schedule.sites)?,
            positions: u32s(&schedule.positions)?,
            levels: u32s(&schedule.levels)?,
            rows: u32s(&schedule.rows)?,
            columns: u32s(&schedule.columns)?,
            weights: [floats(&schedule.weights)?, doubles(&schedule.weights)?],
            fields: [floats(&schedule.fields)?, doubles(&schedule.fields)?],
            units,
            orders: Orders::new(&executor)?,
            parents: room(&executor, 4 * 32 * held)?,
            energies: room(&executor, 8 * 32 * groups)?,
            counts: room(&executor, 8 * 2 * 32 * groups)?,
            values: room(&executor, n)?,
            executor,
        };
        let [low, high] = key.map(Argument::U32);
        let group = Argument::U32(sparse.first_group);
        let arguments =
            [sparse.at(&sparse.words), sparse.at(&sparse.sites), sparse.n(), sparse.pitch(), low, high, group];
        sparse.for_all("ising_start", &arguments)?;
        Ok(sparse)
    }

    fn at(&self, memory: &E::Memory) -> Argument {
        Argument::Pointer(self.executor.address(memory))
    }

    fn n(&self) -> Argument {
        Argument::U32(self.n as u32)
    }

    /// Words of a group: one for each position, and one of ones.
    fn pitch(&self) -> Argument {
        Argument::U32(self.n as u32 + 1)
    }

    fn launch(
        &self,
        function: &'static str,
        grid: [usize; 2],
        (threads, shared): (u32, u32),
        arguments: &[Argument],
    ) -> Result<(), Error> {
        if grid[0] * grid[1] == 0 {
            return Ok(());
        }
        let grid = grid.map(|blocks| blocks as u32);
        let kernel = Kernel { file: "ising", function, grid, threads, shared, arguments };
        self.executor.launch(&kernel).map_err(Error::Device)
    }

    /// A launch whose threads stride over positions, for every group.
    fn for_all(&self, function: &'static str, arguments: &[Argument]) -> Result<(), Error> {
        let blocks = (self.n + 1).div_ceil(THREADS as usize).min(1 << 12);
        self.launch(function, [blocks, self.held], (THREADS, 0), arguments)
    }

    pub fn sweep(&mut self, waiting: &Waiting) -> Result<(), Error> {
        let Waiting { numbers, betas, each } = waiting;
        let lanes = *each || self.units.is_none();
        // Every lane has a temperature, also those of reads that nobody asked for.
        let width = 32 * self.groups;
        let spread: Vec<f32> = match (lanes, each) {
            (false, _) => betas.clone(),
            (true, false) => betas.iter().flat_map(|&beta| std::iter::repeat_n(beta, width)).collect(),
            (true, true) => {
                let row = |own: &[f32]| {
                    let mut row = vec![0.0; width];
                    row[self.skip..][..own.len()].copy_from_slice(own);
                    row
                };
                betas.chunks(self.count).flat_map(row).collect()
            }
        };
        self.orders.write(&self.executor, numbers, &spread)?;

        let (level, processors) = (self.n.div_ceil(self.depth), self.executor.processors());
        // A block keeps its groups through all sweeps, or blocks share a level.
        let keeps = self.groups >= processors || level < WIDE;
        let blocks = self.held / 2 * if keeps { 1 } else { level.div_ceil(THREADS as usize) };
        let wide = self.held > 1 && blocks >= processors;
        let (function, words, mut arguments) = match (&self.units, lanes) {
            (Some((units, [totals, bonds])), false) => {
                let (functions, words) = match self.rule {
                    Rule::Metropolis if units.largest <= 4 => (["ising_metropolis_2", "ising_metropolis_2_wide"], 3),
                    Rule::Metropolis => (["ising_metropolis_4", "ising_metropolis_4_wide"], 4),
                    Rule::HeatBath => (["ising_heat_bath_8", "ising_heat_bath_8_wide"], 5),
                };
                let tables = [&self.words, totals, bonds].map(|memory| self.at(memory));
                (
                    functions[usize::from(wide)],
                    words << u32::from(wide),
                    [&tables[..], &[Argument::F32(units.unit)]].concat(),
                )
            }
            _ => {
                let function = match self.rule {
                    Rule::Metropolis => "ising_metropolis",
                    Rule::HeatBath => "ising_heat_bath",
                };
                let tables = [&self.words, &self.rows, &self.columns, &self.weights[0], &self.fields[0]];
                (function, 0, tables.map(|memory| self.at(memory)).into())
            }
        };
        // Warps keep words of which some reads are undecided.
        let shape = |threads: u32| (threads, 8 * threads * words);
        let groups = if words > 0 && wide { self.held / 2 } else { self.groups };
        arguments.extend([self.at(&self.sites), self.at(&self.levels), self.n(), self.pitch()]);
        let [low, high] = self.key.map(Argument::U32);
        let orders = [&self.orders.sweeps, &self.orders.betas].map(|memory| self.executor.address(memory));
        let part = |levels: std::ops::Range<usize>, sweeps: std::ops::Range<usize>| {
            let [first, last] = [levels.start, levels.end].map(|level| Argument::U32(level as u32));
            let beta = 4 * sweeps.start as u64 * if lanes { width as u64 } else { 1 };
            let [at_sweeps, at_betas] = [orders[0] + 4 * sweeps.start as u64, orders[1] + beta].map(Argument::Pointer);
            let count = Argument::U32(sweeps.len() as u32);
            let mut all = arguments.clone();
            all.extend([first, last, low, high, Argument::U32(self.first_group), at_sweeps, at_betas, count]);
            all
        };
        if keeps {
            let threads = level.next_multiple_of(32).clamp(64, 512) as u32;
            return self.launch(function, [groups, 1], shape(threads), &part(0..self.depth, 0..numbers.len()));
        }
        let slices = level.div_ceil(THREADS as usize).min((8 * processors).div_ceil(groups));
        for sweep in 0..numbers.len() {
            for level in 0..self.depth {
                self.launch(function, [groups, slices], shape(THREADS), &part(level..level + 1, sweep..sweep + 1))?;
            }
        }
        Ok(())
    }

    pub fn energies(&mut self, offset: f64, energies: &mut [f64]) -> Result<(), Error> {
        if self.units.as_ref().is_some_and(|(units, _)| units.exact) && offset.to_bits() != (-0.0_f64).to_bits() {
            return self.counted_energies(offset, energies);
        }
        let tables = [&self.words, &self.rows, &self.columns, &self.weights[1], &self.fields[1], &self.positions];
        let mut arguments: Vec<Argument> = tables.map(|memory| self.at(memory)).into();
        arguments.extend([self.n(), self.pitch(), Argument::F64(offset), self.at(&self.energies)]);
        self.launch("ising_energies", [self.groups, 1], (THREADS, 0), &arguments)?;
        let all = read_energies(&self.executor, &self.energies, 32 * self.groups)?;
        energies.copy_from_slice(&all[self.skip..][..energies.len()]);
        Ok(())
    }

    /// By counts of what is satisfied.
    fn counted_energies(&mut self, offset: f64, energies: &mut [f64]) -> Result<(), Error> {
        let Some((Units { unit, all, .. }, [totals, bonds])) = &self.units else { return Ok(()) };
        let width = 32 * self.groups;
        self.executor.write(&mut self.counts, 0, &vec![0; 16 * width]).map_err(Error::Device)?;
        let tables = [&self.words, totals, bonds].map(|memory| self.at(memory));
        let arguments = [&tables[..], &[self.n(), self.pitch(), self.at(&self.counts)]].concat();
        let blocks =
            self.n.div_ceil(THREADS as usize).min((8 * self.executor.processors()).div_ceil(self.groups.max(1)));
        self.launch("ising_satisfied", [blocks, self.groups], (THREADS, 0), &arguments)?;
        let mut bytes = vec![0; 16 * width];
        self.executor.read(&self.counts, &mut bytes).map_err(Error::Device)?;
        let counts: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|&bytes| u64::from_le_bytes(bytes)).collect();
        // What is satisfied less what is not, in units.
        let difference = |part: usize, read: usize| 2.0 * counts[part * width + read] as f64 - all[part] as f64;
        let unit = f64::from(*unit);
        for (read, energy) in (self.skip..).zip(energies) {
            *energy = offset - 0.5 * unit * difference(0, read) - unit * difference(1, read);
        }
        Ok(())
    }

    pub fn resample(&mut self, parents: &[u32]) -> Result<(), Error> {
        let mut of: Vec<u32> = (0..32 * self.held as u32).collect();
        for (own, parent) in of[self.skip..].iter_mut().zip(parents) {
            *own = parent + self.skip as u32;
        }
        let bytes: Vec<u8> = of.iter().flat_map(|parent| parent.to_le_bytes()).collect();
        self.executor.write(&mut self.parents, 0, &bytes).map_err(Error::Device)?;
        let memory = [&self.words, &self.spare, &self.parents].map(|memory| self.at(memory));
        self.for_all("ising_resample", &[memory[0], memory[1], memory[2], self.n(), self.pitch()])?;
        std::mem::swap(&mut self.words, &mut self.spare);
        Ok(())
    }

    /// A launch about one slot's values.
    fn one(&self, function: &'static str, slot: usize, values: u64) -> Result<(), Error> {
        let memory = [&self.words, &self.positions].map(|memory| self.at(memory));
        let read = Argument::U32((self.skip + slot) as u32);
        let arguments = [memory[0], memory[1], Argument::Pointer(values), self.n(), self.pitch(), read];
        let blocks = self.n.div_ceil(THREADS as usize).min(1 << 12);
        self.launch(function, [blocks, 1], (THREADS, 0), &arguments)
    }

    pub fn values(&self, slot: usize, values: &mut [u8]) -> Result<(), Error> {
        self.one("ising_values", slot, self.executor.address(&self.values))?;
        self.executor.read(&self.values, values).map_err(Error::Device)
    }

    /// All configurations, one after another, many in one copy.
    pub fn configurations(&self, values: &mut [u8]) -> Result<(), Error> {
        let together = (COPIED / self.n.max(1)).clamp(1, self.count.max(1));
        let memory = room(&self.executor, together * self.n)?;
        let start = self.executor.address(&memory);
        for (number, values) in values.chunks_mut(together * self.n.max(1)).enumerate() {
            for slot in 0..values.len() / self.n {
                self.one("ising_values", number * together + slot, start + (slot * self.n) as u64)?;
            }
            self.executor.read(&memory, values).map_err(Error::Device)?;
        }
        Ok(())
    }

    pub fn set_values(&mut self, slot: usize, values: &[u8]) -> Result<(), Error> {
        self.executor.write(&mut self.values, 0, values).map_err(Error::Device)?;
        self.one("ising_set_values", slot, self.executor.address(&self.values))
    }
}
