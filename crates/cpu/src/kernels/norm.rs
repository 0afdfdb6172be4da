//! Group and layer normalisation: (x − μ) / √(σ² + ε) · γ + β.
//!
//! Variances are means of squared distances from the mean, taken in a second pass.

use core::slice;

use yuragi_graph::op::group_norm_run;

use super::lanes::{Sum, steps};
use super::softmax::rows_per_task;
use super::{Buffers, Kernel, Scratch};
use crate::simd::{Level, Op, Vector, silu};

/// Normalisation of rows: inputs x \[rows, n\], γ \[n\], β \[n\]. May work in
/// place.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    level: Level,
    rows: usize,
    n: usize,
    eps: f32,
}

impl LayerNorm {
    pub fn new(level: Level, rows: usize, n: usize, eps: f32) -> Self {
        Self { level, rows, n, eps }
    }
}

impl Kernel for LayerNorm {
    fn tasks(&self, _: usize) -> usize {
        if self.n == 0 { 0 } else { self.rows.div_ceil(rows_per_task(self.n)) }
    }

    unsafe fn task(&self, _: usize, index: usize, buffers: Buffers<'_>) {
        let first = index * rows_per_task(self.n);
        self.level.run(Rows {
            from: buffers.inputs[0].wrapping_add(first * self.n),
            gamma: buffers.inputs[1],
            beta: buffers.inputs[2],
            to: buffers.outputs[0].wrapping_add(first * self.n),
            rows: rows_per_task(self.n).min(self.rows - first),
            n: self.n,
            eps: self.eps,
        });
    }
}

struct Rows {
    from: *const f32,
    gamma: *const f32,
    beta: *const f32,
    to: *mut f32,
    rows: usize,
    n: usize,
    eps: f32,
}

impl Op for Rows {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { gamma, beta, n, eps, .. } = self;
        for row in 0..self.rows {
            // SAFETY: this task's rows of the input and the output.
            unsafe {
                let (from, to) = (self.from.add(row * n), self.to.add(row * n));
                let mut sum = Sum::new();
                for (at, count) in steps::<V>(n) {
                    sum.add(V::load_first(from.add(at), count));
                }
                let mean = V::splat(sum.total() / n as f32);
                let mut squares = Sum::new();
                for (at, count) in steps::<V>(n) {
                    let distance = V::load_first(from.add(at), count).sub(mean).first(count);
                    squares.add(distance.mul(distance));
                }
                let variance = squares.total() / n as f32;
                let scale = V::splat(1.0).div(V::splat(variance + eps).sqrt());
                for (at, count) in steps::<V>(n) {
                    let scale = V::load_first(gamma.add(at), count).mul(scale);
                    let beta = V::load_first(beta.add(at), count);
                    let y = V::load_first(from.add(at), count).sub(mean).mul_add(scale, beta);
                    y.store_first(to.add(at), count);
                }
            }
        }
    }
}

/// Groups whose moments are combined together.
const TOGETHER: usize = 8;

/// Pictures \[batch, pixels, channels\] whose channels are in groups, in runs of pixels.
#[derive(Clone, Copy, Debug)]
struct Runs {
    batch: usize,
    pixels: usize,
    channels: usize,
    groups: usize,
    /// Pixels of a run; the last one may have fewer.
    run: usize,
}

impl Runs {
    fn new([batch, pixels, channels]: [usize; 3], groups: usize) -> Self {
        Self { batch, pixels, channels, groups, run: group_norm_run(channels) }
    }

    /// Runs of a picture.
    fn count(&self) -> usize {
        self.pixels.div_ceil(self.run)
    }

    /// Runs of all pictures that have elements.
    fn all(&self) -> usize {
        if self.channels == 0 { 0 } else { self.batch * self.count() }
    }

    /// The pixels of a run of a picture.
    fn pixels(&self, run: usize) -> usize {
        self.run.min(self.pixels - run * self.run)
    }

    /// A run of all: its first element, and its pixels.
    fn locate(&self, index: usize) -> (usize, usize) {
        let (item, run) = (index / self.count(), index % self.count());
        ((item * self.pixels + run * self.run) * self.channels, self.pixels(run))
    }

    /// Numbers for the moments of a picture: of each run and group its mean and its squared distances.
    fn moments(&self) -> usize {
        2 * self.count() * self.groups
    }

    /// Measures a run of all.
    unsafe fn measure(&self, level: Level, index: usize, x: *const f32, moments: *mut f32, local: *mut f32) {
        let (first, pixels) = self.locate(index);
        let (from, to) = (x.wrapping_add(first), moments.wrapping_add(2 * index * self.groups));
        level.run(Moments { runs: self, from, pixels, to, local });
    }

