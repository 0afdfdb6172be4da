use super::{Course, Greedy, Stack, check, trainer, two_state, upwards};
use crate::draw::Draws;
use crate::error::{Error, index, length, range};
use crate::rbm::layers::{self, Matrix, Scratch};
use crate::rbm::slices::{Slices, Sums};
use crate::rbm::train::{Gradient, Offsets};
use crate::rbm::{Rbm, Units};
use crate::sampler::Hook;
use alloc::vec::Vec;
use core::ops::Range;
use yuragi_numeric::tree::Tree;

/// A deep Boltzmann machine (Salakhutdinov and Hinton, *AISTATS* 2009): layers x_0 = v, x_1, …, x_L with
///
/// > E = −Σ_l x_lᵀ W_l x_(l+1) − Σ_l b_lᵀ x_l.
///
/// Given the odd layers the even ones are independent and the other way round, so that it is a restricted Boltzmann
/// machine whose visible layer are the even layers, one after another, and whose hidden layer are the odd ones:
/// [`bipartite`](Self::bipartite), of which Gibbs steps, exact ln Z, AIS and reverse AIS hold as they are. With more
/// than two hidden layers some of its weights stay 0.
///
/// ```
/// use yuragi_energy::{deep::{Dbm, MeanFieldSettings}, rbm::{Units, partition}};
/// let mut dbm = Dbm::new(&[4, 3, 2], Units::Binary)?;
/// dbm.set_weights(0, &[0.5; 12])?;
/// let v = [1.0, 0.0, 1.0, 1.0];
/// let means = dbm.mean_field(&v, &MeanFieldSettings::default())?;
/// let log_z = partition::exact_log_z(dbm.bipartite())?;
/// assert!(dbm.bound(&means, log_z)?[0] < 0.0); // at most ln p(v)
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dbm {
    sizes: Vec<usize>,
    pub(super) rbm: Rbm,
}

/// When mean-field equations count as solved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanFieldSettings {
    /// The most rounds over all layers, at least 1.
    pub rounds: u32,
    /// The change of a mean below which a round is the last.
    pub tolerance: f32,
    /// The share of the old means that stays, in \[0, 1).
    pub damping: f32,
}

impl Default for MeanFieldSettings {
    fn default() -> Self {
        Self { rounds: 50, tolerance: 1e-4, damping: 0.0 }
    }
}

/// Q(h|v) = Π of independent units, for some rows v.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanField {
    /// The means of the even layers, with v as it is, row by row.
    pub even: Vec<f32>,
    /// The means of the odd layers.
    pub odd: Vec<f32>,
    /// The rounds that were made.
    pub rounds: u32,
    /// The largest change of a mean in the last of them: at most the tolerance, unless the rounds ended first.
    pub change: f32,
}

impl Dbm {
    /// Layers of these sizes, the visible first; all parameters 0.
    ///
    /// # Errors
    /// Fewer than two layers, a layer without units, Gaussian units, or more than 65535 units in the even or in the odd
    /// layers.
    pub fn new(sizes: &[usize], units: Units) -> Result<Self, Error> {
        range("the number of layers", sizes.len() as f64, sizes.len() >= 2, "at least 2, with the visible one")?;
        two_state(units)?;
        for &size in sizes {
            range("a layer's size", size as f64, (1..1 << 16).contains(&size), "from 1 to 65535")?;
        }
        let [even, odd] = [0, 1].map(|parity| sizes.iter().skip(parity).step_by(2).sum());
        Ok(Self { sizes: sizes.to_vec(), rbm: Rbm::new(even, odd, units, units)? })
    }

