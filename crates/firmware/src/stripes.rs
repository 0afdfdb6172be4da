//! A restricted Boltzmann machine that has learned bars and stripes: squares of 3×3 whose rows or whose columns are full.
//!
//! Its parameters are eighths, so that sums of them are exact. `cargo run --release --package yuragi-firmware --example
//! weights` learns them.

use yuragi_energy::heapless::{Error, Machine};
use yuragi_energy::rbm::Units;
use yuragi_numeric::elementary::{exp, ln};

/// Pixels along a side.
pub const SIDE: usize = 3;
/// Visible units.
pub const VISIBLE: usize = SIDE * SIDE;
/// Hidden units.
pub const HIDDEN: usize = 12;
/// Configurations of the visible units.
pub const STATES: usize = 1 << VISIBLE;

/// W, b and c in eighths.
static EIGHTHS: &[u8; VISIBLE * HIDDEN + VISIBLE + HIDDEN] = include_bytes!("../weights/stripes.bin");

static WEIGHTS: [f32; VISIBLE * HIDDEN] = table(0);
static VISIBLE_BIAS: [f32; VISIBLE] = table(VISIBLE * HIDDEN);
static HIDDEN_BIAS: [f32; HIDDEN] = table(VISIBLE * HIDDEN + VISIBLE);

const fn table<const N: usize>(start: usize) -> [f32; N] {
    let mut numbers = [0.0; N];
    let mut i = 0;
    while i < N {
        numbers[i] = EIGHTHS[start + i] as i8 as f32 / 8.0;
        i += 1;
    }
    numbers
}

/// The machine, in flash.
///
/// # Errors
/// None.
pub fn machine() -> Result<Machine<'static>, Error> {
    Machine::new([Units::Binary; 2], &WEIGHTS, &VISIBLE_BIAS, &HIDDEN_BIAS)
}

/// ln of the unnormalised probability of a configuration, bit i of which is unit i: bᵀv + Σ_j ln(1 + e^(c_j + Σ_i W_ij v_i)).
fn log_weight(state: usize) -> f32 {
    let ones = || (0..VISIBLE).filter(move |i| state >> i & 1 == 1);
    let own: f32 = ones().map(|i| VISIBLE_BIAS[i]).sum();
    let hidden = (0..HIDDEN).map(|j| {
        let field = HIDDEN_BIAS[j] + ones().map(|i| WEIGHTS[i * HIDDEN + j]).sum::<f32>();
        field.max(0.0) + ln(1.0 + exp(-field.abs()))
    });
    own + hidden.sum::<f32>()
}

/// The probability of every configuration, by enumeration.
pub fn probabilities() -> [f32; STATES] {
    let mut weights = [0.0; STATES];
    weights.iter_mut().enumerate().for_each(|(state, weight)| *weight = log_weight(state));
    let largest = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    weights.iter_mut().for_each(|weight| *weight = exp(*weight - largest));
    let total: f32 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    weights
}

/// Whether a configuration is bars or stripes.
pub fn is_stripes(state: usize) -> bool {
    let at = |row: usize, column: usize| state >> (row * SIDE + column) & 1;
    let rows = (0..SIDE).all(|row| (1..SIDE).all(|column| at(row, column) == at(row, 0)));
    let columns = (0..SIDE).all(|column| (1..SIDE).all(|row| at(row, column) == at(0, column)));
    rows || columns
}