    /// Combines a picture's moments to the mean and the scale of each of its channels.
    unsafe fn combine(&self, moments: *const f32, gamma: *const f32, eps: f32, scales: *mut f32) {
        for first in (0..self.groups).step_by(TOGETHER) {
            // SAFETY: passed on; a picture has moments of all groups.
            unsafe {
                match self.groups - first {
                    TOGETHER.. => self.combine_some::<TOGETHER>(first, moments, gamma, eps, scales),
                    rest => {
                        (first..first + rest).for_each(|g| self.combine_some::<1>(g, moments, gamma, eps, scales));
                    }
                }
            }
        }
    }

    /// [`combine`](Runs::combine) for some groups, whose divisions do not wait for each other's.
    unsafe fn combine_some<const N: usize>(
        &self,
        first: usize,
        moments: *const f32,
        gamma: *const f32,
        eps: f32,
        scales: *mut f32,
    ) {
        let width = self.channels / self.groups;
        let (mut count, mut means, mut squares) = (0.0, [0.0; N], [0.0; N]);
        for run in 0..self.count() {
            // SAFETY: the picture's moments are there.
            let moments = unsafe { moments.add(2 * (run * self.groups + first)).cast::<[[f32; 2]; N]>().read() };
            let here = (self.pixels(run) * width) as f64;
            count += here;
            for ((mean, squares), [mean_here, squares_here]) in means.iter_mut().zip(&mut squares).zip(moments) {
                let shift = f64::from(mean_here) - *mean;
                *mean += shift * here / count;
                *squares += f64::from(squares_here) + shift * shift * here * (count - here) / count;
            }
        }
        for (group, (mean, squares)) in (first..).zip(means.into_iter().zip(squares)) {
            let scale = 1.0 / libm::sqrt(squares / count + f64::from(eps));
            for channel in group * width..(group + 1) * width {
                // SAFETY: the picture's scales; γ has all channels.
                unsafe {
                    *scales.add(channel) = mean as f32;
                    *scales.add(self.channels + channel) = (scale * f64::from(*gamma.add(channel))) as f32;
                }
            }
        }
    }
}

/// Normalisation of groups of channels over all pixels of a picture: inputs
/// x \[batch, pixels, channels\], γ \[channels\], β \[channels\]; then perhaps
/// x · sigmoid(x). May work in place.
#[derive(Debug)]
pub(crate) struct GroupNorm {
    level: Level,
    runs: Runs,
    eps: f32,
    silu: bool,
}

impl GroupNorm {
    /// `groups` divides `channels`.
    pub fn new(
        level: Level,
        batch: usize,
        pixels: usize,
        channels: usize,
        groups: usize,
        eps: f32,
        silu: bool,
    ) -> Self {
        Self { level, runs: Runs::new([batch, pixels, channels], groups), eps, silu }
    }

    /// Where the mean and the scale of a picture's channels go.
    fn scales(&self, item: usize) -> usize {
        self.runs.batch * self.runs.moments() + 2 * item * self.runs.channels
    }
}

impl Kernel for GroupNorm {
    fn scratch(&self) -> Scratch {
        Scratch { shared: self.scales(self.runs.batch), local: 2 * self.runs.channels }
    }

    /// One run is taken at once; more are measured, combined, normalised.
    fn phases(&self) -> usize {
        if self.runs.count() == 1 { 1 } else { 3 }
    }

    fn tasks(&self, phase: usize) -> usize {
        match phase {
            1 if self.runs.all() > 0 => self.runs.batch,
            _ => self.runs.all(),
        }
    }

    unsafe fn task(&self, phase: usize, index: usize, buffers: Buffers<'_>) {
        let Self { level, runs, eps, silu } = *self;
        let Buffers { inputs, outputs, shared, local } = buffers;
        let whole = runs.count() == 1;
        // SAFETY: the buffers hold what was asked for; each task has a run or a picture of its own.
        unsafe {
            if whole || phase == 0 {
                runs.measure(level, index, inputs[0], shared, local);
            }
            if whole || phase == 1 {
                let moments = shared.wrapping_add(index * runs.moments());
                runs.combine(moments, inputs[1], eps, shared.wrapping_add(self.scales(index)));
            }
            if whole || phase == 2 {
                let scales = shared.wrapping_add(self.scales(index / runs.count()));
                level.run(Normalise::of(&runs, index, [inputs[0], scales, inputs[2]], outputs[0], silu));
            }
        }
    }
}

