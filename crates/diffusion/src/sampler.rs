//! Samplers as one stepping machine, driven from outside.
//!
//! Every evaluation of the network is followed by one [`Update`]: the state
//! and a few vectors of memory become linear combinations of the state, the
//! network's output, the memory and fresh noise. The samplers differ in the
//! coefficients alone, which are derived in f64 beforehand:
//!
//! | sampler | source | order |
//! |---|---|---|
//! | DDPM | Ho et al. 2020 | SDE |
//! | DDIM(η) | Song et al. 2020 | 1; SDE with η > 0 |
//! | Euler, Euler a | Karras et al. 2022; k-diffusion | 1; SDE |
//! | Heun | Karras et al. 2022 | 2 |
//! | Euler, Heun, DPM2 with fresh noise before each step | Karras et al. 2022, algorithm 2 | SDE |
//! | DPM2, DPM2 a | Lu et al. 2022; k-diffusion | 2; SDE |
//! | LMS, PLMS, PNDM | k-diffusion; Liu et al. 2022 | 4, with a start of lower order |
//! | DPM 2M, 3M; DPM++ 2M, 3M | Lu et al. 2022 | 2 (3M by the formula in use, too) |
//! | DPM++ 2M SDE, 3M SDE | Lu et al. 2022; k-diffusion | SDE |
//! | DPM++ 2S, 3S | Lu et al. 2022 | 2, 3 |
//! | DPM++ 2S a, DPM++ SDE | k-diffusion | SDE |
//! | DEIS | Zhang and Chen 2023 | 2 |
//! | UniPC | Zhao et al. 2023 | 3 (2, corrected) |
//! | SA-Solver | Xue et al. 2023 | SDE in the middle, 2 at the ends |
//! | IPNDM | Liu et al. 2022 | 4, with a start of lower order |
//! | LCM, TCD | Luo et al. 2023; Zheng et al. 2024 | for consistency models |
//!
//! Euler is DDIM with η = 0, and Euler ancestral is DDPM: in this view they
//! are the same step. A sampler as a diffusers configuration means it, which
//! may differ at the ends, comes from [`Config`](crate::Config).

mod adams;
mod churn;
mod kind;
mod linear;
mod method;
mod multistep;
mod noise;
mod onestep;
mod pndm;
mod program;
mod unipc;

pub(crate) use self::{
    adams::SaSolver,
    method::Method,
    multistep::{Ends, Form, Solver},
    onestep::{Straight, Variance},
    pndm::{Move, Moves},
    unipc::UniPc,
};
pub use self::{
    churn::Churn,
    kind::{Choice, Kind, NAMES, Stochastic},
    linear::Register,
    noise::{Batch, Noise},
    program::{Spread, Term},
};
use self::{
    linear::MEMORY,
    program::{Program, Step},
};
use crate::clip::Clip;
use crate::error::{Error, length, range};
use crate::parameterization::Prediction;
use crate::schedule::{Ladder, Point};
use alloc::vec::Vec;

/// What becomes of the network's answer at one evaluation, for an engine that
/// keeps the state on a device: every register that `terms` write becomes the
/// sum of their products, all of them read before any is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update<'a> {
    /// Where the network is evaluated.
    pub at: Point,
    /// The factor between the state and what the network reads.
    pub scale: f32,
    /// [`Register::Sample`] is `estimate.0`·state + `estimate.1`·output,
    /// clipped.
    pub estimate: (f32, f32),
    /// The terms, those of a register together.
    pub terms: &'a [Term],
    /// What [`Register::Noise`] is multiplied by, if the network tells.
    pub spread: Option<Spread>,
}

/// A sampler in progress.
///
/// Drive it with [`start`](Self::start) once, then
/// [`request`](Self::request), evaluate the network on the state times
/// [`scale`](Self::scale), and [`advance`](Self::advance) until `request`
/// gives `None`. After construction nothing is allocated.
///
/// What a sampler has done is in the state, [`done`](Self::done) and
/// [`memory`](Self::memory): saved with them, it goes on from
/// [`resume`](Self::resume) with the same bits.
#[derive(Clone, Debug)]
pub struct Sampler {
    steps: Vec<Step>,
    terms: Vec<Term>,
    next: usize,
    start: f32,
    clip: Clip,
    len: usize,
    /// Values of one picture, behind whose prediction as many of its variance
    /// stand in the output; without those, of the state.
    picture: usize,
    memory: Vec<f32>,
    /// Clipped estimates, and what clipping works on.
    samples: Vec<f32>,
    scratch: Vec<f32>,
}

/// Values that are updated together, on the stack.
const CHUNK: usize = 256;