    /// A machine with `rbm` as its two lowest layers and layers of these sizes above, whose biases are 0 and whose weights
    /// are normal with standard deviation `scale`: as this goes to 0, p(v) becomes that of `rbm`, and learning goes on
    /// from there.
    ///
    /// # Errors
    /// As [`new`](Self::new); units of two kinds, or parameters of the wrong lengths.
    pub fn over(rbm: &Rbm, above: &[usize], scale: f32, seed: u64) -> Result<Self, Error> {
        rbm.rows(&[])?;
        if rbm.visible_units() != rbm.hidden_units() {
            return Err(Error::Unsupported { what: "a deep machine over another", needs: "units of one kind" });
        }
        let sizes: Vec<usize> = [rbm.visible(), rbm.hidden()].iter().chain(above).copied().collect();
        let mut dbm = Self::new(&sizes, rbm.visible_units())?;
        dbm.randomize(scale, seed);
        dbm.set_weights(0, &rbm.weights)?;
        dbm.bias_mut(0)?.copy_from_slice(&rbm.visible_bias);
        dbm.bias_mut(1)?.copy_from_slice(&rbm.hidden_bias);
        Ok(dbm)
    }

    /// All weights become normal with standard deviation `scale`, the biases stay.
    pub fn randomize(&mut self, scale: f32, seed: u64) {
        self.rbm.randomize(scale, seed);
        self.rbm.weights = self.neighbours(&self.rbm.weights);
    }

    /// Of numbers in the layout of the bipartite weights, those between neighbouring layers; the others are 0.
    pub(super) fn neighbours(&self, weights: &[f32]) -> Vec<f32> {
        let mut kept = alloc::vec![0.0; weights.len()];
        for layer in 0..self.sizes.len() - 1 {
            self.entries(layer).for_each(|place| kept[place] = weights[place]);
        }
        kept
    }

    /// The layers' sizes, the visible first.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The even layers as visible and the odd layers as hidden units.
    pub fn bipartite(&self) -> &Rbm {
        &self.rbm
    }

    /// Where a layer lies among the layers of its parity.
    pub(super) fn place(&self, layer: usize) -> Range<usize> {
        let start = self.sizes[..layer].iter().skip(layer % 2).step_by(2).sum();
        start..start + self.sizes[layer]
    }

    /// The places of W_l, row by row, in the bipartite weights.
    fn entries(&self, layer: usize) -> impl Iterator<Item = usize> + use<> {
        let (lower, upper, columns) = (self.place(layer), self.place(layer + 1), self.rbm.hidden());
        let even = layer.is_multiple_of(2);
        lower.flat_map(move |i| upper.clone().map(move |j| if even { i * columns + j } else { j * columns + i }))
    }

    /// W_l between the layers l and l + 1, row by row: sizes\[l\] × sizes\[l + 1\].
    ///
    /// # Errors
    /// No such layer.
    pub fn weights(&self, layer: usize) -> Result<Vec<f32>, Error> {
        index("the weights between layers", layer, self.sizes.len() - 1)?;
        Ok(self.entries(layer).map(|place| self.rbm.weights[place]).collect())
    }

    /// Sets W_l.
    ///
    /// # Errors
    /// No such layer, or another number of weights.
    pub fn set_weights(&mut self, layer: usize, weights: &[f32]) -> Result<(), Error> {
        index("the weights between layers", layer, self.sizes.len() - 1)?;
        length("the weights", weights.len(), self.sizes[layer] * self.sizes[layer + 1])?;
        self.entries(layer).zip(weights).for_each(|(place, &weight)| self.rbm.weights[place] = weight);
        Ok(())
    }

    /// b_l.
    ///
    /// # Errors
    /// No such layer.
    pub fn bias(&self, layer: usize) -> Result<&[f32], Error> {
        index("the layer", layer, self.sizes.len())?;
        let biases = if layer.is_multiple_of(2) { &self.rbm.visible_bias } else { &self.rbm.hidden_bias };
        Ok(&biases[self.place(layer)])
    }

    /// b_l, to be changed.
    ///
    /// # Errors
    /// No such layer.
    pub fn bias_mut(&mut self, layer: usize) -> Result<&mut [f32], Error> {
        index("the layer", layer, self.sizes.len())?;
        let place = self.place(layer);
        let biases = if layer.is_multiple_of(2) { &mut self.rbm.visible_bias } else { &mut self.rbm.hidden_bias };
        Ok(&mut biases[place])
    }

