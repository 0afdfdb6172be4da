use yuragi_energy::{
    Error, Problem,
    dynamics::{Rule, TwoState},
    replicas::{REFRESH, Reads},
};

use super::executor::{Argument, Executor, Kernel};
use super::memory::{Orders, Waiting, read_energies, room, upload};

/// All-coupled spins: a byte each, and the local fields of each read.
pub(super) struct Dense<E: Executor> {
    executor: E,
    rule: Rule,
    key: [u32; 2],
    n: usize,
    reads: Reads,
    spins: E::Memory,
    fields: E::Memory,
    spare: [E::Memory; 2],
    weights: [E::Memory; 2],
    biases: [E::Memory; 2],
    visits: E::Memory,
    /// What flipped in a tile and in the one before it, where sweeps go by tiles.
    flips: Option<[E::Memory; 2]>,
    orders: Orders<E>,
    parents: E::Memory,
    energies: E::Memory,
    /// One read, when it is looked at or set.
    one: E::Memory,
}

/// Threads of blocks that sum energies.
const THREADS: u32 = 256;
/// Sites of a tile.
const TILE: usize = 128;
/// Threads of blocks that have a tile, and bytes of their shared memory.
const TILED: (u32, u32) = (512, 69_888);
/// Sites up to which a block makes whole sweeps of a read by itself.
const FEW: usize = 2 * TILE;
/// No tile.
const NONE: u32 = u32::MAX;
/// Sites whose fields and spins the shared memory of the smallest processors holds.
const LARGEST: usize = (96 * 1024 - 4) / 5;

/// Bytes of couplings that the host makes at a time.
const MADE: usize = 1 << 24;

/// All couplings in single and in double precision; before the host makes any, the machine has memory for all.
fn upload_couplings<E: Executor>(executor: &E, problem: &Problem) -> Result<[E::Memory; 2], Error> {
    let n = problem.len();
    let matrix = |size: usize| room(executor, n.saturating_mul(n).saturating_mul(size));
    let (mut floats, mut doubles) = (matrix(size_of::<f32>())?, matrix(size_of::<f64>())?);
    let together = (MADE / (size_of::<f64>() * n.max(1))).clamp(1, n.max(1));
    for first in (0..n).step_by(together) {
        let mut rows = vec![0.0; together.min(n - first) * n];
        for (row, k) in rows.chunks_mut(n).zip(first..) {
            problem.neighbours(k).for_each(|(l, weight)| row[l] = weight);
        }
        let single: Vec<u8> = rows.iter().flat_map(|&weight| (weight as f32).to_le_bytes()).collect();
        let double: Vec<u8> = rows.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        executor.write(&mut floats, size_of::<f32>() * first * n, &single).map_err(Error::Device)?;
        executor.write(&mut doubles, size_of::<f64>() * first * n, &double).map_err(Error::Device)?;
    }
    Ok([floats, doubles])
}

impl<E: Executor> Dense<E> {
    pub fn new(executor: E, problem: &Problem, chain: TwoState, reads: Reads, key: [u32; 2]) -> Result<Self, Error> {
        let (n, visits) = (problem.len(), chain.order.visits(problem));
        // Tiles are visited in the order of the sites.
        let tiled = n > FEW && (0..n as u32).eq(visits.iter().copied());
        if n > LARGEST && !tiled {
            let legal = "at most 19660 on a GPU where all are coupled and not visited in order";
            return Err(Error::Range { what: "the number of variables", value: n as f64, legal });
        }
        let weights = upload_couplings(&executor, problem)?;
        let floats = |values: &[f64]| upload(&executor, values, |x| (x as f32).to_le_bytes());
        let doubles = |values: &[f64]| upload(&executor, values, f64::to_le_bytes);
        let count = reads.count as usize;
        let mut dense = Self {
            rule: chain.rule,
            key,
            n,
            reads,
            spins: room(&executor, count * n)?,
            fields: room(&executor, 4 * count * n)?,
            spare: [room(&executor, count * n)?, room(&executor, 4 * count * n)?],
            weights,
            biases: [floats(problem.fields())?, doubles(problem.fields())?],
            visits: upload(&executor, &visits, u32::to_le_bytes)?,
            flips: if tiled { Some([room(&executor, 32 * count)?, room(&executor, 32 * count)?]) } else { None },
            orders: Orders::new(&executor)?,
            parents: room(&executor, 4 * count)?,
            energies: room(&executor, 8 * count)?,
            one: room(&executor, n)?,
            executor,
        };
        let [low, high] = key.map(Argument::U32);
        let arguments = [dense.at(&dense.spins), dense.n(), low, high, Argument::U32(reads.first)];
        dense.launch("ising_dense_start", count, 0, &arguments)?;
        dense.sum_fields(0, count)?;
        Ok(dense)
    }

