//! Integrals of smooth pieces.

use alloc::vec::Vec;
use core::f64::consts::PI;

const NODES: usize = 20;

/// Gauss and Legendre's rule of 20 nodes, applied to halves of halves until both agree with the whole.
pub struct Rule {
    nodes: [f64; NODES],
    weights: [f64; NODES],
}

impl Rule {
    /// The nodes are the zeros of the Legendre polynomial, by Newton's method.
    pub fn new() -> Self {
        let (mut nodes, mut weights) = ([0.0; NODES], [0.0; NODES]);
        for i in 0..NODES {
            let mut x = libm::cos(PI * (i as f64 + 0.75) / (NODES as f64 + 0.5));
            for _ in 0..8 {
                let (p, slope) = legendre(x);
                x -= p / slope;
            }
            let slope = legendre(x).1;
            (nodes[i], weights[i]) = (x, 2.0 / ((1.0 - x * x) * slope * slope));
        }
        Self { nodes, weights }
    }

    fn once(&self, f: &impl Fn(f64) -> f64, a: f64, b: f64) -> f64 {
        let (middle, half) = (0.5 * a + 0.5 * b, 0.5 * b - 0.5 * a);
        if half == 0.0 {
            return 0.0; // whatever f is there
        }
        let terms = self.nodes.iter().zip(&self.weights).map(|(x, w)| w * f(middle + half * x));
        half * terms.sum::<f64>()
    }

    /// ∫ f between the first and the last of `marks`, ascending, to about 10⁻¹³ of ∫|f|.
    pub fn integrate(&self, f: &impl Fn(f64) -> f64, marks: &[f64]) -> f64 {
        let pieces: Vec<_> =
            marks.windows(2).map(|pair| (pair[0], pair[1], self.once(f, pair[0], pair[1]), 0)).collect();
        let scale: f64 = pieces.iter().map(|piece| piece.2.abs()).sum();
        let mut sum = yuragi_numeric::special::Sum::default();
        let mut rest = pieces;
        while let Some((a, b, whole, depth)) = rest.pop() {
            let middle = 0.5 * a + 0.5 * b;
            let (left, right) = (self.once(f, a, middle), self.once(f, middle, b));
            let error = (left + right - whole).abs();
            // A kink or a jump is closed in on until its piece does not matter.
            let small = error <= 1e-14 * (left.abs() + right.abs()) || error <= 1e-16 * scale;
            if small || depth == 52 || !error.is_finite() {
                sum += left + right;
            } else {
                rest.push((middle, b, right, depth + 1));
                rest.push((a, middle, left, depth + 1));
            }
        }
        sum.value()
    }
}

/// The Legendre polynomial of degree [`NODES`] and its slope, for |x| < 1.
fn legendre(x: f64) -> (f64, f64) {
    let (mut before, mut p) = (1.0, x);
    for k in 1..NODES {
        let k = k as f64;
        (before, p) = (p, ((2.0 * k + 1.0) * x * p - k * before) / (k + 1.0));
    }
    (p, NODES as f64 * (x * p - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_integrals() {
        let rule = Rule::new();
        let cases: [(f64, f64); 4] = [
            (rule.integrate(&|x| libm::exp(-0.5 * x * x), &[-9.0, 0.0, 9.0]), libm::sqrt(2.0 * PI)),
            (rule.integrate(&|x: f64| (x - 0.3).abs(), &[0.0, 1.0]), 0.5 * (0.09 + 0.49)),
            (rule.integrate(&|x: f64| if x < 0.3 { 1.0 } else { 0.0 }, &[0.0, 1.0]), 0.3),
            (rule.integrate(&|x: f64| libm::pow(x, 39.0), &[0.0, 1.0]), 1.0 / 40.0),
        ];
        for (value, exact) in cases {
            assert!((value / exact - 1.0).abs() < 1e-12, "{value} {exact}");
        }
        assert_eq!(rule.integrate(&|x| x, &[1.0]), 0.0);
    }
}
