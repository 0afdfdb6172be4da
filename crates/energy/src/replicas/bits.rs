use super::chunk::Sweep;
use super::contract::{REFRESH, Replicas};
use super::integer::Integers;
use super::planes::{Keys, Word, planes};
use super::reads::{Betas, Reads, check_parents};
use super::{dense, lanes, multi_spin};
use crate::draw::{Draws, Stream};
use crate::dynamics::{Replica, TwoState};
use crate::error::{Error, index, length};
use crate::problem::{Problem, Variables, spin32};
use alloc::vec::Vec;
use yuragi_numeric::simd::{Task, vectorize};

/// Spins as bits, 256 reads side by side; see [`replicas`](crate::replicas).
#[derive(Clone, Debug)]
pub struct BitReplicas<'a> {
    problem: &'a Problem,
    chain: TwoState,
    visits: Vec<u32>,
    draws: Draws,
    keys: Keys,
    reads: Reads,
    /// The words of site k in chunk c stand at c·N + k. A chunk is 256 reads whose numbers begin at a
    /// multiple of 256; bits of reads that are not in the batch stay 0.
    words: Vec<Word>,
    spare: Vec<Word>,
    integers: Option<Integers>,
    thresholds: Vec<multi_spin::Threshold>,
    /// All-coupled problems: the local fields of slot i begin at i·stride.
    fields: Vec<f32>,
    stride: usize,
}

impl<'a> BitReplicas<'a> {
    /// Reads in uniform random configurations.
    ///
    /// # Errors
    /// Potts variables, or reads whose numbers do not fit.
    pub fn new(problem: &'a Problem, chain: TwoState, reads: Reads, seed: u64) -> Result<Self, Error> {
        if problem.variables() != Variables::Spin {
            return Err(Error::Unsupported { what: "one bit a variable", needs: "spins" });
        }
        let reads = reads.check()?;
        let n = problem.len();
        let dense = problem.table().is_dense();
        // Rows a whole number of cache lines apart, but not a power of two: the caches' sets would collide.
        let stride = if dense { n.next_multiple_of(16) + 16 } else { 0 };
        let integers = Integers::new(problem);
        let sums = integers.as_ref().map_or(0, |integers| integers.sums.len());
        let batch = Self {
            problem,
            chain,
            visits: chain.order.visits(problem),
            draws: Draws::new(seed),
            keys: Keys::new(Draws::new(seed)),
            reads,
            words: Vec::new(),
            spare: Vec::new(),
            integers,
            thresholds: Vec::with_capacity(sums),
            fields: alloc::vec![0.0; stride * reads.count as usize],
            stride,
        };
        let mut words = alloc::vec![[0; 4]; batch.chunks().len() * n];
        for (chunk, words) in batch.chunks().zip(words.chunks_mut(n)) {
            let active = batch.active(chunk);
            for (site, word) in (0..).zip(words) {
                // u < 2³¹ where the highest bit is 0
                let plane = planes(&batch.keys, 0, site, Stream::Start, 0, chunk)[0];
                *word = core::array::from_fn(|j| !plane[j] & active[j]);
            }
        }
        let mut batch = Self { words, ..batch };
        batch.refresh();
        Ok(batch)
    }

    /// True if sweeps go by integer adders on bits.
    pub fn is_multi_spin(&self) -> bool {
        self.integers.is_some()
    }

    /// The numbers of the chunks.
    fn chunks(&self) -> core::ops::Range<u32> {
        let Reads { first, count } = self.reads;
        if count == 0 { 0..0 } else { first / 256..(first + (count - 1)) / 256 + 1 }
    }

    /// The reads of a chunk that are in the batch.
    fn active(&self, chunk: u32) -> Word {
        let (first, base) = (u64::from(self.reads.first), 256 * u64::from(chunk));
        let last = first + u64::from(self.reads.count);
        core::array::from_fn(|j| {
            let start = base + 64 * j as u64;
            let below = |end: u64| match end.saturating_sub(start) {
                0 => 0,
                n if n < 64 => (1u64 << n) - 1,
                _ => !0,
            };
            below(last) & !below(first)
        })
    }

    /// (place of the chunk's words, word of four, bit) of a slot.
    fn place(&self, slot: usize) -> (usize, usize, u32) {
        let read = self.reads.first as usize + slot;
        let chunk = read / 256 - self.reads.first as usize / 256;
        (chunk * self.problem.len(), read / 64 % 4, (read % 64) as u32)
    }

