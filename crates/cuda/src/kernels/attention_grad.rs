//! Gradients of attention: `kernels/attention_grad_*.cu`.

use yuragi_graph::{DType, op::Factor};

use super::{
    attention::{BOX_COLUMNS, Mask, Operand, extents, pointer, strides, tensor},
    operand::{KernelError, at_most},
    product::Machine,
};
use crate::launch::{Address, Argument, Code, Launch, Launches, Tensor};

/// Gradients of attention for its operands ([`yuragi_graph::op::Fused::AttentionGrad`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionGrad {
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
    /// Where the gradients for Q, K and V ([`Factor::ALL`]) go that are wanted, each as its operand.
    pub y: [Option<Operand>; 3],
}

/// Rows of the result that a block of a kernel for every GPU computes.
const OWN: usize = 64;

/// The most columns of the kernels of `attention_grad_16.cuh`, and of the result of those of `attention_grad_f32.cu`.
const SIXTEEN: [usize; 2] = [80, 160];
const F32: [usize; 2] = [64, 256];

/// Whether there is a kernel for these columns of keys and values.
pub fn fits(dtype: DType, depth: usize, value_depth: usize) -> bool {
    depth.max(value_depth) <= if dtype == DType::F32 { F32[1] } else { SIXTEEN[1] }
}

/// Bytes of dynamic shared memory of a kernel of 16-bit elements for every GPU.
const fn shared(depth: usize) -> usize {
    let inner = if depth <= 80 { 64 } else { 32 };
    2 * (2 * OWN + 2 * inner) * (depth + 8) + 2 * OWN * (inner + 8) + 8 * inner
}

/// Whose rows a block of a kernel of `attention_grad_wgmma.cuh` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// The gradient for Q.
    Queries,
    /// The gradients for K and V.
    Keys,
}

/// A kernel of `attention_grad_wgmma.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flash {
    side: Side,
    /// The end of its name, and the most columns that it takes.
    depth: usize,
    /// Rows of the other side at a time.
    inner: usize,
    /// Of such rows, on their way at a time.
    stages: usize,
}

const FLASH: [Flash; 8] = [
    Flash { side: Side::Queries, depth: 64, inner: 128, stages: 3 },
    Flash { side: Side::Queries, depth: 80, inner: 128, stages: 2 },
    Flash { side: Side::Queries, depth: 128, inner: 64, stages: 3 },
    Flash { side: Side::Queries, depth: 160, inner: 64, stages: 2 },
    Flash { side: Side::Keys, depth: 64, inner: 64, stages: 4 },
    Flash { side: Side::Keys, depth: 80, inner: 64, stages: 3 },
    Flash { side: Side::Keys, depth: 128, inner: 48, stages: 4 },
    Flash { side: Side::Keys, depth: 160, inner: 32, stages: 3 },
];

impl Flash {
    /// Rows of the result that a block computes.
    const OWN: usize = 128;

    /// Bytes of dynamic shared memory: the block's rows, stages, rooms for eight warps, numbers of queries, barriers.
    const fn shared(self) -> usize {
        let row = 128 * self.depth.div_ceil(BOX_COLUMNS);
        let numbers = match self.side {
            Side::Queries => 0,
            Side::Keys => 8 * self.inner,
        };
        2 * row * (Flash::OWN + self.stages * self.inner) + 8 * 4096 + self.stages * (numbers + 16) + 8
    }
}

impl AttentionGrad {
    /// The launches of the smallest kernels that take these depths: one for each gradient; on a device of compute capability
    /// 9.0, where it can copy the operands and there is no mask, one for those of K and V.
    ///
    /// # Errors
    ///
    /// Integers; an extent of 2^24 or more; more than 256 columns, in 16 bits 160; no key, head or column of Q.
    pub fn launches(&self, machine: Machine) -> Result<Launches, KernelError> {
        let wanted = Factor::ALL.into_iter().zip(self.y).filter_map(|(of, y)| Some((of, y?)));
        let plain: Vec<Option<Launch>> = wanted.map(|(of, y)| self.plain(of, y)).collect::<Result<_, _>>()?;
        let groups = if machine.hopper { self.by_groups() } else { None };
        Ok(Launches { launches: groups.unwrap_or_else(|| plain.into_iter().flatten().collect()), scratch: 0 })
    }

    /// The launch of the kernel for every GPU that computes one gradient; `None` if it has no elements.
    fn plain(&self, of: Factor, y: Operand) -> Result<Option<Launch>, KernelError> {
        let sizes = extents([self.queries, self.keys, self.depth, self.value_depth, self.heads])?;
        let (rows, width) = match of {
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
            return Ok(None);
        }
        let AttentionGrad { g, q, k, v, mask, log_sum, delta, .. } = *self;
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
        let name = match of {
            Factor::Query => "attention_query_grad",
            Factor::Key => "attention_key_grad",
            Factor::Value => "attention_value_grad",
        };
        let wide = self.dtype != DType::F32;
        Ok(Some(Launch {
            name,
            code: Code::Shipped(stem),
            function: format!("{name}_{elements}_{variant}"),
            grid: [blocks, 1, 1],
            block: [if wide || variant == F32[0] { 128 } else { 256 }, 1, 1],
            shared: if wide { shared(variant) as u32 } else { 0 },
            arguments,
        }))
    }

    /// The launches of kernels that multiply by groups of warps, where they can compute this.
    fn by_groups(&self) -> Option<Vec<Launch>> {
        let [query, key, value] = self.y;
        let sides = [(Side::Queries, [query, None]), (Side::Keys, [key, value])];
        let wanted = sides.into_iter().filter(|(_, y)| y.iter().any(Option::is_some));
        wanted.map(|(side, y)| self.of_side(side, y)).collect()
    }

