//! A matrix product and the layer norm of its rows in one launch: `kernels/gemm_norm_wgmma.cuh`.

use yuragi_graph::DType;

use super::{
    gemm::Gemm,
    product::{Factors, Machine, ProductError, extent},
};
use crate::launch::{Address, Argument, Code, Launch, Launches};

/// C = A·B plus a row of biases, and each row of X standardised, scaled and shifted. X is C, or what a plan's own code in the
/// kernel stores of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GemmNorm {
    /// The product: one matrix, of 16-bit factors, stored as `F32`; A not transposed; C contiguous.
    pub gemm: Gemm,
    /// Added to the variance.
    pub eps: f32,
    /// m × n of `F32`, contiguous.
    pub x: Address,
    /// n of `F32`.
    pub gain: Address,
    /// n of `F32`.
    pub shift: Address,
    /// m × n of the factors' type, contiguous.
    pub z: Address,
}

/// Columns of the result that a block computes, and the steps of its sums.
const COLUMNS: usize = 160;
const TERMS: usize = 64;
/// Blocks of a cluster.
const CLUSTERS: [usize; 3] = [2, 4, 8];

/// Rows of the result that a block computes, and bytes of its dynamic shared memory.
type Tile = (usize, u32);
const LARGE: Tile = (128, 196_688);
const SMALL: Tile = (64, 229_488);

impl GemmNorm {
    /// The launch, in the tiles that suit the machine; `None` if it has no kernel for this product.
    ///
    /// # Errors
    ///
    /// An extent of 2^29 or more.
    pub fn launches(&self, machine: Machine) -> Result<Option<Launches>, ProductError> {
        let Some(blocks) = self.blocks(machine) else { return Ok(None) };
        // Each block has a multiprocessor for itself.
        let fits = self.gemm.m.div_ceil(SMALL.0) * blocks <= machine.multiprocessors;
        self.launch(if fits { SMALL } else { LARGE }, blocks).map(Some)
    }

    /// The launches of every tile shape; none if there is no kernel for this product: what a test should try.
    ///
    /// # Errors
    ///
    /// As for [`GemmNorm::launches`].
    pub fn variants(&self, machine: Machine) -> Result<Vec<Launches>, ProductError> {
        let blocks = self.blocks(machine);
        blocks.into_iter().flat_map(|blocks| [SMALL, LARGE].map(|tile| self.launch(tile, blocks))).collect()
    }

    /// The blocks that have a row, if there is a kernel.
    fn blocks(&self, machine: Machine) -> Option<usize> {
        let Gemm { batch, m, n, op, c, factors, result, .. } = self.gemm;
        let halves = matches!(factors, Factors::F16 | Factors::BF16) && result == DType::F32;
        let one = batch == 1 && m > 0 && !op.transpose_a && c.pitch == n;
        let aligned = [self.x, self.gain, self.shift, self.z].iter().all(|at| at.alignment() >= 16);
        let tensors = self.gemm.tensors([SMALL.0, COLUMNS, TERMS]).is_some();
        let blocks = n.is_multiple_of(COLUMNS).then_some(n / COLUMNS).filter(|blocks| CLUSTERS.contains(blocks));
        blocks.filter(|_| machine.hopper && halves && one && aligned && tensors)
    }

    fn launch(&self, (rows, shared): Tile, blocks: usize) -> Result<Launches, ProductError> {
        let Gemm { m, k, op, c, bias, factors, .. } = self.gemm;
        let tensors = self.gemm.tensors([rows, COLUMNS, TERMS]).into_iter().flatten();
        let mut arguments: Vec<Argument> = tensors.map(|tensor| Argument::Tensor(Box::new(tensor))).collect();
        arguments.extend([Argument::Pointer(c.at), bias.map_or(Argument::Null, Argument::Pointer)]);
        let sizes = [("the number of rows of a matrix product", m), ("the number of terms of a matrix product", k)];
        for (what, size) in sizes {
            arguments.push(Argument::U32(extent(what, size)?));
        }
        arguments.extend([self.x, self.gain, self.shift, self.z].map(Argument::Pointer));
        arguments.push(Argument::F32(self.eps));
        let file = if factors == Factors::F16 { "gemm_norm_wgmma_f16" } else { "gemm_norm_wgmma_bf16" };
        let layout = if op.transpose_b { "nt" } else { "nn" };
        let launch = Launch {
            name: "gemm, layer_norm",
            code: Code::Shipped(file),
            function: format!("gemm_{}_{layout}_norm_{rows}x{COLUMNS}x{blocks}", factors.name()),
            grid: [extent("the number of tiles of a matrix product", m.div_ceil(rows) * blocks)?, 1, 1],
            block: [384, 1, 1],
            shared,
            arguments,
        };
        Ok(Launches { launches: vec![launch], scratch: 0 })
    }
}

#[cfg(test)]
mod tests {
    use yuragi_graph::op::MatMul;

    use super::*;
    use crate::{kernels::gemm::Matrices, launch::Home};

    const HOPPER: Machine = Machine { multiprocessors: 132, hopper: true };

    fn norm(m: usize, n: usize, k: usize) -> GemmNorm {
        let at = Address::start(Home::Arena(0));
        let matrices = |rows, columns| Matrices::contiguous(at, rows, columns);
        let gemm = Gemm {
            batch: 1,
            m,
            n,
            k,
            op: MatMul { transpose_a: false, transpose_b: false },
            a: matrices(m, k),
            b: matrices(k, n),
            c: matrices(m, n),
            bias: None,
            factors: Factors::F16,
            result: DType::F32,
        };
        GemmNorm { gemm, eps: 1e-5, x: at, gain: at, shift: at, z: at }
    }

    #[test]
    fn rows_are_clusters_of_blocks() {
        let launch = |m, n| {
            let launches = norm(m, n, 320).launches(HOPPER).unwrap()?.launches;
            Some((launches[0].function.clone(), launches[0].grid[0]))
        };
        let of = |name: &str, blocks| Some((format!("gemm_f16_nn_norm_{name}"), blocks));
        assert_eq!(launch(8192, 320), of("128x160x2", 128));
        assert_eq!(launch(2048, 640), of("64x160x4", 128));
        assert_eq!(launch(130, 1280), of("64x160x8", 24));
        for (m, n) in [(64, 160), (64, 480), (64, 2560), (64, 321), (0, 320)] {
            assert_eq!(launch(m, n), None, "{m}×{n}");
        }
    }

    #[test]
    fn other_products_have_no_such_kernel() {
        let good = norm(64, 320, 64);
        let count = |norm: GemmNorm| norm.variants(HOPPER).unwrap().len();
        assert_eq!(count(good), 2);
        assert_eq!(count(GemmNorm { x: good.x.plus(4), ..good }), 0);
        assert_eq!(count(norm(64, 320, 63)), 0);
        for gemm in [
            Gemm { batch: 2, ..good.gemm },
            Gemm { op: MatMul { transpose_a: true, transpose_b: false }, ..good.gemm },
            Gemm { factors: Factors::F32, ..good.gemm },
            Gemm { result: DType::F16, ..good.gemm },
        ] {
            assert_eq!(count(GemmNorm { gemm, ..good }), 0, "{gemm:?}");
        }
        assert_eq!(good.launches(Machine { hopper: false, ..HOPPER }), Ok(None));
    }
}