    /// Learns a stack of restricted Boltzmann machines and joins them: in the first the visible layer counts twice,
    /// in the last the hidden layer, and the weights of those between are halved, in place of the input that a
    /// layer will have from its other side (Salakhutdinov and Hinton 2009, section 3.1). A layer gets the
    /// mean of the biases that it had above and below.
    ///
    /// # Errors
    /// As [`new`](Self::new); a number out of range, data that are not whole rows, or [`Error::Cancelled`].
    pub fn pretrain(stack: Stack<'_>, greedy: &Greedy, seed: u64, hook: Hook<'_>) -> Result<Self, Error> {
        let rows = check(stack, greedy)?;
        let Stack { data, sizes, units } = stack;
        let mut dbm = Self::new(sizes, units)?;
        let layers = sizes.len() - 1;
        let make = trainer(greedy.settings);
        let mut course = Course { greedy, seed, layers, rows, make: &make, hook };
        let draws = Draws::new(seed ^ 0xdb3);
        let mut stack: Vec<Rbm> = Vec::new();
        for layer in 0..layers {
            let (n, m) = (sizes[layer], sizes[layer + 1]);
            let copies =
                if layers == 1 { (1, 1) } else { (1 + usize::from(layer == 0), 1 + usize::from(layer + 1 == layers)) };
            let mut rbm = Rbm::new(copies.0 * n, copies.1 * m, units, units)?;
            rbm.randomize(greedy.scale, seed.wrapping_add(layer as u64));
            tie(&mut rbm, copies);
            let data = |epoch: u32, going: &mut dyn FnMut() -> bool| {
                let (step, mut x) = (epoch.wrapping_mul(layers as u32), data.to_vec());
                for (l, below) in (0..).zip(&stack) {
                    let step = step.wrapping_add(l as u32);
                    x = upwards(below, &twice(x, below.visible(), sizes[l]), draws, step, going)?;
                }
                Ok(twice(x, copies.0 * n, n))
            };
            if !course.learn(&mut rbm, layer, data, |rbm| tie(rbm, copies))?.1 {
                return Err(Error::Cancelled);
            }
            let factor = if layer == 0 || layer + 1 == layers { 1.0 } else { 0.5 };
            let columns = rbm.hidden();
            let weights = rbm.weights.chunks(columns).take(n).flat_map(|row| row[..m].iter().map(|w| factor * w));
            dbm.set_weights(layer, &weights.collect::<Vec<f32>>())?;
            let shares = (if layer == 0 { 1.0 } else { 0.5 }, if layer + 1 == layers { 1.0 } else { 0.5 });
            dbm.bias_mut(layer)?.iter_mut().zip(&rbm.visible_bias).for_each(|(b, x)| *b += shares.0 * x);
            dbm.bias_mut(layer + 1)?.iter_mut().zip(&rbm.hidden_bias).for_each(|(b, x)| *b += shares.1 * x);
            stack.push(rbm);
        }
        Ok(dbm)
    }

