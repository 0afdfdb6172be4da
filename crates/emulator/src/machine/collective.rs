//! Instructions that lanes of a warp execute together.

use yuragi_numeric::simd::{Task, vectorize};

use super::{access::Reach, block::Block, engine::Engine, lanes::each, matrix, span::spans, warp::members};
use crate::{
    finding::Kind,
    memory::shadow::Manner,
    program::{Address, Inst, Lanes, Op, Shuffle, Vote},
};

impl Block {
    /// Executes a warp-wide instruction for the lanes of each mask that have all come; gives those that wait.
    pub(super) fn collectives(
        &mut self,
        engine: &Engine<'_>,
        number: usize,
        inst: &Inst,
        at: usize,
        active: u32,
    ) -> u32 {
        let (mut left, mut waiting) = (active, 0);
        while left != 0 {
            let warp = &self.warps[number];
            let (needed, members) = members(&warp.registers, &inst.op, left);
            left &= !members;
            if needed & warp.live & !members != 0 {
                waiting |= members;
                continue;
            }
            if members & !needed != 0 {
                let note = format!("lanes {:#010x} are not in their own mask", members & !needed);
                self.problem(engine, Kind::DivergentWarp, number, members & !needed, at, note);
            }
            self.collective(engine, number, inst, at, members);
        }
        waiting
    }

    /// Executes a warp-wide instruction for lanes that have all come.
    pub(super) fn collective(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let warp = &mut self.warps[number];
        if active == warp.live {
            warp.phase = warp.phase.wrapping_add(1);
        }
        match &inst.op {
            Op::WarpBarrier { .. } => warp.tick(),
            Op::Vote { kind, d, p, a, negated, .. } => {
                let votes = warp.predicate(*a, *negated) & active;
                let holds = match kind {
                    Vote::All => votes == active,
                    Vote::Any => votes != 0,
                    Vote::Uniform => votes == 0 || votes == active,
                    Vote::Ballot => false,
                };
                d.iter().for_each(|&d| warp.set(d, active, &[votes.into(); 32]));
                p.iter().for_each(|&p| warp.set_predicate(p, active, if holds { u32::MAX } else { 0 }));
            }
            Op::Shuffle { kind, d, p, a, b, c, .. } => {
                let [a, b, c] = [a, b, c].map(|slot| warp.get(*slot));
                let (values, inside) = vectorize(Shuffled { kind: *kind, a, b, c });
                warp.set(*d, active, &values);
                p.iter().for_each(|&p| warp.set_predicate(p, active, inside));
            }
            Op::Match { d, p, a, all, .. } => {
                let a = *warp.get(*a);
                let mut values = [0; 32];
                let mut same = true;
                each(active, |lane| {
                    let mut equal = 0_u32;
                    each(active, |other| equal |= u32::from(a[other] == a[lane]) << other);
                    same &= equal == active;
                    values[lane] = equal.into();
                });
                if *all && !same {
                    values = [0; 32];
                }
                warp.set(*d, active, &values);
                p.iter().for_each(|&p| warp.set_predicate(p, active, if same { u32::MAX } else { 0 }));
            }
            Op::Reduce { f, d, a, .. } => {
                let a = warp.get(*a);
                let mut result = None;
                each(active, |lane| result = Some(result.map_or(a[lane], |sum| f(sum, a[lane]))));
                warp.set(*d, active, &[result.unwrap_or(0); 32]);
            }
            Op::Elect { d, p, mask } => {
                let members = warp.get(*mask)[active.trailing_zeros() as usize] as u32 & active;
                let leader = members.trailing_zeros();
                warp.set_predicate(*p, active, 1_u32.checked_shl(leader).unwrap_or(0));
                d.iter().for_each(|&d| warp.set(d, active, &[leader.into(); 32]));
            }
            Op::LoadMatrix { address, d, transposed } => {
                let rows = self.matrix_rows(engine, number, at, address, d.len(), None);
                let warp = &mut self.warps[number];
                for (&slot, rows) in d.iter().zip(rows.as_chunks().0) {
                    let values = if *transposed { columns(rows) } else { words(rows) };
                    warp.set(slot, active, &values);
                }
            }
            Op::StoreMatrix { address, a, transposed } => {
                let held: Vec<Lanes> = a.iter().map(|&slot| *warp.get(slot)).collect();
                let element = |matrix: usize, row: usize, column: usize| {
                    let (row, column) = if *transposed { (column, row) } else { (row, column) };
                    held[matrix][4 * row + column / 2] >> (16 * (column % 2)) & 0xffff
                };
                let half = |row: usize, half: usize| {
                    (0..4).map(|i| element(row / 8, row % 8, 4 * half + i) << (16 * i)).fold(0, |all, one| all | one)
                };
                let row = |row: usize| [half(row, 0), half(row, 1)];
                self.matrix_rows(engine, number, at, address, a.len(), Some(&row));
            }
            Op::TransposeMatrix { d, a } => {
                let a = warp.get(*a);
                let element = |row: usize, column: usize| a[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff;
                let values = std::array::from_fn(|lane| {
                    let (row, column) = (lane / 4, 2 * (lane % 4));
                    element(column, row) | element(column + 1, row) << 16
                });
                warp.set(*d, active, &values);
            }
            Op::MatrixProduct(product) => {
                matrix::multiply(warp, &mut self.fragments, product, active);
                self.counters.matrix_flops += 2 * (product.m * product.n * product.k) as u64;
            }
            Op::Fragment(_) => self.fragment(engine, number, inst, at, active),
            Op::FragmentProduct(product) => self.fragment_product(number, product, active),
            Op::GroupProduct(_) => self.group_product(engine, number, inst, at, active),
            _ => {}
        }
    }

    /// The rows of a matrix load or store, each of eight elements of 16 bits at one lane's address.
    fn matrix_rows(
        &mut self,
        engine: &Engine<'_>,
        number: usize,
        at: usize,
        address: &Address,
        count: usize,
        stored: Option<&dyn Fn(usize) -> [u64; 2]>,
    ) -> [[u64; 2]; 32] {
        let Block { warps, memory, counters, profile, number: block, .. } = self;
        let warp = &mut warps[number];
        let mut reach = Reach::new(engine, memory, counters, &mut profile[at], (*block, number, at));
        let all = spans(warp, address, 16);
        let lanes = if count == 4 { u32::MAX } else { (1 << (8 * count)) - 1 };
        reach.count(&all, lanes, stored.is_some());
        if stored.is_none()
            && let Some(rows) = reach.rows_together(warp, &all, lanes)
        {
            return rows;
        }
        let mut rows = [[0; 2]; 32];
        each(lanes, |lane| {
            if !reach.may_touch(warp, lane, all[lane], stored.is_some()) {
                return;
            }
            match stored {
                Some(stored) => {
                    let [low, high] = stored(lane);
                    reach.write(warp, lane, all[lane], &[low, high, 0, 0], Manner::Weak);
                }
                None => {
                    let [low, high, ..] = reach.read(warp, lane, all[lane], Manner::Weak);
                    rows[lane] = [low, high];
                }
            }
        });
        rows
    }
}

/// The words of eight rows, one behind the other.
fn words(rows: &[[u64; 2]; 8]) -> Lanes {
    let mut words = [0; 32];
    for (words, row) in words.as_chunks_mut().0.iter_mut().zip(rows) {
        *words = [row[0] & 0xffff_ffff, row[0] >> 32, row[1] & 0xffff_ffff, row[1] >> 32];
    }
    words
}

/// The same of the columns, as rows.
fn columns(rows: &[[u64; 2]; 8]) -> Lanes {
    let mut halves = [[0; 8]; 8];
    for (halves, row) in halves.iter_mut().zip(rows) {
        for (i, half) in halves.iter_mut().enumerate() {
            *half = row[i / 4] >> (16 * (i % 4)) & 0xffff;
        }
    }
    let mut words = [0; 32];
    for (i, words) in words.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        for (word, rows) in words.iter_mut().zip(halves.as_chunks::<2>().0) {
            *word = rows[0][i] | rows[1][i] << 16;
        }
    }
    words
}

