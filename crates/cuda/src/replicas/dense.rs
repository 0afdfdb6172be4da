use yuragi_energy::{
    Error, Problem,
    dynamics::{Rule, TwoState},
    replicas::Reads,
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
    orders: Orders<E>,
    parents: E::Memory,
    energies: E::Memory,
    /// One read, when it is looked at or set.
    one: E::Memory,
}

/// Threads of blocks that sum energies.
const THREADS: u32 = 256;
/// Sites whose fields and spins the shared memory of the smallest processors holds.
const LARGEST: usize = (96 * 1024 - 4) / 5;

impl<E: Executor> Dense<E> {
    pub fn new(executor: E, problem: &Problem, chain: TwoState, reads: Reads, key: [u32; 2]) -> Result<Self, Error> {
        let n = problem.len();
        if n > LARGEST {
            let legal = "at most 19660 on a GPU where all are coupled";
            return Err(Error::Range { what: "the number of variables", value: n as f64, legal });
        }
        let mut matrix = vec![0.0; n * n];
        for k in 0..n {
            for (l, weight) in problem.neighbours(k) {
                matrix[k * n + l] = weight;
            }
        }
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
            weights: [floats(&matrix)?, doubles(&matrix)?],
            biases: [floats(problem.fields())?, doubles(problem.fields())?],
            visits: upload(&executor, &chain.order.visits(problem), u32::to_le_bytes)?,
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
        let arguments = [Argument::Pointer(spins), Argument::Pointer(fields), tables[0], tables[1], self.n()];
        self.launch("ising_dense_fields", count, 0, &arguments)
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

    pub fn energies(&mut self, offset: f64, energies: &mut [f64]) -> Result<(), Error> {
        let memory = [&self.spins, &self.weights[1], &self.biases[1]].map(|memory| self.at(memory));
        let arguments = [memory[0], memory[1], memory[2], self.n(), Argument::F64(offset), self.at(&self.energies)];
        self.launch("ising_dense_energies", energies.len(), self.n, &arguments)?;
        energies.copy_from_slice(&read_energies(&self.executor, &self.energies, energies.len())?);
        Ok(())
    }

    pub fn resample(&mut self, parents: &[u32]) -> Result<(), Error> {
        let bytes: Vec<u8> = parents.iter().flat_map(|parent| parent.to_le_bytes()).collect();
        self.executor.write(&mut self.parents, &bytes).map_err(Error::Device)?;
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
        self.executor.write(&mut self.spare[1], &bytes).map_err(Error::Device)?;
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
        self.executor.write(&mut self.one, values).map_err(Error::Device)?;
        self.copy(self.executor.address(&self.one), self.slot(slot), self.n)?;
        self.sum_fields(slot, 1)
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}
