use core::slice::{from_raw_parts, from_raw_parts_mut};

use super::{Buffers, Kernel};

/// Columns of one task.
const COLUMNS: usize = 64;
/// Rows of one task.
const ROWS: usize = 64;

/// Rows of a table: `[table, indices] -> [values]`. An index outside the table reads zeros.
#[derive(Debug)]
pub(crate) struct Gather {
    pub rows: usize,
    /// Elements of one row.
    pub width: usize,
    pub indices: usize,
}

impl Kernel for Gather {
    fn tasks(&self, _phase: usize) -> usize {
        self.indices.div_ceil(ROWS)
    }

    unsafe fn task(&self, _phase: usize, index: usize, buffers: Buffers<'_>) {
        for at in index * ROWS..self.indices.min((index + 1) * ROWS) {
            // SAFETY: sizes as the kernel was built with; every index owns a row of the output.
            let (row, out) = unsafe {
                let row = (*buffers.inputs[1].add(at)).to_bits() as i32;
                (row, from_raw_parts_mut(buffers.outputs[0].add(at * self.width), self.width))
            };
            match usize::try_from(row) {
                // SAFETY: the row lies inside the table.
                Ok(row) if row < self.rows => {
                    out.copy_from_slice(unsafe { from_raw_parts(buffers.inputs[0].add(row * self.width), self.width) });
                }
                _ => out.fill(0.0),
            }
        }
    }
}

/// Sums of values by row: `[indices, values] -> [table]`. An index outside the table is dropped.
#[derive(Debug)]
pub(crate) struct ScatterAdd {
    pub rows: usize,
    /// Elements of one row.
    pub width: usize,
    pub indices: usize,
}

impl Kernel for ScatterAdd {
    fn tasks(&self, _phase: usize) -> usize {
        self.width.div_ceil(COLUMNS)
    }

    /// A task owns some columns of every row, and meets the values in their order.
    unsafe fn task(&self, _phase: usize, index: usize, buffers: Buffers<'_>) {
        let first = index * COLUMNS;
        let columns = COLUMNS.min(self.width - first);
        // SAFETY: sizes as the kernel was built with; every task owns its columns.
        unsafe {
            let part = |row: usize| from_raw_parts_mut(buffers.outputs[0].add(row * self.width + first), columns);
            (0..self.rows).for_each(|row| part(row).fill(0.0));
            for at in 0..self.indices {
                let row = (*buffers.inputs[0].add(at)).to_bits() as i32;
                let values = from_raw_parts(buffers.inputs[1].add(at * self.width + first), columns);
                if let Some(row) = usize::try_from(row).ok().filter(|&row| row < self.rows) {
                    part(row).iter_mut().zip(values).for_each(|(sum, &value)| *sum += value);
                }
            }
        }
    }
}
