//! Draws with every generator and sampler, and prints each one's name and digest.
#![cfg_attr(target_os = "none", no_std, no_main)]

use yuragi_firmware::board::Console;
use yuragi_firmware::{digests, program};

program!(run, heap: HEAP = 2 << 20);

fn run(console: &mut Console) -> Result<(), &'static str> {
    for (name, draw) in digests::all() {
        let digest = digests::digest(draw).map_err(|_| "an argument of a draw was refused")?;
        console.text(name).text(" ").hexadecimal(digest).text("\n");
    }
    Ok(())
}
