//! The number that stands for all that was drawn.

use yuragi_distributions::Error as DistributionError;
use yuragi_energy::Error as EnergyError;
use yuragi_energy::heapless::Error as HeaplessError;
use yuragi_numeric::fnv::Fnv1a;

/// The bytes that were fed to it, in [one number](Fnv1a).
///
/// ```
/// let mut digest = yuragi_firmware::digests::Digest::default();
/// digest.bytes(b"a");
/// assert_eq!(digest.value(), 0xaf63_dc4c_8601_ec8c);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(Fnv1a);

impl Digest {
    /// The number.
    pub fn value(self) -> u64 {
        self.0.value()
    }

    /// Feeds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.bytes(bytes);
    }

    /// Feeds words, their low bytes first.
    pub fn words(&mut self, words: impl IntoIterator<Item = u32>) {
        words.into_iter().for_each(|word| self.bytes(&word.to_le_bytes()));
    }

    /// Feeds counts, as 64 bits whatever the processor's are.
    pub fn counts(&mut self, counts: impl IntoIterator<Item = usize>) {
        counts.into_iter().for_each(|count| self.bytes(&(count as u64).to_le_bytes()));
    }

    /// Feeds the bits of single numbers.
    pub fn singles<'a>(&mut self, numbers: impl IntoIterator<Item = &'a f32>) {
        self.words(numbers.into_iter().map(|number| number.to_bits()));
    }

    /// Feeds the bits of double numbers.
    pub fn doubles<'a>(&mut self, numbers: impl IntoIterator<Item = &'a f64>) {
        numbers.into_iter().for_each(|number| self.bytes(&number.to_bits().to_le_bytes()));
    }
}

/// What refused an argument of ours.
#[derive(Debug)]
pub enum Failure {
    /// A distribution.
    Distribution(DistributionError),
    /// A sampler.
    Energy(EnergyError),
    /// A sampler without a heap.
    Heapless(HeaplessError),
    /// A graph, or its plan.
    Graph,
}

impl From<DistributionError> for Failure {
    fn from(error: DistributionError) -> Self {
        Self::Distribution(error)
    }
}

impl From<EnergyError> for Failure {
    fn from(error: EnergyError) -> Self {
        Self::Energy(error)
    }
}

impl From<HeaplessError> for Failure {
    fn from(error: HeaplessError) -> Self {
        Self::Heapless(error)
    }
}

/// Feeds a digest with all that one generator or sampler draws.
pub type Draw = fn(&mut Digest) -> Result<(), Failure>;
