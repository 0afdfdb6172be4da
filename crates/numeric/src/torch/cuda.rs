use core::convert::Infallible;
use core::f32::consts::TAU;

use rand_core::{TryRng, utils};

use crate::philox;

/// Threads of a block.
const BLOCK: u64 = 256;

/// How many threads PyTorch spreads a call over, which depends on the card.
///
/// A call for more numbers than threads takes several words of each thread, so cards of different sizes draw different
/// numbers; up to the number of resident threads (43 008 on a GeForce RTX 3060, 270 336 on an H100) all draw the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Streaming multiprocessors of the card, at least 1.
    multiprocessors: u32,
    /// Threads that one of them holds: 2048 on data-centre cards, 1536 or 1024 on others.
    resident: u32,
}

impl Launch {
    /// A card without end: one word of each thread. Interfaces that draw a GPU's numbers on the processor mean this.
    pub const UNLIMITED: Self = Self { multiprocessors: u32::MAX, resident: u32::MAX };

    /// A card of so many multiprocessors, each with room for so many threads. `None` unless both are positive and a
    /// multiprocessor holds a block of 256.
    ///
    /// ```
    /// use yuragi_numeric::torch::Launch;
    /// assert!(Launch::new(28, 1536).is_some() && Launch::new(28, 255).is_none());
    /// ```
    pub const fn new(multiprocessors: u32, resident: u32) -> Option<Self> {
        let legal = multiprocessors > 0 && resident as u64 >= BLOCK;
        if legal { Some(Self { multiprocessors, resident }) } else { None }
    }

    /// Streaming multiprocessors of the card.
    pub const fn multiprocessors(self) -> u32 {
        self.multiprocessors
    }

    /// Threads that a multiprocessor holds.
    pub const fn resident(self) -> u32 {
        self.resident
    }

    /// Threads of a call for `count` numbers.
    fn threads(self, count: u64) -> u64 {
        let most = u64::from(self.multiprocessors) * (u64::from(self.resident) / BLOCK);
        BLOCK * count.div_ceil(BLOCK).min(most)
    }
}

/// PyTorch's generator of a GPU: Philox4x32-10, a thread a subsequence, and Box and Muller's transformation as cuRAND
/// has it.
///
/// ```
/// use yuragi_numeric::torch::{Cuda, Launch};
/// let mut generator = Cuda::new(0, Launch::UNLIMITED);
/// let mut drawn = [0.0; 2];
/// generator.normal(&mut drawn); // torch.randn(2, device="cuda") after torch.manual_seed(0)
/// assert!((drawn[0] + 0.9247).abs() < 1e-4 && (drawn[1] + 0.4253).abs() < 1e-4);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cuda {
    seed: u64,
    launch: Launch,
    /// Words of each thread that earlier calls used up, a multiple of 4.
    offset: u64,
}

impl Cuda {
    /// `manual_seed(seed)` on a card.
    pub const fn new(seed: u64, launch: Launch) -> Self {
        Self { seed, launch, offset: 0 }
    }

    /// `manual_seed(seed)` again, on the same card.
    pub const fn reseed(&mut self, seed: u64) {
        *self = Self::new(seed, self.launch);
    }

    /// Fills `out` as one call of `torch.randn` does.
    pub fn normal(&mut self, out: &mut [f32]) {
        if out.is_empty() {
            return;
        }
        let (count, threads) = (out.len() as u64, self.launch.threads(out.len() as u64));
        let rounds = (count - 1) / (4 * threads) + 1;
        for (round, out) in (0..rounds).zip(out.chunks_mut(4 * threads as usize)) {
            let (first, rest) = out.split_at_mut(out.len().min(threads as usize));
            for (thread, x) in (0..).zip(first.iter_mut()) {
                let [drawn, others @ ..] = normals(self.block(round, thread));
                *x = drawn;
                for (lane, drawn) in others.into_iter().enumerate() {
                    if let Some(x) = rest.get_mut(lane * threads as usize + thread as usize) {
                        *x = drawn;
                    }
                }
            }
        }
        self.offset = self.offset.wrapping_add(4 * rounds);
    }

    /// The words of one thread in one round of a call.
    fn block(&self, round: u64, thread: u64) -> [u32; 4] {
        let [low, high] = philox::key((self.offset / 4).wrapping_add(round));
        let [thread, far] = philox::key(thread);
        philox::block([low, high, thread, far], philox::key(self.seed))
    }
}

/// The word behind a call for one number.
impl TryRng for Cuda {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let word = self.block(0, 0)[0];
        self.offset = self.offset.wrapping_add(4);
        Ok(word)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        utils::next_u64_via_u32(self)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        utils::fill_bytes_via_next_word(bytes, || self.try_next_u32())
    }
}

/// Two pairs of normal numbers, the sine first.
fn normals(words: [u32; 4]) -> [f32; 4] {
    const UNIT: f32 = 1.0 / 4_294_967_296.0;
    let pair = |x: u32, y: u32| {
        let u = libm::fmaf(x as f32, UNIT, UNIT / 2.0);
        let angle = f64::from(libm::fmaf(y as f32, UNIT * TAU, UNIT * TAU / 2.0));
        let radius = libm::sqrt(-2.0 * libm::log(f64::from(u)));
        [(radius * libm::sin(angle)) as f32, (radius * libm::cos(angle)) as f32]
    };
    let ([a, b], [c, d]) = (pair(words[0], words[1]), pair(words[2], words[3]));
    [a, b, c, d]
}
