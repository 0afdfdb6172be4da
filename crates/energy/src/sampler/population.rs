use super::families::Families;
use super::progress::{Hook, report};
use super::resample::{Resampling, resample};
use crate::error::{Error, range};
use crate::replicas::{Betas, Replicas};
use crate::sample_set::SampleSet;
use crate::schedule::Schedule;
use crate::statistics::log_mean_exp;
use alloc::vec::Vec;

/// How a population is annealed.
#[derive(Clone, Debug, PartialEq)]
pub struct PopulationSettings {
    /// The inverse temperatures, the first 0.
    pub schedule: Schedule,
    /// The sweeps at each of them but the first.
    pub sweeps: u32,
    /// How it is resampled.
    pub resampling: Resampling,
}

/// The population at one temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PopulationStep {
    /// β.
    pub beta: f64,
    /// The estimate of ln Z(β), with the bias of the logarithm corrected.
    pub log_z: f64,
    /// Its standard error, from the spread of what independent blocks of families say alone. Infinite of one member.
    pub error: f64,
    /// ⟨E⟩.
    pub mean_energy: f64,
    /// The lowest energy of the population.
    pub lowest_energy: f64,
    /// ρ = (1/R) Σ n_i² over the families of descendants of the first population's members, of n_i
    /// members: 1 if all have survived, R if one has. ρ must stay far below R.
    pub family_size: f64,
    /// The number of families left.
    pub families: u32,
}

/// What population annealing gives.
#[derive(Clone, Debug)]
pub struct Population {
    /// One entry for each β of the schedule.
    pub steps: Vec<PopulationStep>,
    /// The member of the first population that each member descends from.
    pub founders: Vec<u32>,
    /// The population at the last β.
    pub samples: SampleSet,
}

/// Population annealing (Hukushima and Iba 2003; Machta, *PRE* 82, 026704 (2010)): from β to β′ the
/// members are resampled in proportion to exp(−(β′ − β)E), then swept at β′. The mean weights
/// give ln Z(β) at every temperature of one run:
///
/// > ln Z(β′) = ln Z(β) + ln((1/R) Σ_i exp(−(β′ − β)E_i)), ln Z(0) = N ln q.
///
/// A read is a member, in its uniform random configuration at the beginning. The members of one population depend on each
/// other.
///
/// # Errors
/// No member, a schedule that does not begin with 0, more sweeps than the counters hold, what the reads report, or
/// [`Error::Cancelled`].
pub fn population_anneal(
    replicas: &mut dyn Replicas,
    settings: &PopulationSettings,
    hook: Hook<'_>,
) -> Result<Population, Error> {
    let PopulationSettings { schedule, sweeps, resampling } = settings;
    let members = replicas.reads().count;
    range("the number of members", members.into(), members > 0, "at least 1")?;
    let first = schedule.beta(0);
    range("the schedule's first beta", first.into(), first == 0.0, "0, where the start is drawn exactly")?;
    let temperatures = schedule.sweeps();
    let total = temperatures.saturating_sub(1).checked_mul(*sweeps);
    let total = total.ok_or(Error::Overflow { what: "the number of sweeps times temperatures" })?;
    let mut energies = alloc::vec![0.0; members as usize];
    replicas.energies(&mut energies)?;
    let mut founders: Vec<u32> = (0..members).collect();
    let mut log_z = replicas.problem().len() as f64 * libm::log(replicas.problem().variables().states() as f64);
    let mut families = Families::new(members as usize);
    let mut steps = alloc::vec![step(0.0, log_z, &families, &energies, &founders)];
    for number in 1..temperatures {
        let beta = schedule.beta(number);
        let change = f64::from(beta) - f64::from(schedule.beta(number - 1));
        let log_weights: Vec<f64> = energies.iter().map(|energy| -change * energy).collect();
        log_z += log_mean_exp(&log_weights).value;
        families.weigh(&founders, &log_weights);
        let parents = resample(*resampling, &log_weights, replicas.draws(), number)?;
        replicas.resample(&parents)?;
        founders = parents.iter().map(|&parent| founders[parent as usize]).collect();
        for sweep in (number - 1) * sweeps + 1..=number * sweeps {
            replicas.sweep(sweep, Betas::Same(beta))?;
            report(hook, sweep.into(), total.into())?;
        }
        replicas.energies(&mut energies)?;
        steps.push(step(beta.into(), log_z, &families, &energies, &founders));
    }
    let samples = SampleSet::new(replicas.problem(), replicas.configurations()?, schedule.clone())?;
    Ok(Population { steps, founders, samples })
}

fn step(beta: f64, log_z: f64, families: &Families, energies: &[f64], founders: &[u32]) -> PopulationStep {
    let members = energies.len() as f64;
    let mut sorted = founders.to_vec();
    sorted.sort_unstable();
    let sizes = sorted.chunk_by(|a, b| a == b).map(|family| family.len() as f64);
    let (count, squares) = sizes.fold((0, 0.0), |(count, squares), size| (count + 1, squares + size * size));
    PopulationStep {
        beta,
        log_z: log_z + 0.5 * families.variance(),
        error: families.error(),
        mean_energy: energies.iter().sum::<f64>() / members,
        lowest_energy: energies.iter().copied().fold(f64::INFINITY, f64::min),
        family_size: squares / members,
        families: count,
    }
}
