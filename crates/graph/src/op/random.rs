/// The law of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distribution {
    /// Uniform in [0, 1), in steps of 2⁻²⁴.
    Uniform,
    /// Standard normal.
    Normal,
}

impl Distribution {
    /// The whole family.
    pub const ALL: &'static [Distribution] = &[Distribution::Uniform, Distribution::Normal];

    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Distribution::Uniform => "uniform",
            Distribution::Normal => "normal",
        }
    }
}
