//! TAESD, the tiny autoencoder (Bohan 2023): pictures from a denoiser's latents in a few milliseconds, for previews.

use alloc::vec::Vec;

use yuragi_graph::{Tensor, op::Window};
use yuragi_nn::{Scope, upsample};

use super::layers::{Bias, conv3, convolution};

/// The extents of a tiny autoencoder's decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TinyAutoencoder {
    /// Channels of the latent.
    pub latent: usize,
    /// Channels of every layer.
    pub channels: usize,
    /// Blocks of each level of the decoder, from the latent's size up.
    pub decoder: Vec<usize>,
}

impl Default for TinyAutoencoder {
    /// The published one.
    fn default() -> TinyAutoencoder {
        TinyAutoencoder { latent: 4, channels: 64, decoder: [3, 3, 3, 1].into() }
    }
}

impl TinyAutoencoder {
    /// Latents as the denoiser has them `[N, H, W, latent]` → pictures `[N, H·f, W·f, 3]`, about −1..1.
    #[track_caller]
    pub fn decode<'g>(&self, s: &Scope<'g>, latent: Tensor<'g>) -> Tensor<'g> {
        let mut layers = Layers { s: s.enter("decoder.layers"), next: 0 };
        let mut x = conv3(&layers.enter(), (latent * (1.0 / 3.0)).tanh() * 3.0, self.channels).relu();
        layers.next += 1;
        let last = self.decoder.len().saturating_sub(1);
        for (level, &blocks) in self.decoder.iter().enumerate() {
            x = (0..blocks).fold(x, |x, _| block(&layers.enter(), x));
            if level < last {
                layers.next += 1;
                x = convolution(&layers.enter(), upsample(x), self.channels, Window::same(3), Bias::No);
            }
        }
        conv3(&layers.enter(), x, 3) * 2.0 - 1.0
    }
}

/// Numbered layers; those without parameters count, too.
struct Layers<'g> {
    s: Scope<'g>,
    next: usize,
}

impl<'g> Layers<'g> {
    fn enter(&mut self) -> Scope<'g> {
        self.next += 1;
        self.s.enter(self.next - 1)
    }
}

/// relu(x + conv(relu(conv(relu(conv(x)))))).
#[track_caller]
fn block<'g>(s: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let c = x.dim(-1);
    let conv = |number: usize, x| conv3(&s.enter("conv").enter(number), x, c);
    (x + conv(4, conv(2, conv(0, x).relu()).relu())).relu()
}
