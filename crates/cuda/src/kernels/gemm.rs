//! Matrix products: `kernels/gemm_*.cu`.

use yuragi_graph::{DType, op::MatMul};

use super::product::{self, Choice, Factors, Machine, ProductError, Sizes, Tile};
use crate::launch::{Address, Argument, Code, Launch, Launches};

/// A batch of matrices, row-major, with contiguous rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrices {
    /// The first element.
    pub at: Address,
    /// Elements from one stored row to the next.
    pub pitch: usize,
    /// Elements from one matrix to the next; 0 where all share one.
    pub stride: usize,
}

impl Matrices {
    /// Contiguous matrices of so many stored rows and columns.
    pub const fn contiguous(at: Address, rows: usize, columns: usize) -> Matrices {
        Matrices { at, pitch: columns, stride: rows * columns }
    }

    /// One matrix for the whole batch.
    pub const fn shared(self) -> Matrices {
        Matrices { stride: 0, ..self }
    }
}

/// C = A·B for a batch of matrices, plus a row of biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// Matrices of the batch; with 0 nothing is launched.
    pub batch: usize,
    /// Rows of C; with 0 nothing is launched.
    pub m: usize,
    /// Columns of C; with 0 nothing is launched.
    pub n: usize,
    /// Columns of A and rows of B; with 0 all sums are 0.
    pub k: usize,
    /// Which factors are stored transposed.
    pub op: MatMul,
    /// m × k, stored k × m if transposed.
    pub a: Matrices,
    /// k × n, stored n × k if transposed.
    pub b: Matrices,
    /// m × n.
    pub c: Matrices,
    /// n numbers of C's type, added to each row after its sums are rounded to that type.
    pub bias: Option<Address>,
    /// Type and arithmetic of A and B.
    pub factors: Factors,
    /// Type of C and of the biases: `F32`, or the factors'.
    pub result: DType,
}

/// Blocks along y and z of a grid.
const MOST_BLOCKS: usize = 65_535;

impl Gemm {
    /// The launches, with the tile shape and the number of shares that suit the machine.
    ///
    /// # Errors
    ///
    /// An extent of 2^29 or more; a result of another type than the factors or `F32`.
    pub fn launches(&self, machine: Machine) -> Result<Launches, ProductError> {
        self.check()?;
        let sizes = Sizes { batch: self.batch, m: self.m, n: self.n, k: self.k };
        let Some(choice) = product::choose(machine, self.factors, self.is_aligned(), sizes) else {
            return Ok(Launches::default());
        };
        // Shares are added as if C were one row of numbers.
        let contiguous = self.c.pitch == self.n && (self.batch == 1 || self.c.stride == self.m * self.n);
        self.launch(if contiguous { choice } else { Choice { shares: 1, ..choice } })
    }

    /// The launches for every tile shape, alone and shared by three blocks: what a test should try.
    ///
    /// # Errors
    ///
    /// As for [`Gemm::launches`].
    pub fn variants(&self) -> Result<Vec<Launches>, ProductError> {
        self.check()?;
        product::choices(self.factors, self.is_aligned()).map(|choice| self.launch(choice)).collect()
    }

    fn check(&self) -> Result<(), ProductError> {
        product::check_result(self.factors, self.result)
    }

    /// Whether rows of 16-bit factors can be copied in chunks. There is no such kernel for two transposed factors.
    fn is_aligned(&self) -> bool {
        let of = |x: Matrices| product::is_aligned(x.at, &[x.pitch, x.stride]);
        of(self.a) && of(self.b) && !(self.op.transpose_a && self.op.transpose_b)
    }

    /// The kernel's file and name.
    fn kernel(&self, tile: Tile) -> (&'static str, String) {
        let file = match (self.factors, tile.any) {
            (Factors::F32, _) => "gemm_f32",
            (Factors::Tf32, _) => "gemm_tf32",
            (Factors::F16, false) => "gemm_f16",
            (Factors::F16, true) => "any_f16",
            (Factors::BF16, false) => "gemm_bf16",
            (Factors::BF16, true) => "any_bf16",
        };
        let layout = match (self.op.transpose_a, self.op.transpose_b) {
            _ if tile.any => "",
            (false, false) => "nn_",
            (false, true) => "nt_",
            (true, _) => "tn_",
        };
        (file, format!("gemm_{}_{layout}{}", self.factors.name(), tile.name))
    }

    fn launch(&self, Choice { tile, shares }: Choice) -> Result<Launches, ProductError> {
        let count = self.batch * self.m * self.n;
        if count == 0 {
            return Ok(Launches::default());
        }
        let [m, n, k] = [
            product::extent("the number of rows of a matrix product", self.m)?,
            product::extent("the number of columns of a matrix product", self.n)?,
            product::extent("the number of terms of a matrix product", self.k)?,
        ];
        let tiles = self.m.div_ceil(tile.extents[0]) * self.n.div_ceil(tile.extents[1]);
        let tiles = product::extent("the number of tiles of a matrix product", tiles)?;
        let parts = Matrices::contiguous(product::SHARES, self.m, self.n);
        let (c, bias, result) = match shares {
            1 => (self.c, self.bias, self.result),
            _ => (parts, None, DType::F32),
        };
        let (file, function) = self.kernel(tile);
        let mut launches = Launches::default();
        let size = self.factors.dtype().size();
        for first in (0..self.batch).step_by(MOST_BLOCKS) {
            let at =
                |matrices: Matrices, size: usize| Argument::Pointer(matrices.at.plus(first * matrices.stride * size));
            let columns = |matrices: Matrices, transposed: bool| match transposed {
                true => [1, matrices.pitch],
                false => [matrices.pitch, 1],
            };
            let mut arguments = vec![at(self.a, size), at(self.b, size), at(c, result.size())];
            arguments.push(bias.map_or(Argument::Null, Argument::Pointer));
            arguments.extend([m, n, k].map(Argument::U32));
            let [a, b] = [columns(self.a, self.op.transpose_a), columns(self.b, self.op.transpose_b)];
            let strides = [a[0], a[1], b[0], b[1], c.pitch, self.a.stride, self.b.stride, c.stride, count];
            arguments.extend(strides.map(|stride| Argument::U64(stride as u64)));
            arguments.extend(product::wide(self.factors, result));
            launches.launches.push(Launch {
                name: "gemm",
                code: Code::Shipped(file),
                function: function.clone(),
                grid: [tiles, shares as u32, (self.batch - first).min(MOST_BLOCKS) as u32],
                block: [tile.threads, 1, 1],
                shared: tile.shared,
                arguments,
            });
        }
        if shares > 1 {
            launches.scratch = shares * count * size_of::<f32>();
            launches.launches.push(product::sum_shares((self.c.at, self.result), self.bias, count, n, shares));
        }
        Ok(launches)
    }
}
