//! Weights from codes: `kernels/codes.cu`.

use yuragi_graph::DType;
use yuragi_numeric::groups::Groups;

use super::operand::{KernelError, striding};
use crate::launch::{Address, Argument, Code, Launch, Launches};

/// Codes in [groups](Groups) become numbers, rounded to their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decode {
    /// Bits of a code, and how many share a scale.
    pub groups: Groups,
    /// How many numbers; with 0 nothing is launched.
    pub count: usize,
    /// Of the numbers.
    pub dtype: DType,
    /// All codes.
    pub codes: Address,
    /// F16, one for each group.
    pub scales: Address,
    /// \[count\].
    pub y: Address,
}

impl Decode {
    /// The launch.
    ///
    /// # Errors
    /// Integers.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        const THREADS: usize = 256;
        let function = match self.dtype {
            DType::F32 => "decode_f32",
            DType::F16 => "decode_f16",
            DType::BF16 => "decode_bf16",
            DType::I32 | DType::U32 => return Err(KernelError::Type { what: "decoding", dtype: self.dtype }),
        };
        if self.count == 0 {
            return Ok(Launches::default());
        }
        let launch = Launch {
            name: "decode",
            code: Code::Shipped("codes"),
            function: function.into(),
            grid: [striding(self.count.div_ceil(8), THREADS), 1, 1],
            block: [THREADS as u32, 1, 1],
            shared: 0,
            arguments: vec![
                Argument::Pointer(self.codes),
                Argument::Pointer(self.scales),
                Argument::Pointer(self.y),
                Argument::U64(self.count as u64),
                Argument::U32(self.groups.bits() as u32),
                Argument::U32((self.groups.size() / 8) as u32),
            ],
        };
        Ok(Launches { launches: vec![launch], scratch: 0 })
    }
}
