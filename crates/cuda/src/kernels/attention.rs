//! Attention: `kernels/attention_*.cu`.

use yuragi_graph::DType;

use super::{
    operand::{KernelError, at_most},
    product::{Machine, Pick},
};
use crate::launch::{Address, Argument, Axis, Code, Launch, Launches, Tensor};

/// One matrix for every batch item, with contiguous rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The first element.
    pub at: Address,
    /// Elements from the matrices of one batch item b to those of the next, counting b / heads.
    pub outer: usize,
    /// Elements from one head to the next.
    pub inner: usize,
    /// Elements from one row to the next.
    pub pitch: usize,
}

impl Operand {
    /// \[batch, heads, rows, columns\].
    pub const fn contiguous(at: Address, heads: usize, rows: usize, columns: usize) -> Operand {
        Operand { at, outer: heads * rows * columns, inner: rows * columns, pitch: columns }
    }

    /// \[batch, rows, heads, columns\]: heads as they come out of a product.
    pub const fn interleaved(at: Address, heads: usize, rows: usize, columns: usize) -> Operand {
        Operand { at, outer: rows * heads * columns, inner: columns, pitch: heads * columns }
    }
}

/// Numbers that are added to the scaled scores. A stride is 0 where one number counts for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// The first element.
    pub at: Address,
    /// Elements from one batch item to the next, counting b / heads.
    pub outer: usize,
    /// Elements from one head to the next.
    pub inner: usize,
    /// Elements from one query to the next.
    pub query: usize,
    /// Elements from one key to the next.
    pub key: usize,
}

/// softmax(scale · Q·Kᵀ + mask)·V for each item of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Items, heads included; with 0 nothing is launched.
    pub batch: usize,
    /// Heads: item b is head b % heads of b / heads. At least 1.
    pub heads: usize,
    /// Rows of Q; with 0 nothing is launched.
    pub queries: usize,
    /// Rows of K and V, at least 1.
    pub keys: usize,
    /// Columns of Q and K, at least 1.
    pub depth: usize,
    /// Columns of V; with 0 only `log_sum` is computed.
    pub value_depth: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Of all operands.
    pub dtype: DType,
    /// \[queries, depth\].
    pub q: Operand,
    /// \[keys, depth\].
    pub k: Operand,
    /// \[keys, value_depth\]; `None` if that is 0.
    pub v: Option<Operand>,
    /// \[queries, keys\].
    pub mask: Option<Mask>,
    /// \[queries, value_depth\]; `None` if that is 0.
    pub y: Option<Operand>,
    /// F32 \[batch, queries\], contiguous: the logarithm of the sum of e^score over the keys.
    pub log_sum: Option<Address>,
}

/// A kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Variant {
    /// The end of its name, and the most columns that it takes: of V, and in 16 bits of Q and K.
    depth: usize,
    /// Of a block.
    queries: usize,
    /// At a time.
    keys: usize,
    threads: u32,
}

/// Kernels of `attention_f32.cu`.
const F32: [Variant; 2] = [
    Variant { depth: 64, queries: 64, keys: 64, threads: 128 },
    Variant { depth: 256, queries: 64, keys: 64, threads: 256 },
];

/// Kernels of `attention_16.cuh`.
const SIXTEEN: [Variant; 3] = [
    Variant { depth: 80, queries: 128, keys: 64, threads: 128 },
    Variant { depth: 160, queries: 64, keys: 64, threads: 128 },
    Variant { depth: 256, queries: 64, keys: 32, threads: 128 },
];

impl Variant {
    /// Bytes of dynamic shared memory of a kernel of 16-bit elements.
    const fn shared(self) -> usize {
        2 * (self.queries + 2 * self.keys) * (self.depth + 8) + 2 * self.queries * (self.keys + 8)
    }
}

/// Columns of a box that the hardware copies.
pub(super) const BOX_COLUMNS: usize = 64;

