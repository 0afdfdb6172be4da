//! Anneals a ±J glass of 64 spins to its least energy, without a heap.
#![cfg_attr(target_os = "none", no_std, no_main)]

use yuragi_energy::dynamics::Rule;
use yuragi_energy::heapless::Chain;
use yuragi_energy::schedule::Ramp;
use yuragi_firmware::board::Console;
use yuragi_firmware::glass::{Glass, SIDE, SITES};
use yuragi_firmware::program;

program!(run);

static GLASS: Glass = Glass::new(64);
const READS: u32 = 20;
const RAMP: Ramp = Ramp::linear(0.2, 3.0, 100);

fn run(console: &mut Console) -> Result<(), &'static str> {
    let spins = GLASS.spins().map_err(|_| "the glass is no problem")?;
    let least = GLASS.least_energy();
    let (mut best, mut lowest, mut reached) = ([0; SITES], i32::MAX, 0);
    for read in 0..READS {
        let mut values = [0; SITES];
        let mut chain =
            Chain::start(spins, Rule::Metropolis, &mut values, 1, read).map_err(|_| "the glass has other spins")?;
        for sweep in 0..RAMP.sweeps() {
            chain.sweep(sweep, RAMP.beta(sweep));
        }
        let energy = chain.energy() as i32;
        reached += i64::from(energy == least);
        if energy < lowest {
            (best, lowest) = (values, energy);
        }
    }
    for row in best.chunks(SIDE) {
        row.iter().for_each(|&value| {
            console.text(if value == 1 { " #" } else { " ." });
        });
        console.text("\n");
    }
    console.text("energy ").number(lowest.into()).text(", the least is ").number(least.into());
    console.text("; reached by ").number(reached).text(" of ").number(READS.into()).text(" reads\n").stack();
    if lowest == least { Ok(()) } else { Err("no read reached the least energy") }
}
