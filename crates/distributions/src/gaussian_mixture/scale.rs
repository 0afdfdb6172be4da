use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Error, range};
use crate::{Data, Going};

/// Where each coordinate lies, and how wide a component of it may be expected to be.
///
/// Neither depends on how far apart clusters are, on where they are, or on outliers.
pub struct Scale {
    /// A value of each coordinate near its median: subtracting it leaves differences exact, or rounded as they must be.
    pub centres: Vec<f64>,
    /// The local variance of each coordinate.
    pub variances: Vec<f64>,
}

/// Windows that are denser than all but this share count.
const DENSE: f64 = 0.1;
/// A variance below is none: its square would be lost.
const NONE: f64 = 1e-250;

impl Scale {
    /// Of the points with weight, without missing values. With m = ⌈√n⌉, the width of the windows from each value to the
    /// m-th after it tells the local variance (width·n/m)²/12, that of a uniform distribution as dense; taken is that of
    /// one of the densest windows, or the coordinate's whole variance if that is smaller. One that is constant has the
    /// least variance of the others, or 1.
    pub fn of(data: &Data<'_>, going: Going<'_>) -> Result<Self, Error> {
        let d = data.dimension();
        let (mut centres, mut variances) = (vec![0.0; d], vec![0.0; d]);
        let mut sorted: Vec<f64> = Vec::with_capacity(data.len());
        for j in 0..d {
            if !going() {
                return Err(Error::Stopped);
            }
            sorted.clear();
            let present = data.weighted_rows().map(|(row, weight)| (row[j], weight));
            sorted.extend(present.filter(|(x, weight)| !x.is_nan() && *weight > 0.0).map(|(x, _)| x));
            sorted.sort_unstable_by(f64::total_cmp);
            let Some(&centre) = sorted.get(sorted.len() / 2) else { continue };
            centres[j] = centre;
            variances[j] = local_variance(&sorted, centre);
        }
        let least = variances.iter().copied().filter(|&variance| variance > 0.0).fold(f64::INFINITY, f64::min);
        let least = if least.is_finite() { least } else { 1.0 };
        variances.iter_mut().filter(|variance| **variance == 0.0).for_each(|variance| *variance = least);
        Ok(Self { centres, variances })
    }

    /// The least variance of each coordinate that learning leaves.
    pub fn floors(&self, share: f64) -> Result<Vec<f64>, Error> {
        range("the floor", share, (0.0..=1.0).contains(&share), "in [0, 1]")?;
        Ok(self.variances.iter().map(|variance| share * variance).collect())
    }
}

/// 0 if all are equal.
fn local_variance(sorted: &[f64], centre: f64) -> f64 {
    let n = sorted.len() as f64;
    let mean = sorted.iter().map(|x| x - centre).sum::<f64>() / n;
    let whole = sorted.iter().map(|x| (x - centre - mean) * (x - centre - mean)).sum::<f64>() / n;
    let window = (libm::ceil(libm::sqrt(n)) as usize).min(sorted.len() - 1);
    let mut widths: Vec<f64> = sorted.iter().zip(&sorted[window..]).map(|(x, y)| y - x).filter(|w| *w > 0.0).collect();
    if widths.is_empty() || whole < NONE {
        return 0.0;
    }
    let dense = (DENSE * widths.len() as f64) as usize;
    let (_, width, _) = widths.select_nth_unstable_by(dense, f64::total_cmp);
    let spread = *width * n / window as f64;
    (spread * spread / 12.0).max(NONE).min(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::standard_normal;
    use yuragi_numeric::philox::Philox;

    fn scale(values: &[f64]) -> (f64, f64) {
        let scale = Scale::of(&Data::scalars(values).unwrap(), &|| true).unwrap();
        (scale.centres[0], scale.variances[0])
    }

    #[test]
    fn the_local_scale_is_that_of_clusters_not_of_their_distances() {
        let mut rng = Philox::new([1, 2], 0);
        let normal: Vec<f64> = (0..900).map(|_| standard_normal(&mut rng)).collect();
        let alone = scale(&normal).1;
        assert!((0.1..1.0).contains(&alone), "{alone}");
        for distance in [1e3, 1e6, 1e9] {
            let two: Vec<f64> = normal.iter().enumerate().map(|(i, x)| x + distance * (i % 2) as f64).collect();
            assert!((0.1..8.0).contains(&scale(&two).1), "{:?}", scale(&two));
            let outlier: Vec<f64> = normal.iter().copied().chain([distance, -distance]).collect();
            assert!((0.1..1.0).contains(&scale(&outlier).1), "{:?}", scale(&outlier));
            let narrow: Vec<f64> = normal.iter().enumerate().map(|(i, x)| x * [1e-3, distance][i % 2]).collect();
            assert!((1e-7..1e-5).contains(&scale(&narrow).1), "{:?}", scale(&narrow));
        }
        // Exactly representable offsets change nothing.
        let steps: Vec<f64> = (0..300).map(|i| f64::from(i * i % 97) / 16.0).collect();
        let moved: Vec<f64> = steps.iter().map(|x| x + 1e12).collect();
        assert_eq!((scale(&moved).0 - 1e12, scale(&moved).1), scale(&steps));
    }

    #[test]
    fn constants_and_atoms_have_a_scale() {
        assert_eq!(scale(&[1e9; 5]), (1e9, 1.0));
        assert_eq!(scale(&[3.0]), (3.0, 1.0));
        // The whole variance, as no window says more.
        assert_eq!(scale(&[0.0, 1.0, 0.0, 1.0]).1, 0.25);
        let two = Data::new(&[1.0, 5.0, 1.0, 7.0], 2).unwrap();
        assert_eq!(Scale::of(&two, &|| true).unwrap().variances, [1.0, 1.0]);
        assert!(matches!(Scale::of(&two, &|| false), Err(Error::Stopped)));
    }
}
