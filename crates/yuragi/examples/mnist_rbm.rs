//! Restricted Boltzmann machines on handwritten digits, judged by the log-probability of the test digits.
//!
//!     cargo run --release --example mnist_rbm -- [HIDDEN] [cd1|cd25|pcd] [EPOCHS] [FILE]
//!
//! reads the uncompressed MNIST files `train-images-idx3-ubyte` and `t10k-images-idx3-ubyte` from `$YURAGI_DATA/mnist`,
//! else `../shared/data/mnist`. A pixel is on with the probability of its brightness: training draws anew in every
//! epoch, the test digits are drawn once. Batches have 100 digits; the rate falls linearly to 0.
//!
//! ln Z is that of AIS with its error, for up to 20 hidden units also exact; RAISE bounds the log-probability from
//! below on some of the test digits.
//! With FILE the parameters are kept there after every epoch, as W, b, c in little-endian f32; if it holds a machine
//! of this size, learning goes on from it. 0 EPOCHS judge it.

mod digits;

use std::time::Instant;

use digits::{PIXELS, binarised, logits, pictures};
use yuragi::energy::rbm::partition::{annealed_log_z, exact_log_z};
use yuragi::energy::rbm::raise::raise;
use yuragi::energy::rbm::train::{Settings, Trainer};
use yuragi::energy::rbm::{Rbm, Units};
use yuragi::energy::sampler::quiet;
use yuragi::energy::statistics::mean;

const BATCH: usize = 100;

fn keep(rbm: &Rbm, file: &str) -> std::io::Result<()> {
    let values = rbm.weights.iter().chain(&rbm.visible_bias).chain(&rbm.hidden_bias);
    std::fs::write(file, values.flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}

/// What was kept, if it is of this size.
fn resume(rbm: &mut Rbm, file: &str) {
    let bytes = std::fs::read(file).unwrap_or_default();
    let (values, _) = bytes.as_chunks();
    if values.len() == rbm.weights.len() + rbm.visible() + rbm.hidden() {
        let parameters = rbm.weights.iter_mut().chain(&mut rbm.visible_bias).chain(&mut rbm.hidden_bias);
        parameters.zip(values).for_each(|(x, bytes)| *x = f32::from_le_bytes(*bytes));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (Some(train), Some(test)) = (pictures("train"), pictures("t10k")) else {
        println!("skipped: no MNIST files in ../shared/data/mnist or $YURAGI_DATA/mnist");
        return Ok(());
    };
    let arguments: Vec<String> = std::env::args().collect();
    let text = |at: usize| arguments.get(at).map(String::as_str);
    let hidden: usize = text(1).map_or(Ok(20), str::parse)?;
    let (steps, persistent, rate) = match text(2).unwrap_or("cd1") {
        "cd1" => (1, false, 0.05),
        "cd25" => (25, false, 0.05),
        "pcd" => (1, true, 0.02),
        _ => return Err("the method is cd1, cd25 or pcd".into()),
    };
    let epochs: u32 = text(3).map_or(Ok(5), str::parse)?;
    let test = binarised(&test, 0);

    let mut rbm = Rbm::new(PIXELS, hidden, Units::Binary, Units::Binary)?;
    rbm.randomize(0.01, 1);
    rbm.visible_bias = logits(&train);
    let base = rbm.visible_bias.clone();
    if let Some(file) = text(4) {
        resume(&mut rbm, file);
    }

    let mut trainer = Trainer::new(
        &rbm,
        Settings { rate, momentum: 0.5, steps, persistent, centred: true, ..Settings::default() },
        2,
    )?;
    let start = Instant::now();
    for epoch in 0..epochs {
        let data = binarised(&train, epoch + 1);
        let (batches, mut error) = (data.len() / (BATCH * PIXELS), 0.0);
        for (i, batch) in data.chunks(BATCH * PIXELS).enumerate() {
            let done = (f64::from(epoch) + i as f64 / batches as f64) / f64::from(epochs);
            trainer.set_rate(rate * (1.0 - done) as f32)?;
            error += trainer.learn(&mut rbm, batch)? / batches as f32;
        }
        if let Some(file) = text(4) {
            keep(&rbm, file)?;
        }
        if epoch + 1 == epochs || (epoch + 1) % 5 == 0 {
            let log_z = annealed_log_z(&rbm, &base, (1000, 100), 3, &mut quiet)?;
            let log_probability = -mean(&rbm.free_energies(&test)?).value - log_z.value;
            let seconds = start.elapsed().as_secs_f64();
            println!("epoch {}: reconstruction {error:.4}, test {log_probability:.2} nats, {seconds:.0} s", epoch + 1);
        }
    }
    let free_energy = mean(&rbm.free_energies(&test)?);
    println!("mean free energy of the test digits: {:.3} ± {:.3}", free_energy.value, free_energy.error);
    if hidden <= 20 {
        let log_z = exact_log_z(&rbm)?;
        println!("exactly: ln Z {log_z:.3}, test log-probability {:.2} nats", -free_energy.value - log_z);
    }
    let log_z = annealed_log_z(&rbm, &base, (10_000, 100), 4, &mut quiet)?;
    println!(
        "AIS: ln Z {:.3} ± {:.3}, test log-probability {:.2} nats",
        log_z.value,
        log_z.error,
        -free_energy.value - log_z.value
    );
    let some = &test[..200 * PIXELS];
    let below: Vec<f64> =
        raise(&rbm, &base, some, (5000, 5), 5, &mut quiet)?.iter().map(|estimate| estimate.value).collect();
    let above = -mean(&rbm.free_energies(some)?).value - log_z.value;
    println!(
        "the first 200: {:.2} by RAISE, {above:.2} by AIS (± {:.2} over digits)",
        mean(&below).value,
        mean(&below).error
    );
    Ok(())
}
