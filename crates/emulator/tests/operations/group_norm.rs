//! Group norm with and without SiLU, in one launch and in three.

use half::{bf16, f16};
use yuragi_emulator::{Arguments, Launch};

use crate::common::{Bench, blocks};
use crate::{Stored, U, assert_within, put_at, room_at, stored};

const EPS: f32 = 1e-5;

/// A problem of group normalisation and its solution.
struct Problem<T> {
    samples: usize,
    pixels: usize,
    channels: usize,
    groups: usize,
    x: Vec<T>,
    gain: Vec<T>,
    bias: Vec<T>,
}

impl<T: Stored> Problem<T> {
    fn new([samples, pixels, channels, groups]: [usize; 4], centre: f64) -> Self {
        let x = stored::<T>(4, samples * pixels * channels, 1.0);
        let x = x.iter().map(|x| T::new(x.value() + centre)).collect();
        Self { samples, pixels, channels, groups, x, gain: stored(5, channels, 1.0), bias: stored(6, channels, 1.0) }
    }

    fn width(&self) -> usize {
        self.channels / self.groups
    }

    /// What an element should become, and its bound: `errors` tells those of the mean and of the variance from the
    /// group's values; `rounding` what the last formula adds for its distance from the first of them.
    fn solve(
        &self,
        silu: bool,
        errors: impl Fn(&[f64], f64) -> (f64, f64),
        rounding: impl Fn(f64, &[f64]) -> f64,
    ) -> (Vec<f64>, Vec<f64>) {
        let (mut want, mut bounds) = (vec![0.0; self.x.len()], vec![0.0; self.x.len()]);
        let width = self.width();
        for (sample, group) in (0..self.samples).flat_map(|n| (0..self.groups).map(move |g| (n, g))) {
            let place = |p: usize, c: usize| (sample * self.pixels + p) * self.channels + group * width + c;
            let places: Vec<(usize, usize)> = (0..self.pixels).flat_map(|p| (0..width).map(move |c| (p, c))).collect();
            let values: Vec<f64> = places.iter().map(|&(p, c)| self.x[place(p, c)].value()).collect();
            let m = values.len() as f64;
            let mean = values.iter().sum::<f64>() / m;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / m;
            let scale = 1.0 / (variance + f64::from(EPS)).sqrt();
            let (mean_error, variance_error) = errors(&values, mean);
            let relative = 0.51 * variance_error * scale * scale + 6.0 * U;
            for (&(p, c), &x) in places.iter().zip(&values) {
                let (gain, bias) = (self.gain[group * width + c].value(), self.bias[group * width + c].value());
                let scaled = (x - mean) * scale * gain;
                let z = scaled + bias;
                let bound = scaled.abs() * relative
                    + (mean_error + rounding(x, &values)) * scale * gain.abs() * 1.01
                    + 2.0 * U * (scaled.abs() + bias.abs());
                // |d silu / dz| ≤ 1.1.
                let sigmoid = 1.0 / (1.0 + (-z).exp());
                (want[place(p, c)], bounds[place(p, c)]) =
                    if silu { (z * sigmoid, 1.1 * bound + 8.0 * U * z.abs()) } else { (z, bound) };
            }
        }
        (want, bounds)
    }
}

fn one_launch<T: Stored>() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/group_norm_silu.ptx");
    for (extents, threads) in [([1, 1, 2, 1], 32), ([2, 7, 12, 3], 64), ([2, 49, 40, 8], 128)] {
        let problem = Problem::<T>::new(extents, 0.0);
        let [px, pg, pb] = [&problem.x, &problem.gain, &problem.bias].map(|v| bench.put(v));
        let py = bench.room::<T>(problem.x.len());
        for (name, silu) in [("group_norm", false), ("group_norm_silu", true)] {
            let arguments = Arguments::new().u64(px).u64(pg).u64(pb).u64(py);
            let arguments = extents[1..].iter().fold(arguments, |a, &n| a.u32(n as u32)).f32(EPS);
            let grid = [(problem.samples * problem.groups) as u32, 1, 1];
            bench.run(&module, &format!("{name}_{}", T::NAME), blocks(grid, threads, 0), arguments);
            let errors = |values: &[f64], mean: f64| {
                let m = values.len() as f64;
                let steps = (m / f64::from(threads)).ceil();
                let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / m;
                let mean_error = (steps + 11.0) * U * values.iter().map(|x| x.abs()).sum::<f64>() / m;
                (mean_error, (steps + 14.0) * U * variance + mean_error.powi(2))
            };
            let (want, bounds) = problem.solve(silu, errors, |_, _| 0.0);
            assert_within(&bench.get::<T>(py, problem.x.len()), &want, &bounds, &(name, extents));
        }
    }
}

/// How a picture is cut: threads of a block along channels and pixels, pixels of a chunk, channels of a slab.
type Cut = (u32, u32, usize, usize);

