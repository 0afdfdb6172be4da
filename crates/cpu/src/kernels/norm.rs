//! Group and layer normalisation: (x − μ) / √(σ² + ε) · γ + β.
//!
//! Variances are means of squared distances from the mean, taken in a second
//! pass.

use core::slice;

use super::lanes::{Sum, steps};
use super::{Buffers, Kernel, Scratch};
use super::{gemm::TASKS, softmax::rows_per_task};
use crate::simd::{Level, Op, Vector, silu};

/// Elements that the group norm of few images takes at a time, about.
const CHUNK: usize = 1 << 15;

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

/// Normalisation of groups of channels over all pixels of an image: inputs
/// x \[batch, pixels, channels\], γ \[channels\], β \[channels\]; then perhaps
/// x · sigmoid(x). May work in place.
#[derive(Debug)]
pub(crate) struct GroupNorm {
    level: Level,
    batch: usize,
    pixels: usize,
    channels: usize,
    groups: usize,
    eps: f32,
    silu: bool,
    /// Tasks that an image is divided into.
    chunks: usize,
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
        // Enough images make enough tasks.
        let chunks = if batch < TASKS { (pixels * channels).div_ceil(CHUNK).clamp(1, pixels.max(1)) } else { 1 };
        Self { level, batch, pixels, channels, groups, eps, silu, chunks }
    }

    fn chunk(&self, index: usize) -> Chunk<'_> {
        let (item, chunk) = (index / self.chunks, index % self.chunks);
        let begin = self.pixels * chunk / self.chunks;
        let pixels = self.pixels * (chunk + 1) / self.chunks - begin;
        let offset = (item * self.pixels + begin) * self.channels;
        Chunk { norm: self, item, chunk, pixels, offset }
    }

    /// Where the mean and the squared distances of a chunk's groups go.
    fn moments(&self, item: usize, chunk: usize) -> usize {
        2 * (item * self.chunks + chunk) * self.groups
    }

    /// Where the mean and the scale of an image's channels go.
    fn scales(&self, item: usize) -> usize {
        self.moments(self.batch, 0) + 2 * item * self.channels
    }

    /// Combines the moments of an image's chunks.
    unsafe fn combine(&self, item: usize, buffers: Buffers<'_>) {
        let width = self.channels / self.groups;
        for group in 0..self.groups {
            let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
            for chunk in 0..self.chunks {
                let pixels = self.pixels * (chunk + 1) / self.chunks - self.pixels * chunk / self.chunks;
                let at = self.moments(item, chunk) + 2 * group;
                // SAFETY: written in the first phase.
                let [mean_here, squares_here] = unsafe { buffers.shared.add(at).cast::<[f32; 2]>().read() };
                let here = (pixels * width) as f64;
                let shift = f64::from(mean_here) - mean;
                count += here;
                mean += shift * here / count;
                squares += f64::from(squares_here) + shift * shift * here * (count - here) / count;
            }
            let scale = 1.0 / libm::sqrt(squares / count + f64::from(self.eps));
            for channel in group * width..(group + 1) * width {
                // SAFETY: this image's place; γ has all channels.
                unsafe {
                    let to = buffers.shared.add(self.scales(item) + channel);
                    *to = mean as f32;
                    *to.add(self.channels) = (scale * f64::from(*buffers.inputs[1].add(channel))) as f32;
                }
            }
        }
    }
}

impl Kernel for GroupNorm {
    fn scratch(&self) -> Scratch {
        Scratch { shared: self.scales(self.batch), local: 2 * self.channels }
    }

    /// One chunk is taken at once; more are measured, combined, normalised.
    fn phases(&self) -> usize {
        if self.chunks == 1 { 1 } else { 3 }
    }

    fn tasks(&self, phase: usize) -> usize {
        match phase {
            _ if self.pixels * self.channels == 0 => 0,
            1 => self.batch,
            _ => self.batch * self.chunks,
        }
    }

    unsafe fn task(&self, phase: usize, index: usize, buffers: Buffers<'_>) {
        let whole = self.chunks == 1;
        if whole || phase == 0 {
            self.level.run(Moments(self.chunk(index), buffers));
        }
        if whole || phase == 1 {
            // SAFETY: passed on.
            unsafe { self.combine(index, buffers) }
        }
        if whole || phase == 2 {
            self.level.run(Normalise(self.chunk(index), buffers));
        }
    }
}

/// Some pixels of one image.
struct Chunk<'a> {
    norm: &'a GroupNorm,
    item: usize,
    chunk: usize,
    pixels: usize,
    /// The first element.
    offset: usize,
}

/// Means and sums of squared distances of a chunk's groups.
struct Moments<'a>(Chunk<'a>, Buffers<'a>);

impl Op for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self(Chunk { norm, item, chunk, pixels, offset }, buffers) = self;
        let channels = norm.channels;
        let width = channels / norm.groups;
        let (sums, means) = (buffers.local, buffers.local.wrapping_add(channels));
        let count = (pixels * width) as f64;
        // SAFETY: the chunk lies in x; sums and means are local; the moments'
        // place is this task's.
        unsafe {
            let from = buffers.inputs[0].add(offset);
            let moments = buffers.shared.add(norm.moments(item, chunk));
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
            for g in 0..norm.groups {
                let mean = (group(sums, g) / count) as f32;
                *moments.add(2 * g) = mean;
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
            for g in 0..norm.groups {
                *moments.add(2 * g + 1) = group(sums, g) as f32;
            }
        }
    }
}

/// The result for a chunk.
struct Normalise<'a>(Chunk<'a>, Buffers<'a>);

impl Op for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self(Chunk { norm, item, pixels, offset, .. }, buffers) = self;
        let channels = norm.channels;
        // SAFETY: the chunk lies in x and y; the scales were written in the second phase.
        unsafe {
            let means = buffers.shared.add(norm.scales(item));
            for (at, count) in steps::<V>(channels) {
                let mean = V::load_first(means.add(at), count);
                let scale = V::load_first(means.add(channels + at), count);
                let beta = V::load_first(buffers.inputs[2].add(at), count);
                for p in 0..pixels {
                    let at = offset + p * channels + at;
                    let x = V::load_first(buffers.inputs[0].add(at), count);
                    let y = x.sub(mean).mul_add(scale, beta);
                    let y = if norm.silu { silu(y) } else { y };
                    y.store_first(buffers.outputs[0].add(at), count);
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
