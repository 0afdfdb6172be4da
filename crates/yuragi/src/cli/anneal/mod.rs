mod report;
mod source;

use std::{path::PathBuf, process::ExitCode, sync::atomic::Ordering, time::Instant};

use clap::{Args, ValueEnum, value_parser};
use yuragi::{
    Failure,
    cpu::Cpu,
    energy::{
        BetaRange, Error, Problem, SampleSet, Schedule, Vartype,
        dynamics::{Dynamics, HeatBath, Metropolis, Skewed, SuwaTodo},
        replicas::{self, Reads},
        sampler::{
            self, Population, PopulationSettings, Progress as Sweeps, QuantumSettings, Resampling, Work,
            adaptive_schedule,
        },
        statistics::Estimate,
    },
    graph::{Collective, Precision},
    io::{
        Table, png,
        problem::{Asked, Format, Sense},
    },
    machine::{Choice, Machine, Work as Demand, gpu_chain, shared_replicas},
};

use super::{
    INTERRUPTED,
    common::{Progress, abandonment, check_place, flow, print, speaks, threads, told, unless_interrupted},
};
use report::Report;
use source::{Source, named};

/// How energies are lowered, or free energies measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// Simulated annealing: every read is cooled
    Anneal,
    /// Quantum annealing: a transverse field is taken away (spins only)
    Quantum,
    /// Replica exchange: copies at a ladder of temperatures trade places
    Exchange,
    /// Population annealing: reads are resampled on the way; gives log Z of every temperature
    Population,
    /// Jarzynski's equality: the work of cooling gives log Z
    Jarzynski,
}

/// The Markov chain of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Chain {
    /// Propose, accept by the ratio of weights
    Metropolis,
    /// Draw each variable given its neighbours
    HeatBath,
    /// Rejects least, without detailed balance (Potts variables)
    SuwaTodo,
    /// Metropolis with a direction that persists (spins only)
    Skewed,
}

/// How the inverse temperature rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cooling {
    /// By equal factors
    Geometric,
    /// By equal steps
    Linear,
    /// Slowly where the energy fluctuates, as a short trial measures it
    Adaptive,
}

/// Find states of low energy, or measure free energies.
///
/// PROBLEM is a file, packed by gzip or not: JSON (dimod's, bqpjson; `J` and `h`, or `Q`), dimod's .bqm or coordinate text,
/// qbsolv's .qubo, a graph for max-cut (rudy, Gset, Biq Mac's .mc), x'Qx (Biq Mac's .bq, OR-Library), a square matrix (.npy,
/// .npz, CSV). Or it is a built-in one: `ising:32x32` (a periodic lattice, J = 1), `glass:64x64` (J = 1 or -1 at random),
/// `sk:200` (all coupled at random), `potts:3:16x16`.
///
/// Values are those of the file: the cut of a graph, the energy of a model.
/// Equal seeds give equal samples on every machine, for any number of threads.
#[derive(Args)]
pub struct Anneal {
    /// A problem's file, or `ising:LxL`, `glass:LxL`, `sk:N`, `potts:Q:LxL`
    problem: Source,
    /// How
    #[arg(long, value_enum, default_value_t = Method::Anneal)]
    method: Method,
    /// The Markov chain
    #[arg(long, value_enum, default_value_t = Chain::Metropolis)]
    chain: Chain,
    /// Independent runs, or members of a population [default: 100; of `anneal` 256 where that takes seconds]
    #[arg(short = 'n', long, value_parser = value_parser!(u32).range(1..=16_777_216))]
    reads: Option<u32>,
    /// Sweeps over all variables; of `exchange`, at every temperature [default: 1000; of `anneal` up to 10000, the fewer the
    /// larger the problem]
    #[arg(long, value_parser = value_parser!(u32).range(1..))]
    sweeps: Option<u32>,
    /// First and last inverse temperature [default: from the problem's energy gaps; `population` and `jarzynski` begin
    /// with 0]
    #[arg(long, value_name = "HOT:COLD", value_parser = betas)]
    beta: Option<(f64, f64)>,
    /// How the temperature falls [default: of `anneal` linear to where most variables freeze, then geometric; of `exchange`
    /// geometric; of `population` and `jarzynski` linear]
    #[arg(long, value_enum)]
    cooling: Option<Cooling>,
    /// Temperatures of `exchange` and `population`
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u32).range(2..=65_536))]
    temperatures: u32,
    /// Trotter slices of `quantum`
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u32).range(1..=65_536))]
    slices: u32,
    /// Decides every draw, and built-in problems with random couplings
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What variables of coordinate text or a matrix are that does not say it [default: binary]
    #[arg(long, value_enum)]
    vartype: Option<Kind>,
    /// Seek the largest value, whatever the file says
    #[arg(long, conflicts_with = "minimize")]
    maximize: bool,
    /// Seek the least value, whatever the file says
    #[arg(long)]
    minimize: bool,
    /// The format of a text file, instead of what its content shows
    #[arg(long, value_enum)]
    format: Option<TextFormat>,
    /// Threads; the samples do not depend on them [default: all cores]
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Where to sweep: auto (a GPU, if there is one, for what takes the processor a second or more), cpu, cuda or cuda:N;
    /// the samples do not depend on it
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Choice,
    /// States to print, the lowest first; 0 for none
    #[arg(long, default_value_t = 5)]
    top: usize,
    /// Write all states, lowest first, into this .csv or .npy file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Plot energies, or log Z with its error, into this PNG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// What a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// -1 or +1
    Spin,
    /// 0 or 1
    Binary,
}

