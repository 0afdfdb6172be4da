//! Schedules: one inverse temperature for every sweep.

use crate::error::{Error, range};
use crate::problem::BetaRange;
use alloc::vec::Vec;

/// The inverse temperatures of an annealing, sweep by sweep.
///
/// ```
/// use yuragi_energy::Schedule;
/// let schedule = Schedule::geometric(0.1, 10.0, 3)?;
/// assert_eq!([0, 1, 2].map(|sweep| schedule.beta(sweep)), [0.1, 1.0, 10.0]);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    kind: Kind,
    sweeps: u32,
}

/// β from a start to an end, by equal steps or equal factors: a [`Schedule`] that is a few numbers, for where there is no
/// heap.
///
/// ```
/// use yuragi_energy::schedule::Ramp;
/// let ramp = Ramp::linear(0.5, 1.5, 3);
/// assert_eq!([0, 1, 2, 9].map(|sweep| ramp.beta(sweep)), [0.5, 1.0, 1.5, 1.5]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    start: f64,
    end: f64,
    geometric: bool,
    sweeps: u32,
}

impl Ramp {
    /// β from `start` to `end` in equal steps; one sweep alone is at `end`. Numbers that are no β give draws of no
    /// meaning; [`Schedule::linear`] refuses them.
    pub const fn linear(start: f64, end: f64, sweeps: u32) -> Self {
        Self { start, end, geometric: false, sweeps }
    }

    /// β from `start` to `end` by equal factors, both above 0; otherwise as [`Ramp::linear`].
    pub const fn geometric(start: f64, end: f64, sweeps: u32) -> Self {
        Self { start, end, geometric: true, sweeps }
    }

    /// The number of sweeps.
    pub const fn sweeps(&self) -> u32 {
        self.sweeps
    }

    /// β of sweep number `sweep`; that of the last sweep beyond the end, and 0 if there is none.
    pub fn beta(&self, sweep: u32) -> f32 {
        let Some(share) = share(self.sweeps, sweep) else { return 0.0 };
        let Self { start, end, .. } = *self;
        match share {
            share if !self.geometric => ((1.0 - share) * start + share * end) as f32,
            0.0 => start as f32,
            1.0 => end as f32,
            share => (start * libm::pow(end / start, share)) as f32,
        }
    }
}

/// How far of the way from the first sweep to the last, from 0 to 1; nothing if there is no sweep.
fn share(sweeps: u32, sweep: u32) -> Option<f64> {
    let last = sweeps.checked_sub(1)?;
    Some(if last == 0 { 1.0 } else { f64::from(sweep.min(last)) / f64::from(last) })
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Ramp(Ramp),
    Freezing { range: BetaRange, slope: f64 },
    Steps(Vec<f32>),
}

fn legal(beta: f64) -> Result<(), Error> {
    let legal = beta >= 0.0 && beta <= f64::from(f32::MAX);
    range("beta", beta, legal, "finite, within f32, and at least 0")
}

impl Schedule {
    /// β from `start` to `end` in equal steps; one sweep alone is at `end`.
    ///
    /// # Errors
    /// A β that is negative or not finite in f32.
    pub fn linear(start: f64, end: f64, sweeps: u32) -> Result<Self, Error> {
        legal(start)?;
        legal(end)?;
        Ok(Self { kind: Kind::Ramp(Ramp::linear(start, end, sweeps)), sweeps })
    }

    /// β from `start` to `end` by equal factors; one sweep alone is at `end`.
    ///
    /// # Errors
    /// A β that is not positive and finite in f32.
    pub fn geometric(start: f64, end: f64, sweeps: u32) -> Result<Self, Error> {
        for beta in [start, end] {
            legal(beta)?;
            range("beta", beta, beta > 0.0, "positive in a geometric schedule")?;
        }
        Ok(Self { kind: Kind::Ramp(Ramp::geometric(start, end, sweeps)), sweeps })
    }

    /// Any β for every sweep.
    ///
    /// # Errors
    /// A β that is negative or not finite in f32, or more than 2³² − 1 of them.
    pub fn steps(betas: impl IntoIterator<Item = f64>) -> Result<Self, Error> {
        let betas: Vec<f32> =
            betas.into_iter().map(|beta| legal(beta).map(|()| beta as f32)).collect::<Result<_, _>>()?;
        let sweeps = crate::error::counter("the number of sweeps", betas.len())?;
        Ok(Self { kind: Kind::Steps(betas), sweeps })
    }

    /// The schedule over a problem's default range ([`Problem::beta_range`](crate::Problem::beta_range)): β rises by
    /// equal steps to where most variables freeze, and then by equal factors, the first of which is the last step.
    ///
    /// With couplings of a few sizes, all happens at β of one size, which equal factors rush through after lingering
    /// where nothing happens; with couplings of every size, equal steps would spend their time where all but the weakest
    /// are frozen.
    ///
    /// # Errors
    /// A range that does not ascend, or is not positive and finite in f32: none that a problem gave.
    ///
    /// ```
    /// use yuragi_energy::{BetaRange, Schedule};
    /// let schedule = Schedule::default_for(BetaRange { hot: 1.0, turn: 2.0, cold: 2.0 * 1f64.exp() }, 31)?;
    /// assert_eq!([0, 5, 10].map(|sweep| schedule.beta(sweep)), [1.0, 1.5, 2.0]);
    /// let factor = schedule.beta(20) / schedule.beta(10);
    /// assert!((schedule.beta(30) / schedule.beta(20) - factor).abs() < 1e-6);
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn default_for(range: BetaRange, sweeps: u32) -> Result<Self, Error> {
        let BetaRange { hot, turn, cold } = range;
        for beta in [hot, turn, cold] {
            legal(beta)?;
            crate::error::range("beta", beta, beta > 0.0, "positive in the default schedule")?;
        }
        let ascends = hot <= turn && turn <= cold;
        crate::error::range("the turning beta", turn, ascends, "from the hot to the cold end")?;
        // In units of the whole: turn − hot by equal steps, then turn · ln(cold/turn) at the same rate.
        let slope = turn - hot + turn * libm::log(cold / turn);
        Ok(Self { kind: Kind::Freezing { range, slope }, sweeps })
    }

    /// The number of sweeps.
    pub fn sweeps(&self) -> u32 {
        self.sweeps
    }

    /// β of sweep number `sweep`; that of the last sweep beyond the end, and 0 if there is none.
    pub fn beta(&self, sweep: u32) -> f32 {
        let Some(share) = share(self.sweeps, sweep) else { return 0.0 };
        match &self.kind {
            Kind::Ramp(ramp) => ramp.beta(sweep),
            Kind::Freezing { range, .. } if share == 0.0 => range.hot as f32,
            Kind::Freezing { range, .. } if share == 1.0 => range.cold as f32,
            Kind::Freezing { range: BetaRange { hot, turn, .. }, slope } => {
                let beta = hot + share * slope;
                (if beta <= *turn { beta } else { turn * libm::exp(beta / turn - 1.0) }) as f32
            }
            Kind::Steps(betas) => betas.get(sweep as usize).or(betas.last()).copied().unwrap_or(0.0),
        }
    }

    /// Every β.
    pub fn betas(&self) -> impl Iterator<Item = f32> + '_ {
        (0..self.sweeps).map(|sweep| self.beta(sweep))
    }
}
