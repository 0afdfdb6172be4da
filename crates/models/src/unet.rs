//! A U-Net over latents (Ronneberger et al. 2015; Ho et al. 2020; Dhariwal & Nichol 2021), steered by
//! time and text.
//!
//! ```text
//!  x_t ─ conv ─[R]───────────────────────────────────[R]─ norm ─ conv ─ x₀      H×W,    channels[0]
//!               ↓└────────────────────────────────┘  ↑
//!              [R]──────────────────────────────[R A]                           H/2×W/2, channels[1]
//!                ↓└──────────────────────────┘    ↑
//!               [R]────────────────────────[R A]                                H/4×W/4, channels[2]
//!                 └── + text grid ─[R A R]─┘
//! ```
//!
//! R is a residual block whose second normalisation is modulated by (time, pooled text); A attends
//! to the picture itself, then to the caption's tokens. A linear map of the pooled text is added to
//! the coarsest grid: where in the picture a word belongs. On the way up (↑) channels are mapped
//! linearly to those of the next width before pixels are doubled, since the block that follows mixes
//! neighbours anyway.

use yuragi_graph::{Init, Tensor};
use yuragi_nn::{
    Conv2d, Linear, Scope, attention, conv2d, group_norm, init, linear, modulated_group_norm, timestep_embedding,
    upsample,
};

use crate::text_encoder::Features;

/// Groups of every normalisation.
pub(crate) const GROUPS: usize = 8;

/// The extents of a U-Net.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UNet {
    /// Channels of the latent.
    pub latent: usize,
    /// Channels at full, half and quarter width; multiples of 8.
    pub channels: [usize; 3],
    /// Channels of the condition that modulates normalisations; even.
    pub condition: usize,
    /// Attention heads; divides `channels[1]` and `channels[2]`.
    pub heads: usize,
}

/// What every block is told.
#[derive(Clone, Copy)]
struct Context<'g> {
    condition: Tensor<'g>,
    text: Features<'g>,
    heads: usize,
}

impl UNet {
    /// Noisy latents `x [N, H, W, Z]` at times `t [N]` (0 clean to 1 noise) and the features of their
    /// captions → an estimate of the clean latents. H and W are multiples of 4.
    #[track_caller]
    pub fn denoise<'g>(&self, s: &Scope<'g>, x: Tensor<'g>, t: Tensor<'g>, text: Features<'g>) -> Tensor<'g> {
        let [full, half, quarter] = self.channels;
        let context = Context { condition: self.condition(s, t, text.pooled), text, heads: self.heads };
        let residual = |name: &str, x, outputs| residual(&s.enter(name), x, outputs, context.condition);
        let attend = |name: &str, x| context.attend(&s.enter(name), x);
        let down = |name: &str, x: Tensor<'g>| Conv2d::new(x.dim(-1), 3).stride(2).apply(&s.enter(name), x);
        let up = |name: &str, x: Tensor<'g>, outputs| upsample(linear(&s.enter(name), x, outputs));

        let x = conv2d(&s.enter("in"), x, full, 3);
        let skip0 = residual("down0.residual", x, full);
        let skip1 = residual("down1.residual", down("down1.half", skip0), half);
        let skip2 = residual("down2.residual", down("down2.half", skip1), quarter);

        let x = skip2 + grid(&s.enter("mid.grid"), text.pooled, skip2);
        let x = attend("mid.attention", residual("mid.residual1", x, quarter));
        let x = residual("mid.residual2", x, quarter);

        let x = attend("up2.attention", residual("up2.residual", x.concat(&[skip2], -1), quarter));
        let x = up("up2.narrow", x, half).concat(&[skip1], -1);
        let x = attend("up1.attention", residual("up1.residual", x, half));
        let x = up("up1.narrow", x, full).concat(&[skip0], -1);
        let x = residual("up0.residual", x, full);
        Conv2d::new(self.latent, 3).zero().apply(&s.enter("out"), group_norm(&s.enter("norm"), x, GROUPS).silu())
    }

    /// silu(MLP(sinusoids of t) + linear(pooled text)): `[N, condition]`.
    #[track_caller]
    fn condition<'g>(&self, s: &Scope<'g>, t: Tensor<'g>, pooled: Tensor<'g>) -> Tensor<'g> {
        let time = timestep_embedding(s, t * 1000.0, self.channels[0], 10_000.0);
        let time = linear(&s.enter("time.0"), time, self.condition).silu();
        (linear(&s.enter("time.1"), time, self.condition) + linear(&s.enter("text"), pooled, self.condition)).silu()
    }
}

/// A linear map of each sample's pooled text to the shape of `like [N, H, W, C]`, beginning as 0.
#[track_caller]
fn grid<'g>(s: &Scope<'g>, pooled: Tensor<'g>, like: Tensor<'g>) -> Tensor<'g> {
    let shape = like.shape();
    Linear::new(shape.iter().skip(1).product()).zero().apply(s, pooled).reshape(&shape)
}

/// x + conv(silu(modulated(conv(silu(norm(x)))))), modulated by `condition [N, E]`; where the channels change, x is mapped
/// linearly.
#[track_caller]
pub(crate) fn residual<'g>(s: &Scope<'g>, x: Tensor<'g>, outputs: usize, condition: Tensor<'g>) -> Tensor<'g> {
    let conv = |name: &str, x: Tensor<'g>, init: Init| Conv2d::new(outputs, 3).init(init).apply(&s.enter(name), x);
    let h = group_norm(&s.enter("norm1"), x, GROUPS).silu();
    let h = conv("conv1", h, init::standard(9 * x.dim(-1)));
    let h = modulated_group_norm(&s.enter("norm2"), h, condition, GROUPS).silu();
    let h = conv("conv2", h, init::ZERO);
    let x = if x.dim(-1) == outputs { x } else { linear(&s.enter("shortcut"), x, outputs) };
    x + h
}

impl<'g> Context<'g> {
    /// x + attention to itself, + attention to the caption: pixels are tokens.
    #[track_caller]
    fn attend(&self, s: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let (n, h, w, c) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
        let tokens = |x: Tensor<'g>| x.reshape(&[n, h * w, c]);
        let (heads, text) = (self.heads, self.text);
        let y = tokens(group_norm(&s.enter("norm1"), x, GROUPS));
        let x = tokens(x) + attention(&s.enter("self"), y, y, heads, None);
        let y = group_norm(&s.enter("norm2"), x, GROUPS);
        let x = x + attention(&s.enter("cross"), y, text.tokens, heads, Some(text.mask));
        x.reshape(&[n, h, w, c])
    }
}
