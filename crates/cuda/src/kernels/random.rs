//! Random numbers: `kernels/philox_normal.cu`.

use yuragi_graph::op::Distribution;

use super::operand::striding;
use crate::launch::{Address, Argument, Code, Launch, Launches};

/// Numbers of f32 that are a function of the key, the stream and their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    /// Uniform or normal.
    pub law: Distribution,
    /// The stream.
    pub stream: u32,
    /// How many; with 0 nothing is launched.
    pub count: usize,
    /// U32 \[2\].
    pub key: Address,
    /// F32 \[count\].
    pub y: Address,
}

impl Random {
    /// The launch.
    pub fn launches(&self) -> Launches {
        const THREADS: usize = 256;
        if self.count == 0 {
            return Launches::default();
        }
        let function = match self.law {
            Distribution::Uniform => "random_uniform_f32",
            Distribution::Normal => "random_normal_f32",
        };
        let launch = Launch {
            name: self.law.name(),
            code: Code::Shipped("philox_normal"),
            function: function.into(),
            grid: [striding(self.count.div_ceil(4), THREADS), 1, 1],
            block: [THREADS as u32, 1, 1],
            shared: 0,
            arguments: vec![
                Argument::Pointer(self.y),
                Argument::U64(self.count as u64),
                Argument::Pointer(self.key),
                Argument::U32(self.stream),
                Argument::U64(0),
            ],
        };
        Launches { launches: vec![launch], scratch: 0 }
    }
}