/// What a group norm measures in each run of pixels: input x \[batch, pixels, channels\], output
/// \[batch, runs, groups, 2\], means and sums of squared distances.
#[derive(Debug)]
pub(crate) struct GroupRunMoments {
    level: Level,
    runs: Runs,
}

impl GroupRunMoments {
    /// `groups` divides `channels`.
    pub fn new(level: Level, batch: usize, pixels: usize, channels: usize, groups: usize) -> Self {
        Self { level, runs: Runs::new([batch, pixels, channels], groups) }
    }
}

impl Kernel for GroupRunMoments {
    fn scratch(&self) -> Scratch {
        Scratch { shared: 0, local: 2 * self.runs.channels }
    }

    fn tasks(&self, _: usize) -> usize {
        self.runs.all()
    }

    unsafe fn task(&self, _: usize, index: usize, buffers: Buffers<'_>) {
        // SAFETY: passed on; the output holds all moments.
        unsafe { self.runs.measure(self.level, index, buffers.inputs[0], buffers.outputs[0], buffers.local) }
    }
}

/// Normalisation of a part of a picture: inputs x \[batch, pixels, channels\], γ and β \[channels\], and the moments of the
/// runs of the whole; then perhaps x · sigmoid(x). The bits are those of [`GroupNorm`] of the whole. May work in place.
#[derive(Debug)]
pub(crate) struct GroupNormPart {
    level: Level,
    part: Runs,
    whole: Runs,
    eps: f32,
    silu: bool,
}

impl GroupNormPart {
    /// Of pictures of so many `pixels`, of which x has some; `groups` divides the channels.
    pub fn new(level: Level, size: [usize; 3], pixels: usize, groups: usize, eps: f32, silu: bool) -> Self {
        let [batch, _, channels] = size;
        let [part, whole] = [size, [batch, pixels, channels]].map(|size| Runs::new(size, groups));
        Self { level, part, whole, eps, silu }
    }
}

impl Kernel for GroupNormPart {
    fn scratch(&self) -> Scratch {
        Scratch { shared: 2 * self.part.batch * self.part.channels, local: 0 }
    }

    /// Moments are combined, then pixels normalised.
    fn phases(&self) -> usize {
        2
    }

    fn tasks(&self, phase: usize) -> usize {
        match phase {
            0 if self.part.all() > 0 => self.part.batch,
            _ => self.part.all(),
        }
    }

    unsafe fn task(&self, phase: usize, index: usize, buffers: Buffers<'_>) {
        let Buffers { inputs, outputs, shared, .. } = buffers;
        let scales = |item: usize| shared.wrapping_add(2 * item * self.part.channels);
        // SAFETY: the buffers hold what was asked for; each task has a run or a picture of its own.
        unsafe {
            if phase == 0 {
                let moments = inputs[3].wrapping_add(index * self.whole.moments());
                self.whole.combine(moments, inputs[1], self.eps, scales(index));
            } else {
                let scales = scales(index / self.part.count());
                let from = [inputs[0], scales, inputs[2]];
                self.level.run(Normalise::of(&self.part, index, from, outputs[0], self.silu));
            }
        }
    }
}

/// Means and sums of squared distances of a run's groups.
struct Moments<'a> {
    runs: &'a Runs,
    from: *const f32,
    pixels: usize,
    to: *mut f32,
    /// Two numbers a channel.
    local: *mut f32,
}

impl Op for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { runs: &Runs { channels, groups, .. }, from, pixels, to, local } = self;
        let width = channels / groups;
        let (sums, means) = (local, local.wrapping_add(channels));
        let count = (pixels * width) as f64;
        // SAFETY: the run lies in x; sums and means are local; the moments'
        // place is this task's.
        unsafe {
            let group = |of: *mut f32, g: usize| {
                slice::from_raw_parts(of.add(g * width), width).iter().map(|&x| f64::from(x)).sum::<f64>()
            };
            for (at, wide) in steps::<V>(channels) {
                let mut sum = Sum::new();
                for p in 0..pixels {
                    sum.add(V::load_first(from.add(p * channels + at), wide));
                }
                sum.lanes().store_first(sums.add(at), wide);
            }
            for g in 0..groups {
                let mean = (group(sums, g) / count) as f32;
                *to.add(2 * g) = mean;
                slice::from_raw_parts_mut(means.add(g * width), width).fill(mean);
            }
            for (at, wide) in steps::<V>(channels) {
                let mean = V::load_first(means.add(at), wide);
                let mut squares = Sum::new();
                for p in 0..pixels {
                    let distance = V::load_first(from.add(p * channels + at), wide).sub(mean);
                    squares.add(distance.mul(distance));
                }
                squares.lanes().store_first(sums.add(at), wide);
            }
            for g in 0..groups {
                *to.add(2 * g + 1) = group(sums, g) as f32;
            }
        }
    }
}

