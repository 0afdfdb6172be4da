//! All-coupled spins: 32 reads, each with its local fields.
//!
//! A flip changes every local field of its read. Within a block of 64 sites only the fields of that block
//! are kept up to date; the others get the block's flips afterwards, tile by tile, so that a
//! field is loaded once for all of them and the couplings of a tile stay near for all reads. Each field gets the
//! same additions in the same order as if they came at once.

use super::chunk::Sweep;
use super::lanes::{Lanes, add_decided, decide, half};
use super::planes::{Word, site_planes};
use crate::draw::Stream;
use crate::dynamics::{Rule, add_row};
use crate::problem::Problem;
use alloc::vec::Vec;
use yuragi_numeric::simd::{Task, vectorize};

/// Sites whose flips are gathered.
const BLOCK: usize = 32;
/// Fields that are brought up to date together.
const TILE: usize = 64;

/// One sweep of one group of a chunk. `fields` begin with those of the group's first read in the
/// batch, `stride` apart.
pub(super) fn sweep(
    sweep: Sweep<'_>,
    problem: &Problem,
    group: usize,
    betas: &Lanes<f32>,
    words: &mut [Word],
    (fields, stride): (&mut [f32], usize),
) {
    vectorize(Group { sweep, problem, group, betas, words, fields, stride });
}

struct Group<'a> {
    sweep: Sweep<'a>,
    problem: &'a Problem,
    group: usize,
    betas: &'a Lanes<f32>,
    words: &'a mut [Word],
    fields: &'a mut [f32],
    stride: usize,
}

impl Task for Group<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { sweep, problem, group, betas, words, fields, stride } = self;
        let active = half(sweep.active, group);
        let slots = active.count_ones() as usize;
        let first = active.trailing_zeros() as usize; // the reads of a group in a batch are neighbours
        let (n, weights) = (problem.len(), problem.table().dense());
        let mut near: Vec<Lanes<f32>> = alloc::vec![[0.0; 32]; BLOCK];
        let mut flips: Vec<Vec<(usize, f32)>> = alloc::vec![Vec::with_capacity(BLOCK); slots];
        for sites in sweep.visits.chunks(BLOCK) {
            for (slot, row) in fields.chunks(stride).take(slots).enumerate() {
                for (near, &site) in near.iter_mut().zip(sites) {
                    near[first + slot] = row[site as usize];
                }
            }
            for (part, eight) in sites.chunks(8).enumerate() {
                let mut padded = [0; 8];
                padded[..eight.len()].copy_from_slice(eight);
                let draw = |quad| {
                    let number = 8 * sweep.chunk + group as u32;
                    site_planes(sweep.keys, sweep.sweep, &padded, Stream::Accept, quad, number)
                };
                let bits = [draw(0), draw(1)];
                for (place, &site) in eight.iter().enumerate() {
                    let (i, k) = (8 * part + place, site as usize);
                    let own = half(words[k], group);
                    let sums = near[i];
                    let mut high = [0; 8];
                    for (plane, high) in high.iter_mut().enumerate() {
                        *high = bits[plane / 4][plane % 4][place];
                    }
                    let decided = decide(sweep.rule, own, &sums, betas, high);
                    let below = add_decided(&sweep, site, group, own, &sums, betas, decided, active);
                    let new = match sweep.rule {
                        Rule::Metropolis => own ^ below,
                        Rule::HeatBath => below,
                    };
                    let flipped = own ^ new;
                    if flipped == 0 {
                        continue;
                    }
                    words[k][group / 2] ^= u64::from(flipped) << (32 * (group % 2));
                    let mut changes = [0.0; 32];
                    for (lane, change) in changes.iter_mut().enumerate() {
                        let size = if new >> lane & 1 == 1 { 2.0 } else { -2.0 };
                        *change = if flipped >> lane & 1 == 1 { size } else { 0.0 };
                    }
                    let row = &weights[k * n..][..n];
                    for (near, &other) in near[i + 1..].iter_mut().zip(&sites[i + 1..]) {
                        let weight = row[other as usize];
                        for (near, change) in near.iter_mut().zip(&changes) {
                            *near += change * weight;
                        }
                    }
                    let mut left = flipped;
                    while left != 0 {
                        let lane = left.trailing_zeros() as usize;
                        left &= left - 1;
                        flips[lane - first].push((k, changes[lane]));
                    }
                }
            }
            for start in (0..n).step_by(TILE) {
                let width = TILE.min(n - start);
                for (row, flips) in fields.chunks_mut(stride).zip(&flips) {
                    match row[start..start + width].first_chunk_mut::<TILE>() {
                        Some(own) => add_tile(own, &weights[start..], n, flips),
                        None => {
                            for &(k, change) in flips {
                                add_row(&mut row[start..start + width], &weights[k * n + start..], change);
                            }
                        }
                    }
                }
            }
            flips.iter_mut().for_each(Vec::clear);
        }
    }
}

/// fields += Σ change · row of the flipped site, in order; rows are `stride` apart.
#[inline(always)]
fn add_tile(fields: &mut [f32; TILE], weights: &[f32], stride: usize, flips: &[(usize, f32)]) {
    let mut sums = *fields;
    for &(k, change) in flips {
        if let Some(row) = weights.get(k * stride..).and_then(|rest| rest.first_chunk::<TILE>()) {
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += change * weight;
            }
        }
    }
    *fields = sums;
}
