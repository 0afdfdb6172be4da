use super::census::{Census, Weights};
use super::families::Families;
use super::progress::{Hook, report};
use super::resample::{Resampling, check, children, whole};
use crate::error::{Error, range};
use crate::replicas::{Betas, Replicas};
use crate::sample_set::SampleSet;
use crate::schedule::Schedule;
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
/// Where ranks share the members out, they tell each other sums and counts, some thousands of bytes a temperature whatever
/// the number of members, and send the configurations that a slot of another rank is to hold. Weights are resampled as
/// whole numbers, and all else is summed in one tree over the members' places, so that any number of ranks gives the same
/// bits.
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
    let first = replicas.share().start;
    let mut energies = alloc::vec![0.0; replicas.share().len()];
    replicas.share_energies(&mut energies)?;
    let mut founders: Vec<u32> = replicas.share().map(|slot| slot as u32).collect();
    let mut log_z = replicas.problem().len() as f64 * libm::log(replicas.problem().variables().states() as f64);
    let mut families = Families::new(members as usize);
    let mut census = Census::take(replicas.collective(), first, &energies, &founders)?;
    let mut steps = alloc::vec![step(0.0, log_z, &families, &census, members)];
    for number in 1..temperatures {
        let beta = schedule.beta(number);
        let change = f64::from(beta) - f64::from(schedule.beta(number - 1));
        let log_weight = |energy: f64| -change * energy;
        let largest = log_weight(if change < 0.0 { census.highest } else { census.lowest });
        let log_weights: Vec<f64> = energies.iter().map(|&energy| log_weight(energy)).collect();
        check(&log_weights)?;
        range("the largest log-weight", largest, largest.is_finite(), "finite")?;
        let weights: Vec<f64> = log_weights.iter().map(|x| libm::exp(x - largest)).collect();
        let sums = Weights::take(replicas.collective(), first, &weights, &founders, families.divisions())?;
        log_z += largest + libm::log(sums.total / f64::from(members));
        families.weigh(&sums);
        let weights: Vec<u64> = weights.into_iter().map(whole).collect();
        let draws = (replicas.draws(), number);
        let (children, place) = children(replicas.collective(), *resampling, &weights, members as usize, draws)?;
        replicas.branch(&children, place, &mut founders)?;
        for sweep in (number - 1) * sweeps + 1..=number * sweeps {
            replicas.sweep(sweep, Betas::Same(beta))?;
            report(hook, sweep.into(), total.into())?;
        }
        replicas.share_energies(&mut energies)?;
        census = Census::take(replicas.collective(), first, &energies, &founders)?;
        steps.push(step(beta.into(), log_z, &families, &census, members));
    }
    let own: Vec<u8> = founders.iter().flat_map(|founder| founder.to_le_bytes()).collect();
    let all = replicas.collective().gather(&own)?.concat();
    let founders = all.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    let samples = SampleSet::new(replicas.problem(), replicas.configurations()?, schedule.clone())?;
    Ok(Population { steps, founders, samples })
}

fn step(beta: f64, log_z: f64, families: &Families, census: &Census, members: u32) -> PopulationStep {
    PopulationStep {
        beta,
        log_z: log_z + 0.5 * families.variance(),
        error: families.error(),
        mean_energy: census.energy / f64::from(members),
        lowest_energy: census.lowest,
        family_size: census.squares as f64 / f64::from(members),
        families: census.families,
    }
}