    /// Solves the mean-field equations m_l = ⟨x_l⟩ in the field W_(l−1)ᵀ m_(l−1) + W_l m_(l+1) + b_l for each row v, odd
    /// and even layers in turn, from a pass upwards with doubled weights. Each turn raises the [`bound`](Self::bound),
    /// whatever the damping.
    ///
    /// # Errors
    /// Values that are not whole rows of the visible layer, or a number out of range.
    pub fn mean_field(&self, v: &[f32], settings: &MeanFieldSettings) -> Result<MeanField, Error> {
        settings.check()?;
        let MeanFieldSettings { rounds, tolerance, damping } = *settings;
        let (visible, units) = (self.sizes[0], self.rbm.visible_units());
        let rows = v.len() / visible;
        length("the visible values", v.len(), rows * visible)?;
        let columns = [self.rbm.visible(), self.rbm.hidden()];
        let mut means = columns.map(|columns| alloc::vec![0.0; rows * columns]);
        let mut scratch = Scratch::default();
        let mut fields = Vec::new();
        let mut below = v.to_vec();
        for layer in 1..self.sizes.len() {
            let weights = self.weights(layer - 1)?;
            let last = layer + 1 == self.sizes.len();
            scratch.product(&below, Matrix::new(&weights, self.sizes[layer]), &[], &mut fields);
            for row in fields.chunks_mut(self.sizes[layer]) {
                let factor = if last { 1.0 } else { 2.0 };
                row.iter_mut().zip(self.bias(layer)?).for_each(|(x, b)| *x = factor * *x + b);
            }
            layers::means(units, &mut fields);
            let place = self.place(layer);
            let rows = means[layer % 2].chunks_mut(columns[layer % 2]).zip(fields.chunks(self.sizes[layer]));
            rows.for_each(|(to, from)| to[place.clone()].copy_from_slice(from));
            core::mem::swap(&mut below, &mut fields);
        }
        let [mut even, mut odd] = means;
        for (to, v) in even.chunks_mut(columns[0]).zip(v.chunks(visible)) {
            to[..visible].copy_from_slice(v);
        }
        // The rows of v and those of the even hidden layers, whose means are the only ones to change.
        let (below, above) = self.rbm.weights.split_at(visible * columns[1]);
        let above = Matrix::new(above, columns[1]);
        let mut upper: Vec<f32> = even.chunks(columns[0]).flat_map(|row| &row[visible..]).copied().collect();
        let mut constant = Vec::new();
        scratch.product(v, Matrix::new(below, columns[1]), &self.rbm.hidden_bias, &mut constant);
        let (mut done, mut change) = (0, f32::INFINITY);
        while done < rounds && change > tolerance {
            change = 0.0;
            let mut mix = |old: &mut [f32], fields: &mut [f32]| {
                layers::means(units, fields);
                for (old, new) in old.iter_mut().zip(fields) {
                    let next = damping * *old + (1.0 - damping) * *new;
                    change = change.max((next - *old).abs());
                    *old = next;
                }
            };
            if upper.is_empty() {
                fields.clone_from(&constant);
            } else {
                scratch.product(&upper, above, &[], &mut fields);
                fields.iter_mut().zip(&constant).for_each(|(field, constant)| *field += constant);
            }
            mix(&mut odd, &mut fields);
            if !upper.is_empty() {
                scratch.product(&odd, above.turned(), &self.rbm.visible_bias[visible..], &mut fields);
                mix(&mut upper, &mut fields);
            }
            done += 1;
        }
        if !upper.is_empty() {
            for (row, upper) in even.chunks_mut(columns[0]).zip(upper.chunks(columns[0] - visible)) {
                row[visible..].copy_from_slice(upper);
            }
        }
        Ok(MeanField { even, odd, rounds: done, change })
    }

    /// The variational bound ⟨−E⟩_Q + H(Q) − ln Z ≤ ln p(v) of each row, for any means of the hidden layers; `log_z` is
    /// that of [`bipartite`](Self::bipartite).
    ///
    /// # Errors
    /// Means that are not whole rows.
    pub fn bound(&self, means: &MeanField, log_z: f64) -> Result<Vec<f64>, Error> {
        let (n, m) = (self.rbm.visible(), self.rbm.hidden());
        let rows = self.rbm.rows(&means.even)?;
        length("the means of the odd layers", means.odd.len(), rows * m)?;
        let visible = self.sizes[0];
        let entropy = |means: &[f32]| means.iter().map(|&mean| entropy(self.rbm.visible_units(), mean)).sum::<f64>();
        let row = |(even, odd): (&[f32], &[f32])| {
            Ok(entropy(&even[visible..]) + entropy(odd) - self.rbm.energy(even, odd)? - log_z)
        };
        means.even.chunks(n).zip(means.odd.chunks(m)).map(row).collect()
    }

