//! Gradients of attention: `kernels/attention_grad_*.cu`.

use yuragi_graph::{DType, op::Factor};

use super::{
    attention::{Mask, Operand, extents, pointer, strides},
    operand::{KernelError, at_most},
};
use crate::launch::{Address, Argument, Code, Launch, Launches};

/// The gradient of attention for one operand ([`yuragi_graph::op::Fused::AttentionGrad`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionGrad {
    /// The operand.
    pub of: Factor,
    /// Items, heads included; with 0 nothing is launched.
    pub batch: usize,
    /// Heads: item b is head b % heads of b / heads. At least 1.
    pub heads: usize,
    /// Rows of Q.
    pub queries: usize,
    /// Rows of K and V, at least 1.
    pub keys: usize,
    /// Columns of Q and K, at least 1.
    pub depth: usize,
    /// Columns of V.
    pub value_depth: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Of all operands but `log_sum` and `delta`.
    pub dtype: DType,
    /// \[queries, value_depth\].
    pub g: Operand,
    /// \[queries, depth\].
    pub q: Operand,
    /// \[keys, depth\].
    pub k: Operand,
    /// \[keys, value_depth\].
    pub v: Operand,
    /// F32 \[batch, queries\], contiguous.
    pub log_sum: Address,
    /// F32 \[batch, queries\], contiguous.
    pub delta: Address,
    /// \[queries, keys\].
    pub mask: Option<Mask>,
    /// As the operand.
    pub y: Operand,
}

/// Rows of the result that a block computes.
const OWN: usize = 64;

/// The most columns of the kernels of `attention_grad_16.cuh`, and of the result of those of `attention_grad_f32.cu`.
const SIXTEEN: [usize; 2] = [80, 160];
const F32: [usize; 2] = [64, 256];

/// Whether there is a kernel for these columns of keys and values.
pub fn fits(dtype: DType, depth: usize, value_depth: usize) -> bool {
    depth.max(value_depth) <= if dtype == DType::F32 { F32[1] } else { SIXTEEN[1] }
}

/// Bytes of dynamic shared memory of a kernel of 16-bit elements.
const fn shared(depth: usize) -> usize {
    let inner = if depth <= 80 { 64 } else { 32 };
    2 * (2 * OWN + 2 * inner) * (depth + 8) + 2 * OWN * (inner + 8) + 8 * inner
}

impl AttentionGrad {
    /// The launch of the smallest kernel that takes these depths.
    ///
    /// # Errors
    ///
    /// Integers; an extent of 2^24 or more; more than 256 columns, in 16 bits 160; no key, head or column of Q.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        let sizes = extents([self.queries, self.keys, self.depth, self.value_depth, self.heads])?;
        let (rows, width) = match self.of {
            Factor::Query => (self.queries, self.depth),
            Factor::Key => (self.keys, self.depth),
            Factor::Value => (self.keys, self.value_depth),
        };
        let deepest = self.depth.max(self.value_depth);
        let (variants, elements, decisive) = match self.dtype {
            DType::F32 => (F32, "f32", width),
            DType::F16 => (SIXTEEN, "f16", deepest),
            DType::BF16 => (SIXTEEN, "bf16", deepest),
            DType::I32 | DType::U32 => {
                return Err(KernelError::Type { what: "the gradient of attention", dtype: self.dtype });
            }
        };
        let Some(variant) = variants.into_iter().find(|&most| decisive <= most) else {
            let most = variants[variants.len() - 1];
            return Err(KernelError::TooLarge { what: "the depth of keys or values", extent: decisive, most });
        };
        let blocks = self.batch.saturating_mul(rows.div_ceil(OWN));
        let blocks = at_most("the number of blocks of an attention", blocks, (1 << 31) - 1)?;
        if self.batch * rows * width == 0 {
            return Ok(Launches::default());
        }
        let AttentionGrad { g, q, k, v, y, mask, log_sum, delta, .. } = *self;
        let places = [Some(g.at), Some(q.at), Some(k.at), Some(v.at), Some(log_sum), Some(delta)];
        let mut arguments: Vec<Argument> = places.map(pointer).into();
        arguments.extend([mask.map(|mask| mask.at), Some(y.at)].map(pointer));
        arguments.extend(sizes);
        arguments.push(Argument::F32(self.scale));
        arguments.extend(strides([g, q, k, v, y].map(Some), mask));
        let stem = match self.dtype {
            DType::F16 => "attention_grad_f16",
            DType::BF16 => "attention_grad_bf16",
            DType::F32 | DType::I32 | DType::U32 => "attention_grad_f32",
        };
        let name = match self.of {
            Factor::Query => "attention_query_grad",
            Factor::Key => "attention_key_grad",
            Factor::Value => "attention_value_grad",
        };
        let wide = self.dtype != DType::F32;
        let launch = Launch {
            name,
            code: Code::Shipped(stem),
            function: format!("{name}_{elements}_{variant}"),
            grid: [blocks, 1, 1],
            block: [if wide || variant == F32[0] { 128 } else { 256 }, 1, 1],
            shared: if wide { shared(variant) as u32 } else { 0 },
            arguments,
        };
        Ok(Launches { launches: vec![launch], scratch: 0 })
    }
}
