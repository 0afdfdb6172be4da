//! Likelihoods by the probability-flow ODE (Song et al. 2021, section 4.3; Chen
//! et al. 2018).
//!
//! The ODE carries data to noise and back without loss, and the logarithm of
//! the density changes along it by the field's divergence alone.

use crate::error::{Error, length, range};
use crate::sampler::{Noise, Straight};
use crate::schedule::{Ladder, Point};
use core::f64::consts::PI;
use yuragi_numeric::special::sum;

/// How the trace of a denoiser's derivative ∂x₀/∂x is found, by central
/// differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// Value by value: 2n evaluations for n values.
    Exact,
    /// Hutchinson's estimate, unbiased but for the differences: the mean of
    /// v·(∂x₀/∂x)v over random signs v, 2 evaluations each.
    Hutchinson {
        /// How many v.
        probes: usize,
    },
}

impl Trace {
    /// The trace at `x` of `denoise(x, x₀)`, by differences of `step`, about
    /// 1/100 of the noise. `work` holds 4 times as many values as `x`;
    /// `stream` numbers the call for `noise`, of which Hutchinson's estimate
    /// takes the signs.
    ///
    /// # Errors
    /// Slices that do not fit, a step that is not positive and finite, or no
    /// probes.
    pub fn of(
        self,
        x: &[f32],
        step: f32,
        work: &mut [f32],
        (noise, stream): (&mut impl Noise, u32),
        mut denoise: impl FnMut(&[f32], &mut [f32]),
    ) -> Result<f64, Error> {
        let n = x.len();
        length("the work space", work.len(), 4 * n)?;
        range("the step", step.into(), step > 0.0 && step.is_finite(), "positive and finite")?;
        let (moved, rest) = work.split_at_mut(n);
        let (above, rest) = rest.split_at_mut(n);
        let (below, signs) = rest.split_at_mut(n);
        let mut along = |v: &[f32]| {
            for (sign, out) in [(step, &mut *above), (-step, &mut *below)] {
                moved.iter_mut().zip(x.iter().zip(v)).for_each(|(to, (x, v))| *to = x + sign * v);
                denoise(moved, out);
            }
            let pairs = v.iter().zip(above.iter().zip(below.iter()));
            sum(pairs.map(|(v, (a, b))| f64::from(*v) * (f64::from(*a) - f64::from(*b)))) / (2.0 * f64::from(step))
        };
        match self {
            Self::Exact => {
                let mut total = 0.0;
                for i in 0..n {
                    signs.fill(0.0);
                    signs[i] = 1.0;
                    total += along(signs);
                }
                Ok(total)
            }
            Self::Hutchinson { probes } => {
                range("the number of probes", probes as f64, probes > 0, "at least 1")?;
                let mut total = 0.0;
                for probe in 0..probes {
                    noise.fill(stream, probe * n, signs);
                    signs.iter_mut().for_each(|v| *v = if *v < 0.0 { -1.0 } else { 1.0 });
                    total += along(signs);
                }
                Ok(total / probes as f64)
            }
        }
    }
}

/// ln p(x) in nats, where p is what the probability-flow ODE of a denoiser
/// makes of the ladder's noise; `x` is carried to that noise.
///
/// The ODE is solved from the ladder's last point with noise, where x stands
/// for α·x, to its first, by Heun's method in the ladder's coordinate. The
/// noise there is N(0, s²·I) with the ladder's [`start`](Ladder::start) s.
/// `denoise(point, x, x₀)` writes its estimate of x₀, and gives the
/// [trace](Trace) of its derivative. `work` holds 3 times as many values as
/// `x`.
///
/// ```
/// use yuragi_diffusion::{Ladder, likelihood::log_likelihood};
/// // Data of the standard normal distribution, and their perfect denoiser.
/// let ladder = Ladder::karras(200, 0.002, 80.0, 7.0)?;
/// let mut x = [0.5];
/// let log_p = log_likelihood(&ladder, &mut x, &mut [0.0; 3], |at, x, x0| {
///     let gain = at.alpha / (at.alpha * at.alpha + at.sigma * at.sigma);
///     x0[0] = gain as f32 * x[0];
///     gain
/// })?;
/// let exact = -0.5 * (2.0 * std::f64::consts::PI).ln() - 0.125;
/// assert!((log_p - exact).abs() < 1e-3, "{log_p} {exact}");
/// # Ok::<(), yuragi_diffusion::Error>(())
/// ```
///
/// # Errors
/// Work space that does not fit, a ladder with fewer than two points that have
/// noise, or an estimate that is not finite.
pub fn log_likelihood(
    ladder: &Ladder,
    x: &mut [f32],
    work: &mut [f32],
    mut denoise: impl FnMut(Point, &[f32], &mut [f32]) -> f64,
) -> Result<f64, Error> {
    let n = x.len();
    length("the work space", work.len(), 3 * n)?;
    let noisy = ladder.points().iter().filter(|point| point.sigma > 0.0).count();
    range("the number of points with noise", noisy as f64, noisy >= 2, "at least 2")?;
    let line = Straight::of(ladder);
    let k = |point: Point| line.k(point.alpha, point.sigma);
    let (sample, rest) = work.split_at_mut(n);
    let (slope, moved) = rest.split_at_mut(n);
    // dz/dτ = ε − c·x₀ = (x − k·x₀)/σ, and its divergence in z = x/k.
    let mut field = |point: Point, x: &[f32], out: &mut [f32], evaluation: usize| -> Result<f64, Error> {
        let trace = denoise(point, x, sample);
        let (of_x, of_sample) = ((1.0 / point.sigma) as f32, (k(point) / point.sigma) as f32);
        for ((out, x), x0) in out.iter_mut().zip(x).zip(&*sample) {
            *out = of_x * x - of_sample * x0;
        }
        let bad = out.iter().position(|v| !v.is_finite()).or((!trace.is_finite()).then_some(0));
        if let Some(index) = bad {
            return Err(Error::Output { evaluation, of: 2 * (noisy - 1), index, value: sample[index] });
        }
        Ok(k(point) * (n as f64 - k(point) * trace) / point.sigma)
    };
    let points = &ladder.points()[..noisy];
    let last = points[noisy - 1];
    // ln p(x) = ln q(α·x) + n·ln α, and ln q(x) = ln q(z) − n·ln k.
    let mut log_volume = n as f64 * (libm::log(last.alpha) - libm::log(k(last)));
    x.iter_mut().for_each(|x| *x *= last.alpha as f32);
    for (i, pair) in points.windows(2).rev().enumerate() {
        let (to, from) = (pair[0], pair[1]);
        let length = line.at(to) - line.at(from);
        let ratio = (k(to) / k(from)) as f32;
        let first = field(from, x, slope, 2 * i + 1)?;
        let (whole, half) = ((k(to) * length) as f32, (0.5 * k(to) * length) as f32);
        moved.iter_mut().zip(&*x).zip(&*slope).for_each(|((to, x), s)| *to = ratio * x + whole * s);
        x.iter_mut().zip(&*slope).for_each(|(x, s)| *x = ratio * *x + half * s);
        let second = field(to, moved, slope, 2 * i + 2)?;
        x.iter_mut().zip(&*slope).for_each(|(x, s)| *x += half * s);
        log_volume += 0.5 * length * (first + second);
    }
    let (top, s) = (points[0], ladder.start());
    log_volume += n as f64 * libm::log(k(top));
    let square = sum(x.iter().map(|x| f64::from(*x) * f64::from(*x)));
    Ok(log_volume - 0.5 * square / (s * s) - 0.5 * n as f64 * libm::log(2.0 * PI * s * s))
}