    fn at(&self, memory: &E::Memory) -> Argument {
        Argument::Pointer(self.executor.address(memory))
    }

    fn n(&self) -> Argument {
        Argument::U32(self.n as u32)
    }

    /// A block for each read.
    fn launch(&self, function: &'static str, reads: usize, shared: usize, arguments: &[Argument]) -> Result<(), Error> {
        if reads == 0 {
            return Ok(());
        }
        // Few reads leave room for more threads each.
        let most = if reads >= 8 * self.executor.processors() { 128 } else { 512 };
        let threads = match function {
            "ising_dense_energies" => THREADS,
            _ => self.n.next_multiple_of(32).clamp(32, most) as u32,
        };
        let (grid, shared) = ([reads as u32, 1], shared as u32);
        self.start(function, grid, threads, shared, arguments)
    }

    fn start(
        &self,
        function: &'static str,
        grid: [u32; 2],
        threads: u32,
        shared: u32,
        arguments: &[Argument],
    ) -> Result<(), Error> {
        let kernel = Kernel { file: "ising_dense", function, grid, threads, shared, arguments };
        self.executor.launch(&kernel).map_err(Error::Device)
    }

    fn sum_fields(&mut self, first: usize, count: usize) -> Result<(), Error> {
        let spins = self.executor.address(&self.spins) + (first * self.n) as u64;
        let fields = self.executor.address(&self.fields) + (4 * first * self.n) as u64;
        let tables = [self.at(&self.weights[0]), self.at(&self.biases[0])];
        let mut arguments = vec![Argument::Pointer(spins), Argument::Pointer(fields), tables[0], tables[1], self.n()];
        if self.flips.is_none() || count == 0 {
            return self.launch("ising_dense_fields", count, 0, &arguments);
        }
        arguments.push(Argument::U32(count as u32));
        self.start("ising_dense_sum", [self.tiles(count), 1], TILED.0, TILED.1, &arguments)
    }

    /// Tiles of the fields of so many reads.
    fn tiles(&self, reads: usize) -> u32 {
        (self.n.div_ceil(TILE) * reads.div_ceil(TILE)) as u32
    }

    pub fn sweep(&mut self, waiting: &Waiting) -> Result<(), Error> {
        let count = self.reads.count as usize;
        match waiting.each {
            true => self.orders.write(&self.executor, &waiting.numbers, &waiting.betas)?,
            false => {
                let betas: Vec<f32> = waiting.betas.iter().flat_map(|&beta| std::iter::repeat_n(beta, count)).collect();
                self.orders.write(&self.executor, &waiting.numbers, &betas)?;
            }
        }
        if self.flips.is_some() {
            return self.sweep_tiles(&waiting.numbers);
        }
        let function = match self.rule {
            Rule::Metropolis => "ising_dense_metropolis",
            Rule::HeatBath => "ising_dense_heat_bath",
        };
        let tables = [&self.spins, &self.fields, &self.weights[0], &self.biases[0], &self.visits];
        let mut arguments: Vec<Argument> = tables.map(|memory| self.at(memory)).into();
        let [low, high] = self.key.map(Argument::U32);
        arguments.extend([self.n(), low, high, Argument::U32(self.reads.first)]);
        arguments.extend([self.at(&self.orders.sweeps), self.at(&self.orders.betas)]);
        arguments.push(Argument::U32(waiting.numbers.len() as u32));
        self.launch(function, count, (5 * self.n).next_multiple_of(4), &arguments)
    }

    /// Sweeps tile by tile; what flips in one is added to the fields while the next one is visited.
    fn sweep_tiles(&mut self, numbers: &[u32]) -> Result<(), Error> {
        let (mut before, mut turn) = (NONE, 0);
        for (&sweep, place) in numbers.iter().zip(0..) {
            if sweep.is_multiple_of(REFRESH) {
                self.step(NONE, before, turn, (sweep, place))?;
                self.sum_fields(0, self.reads.count as usize)?;
                before = NONE;
            }
            for tile in 0..self.n.div_ceil(TILE) as u32 {
                self.step(tile, before, turn, (sweep, place))?;
                (before, turn) = (tile, 1 - turn);
            }
        }
        self.step(NONE, before, turn, (0, 0))
    }