impl Sampler {
    /// A sampler for states of `len` values, of a network that predicts x₀.
    ///
    /// # Errors
    /// An η or γ outside 0 to 1, or a ladder on which the sampler is not
    /// defined.
    pub fn new(kind: Kind, ladder: &Ladder, len: usize) -> Result<Self, Error> {
        Self::predicting(kind, ladder, Prediction::Sample, Clip::None, len)
    }

    /// A sampler of a network that predicts `prediction`, whose estimates of
    /// x₀ are clipped.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Singular`] where the prediction says
    /// nothing of x₀, as ε does where there is no signal; clipping with
    /// numbers outside their range.
    pub fn predicting(
        kind: Kind,
        ladder: &Ladder,
        prediction: Prediction,
        clip: Clip,
        len: usize,
    ) -> Result<Self, Error> {
        kind.check()?;
        Self::derived(&kind.into(), ladder, prediction, clip, len, len)
    }

    pub(crate) fn derived(
        method: &Method,
        ladder: &Ladder,
        prediction: Prediction,
        clip: Clip,
        len: usize,
        picture: usize,
    ) -> Result<Self, Error> {
        clip.check(len)?;
        let clips = clip != Clip::None;
        let mut program = Program::new(ladder, prediction, clips);
        method.derive(&mut program)?;
        let Program { steps, terms, start, .. } = program;
        let learned = steps.iter().any(|step| step.spread.is_some());
        if learned {
            let fits = picture > 0 && len.is_multiple_of(picture);
            range("the picture's length", picture as f64, fits, "a divisor of the state's length")?;
        }
        let slots = terms.iter().map(|term| match term.to {
            Register::Memory(slot) => usize::from(slot) + 1,
            _ => 0,
        });
        let slots = slots.max().unwrap_or(0);
        Ok(Self {
            steps,
            terms,
            next: 0,
            start: start as f32,
            clip,
            len,
            picture: if learned { picture } else { len },
            memory: alloc::vec![0.0; slots * len],
            samples: alloc::vec![0.0; if clips { len } else { 0 }],
            scratch: alloc::vec![0.0; clip.scratch()],
        })
    }

    /// Fills `state` with the noise to begin from, of the ladder's
    /// [`start`](Ladder::start), and returns to the first step.
    ///
    /// # Errors
    /// A state of the wrong length.
    pub fn start(&mut self, state: &mut [f32], noise: &mut impl Noise) -> Result<(), Error> {
        length("the state", state.len(), self.len)?;
        self.restart();
        noise.fill(0, 0, state);
        let scale = self.start;
        state.iter_mut().for_each(|x| *x *= scale);
        Ok(())
    }

    /// Returns to the first step, for a state that the caller prepared.
    pub fn restart(&mut self) {
        self.next = 0;
        self.memory.fill(0.0);
    }

    /// The noise level at which the network must now be evaluated on the
    /// state, or `None` when the state is finished.
    pub fn request(&self) -> Option<Point> {
        self.steps.get(self.next).map(|step| step.at)
    }

    /// The factor between the state and what the network must now read; 1
    /// unless the ladder's [`Input`](crate::Input) is scaled.
    pub fn scale(&self) -> f32 {
        self.steps.get(self.next).map_or(1.0, |step| step.scale)
    }

    /// The estimate of x₀ is `estimate().0`·state + `estimate().1`·output for
    /// the output at [`request`](Self::request), before it is clipped: a
    /// preview.
    pub fn estimate(&self) -> (f32, f32) {
        self.steps.get(self.next).map_or((1.0, 0.0), |step| step.estimate)
    }

