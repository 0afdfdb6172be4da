//! Minimisation of smooth functions: L-BFGS.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// How a [`minimize`] ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum {
    /// The arguments.
    pub at: Vec<f64>,
    /// The function there.
    pub value: f64,
    /// The largest |∂f| there.
    pub slope: f64,
    /// The number of evaluations.
    pub evaluations: u32,
}

/// Pairs of steps and gradient changes that L-BFGS remembers.
const MEMORY: usize = 10;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// L-BFGS with halving steps (Nocedal and Wright, *Numerical Optimization*, algorithm 7.5): `f` fills in
/// its gradient and returns its value. Ends after `evaluations`, when the largest |∂f| is at most
/// `tolerance`, or when no step lowers f.
///
/// ```
/// use yuragi_energy::minimize::minimize;
/// let bowl = |x: &[f64], g: &mut [f64]| {
///     (g[0], g[1]) = (2.0 * (x[0] - 1.0), 20.0 * x[1]);
///     (x[0] - 1.0) * (x[0] - 1.0) + 10.0 * x[1] * x[1]
/// };
/// let minimum = minimize(bowl, &[5.0, 3.0], 100, 1e-10);
/// assert!((minimum.at[0] - 1.0).abs() < 1e-9 && minimum.at[1].abs() < 1e-9);
/// ```
pub fn minimize(
    mut f: impl FnMut(&[f64], &mut [f64]) -> f64,
    start: &[f64],
    evaluations: u32,
    tolerance: f64,
) -> Minimum {
    let n = start.len();
    let (mut at, mut gradient) = (start.to_vec(), alloc::vec![0.0; n]);
    let mut value = f(&at, &mut gradient);
    let mut used = 1;
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    let largest = |gradient: &[f64]| gradient.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
    while used < evaluations && largest(&gradient) > tolerance {
        // The two-loop recursion for −H g.
        let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut shares = Vec::with_capacity(memory.len());
        for (s, y, sy) in memory.iter().rev() {
            let share = dot(s, &direction) / sy;
            direction.iter_mut().zip(y).for_each(|(d, y)| *d -= share * y);
            shares.push(share);
        }
        let scale = match memory.back() {
            Some((_, y, sy)) => sy / dot(y, y),
            None => 1.0 / libm::sqrt(dot(&gradient, &gradient)).max(1.0),
        };
        direction.iter_mut().for_each(|d| *d *= scale);
        for ((s, y, sy), share) in memory.iter().zip(shares.into_iter().rev()) {
            let back = share - dot(y, &direction) / sy;
            direction.iter_mut().zip(s).for_each(|(d, s)| *d += back * s);
        }
        let slope = dot(&gradient, &direction);
        if slope.is_nan() || slope >= 0.0 {
            if memory.is_empty() {
                break;
            }
            memory.clear();
            continue;
        }
        let (mut step, mut next_gradient) = (1.0, alloc::vec![0.0; n]);
        let next = loop {
            let next: Vec<f64> = at.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            let next_value = f(&next, &mut next_gradient);
            used += 1;
            if next_value <= value + 1e-4 * step * slope {
                value = next_value;
                break Some(next);
            }
            step *= 0.5;
            if used >= evaluations || step < 1e-18 {
                break None;
            }
        };
        let Some(next) = next else {
            if memory.is_empty() || used >= evaluations {
                break;
            }
            memory.clear();
            continue;
        };
        let s: Vec<f64> = next.iter().zip(&at).map(|(next, x)| next - x).collect();
        let y: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(next, g)| next - g).collect();
        let sy = dot(&s, &y);
        if sy > 1e-12 * dot(&y, &y) {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back((s, y, sy));
        }
        at = next;
        gradient = next_gradient;
    }
    let slope = largest(&gradient);
    Minimum { at, value, slope, evaluations: used }
}
