//! Rows of tables by their numbers: `kernels/rows.cu`.

use yuragi_graph::DType;

use super::operand::{KernelError, at_most, extent, function, striding};
use crate::launch::{Address, Argument, Code, Home, Launch, Launches};

/// Rows of a table; zeros for a number that no row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    /// Rows of the table.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
    /// Rows that are read; with 0, or a width of 0, nothing is launched.
    pub count: usize,
    /// Of the table and the result: any.
    pub dtype: DType,
    /// \[rows, width\].
    pub table: Address,
    /// I32 \[count\].
    pub indices: Address,
    /// \[count, width\].
    pub y: Address,
}

/// The sum of the values that go to each row, in their order; those of a number that no row has go nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScatterAdd {
    /// Rows of the result; with 0, or a width of 0, nothing is launched.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
    /// Values.
    pub count: usize,
    /// Of values and result.
    pub dtype: DType,
    /// I32 \[count\].
    pub indices: Address,
    /// \[count, width\].
    pub values: Address,
    /// \[rows, width\].
    pub y: Address,
}

/// Threads of a block.
const THREADS: usize = 256;
/// Rows of a warp, and columns of it.
const ROWS: usize = 8;
const COLUMNS: usize = 128;

impl Gather {
    /// The launch.
    ///
    /// # Errors
    ///
    /// 2^31 rows or more.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        let rows = extent("the number of rows of a table", self.rows)?;
        if self.count == 0 || self.width == 0 {
            return Ok(Launches::default());
        }
        let packs = (self.count * self.width * self.dtype.size()).div_ceil(16);
        let launch = Launch {
            name: "gather",
            code: Code::Shipped("rows"),
            function: format!("gather_{}", 8 * self.dtype.size()),
            grid: [striding(packs, THREADS), 1, 1],
            block: [THREADS as u32, 1, 1],
            shared: 0,
            arguments: vec![
                Argument::Pointer(self.table),
                Argument::Pointer(self.indices),
                Argument::Pointer(self.y),
                Argument::U32(rows),
                Argument::U64(self.width as u64),
                Argument::U64(self.count as u64),
            ],
        };
        Ok(Launches { launches: vec![launch], scratch: 0 })
    }
}

impl ScatterAdd {
    /// One launch, or two where so many values go to so few rows that they are summed in segments.
    ///
    /// # Errors
    ///
    /// Integers; 2^31 rows, values or elements of one.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        let Self { rows, width, count, dtype, indices, values, y } = *self;
        let sizes = [
            extent("the number of rows of a table", rows)?,
            at_most("the width of a table", width, 65_535 * COLUMNS)?,
            extent("the number of values", count)?,
        ];
        let segments = self.segments();
        let name = if segments > 1 { "scatter_add_part" } else { "scatter_add" };
        let (function, sum) = (function(name, dtype)?, function("scatter_add_sum", dtype)?);
        if rows == 0 || width == 0 {
            return Ok(Launches::default());
        }
        let part = Address::start(Home::Scratch(0));
        let to = if segments > 1 { part } else { y };
        let mut arguments: Vec<Argument> = [indices, values, to].map(Argument::Pointer).into();
        arguments.extend(sizes.map(Argument::U32));
        let segment = count.div_ceil(segments);
        if segments > 1 {
            arguments.push(Argument::U32(segment as u32));
        }
        let warps = rows.div_ceil(ROWS);
        let threads = (32 * warps).min(THREADS);
        let mut launches = vec![Launch {
            name: "scatter_add",
            code: Code::Shipped("rows"),
            function,
            grid: [warps.div_ceil(threads / 32) as u32, width.div_ceil(COLUMNS) as u32, segments as u32],
            block: [threads as u32, 1, 1],
            shared: 0,
            arguments,
        }];
        if segments == 1 {
            return Ok(Launches { launches, scratch: 0 });
        }
        let elements = rows * width;
        launches.push(Launch {
            name: "scatter_add sum",
            code: Code::Shipped("rows"),
            function: sum,
            grid: [striding(elements, THREADS), 1, 1],
            block: [THREADS as u32, 1, 1],
            shared: 0,
            arguments: vec![
                Argument::Pointer(part),
                Argument::Pointer(y),
                Argument::U64(elements as u64),
                Argument::U32(segments as u32),
            ],
        });
        Ok(Launches { launches, scratch: segments * elements * size_of::<f32>() })
    }

    /// As many as leave a warp about a hundred values to add; the sizes alone decide. The parts take at most an eighth
    /// of the room that the values would take as floats.
    fn segments(&self) -> usize {
        const VALUES: usize = 64;
        const MOST: usize = 4096;
        let segments = self.count.saturating_mul(ROWS) / (VALUES * self.rows.max(ROWS));
        let segments = segments.clamp(1, MOST);
        // Segments of equal size; none is empty.
        self.count.max(1).div_ceil(self.count.max(1).div_ceil(segments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(rows: usize, count: usize) -> usize {
        let at = Address::start(Home::Arena(0));
        let dtype = DType::F32;
        ScatterAdd { rows, width: 1, count, dtype, indices: at, values: at, y: at }.segments()
    }

    #[test]
    fn vocabularies_take_one_pass_and_few_rows_many_segments() {
        assert_eq!(segments(49_408, 4096), 1);
        assert_eq!(segments(3072, 64 * 22), 1);
        assert_eq!(segments(512, 65_536), 16);
        assert_eq!(segments(1, 1000), 15);
        assert_eq!(segments(10, 0), 1);
        assert!(segments(1, 1 << 30) <= 4096);
    }
}