    /// `count` rows of visible draws after `steps` steps of Gibbs sampling from a uniform start.
    ///
    /// # Errors
    /// None but for parameters of the wrong lengths.
    pub fn sample(&self, count: u32, steps: u32, seed: u64) -> Result<Vec<f32>, Error> {
        let draws = Draws::new(seed);
        let even = self.rbm.gibbs(&self.rbm.start(count, draws), steps, draws, 0)?;
        Ok(even.chunks(self.rbm.visible()).flat_map(|row| &row[..self.sizes[0]]).copied().collect())
    }
}

/// Rows of `columns` values, each twice in a row if `wanted` is twice as many.
fn twice(x: Vec<f32>, wanted: usize, columns: usize) -> Vec<f32> {
    if wanted == columns { x } else { x.chunks(columns).flat_map(|row| row.repeat(2)).collect() }
}

/// Makes the copies of a layer equal: each parameter becomes the mean over the copies.
fn tie(rbm: &mut Rbm, (rows, columns): (usize, usize)) {
    let (n, m) = (rbm.visible() / rows, rbm.hidden() / columns);
    let share = 1.0 / (rows * columns) as f32;
    let places = |i: usize, j: usize| {
        (0..rows).flat_map(move |a| (0..columns).map(move |b| (a * n + i) * columns * m + b * m + j))
    };
    for i in 0..n {
        for j in 0..m {
            let mean = share * places(i, j).map(|place| rbm.weights[place]).sum::<f32>();
            places(i, j).for_each(|place| rbm.weights[place] = mean);
        }
    }
    for (bias, copies) in [(&mut rbm.visible_bias, rows), (&mut rbm.hidden_bias, columns)] {
        let count = bias.len() / copies;
        for i in 0..count {
            let mean = (0..copies).map(|copy| bias[copy * count + i]).sum::<f32>() / copies as f32;
            (0..copies).for_each(|copy| bias[copy * count + i] = mean);
        }
    }
}

/// −p ln p − (1−p) ln(1−p) of a unit with this mean.
fn entropy(units: Units, mean: f32) -> f64 {
    let mean = f64::from(mean);
    let p = if units == Units::Spin { 0.5 * (1.0 + mean) } else { mean };
    [p, 1.0 - p].iter().map(|&p| if p > 0.0 { -p * libm::log(p) } else { 0.0 }).sum()
}

impl MeanField {
    /// These rows, and then others.
    fn append(&mut self, other: MeanField) {
        self.even.extend(other.even);
        self.odd.extend(other.odd);
        (self.rounds, self.change) = (self.rounds.max(other.rounds), self.change.max(other.change));
    }
}

/// How a [`DbmTrainer`] learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DbmSettings {
    /// The step along the gradient of the mean bound.
    pub rate: f32,
    /// The share of the last step that is kept, in \[0, 1).
    pub momentum: f32,
    /// The weights shrink by rate · this · W a step.
    pub weight_decay: f32,
    /// The number of Gibbs steps that the chains go on, at least 1.
    pub steps: u32,
    /// The number of persistent chains, at least 1.
    pub chains: u32,
    /// Chains that go on from batch to batch; else one starts from the mean field of each row, as in contrastive
    /// divergence.
    pub persistent: bool,
    /// The positive phase.
    pub mean_field: MeanFieldSettings,
    /// Gradients about the mean activities, with which machines learn without being pretrained (Montavon and Müller
    /// 2012).
    pub centred: bool,
}

impl Default for DbmSettings {
    fn default() -> Self {
        let mean_field = MeanFieldSettings::default();
        Self {
            rate: 0.01,
            momentum: 0.0,
            weight_decay: 0.0,
            steps: 5,
            chains: 100,
            persistent: true,
            mean_field,
            centred: false,
        }
    }
}

impl DbmSettings {
    /// `Ok` if every number lies in its range.
    pub(super) fn check(&self) -> Result<(), Error> {
        let &Self { rate, momentum, weight_decay, steps, chains, mean_field, .. } = self;
        range("the rate", rate.into(), rate > 0.0 && rate.is_finite(), "positive and finite")?;
        range("the momentum", momentum.into(), (0.0..1.0).contains(&momentum), "at least 0 and below 1")?;
        range("the weight decay", weight_decay.into(), weight_decay >= 0.0 && weight_decay.is_finite(), "at least 0")?;
        range("the number of Gibbs steps", steps.into(), steps >= 1, "at least 1")?;
        range("the number of chains", chains.into(), chains >= 1, "at least 1")?;
        mean_field.check()
    }
}

