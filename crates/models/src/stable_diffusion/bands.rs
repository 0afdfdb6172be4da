//! Wide pictures in bands of rows, one layer after another: of what lies between a norm and a convolution only a band is
//! there at a time, and a band of a layer makes room for one of the next.
//!
//! Nothing is rounded otherwise than in the whole: bands are whole tiles of minimal filtering and whole runs of the norms.

use alloc::{vec, vec::Vec};
use core::ops::Range;

use yuragi_graph::{
    Tensor,
    op::{Fused, Window, group_norm_run},
};
use yuragi_nn::{Scope, init, upsample};

use super::layers::{Bias, convolution, group_norm, pointwise};

/// Rows that convolutions by minimal filtering compute together.
const TILE: usize = 4;
/// Fewer pixels than these do not pay for minimal filtering.
const LEAST: usize = 64;
/// Bands of a picture at the most: each norm of each of them combines what was measured in all.
const MOST: usize = 64;

/// The norms of a network.
#[derive(Clone, Copy)]
pub(super) struct Norm {
    pub groups: usize,
    pub eps: f32,
}

/// A picture `[N, H, W, C]`, from the top down; a single band is the whole.
pub(super) struct Bands<'g> {
    bands: Vec<Tensor<'g>>,
    /// Of the runs of each band, for several.
    moments: Vec<Tensor<'g>>,
    norm: Norm,
}

impl<'g> Bands<'g> {
    /// A whole picture.
    pub fn whole(x: Tensor<'g>, norm: Norm) -> Self {
        Bands { bands: vec![x], moments: Vec::new(), norm }
    }

    fn empty(norm: Norm) -> Self {
        Bands { bands: Vec::new(), moments: Vec::new(), norm }
    }

    /// Adds a band below.
    #[track_caller]
    fn push(&mut self, x: Tensor<'g>, measured: bool) {
        if measured {
            self.moments.push(x.fused(Fused::GroupRunMoments { groups: self.norm.groups }, &[]));
        }
        self.bands.push(x);
    }

    fn is_whole(&self) -> bool {
        self.bands.len() == 1
    }

    fn channels(&self) -> usize {
        self.bands.first().map_or(0, |band| band.dim(3))
    }

    fn height(&self) -> usize {
        self.bands.iter().map(|band| band.dim(1)).sum()
    }

    /// Where each band lies.
    fn places(&self) -> Vec<Range<usize>> {
        let ends = self.bands.iter().scan(0, |end, band| {
            let begin = *end;
            *end += band.dim(1);
            Some(begin..*end)
        });
        ends.collect()
    }

