use super::{Course, Greedy, Make, Shared, Stack, check, trainer, two_state, upwards};
use crate::draw::Draws;
use crate::error::{Error, counter, length, range};
use crate::rbm::layers::{Matrix, Scratch};
use crate::rbm::train::{Settings, Trainer};
use crate::rbm::{Rbm, Slices, Units};
use crate::sampler::Hook;
use crate::statistics::{Estimate, log_mean_exp, mean};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::ControlFlow;

/// A deep belief network (Hinton, Osindero and Teh, *Neural Computation* 18, 1527 (2006)):
///
/// > p(x_0, …, x_L) = p(x_0|x_1) ⋯ p(x_(L−2)|x_(L−1)) p_top(x_(L−1), x_L)
///
/// with a restricted Boltzmann machine on top of layers that are directed downwards. The way up, q(x_(l+1)|x_l), is
/// an approximation that learning keeps beside it.
///
/// ```
/// use yuragi_energy::{deep::{Dbn, Greedy, Stack}, rbm::{Units, partition}, sampler::quiet};
/// let data = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0].repeat(50);
/// let stack = Stack { data: &data, sizes: &[4, 3, 4], units: Units::Binary };
/// let dbn = Dbn::greedy(stack, &Greedy::default(), 1, &mut quiet)?;
/// let bound = dbn.bound(&data[..4], 100, partition::exact_log_z(&dbn.top)?, 2)?[0];
/// assert!(bound.lower.value <= bound.importance.value && bound.importance.value < 0.0);
/// assert_eq!(dbn.sample(10, 100, 3)?.len(), 10 * 4);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dbn {
    /// p(x_l|x_(l+1)): W and b of each.
    pub generative: Vec<Rbm>,
    /// q(x_(l+1)|x_l): W and c of each.
    pub recognition: Vec<Rbm>,
    /// p_top.
    pub top: Rbm,
}

/// What [`Dbn::bound`] finds for one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// ⟨ln w⟩ ≤ ln p(v): the variational bound.
    pub lower: Estimate,
    /// ln⟨w⟩, whose expectation lies between the bound and ln p(v), and nears it with the number of samples.
    pub importance: Estimate,
}

impl Dbn {
    /// A network of one machine.
    ///
    /// # Errors
    /// Gaussian units.
    pub fn new(rbm: Rbm) -> Result<Self, Error> {
        two_state(rbm.visible_units())?;
        Ok(Self { generative: Vec::new(), recognition: Vec::new(), top: rbm })
    }

    /// Puts a machine on top: the one that was there becomes a directed layer, which is left unchanged.
    ///
    /// # Errors
    /// A machine whose visible layer is not like the hidden layer below it.
    pub fn push(&mut self, rbm: Rbm) -> Result<(), Error> {
        length("the visible layer of the new top", rbm.visible(), self.top.hidden())?;
        if rbm.visible_units() != self.top.hidden_units() {
            return Err(Error::Unsupported { what: "a new top", needs: "the units of the layer below" });
        }
        let below = core::mem::replace(&mut self.top, rbm);
        self.recognition.push(below.clone());
        self.generative.push(below);
        Ok(())
    }

    /// Learns a stack layer by layer from rows of `sizes[0]` values: each machine from draws of the hidden layer
    /// below it. Where a new layer is as large as the one two below, its machine begins as the one below
    /// upside down, with which the bound is that machine's log-likelihood: what the new layer learns then raises the
    /// bound. A hook that cancels ends it: the network then has the layers of which a batch was learned, but at least
    /// one.
    ///
    /// # Errors
    /// Fewer than two layers, Gaussian units, a number out of range, or data that are not whole rows.
    pub fn greedy(stack: Stack<'_>, greedy: &Greedy, seed: u64, hook: Hook<'_>) -> Result<Self, Error> {
        Self::greedy_by(&trainer(greedy.settings), stack, greedy, seed, hook)
    }