    /// The update that [`advance`](Self::advance) will apply, or `None` when
    /// the state is finished.
    pub fn update(&self) -> Option<Update<'_>> {
        let step = self.steps.get(self.next)?;
        let Step { at, scale, estimate, spread, .. } = *step;
        Some(Update { at, scale, estimate, terms: self.terms(self.next), spread })
    }

    fn terms(&self, step: usize) -> &[Term] {
        let end = |step: usize| self.steps.get(step).map_or(self.terms.len(), |step| step.end);
        &self.terms[step.checked_sub(1).map_or(0, end)..end(step)]
    }

    /// The deviation of the noise that [`start`](Sampler::start) fills the
    /// state with.
    pub fn deviation(&self) -> f32 {
        self.start
    }

    /// How many values the network's output has: those of the state, or twice
    /// as many where the network tells the variance, too, behind each
    /// picture's prediction (`variance_type` of a [`Config`](crate::Config)).
    pub fn outputs(&self) -> usize {
        if self.learned() { 2 * self.len } else { self.len }
    }

    fn learned(&self) -> bool {
        self.steps.first().is_some_and(|step| step.spread.is_some())
    }

    /// How many times the network is evaluated from start to end.
    pub fn evaluations(&self) -> usize {
        self.steps.len()
    }

    /// How many evaluations are done.
    pub fn done(&self) -> usize {
        self.next
    }

    /// What is remembered of earlier evaluations: vectors as long as the
    /// state, one after another.
    pub fn memory(&self) -> &[f32] {
        &self.memory
    }

    /// Goes on where a sampler of the same making was after `done`
    /// evaluations, with its memory then; the caller restores the state.
    ///
    /// # Errors
    /// More evaluations than there are, or memory of another length.
    pub fn resume(&mut self, done: usize, memory: &[f32]) -> Result<(), Error> {
        length("the memory", memory.len(), self.memory.len())?;
        let legal = done <= self.steps.len();
        range("the evaluations done", done as f64, legal, "at most those of the sampler")?;
        self.memory.copy_from_slice(memory);
        self.next = done;
        Ok(())
    }

    /// Takes in the network's output for the state at
    /// [`request`](Self::request), and moves the state on.
    ///
    /// # Errors
    /// A slice of the wrong length, an output that is not finite, or
    /// [`Error::Finished`]; nothing is changed then.
    pub fn advance(&mut self, state: &mut [f32], output: &[f32], noise: &mut impl Noise) -> Result<(), Error> {
        length("the state", state.len(), self.len)?;
        length("the network's output", output.len(), self.outputs())?;
        let step = *self.steps.get(self.next).ok_or(Error::Finished)?;
        if let Some(index) = output.iter().position(|value| !value.is_finite()) {
            return Err(Error::Output { evaluation: self.next + 1, of: self.steps.len(), index, value: output[index] });
        }
        let picture = self.picture.max(1);
        let stride = if self.learned() { 2 * picture } else { picture };
        if self.clip != Clip::None {
            let (x, p) = step.estimate;
            let pictures = self.samples.chunks_mut(picture).zip(state.chunks(picture)).zip(output.chunks(stride));
            for ((samples, states), outputs) in pictures {
                for ((sample, state), output) in samples.iter_mut().zip(states).zip(outputs) {
                    *sample = x * state + p * output;
                }
            }
            self.clip.apply(&mut self.samples, &mut self.scratch);
        }
        for (i, begin) in (0..self.len).step_by(picture).enumerate() {
            let output = &output[i * stride..][..stride];
            for inside in (0..picture).step_by(CHUNK) {
                self.update_chunk(begin + inside, CHUNK.min(picture - inside), state, &output[inside..], noise);
            }
        }
        self.next += 1;
        Ok(())
    }

    /// Applies the update to `len` values from `first` on, whose output begins
    /// at `output`, and their variances a picture later.
    fn update_chunk(&mut self, first: usize, len: usize, state: &mut [f32], output: &[f32], noise: &mut impl Noise) {
        let mut fresh = [0.0; CHUNK];
        let mut sums = [[0.0; CHUNK]; 1 + MEMORY];
        let (mut drawn, mut written) = (false, [None; 1 + MEMORY]);
        let mut count = 0;
        for &Term { to, from: register, factor } in self.terms(self.next) {
            let begins = count == 0 || written[count - 1] != Some(to);
            if begins {
                written[count] = Some(to);
                count += 1;
            }
            if register == Register::Noise && !drawn {
                noise.fill(self.next as u32 + 1, first, &mut fresh[..len]);
                if let Some(spread) = self.steps.get(self.next).and_then(|step| step.spread) {
                    let told = &output[self.picture..];
                    fresh[..len].iter_mut().zip(told).for_each(|(noise, told)| *noise *= spread.deviation(*told));
                }
                drawn = true;
            }
            let source = match register {
                Register::State => &state[first..],
                Register::Output => output,
                Register::Sample => &self.samples[first..],
                Register::Noise => &fresh[..],
                Register::Memory(slot) => &self.memory[usize::from(slot) * self.len + first..],
            };
            let sum = &mut sums[count - 1][..len];
            if begins {
                sum.iter_mut().zip(source).for_each(|(sum, x)| *sum = factor * x);
            } else {
                sum.iter_mut().zip(source).for_each(|(sum, x)| *sum += factor * x);
            }
        }
        for (to, sum) in written.iter().flatten().zip(&sums) {
            let target = match to {
                Register::Memory(slot) => &mut self.memory[usize::from(*slot) * self.len + first..],
                _ => &mut state[first..],
            };
            target.iter_mut().zip(&sum[..len]).for_each(|(to, x)| *to = *x);
        }
    }
}
