//! T12: a unit is +1 if r < P, r a pure function of (seed, sweep, site, read).

use yuragi_energy::draw::{Draws, Stream, units};

fn main() {
    let (draws, probabilities) = (Draws::new(7), [0.1, 0.5, 0.9]);
    let mut counts = [0; 3];
    let mut drawn = [0; 3];
    for read in 0..10_000 {
        units(draws, 0, Stream::Unit, read, &probabilities, &mut drawn);
        counts.iter_mut().zip(drawn).for_each(|(count, unit)| *count += u32::from(unit));
    }
    println!("P = {probabilities:?}, of 10000: {counts:?}");
}