/// A kernel of `attention_wgmma.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flash {
    /// The end of its name, and the most columns that it takes.
    depth: usize,
    /// At a time.
    keys: usize,
    /// Of keys or values, on their way at a time.
    stages: usize,
    /// Whether it adds a mask.
    masked: bool,
}

const FLASH: [Flash; 7] = [
    Flash { depth: 48, keys: 128, stages: 6, masked: false },
    Flash { depth: 64, keys: 128, stages: 6, masked: false },
    Flash { depth: 80, keys: 128, stages: 4, masked: false },
    Flash { depth: 128, keys: 128, stages: 4, masked: false },
    Flash { depth: 160, keys: 64, stages: 6, masked: false },
    Flash { depth: 64, keys: 64, stages: 6, masked: true },
    Flash { depth: 128, keys: 64, stages: 4, masked: true },
];

impl Flash {
    /// Queries of a block.
    const QUERIES: usize = 128;

    /// The end of its name.
    fn name(self) -> String {
        format!("wgmma_{}{}", if self.masked { "masked_" } else { "" }, self.depth)
    }

    /// Bytes of dynamic shared memory: queries, stages, rooms for eight warps, barriers.
    const fn shared(self) -> usize {
        let row = 128 * self.depth.div_ceil(BOX_COLUMNS);
        row * (Flash::QUERIES + self.stages * self.keys) + 8 * 4096 + 16 * self.stages + 24
    }
}

/// A kernel that takes an attention.
enum Kernel {
    /// That multiplies by groups of warps, and the operands as it takes them.
    Groups(Flash, [Tensor; 3]),
    /// That every GPU runs.
    Plain(Variant),
}

impl Kernel {
    /// The end of its name.
    fn name(&self) -> String {
        match self {
            Kernel::Groups(flash, _) => flash.name(),
            Kernel::Plain(variant) => variant.depth.to_string(),
        }
    }
}

/// A place, or none.
pub(super) fn pointer(at: Option<Address>) -> Argument {
    at.map_or(Argument::Null, Argument::Pointer)
}

/// The steps of operands and then of the mask, as kernels take them.
pub(super) fn strides<const N: usize>(
    operands: [Option<Operand>; N],
    mask: Option<Mask>,
) -> impl Iterator<Item = Argument> {
    let operands = operands.map(|x| x.map_or([0; 3], |x| [x.outer, x.inner, x.pitch]));
    let mask = mask.map_or([0; 4], |mask| [mask.outer, mask.inner, mask.query, mask.key]);
    operands.into_iter().flatten().chain(mask).map(|stride| Argument::U64(stride as u64))
}

/// The numbers of queries and keys, the depths of keys and values, and the number of heads, as kernels take them.
pub(super) fn extents(extents: [usize; 5]) -> Result<[Argument; 5], KernelError> {
    const NAMES: [&str; 5] = [
        "the number of queries",
        "the number of keys",
        "the depth of keys",
        "the depth of values",
        "the number of heads",
    ];
    if let Some(empty) = [1, 2, 4].into_iter().find(|&place| extents[place] == 0) {
        return Err(KernelError::Empty { what: NAMES[empty] });
    }
    let mut arguments = [const { Argument::Null }; 5];
    for ((argument, what), extent) in arguments.iter_mut().zip(NAMES).zip(extents) {
        *argument = Argument::U32(at_most(what, extent, 0xff_ffff)?);
    }
    Ok(arguments)
}

impl Attention {
    /// The launch of the smallest kernel that takes these depths.
    ///
    /// # Errors
    ///
    /// Integers; an extent of 2^24 or more; more than 256 columns of V, or of Q in 16 bits; no key, head or column of Q.
    pub fn launches(&self, machine: Machine) -> Result<Launches, KernelError> {
        self.picked(machine, None)
    }

    /// The same, of the kernel that was picked, if it takes these depths.
    pub(super) fn picked(&self, machine: Machine, pick: Option<&Pick>) -> Result<Launches, KernelError> {
        let kernels = self.kernels(machine)?;
        let picked = pick.and_then(|pick| kernels.iter().find(|kernel| kernel.name() == pick.kernel));
        let launch = picked.or(kernels.first()).map(|kernel| self.launch(kernel)).transpose()?;
        Ok(Launches { launches: launch.into_iter().collect(), scratch: 0 })
    }