impl MeanFieldSettings {
    fn check(&self) -> Result<(), Error> {
        let &Self { rounds, tolerance, damping } = self;
        range("the number of rounds", rounds.into(), rounds > 0, "at least 1")?;
        range("the tolerance", tolerance.into(), tolerance >= 0.0, "at least 0")?;
        range("the damping", damping.into(), (0.0..1.0).contains(&damping), "at least 0 and below 1")
    }
}

/// Learns all layers at once: data moments by mean field, model moments by chains that go on from batch to batch
/// (stochastic approximation; Salakhutdinov and Hinton 2009, section 2) or start from the data.
#[derive(Clone, Debug)]
pub struct DbmTrainer {
    settings: DbmSettings,
    draws: Draws,
    step: u32,
    /// Of each slice.
    chains: Vec<Vec<f32>>,
    velocity: Gradient,
}

impl DbmTrainer {
    /// A learner; its chains begin uniformly.
    ///
    /// # Errors
    /// A number out of range.
    pub fn new(dbm: &Dbm, settings: DbmSettings, seed: u64) -> Result<Self, Error> {
        settings.check()?;
        let draws = Draws::new(seed);
        Ok(Self { settings, draws, step: 0, chains: Vec::new(), velocity: Gradient::zero(&dbm.rbm) })
    }

    /// Another rate from now on.
    ///
    /// # Errors
    /// A rate that is not positive and finite.
    pub fn set_rate(&mut self, rate: f32) -> Result<(), Error> {
        range("the rate", rate.into(), rate > 0.0 && rate.is_finite(), "positive and finite")?;
        self.settings.rate = rate;
        Ok(())
    }

    /// Learns from one batch of rows; gives the mean field of its positive phase.
    ///
    /// # Errors
    /// No row, or values that are not whole rows.
    pub fn learn(&mut self, dbm: &mut Dbm, batch: &[f32]) -> Result<MeanField, Error> {
        self.learn_while(dbm, batch, &mut || true)
    }

    /// [`learn`](Self::learn) that asks `going` before each Gibbs step whether to go on, and otherwise leaves the machine as
    /// it was.
    ///
    /// # Errors
    /// Those of [`learn`](Self::learn), or [`Error::Cancelled`].
    pub fn learn_while(
        &mut self,
        dbm: &mut Dbm,
        batch: &[f32],
        going: &mut dyn FnMut() -> bool,
    ) -> Result<MeanField, Error> {
        self.learn_on(dbm, batch, Slices::ONE, going)
    }

    /// Learns from one batch in slices, as [`Trainer::learn_on`](crate::rbm::train::Trainer::learn_on) does; each slice has its
    /// share of the chains. Gives the mean field of this rank's rows.
    ///
    /// # Errors
    /// Those of [`learn_while`](Self::learn_while), fewer slices than ranks, persistent chains that the slices do not divide, or
    /// a rank that is gone.
    pub fn learn_on(
        &mut self,
        dbm: &mut Dbm,
        batch: &[f32],
        slices: Slices<'_>,
        going: &mut dyn FnMut() -> bool,
    ) -> Result<MeanField, Error> {
        let (gradient, means) = self.estimate(dbm, batch, slices, going)?;
        let DbmSettings { rate, momentum, weight_decay, .. } = self.settings;
        let update = |velocity: &mut [f32], slope: &[f32], parameters: &mut [f32], decay: f32| {
            for ((velocity, slope), parameter) in velocity.iter_mut().zip(slope).zip(parameters) {
                *velocity = momentum * *velocity + rate * (slope - decay * *parameter);
                *parameter += *velocity;
            }
        };
        let (velocity, rbm) = (&mut self.velocity, &mut dbm.rbm);
        update(&mut velocity.weights, &gradient.weights, &mut rbm.weights, weight_decay);
        update(&mut velocity.visible_bias, &gradient.visible_bias, &mut rbm.visible_bias, 0.0);
        update(&mut velocity.hidden_bias, &gradient.hidden_bias, &mut rbm.hidden_bias, 0.0);
        Ok(means)
    }

