//! Rows of the last axis: `kernels/softmax.cu`, `kernels/layer_norm.cu` and `kernels/layer_norm_grad.cu`.

use yuragi_graph::DType;

use super::{
    operand::{KernelError, extent, function, function_into, lanes, striding},
    product::{SHARES, sum_shares},
};
use crate::launch::{Address, Argument, Code, Launch, Launches};

/// e^x over its sum along each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// Rows; with 0 nothing is launched.
    pub rows: usize,
    /// Elements of a row; with 0 nothing is launched.
    pub width: usize,
    /// Of x and y.
    pub dtype: DType,
    /// \[rows, width\].
    pub x: Address,
    /// \[rows, width\]; may be x.
    pub y: Address,
}

/// Each row standardised, then scaled and shifted by element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// Rows; with 0 nothing is launched.
    pub rows: usize,
    /// Elements of a row; with 0 nothing is launched.
    pub width: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Of x, gain and bias.
    pub dtype: DType,
    /// Of y: the same, or 16 bits of `F32`.
    pub result: DType,
    /// \[rows, width\].
    pub x: Address,
    /// \[width\].
    pub gain: Address,
    /// \[width\].
    pub bias: Address,
    /// \[rows, width\]; may be x if it is of the same type.
    pub y: Address,
}

/// The gradient for x of standardising each row, scaled by element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNormGrad {
    /// Rows; with 0 nothing is launched.
    pub rows: usize,
    /// Elements of a row; with 0 nothing is launched.
    pub width: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Of all operands.
    pub dtype: DType,
    /// \[rows, width\].
    pub g: Address,
    /// \[rows, width\].
    pub x: Address,
    /// \[width\].
    pub gain: Address,
    /// \[rows, width\]; may be g or x.
    pub y: Address,
}

/// Sums over the rows of g·x̂ and of g, x̂ being the standardised x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNormSums {
    /// Rows, at least 1.
    pub rows: usize,
    /// Elements of a row; with 0 nothing is launched.
    pub width: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Of g and x.
    pub dtype: DType,
    /// \[rows, width\].
    pub g: Address,
    /// \[rows, width\].
    pub x: Address,
    /// F32 \[2, width\].
    pub y: Address,
}

/// Threads of a block, and of those that share a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Team {
    threads: u32,
    team: u32,
}

/// Elements that a thread holds in registers.
const HELD: usize = 16;
/// Threads that keep a GPU's memory busy.
const MANY: usize = 1 << 16;
/// Threads of a block whose warps have rows of their own.
const THREADS: u32 = 256;

impl Team {
    /// The smallest team that can hold a row, or a larger one where rows are few.
    fn new(rows: usize, width: usize, packed: Option<usize>) -> Team {
        // Threads that would still have something to do; and those needed.
        let (most, least) = match packed {
            Some(lanes) => (width / lanes, width.div_ceil(HELD)),
            None => (width.div_ceil(2), width.div_ceil(8)),
        };
        let wanted = least.max(most.min(MANY / rows.max(1))).max(1);
        match wanted {
            ..=32 => Team { threads: THREADS, team: wanted.next_power_of_two() as u32 },
            _ => {
                let threads = wanted.min(1024).next_multiple_of(32) as u32;
                Team { threads, team: threads }
            }
        }
    }

    fn grid(self, rows: usize) -> [u32; 3] {
        [striding(rows, (self.threads / self.team) as usize), 1, 1]
    }
}

/// The number of elements that are moved at once, if the kernels can.
fn packed(dtype: DType, width: usize, operands: &[Address]) -> Option<usize> {
    let aligned = operands.iter().all(|at| at.alignment() >= 16);
    (aligned && width.is_multiple_of(lanes(dtype))).then_some(lanes(dtype))
}

impl Softmax {
    /// The launch, with the threads that suit the rows.
    ///
    /// # Errors
    ///
    /// Integers; 2^31 rows or elements of one.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        let Self { rows, width, dtype, x, y } = *self;
        let (m, n) = (extent("the number of rows of a softmax", rows)?, extent("the width of a softmax", width)?);
        let function = function("softmax", dtype)?;
        if rows == 0 || width == 0 {
            return Ok(Launches::default());
        }
        let team = Team::new(rows, width, packed(dtype, width, &[x, y]));
        let launch = Launch {
            name: "softmax",
            code: Code::Shipped("softmax"),
            function,
            grid: team.grid(rows),
            block: [team.threads, 1, 1],
            shared: 0,
            arguments: vec![
                Argument::Pointer(x),
                Argument::Pointer(y),
                Argument::U32(m),
                Argument::U32(n),
                Argument::U32(team.team),
            ],
        };
        Ok(Launches { launches: vec![launch], scratch: 0 })
    }
}

