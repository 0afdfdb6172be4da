//! How weights begin. `fan_in` and `fan_out` count the numbers that an output reads and that read
//! an input: for a kernel `[KH, KW, in, out]`, KH·KW·in and KH·KW·out.

use yuragi_graph::Init;

/// Every weight 0: the last layer of a residual branch, which then begins as the identity.
pub const ZERO: Init = Init::Constant(0.0);

/// Every weight 1: the gain of a normalisation.
pub const ONE: Init = Init::Constant(1.0);

/// Uniform in ±1/√fan_in, the variance 1/(3·fan_in) that PyTorch gives its linear and convolutional layers.
pub fn standard(fan_in: usize) -> Init {
    Init::Uniform(1.0 / root(fan_in))
}

/// Normal with variance 1/fan_in (LeCun et al. 1998): keeps the variance through linear layers.
pub fn lecun(fan_in: usize) -> Init {
    Init::Normal(1.0 / root(fan_in))
}

/// Normal with variance 2/fan_in (He et al. 2015): keeps the variance through rectifiers.
pub fn kaiming(fan_in: usize) -> Init {
    Init::Normal(core::f32::consts::SQRT_2 / root(fan_in))
}

/// Uniform with variance 2/(fan_in + fan_out) (Glorot & Bengio 2010).
pub fn xavier(fan_in: usize, fan_out: usize) -> Init {
    Init::Uniform(libm::sqrtf(6.0) / root(fan_in + fan_out))
}

fn root(fan: usize) -> f32 {
    libm::sqrtf(fan.max(1) as f32)
}