/// A format of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextFormat {
    /// dimod's JSON, bqpjson, `J` and `h`, `Q`
    Json,
    /// dimod's coordinate text
    Coo,
    /// qbsolv's .qubo
    Qubo,
    /// A graph whose largest cut is sought (rudy, Gset, Biq Mac's .mc)
    MaxCut,
    /// The least x'Qx, half of a symmetric Q listed (Biq Mac's .bq)
    Bq,
    /// The same, maximised (OR-Library)
    OrLibrary,
    /// A square matrix
    Matrix,
}

impl From<TextFormat> for Format {
    fn from(format: TextFormat) -> Self {
        match format {
            TextFormat::Json => Self::Json,
            TextFormat::Coo => Self::Coordinates,
            TextFormat::Qubo => Self::Qbsolv,
            TextFormat::MaxCut => Self::MaxCut,
            TextFormat::Bq => Self::BiqMac,
            TextFormat::OrLibrary => Self::OrLibrary,
            TextFormat::Matrix => Self::Matrix,
        }
    }
}

/// Runs and their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Effort {
    reads: u32,
    sweeps: u32,
}

impl Effort {
    /// The defaults of a method, which take seconds for thousands of variables.
    fn of<D: Dynamics>(method: Method, problem: &Problem, dynamics: &D) -> Self {
        // Reads in the bits of a vector; of larger problems without such bits, fewer.
        const READS: (u32, u32) = (256, 100);
        const SWEEPS: (f64, f64) = (1000.0, 10_000.0);
        if method != Method::Anneal {
            return Self { reads: READS.1, sweeps: SWEEPS.0 as u32 };
        }
        // About two seconds for all reads.
        let group = replicas::group(problem, dynamics);
        let sweeps = 2.0 * speed(group) / visits(problem);
        let reads = if group == READS.0 || sweeps >= SWEEPS.0 { READS.0 } else { READS.1 };
        Self { reads, sweeps: sweeps.clamp(SWEEPS.0, SWEEPS.1) as u32 }
    }
}

/// What visiting every variable once takes, in visits of one without neighbours.
fn visits(problem: &Problem) -> f64 {
    problem.len() as f64 + 0.25 * problem.couplings().count() as f64
}

/// Visits in a second of all reads that are worked on together: on bits, in lanes, or one read after another.
fn speed(group: u32) -> f64 {
    match group {
        256 => 1.25e7,
        1 => 5e5,
        _ => 1.5e6,
    }
}

/// What sweeps ask of a machine.
fn work<D: Dynamics>(problem: &Problem, dynamics: &D, replicas: u32, sweeps: u32, threads: usize) -> Demand {
    let (group, n, replicas) = (replicas::group(problem, dynamics), problem.len() as f64, f64::from(replicas));
    // The speeds are those of about 256 reads.
    let seconds = visits(problem) * f64::from(sweeps) * replicas / (256.0 * speed(group) * threads as f64);
    let bytes = match problem.is_dense() {
        true => n * (12.0 * n + 10.0 * replicas),
        false => n * (80.0 + 0.25 * replicas) + 24.0 * problem.couplings().count() as f64,
    };
    Demand { seconds, bytes, ..Demand::NONE }
}

/// Quantum annealing with the reads shared out among ranks.
fn shared_quantum(
    ranks: &dyn Collective,
    problem: &Problem,
    settings: QuantumSettings,
    reads: u32,
    seed: u64,
    hook: sampler::Hook<'_>,
) -> Result<SampleSet, Error> {
    let own = Reads::try_from(ranks.share(reads as usize, 1, ranks.rank()))?;
    let here = match own.count {
        0 => Vec::new(),
        _ => sampler::quantum_anneal(problem, settings, own, seed, hook)?
            .iter()
            .flat_map(|s| s.values.to_vec())
            .collect(),
    };
    let schedule = Schedule::linear(settings.beta, settings.beta, settings.sweeps)?;
    SampleSet::new(problem, ranks.gather(&here)?.concat(), schedule)
}

