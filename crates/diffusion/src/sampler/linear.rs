//! Linear combinations of what an evaluation has at hand.

use core::ops::{Add, Mul, Sub};

/// How many values an evaluation can have: the memory's slots, and four more.
pub(crate) const MEMORY: usize = 6;

/// One of the vectors that an update reads or writes; all are as long as the
/// state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    /// The state.
    State,
    /// The network's output. Read only.
    Output,
    /// The estimate of x₀ that the output and the state give, clipped. Read
    /// only, and only by samplers that clip.
    Sample,
    /// Fresh standard normal noise. Read only.
    Noise,
    /// A vector that is kept from one evaluation to the next.
    Memory(u8),
}

impl Register {
    /// The place of this register in a [`Linear`].
    const fn place(self) -> usize {
        match self {
            Self::State => 0,
            Self::Output => 1,
            Self::Sample => 2,
            Self::Noise => 3,
            Self::Memory(slot) => 4 + slot as usize,
        }
    }

    /// Every register, in the order of their places.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Self::State, Self::Output, Self::Sample, Self::Noise].into_iter().chain((0..MEMORY as u8).map(Self::Memory))
    }
}

/// Σ factor·register.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Linear([f64; 4 + MEMORY]);

impl Linear {
    /// The registers that take part, with their factors.
    pub fn terms(&self) -> impl Iterator<Item = (Register, f64)> {
        Register::all().zip(self.0).filter(|(_, factor)| *factor != 0.0)
    }
}

impl From<Register> for Linear {
    fn from(register: Register) -> Self {
        let mut all = Self::default();
        all.0[register.place()] = 1.0;
        all
    }
}

impl Add for Linear {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
        self
    }
}

impl Sub for Linear {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + other * -1.0
    }
}

impl Mul<f64> for Linear {
    type Output = Self;

    /// A factor of 0 is nothing, whatever it multiplies.
    fn mul(mut self, factor: f64) -> Self {
        self.0.iter_mut().for_each(|a| *a = if *a == 0.0 || factor == 0.0 { 0.0 } else { *a * factor });
        self
    }
}
