//! Seconds of processor time of one epoch of CD-1: 10 000 binarised digits in batches of 100, 784 × 256 units.
//!
//! Digits from `$YURAGI_DATA/mnist/train-images-idx3-ubyte`, or strokes of about their density where there are none.
//!
//!     cargo run --release -p yuragi-energy --features std --example rbm_speed -- [binary|spin] [ROUNDS]
//!
//! `benches/peers/rbm_torch.py` times the same in PyTorch.

use std::time::Instant;

use yuragi_energy::Error;
use yuragi_energy::rbm::train::{Settings, Trainer};
use yuragi_energy::rbm::{Rbm, Units};
use yuragi_numeric::fill;

const ROWS: usize = 10_000;
const PIXELS: usize = 784;
const HIDDEN: usize = 256;
const BATCH: usize = 100;

/// Pixels that are at least half as bright as can be are on.
fn digits() -> Option<Vec<bool>> {
    let folder = std::env::var("YURAGI_DATA").unwrap_or_else(|_| "../shared/data".into());
    let bytes = std::fs::read(format!("{folder}/mnist/train-images-idx3-ubyte")).ok()?;
    Some(bytes.get(16..16 + ROWS * PIXELS)?.iter().map(|&pixel| pixel >= 128).collect())
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

/// Seconds of processor time where the system tells them (a shared machine), else of the clock.
fn seconds(start: Instant) -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns * 1e-9)
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let spin = arguments.get(1).is_some_and(|kind| kind == "spin");
    let rounds = arguments.get(2).and_then(|text| text.parse().ok()).unwrap_or(5);
    let (units, low) = if spin { (Units::Spin, -1.0) } else { (Units::Binary, 0.0) };
    let (what, pixels) = digits().map_or_else(|| ("strokes", strokes()), |digits| ("digits", digits));
    let share = pixels.iter().filter(|&&on| on).count() as f64 / pixels.len() as f64;
    let data: Vec<f32> = pixels.iter().map(|&on| if on { 1.0 } else { low }).collect();
    let mut rbm = Rbm::new(PIXELS, HIDDEN, units, units)?;
    rbm.randomize(0.01, 1);
    let mut trainer = Trainer::new(&rbm, Settings { rate: 0.05, momentum: 0.5, ..Settings::default() }, 2)?;
    let origin = Instant::now();
    let mut best = f64::INFINITY;
    let mut error = 0.0;
    for _ in 0..rounds {
        let before = seconds(origin);
        error = 0.0;
        for batch in data.chunks(BATCH * PIXELS) {
            error += trainer.learn(&mut rbm, batch)? / (ROWS / BATCH) as f32;
        }
        best = best.min(seconds(origin) - before);
    }
    println!("{what}, {:.1} % on, {units:?}: {best:.4} s an epoch (least of {rounds})", 100.0 * share);
    println!("mean squared error of the reconstruction in the last epoch: {error:.5}");
    Ok(())
}
