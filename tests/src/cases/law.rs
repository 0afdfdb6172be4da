use yuragi_graph::{DType, View};
use yuragi_numeric::{fill, philox::Philox, rand_core::Rng};

/// How the values of an input are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// Standard normal.
    Normal,
    /// Normal with this mean: what a naive variance cannot bear.
    Offset(f32),
    /// In [½, 2].
    Positive,
    /// In ±[½, 2].
    Nonzero,
    /// Either sign, with magnitudes from 2⁻²⁰ to 2²⁰ (2⁻¹⁵ to 2¹⁵ for `F16`).
    Wide,
    /// Small integers, many of them equal.
    Ties,
    /// Zeros of both signs, subnormal, huge, infinite and NaN, in every combination over the inputs of a case.
    Special,
    /// Standard normal, but every eighth value is special.
    Spiked,
    /// Integers below this.
    Index(usize),
    /// Any word: the keys of random generators.
    Key,
}

/// Zeros, units, subnormals, the edges of every floating type's range, infinities and NaN.
pub const SPECIAL: [f32; 20] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    1e-45,
    -1e-40,
    f32::MIN_POSITIVE,
    6e-8,
    -1e-4,
    100.0,
    -100.0,
    65_504.0,
    -1e5,
    3e38,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// Values of an input.
#[derive(Clone, Debug)]
pub enum Drawn {
    /// Of a floating type.
    F32(Vec<f32>),
    /// Indices.
    I32(Vec<i32>),
    /// Keys.
    U32(Vec<u32>),
}

impl Drawn {
    /// What a run takes.
    pub fn view(&self) -> View<'_> {
        match self {
            Drawn::F32(x) => View::F32(x),
            Drawn::I32(x) => View::I32(x),
            Drawn::U32(x) => View::U32(x),
        }
    }
}

impl Law {
    /// Values for the input at a place among the inputs of a case.
    pub fn draw(self, key: [u32; 2], place: u32, count: usize, dtype: DType) -> Drawn {
        match dtype {
            DType::F32 | DType::F16 | DType::BF16 => Drawn::F32(self.floats(key, place, count, dtype)),
            DType::I32 => Drawn::I32(self.words(key, place, count).into_iter().map(|x| x as i32).collect()),
            DType::U32 => Drawn::U32(self.words(key, place, count)),
        }
    }

    fn words(self, key: [u32; 2], place: u32, count: usize) -> Vec<u32> {
        let mut rng = Philox::new(key, place);
        let below = if let Law::Index(rows) = self { rows.max(1) as u32 } else { u32::MAX };
        (0..count).map(|_| rng.next_u32() % below).collect()
    }

    fn floats(self, key: [u32; 2], place: u32, count: usize, dtype: DType) -> Vec<f32> {
        let octaves = if dtype == DType::F16 { 15.0 } else { 20.0 };
        let mut x = vec![0.0; count];
        let mut u = vec![0.0; count];
        fill::normal(key, place, 0, &mut x);
        fill::uniform(key, place + 1000, 0, &mut u);
        let special = |i: usize| SPECIAL[i % SPECIAL.len()];
        let value = |(i, (x, u)): (usize, (f32, f32))| match self {
            Law::Normal => x,
            Law::Offset(mean) => x + mean,
            Law::Positive => 0.5 + 1.5 * u,
            Law::Nonzero => (0.5 + 1.5 * u).copysign(x),
            Law::Wide => ((u * 2.0 - 1.0) * octaves).exp2().copysign(x),
            Law::Ties => (u * 5.0).floor() - 2.0,
            Law::Special => special(i / SPECIAL.len().pow(place)),
            Law::Spiked if i % 8 == 3 => special(i / 8),
            Law::Spiked => x,
            Law::Index(_) | Law::Key => (u * 100.0).floor(),
        };
        x.into_iter().zip(u).enumerate().map(value).collect()
    }
}