    /// Some rows, put together of bands.
    #[track_caller]
    fn rows(&self, rows: Range<usize>) -> Option<Tensor<'g>> {
        let parts: Vec<Tensor<'g>> = self
            .bands
            .iter()
            .zip(self.places())
            .filter_map(|(band, place)| {
                let (begin, end) = (rows.start.max(place.start), rows.end.min(place.end));
                (begin < end).then(|| band.slice(1, begin - place.start, end - place.start))
            })
            .collect();
        let (first, rest) = parts.split_first()?;
        Some(if rest.is_empty() { *first } else { first.concat(rest, 1) })
    }

    /// The rows that a 3×3 convolution sees for some, and the zeros that it adds above and below.
    fn seen(&self, rows: &Range<usize>) -> (Range<usize>, Window) {
        let (above, below) = (rows.start > 0, rows.end < self.height());
        let seen = rows.start - usize::from(above)..rows.end + usize::from(below);
        (seen, Window { stride: [1, 1], padding: [usize::from(!above), usize::from(!below), 1, 1] })
    }

    /// SiLU(norm) of each band, with a row more where there are neighbours, then a 3×3 convolution, then what `each` makes
    /// of it and of the number of the band. It is measured if a norm follows.
    #[track_caller]
    fn convolved(
        &self,
        [norm, conv]: [&Scope<'g>; 2],
        (outputs, measured): (usize, bool),
        mut each: impl FnMut(usize, Tensor<'g>) -> Tensor<'g>,
    ) -> Bands<'g> {
        let Norm { groups, eps } = self.norm;
        let channels = [self.channels()];
        let (gain, bias) = (norm.param("weight", &channels, init::ONE), norm.param("bias", &channels, init::ZERO));
        let moments = self.moments.split_first().map(|(first, rest)| first.concat(rest, 1));
        let pixels = self.bands.iter().map(|band| band.dim(1) * band.dim(2)).sum();
        let mut next = Bands::empty(self.norm);
        for (number, place) in self.places().into_iter().enumerate() {
            let (seen, window) = self.seen(&place);
            let Some(x) = self.rows(seen) else { continue };
            let x = match moments {
                Some(moments) => {
                    x.fused(Fused::GroupNormPart { groups, eps: eps.into(), pixels }, &[gain, bias, moments])
                }
                None => group_norm(norm, x, groups, eps),
            };
            let y = convolution(conv, x.silu(), outputs, window, Bias::Yes);
            next.push(each(number, y), measured && !self.is_whole());
        }
        next
    }

    /// As [`residual`](super::layers::residual), without times.
    #[track_caller]
    pub fn residual(self, s: &Scope<'g>, outputs: usize) -> Bands<'g> {
        let changes = self.channels() != outputs;
        let mut passed = Vec::new();
        // What is added lies beside the first convolution's bands, so that the bands that both are made of go.
        let h = self.convolved([&s.enter("norm1"), &s.enter("conv1")], (outputs, true), |number, y| {
            let x = self.bands[number];
            passed.push(if changes { pointwise(&s.enter("conv_shortcut"), x, outputs) } else { x });
            y
        });
        h.convolved([&s.enter("norm2"), &s.enter("conv2")], (outputs, true), |number, y| passed[number] + y)
    }

    /// Twice the width and height, then a 3×3 convolution, in bands of about so many `pixels` (`None`: whole); `next` are the
    /// channels of what follows.
    #[track_caller]
    pub fn upsampled(self, s: &Scope<'g>, next: usize, pixels: Option<usize>) -> Bands<'g> {
        let channels = self.channels();
        let (height, width) = (2 * self.height(), 2 * self.bands.first().map_or(0, |band| band.dim(2)));
        let heights = match pixels {
            Some(pixels) => heights([height, width], &[channels, next], pixels),
            None => vec![height],
        };
        let mut above = 0;
        let mut larger = Bands::empty(self.norm);
        for &rows in &heights {
            let place = above..above + rows;
            above += rows;
            let first = place.start.saturating_sub(1);
            let seen = first..(place.end + 1).min(height);
            let window = Window {
                stride: [1, 1],
                padding: [usize::from(place.start == 0), usize::from(place.end == height), 1, 1],
            };
            let Some(x) = self.rows(first / 2..seen.end.div_ceil(2)) else { continue };
            let x = upsample(x).slice(1, first % 2, first % 2 + seen.len());
            larger.push(convolution(s, x, channels, window, Bias::Yes), heights.len() > 1);
        }
        larger
    }

    /// SiLU(norm), then a 3×3 convolution: the whole picture.
    #[track_caller]
    pub fn ended(self, norm: &Scope<'g>, conv: &Scope<'g>, outputs: usize) -> Option<Tensor<'g>> {
        let last = self.convolved([norm, conv], (outputs, false), |_, y| y);
        last.rows(0..last.height())
    }
}

/// The heights of the bands of a picture of about so many pixels, or of a 64th of it if that is more: whole tiles, and whole
/// runs of norms of these channels.
fn heights([height, width]: [usize; 2], channels: &[usize], pixels: usize) -> Vec<usize> {
    let runs = channels.iter().map(|&channels| {
        let run = group_norm_run(channels);
        run / common(run, width)
    });
    let unit = runs.fold(TILE, |unit, rows| unit / common(unit, rows) * rows);
    let rows = pixels.max(LEAST).div_ceil(width.max(1)).max(height.div_ceil(MOST)).next_multiple_of(unit);
    let count = (height / rows).max(1);
    // The last one has the rest, too.
    (0..count).map(|band| if band + 1 < count { rows } else { height - rows * (count - 1) }).collect()
}

/// The greatest common divisor; 1 if there is none.
fn common(a: usize, b: usize) -> usize {
    let (mut a, mut b) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_hold_whole_runs_and_tiles() {
        assert_eq!(heights([512, 512], &[256, 128], 1 << 14), [32; 16]);
        assert_eq!(heights([1024, 1024], &[256, 128], 1 << 14), [16; 64]);
        // Large pictures have no more of them.
        assert_eq!(heights([8192, 8192], &[256, 128], 1 << 14), [128; 64]);
        assert!(heights([2056, 264], &[256, 128], 1).len() <= MOST);
        for (size, channels) in
            [([520, 520], [256, 128]), ([260, 260], [512, 256]), ([48, 32], [8, 4]), ([70, 96], [96, 64])]
        {
            for pixels in [1, 1 << 10, 1 << 14, 1 << 30] {
                let heights = heights(size, &channels, pixels);
                assert_eq!(heights.iter().sum::<usize>(), size[0]);
                for rows in &heights[..heights.len() - 1] {
                    assert!(rows.is_multiple_of(TILE) && rows * size[1] >= pixels.max(LEAST));
                    assert!(channels.iter().all(|&c| (rows * size[1]).is_multiple_of(group_norm_run(c))));
                }
            }
        }
    }
}