    fn bit(&self, slot: usize, site: usize) -> u8 {
        let (base, word, bit) = self.place(slot);
        (self.words[base + site][word] >> bit & 1) as u8
    }

    /// Sums the local fields of all-coupled problems anew.
    fn refresh(&mut self) {
        if self.stride == 0 {
            return;
        }
        let mut values = alloc::vec![0; self.problem.len()];
        for slot in 0..self.len() {
            self.copy_values(slot, &mut values);
            refresh_fields(self.problem, &values, &mut self.fields[slot * self.stride..][..self.problem.len()]);
        }
    }

    fn copy_values(&self, slot: usize, values: &mut [u8]) {
        let (base, word, bit) = self.place(slot);
        for (value, words) in values.iter_mut().zip(&self.words[base..]) {
            *value = (words[word] >> bit & 1) as u8;
        }
    }
}

/// The inverse temperatures of a chunk's reads, whose first is slot `slot`; 0 of those that are not in the batch.
fn own_betas(betas: Betas<'_>, active: Word, mut slot: usize) -> [[f32; 32]; 8] {
    let mut own = [[0.0; 32]; 8];
    for (group, own) in own.iter_mut().enumerate() {
        for (read, beta) in own.iter_mut().enumerate() {
            if lanes::half(active, group) >> read & 1 == 1 {
                *beta = betas.of(slot);
                slot += 1;
            }
        }
    }
    own
}

/// λ_k of every site, with the additions of each in the order of the sites.
fn refresh_fields(problem: &Problem, values: &[u8], fields: &mut [f32]) {
    fields.copy_from_slice(problem.rounded_fields());
    // Column by column, J being symmetric: each field gets the same sums in the same order.
    for (l, &value) in values.iter().enumerate() {
        vectorize(Add { fields, row: problem.table().dense_row(l), change: spin32(value) });
    }
}

struct Add<'a> {
    fields: &'a mut [f32],
    row: &'a [f32],
    change: f32,
}

impl Task for Add<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        crate::dynamics::add_row(self.fields, self.row, self.change);
    }
}

