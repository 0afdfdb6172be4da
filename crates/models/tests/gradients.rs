//! Small networks' gradients against central differences, in f64.

#[path = "../../nn/tests/common/mod.rs"]
mod common;

use common::{Input::*, check};
use yuragi_models::{
    autoencoder::{Autoencoder, Fine},
    text_encoder::{Features, TextEncoder},
    unet::UNet,
};

#[test]
fn text_encoder() {
    let encoder = TextEncoder { vocabulary: 7, length: 5, width: 8, layers: 2, heads: 2 };
    let captions = [1, 5, 2, 0, 0, 1, 3, 4, 6, 2];
    check(&[Index(&[2, 5], &captions)], |s, x| {
        let text = encoder.encode(s, x[0]);
        vec![text.tokens, text.pooled]
    });
}

#[test]
fn autoencoder() {
    let autoencoder = Autoencoder { latent: 3, channels: [16, 24], blocks: [1, 2], fine: Fine::default() };
    check(&[Real(&[2, 8, 8, 3])], |s, x| {
        let posterior = autoencoder.encode(s, x[0]);
        vec![posterior.mean, posterior.log_variance, posterior.kl()]
    });
    check(&[Real(&[1, 2, 3, 3])], |s, x| vec![autoencoder.decode(s, x[0])]);
    let fine = Autoencoder { fine: Fine { channels: 8, blocks: 1 }, ..autoencoder };
    check(&[Real(&[1, 16, 8, 3])], |s, x| vec![fine.encode(s, x[0]).mean]);
    check(&[Real(&[1, 2, 1, 3])], |s, x| vec![fine.decode(s, x[0])]);
}

#[test]
fn unet() {
    let unet = UNet { latent: 3, channels: [16, 16, 24], condition: 12, heads: 2 };
    let inputs = [Real(&[2, 8, 4, 3]), Real(&[2]), Real(&[2, 5, 8]), Real(&[2, 5]), Real(&[2, 8])];
    check(&inputs, |s, x| {
        let text = Features { tokens: x[2], mask: x[3], pooled: x[4] };
        vec![unet.denoise(s, x[0], x[1] * 1e-3, text)]
    });
}