/// A kernel of three operands and a result whose teams of threads take whole rows, with the threads that suit them.
fn layer_norm(
    name: &'static str,
    [rows, width]: [usize; 2],
    eps: f32,
    [dtype, result]: [DType; 2],
    operands: [Address; 4],
) -> Result<Launches, KernelError> {
    let (m, n) = (extent("the number of rows of a layer norm", rows)?, extent("the width of a layer norm", width)?);
    let function = function_into(name, dtype, result)?;
    if rows == 0 || width == 0 {
        return Ok(Launches::default());
    }
    let team = Team::new(rows, width, packed(dtype, width, &operands));
    let mut arguments: Vec<Argument> = operands.map(Argument::Pointer).into();
    arguments.extend([Argument::U32(m), Argument::U32(n), Argument::F32(eps), Argument::U32(team.team)]);
    let launch = Launch {
        name,
        code: Code::Shipped(name),
        function,
        grid: team.grid(rows),
        block: [team.threads, 1, 1],
        shared: 0,
        arguments,
    };
    Ok(Launches { launches: vec![launch], scratch: 0 })
}

impl LayerNorm {
    /// The launch, with the threads that suit the rows.
    ///
    /// # Errors
    ///
    /// Integers; 2^31 rows or elements of one.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        let Self { rows, width, eps, dtype, result, x, gain, bias, y } = *self;
        layer_norm("layer_norm", [rows, width], eps, [dtype, result], [x, gain, bias, y])
    }
}

impl LayerNormGrad {
    /// The launch, with the threads that suit the rows.
    ///
    /// # Errors
    ///
    /// Integers; 2^31 rows or elements of one.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        let Self { rows, width, eps, dtype, g, x, gain, y } = *self;
        layer_norm("layer_norm_grad", [rows, width], eps, [dtype; 2], [g, x, gain, y])
    }
}

impl LayerNormSums {
    /// One launch, or two where several blocks share a sum.
    ///
    /// # Errors
    ///
    /// Integers; 2^31 rows or elements of one; no row.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        /// Rows of a block, and blocks that keep a GPU busy.
        const MOST: usize = 64;
        const BLOCKS: usize = 512;
        let Self { rows, width, eps, dtype, g, x, y } = *self;
        let (m, n) = (extent("the number of rows of a layer norm", rows)?, extent("the width of a layer norm", width)?);
        let function = function("layer_norm_sums", dtype)?;
        if rows == 0 {
            return Err(KernelError::Empty { what: "the number of rows of a layer norm" });
        }
        if width == 0 {
            return Ok(Launches::default());
        }
        let chunk = rows.div_ceil(BLOCKS).clamp(8, MOST);
        let chunks = rows.div_ceil(chunk);
        let to = if chunks > 1 { SHARES } else { y };
        let mut arguments: Vec<Argument> = [g, x, to].map(Argument::Pointer).into();
        arguments.extend([Argument::U32(m), Argument::U32(n), Argument::F32(eps), Argument::U32(chunk as u32)]);
        let mut launches = vec![Launch {
            name: "layer_norm_sums",
            code: Code::Shipped("layer_norm_grad"),
            function,
            grid: [chunks as u32, 1, 1],
            block: [THREADS, 1, 1],
            shared: 0,
            arguments,
        }];
        if chunks == 1 {
            return Ok(Launches { launches, scratch: 0 });
        }
        launches.push(sum_shares(y, 2 * width, chunks));
        Ok(Launches { launches, scratch: chunks * 2 * width * size_of::<f32>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(rows: usize, width: usize, packed: Option<usize>) -> (u32, u32) {
        let Team { threads, team } = Team::new(rows, width, packed);
        (threads, team)
    }

    #[test]
    fn many_short_rows_share_a_warp() {
        assert_eq!(team(262_144, 64, Some(8)), (256, 4));
        assert_eq!(team(262_144, 64, Some(4)), (256, 4));
        assert_eq!(team(1 << 20, 10, None), (256, 2));
        assert_eq!(team(8192, 320, Some(8)), (256, 32));
    }

    #[test]
    fn few_rows_take_as_many_threads_as_there_is_work_for() {
        assert_eq!(team(4, 64, Some(8)), (256, 8));
        assert_eq!(team(128, 1280, Some(8)), (160, 160));
        assert_eq!(team(1, 1, None), (256, 1));
    }

    #[test]
    fn long_rows_take_a_block() {
        assert_eq!(team(1 << 20, 8192, Some(4)), (512, 512));
        assert_eq!(team(10, 1 << 20, Some(8)), (1024, 1024));
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        let at = Address::start(crate::launch::Home::Arena(0));
        let softmax = Softmax { rows: 1, width: 1 << 31, dtype: DType::F32, x: at, y: at };
        let error = softmax.launches().unwrap_err().to_string();
        assert_eq!(error, "the width of a softmax is 2147483648; at most 2147483647 is possible");
        let error = Softmax { width: 3, dtype: DType::I32, ..softmax }.launches().unwrap_err().to_string();
        assert_eq!(error, "softmax of I32 has no kernel; f32, f16 and bf16 have");
        assert!(Softmax { rows: 0, width: 3, ..softmax }.launches().unwrap().launches.is_empty());
    }
}