    /// Visits a tile and adds what flipped in the one before; either may be [`NONE`].
    fn step(&self, tile: u32, before: u32, turn: usize, (sweep, place): (u32, u64)) -> Result<(), Error> {
        let Some(flips) = &self.flips else { return Ok(()) };
        let Reads { first, count } = self.reads;
        let visiting = if tile == NONE { 0 } else { (first + count).div_ceil(32) - first / 32 };
        let adding = if before == NONE { 0 } else { self.tiles(count as usize) };
        if visiting + adding == 0 {
            return Ok(());
        }
        let function = match self.rule {
            Rule::Metropolis => "ising_dense_step_metropolis",
            Rule::HeatBath => "ising_dense_step_heat_bath",
        };
        let tables = [&self.spins, &self.fields, &self.weights[0], &flips[1 - turn], &flips[turn]];
        let [low, high] = self.key;
        let betas = self.executor.address(&self.orders.betas) + 4 * u64::from(count) * place;
        let mut arguments: Vec<Argument> = tables.map(|memory| self.at(memory)).into();
        arguments.push(self.n());
        arguments.extend([low, high, first, count, tile, before, sweep].map(Argument::U32));
        arguments.push(Argument::Pointer(betas));
        self.start(function, [visiting + adding, 1], TILED.0, TILED.1, &arguments)
    }

    pub fn energies(&mut self, offset: f64, energies: &mut [f64]) -> Result<(), Error> {
        let memory = [&self.spins, &self.weights[1], &self.biases[1]].map(|memory| self.at(memory));
        let arguments = [memory[0], memory[1], memory[2], self.n(), Argument::F64(offset), self.at(&self.energies)];
        self.launch("ising_dense_energies", energies.len(), self.n, &arguments)?;
        energies.copy_from_slice(&read_energies(&self.executor, &self.energies, energies.len())?);
        Ok(())
    }

    pub fn resample(&mut self, parents: &[u32]) -> Result<(), Error> {
        let bytes: Vec<u8> = parents.iter().flat_map(|parent| parent.to_le_bytes()).collect();
        self.executor.write(&mut self.parents, 0, &bytes).map_err(Error::Device)?;
        let memory = [&self.spins, &self.fields, &self.spare[0], &self.spare[1], &self.parents];
        let mut arguments: Vec<Argument> = memory.map(|memory| self.at(memory)).into();
        arguments.push(self.n());
        self.launch("ising_dense_resample", parents.len(), 0, &arguments)?;
        std::mem::swap(&mut self.spins, &mut self.spare[0]);
        std::mem::swap(&mut self.fields, &mut self.spare[1]);
        Ok(())
    }

    /// E of every read from its local fields; see [`Problem::kept_energy`].
    pub fn kept_energies(&mut self, offset: f64, energies: &mut [f64]) -> Result<(), Error> {
        if energies.is_empty() {
            return Ok(());
        }
        let tables = [&self.spins, &self.fields, &self.biases[1]].map(|memory| self.at(memory));
        let mut arguments = Vec::from(tables);
        arguments.extend([self.n(), Argument::F64(offset), self.at(&self.energies)]);
        arguments.push(Argument::U32(energies.len() as u32));
        let blocks = (8 * energies.len()).div_ceil(THREADS as usize) as u32;
        self.start("ising_dense_kept_energies", [blocks, 1], THREADS, 0, &arguments)?;
        energies.copy_from_slice(&read_energies(&self.executor, &self.energies, energies.len())?);
        Ok(())
    }

    /// The local fields of a read.
    pub fn fields(&self, slot: usize) -> Result<Vec<f32>, Error> {
        let mut fields = vec![0; 4 * self.n];
        self.copy(self.field(slot), self.executor.address(&self.spare[1]), fields.len())?;
        self.executor.read(&self.spare[1], &mut fields).map_err(Error::Device)?;
        Ok(floats(&fields))
    }

    /// Replaces them.
    pub fn set_fields(&mut self, slot: usize, fields: &[f32]) -> Result<(), Error> {
        let bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        self.executor.write(&mut self.spare[1], 0, &bytes).map_err(Error::Device)?;
        self.copy(self.executor.address(&self.spare[1]), self.field(slot), bytes.len())
    }

    /// Copies so many bytes of a read.
    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), Error> {
        let arguments = [Argument::Pointer(from), Argument::Pointer(to), Argument::U32(bytes as u32)];
        self.launch("ising_dense_copy", 1, 0, &arguments)
    }

    fn field(&self, slot: usize) -> u64 {
        self.executor.address(&self.fields) + (4 * slot * self.n) as u64
    }

    fn slot(&self, slot: usize) -> u64 {
        self.executor.address(&self.spins) + (slot * self.n) as u64
    }

    /// All configurations, one after another.
    pub fn configurations(&self, values: &mut [u8]) -> Result<(), Error> {
        self.executor.read(&self.spins, values).map_err(Error::Device)
    }

    pub fn values(&self, slot: usize, values: &mut [u8]) -> Result<(), Error> {
        self.copy(self.slot(slot), self.executor.address(&self.one), self.n)?;
        self.executor.read(&self.one, values).map_err(Error::Device)
    }

    pub fn set_values(&mut self, slot: usize, values: &[u8]) -> Result<(), Error> {
        self.executor.write(&mut self.one, 0, values).map_err(Error::Device)?;
        self.copy(self.executor.address(&self.one), self.slot(slot), self.n)?;
        self.sum_fields(slot, 1)
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}
