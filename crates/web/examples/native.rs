//! What a script of the page's calls gives on this machine, in hexadecimal digits: the browser must give the same.

use yuragi::Failure;
use yuragi_web::{Digits, Glass, Temperatures, cooled};

fn main() -> Result<(), Failure> {
    let at = |coldest| Temperatures { coldest, ratio: 1.25 };
    let mut glass = Glass::new(24, 6, 5, at(2.0))?;
    for done in (0..400).step_by(4) {
        glass.set(at(cooled(2.0, 0.2, 400, done)?))?;
        glass.step(4, true)?;
    }
    let energies = [glass.energies(), glass.acceptance(), vec![glass.best().1 as f32]].concat();
    let energies: Vec<u8> = energies.into_iter().flat_map(f32::to_le_bytes).collect();
    println!("energies {}", hexadecimal(&energies));
    println!("spins {}", hexadecimal(&[&*glass.replicas(), &glass.spins(), glass.best().0].concat()));
    let mut digits = Digits::open(include_bytes!("../page/digits.safetensors").to_vec())?;
    digits.start(6, 3)?;
    digits.step(50)?;
    println!("digits {}", hexadecimal(&digits.grey()));
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
