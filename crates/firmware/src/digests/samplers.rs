//! Whole runs of the samplers.

use alloc::vec::Vec;

use yuragi_energy::draw::Draws;
use yuragi_energy::dynamics::{HeatBath, Metropolis, SuwaTodo};
use yuragi_energy::replicas::{Reads, batch};
use yuragi_energy::sampler::{
    PopulationSettings, QuantumSettings, Resampling, adaptive_schedule, anneal, exchange, jarzynski, population_anneal,
    quantum_anneal, quiet, resample, temper, tempering_weights,
};
use yuragi_energy::{Problem, SampleSet, Schedule};

use super::chains::glass;
use super::digest::{Digest, Draw, Failure};

pub const ALL: &[(&str, Draw)] = &[
    ("schedule", |digest| {
        let range = glass()?.beta_range();
        for schedule in [
            Schedule::linear(0.1, 3.0, 40)?,
            Schedule::geometric(0.1, 3.0, 40)?,
            Schedule::default_for(range, 40)?,
            adaptive_schedule(&glass()?, Metropolis, (0.1, 3.0), 40, 2)?,
        ] {
            digest.singles(&schedule.betas().collect::<Vec<_>>());
        }
        Ok(())
    }),
    ("anneal/few", |digest| annealed(digest, &glass()?, 2)),
    ("anneal/many", |digest| annealed(digest, &glass()?, 100)),
    ("anneal/dense", |digest| annealed(digest, &glass()?.to_dense()?, 40)),
    ("anneal/potts", |digest| {
        let potts = Problem::potts(4, 3, [(0, 1, -1.0), (1, 2, -1.5), (2, 3, 0.5), (0, 3, 0.25)], &[])?;
        let schedule = Schedule::geometric(0.1, 5.0, 50)?;
        samples(digest, &anneal(&mut *batch(&potts, SuwaTodo, 10, 4)?, &schedule, &mut quiet)?);
        Ok(())
    }),
    ("anneal/quantum", |digest| {
        let settings = QuantumSettings { beta: 5.0, slices: 6, transverse: (3.0, 0.01), sweeps: 20, threads: 1 };
        samples(digest, &quantum_anneal(&glass()?, settings, 5, 1, &mut quiet)?);
        Ok(())
    }),
    ("exchange", |digest| {
        let glass = glass()?;
        let betas = [0.2, 0.5, 0.9, 1.4];
        let mut replicas = batch(&glass, HeatBath, Reads::from(6).times(betas.len())?, 1)?;
        let found = exchange(&mut *replicas, &betas, (60, 10), &mut quiet)?;
        digest.doubles(found.energies.iter().chain(&found.acceptance).chain(&found.last_energies));
        samples(digest, &found.samples);
        Ok(())
    }),
    ("tempering", |digest| {
        let glass = glass()?;
        let betas = [0.1, 0.3, 0.5];
        let mut replicas = batch(&glass, Metropolis, 10, 1)?;
        let weights = tempering_weights(&mut *replicas, &betas, 20)?;
        digest.doubles(&weights);
        let found = temper(&mut *replicas, (&betas, &weights), (60, 10), &mut quiet)?;
        digest.counts(found.occupancy.iter().map(|&count| count as usize));
        digest.doubles(&found.energies);
        digest.words(found.levels.iter().copied());
        samples(digest, &found.samples);
        Ok(())
    }),
    ("jarzynski", |digest| {
        let glass = glass()?;
        let work = jarzynski(&mut *batch(&glass, HeatBath, 20, 3)?, &Schedule::linear(0.0, 1.0, 30)?, &mut quiet)?;
        digest.doubles(work.work.iter().chain(&work.heat));
        digest.doubles(&[work.log_ratio().value, work.effective_reads()]);
        Ok(())
    }),
    ("population", |digest| {
        for resampling in [Resampling::Systematic, Resampling::Multinomial, Resampling::Residual] {
            let settings = PopulationSettings { schedule: Schedule::linear(0.0, 1.0, 6)?, sweeps: 2, resampling };
            let run = population_anneal(&mut *batch(&glass()?, Metropolis, 60, 1)?, &settings, &mut quiet)?;
            digest.words(run.founders.iter().copied());
            digest.doubles(&run.steps.iter().flat_map(|s| [s.log_z, s.error, s.mean_energy]).collect::<Vec<_>>());
            samples(digest, &run.samples);
        }
        Ok(())
    }),
    ("resample", |digest| {
        let weights: Vec<f64> = (0..100).map(|i| f64::from(i * i % 17) * 0.3).collect();
        for resampling in [Resampling::Systematic, Resampling::Multinomial, Resampling::Residual] {
            digest.words(resample(resampling, &weights, Draws::new(7), 3)?);
        }
        Ok(())
    }),
];

fn annealed(digest: &mut Digest, problem: &Problem, reads: u32) -> Result<(), Failure> {
    let schedule = Schedule::default_for(problem.beta_range(), 60)?;
    samples(digest, &anneal(&mut *batch(problem, Metropolis, reads, 3)?, &schedule, &mut quiet)?);
    Ok(())
}

fn samples(digest: &mut Digest, samples: &SampleSet) {
    samples.iter().for_each(|sample| digest.bytes(sample.values));
    digest.doubles(samples.energies());
}