/// What a method gave.
struct Outcome {
    samples: SampleSet,
    /// (β, ln Z, ⟨E⟩ if it is known).
    curve: Vec<(f64, Estimate, Option<f64>)>,
    /// What else there is to say, in words.
    notes: Vec<String>,
}

impl From<SampleSet> for Outcome {
    fn from(samples: SampleSet) -> Self {
        Self { samples, curve: Vec::new(), notes: Vec::new() }
    }
}

impl Anneal {
    /// Anneals and tells.
    pub fn run(self, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        for place in self.output.iter().chain(&self.plot) {
            check_place(place)?;
        }
        self.output.as_deref().map_or(Ok(()), Table::check_name)?;
        let vartype = self.vartype.map(|kind| if kind == Kind::Spin { Vartype::Spin } else { Vartype::Binary });
        let sense = match (self.minimize, self.maximize) {
            (true, _) => Some(Sense::Minimize),
            (_, true) => Some(Sense::Maximize),
            _ => None,
        };
        let asked = Asked { vartype, sense, format: self.format.map(Format::from) };
        let problem = named(&self.problem, &asked, self.seed)?;
        let (interrupted, finished) = abandonment("stopping")?;
        let (mut progress, started) = (Progress::new("annealing")?, Instant::now());
        let mut hook = |sweeps: Sweeps| {
            progress.set(sweeps.done as f64 / sweeps.total.max(1) as f64);
            flow(&interrupted)
        };
        let outcome = match self.chain {
            Chain::Metropolis => self.sample(&problem.problem, Metropolis, ranks, &mut hook),
            Chain::HeatBath => self.sample(&problem.problem, HeatBath, ranks, &mut hook),
            Chain::SuwaTodo => self.sample(&problem.problem, SuwaTodo, ranks, &mut hook),
            Chain::Skewed => self.sample(&problem.problem, Skewed { kernel: Metropolis }, ranks, &mut hook),
        };
        finished.store(true, Ordering::Relaxed);
        let seconds = started.elapsed().as_secs_f64();
        drop(progress);
        let Some((effort, outcome)) = unless_interrupted(outcome, &interrupted)? else {
            say!("interrupted; nothing was written");
            return Ok(ExitCode::from(INTERRUPTED));
        };
        let report = Report { command: &self, problem: &problem, effort, outcome: &outcome, seconds };
        if let Some(path) = self.output.as_ref().filter(|_| speaks()) {
            report.table()?.save(path)?;
        }
        if let Some(path) = self.plot.as_ref().filter(|_| speaks()) {
            png::save(path, &report.plot()?, &[])?;
        }
        print(if self.json { report.json() } else { report.to_string() })?;
        Ok(ExitCode::SUCCESS)
    }

    fn sample<D: Dynamics + Copy>(
        &self,
        problem: &Problem,
        chain: D,
        ranks: &dyn Collective,
        hook: sampler::Hook<'_>,
    ) -> Result<(Effort, Outcome), Error> {
        let default = Effort::of(self.method, problem, &chain);
        let effort =
            Effort { reads: self.reads.unwrap_or(default.reads), sweeps: self.sweeps.unwrap_or(default.sweeps) };
        Ok((effort, self.outcome(problem, chain, effort, ranks, hook)?))
    }

    fn outcome<D: Dynamics + Copy + Sync>(
        &self,
        problem: &Problem,
        chain: D,
        Effort { reads, sweeps }: Effort,
        ranks: &dyn Collective,
        hook: sampler::Hook<'_>,
    ) -> Result<Outcome, Error> {
        let seed = self.seed;
        // `exchange` has a replica of every read at every temperature.
        let all = match self.method {
            Method::Exchange => Reads::from(reads).times(self.temperatures as usize)?,
            _ => reads.into(),
        };
        let own = ranks.share(all.count as usize, 1, 0).len() as u32;
        let machine = self.machine(problem, chain, own, sweeps)?;
        let replicas = || shared_replicas(ranks, &machine, problem, chain, all, seed);
        match self.method {
            Method::Anneal => {
                let schedule = self.schedule(problem, chain, sweeps)?;
                Ok(sampler::anneal(&mut *replicas()?, &schedule, hook)?.into())
            }
            Method::Quantum => {
                let (hot, cold) = self.betas(problem);
                // The field begins where it outweighs every gap, as β does.
                let transverse = (1.0 / hot, 1e-3 / cold);
                let (slices, threads) = (self.slices, threads(self.threads));
                let settings = QuantumSettings { beta: cold, slices, transverse, sweeps, threads };
                let samples = shared_quantum(ranks, problem, settings, reads, seed, hook)?;
                let (first, last) = settings.transverse;
                let notes = vec![format!("{} slices, transverse field {first:.4} to {last:.2e}", self.slices)];
                Ok(Outcome { notes, ..samples.into() })
            }
            Method::Exchange => {
                let ladder = self.schedule(problem, chain, self.temperatures)?;
                let betas: Vec<f64> = ladder.betas().map(f64::from).collect();
                let found = sampler::exchange(&mut *replicas()?, &betas, (sweeps, sweeps / 2), hook)?;
                let lowest = found.acceptance.iter().copied().fold(1.0, f64::min);
                let notes = vec![format!("neighbouring temperatures traded places in {:.0} % or more", 100.0 * lowest)];
                Ok(Outcome { notes, ..found.samples.into() })
            }
            Method::Population => {
                let schedule = self.schedule(problem, chain, self.temperatures)?;
                let each = sweeps.div_ceil(self.temperatures);
                let settings = PopulationSettings { schedule, sweeps: each, resampling: Resampling::Systematic };
                Ok(population(sampler::population_anneal(&mut *replicas()?, &settings, hook)?))
            }
            Method::Jarzynski => {
                let protocol = self.schedule(problem, chain, sweeps.saturating_add(1))?;
                Ok(worked(problem, sampler::jarzynski(&mut *replicas()?, &protocol, hook)?))
            }
        }
    }

