//! Decoding in overlapping tiles, for less memory: pictures fade from tile to tile where they overlap.

use alloc::vec::Vec;

/// The tiles of a latent of some height and width.
pub(super) struct Tiles {
    /// Height and width of the latent and of a tile.
    latent: [usize; 2],
    tile: [usize; 2],
    /// Pixels for each of the latent's, along either axis.
    factor: usize,
    /// Where tiles begin, along either axis.
    starts: [Vec<usize>; 2],
    /// Pictures that are decoded one after another; 1 if all are at once.
    pictures: usize,
}

impl Tiles {
    /// Tiles that overlap by a quarter at least; one is never larger than the latent.
    pub fn new(latent: [usize; 2], tile: [usize; 2], factor: usize) -> Tiles {
        let starts = [0, 1].map(|axis| {
            let (all, one) = (latent[axis], tile[axis]);
            let step = (one - one / 4).max(1);
            let gaps = all.saturating_sub(one).div_ceil(step);
            (0..=gaps).map(|i| (i * all.saturating_sub(one)).checked_div(gaps).unwrap_or(0)).collect()
        });
        Tiles { latent, tile, factor, starts, pictures: 1 }
    }

    /// The tiles of one picture after another.
    pub fn apart(self, pictures: usize) -> Tiles {
        Tiles { pictures, ..self }
    }

    /// How many are decoded for so many pictures that were asked for.
    pub fn count(&self, pictures: usize) -> usize {
        self.pictures.min(pictures) * self.of_one()
    }

    /// Whether they are less than the whole batch.
    pub fn are_parts(&self) -> bool {
        self.pictures * self.of_one() > 1
    }

    /// How many one picture has.
    fn of_one(&self) -> usize {
        self.starts[0].len() * self.starts[1].len()
    }

    /// The picture of all, the first of those that are decoded at once, whose tile it is.
    fn picture(&self, number: usize, of: usize) -> usize {
        number / self.of_one() * (of / self.pictures)
    }

    fn start(&self, number: usize) -> [usize; 2] {
        let [rows, columns] = &self.starts;
        [rows[number / columns.len() % rows.len()], columns[number % columns.len()]]
    }

    /// Copies a tile of each of `latents [n, h, w, Z]`, or of one of them, to `out [.., th, tw, Z]`.
    pub fn cut(&self, number: usize, latents: &[f32], channels: usize, out: &mut [f32]) {
        let ([top, left], [h, w], [th, tw]) = (self.start(number), self.latent, self.tile);
        let of = latents.len() / (h * w * channels).max(1);
        for (row, out) in out.chunks_exact_mut((tw * channels).max(1)).enumerate() {
            let (picture, row) = (self.picture(number, of) + row / th, row % th);
            let first = ((picture * h + top + row) * w + left) * channels;
            out.copy_from_slice(&latents[first..first + tw * channels]);
        }
    }

    /// The share that a tile has of a pixel, before shares are divided by their sum: it falls towards neighbours.
    fn share(&self, axis: usize, start: usize, pixel: usize) -> f32 {
        let (all, one) = (self.latent[axis] * self.factor, self.tile[axis] * self.factor);
        let starts = &self.starts[axis];
        let place = starts.iter().position(|have| *have == start).unwrap_or(0);
        let overlap =
            |other: Option<&usize>| other.map(|other| one.saturating_sub(start.abs_diff(*other) * self.factor));
        let before = overlap(place.checked_sub(1).and_then(|place| starts.get(place)));
        let after = overlap(starts.get(place + 1));
        debug_assert!(start * self.factor + one <= all);
        let ramp = |overlap: Option<usize>, distance: usize| match overlap {
            Some(overlap) if distance < overlap => (distance as f32 + 0.5) / overlap as f32,
            _ => 1.0,
        };
        ramp(before, pixel) * ramp(after, one - 1 - pixel)
    }

