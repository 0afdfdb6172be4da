//! Restricted Boltzmann machines on handwritten digits, judged by the log-probability of the test digits.
//!
//!     cargo run --release --example mnist_rbm -- [HIDDEN] [cdK|pcdK] [EPOCHS] [FILE] [RATE]
//!
//! looks for MNIST in `../shared/data/mnist`, then in `$YURAGI_DATA/mnist`. A pixel is on with the probability of its brightness:
//! training draws anew in every epoch, the test digits are drawn once. Batches have 100 digits; the rate falls linearly to 0,
//! from RATE: 0.05, or 0.02 for pcd, unless another is given. cd25 bears 0.3.
//!
//! ln Z is that of AIS with its error, for up to 20 hidden units also exact; RAISE bounds the log-probability from
//! below on some of the test digits.
//! With FILE the machine is kept there after every epoch, for `yuragi sample` too; if it holds a machine of this size, learning
//! goes on from it. 0 EPOCHS judge it.

mod digits;

use std::path::Path;
use std::time::Instant;

use digits::digits;
use yuragi::cpu::Cpu;
use yuragi::energy::rbm::partition::exact_log_z;
use yuragi::energy::rbm::raise::raise;
use yuragi::energy::rbm::train::{Settings, Trainer};
use yuragi::energy::rbm::{Rbm, Units};
use yuragi::energy::sampler::quiet;
use yuragi::energy::statistics::mean;
use yuragi::fit::{Fitted, Layer, Machine, base_of};
use yuragi::graph::Alone;

const BATCH: usize = 100;
/// Test digits that RAISE judges.
const RAISED: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run().map_err(|failure| failure.to_string().into())
}

fn run() -> Result<(), yuragi::Failure> {
    let (Some(train), Some(test)) = (digits("train"), digits("t10k")) else {
        println!("skipped: no MNIST files in ../shared/data/mnist or $YURAGI_DATA/mnist");
        return Ok(());
    };
    let arguments: Vec<String> = std::env::args().collect();
    let text = |at: usize| arguments.get(at).map(String::as_str);
    let hidden: usize = text(1).map_or(Ok(20), str::parse)?;
    let method = text(2).unwrap_or("cd1");
    let (persistent, steps) = match (method.strip_prefix("pcd"), method.strip_prefix("cd")) {
        (Some(steps), _) => (true, steps.parse()?),
        (_, Some(steps)) => (false, steps.parse()?),
        _ => return Err(yuragi::Failure::new(format!("the method is `{method}`, must be cdK or pcdK, as cd25"))),
    };
    let epochs: u32 = text(3).map_or(Ok(5), str::parse)?;
    let file = text(4).map(Path::new);
    let rate: f32 = text(5).map_or(Ok(if persistent { 0.02 } else { 0.05 }), str::parse)?;

    let pixels = train.table().columns();
    let base = base_of(&train.means(), train.units(), train.len());
    let mut rbm = Rbm::new(pixels, hidden, Units::Binary, Units::Binary)?;
    rbm.randomize(0.01, 1);
    rbm.visible_bias.clone_from(&base);
    let mut machine = Machine { rbm, base };
    if let Some(file) = file.filter(|file| file.exists())
        && let Fitted::Machine(kept) = Fitted::open(file)?
        && kept.machine.rbm.hidden() == hidden
    {
        machine = kept.machine;
    }

    let settings = Settings { rate, momentum: 0.5, steps, persistent, centred: true, ..Settings::default() };
    let mut trainer = Trainer::new(&machine.rbm, settings, 2)?;
    let (start, processor) = (Instant::now(), Cpu::new().into());
    for epoch in 0..epochs {
        let data = train.drawn(u64::from(epoch) + 1);
        let (batches, mut error) = (data.len() / (BATCH * pixels), 0.0);
        for (i, batch) in data.chunks(BATCH * pixels).enumerate() {
            let done = (f64::from(epoch) + i as f64 / batches as f64) / f64::from(epochs);
            trainer.set_rate(rate * (1.0 - done) as f32)?;
            error += trainer.learn(&mut machine.rbm, batch)? / batches as f32;
        }
        if let Some(file) = file {
            let shape = train.table().shape().to_vec();
            Fitted::Machine(Layer { machine: machine.clone(), shape, moments: Vec::new() }).save(file)?;
        }
        if epoch + 1 == epochs || (epoch + 1) % 5 == 0 {
            let nats = machine.score(&test, (1000, 100), 3, (&processor, &Alone), &mut quiet)?.log_probability.value;
            let seconds = start.elapsed().as_secs_f64();
            println!("epoch {}: reconstruction {error:.4}, test {nats:.2} nats, {seconds:.0} s", epoch + 1);
        }
    }
    let score = machine.score(&test, (10_000, 100), 4, (&processor, &Alone), &mut quiet)?;
    let (log_z, nats) = (score.log_z, score.log_probability.value);
    println!("AIS: ln Z {:.3} ± {:.3}, test log-probability {nats:.2} nats", log_z.value, log_z.error);
    if hidden <= 20 {
        let exact = exact_log_z(&machine.rbm)?;
        println!("exactly: ln Z {exact:.3}, test log-probability {:.2} nats", nats + log_z.value - exact);
    }
    let some = test.first(RAISED).drawn(0);
    let below: Vec<f64> =
        raise(&machine.rbm, &machine.base, &some, (5000, 5), 5, &mut quiet)?.iter().map(|found| found.value).collect();
    let (below, above) = (mean(&below), -mean(&machine.rbm.free_energies(&some)?).value - log_z.value);
    let value = below.value;
    println!("the first {RAISED}: {value:.2} by RAISE, {above:.2} by AIS (± {:.2} over digits)", below.error);
    Ok(())
}
