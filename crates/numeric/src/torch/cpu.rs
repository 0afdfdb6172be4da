#![allow(clippy::excessive_precision, clippy::unreadable_literal)] // coefficients as Cephes has them

use core::convert::Infallible;
use core::f64::consts::TAU;

use libm::fmaf;
use rand_core::{Rng, TryRng};

use crate::mt19937::Mt19937;

/// Numbers that PyTorch transforms together; calls for fewer take another path.
const GROUP: usize = 16;

/// PyTorch's generator of the processor: [`Mt19937`] and two forms of Box and Muller's transformation (1958).
///
/// ```
/// let mut generator = yuragi_numeric::torch::Cpu::new(0);
/// let mut drawn = [0.0; 3];
/// generator.normal(&mut drawn); // torch.randn(3, generator=torch.Generator().manual_seed(0))
/// assert_eq!(drawn, [1.5409961, -0.2934289, -2.1787894]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Cpu {
    words: Mt19937,
    /// The second number of a pair of which the first was asked for.
    spare: Option<f64>,
}

impl Cpu {
    /// `manual_seed(seed)`; seeds that differ by 2³² are one.
    pub const fn new(seed: u64) -> Self {
        Self { words: Mt19937::new(seed as u32), spare: None }
    }

    /// `manual_seed(seed)` again.
    pub const fn reseed(&mut self, seed: u64) {
        *self = Self::new(seed);
    }

    /// Fills `out` as one call of `torch.randn` does.
    pub fn normal(&mut self, out: &mut [f32]) {
        let Some(last) = out.len().checked_sub(GROUP) else {
            out.iter_mut().for_each(|x| *x = self.one() as f32);
            return;
        };
        out.iter_mut().for_each(|x| *x = self.uniform());
        let (groups, rest) = out.as_chunks_mut::<GROUP>();
        groups.iter_mut().for_each(transform);
        if !rest.is_empty() {
            let mut group = [0.0; GROUP];
            group.iter_mut().for_each(|x| *x = self.uniform());
            transform(&mut group);
            out[last..].copy_from_slice(&group);
        }
    }

    /// A multiple of 2⁻²⁴ in [0, 1).
    fn uniform(&mut self) -> f32 {
        (self.words.next_u32() & 0x00ff_ffff) as f32 * (1.0 / 16_777_216.0)
    }

    /// A multiple of 2⁻⁵³ in [0, 1); the first word is the high one.
    fn fine_uniform(&mut self) -> f64 {
        let (high, low) = (u64::from(self.words.next_u32()), u64::from(self.words.next_u32()));
        ((high << 32 | low) & ((1 << 53) - 1)) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// One number of a pair in double precision, the cosine first.
    fn one(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (u1, u2) = (self.fine_uniform(), self.fine_uniform());
        let (radius, angle) = (libm::sqrt(-2.0 * libm::log1p(-u2)), TAU * u1);
        self.spare = Some(radius * libm::sin(angle));
        radius * libm::cos(angle)
    }
}

/// The words of the Mersenne Twister, whose place draws of numbers share.
impl TryRng for Cpu {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.words.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.words.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.words.try_fill_bytes(bytes)
    }
}

/// Eight uniform numbers and eight more to eight cosines and their sines.
fn transform(group: &mut [f32; GROUP]) {
    for j in 0..GROUP / 2 {
        let radius = libm::sqrtf(-2.0 * ln(1.0 - group[j]));
        let (sin, cos) = sin_cos(core::f32::consts::TAU * group[j + GROUP / 2]);
        (group[j], group[j + GROUP / 2]) = (radius * cos, radius * sin);
    }
}

/// Horner's rule, fused.
fn polynomial(x: f32, coefficients: &[f32]) -> f32 {
    coefficients.iter().fold(0.0, |y, c| fmaf(y, x, *c))
}

/// The logarithm of Cephes' `logf` (Moshier 1992) for x from 2⁻²⁴ to 1, each step fused as PyTorch's compilation is.
fn ln(x: f32) -> f32 {
    const P: [f32; 9] = [
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    ];
    const HALF_ROOT: f32 = core::f32::consts::FRAC_1_SQRT_2;
    let bits = x.to_bits();
    let mut e = ((bits >> 23) as i32 - 126) as f32;
    let mut m = f32::from_bits(bits & 0x007f_ffff | 0x3f00_0000);
    if m < HALF_ROOT {
        e -= 1.0;
        m = (m - 1.0) + m;
    } else {
        m -= 1.0;
    }
    let z = m * m;
    let y = polynomial(m, &P) * m;
    let y = fmaf(y, z, e * -2.12194440e-4);
    let y = fmaf(-z, 0.5, y);
    fmaf(e, 0.693_359_375, m + y)
}

/// Cephes' `sincosf` for x from 0 to 2π, fused likewise.
fn sin_cos(x: f32) -> (f32, f32) {
    const COS: [f32; 3] = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2];
    const SIN: [f32; 3] = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1];
    let octant = (x * core::f32::consts::FRAC_2_PI * 2.0) as i32;
    let octant = (octant + 1) & !1;
    let y = octant as f32;
    let x = [0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8].iter().fold(x, |x, part| fmaf(-y, *part, x));
    let z = x * x;
    let cos = polynomial(z, &COS) * z;
    let cos = fmaf(cos, z, -0.5 * z) + 1.0;
    let sin = fmaf(polynomial(z, &SIN) * z, x, x);
    let (sin, cos) = if octant & 2 == 0 { (sin, cos) } else { (cos, sin) };
    (if octant & 4 == 0 { sin } else { -sin }, if (octant - 2) & 4 == 0 { -cos } else { cos })
}