    /// The estimated gradient of the mean bound over the batch, in the layout of
    /// [`bipartite`](Dbm::bipartite); advances the chains.
    ///
    /// # Errors
    /// No row, or values that are not whole rows.
    pub fn gradient(&mut self, dbm: &Dbm, batch: &[f32]) -> Result<(Gradient, MeanField), Error> {
        self.estimate(dbm, batch, Slices::ONE, &mut || true)
    }

    fn estimate(
        &mut self,
        dbm: &Dbm,
        batch: &[f32],
        slices: Slices<'_>,
        going: &mut dyn FnMut() -> bool,
    ) -> Result<(Gradient, MeanField), Error> {
        let rbm = &dbm.rbm;
        length("the trainer's weights", self.velocity.weights.len(), rbm.weights.len())?;
        length("the trainer's biases", self.velocity.visible_bias.len(), rbm.visible())?;
        let DbmSettings { steps, persistent, chains: count, mean_field, .. } = self.settings;
        let columns = (rbm.visible(), rbm.hidden());
        let (visible, own) = (dbm.sizes[0].max(1), slices.own().len().max(1));
        let each = batch.len() / visible / own;
        range("the number of rows", each as f64, each > 0, "at least 1")?;
        slices.check(each * slices.count)?;
        if persistent {
            let legal = (count as usize).is_multiple_of(slices.count);
            range("the number of chains", count.into(), legal, "a multiple of the number of slices")?;
        }
        let first = self.step;
        self.step = first.wrapping_add(steps);
        let (mut tree, mut scratch, mut slopes) = (Tree::new(slices.count), Scratch::default(), Vec::new());
        let rows = [each, if persistent { count as usize / slices.count } else { each }];
        let of = Sums::new(columns, slices.count, rows);
        let mut all: Option<MeanField> = None;
        for (turn, (slice, batch)) in slices.parts(batch)?.enumerate() {
            let draws = self.draws.part(slice as u64);
            let means = dbm.mean_field(batch, &mean_field)?;
            match self.chains.get_mut(turn) {
                Some(chains) if !persistent => chains.clone_from(&means.even),
                Some(_) => {}
                None if persistent => self.chains.push(rbm.start(rows[1] as u32, draws)),
                None => self.chains.push(means.even.clone()),
            }
            let chains = &mut self.chains[turn];
            rbm.rows(chains)?;
            rbm.gibbs_to(chains, &mut Vec::new(), steps, (draws, first), &mut scratch, going)?;
            let odd = rbm.hidden_means(chains)?;
            let mut sum = tree.room();
            let phases = [(&means.even[..], &means.odd[..]), (&chains[..], &odd[..])];
            of.write(phases, (&mut scratch, &mut slopes), &mut sum);
            tree.add(slice..slice + 1, sum);
            match &mut all {
                None => all = Some(means),
                Some(all) => all.append(means),
            }
        }
        let means = all.ok_or(Error::Range { what: "the number of rows", value: 0.0, legal: "at least 1" })?;
        let mut sum = slices.sum(tree, of.len())?;
        let [data, chains] = of.moments(&mut sum);
        let mut gradient = Gradient { weights: sum, ..Gradient::zero(rbm) };
        gradient.biases(&data, &chains);
        let offsets = self.settings.centred.then(|| Offsets::new(&data, &chains));
        if let Some(offsets) = &offsets {
            gradient.centre_weights(offsets);
        }
        if dbm.sizes.len() > 3 {
            gradient.weights = dbm.neighbours(&gradient.weights);
        }
        if let Some(offsets) = &offsets {
            gradient.centre_biases(offsets);
        }
        Ok((gradient, means))
    }
}
