//! T11: bars and stripes by a deep belief network and by a deep Boltzmann machine, each with its variational bound.

use yuragi_energy::Error;
use yuragi_energy::deep::{Dbm, DbmSettings, DbmTrainer, Dbn, Greedy, Stack, WakeSleep};
use yuragi_energy::rbm::{Units, partition::exact_log_z, train::Settings};
use yuragi_energy::sampler::quiet;

fn main() -> Result<(), Error> {
    // The 14 pictures of 3×3 pixels that are whole rows or whole columns.
    let mut data: Vec<f32> = Vec::new();
    for lines in 0..8 {
        data.extend((0..9).map(|i| (lines >> (i / 3) & 1) as f32));
        if lines % 7 != 0 {
            data.extend((0..9).map(|i| (lines >> (i % 3) & 1) as f32));
        }
    }
    let batch = data.repeat(10);
    let settings = Settings { rate: 0.1, momentum: 0.5, steps: 10, ..Settings::default() };
    let greedy = Greedy { settings, epochs: 1500, batch: 140, scale: 0.1 };

    let mut dbn = Dbn::greedy(Stack { data: &batch, sizes: &[9, 6, 9], units: Units::Binary }, &greedy, 1, &mut quiet)?;
    let mut learner = WakeSleep::new(&dbn, 0.05, settings, 2)?;
    for step in 0..=1000 {
        if step % 500 == 0 {
            // ln p(v) ≥ ⟨ln p(v, h) − ln q(h|v)⟩_q
            let bounds = dbn.bound(&data, 1000, exact_log_z(&dbn.top)?, 3)?;
            let mean = bounds.iter().map(|bound| bound.lower.value).sum::<f64>() / 14.0;
            println!("belief network, wake-sleep step {step}: bound {mean:.3} nats");
        }
        learner.learn(&mut dbn, &batch)?;
    }

    let mut dbm =
        Dbm::pretrain(Stack { data: &batch, sizes: &[9, 6, 4], units: Units::Binary }, &greedy, 4, &mut quiet)?;
    let mut trainer = DbmTrainer::new(&dbm, DbmSettings { rate: 0.05, centred: true, ..DbmSettings::default() }, 5)?;
    for step in 0..=3000 {
        let means = trainer.learn(&mut dbm, &data)?;
        if step % 1000 == 0 {
            // ln p(v) ≥ ⟨−E⟩_Q + H(Q) − ln Z
            let mean = dbm.bound(&means, exact_log_z(dbm.bipartite())?)?.iter().sum::<f64>() / 14.0;
            println!("deep Boltzmann machine, step {step}: bound {mean:.3} nats, {} rounds", means.rounds);
        }
    }
    println!("the best possible: {:.3}", -14f64.ln());
    Ok(())
}