    /// [`greedy`](Self::greedy) by batches in slices, which ranks may share; all have all rows. Each machine learns as by
    /// [`Trainer::learn_on`]; the last batch of an epoch is filled with the epoch's first rows. Of one slice, every rank learns
    /// all, as [`greedy`](Self::greedy) does. What the hook of any rank wishes is heard between batches.
    ///
    /// # Errors
    /// As for [`greedy`](Self::greedy), slices that do not divide a batch, fewer than ranks, or a rank that is gone.
    pub fn greedy_on(
        slices: Slices<'_>,
        stack: Stack<'_>,
        greedy: &Greedy,
        seed: u64,
        hook: Hook<'_>,
    ) -> Result<Self, Error> {
        if slices.count == 1 && slices.ranks.size() == 1 {
            return Self::greedy(stack, greedy, seed, hook);
        }
        let stop = Cell::new(false);
        let make = |rbm: &Rbm, _, seed| -> Result<Box<dyn super::Learns + '_>, Error> {
            Ok(Box::new(Shared { trainer: Trainer::new(rbm, greedy.settings, seed)?, slices, stop: &stop }))
        };
        Self::greedy_by(&make, stack, greedy, seed, &mut |at| {
            stop.set(stop.get() || hook(at).is_break());
            ControlFlow::Continue(())
        })
    }

    /// [`greedy`](Self::greedy) by other learners.
    pub(super) fn greedy_by(
        make: Make<'_, '_>,
        stack: Stack<'_>,
        greedy: &Greedy,
        seed: u64,
        hook: Hook<'_>,
    ) -> Result<Self, Error> {
        let rows = check(stack, greedy)?;
        let Stack { data, sizes, units } = stack;
        let layers = sizes.len() - 1;
        let mut course = Course { greedy, seed, layers, rows, make, hook };
        let mut first = Rbm::new(sizes[0], sizes[1], units, units)?;
        first.randomize(greedy.scale, seed);
        let (_, mut going) = course.learn(&mut first, 0, |_, _| Ok(data.to_vec()), |_| {})?;
        let mut dbn = Self::new(first)?;
        for layer in 1..layers {
            if !going {
                break;
            }
            let mut rbm = if sizes[layer + 1] == sizes[layer - 1] {
                dbn.top.upside_down()?
            } else {
                let mut rbm = Rbm::new(sizes[layer], sizes[layer + 1], units, units)?;
                rbm.randomize(greedy.scale, seed.wrapping_add(layer as u64));
                rbm
            };
            let draws = Draws::new(seed ^ 0xd0b7);
            // The layers below, with the machine that is the top so far.
            let data = |epoch: u32, going: &mut dyn FnMut() -> bool| {
                let (step, mut x) = (epoch.wrapping_mul(layers as u32), data.to_vec());
                for (l, below) in (0..).zip(dbn.recognition.iter().chain([&dbn.top])) {
                    x = upwards(below, &x, draws, step.wrapping_add(l), going)?;
                }
                Ok(x)
            };
            let begun;
            (begun, going) = course.learn(&mut rbm, layer, data, |_| {})?;
            if begun {
                dbn.push(rbm)?;
            }
        }
        Ok(dbn)
    }

    /// `Ok` if the layers fit together; the number of rows of visible values.
    pub(super) fn rows(&self, v: &[f32]) -> Result<usize, Error> {
        length("the ways up", self.recognition.len(), self.generative.len())?;
        let above = self.generative[1.min(self.generative.len())..].iter().chain([&self.top]);
        for ((down, up), above) in self.generative.iter().zip(&self.recognition).zip(above) {
            down.rows(&[])?;
            up.rows(&[])?;
            length("a way up's lower layer", up.visible(), down.visible())?;
            length("a way up's upper layer", up.hidden(), down.hidden())?;
            length("a layer", above.visible(), down.hidden())?;
        }
        self.top.rows(&[])?;
        self.generative.first().unwrap_or(&self.top).rows(v)
    }

    /// The variational bound on ln p(v) of each row v, with `samples` draws of the way up:
    ///
    /// > ln p(v) ≥ ⟨Σ_l ln p(x_l|x_(l+1))/q(x_(l+1)|x_l) − F_top(x_(L−1)) − ln Z_top⟩_q.
    ///
    /// `log_z` is ln Z of [`top`](Self::top), by [`partition`](crate::rbm::partition). A network of one machine needs
    /// no draws: its bound is exact.
    ///
    /// # Errors
    /// Rows or layers that do not fit, or no sample.
    pub fn bound(&self, v: &[f32], samples: u32, log_z: f64, seed: u64) -> Result<Vec<Bound>, Error> {
        let rows = self.rows(v)?;
        range("the number of samples", samples.into(), samples > 0, "at least 1")?;
        let count = rows.checked_mul(samples as usize).ok_or(Error::Overflow { what: "the number of draws" })?;
        counter("the number of draws", count)?;
        let visible = v.len() / rows.max(1);
        let mut x: Vec<f32> = v.chunks(visible.max(1)).flat_map(|row| row.repeat(samples as usize)).collect();
        let mut log_weights = alloc::vec![-log_z; count];
        let draws = Draws::new(seed);
        for (step, (down, up)) in (0..).zip(self.generative.iter().zip(&self.recognition)) {
            let fields = up.hidden_fields(&x)?;
            let mut above = fields.clone();
            up.draw_hidden(&mut above, draws, (step, 0));
            add_log(up.hidden_units(), &above, &fields, -1.0, &mut log_weights);
            add_log(down.visible_units(), &x, &down.visible_fields(&above)?, 1.0, &mut log_weights);
            x = above;
        }
        let free_energies = self.top.free_energies(&x)?;
        log_weights.iter_mut().zip(free_energies).for_each(|(weight, f)| *weight -= f);
        let bound = |weights: &[f64]| Bound { lower: mean(weights), importance: log_mean_exp(weights) };
        Ok(log_weights.chunks(samples as usize).map(bound).collect())
    }

    /// `count` rows of visible draws: `steps` steps of Gibbs sampling in the top machine from a uniform start, then
    /// down.
    ///
    /// # Errors
    /// Layers that do not fit.
    pub fn sample(&self, count: u32, steps: u32, seed: u64) -> Result<Vec<f32>, Error> {
        self.rows(&[])?;
        let draws = Draws::new(seed);
        let mut x = self.top.gibbs(&self.top.start(count, draws), steps, draws, 0)?;
        for (step, down) in (steps..).zip(self.generative.iter().rev()) {
            x = down.sample_visible(&x, draws, step)?;
        }
        Ok(x)
    }
}

