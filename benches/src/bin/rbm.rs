//! Seconds of processor time of one epoch of CD-1: 10 000 binarised digits in batches of 100, 784 × 256 units.
//!
//! The digits are those of FILE, an IDX file packed or not, or strokes of about their density if it is `-`.
//!
//!     cargo run --release --package yuragi-benches --bin rbm -- [FILE] [binary|spin] [ROUNDS]
//!
//! The same as a graph on the CPU backend is timed beside it; `benches/peers/rbm_torch.py` times the same in PyTorch.

use std::error::Error;

use yuragi_benches::clock::processor_seconds;
use yuragi_cpu::Cpu;
use yuragi_energy::rbm::plan::Learner;
use yuragi_energy::rbm::train::{Settings, Trainer};
use yuragi_energy::rbm::{Rbm, Units};
use yuragi_io::{Table, table::Values};
use yuragi_numeric::fill;

const ROWS: usize = 10_000;
const PIXELS: usize = 784;
const HIDDEN: usize = 256;
const BATCH: usize = 100;

/// Pixels that are at least half as bright as can be are on.
fn digits(file: &str) -> Result<Vec<bool>, Box<dyn Error>> {
    let table = Table::open(file)?;
    match table.values() {
        Values::Bytes(pixels) if table.columns() == PIXELS && table.rows() >= ROWS => {
            Ok(pixels[..ROWS * PIXELS].iter().map(|&pixel| pixel >= 128).collect())
        }
        _ => Err(format!("{file} does not hold {ROWS} pictures of {PIXELS} bytes").into()),
    }
}

/// A thick straight line in every picture.
fn strokes() -> Vec<bool> {
    let mut numbers = vec![0.0; 3 * ROWS];
    fill::uniform([1, 2], 3, 0, &mut numbers);
    let picture = |number: &[f32]| {
        let (sin, cos) = (number[0] * std::f32::consts::PI).sin_cos();
        let (shift, thickness) = (8.0 * number[1] - 4.0, 1.0 + 2.0 * number[2]);
        (0..PIXELS).map(move |i| {
            let [x, y] = [i % 28, i / 28].map(|place| place as f32 - 13.5);
            (x * cos + y * sin - shift).abs() < thickness && x * x + y * y < 120.0
        })
    };
    numbers.chunks(3).flat_map(picture).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let file = arguments.get(1).map_or("-", String::as_str);
    let spin = arguments.get(2).is_some_and(|kind| kind == "spin");
    let rounds = arguments.get(3).and_then(|text| text.parse().ok()).unwrap_or(5);
    let (units, low) = if spin { (Units::Spin, -1.0) } else { (Units::Binary, 0.0) };
    let (what, pixels) = if file == "-" { ("strokes", strokes()) } else { ("digits", digits(file)?) };
    let share = pixels.iter().filter(|&&on| on).count() as f64 / pixels.len() as f64;
    let data: Vec<f32> = pixels.iter().map(|&on| if on { 1.0 } else { low }).collect();
    let mut rbm = Rbm::new(PIXELS, HIDDEN, units, units)?;
    rbm.randomize(0.01, 1);
    let settings = Settings { rate: 0.05, momentum: 0.5, ..Settings::default() };
    let mut learner = Learner::new(Cpu::with_threads(1), &rbm, settings, BATCH, 2)?;
    let mut trainer = Trainer::new(&rbm, settings, 2)?;
    let (mut best, mut graph) = (f64::INFINITY, f64::INFINITY);
    let (mut error, mut of_graph) = (0.0, 0.0);
    for _ in 0..rounds {
        let before = processor_seconds();
        error = 0.0;
        for batch in data.chunks(BATCH * PIXELS) {
            error += trainer.learn(&mut rbm, batch)? / (ROWS / BATCH) as f32;
        }
        let between = processor_seconds();
        of_graph = 0.0;
        for batch in data.chunks(BATCH * PIXELS) {
            of_graph += learner.learn(batch)? / (ROWS / BATCH) as f32;
        }
        (best, graph) = (best.min(between - before), graph.min(processor_seconds() - between));
    }
    println!("{what}, {:.1} % on, {units:?}: {best:.4} s an epoch (least of {rounds})", 100.0 * share);
    println!("mean squared error of the reconstruction in the last epoch: {error:.5}");
    println!("as a graph: {graph:.4} s, {of_graph:.5}");
    Ok(())
}