/// The result for a run.
struct Normalise {
    from: *const f32,
    /// The mean of each channel, then the scale of each.
    scales: *const f32,
    beta: *const f32,
    to: *mut f32,
    pixels: usize,
    channels: usize,
    silu: bool,
}

impl Normalise {
    /// For a run of all, of x, means and scales, and β.
    fn of(runs: &Runs, index: usize, [x, scales, beta]: [*const f32; 3], y: *mut f32, silu: bool) -> Self {
        let (first, pixels) = runs.locate(index);
        let (from, to) = (x.wrapping_add(first), y.wrapping_add(first));
        Self { from, scales, beta, to, pixels, channels: runs.channels, silu }
    }
}

impl Op for Normalise {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { from, scales, beta, to, pixels, channels, silu: then_silu } = self;
        // SAFETY: the run lies in x and y; the scales were written in an earlier phase.
        unsafe {
            for (at, count) in steps::<V>(channels) {
                let mean = V::load_first(scales.add(at), count);
                let scale = V::load_first(scales.add(channels + at), count);
                let beta = V::load_first(beta.add(at), count);
                for p in 0..pixels {
                    let at = p * channels + at;
                    let y = V::load_first(from.add(at), count).sub(mean).mul_add(scale, beta);
                    let y = if then_silu { silu(y) } else { y };
                    y.store_first(to.add(at), count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::testing::{U, check, numbers};
    use super::*;

    const EPS: f32 = 1e-5;

    /// Normalises the elements that `group` gives one number, with the bound
    /// of a mean and variance of `n` terms in two passes.
    fn normalised(x: &[f32], n: usize, groups: usize, group: impl Fn(usize) -> usize) -> Vec<(f64, f64)> {
        let mut means = alloc::vec![0.0; groups];
        let mut sizes = alloc::vec![0.0; groups];
        let mut variances = alloc::vec![0.0; groups];
        for (i, &x) in x.iter().enumerate() {
            means[group(i)] += f64::from(x) / n as f64;
            sizes[group(i)] += f64::from(x.abs()) / n as f64;
        }
        for (i, &x) in x.iter().enumerate() {
            variances[group(i)] += (f64::from(x) - means[group(i)]).powi(2) / n as f64;
        }
        let terms = n as f64 * U;
        x.iter()
            .enumerate()
            .map(|(i, &x)| {
                let g = group(i);
                let deviation = libm::sqrt(variances[g] + f64::from(EPS));
                let distance = f64::from(x) - means[g];
                let shift = (terms + 2.0 * U) * sizes[g];
                let relative = terms + 8.0 * U + shift * shift / (deviation * deviation);
                (distance / deviation, (shift + distance.abs() * relative) / deviation)
            })
            .collect()
    }

    fn affine(z: &mut [(f64, f64)], gamma: &[f32], beta: &[f32]) {
        for (i, (value, bound)) in z.iter_mut().enumerate() {
            let (gamma, beta) = (f64::from(gamma[i % gamma.len()]), f64::from(beta[i % beta.len()]));
            *bound = *bound * gamma.abs() + 2.0 * U * ((*value * gamma).abs() + beta.abs());
            *value = *value * gamma + beta;
        }
    }

    fn shifted(len: usize) -> Vec<f32> {
        numbers(1, len).iter().map(|x| 3.0 * x + 10.0).collect()
    }

    #[test]
    fn layer_norm_matches_the_definition() {
        for (rows, n) in [(1, 1), (0, 3), (3, 0), (5, 7), (3, 64), (90, 130), (2, 1000)] {
            let (x, gamma, beta) = (shifted(rows * n), numbers(2, n), numbers(3, n));
            let mut expected = normalised(&x, n, rows, |i| i / n);
            affine(&mut expected, &gamma, &beta);
            check(|level| LayerNorm::new(level, rows, n, EPS), &[&x, &gamma, &beta], &expected, &(rows, n));
        }
    }

    #[test]
    fn group_norm_matches_the_definition() {
        let shapes = [
            (1, 1, 1, 1),
            (0, 4, 4, 2),
            (2, 0, 4, 2),
            (2, 9, 6, 3),
            (3, 256, 96, 32),
            (1, 4096, 20, 5),
            (2, 50, 33, 1),
        ];
        for (batch, pixels, channels, groups) in shapes {
            for silu in [false, true] {
                let x = shifted(batch * pixels * channels);
                let (gamma, beta) = (numbers(2, channels), numbers(3, channels));
                let width = channels / groups;
                let group = |i: usize| i / (pixels * channels) * groups + i % channels / width;
                let mut expected = normalised(&x, pixels * width, batch * groups, group);
                affine(&mut expected, &gamma, &beta);
                if silu {
                    for (z, bound) in &mut expected {
                        let sigmoid = 1.0 / (1.0 + libm::exp(-*z));
                        // |d silu| < 1.1; sigmoid errs by 3 ulp, the product by ½.
                        *bound = 1.1 * *bound + 8.0 * U * (*z * sigmoid).abs();
                        *z *= sigmoid;
                    }
                }
                let build = |level| GroupNorm::new(level, batch, pixels, channels, groups, EPS, silu);
                check(build, &[&x, &gamma, &beta], &expected, &(batch, pixels, channels, groups, silu));
            }
        }
    }

    /// Runs a kernel on one thread, at any level.
    fn run(kernel: &dyn Kernel, inputs: &[&[f32]], count: usize) -> Vec<f32> {
        let (mut y, mut scratch) = (alloc::vec![f32::NAN; count], alloc::vec![0.0; kernel.scratch().total(1)]);
        let inputs: Vec<*const f32> = inputs.iter().map(|input| input.as_ptr()).collect();
        let pool = crate::threads::Threads::new(1);
        // SAFETY: buffers of the right sizes.
        unsafe { super::super::run(kernel, &pool, &inputs, &[y.as_mut_ptr()], scratch.as_mut_ptr()) }
        y
    }

    #[test]
    fn parts_have_the_bits_of_the_whole() {
        let level = Level::detect();
        for (batch, pixels, channels, groups) in
            [(1, 1000, 128, 32), (3, 777, 96, 32), (1, 5, 8, 2), (2, 340, 96, 3), (17, 400, 220, 10)]
        {
            let x = shifted(batch * pixels * channels);
            let (gamma, beta) = (numbers(2, channels), numbers(3, channels));
            let whole = GroupNorm::new(level, batch, pixels, channels, groups, EPS, true);
            let whole = run(&whole, &[&x, &gamma, &beta], x.len());
            // Parts of two runs, of which the last may be shorter, measured by themselves.
            let length = 2 * group_norm_run(channels);
            let part = |of: &[f32], item: usize, begin: usize| {
                let end = pixels.min(begin + length);
                of[(item * pixels + begin) * channels..(item * pixels + end) * channels].to_vec()
            };
            let begins: Vec<usize> = (0..pixels).step_by(length).collect();
            let moments: Vec<f32> = (0..batch)
                .flat_map(|item| begins.iter().map(move |begin| (item, *begin)))
                .flat_map(|(item, begin)| {
                    let x = part(&x, item, begin);
                    let moments = GroupRunMoments::new(level, 1, x.len() / channels, channels, groups);
                    run(&moments, &[&x], moments.runs.moments())
                })
                .collect();
            let of_one = moments.len() / batch;
            for (item, moments) in moments.chunks_exact(of_one).enumerate() {
                for &begin in &begins {
                    let x = part(&x, item, begin);
                    let size = [1, x.len() / channels, channels];
                    let kernel = GroupNormPart::new(level, size, pixels, groups, EPS, true);
                    assert_eq!(run(&kernel, &[&x, &gamma, &beta, moments], x.len()), part(&whole, item, begin));
                }
            }
        }
    }

    #[test]
    fn works_in_place() {
        let (gamma, beta) = (numbers(2, 48), numbers(3, 48));
        let norm = GroupNorm::new(Level::detect(), 2, 300, 48, 8, EPS, true);
        let x = shifted(2 * 300 * 48);
        let (mut apart, mut within) = (alloc::vec![0.0; x.len()], x.clone());
        let mut scratch = alloc::vec![0.0; norm.scratch().total(1)];
        let mut run = |from: *const f32, to: *mut f32| {
            let pool = crate::threads::Threads::new(1);
            let inputs = [from, gamma.as_ptr(), beta.as_ptr()];
            // SAFETY: buffers of the right sizes.
            unsafe { super::super::run(&norm, &pool, &inputs, &[to], scratch.as_mut_ptr()) }
        };
        run(x.as_ptr(), apart.as_mut_ptr());
        let pointer = within.as_mut_ptr();
        run(pointer, pointer);
        assert_eq!(apart, within);
    }
}