fn three_launches<T: Stored>(extents: [usize; 4], cut: Cut, centre: f64, skip: usize) -> [u64; 2] {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/group_norm.ptx");
    let problem = Problem::<T>::new(extents, centre);
    let (across, along, chunk, slab) = cut;
    let (chunks, slabs) = (problem.pixels.div_ceil(chunk), problem.channels.div_ceil(slab));
    let [px, pg, pb] = [&problem.x, &problem.gain, &problem.bias].map(|v| put_at(&bench, v, skip));
    let py = room_at::<T>(&bench, problem.x.len(), skip);
    let groups = problem.samples * problem.groups;
    let (partial, statistics) = (bench.room::<u64>(groups * chunks), bench.room::<u64>(2 * groups));
    let shared = 8 * across * along * T::LANES as u32;
    let grid = [(problem.samples * chunks) as u32, slabs as u32, 1];
    let launch = |shared_bytes| Launch { block: [across, along, 1], ..blocks(grid, 1, shared_bytes) };
    let sizes = |list: Arguments| extents[1..].iter().fold(list, |list, &n| list.u32(n as u32)).u32(chunk as u32);

    let arguments = sizes(Arguments::new().u64(px).u64(partial)).u32(slab as u32);
    let read = bench.run(&module, &format!("group_norm_moments_{}", T::NAME), launch(shared), arguments);
    let arguments = sizes(Arguments::new().u64(px).u64(partial).u64(statistics)).f32(EPS);
    let combine = blocks([groups as u32, 1, 1], 64, 0);
    bench.run(&module, &format!("group_norm_combine_{}", T::NAME), combine, arguments);
    let mut sectors = [read.counters.global_sectors, 0];
    for (name, silu) in [("group_norm_apply", false), ("group_norm_apply_silu", true)] {
        let arguments = Arguments::new().u64(px).u64(pg).u64(pb).u64(statistics).u64(0).u64(py);
        let arguments = sizes(arguments).u32(slab as u32).f32(EPS);
        let report = bench.run(&module, &format!("{name}_{}", T::NAME), launch(0), arguments);
        sectors[1] = report.counters.global_sectors;
        let steps = (chunk.div_ceil(4 * along as usize) + problem.width() + chunks + 20) as f64;
        let spread = |values: &[f64]| {
            let squares: f64 = values.iter().map(|x| (x - values[0]).powi(2)).sum();
            (squares / values.len() as f64).sqrt()
        };
        let errors = |values: &[f64], mean: f64| {
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
            let mean_error = steps * U * spread(values);
            (mean_error, 2.0 * steps * U * variance.sqrt() * spread(values) + mean_error.powi(2))
        };
        let rounding = |x: f64, values: &[f64]| 6.0 * U * ((x - values[0]).abs() + spread(values));
        let (want, bounds) = problem.solve(silu, errors, rounding);
        assert_within(&bench.get::<T>(py, problem.x.len()), &want, &bounds, &(name, extents, cut, centre, skip));
    }
    sectors
}

#[test]
fn small_groups_take_one_launch() {
    one_launch::<f32>();
    one_launch::<f16>();
    one_launch::<bf16>();
}

#[test]
fn large_pictures_take_three_launches() {
    fn all<T: Stored>() {
        for skip in [0, 1] {
            three_launches::<T>([1, 1, 2, 1], (8, 4, 4, 2), 0.0, skip);
            three_launches::<T>([2, 37, 24, 3], (8, 8, 16, 24), 0.5, skip);
            three_launches::<T>([2, 50, 80, 8], (20, 8, 32, 80), 0.0, skip);
            three_launches::<T>([1, 33, 42, 6], (4, 8, 8, 14), -2.0, skip);
        }
        // Far from zero the numbers are still what they are, so the standardised ones must be right.
        three_launches::<T>([2, 64, 32, 4], (8, 8, 32, 32), 100.0, 0);
    }
    all::<f32>();
    all::<f16>();
    all::<bf16>();
    three_launches::<f32>([1, 300, 8, 2], (4, 16, 128, 8), 20_000.0, 0);
}

#[test]
fn a_group_may_begin_with_its_outlier() {
    let extents = [1, 64, 8, 2];
    let bench = Bench::new();
    let module = bench.shipped("sm_80/group_norm.ptx");
    let mut problem = Problem::<f32>::new(extents, 0.0);
    problem.x[0] = 1e4;
    let [px, pg, pb] = [&problem.x, &problem.gain, &problem.bias].map(|v| bench.put(v));
    let (partial, statistics, py) = (bench.room::<u64>(8), bench.room::<u64>(4), bench.room::<f32>(512));
    let launch = |shared| Launch { block: [2, 16, 1], ..blocks([4, 1, 1], 1, shared) };
    let sizes = |list: Arguments| list.u32(64).u32(8).u32(2).u32(16);
    bench.run(&module, "group_norm_moments_f32", launch(1024), sizes(Arguments::new().u64(px).u64(partial)).u32(8));
    let arguments = sizes(Arguments::new().u64(px).u64(partial).u64(statistics)).f32(EPS);
    bench.run(&module, "group_norm_combine_f32", blocks([2, 1, 1], 32, 0), arguments);
    let arguments = sizes(Arguments::new().u64(px).u64(pg).u64(pb).u64(statistics).u64(0).u64(py)).u32(8).f32(EPS);
    bench.run(&module, "group_norm_apply_f32", launch(0), arguments);
    let (want, _) = problem.solve(false, |_, _| (0.0, 0.0), |_, _| 0.0);
    // The outlier lies √(m − 1) = 16 deviations out, so the rest is known to about (steps + 20) · 16 units.
    let bounds: Vec<f64> = want.iter().map(|want| 40.0 * 16.0 * U * (1.0 + want.abs())).collect();
    assert_within(&bench.get::<f32>(py, 512), &want, &bounds, &"outlier");
}

#[test]
fn large_pictures_are_read_by_whole_sectors() {
    let [read, applied] = three_launches::<f16>([1, 256, 80, 8], (10, 16, 256, 80), 0.0, 0);
    let picture = (256 * 80 * 2 / 32) as u64;
    // Beside the picture, the first elements of the groups and the moments; then gain, bias and statistics.
    assert!(read <= picture + picture / 4, "{read} of {picture}");
    assert!(applied <= 2 * picture + picture / 4, "{applied} of {picture}");
}