    fn of_side(&self, side: Side, y: [Option<Operand>; 2]) -> Option<Launch> {
        let deepest = self.depth.max(self.value_depth);
        let kernel = FLASH.into_iter().find(|kernel| kernel.side == side && deepest <= kernel.depth)?;
        let tensors = self.tensors(kernel)?;
        let (stem, elements) = match self.dtype {
            DType::F16 => ("attention_grad_wgmma_f16", "f16"),
            _ => ("attention_grad_wgmma_bf16", "bf16"),
        };
        let (name, rows, results) = match side {
            Side::Queries => ("attention_query_grad", self.queries, 1),
            Side::Keys => ("attention_key_value_grad", self.keys, 2),
        };
        let sizes = [self.queries, self.keys, self.depth, self.value_depth];
        let mut arguments: Vec<Argument> = Vec::new();
        arguments.extend(tensors.into_iter().map(|tensor| Argument::Tensor(Box::new(tensor))));
        arguments.extend([self.log_sum, self.delta].map(Argument::Pointer));
        arguments.extend(y[..results].iter().map(|y| pointer(y.map(|y| y.at))));
        arguments.extend(sizes[..2 + results].iter().chain([&self.heads]).map(|&size| Argument::U32(size as u32)));
        arguments.push(Argument::F32(self.scale));
        arguments.extend(strides(y, None).take(3 * results));
        Some(Launch {
            name,
            code: Code::Shipped(stem),
            function: format!("{name}_{elements}_wgmma_{}", kernel.depth),
            grid: [(self.batch * rows.div_ceil(Flash::OWN)) as u32, 1, 1],
            block: [384, 1, 1],
            shared: kernel.shared() as u32,
            arguments,
        })
    }

    /// The operands of a kernel that multiplies by groups of warps, the block's own first, where the hardware can copy such
    /// and there is no mask.
    fn tensors(&self, kernel: Flash) -> Option<[Tensor; 4]> {
        let length = |side: Side| if side == kernel.side { Flash::OWN } else { kernel.inner };
        let tensor = |x: Operand, side: Side, columns: usize| {
            let rows = match side {
                Side::Queries => self.queries,
                Side::Keys => self.keys,
            };
            tensor(x, self.dtype, self.heads, [self.batch, rows, columns], length(side))
        };
        let of_queries = [tensor(self.q, Side::Queries, self.depth)?, tensor(self.g, Side::Queries, self.value_depth)?];
        let of_keys = [tensor(self.k, Side::Keys, self.depth)?, tensor(self.v, Side::Keys, self.value_depth)?];
        let ([own, own_other], [inner, inner_other]) = match kernel.side {
            Side::Queries => (of_queries, of_keys),
            Side::Keys => (of_keys, of_queries),
        };
        self.mask.is_none().then_some([own, own_other, inner, inner_other])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::Home;

    const HOPPER: Machine = Machine { multiprocessors: 132, hopper: true };

    fn grad(depth: usize, value_depth: usize, dtype: DType) -> AttentionGrad {
        let operand = Operand::contiguous(Address::start(Home::Arena(0)), 1, 3, depth);
        let values = Operand::contiguous(Address::start(Home::Arena(0)), 1, 3, value_depth);
        let numbers = Address::start(Home::Arena(1));
        AttentionGrad {
            batch: 1,
            heads: 1,
            queries: 3,
            keys: 3,
            depth,
            value_depth,
            scale: 1.0,
            dtype,
            g: values,
            q: operand,
            k: operand,
            v: values,
            log_sum: numbers,
            delta: numbers,
            mask: None,
            y: [operand, operand, values].map(Some),
        }
    }

    fn names(grad: AttentionGrad, machine: Machine) -> Vec<String> {
        grad.launches(machine).unwrap().launches.into_iter().map(|launch| launch.function).collect()
    }

    #[test]
    fn hopper_computes_the_gradients_of_keys_and_values_together() {
        let both = names(grad(40, 80, DType::F16), HOPPER);
        assert_eq!(both, ["attention_query_grad_f16_wgmma_80", "attention_key_value_grad_f16_wgmma_80"]);
        let [_, key, _] = grad(160, 8, DType::BF16).y;
        let alone = AttentionGrad { y: [None, key, None], ..grad(160, 8, DType::BF16) };
        assert_eq!(names(alone, HOPPER), ["attention_key_value_grad_bf16_wgmma_160"]);
        assert!(FLASH.iter().all(|kernel| kernel.shared() <= 227 * 1024));
    }

    #[test]
    fn what_the_hardware_cannot_copy_and_masks_are_for_the_kernels_of_every_gpu() {
        let three = |depth, dtype: &str| {
            ["query", "key", "value"].map(|of| format!("attention_{of}_grad_{dtype}_{depth}")).to_vec()
        };
        assert_eq!(names(grad(40, 40, DType::F16), Machine { hopper: false, ..HOPPER }), three(80, "f16"));
        assert_eq!(names(grad(20, 40, DType::BF16), HOPPER), three(80, "bf16"));
        assert_eq!(names(grad(40, 40, DType::F32), HOPPER), three(64, "f32"));
        let mask = Some(Mask { at: Address::start(Home::Arena(2)), outer: 0, inner: 0, query: 0, key: 1 });
        assert_eq!(names(AttentionGrad { mask, ..grad(160, 40, DType::F16) }, HOPPER), three(160, "f16"));
        assert!(names(AttentionGrad { batch: 0, ..grad(40, 40, DType::F16) }, HOPPER).is_empty());
        let error = grad(168, 8, DType::F16).launches(HOPPER).unwrap_err().to_string();
        assert_eq!(error, "the depth of keys or values is 168; at most 160 is possible");
    }
}
