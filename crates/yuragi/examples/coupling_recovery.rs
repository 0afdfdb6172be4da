//! T21 and T22: how fast learning finds the couplings of a spin glass of 10×10 spins, all pairs being candidates: minimum
//! probability flow and pseudo-likelihood by L-BFGS, CD-1, CD-10 and persistent chains by stochastic gradients (the set-up
//! of Sohl-Dickstein, Battaglino and DeWeese, *PRL* 107, 220601, 2011). Prints a table and plots the mean squared error of
//! the couplings against the seconds spent learning.
//!
//! ```text
//! cargo run --release --example coupling_recovery -- couplings.png [ROWS] [SECONDS]
//! ```

use std::time::Instant;

use yuragi::{
    energy::{
        Bonds, Error, Problem, Schedule,
        boltzmann::{BoltzmannMachine, Data, Flow, PersistentChains},
        dynamics::HeatBath,
        replicas::batch,
        sampler::{anneal, quiet},
    },
    io::{
        plot::{Chart, Series},
        png,
    },
    numeric::fill,
};

const SIDE: usize = 10;
const SPINS: usize = SIDE * SIDE;
/// Rows of a stochastic gradient.
const BATCH: usize = 500;

/// The error of the couplings over time.
struct Trace<'a> {
    truth: &'a [f64],
    started: Instant,
    points: Vec<(f64, f64)>,
}

impl<'a> Trace<'a> {
    fn new(truth: &'a [f64]) -> Self {
        Self { truth, started: Instant::now(), points: Vec::new() }
    }

    fn note(&mut self, parameters: &[f64]) {
        let seconds = self.started.elapsed().as_secs_f64();
        let squares = self.truth.iter().zip(parameters).map(|(truth, found)| (truth - found).powi(2));
        self.points.push((seconds, squares.sum::<f64>() / self.truth.len() as f64));
    }
}

type Objective<'a> = &'a dyn Fn(&BoltzmannMachine) -> Result<(f64, Vec<f64>), Error>;

/// By L-BFGS.
fn minimized(truth: &[f64], objective: Objective<'_>) -> Result<Vec<(f64, f64)>, Error> {
    let mut machine = BoltzmannMachine::full(SPINS)?;
    let mut trace = Trace::new(truth);
    let noted = |machine: &BoltzmannMachine| {
        trace.note(machine.parameters());
        objective(machine)
    };
    machine.minimize(noted, 300, 1e-6)?;
    trace.note(machine.parameters());
    Ok(trace.points)
}

/// By steps along noisy gradients, at a rate that falls as time runs out.
fn ascended(
    truth: &[f64],
    seconds: f64,
    mut gradient: impl FnMut(&BoltzmannMachine, u32) -> Result<Vec<f64>, Error>,
) -> Result<Vec<(f64, f64)>, Error> {
    let (mut machine, mut trace) = (BoltzmannMachine::full(SPINS)?, Trace::new(truth));
    for step in 0.. {
        let spent = trace.started.elapsed().as_secs_f64() / seconds;
        if spent >= 1.0 {
            break;
        }
        let slope = gradient(&machine, step)?;
        machine.ascend(&slope, 0.1 * (1.0 - spent))?;
        if step % 10 == 0 {
            trace.note(machine.parameters());
        }
    }
    trace.note(machine.parameters());
    Ok(trace.points)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |at: usize| std::env::args().nth(at);
    let path = argument(1).unwrap_or_else(|| "couplings.png".into());
    let rows = argument(2).map_or(Ok(20_000), |text| text.parse())?;
    let seconds = argument(3).map_or(Ok(20.0), |text| text.parse())?;

    let mut bonds = [0.0; 2 * SPINS];
    fill::normal([1, 0], 0, 0, &mut bonds);
    let bonds = bonds.map(|j| 0.5 * f64::from(j));
    let glass = Problem::lattice(&[SIDE, SIDE], Bonds::Each(&bonds), &[])?;
    // From hot to β = 1, and long there.
    let betas = (0..2000).map(|sweep| (f64::from(sweep) / 1000.0).min(1.0));
    let samples = anneal(&mut *batch(&glass, HeatBath, rows, 1)?, &Schedule::steps(betas)?, &mut quiet)?;
    let values: Vec<u8> = samples.iter().flat_map(|sample| sample.values.to_vec()).collect();
    let data = Data::new(SPINS, &values)?;
    let batches: Vec<Data> =
        values.chunks_exact(BATCH * SPINS).map(|rows| Data::new(SPINS, rows)).collect::<Result<_, _>>()?;
    let batch = |step: u32| batches.get(step as usize % batches.len().max(1)).unwrap_or(&data);

    let machine = BoltzmannMachine::full(SPINS)?;
    let mut truth = vec![0.0; machine.parameters().len()];
    for (place, &(k, l)) in machine.pairs().iter().enumerate() {
        truth[place] = glass.neighbours(k as usize).filter(|&(n, _)| n == l as usize).map(|(_, j)| j).sum();
    }
    let couplings = &truth[..machine.pairs().len()];

    let mut chains = PersistentChains::new(&machine, BATCH as u32, 3)?;
    let runs = [
        ("minimum probability flow", minimized(couplings, &|m| data.probability_flow(m, Flow::Outward))?),
        ("pseudo-likelihood", minimized(couplings, &|m| data.pseudo_likelihood(m))?),
        ("CD-1", ascended(couplings, seconds, |m, step| m.contrastive_divergence(batch(step), HeatBath, 1, step, 2))?),
        (
            "CD-10",
            ascended(couplings, seconds, |m, step| m.contrastive_divergence(batch(step), HeatBath, 10, step, 2))?,
        ),
        ("persistent chains", ascended(couplings, seconds, |m, step| chains.gradient(m, batch(step), HeatBath, 1))?),
    ];
    println!(
        "{rows} rows; mean squared coupling {:.2e}\n",
        couplings.iter().map(|j| j * j).sum::<f64>() / couplings.len() as f64
    );
    println!("{:26} {:>12} {:>12} {:>22}", "", "error", "seconds", "seconds to error 3e-4");
    let mut series = Vec::new();
    for (name, points) in runs {
        let (seconds, error) = points.last().copied().unwrap_or_default();
        let reached = points.iter().find(|point| point.1 < 3e-4);
        let reached = reached.map_or_else(|| "never".to_owned(), |point| format!("{:.2}", point.0));
        println!("{name:26} {error:>12.2e} {seconds:>12.2} {reached:>22}");
        series.push(Series { label: name.to_owned(), points, ..Series::default() });
    }
    let chart = Chart {
        title: "couplings of a 10x10 spin glass".to_owned(),
        x_label: "seconds".to_owned(),
        y_label: "squared error".to_owned(),
        log_y: true,
        ..Chart::default()
    };
    png::save(&path, &chart.draw(&series)?, &[])?;
    println!("\n{path}");
    Ok(())
}
