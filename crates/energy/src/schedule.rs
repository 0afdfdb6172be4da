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

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Linear { start: f64, end: f64 },
    Geometric { start: f64, end: f64 },
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
        Ok(Self { kind: Kind::Linear { start, end }, sweeps })
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
        Ok(Self { kind: Kind::Geometric { start, end }, sweeps })
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
        if self.sweeps == 0 {
            return 0.0;
        }
        let last = self.sweeps - 1;
        let sweep = sweep.min(last);
        let share = if last == 0 { 1.0 } else { f64::from(sweep) / f64::from(last) };
        match &self.kind {
            Kind::Linear { start, end } => ((1.0 - share) * start + share * end) as f32,
            Kind::Geometric { start, end } => match share {
                0.0 => *start as f32,
                1.0 => *end as f32,
                share => (start * libm::pow(end / start, share)) as f32,
            },
            Kind::Freezing { range, .. } if share == 0.0 => range.hot as f32,
            Kind::Freezing { range, .. } if share == 1.0 => range.cold as f32,
            Kind::Freezing { range: BetaRange { hot, turn, .. }, slope } => {
                let beta = hot + share * slope;
                (if beta <= *turn { beta } else { turn * libm::exp(beta / turn - 1.0) }) as f32
            }
            Kind::Steps(betas) => betas.get(sweep as usize).copied().unwrap_or(0.0),
        }
    }

    /// Every β.
    pub fn betas(&self) -> impl Iterator<Item = f32> + '_ {
        (0..self.sweeps).map(|sweep| self.beta(sweep))
    }
}
