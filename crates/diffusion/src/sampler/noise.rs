//! Where the noise of samplers comes from.

use crate::error::{Error, range};
use yuragi_numeric::fill;

/// A source of standard normal noise.
///
/// Stream 0 is the noise that a sampler starts from; stream k + 1 is that of
/// its k-th evaluation. A key is a source, so one seed gives one picture; a
/// [`Batch`] of sources gives each picture the noise it would have alone; a
/// [`Source`](crate::Source) is a seed of any generator, and a closure brings
/// noise from elsewhere.
pub trait Noise {
    /// Fills `out` with elements `first..` of `stream`.
    fn fill(&mut self, stream: u32, first: usize, out: &mut [f32]);
}

impl Noise for [u32; 2] {
    fn fill(&mut self, stream: u32, first: usize, out: &mut [f32]) {
        fill::normal(*self, stream, first as u64, out);
    }
}

impl<F: FnMut(u32, usize, &mut [f32])> Noise for F {
    fn fill(&mut self, stream: u32, first: usize, out: &mut [f32]) {
        self(stream, first, out);
    }
}

/// One source a picture, the pictures standing one after another in the state.
#[derive(Debug)]
pub struct Batch<'a, N> {
    sources: &'a mut [N],
    len: usize,
}

impl<'a, N: Noise> Batch<'a, N> {
    /// The noise of `sources.len()` pictures of `len` values each. Values past
    /// the last picture get no noise.
    ///
    /// # Errors
    /// `len` is 0.
    pub fn new(sources: &'a mut [N], len: usize) -> Result<Self, Error> {
        range("the picture's length", len as f64, len > 0, "at least 1")?;
        Ok(Self { sources, len })
    }
}

impl<N: Noise> Noise for Batch<'_, N> {
    fn fill(&mut self, stream: u32, first: usize, mut out: &mut [f32]) {
        let mut inside = first % self.len;
        for source in self.sources.iter_mut().skip(first / self.len) {
            let (part, rest) = out.split_at_mut(out.len().min(self.len - inside));
            source.fill(stream, inside, part);
            (inside, out) = (0, rest);
        }
        out.fill(0.0);
    }
}