/// What a shuffle gives: each lane's value, and a bit for each whose source lay in its segment.
struct Shuffled<'a> {
    kind: Shuffle,
    a: &'a Lanes,
    b: &'a Lanes,
    c: &'a Lanes,
}

impl Task for Shuffled<'_> {
    type Output = (Lanes, u32);

    #[inline(always)]
    fn run(self) -> (Lanes, u32) {
        match self.kind {
            // Here the last lane is the first.
            Shuffle::Up => self.from(|lane, b, _, last| (lane.wrapping_sub(b), lane as i32 - b as i32 >= last as i32)),
            Shuffle::Down => self.from(|lane, b, _, last| (lane + b, lane + b <= last)),
            Shuffle::Butterfly => self.from(|lane, b, _, last| (lane ^ b, lane ^ b <= last)),
            Shuffle::Index => self.from(|lane, b, segment, last| {
                let from = lane & segment | b & !segment;
                (from, from <= last)
            }),
        }
    }
}

impl Shuffled<'_> {
    /// By a function of the lane, its operand, the bits of its segment and the last lane of that: the lane that it reads,
    /// and whether it may.
    #[inline(always)]
    fn from(&self, f: impl Fn(u32, u32, u32, u32) -> (u32, bool)) -> (Lanes, u32) {
        let (mut sources, mut inside) = ([0_u32; 32], 0_u32);
        for (lane, source) in sources.iter_mut().enumerate() {
            let (b, c) = (self.b[lane] as u32 & 31, self.c[lane] as u32);
            let (clamp, segment) = (c & 31, c >> 8 & 31);
            let own = lane as u32;
            let (from, legal) = f(own, b, segment, own & segment | clamp & !segment);
            *source = if legal { from } else { own };
            inside |= u32::from(legal) << lane;
        }
        let mut values = [0; 32];
        for lane in 0..32 {
            values[lane] = self.a[sources[lane] as usize & 31];
        }
        (values, inside)
    }
}
