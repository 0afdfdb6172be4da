//! A deep Boltzmann machine on handwritten digits, judged by the variational bound of the test digits.
//!
//!     cargo run --release --example mnist_dbm -- [FIRST] [SECOND] [PRETRAINING] [EPOCHS] [RATE] [STEPS]
//!
//! reads the MNIST files as `mnist_rbm` does: 784 pixels, FIRST and SECOND hidden units, so many epochs of CD-1 for
//! each layer and then of joint learning by mean field and chains of STEPS Gibbs steps from it, with centred gradients,
//! whose rate falls linearly to 0.

mod digits;

use std::time::Instant;

use digits::digits;
use yuragi::energy::deep::{Dbm, DbmSettings, DbmTrainer, Greedy, MeanFieldSettings};
use yuragi::energy::rbm::{Units, partition::annealed_log_z, train::Settings};
use yuragi::energy::sampler::quiet;
use yuragi::energy::statistics::mean;
use yuragi::fit::base_of;

const BATCH: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (Some(train), Some(test)) = (digits("train"), digits("t10k")) else {
        println!("skipped: no MNIST files in ../shared/data/mnist or $YURAGI_DATA/mnist");
        return Ok(());
    };
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let pixels = train.table().columns();
    let sizes = [pixels, number(1, 100)?, number(2, 100)?];
    let (pretraining, epochs) = (number(3, 0)? as u32, number(4, 2)? as u32);
    let rate: f32 = arguments.get(5).map_or(Ok(0.1), |text| text.parse())?;

    let start = Instant::now();
    let settings = Settings { rate: 0.05, momentum: 0.5, weight_decay: 2e-4, ..Settings::default() };
    let greedy = Greedy { settings, epochs: pretraining, batch: BATCH, scale: 0.01 };
    let mut dbm = Dbm::pretrain(&train.drawn(1), &sizes, Units::Binary, &greedy, 1, &mut quiet)?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{sizes:?} units pretrained in {seconds:.0} s");

    let mean_field = MeanFieldSettings { rounds: 10, tolerance: 1e-3, damping: 0.0 };
    let (steps, persistent) = (number(6, 10)? as u32, false);
    let settings =
        DbmSettings { rate, momentum: 0.5, steps, persistent, mean_field, centred: true, ..DbmSettings::default() };
    let mut trainer = DbmTrainer::new(&dbm, settings, 2)?;
    // The chains of AIS start from independent pixels, and so does a machine that was not pretrained.
    let pixel = base_of(&train.means(), train.units(), train.len());
    if pretraining == 0 {
        dbm.bias_mut(0)?.copy_from_slice(&pixel);
    }
    let mut base = dbm.bipartite().visible_bias.clone();
    base.fill(0.0);
    base[..pixels].copy_from_slice(&pixel);
    let test = test.drawn(0);
    let bound = |dbm: &Dbm, digits: &[f32], steps: u32| -> Result<_, yuragi::energy::Error> {
        let log_z = annealed_log_z(dbm.bipartite(), &base, (steps, 100), 3, &mut quiet)?;
        let means = dbm.mean_field(digits, &MeanFieldSettings::default())?;
        Ok((log_z, mean(&dbm.bound(&means, log_z.value)?)))
    };
    for epoch in 0..epochs {
        let data = train.drawn(u64::from(epoch) + 2);
        let batches = data.len() / (BATCH * pixels);
        for (i, batch) in data.chunks(BATCH * pixels).enumerate() {
            let done = (f64::from(epoch) + i as f64 / batches as f64) / f64::from(epochs);
            trainer.set_rate(rate * (1.0 - done) as f32)?;
            trainer.learn(&mut dbm, batch)?;
        }
        if epoch == 0 || (epoch + 1) % 5 == 0 {
            let (_, bound) = bound(&dbm, &test[..1000 * pixels], 1000)?;
            println!("epoch {}: bound {:.2} nats, {:.0} s", epoch + 1, bound.value, start.elapsed().as_secs_f64());
        }
    }
    let (log_z, bound) = bound(&dbm, &test, 10_000)?;
    println!("AIS: ln Z {:.3} ± {:.3}", log_z.value, log_z.error);
    println!("test log-probability at least {:.2} ± {:.2} nats (over digits)", bound.value, bound.error);
    Ok(())
}