    /// The launches of every kernel that takes these depths: what a test should try.
    ///
    /// # Errors
    ///
    /// As for [`Attention::launches`].
    pub fn variants(&self, machine: Machine) -> Result<Vec<Launches>, KernelError> {
        Ok(self.sensible(machine)?.into_iter().map(|(_, launches)| launches).collect())
    }

    /// Every way among which the fastest may be, first the one that should be.
    pub(super) fn sensible(&self, machine: Machine) -> Result<Vec<(Pick, Launches)>, KernelError> {
        let way = |kernel: &Kernel| {
            let launches = Launches { launches: vec![self.launch(kernel)?], scratch: 0 };
            Ok((Pick { kernel: kernel.name(), shares: 1 }, launches))
        };
        self.kernels(machine)?.iter().map(way).collect()
    }

    /// What is computed, in words.
    pub(super) fn key(&self) -> String {
        let Attention { batch, heads, queries, keys, depth, value_depth, dtype, .. } = *self;
        let boxes = self.tensors(&FLASH[0]).is_some();
        let words = [(self.mask.is_some(), " masked"), (self.log_sum.is_some(), " with sums"), (boxes, " in boxes")];
        let words: String = words.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
        format!("attention {dtype} {batch} of {heads} {queries} {keys} {depth} {value_depth}{words}")
    }

    /// Bytes of Q, K, V, the mask, the result and the logarithms.
    pub(super) fn bytes(&self) -> [usize; 6] {
        let last = |count: usize, step: usize| count.saturating_sub(1) * step;
        let items = self.batch / self.heads.max(1);
        let span = |x: Operand, rows: usize, columns: usize| {
            (last(items, x.outer) + last(self.heads, x.inner) + last(rows, x.pitch) + columns) * self.dtype.size()
        };
        let mask = self.mask.map_or(0, |mask| {
            let steps = last(items, mask.outer) + last(self.heads, mask.inner);
            (steps + last(self.queries, mask.query) + last(self.keys, mask.key) + 1) * self.dtype.size()
        });
        let v = self.v.map_or(0, |v| span(v, self.keys, self.value_depth));
        let y = self.y.map_or(0, |y| span(y, self.queries, self.value_depth));
        let sums = self.batch * self.queries * size_of::<f32>();
        [span(self.q, self.queries, self.depth), span(self.k, self.keys, self.depth), v, mask, y, sums]
    }

    /// The kernels that take these depths, first the one that should be the fastest; none where there is nothing to do.
    fn kernels(&self, machine: Machine) -> Result<Vec<Kernel>, KernelError> {
        extents([self.queries, self.keys, self.depth, self.value_depth, self.heads])?;
        let (variants, deepest): (&[Variant], _) = match self.dtype {
            DType::F32 => (&F32, self.value_depth),
            DType::F16 | DType::BF16 => (&SIXTEEN, self.value_depth.max(self.depth)),
            DType::I32 | DType::U32 => return Err(KernelError::Type { what: "attention", dtype: self.dtype }),
        };
        let plain = variants.iter().filter(|variant| deepest <= variant.depth);
        if plain.clone().next().is_none() {
            let what = if self.value_depth == deepest { "the depth of values" } else { "the depth of keys" };
            return Err(KernelError::TooLarge { what, extent: deepest, most: 256 });
        }
        if self.batch * self.queries == 0 || self.value_depth == 0 && self.log_sum.is_none() {
            return Ok(Vec::new());
        }
        let takes = |flash: &&Flash| flash.masked == self.mask.is_some() && deepest <= flash.depth;
        let groups = FLASH.iter().filter(|flash| machine.hopper && takes(flash));
        let groups = groups.filter_map(|flash| self.tensors(flash).map(|tensors| Kernel::Groups(*flash, tensors)));
        Ok(groups.chain(plain.map(|variant| Kernel::Plain(*variant))).collect())
    }

