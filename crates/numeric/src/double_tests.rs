use super::*;
use crate::simd::{Task, vectorize};
use std::vec::Vec;

/// A number as an unevaluated sum of two, to about 104 bits.
#[derive(Clone, Copy)]
struct Pair(f64, f64);

impl Pair {
    fn sum(a: f64, b: f64) -> Self {
        let s = a + b;
        let v = s - a;
        Self(s, (a - (s - v)) + (b - v))
    }

    fn plus(self, b: f64) -> Self {
        let Self(s, e) = Self::sum(self.0, b);
        Self::sum(s, e + self.1)
    }

    fn times(self, other: Self) -> Self {
        let p = self.0 * other.0;
        let e = libm::fma(self.0, other.0, -p);
        Self::sum(p, e + (self.0 * other.1 + self.1 * other.0))
    }

    fn scaled(self, n: i32) -> Self {
        Self(libm::scalbn(self.0, n), libm::scalbn(self.1, n))
    }
}

/// (eˣ/2ⁿ, n): Taylor's series after division by 2⁸, then eight squarings.
fn exact_exp(x: Pair) -> (Pair, i32) {
    // ln 2 in three parts, the first two short enough for exact products with n.
    const PARTS: [f64; 2] = [LN_2.0, LN_2.1];
    const REST: f64 = 1.161_222_722_936_253_2e-26;
    let n = libm::rint(x.0 * LOG2_E);
    let product = n * PARTS[1];
    let r = Pair::sum(x.0 - n * PARTS[0], x.1).plus(-product).plus(-libm::fma(n, PARTS[1], -product)).plus(-n * REST);
    let r = r.scaled(-8);
    let mut term = Pair(1.0, 0.0);
    let mut sum = Pair(0.0, 0.0);
    let mut terms = Vec::new();
    for k in 1..=14 {
        terms.push(term);
        term = term.times(r);
        // Division by k: one Newton step on the quotient of the leading part.
        let q = term.0 / f64::from(k);
        let rest = libm::fma(-q, f64::from(k), term.0) + term.1;
        term = Pair::sum(q, rest / f64::from(k));
    }
    for term in terms.into_iter().rev() {
        sum = sum.plus(term.1).plus(term.0);
    }
    for _ in 0..8 {
        sum = sum.times(sum);
    }
    (sum, n as i32)
}

/// The distance of `y` from m·2ⁿ in units of the exact value's last place.
fn ulps(y: f64, m: Pair, n: i32) -> f64 {
    let place = (libm::ilogb(m.0) + n).max(-1022) - 52;
    // Both sides by 2^(−place), in two steps that stay in range.
    let y = libm::scalbn(libm::scalbn(y, -place / 2), -place + place / 2);
    let exact = m.scaled(n - place);
    ((y - exact.0) - exact.1).abs()
}

/// Points of [low, high], dense and irregular.
fn points(low: f64, high: f64, count: u32) -> impl Iterator<Item = f64> {
    let step = (high - low) / f64::from(count);
    (0..count).map(move |i| low + step * (f64::from(i) + 0.618 * f64::from(i % 7) / 7.0))
}

#[test]
fn the_truth_is_true() {
    // e and 1/√e to 32 digits.
    for (x, high, low) in [
        (1.0, core::f64::consts::E, 1.445_646_891_729_250_2e-16),
        (-0.5, 0.606_530_659_712_633_4, -6.593_178_415_491_414e-19),
    ] {
        let (m, k) = exact_exp(Pair(x, 0.0));
        let m = m.scaled(k);
        assert!((m.0 - high).abs() + (m.1 - low).abs() < 1e-30, "{x}: {} {:e}", m.0, m.1);
    }
}

#[test]
fn exp_is_within_its_bound() {
    let mut worst = (0.0, 0.0);
    for (low, high) in [(-745.0, 709.7), (-2.0, 2.0), (-1e-3, 1e-3), (-745.1, -707.0), (709.0, 709.78)] {
        for x in points(low, high, 200_000) {
            let (m, n) = exact_exp(Pair(x, 0.0));
            let error = ulps(exp(x), m, n);
            if error > worst.0 {
                worst = (error, x);
            }
        }
    }
    assert!(worst.0 <= 1.0, "{} ulp at {:e}", worst.0, worst.1);
}

#[test]
fn ln_is_within_its_bound() {
    let mut worst = (0.0, 0.0);
    let magnitudes = points(-1074.0, 1024.0, 200_000).map(libm::exp2);
    let near_one = points(0.4, 2.5, 400_000).chain(points(1.0 - 1e-6, 1.0 + 1e-6, 100_000));
    for x in magnitudes.chain(near_one).filter(|x| *x > 0.0 && x.is_finite()) {
        let y = ln(x);
        // ln x = y + ln(x/eʸ), and the quotient is 1 up to a few roundings.
        let (m, n) = exact_exp(Pair(-y, 0.0));
        let scaled = libm::scalbn(x, if x < 1e-200 { 600 } else { 0 });
        let n = if x < 1e-200 { n - 600 } else { n };
        let quotient = Pair(libm::scalbn(scaled, n / 2), 0.0).times(m).scaled(n - n / 2).plus(-1.0);
        let correction = (quotient.0 + quotient.1) - 0.5 * quotient.0 * quotient.0;
        let place = libm::ilogb(y).max(-1022) - 52;
        let error = if y == 0.0 { 0.0 } else { libm::scalbn(correction.abs(), -place) };
        if error > worst.0 {
            worst = (error, x);
        }
    }
    assert!(worst.0 <= 1.0, "{} ulp at {:e}", worst.0, worst.1);
    assert_eq!(ln(1.0), 0.0);
}

#[test]
fn ends_of_the_range() {
    let inf = f64::INFINITY;
    assert_eq!([exp(-inf), exp(-800.0), exp(inf), exp(800.0), exp(709.79)], [0.0, 0.0, inf, inf, inf]);
    assert_eq!(exp(-745.13), 5e-324);
    assert_eq!([ln(0.0), ln(-0.0), ln(inf)], [-inf, -inf, inf]);
    assert_eq!([exp(f64::NAN), ln(f64::NAN), ln(-1.0), ln(-inf)].map(f64::is_nan), [true; 4]);
}

struct Both<'a>(&'a [f64], &'a mut [f64]);

impl Task for Both<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        for (x, y) in self.0.iter().zip(self.1) {
            *y = exp(*x) + ln(x.abs());
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_instruction_set() {
    let x: Vec<f64> = points(-800.0, 800.0, 5003).collect();
    let (mut wide, mut plain) = (x.clone(), x.clone());
    vectorize(Both(&x, &mut wide));
    Both(&x, &mut plain).run();
    assert!(wide.iter().zip(&plain).all(|(a, b)| a.to_bits() == b.to_bits()));
}
