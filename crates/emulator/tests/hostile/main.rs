//! Hostile PTX and launches: an error or a finding, never a crash, a hang, or memory without bound.

mod absurd;
#[path = "../common/mod.rs"]
mod common;
mod garbage;
mod truncated;

use yuragi_emulator::{Device, Properties};

/// A linear congruential generator (Knuth's MMIX); the high half of its state is what it draws.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }

    fn below(&mut self, end: usize) -> usize {
        self.bits() as usize % end.max(1)
    }

    fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

/// A small device that gives up after so many instructions.
fn device(step_limit: u64) -> Device {
    Device::new(Properties { memory: 1 << 24, step_limit, host_threads: 1, ..Properties::default() })
}

/// Loads a text that must be refused, and gives the reason.
fn refused(text: &str) -> String {
    match device(1).load(text) {
        Ok(module) => match module.refused().next() {
            Some((_, why)) => why.to_string(),
            None => panic!("{}", &text[..text.len().min(1000)]),
        },
        Err(error) => error.to_string(),
    }
}