    fn launch(&self, kernel: &Kernel) -> Result<Launch, KernelError> {
        let queries = match kernel {
            Kernel::Groups(..) => Flash::QUERIES,
            Kernel::Plain(variant) => variant.queries,
        };
        let blocks = self.batch.saturating_mul(self.queries.div_ceil(queries));
        let blocks = at_most("the number of blocks of an attention", blocks, (1 << 31) - 1)?;
        match kernel {
            Kernel::Groups(flash, tensors) => Ok(self.by_groups(flash, tensors, blocks)),
            Kernel::Plain(variant) => self.plain(variant, blocks),
        }
    }

    /// The launch of a kernel that every GPU runs.
    fn plain(&self, variant: &Variant, blocks: u32) -> Result<Launch, KernelError> {
        let sizes = extents([self.queries, self.keys, self.depth, self.value_depth, self.heads])?;
        let Attention { q, k, v, y, mask, log_sum, .. } = *self;
        let pointers = [Some(q.at), Some(k.at), v.map(|v| v.at), mask.map(|mask| mask.at), y.map(|y| y.at), log_sum];
        let mut arguments: Vec<Argument> = pointers.map(pointer).into();
        arguments.extend(sizes);
        arguments.push(Argument::F32(self.scale));
        arguments.extend(strides([Some(q), Some(k), v, y], mask));
        let stem = match self.dtype {
            DType::F16 => "attention_f16",
            DType::BF16 => "attention_bf16",
            DType::F32 | DType::I32 | DType::U32 => "attention_f32",
        };
        Ok(Launch {
            name: "attention",
            code: Code::Shipped(stem),
            function: format!("{stem}_{}", variant.depth),
            grid: [blocks, 1, 1],
            block: [variant.threads, 1, 1],
            shared: if self.dtype == DType::F32 { 0 } else { variant.shared() as u32 },
            arguments,
        })
    }

    /// The operands of a kernel that multiplies by groups of warps, where the hardware can copy such.
    fn tensors(&self, kernel: &Flash) -> Option<[Tensor; 3]> {
        let (Some(v), Some(_)) = (self.v, self.y) else { return None };
        let tensor = |x: Operand, [rows, columns]: [usize; 2], length: usize| {
            tensor(x, self.dtype, self.heads, [self.batch, rows, columns], length)
        };
        Some([
            tensor(self.q, [self.queries, self.depth], Flash::QUERIES)?,
            tensor(self.k, [self.keys, self.depth], kernel.keys)?,
            tensor(v, [self.keys, self.value_depth], kernel.keys)?,
        ])
    }

    /// The launch of a kernel that multiplies by groups of warps.
    fn by_groups(&self, kernel: &Flash, tensors: &[Tensor; 3], blocks: u32) -> Launch {
        let (stem, elements) = match self.dtype {
            DType::F16 => ("attention_wgmma_f16", "f16"),
            _ => ("attention_wgmma_bf16", "bf16"),
        };
        let mut arguments: Vec<Argument> = Vec::new();
        arguments.extend(tensors.iter().map(|tensor| Argument::Tensor(Box::new(tensor.clone()))));
        arguments.extend([self.y.map(|y| y.at), self.log_sum].map(pointer));
        let sizes = [self.queries, self.keys, self.value_depth, self.heads];
        arguments.extend(sizes.map(|size| Argument::U32(size as u32)));
        arguments.push(Argument::F32(self.scale));
        arguments.extend(strides([self.y], None).take(3));
        if let Some(mask) = self.mask {
            arguments.push(Argument::Pointer(mask.at));
            arguments.extend([mask.outer, mask.inner, mask.query, mask.key].map(|stride| Argument::U64(stride as u64)));
        }
        Launch {
            name: "attention",
            code: Code::Shipped(stem),
            function: format!("attention_{elements}_{}", kernel.name()),
            grid: [blocks, 1, 1],
            block: [384, 1, 1],
            shared: kernel.shared() as u32,
            arguments,
        }
    }
}

