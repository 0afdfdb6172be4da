//! T22: CD-1 and PCD on bars and stripes, judged by the exact likelihood.

use yuragi_energy::Error;
use yuragi_energy::rbm::train::{Settings, Trainer};
use yuragi_energy::rbm::{Rbm, Units, partition};

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
    for (name, persistent) in [("CD-1", false), ("PCD", true)] {
        let mut rbm = Rbm::new(9, 12, Units::Binary, Units::Binary)?;
        rbm.randomize(0.05, 1);
        let settings = Settings { rate: 0.2, momentum: 0.5, persistent, centred: true, ..Settings::default() };
        let mut trainer = Trainer::new(&rbm, settings, 2)?;
        for step in 0..=2000 {
            if step % 500 == 0 {
                let mean = rbm.free_energies(&data)?.iter().sum::<f64>() / 14.0;
                println!("{name} step {step}: {:.3} nats", -mean - partition::exact_log_z(&rbm)?);
            }
            trainer.learn(&mut rbm, &batch)?;
        }
    }
    println!("the best possible: {:.3}", -14f64.ln());
    Ok(())
}
