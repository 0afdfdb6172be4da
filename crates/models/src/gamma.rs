//! The noise of a variational diffusion model as a learned function of time: γ(t) = −ln SNR(t) (Kingma, Salimans, Poole &
//! Ho 2021).
//!
//! With α² = σ(−γ) and σ² = σ(γ), z_t = α·x + σ·ε. γ rises strictly from γ(0) to γ(1), whatever the weights:
//!
//! ```text
//! γ(t) = γ₀ + (γ₁ − γ₀)·(g(t) − g(0))/(g(1) − g(0)),    g(t) = a·t + Σ_j c_j·σ(b_j·t + d_j),    a, b_j, c_j > 0
//! ```

use yuragi_graph::{Init, Tensor};
use yuragi_nn::{Scope, init};

/// What begins the names of the parameters that change the path between the ends, and not the ends.
pub const PATH: &str = "gamma.path.";

/// How γ goes from its lower end to its upper one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gamma {
    /// γ(0) and γ(1) at first.
    pub ends: [f32; 2],
    /// Whether the ends are learned.
    pub learned_ends: bool,
    /// Hidden units of the monotone network; without any, γ is linear.
    pub hidden: usize,
}

impl Gamma {
    /// γ at times `[N, 1]`, which lie in 0..1, and its slope dγ/dt there. Declares its parameters under `gamma`.
    #[track_caller]
    pub fn at<'g>(&self, s: &Scope<'g>, t: Tensor<'g>) -> [Tensor<'g>; 2] {
        let [start, length] = self.start_and_length(s);
        let [share, slope] = self.path(s, t);
        [start + length * share, length * slope]
    }

    /// γ(0) and γ(1): `[1, 1]` each.
    #[track_caller]
    pub fn ends<'g>(&self, s: &Scope<'g>) -> [Tensor<'g>; 2] {
        let [start, length] = self.start_and_length(s);
        [start, start + length]
    }

    fn start_and_length<'g>(&self, s: &Scope<'g>) -> [Tensor<'g>; 2] {
        let [start, length] = [self.ends[0], self.ends[1] - self.ends[0]];
        let s = s.enter("gamma");
        if self.learned_ends {
            // Its softplus is the length, which stays above 0.
            let raw = libm::logf(libm::expm1f(length.max(1e-3)));
            let raw = if raw.is_finite() { raw } else { length };
            let raw = s.param("length", &[1, 1], Init::Constant(raw));
            [s.param("start", &[1, 1], Init::Constant(start)), raw.softplus() + 1e-3]
        } else {
            [start, length].map(|value| s.builder().fill(&[1, 1], value, yuragi_graph::DType::F32))
        }
    }

    /// From 0 at 0 to 1 at 1, and the slope.
    fn path<'g>(&self, s: &Scope<'g>, t: Tensor<'g>) -> [Tensor<'g>; 2] {
        let b = s.builder();
        let constant = |value: f32| b.fill(&[1, 1], value, t.dtype());
        if self.hidden == 0 {
            return [t, constant(1.0)];
        }
        let s = s.enter("gamma").enter("path");
        let width = [1, self.hidden];
        // At first the units' steps lie side by side over the interval, together as high as the straight part.
        let positive = |name, shape: &[usize], init| s.param(name, shape, init).softplus();
        let a = positive("line", &[1, 1], init::ZERO) + 1e-2;
        let steep = positive("steep", &width, Init::Constant(8.0));
        let high = positive("high", &width, Init::Uniform(1.0)) * (1.0 / self.hidden as f32);
        let place = s.param("place", &width, Init::Uniform(8.0)) - 4.0;
        let raw = |t: Tensor<'g>| {
            let step = (steep * t + place).sigmoid();
            (a * t + (high * step).sum(&[1]), a + (high * steep * step * (1.0 - step)).sum(&[1]))
        };
        let ((at, slope), (low, _), (top, _)) = (raw(t), raw(constant(0.0)), raw(constant(1.0)));
        let inverse = (top - low).recip();
        [(at - low) * inverse, slope * inverse]
    }
}