/// \[batch, rows, columns\] of an operand in boxes of so many rows.
pub(super) fn tensor(x: Operand, dtype: DType, heads: usize, extents: [usize; 3], length: usize) -> Option<Tensor> {
    let [batch, rows, columns] = extents;
    // What there is one of may lie anywhere.
    let axis = |extent: usize, stride: usize| match (extent, stride) {
        (1, _) => Some(Axis { extent, stride: rows * x.pitch, length: 1 }),
        (_, 0) => None,
        _ => Some(Axis { extent, stride, length: 1 }),
    };
    let axes = vec![
        Axis { extent: columns, stride: 1, length: BOX_COLUMNS },
        Axis { extent: rows, stride: x.pitch, length },
        axis(heads, x.inner)?,
        axis(batch / heads.max(1), x.outer)?,
    ];
    Tensor::new(x.at, dtype, axes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::Home;

    const AMPERE: Machine = Machine { multiprocessors: 108, hopper: false };

    fn attention(depth: usize, value_depth: usize, dtype: DType) -> Attention {
        let operand = Operand::contiguous(Address::start(Home::Arena(0)), 1, 3, depth);
        Attention {
            batch: 1,
            heads: 1,
            queries: 3,
            keys: 3,
            depth,
            value_depth,
            scale: 1.0,
            dtype,
            q: operand,
            k: operand,
            v: Some(operand),
            mask: None,
            y: Some(operand),
            log_sum: None,
        }
    }

    #[test]
    fn depths_choose_the_kernel() {
        let name = |depth, value_depth, dtype| {
            attention(depth, value_depth, dtype).launches(AMPERE).unwrap().launches[0].function.clone()
        };
        assert_eq!(name(40, 40, DType::F16), "attention_f16_80");
        assert_eq!(name(40, 81, DType::BF16), "attention_bf16_160");
        assert_eq!(name(256, 1, DType::F16), "attention_f16_256");
        assert_eq!(name(1000, 64, DType::F32), "attention_f32_64");
        // No kernel asks for more than the smallest processors have.
        assert!(SIXTEEN.iter().all(|variant| variant.shared() <= 99 * 1024));
    }

    #[test]
    fn hopper_multiplies_by_groups_of_warps() {
        let hopper = Machine { multiprocessors: 132, hopper: true };
        let name = |attention: Attention| attention.launches(hopper).unwrap().launches[0].function.clone();
        assert_eq!(name(attention(40, 40, DType::F16)), "attention_f16_wgmma_48");
        assert_eq!(name(attention(80, 72, DType::BF16)), "attention_bf16_wgmma_80");
        assert_eq!(name(attention(168, 8, DType::F16)), "attention_f16_256");
        assert_eq!(name(attention(20, 20, DType::F16)), "attention_f16_80");
        let mask = Some(Mask { at: Address::start(Home::Arena(0)), outer: 0, inner: 0, query: 0, key: 1 });
        let masked = |depth| name(Attention { mask, ..attention(depth, 40, DType::F16) });
        assert_eq!(masked(40), "attention_f16_wgmma_masked_64");
        assert_eq!(masked(72), "attention_f16_wgmma_masked_128");
        assert_eq!(masked(136), "attention_f16_160");
        assert!(FLASH.iter().all(|kernel| kernel.shared() <= 227 * 1024));
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        let error = |attention: Attention| attention.launches(AMPERE).unwrap_err().to_string();
        assert_eq!(error(attention(257, 8, DType::F16)), "the depth of keys is 257; at most 256 is possible");
        assert_eq!(error(attention(8, 300, DType::F32)), "the depth of values is 300; at most 256 is possible");
        assert_eq!(
            error(Attention { keys: 0, ..attention(8, 8, DType::F32) }),
            "the number of keys is 0; at least 1 is needed"
        );
        assert!(error(attention(8, 8, DType::I32)).contains("I32"));
        assert!(error(Attention { keys: 1 << 24, ..attention(8, 8, DType::F32) }).contains("16777216"));
    }
}