    /// Adds a tile's pictures `[.., TH, TW, 3]` to the whole ones `[n, H, W, 3]`. Shares of all tiles add up to 1.
    pub fn paste(&self, number: usize, tile: &[f32], pictures: &mut [f32]) {
        let [top, left] = self.start(number);
        let [height, width] = self.latent.map(|side| side * self.factor);
        let [th, tw] = self.tile.map(|side| side * self.factor);
        let shares = |axis: usize, start: usize, count: usize| -> Vec<f32> {
            let own = (0..count).map(|pixel| self.share(axis, start, pixel));
            let sum = |pixel: usize| -> f32 {
                let place = start * self.factor + pixel;
                let inside = |start: usize| place.checked_sub(start * self.factor).filter(|pixel| *pixel < count);
                let all = self.starts[axis].iter().filter_map(|&start| Some(self.share(axis, start, inside(start)?)));
                all.sum()
            };
            own.enumerate().map(|(pixel, share)| share / sum(pixel)).collect()
        };
        let (rows, columns) = (shares(0, top, th), shares(1, left, tw));
        let of = pictures.len() / (3 * height * width).max(1);
        for (row, from) in tile.chunks_exact((3 * tw).max(1)).enumerate() {
            let (picture, row) = (self.picture(number, of) + row / th, row % th);
            let first = ((picture * height + top * self.factor + row) * width + left * self.factor) * 3;
            let pixels = pictures[first..first + 3 * tw].chunks_exact_mut(3).zip(from.chunks_exact(3)).zip(&columns);
            for ((to, from), share) in pixels {
                to.iter_mut().zip(from).for_each(|(to, from)| *to += rows[row] * share * from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn of_pictures_one_by_one_only_those_asked_for_are_decoded() {
        let apart = Tiles::new([8, 8], [8, 8], 2).apart(4);
        assert_eq!([1, 3, 4].map(|pictures| apart.count(pictures)), [1, 3, 4]);
        let at_once = Tiles::new([8, 8], [4, 8], 2);
        assert_eq!([1, 4].map(|pictures| at_once.count(pictures)), [3, 3]);
        assert!(apart.are_parts() && at_once.are_parts() && !Tiles::new([8, 8], [8, 8], 2).are_parts());
    }

    #[test]
    fn tiles_cover_all_and_equal_ones_add_up_to_the_whole() {
        for (latent, tile) in [([8, 8], [8, 8]), ([9, 13], [4, 4]), ([5, 20], [5, 8]), ([3, 3], [1, 2])] {
            let tiles = Tiles::new(latent, tile, 2);
            let latents: Vec<f32> = (0..2 * latent[0] * latent[1]).map(|i| i as f32).collect();
            let mut cut = vec![0.0; 2 * tile[0] * tile[1]];
            let mut pictures = vec![0.0; latents.len() * 4 * 3];
            for number in 0..tiles.count(2) {
                tiles.cut(number, &latents, 1, &mut cut);
                // A decoder that doubles pixels.
                let pixel = |n: usize, row: usize, column: usize| cut[(n * tile[0] + row / 2) * tile[1] + column / 2];
                let rows = (0..2).flat_map(|n| (0..2 * tile[0]).map(move |row| (n, row)));
                let decoded: Vec<f32> = rows
                    .flat_map(|(n, row)| (0..2 * tile[1]).map(move |column| (n, row, column)))
                    .flat_map(|(n, row, column)| [pixel(n, row, column); 3])
                    .collect();
                tiles.paste(number, &decoded, &mut pictures);
            }
            let width = 2 * latent[1];
            for (place, have) in pictures.iter().enumerate() {
                let (row, column) = (place / 3 / width, place / 3 % width);
                let want = latents[row / 2 * latent[1] + column / 2];
                assert!((have - want).abs() <= 1e-4 * want.max(1.0), "{latent:?} {tile:?}: {have} for {want}");
            }
        }
    }
}
