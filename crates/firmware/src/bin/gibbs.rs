//! Samples a restricted Boltzmann machine without a heap, and compares its means with those over all states.
#![cfg_attr(target_os = "none", no_std, no_main)]

use yuragi_energy::draw::{Draws, Stream};
use yuragi_firmware::board::Console;
use yuragi_firmware::program;
use yuragi_firmware::stripes::{HIDDEN, SIDE, STATES, VISIBLE, is_stripes, machine, probabilities};

program!(run);

const READS: u32 = 2000;
const STEPS: u32 = 100;
/// Squares that are shown.
const SHOWN: u32 = 12;

fn run(console: &mut Console) -> Result<(), &'static str> {
    let machine = machine().map_err(|_| "the weights are no machine")?;
    let (draws, mut counts, mut shown) = (Draws::new(3), [0u16; STATES], [0; SHOWN as usize]);
    for read in 0..READS {
        let start = |i| (draws.word(STEPS, i as u32, Stream::Start, read) >> 31) as f32;
        let (mut v, mut h): ([f32; VISIBLE], _) = (core::array::from_fn(start), [0.0; HIDDEN]);
        machine.gibbs(&mut v, &mut h, STEPS, draws, 0, read).map_err(|_| "the layers have other units")?;
        let state = v.iter().enumerate().fold(0, |state, (i, &v)| state | usize::from(v == 1.0) << i);
        counts[state] += 1;
        if let Some(shown) = shown.get_mut(read as usize) {
            *shown = state;
        }
    }
    for row in 0..SIDE {
        for state in shown {
            (0..SIDE).for_each(|column| {
                console.text(if state >> (row * SIDE + column) & 1 == 1 { "#" } else { "." });
            });
            console.text("  ");
        }
        console.text("\n");
    }

    let exact = probabilities();
    let mut wrong = false;
    let mut compare = |console: &mut Console, holds: &dyn Fn(usize) -> bool| {
        let states = || (0..STATES).filter(|&state| holds(state));
        let p: f32 = states().map(|state| exact[state]).sum();
        let drawn = states().map(|state| f32::from(counts[state])).sum::<f32>() / READS as f32;
        console.thousandths((1000.0 * drawn + 0.5) as i64).text(" (").thousandths((1000.0 * p + 0.5) as i64).text(")");
        // 4½ standard errors of independent reads.
        let error = drawn - p;
        wrong |= error * error > 20.25 * p * (1.0 - p) / READS as f32;
    };
    console.text("means, and exactly: ");
    for i in 0..VISIBLE {
        compare(console, &|state| state >> i & 1 == 1);
        console.text(" ");
    }
    console.text("\nbars and stripes: ");
    compare(console, &is_stripes);
    console.text("\n").stack();
    if wrong { Err("means are not those of the machine") } else { Ok(()) }
}