/// sums\[r\] += sign·Σ ln P(x|field), with ln P = x·field − ln Σ e^(x·field).
fn add_log(units: Units, x: &[f32], fields: &[f32], sign: f64, sums: &mut [f64]) {
    let columns = x.len() / sums.len().max(1);
    for ((sum, x), fields) in sums.iter_mut().zip(x.chunks(columns.max(1))).zip(fields.chunks(columns.max(1))) {
        let linear: f64 = x.iter().zip(fields).map(|(&x, &field)| f64::from(x) * f64::from(field)).sum();
        *sum += sign * (linear - crate::rbm::layers::log_sums(units, 1.0, fields));
    }
}

/// The wake–sleep algorithm in its contrastive form, "up–down" (Hinton, Osindero and Teh 2006).
///
/// Wake: draws go up from the data, and each generative layer learns to give back what was below; the top machine
/// learns by CD from the highest of them. Sleep: from the end of the top machine's chain draws go down, and each
/// recognition layer learns to give back what was above. The wake step follows the gradient of the variational bound.
#[derive(Clone, Debug)]
pub struct WakeSleep {
    rate: f32,
    steps: u32,
    draws: Draws,
    step: u32,
    top: Trainer,
}

impl WakeSleep {
    /// A learner with a rate for the directed layers and settings for the top machine.
    ///
    /// # Errors
    /// A number out of range.
    pub fn new(dbn: &Dbn, rate: f32, top: Settings, seed: u64) -> Result<Self, Error> {
        range("the rate", rate.into(), rate > 0.0 && rate.is_finite(), "positive and finite")?;
        let (steps, draws) = (top.steps, Draws::new(seed ^ 0x51ee));
        Ok(Self { rate, steps, draws, step: 0, top: Trainer::new(&dbn.top, top, seed)? })
    }

    /// Learns from one batch of rows.
    ///
    /// # Errors
    /// No row, or rows or layers that do not fit.
    pub fn learn(&mut self, dbn: &mut Dbn, batch: &[f32]) -> Result<(), Error> {
        let rows = dbn.rows(batch)?;
        range("the number of rows", rows as f64, rows > 0, "at least 1")?;
        let share = self.rate / rows as f32;
        let mut x = alloc::vec![batch.to_vec()];
        for (up, l) in dbn.recognition.iter().zip(0..) {
            x.push(up.sample_hidden(&x[l], self.draws, self.next())?);
        }
        let highest = &x[dbn.recognition.len()];
        let step = self.step;
        self.step = step.wrapping_add(self.steps);
        let mut y = dbn.top.gibbs(highest, self.steps, self.draws, step)?;
        self.top.learn(&mut dbn.top, highest)?;
        for (down, x) in dbn.generative.iter_mut().zip(x.windows(2)) {
            let means = down.visible_means(&x[1])?;
            let errors: Vec<f32> = x[0].iter().zip(&means).map(|(x, mean)| x - mean).collect();
            add_outer(&errors, &x[1], down.hidden(), share, &mut down.weights);
            add_sums(&errors, share, &mut down.visible_bias);
        }
        for (down, up) in dbn.generative.iter().zip(&mut dbn.recognition).rev() {
            let below = down.sample_visible(&y, self.draws, self.next())?;
            let means = up.hidden_means(&below)?;
            let errors: Vec<f32> = y.iter().zip(&means).map(|(y, mean)| y - mean).collect();
            add_outer(&below, &errors, up.hidden(), share, &mut up.weights);
            add_sums(&errors, share, &mut up.hidden_bias);
            y = below;
        }
        Ok(())
    }

    fn next(&mut self) -> u32 {
        self.step = self.step.wrapping_add(1);
        self.step.wrapping_sub(1)
    }
}

/// out\[i, j\] += share·Σ_r a\[r, i\] b\[r, j\].
fn add_outer(a: &[f32], b: &[f32], columns: usize, share: f32, out: &mut [f32]) {
    let mut sums = alloc::vec![0.0; out.len()];
    Scratch::default().outer(Matrix::new(a, out.len() / columns), Matrix::new(b, columns), &mut sums);
    out.iter_mut().zip(sums).for_each(|(out, sum)| *out += share * sum);
}

/// out\[j\] += share·Σ_r a\[r, j\].
fn add_sums(a: &[f32], share: f32, out: &mut [f32]) {
    let mut sums = alloc::vec![0.0; out.len()];
    for row in a.chunks(out.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    out.iter_mut().zip(sums).for_each(|(out, sum)| *out += share * sum);
}
