//! How near pictures are, as far as composition and colour go.

use yuragi_io::Picture;

/// Boxes along a side.
const BOXES: usize = 16;
/// Numbers of a picture.
const LENGTH: usize = BOXES * BOXES * 3;

/// The mean colours, 0 to 1, of a picture's 16×16 boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct Features(Vec<f32>);

impl Features {
    /// Those of a picture of at least 16×16 pixels; of a smaller one, boxes without a pixel stay black.
    pub fn of(picture: &Picture) -> Features {
        let (width, height) = (picture.width(), picture.height());
        let mut sums = vec![0.0f32; LENGTH];
        let mut counts = [0.0f32; BOXES * BOXES];
        for (i, pixel) in picture.rgb().as_chunks::<3>().0.iter().enumerate() {
            let place = i / width * BOXES / height * BOXES + i % width * BOXES / width;
            counts[place] += 255.0;
            for (sum, &value) in sums[3 * place..].iter_mut().zip(pixel) {
                *sum += f32::from(value);
            }
        }
        for (sum, count) in sums.as_chunks_mut::<3>().0.iter_mut().zip(counts) {
            *sum = sum.map(|sum| sum / count.max(1.0));
        }
        Features(sums)
    }

    /// The Euclidean distance to another picture.
    pub fn distance(&self, other: &Features) -> f64 {
        let squares = self.0.iter().zip(&other.0).map(|(a, b)| f64::from(a - b).powi(2));
        squares.sum::<f64>().sqrt()
    }
}

/// How many of the gallery's pictures are nearer to the query than the true one, which has the place
/// `truth`: 0 is the best. Pictures equal to the true one do not count against it.
///
/// # Panics
/// If there is no place `truth`.
pub fn rank(query: &Features, gallery: &[Features], truth: usize) -> usize {
    let limit = query.distance(&gallery[truth]);
    gallery.iter().filter(|other| query.distance(other) < limit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_box_means() {
        let mut picture = Picture::filled(64, 64, [255, 0, 51]).unwrap();
        picture.paste(&Picture::filled(2, 4, [0; 3]).unwrap(), 4, 8);
        let features = Features::of(&picture);
        assert_eq!(features.0[..3], [1.0, 0.0, 0.2]);
        let box_ = 3 * (2 * 16 + 1);
        assert_eq!(features.0[box_..box_ + 3], [0.5, 0.0, 0.1]);
        let black = Features::of(&Picture::filled(32, 48, [0; 3]).unwrap());
        let white = Features::of(&Picture::filled(16, 16, [255; 3]).unwrap());
        assert!((black.distance(&white) - 768f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn equal_pictures_share_a_rank() {
        let grey = |v| Features::of(&Picture::filled(16, 16, [v; 3]).unwrap());
        let gallery = [grey(10), grey(20), grey(20), grey(90)];
        assert_eq!(rank(&grey(21), &gallery, 2), 0);
        assert_eq!(rank(&grey(21), &gallery, 0), 2);
        assert_eq!(rank(&grey(21), &gallery, 3), 3);
    }
}