    /// The machine to sweep so many replicas on; a GPU is named in one line on standard error.
    fn machine<D: Dynamics>(&self, problem: &Problem, chain: D, replicas: u32, sweeps: u32) -> Result<Machine, Error> {
        let cpu = Cpu::with_threads(threads(self.threads));
        let refused = |what: &str| Error::Device(what.to_owned());
        let possible = self.method != Method::Quantum && gpu_chain(problem, &chain).is_some();
        match self.device {
            Choice::Cpu => return Ok(cpu.into()),
            Choice::Auto if !possible => return Ok(cpu.into()),
            Choice::Cuda(_) if !possible => {
                return Err(refused(
                    "a GPU sweeps spins, by `--chain metropolis` or `heat-bath` and every `--method` but `quantum`; \
                     `--device cpu` does everything",
                ));
            }
            _ => {}
        }
        let work = work(problem, &chain, replicas, sweeps, cpu.threads());
        Machine::choose(self.device, cpu, Precision::F32, work).map(told).map_err(|error| refused(&error.to_string()))
    }

    fn betas(&self, problem: &Problem) -> (f64, f64) {
        let range = problem.beta_range();
        self.beta.unwrap_or((range.hot, range.cold))
    }

    fn schedule<D: Dynamics>(&self, problem: &Problem, chain: D, steps: u32) -> Result<Schedule, Error> {
        let (hot, cold) = self.betas(problem);
        let measures = matches!(self.method, Method::Population | Method::Jarzynski);
        let hot = if measures && self.beta.is_none() { 0.0 } else { hot };
        if self.method == Method::Anneal && self.cooling.is_none() && hot > 0.0 && hot <= cold {
            let range = problem.beta_range();
            return Schedule::default_for(BetaRange { hot, turn: range.turn.clamp(hot, cold), cold }, steps);
        }
        match self.cooling {
            Some(Cooling::Adaptive) => adaptive_schedule(problem, chain, (hot, cold), steps, self.seed),
            Some(Cooling::Geometric) => Schedule::geometric(hot, cold, steps),
            None if !measures && hot > 0.0 => Schedule::geometric(hot, cold, steps),
            _ => Schedule::linear(hot, cold, steps),
        }
    }
}

fn population(found: Population) -> Outcome {
    let point = |step: &sampler::PopulationStep| {
        (step.beta, Estimate { value: step.log_z, error: step.error }, Some(step.mean_energy))
    };
    let families = found.steps.last().map_or(0, |step| step.families);
    let notes = vec![format!("{families} families of the first population are left")];
    Outcome { curve: found.steps.iter().map(point).collect(), samples: found.samples, notes }
}

fn worked(problem: &Problem, work: Work) -> Outcome {
    let start = problem.len() as f64 * (problem.variables().states() as f64).ln();
    let ratio = work.log_ratio();
    let beta = work.samples.schedule().betas().last().unwrap_or_default();
    let log_z = Estimate { value: start + ratio.value, error: ratio.error };
    let notes = vec![
        format!(
            "mean work {:.6} ± {:.6}, at least {:.6}",
            work.mean_work().value,
            work.mean_work().error,
            -ratio.value
        ),
        format!("the weights are worth {:.1} equal reads", work.effective_reads()),
    ];
    Outcome { samples: work.samples, curve: vec![(beta.into(), log_z, None)], notes }
}

fn betas(text: &str) -> Result<(f64, f64), String> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|beta| (0.0..=1e30).contains(beta));
    let pair = text.split_once(':').and_then(|(hot, cold)| Some((number(hot)?, number(cold)?)));
    pair.ok_or_else(|| "it must be two numbers from 0 to 1e30, such as 0.1:3".to_owned())
}