impl Replicas for BitReplicas<'_> {
    fn problem(&self) -> &Problem {
        self.problem
    }

    fn reads(&self) -> Reads {
        self.reads
    }

    fn draws(&self) -> Draws {
        self.draws
    }

    fn sweep(&mut self, sweep: u32, betas: Betas<'_>) -> Result<(), Error> {
        betas.check(self.len())?;
        if sweep.is_multiple_of(REFRESH) {
            self.refresh();
        }
        let n = self.problem.len();
        if let (Some(integers), Betas::Same(beta)) = (&self.integers, betas) {
            let beta = multi_spin::Temperatures::Same(beta);
            multi_spin::thresholds(self.chain.rule, integers, beta, &mut self.thresholds);
        }
        let mut slot = 0;
        for chunk in self.chunks() {
            let active = self.active(chunk);
            let reads: u32 = active.iter().map(|word| word.count_ones()).sum();
            let at = (chunk - self.reads.first / 256) as usize * n;
            let words = &mut self.words[at..at + n];
            let common = Sweep {
                draws: self.draws,
                keys: &self.keys,
                sweep,
                chunk,
                active,
                rule: self.chain.rule,
                visits: &self.visits,
            };
            let own = own_betas(betas, active, slot);
            if let Some(integers) = &self.integers {
                if let Betas::Each(_) = betas {
                    let each = multi_spin::Temperatures::Each(&own);
                    multi_spin::thresholds(self.chain.rule, integers, each, &mut self.thresholds);
                }
                multi_spin::sweep(common, integers, &self.thresholds, words);
            } else if self.stride != 0 {
                let mut begin = slot;
                for (group, own) in own.iter().enumerate() {
                    let count = lanes::half(active, group).count_ones() as usize;
                    if count > 0 {
                        let fields = (&mut self.fields[begin * self.stride..], self.stride);
                        dense::sweep(common, self.problem, group, own, words, fields);
                    }
                    begin += count;
                }
            } else {
                lanes::sweep(common, self.problem, &own, words);
            }
            slot += reads as usize;
        }
        Ok(())
    }

    fn energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        length("the energies", energies.len(), self.len())?;
        if self.stride != 0 {
            let mut values = alloc::vec![0; self.problem.len()];
            for (slot, energy) in energies.iter_mut().enumerate() {
                self.copy_values(slot, &mut values);
                *energy = self.problem.energy_of(&values);
            }
            return Ok(());
        }
        let n = self.problem.len();
        let mut next = energies.iter_mut();
        for (chunk, words) in self.chunks().zip(self.words.chunks(n)) {
            let active = self.active(chunk);
            if let Some(integers) = self.integers.as_ref().filter(|integers| integers.exact) {
                let found = multi_spin::energies(self.problem, integers, words);
                let present = (0..256).filter(|bit| active[bit / 64] >> (bit % 64) & 1 == 1);
                present.zip(&mut next).for_each(|(bit, energy)| *energy = found[bit]);
                continue;
            }
            for group in 0..8 {
                let active = (active[group / 2] >> (32 * (group % 2))) as u32;
                if active != 0 {
                    let found = lanes::energies(self.problem, words, group);
                    let present = (0..32).filter(|bit| active >> bit & 1 == 1);
                    present.zip(&mut next).for_each(|(bit, energy)| *energy = found[bit]);
                }
            }
        }
        Ok(())
    }

    fn kept_energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        if self.stride == 0 {
            return self.energies(energies);
        }
        length("the energies", energies.len(), self.len())?;
        let mut values = alloc::vec![0; self.problem.len()];
        for (slot, energy) in energies.iter_mut().enumerate() {
            self.copy_values(slot, &mut values);
            let fields = &self.fields[slot * self.stride..][..values.len()];
            *energy = self.problem.kept_energy(&values, fields)?;
        }
        Ok(())
    }

    fn resample(&mut self, parents: &[u32]) -> Result<(), Error> {
        check_parents(parents, self.len())?;
        let n = self.problem.len();
        self.spare.clear();
        self.spare.resize(self.words.len(), [0; 4]);
        let mut from: Vec<(u8, u8)> = Vec::new();
        let mut bases: Vec<usize> = Vec::new();
        for (slot, &parent) in parents.iter().enumerate() {
            let (to_base, to_word, to_bit) = self.place(slot);
            let (base, word, bit) = self.place(parent as usize);
            from.push((word as u8, bit as u8));
            bases.push(base);
            // Whole words of 64 children at a time.
            if to_bit == 63 || slot + 1 == parents.len() {
                let first_bit = to_bit + 1 - from.len() as u32;
                for site in 0..n {
                    let mut child = 0;
                    for (i, (&(word, bit), &base)) in from.iter().zip(&bases).enumerate() {
                        let spin = self.words[base + site][usize::from(word)] >> bit & 1;
                        child |= spin << i;
                    }
                    self.spare[to_base + site][to_word] |= child << first_bit;
                }
                from.clear();
                bases.clear();
            }
        }
        core::mem::swap(&mut self.words, &mut self.spare);
        if self.stride != 0 {
            let mut fields = alloc::vec![0.0; self.fields.len()];
            for (child, &parent) in fields.chunks_mut(self.stride).zip(parents) {
                child.copy_from_slice(&self.fields[parent as usize * self.stride..][..self.stride]);
            }
            self.fields = fields;
        }
        Ok(())
    }

    fn values(&self, slot: usize, values: &mut [u8]) -> Result<(), Error> {
        index("slot", slot, self.len())?;
        length("the configuration", values.len(), self.problem.len())?;
        self.copy_values(slot, values);
        Ok(())
    }

    fn state(&self, slot: usize) -> Result<Replica, Error> {
        index("slot", slot, self.len())?;
        let mut values = alloc::vec![0; self.problem.len()];
        self.copy_values(slot, &mut values);
        let kept = if self.stride == 0 { 0 } else { values.len() };
        let fields = self.fields[slot * self.stride..][..kept].to_vec();
        Ok(Replica::kept(values, fields))
    }

    fn set_state(&mut self, slot: usize, state: &Replica) -> Result<(), Error> {
        index("slot", slot, self.len())?;
        let (values, fields) = (state.values(), state.fields());
        self.problem.check(values)?;
        length("the local fields", fields.len(), if self.stride == 0 { 0 } else { values.len() })?;
        let (base, word, bit) = self.place(slot);
        for (words, &value) in self.words[base..].iter_mut().zip(values) {
            words[word] = words[word] & !(1 << bit) | u64::from(value) << bit;
        }
        if self.stride != 0 {
            self.fields[slot * self.stride..][..values.len()].copy_from_slice(fields);
        }
        debug_assert!(values.iter().enumerate().all(|(site, &value)| self.bit(slot, site) == value));
        Ok(())
    }
}
