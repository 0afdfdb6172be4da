//! A small convolutional network that tells which things a picture shows, and how many.
//!
//! | graph | inputs | outputs |
//! |---|---|---|
//! | [`Classifier::training`] | picture, share, count, hyper | loss, norm |
//! | [`Classifier::look`] | picture | things, counts |
//!
//! Shapes: picture `[B, S, S, 3]` in −1..1; share `[B, C]`, the share of each class among the things that a picture shows,
//! which adds up to 1; count `[B, 3]`, 1 at how many there are; things `[B, C]` and counts `[B, 3]`, logarithms of
//! probabilities. The loss is the cross-entropy of both, so that a picture of two things is to give each a half.
//!
//! The probability of a thing is a mixture over the places of the coarsest grid, P(c) = Σ_p a(p) · P(c | p): each place names
//! what it sees, and how much its word counts. Two things in a picture are so named by different places, not by features that
//! both share.
//!
//! ```
//! use yuragi_models::classifier::Classifier;
//! let network = Classifier { size: 64, channels: [24, 48, 96, 96], width: 96, classes: 1000 };
//! let weights: usize = network.look(1)?.params().iter().map(|spec| spec.shape.count()).sum();
//! assert!(weights < 450_000);
//! # Ok::<(), yuragi_graph::BuildError>(())
//! ```

use core::panic::Location;

use yuragi_graph::{BuildError, Builder, DType, Graph, Tensor};
use yuragi_nn::{
    Conv2d, Scope, conv2d, group_norm, layer_norm, linear, loss,
    optim::{Group, Optimizer, Rule},
};

/// Groups of every normalisation.
const GROUPS: usize = 8;
/// As many things as are told apart from fewer.
pub const MOST: usize = 3;

/// How a training steps: AdamW, with averaged weights.
pub const OPTIMIZER: Optimizer = Optimizer {
    rule: Rule::Adam { betas: [0.9, 0.99], eps: 1e-8 },
    weight_decay: 0.02,
    clip: 1.0,
    average: true,
    scaling: None,
};

/// The extents of a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classifier {
    /// The side of a picture: a multiple of 16.
    pub size: usize,
    /// Channels at a half, a quarter, an eighth and a sixteenth of the width; multiples of 8.
    pub channels: [usize; 4],
    /// Channels of what is known of a place.
    pub width: usize,
    /// Kinds of things.
    pub classes: usize,
}

impl Classifier {
    /// Whether such a network can be built.
    ///
    /// # Errors
    /// What is out of range, with the legal one.
    pub fn check(&self) -> Result<(), &'static str> {
        match self {
            Classifier { size, .. } if *size == 0 || !size.is_multiple_of(16) || *size > 1024 => {
                Err("the side of a classifier's pictures must be a multiple of 16, at most 1024")
            }
            Classifier { channels, .. }
                if channels.iter().any(|c| *c == 0 || !c.is_multiple_of(GROUPS) || *c > 4096) =>
            {
                Err("the channels of a classifier must be multiples of 8, at most 4096")
            }
            Classifier { width, classes, .. }
                if *width == 0 || *width > 65_536 || *classes == 0 || *classes > 65_536 =>
            {
                Err("the width and the classes of a classifier must be from 1 to 65536")
            }
            _ => Ok(()),
        }
    }

    /// One training step.
    ///
    /// # Errors
    /// Extents that [`check`](Self::check) refuses, or a batch too large to be addressed.
    #[track_caller]
    pub fn training(&self, batch: usize) -> Result<Graph, BuildError> {
        let b = self.builder()?;
        let [things, counts] = self.known(&Scope::new(&b), self.picture(&b, batch));
        let share = b.input("share", &[batch, self.classes], DType::F32);
        let count = b.input("count", &[batch, MOST], DType::F32);
        let hyper = Optimizer::input(&b);
        let total = entropy(share, things) + entropy(count, loss::log_softmax(counts));
        let norm = OPTIMIZER.minimize(total, hyper, |spec| Some(Group::standard(spec)));
        b.finish(&[("loss", total), ("norm", norm)])
    }

    /// What pictures show.
    ///
    /// # Errors
    /// As for [`training`](Self::training).
    #[track_caller]
    pub fn look(&self, batch: usize) -> Result<Graph, BuildError> {
        let b = self.builder()?;
        let [things, counts] = self.known(&Scope::new(&b), self.picture(&b, batch));
        b.finish(&[("things", things), ("counts", loss::log_softmax(counts))])
    }

    #[track_caller]
    fn builder(&self) -> Result<Builder, BuildError> {
        let location = Location::caller();
        self.check().map_err(|message| BuildError { message: message.into(), location })?;
        Ok(Builder::new())
    }

    fn picture<'g>(&self, b: &'g Builder, batch: usize) -> Tensor<'g> {
        b.input("picture", &[batch, self.size, self.size, 3], DType::F32)
    }

    /// Four halvings, and one more look at each of the two coarsest grids, whose places then name things; how many there are is
    /// told from the largest and the mean value of each channel. The logarithms of the things' probabilities, and logits of
    /// counts.
    fn known<'g>(&self, s: &Scope<'g>, picture: Tensor<'g>) -> [Tensor<'g>; 2] {
        let normal = |s: &Scope<'g>, x| group_norm(&s.enter("norm"), x, GROUPS).silu();
        let mut x = picture;
        for (level, channels) in self.channels.into_iter().enumerate() {
            let s = s.enter(level);
            x = normal(&s, Conv2d::new(channels, 3).stride(2).apply(&s.enter("conv"), x));
            if level >= 2 {
                let s = s.enter("again");
                x = x + normal(&s, conv2d(&s.enter("conv"), x, channels, 3));
            }
        }
        let (batch, places, channels) = (x.dim(0), x.dim(1) * x.dim(2), x.dim(3));
        let x = x.reshape(&[batch, places, channels]);
        let known = layer_norm(&s.enter("known.norm"), linear(&s.enter("known"), x, self.width)).silu();
        let named = loss::log_softmax(linear(&s.enter("things"), known, self.classes));
        let counts_for = loss::log_softmax(linear(&s.enter("places"), known, 1).reshape(&[batch, places]));
        let each = named + counts_for.reshape(&[batch, places, 1]);
        let things = loss::log_sum_exp(each, 1).reshape(&[batch, self.classes]);
        let seen = x.max(&[1]).concat(&[x.mean(&[1])], -1).reshape(&[batch, 2 * channels]);
        [things, linear(&s.enter("counts"), seen, MOST)]
    }
}

/// The mean cross-entropy of shares that add up to 1 and logarithms of probabilities.
fn entropy<'g>(share: Tensor<'g>, log_probabilities: Tensor<'g>) -> Tensor<'g> {
    (share * log_probabilities).sum_all() * (-1.0 / share.dim(0).max(1) as f32)
}
