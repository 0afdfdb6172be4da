//! What a plan launches: ground types that know no driver.

use yuragi_graph::DType;

/// Where memory is that a launch works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Home {
    /// From this byte of the arena on. While a graph is being lowered: the buffer of this number.
    Arena(usize),
    /// A parameter, by its place in the graph.
    Param(usize),
    /// A constant, by its place in the graph.
    Literal(usize),
    /// From this byte of the operation's own working memory on.
    Scratch(usize),
}

/// A place in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The block of memory; each begins at a multiple of [`ALIGNMENT`] bytes.
    pub home: Home,
    /// Bytes from its start.
    pub offset: usize,
}

/// Every buffer, parameter and constant begins at a multiple of so many bytes.
pub const ALIGNMENT: usize = 256;

impl Address {
    /// The start of a block.
    pub const fn start(home: Home) -> Address {
        Address { home, offset: 0 }
    }

    /// So many bytes further.
    pub const fn plus(self, bytes: usize) -> Address {
        Address { home: self.home, offset: self.offset + bytes }
    }

    /// The largest power of two, at most [`ALIGNMENT`], that divides the address.
    pub const fn alignment(self) -> usize {
        let inner = match self.home {
            Home::Scratch(at) => at,
            Home::Arena(_) | Home::Param(_) | Home::Literal(_) => 0,
        };
        let bits = self.offset | inner | ALIGNMENT;
        1 << bits.trailing_zeros()
    }
}

/// An axis of a [`Tensor`], in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Of the tensor.
    pub extent: usize,
    /// From one to the next.
    pub stride: usize,
    /// Of the box that a copy moves.
    pub length: usize,
}

/// A tensor of 16-bit elements as devices of compute capability 9.0 copy boxes of it into shared memory: zeros stand
/// for what lies outside of it, and chunks of 16 bytes of a box's rows change places within 128 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    at: Address,
    dtype: DType,
    axes: Vec<Axis>,
}

impl Tensor {
    /// A tensor that begins at this address, the axis of neighbours first; `None` if the hardware cannot copy from it:
    /// one to five axes, the first of stride 1, the others' a multiple of 8 and below 2^39; extents from 1 to 2^32, the
    /// first a multiple of 8; lengths from 1 to 256, the first 8 to 64 and a multiple of 8; an address that is a multiple
    /// of 16 bytes.
    pub fn new(at: Address, dtype: DType, axes: Vec<Axis>) -> Option<Tensor> {
        let [first, others @ ..] = &axes[..] else { return None };
        let row = first.stride == 1 && first.extent.is_multiple_of(8) && first.length.is_multiple_of(8);
        let legal = |axis: &Axis| (1..=1 << 32).contains(&axis.extent) && (1..=256).contains(&axis.length);
        let strides = others.iter().all(|axis| axis.stride.is_multiple_of(8) && axis.stride < 1 << 39);
        let is_tensor = dtype.size() == 2 && at.alignment() >= 16 && others.len() < 5 && row && first.length <= 64;
        (is_tensor && strides && axes.iter().all(legal)).then_some(Tensor { at, dtype, axes })
    }

    /// Where it begins.
    pub const fn at(&self) -> Address {
        self.at
    }

    /// Its elements.
    pub const fn dtype(&self) -> DType {
        self.dtype
    }

    /// Its axes, that of neighbours first.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }
}

/// An argument of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// The device address of a place.
    Pointer(Address),
    /// A pointer to nothing: an operand that is left out.
    Null,
    /// A pointer to so many counters of 32 bits, which are 0 before a launch and after it.
    Counters(usize),
    /// A 32-bit integer.
    U32(u32),
    /// A 64-bit integer.
    U64(u64),
    /// A single-precision number.
    F32(f32),
    /// The description of a tensor, 128 bytes.
    Tensor(Box<Tensor>),
}

impl Argument {
    /// The parameter of the graph that it is about.
    pub fn param(&self) -> Option<usize> {
        match self.address()?.home {
            Home::Param(param) => Some(param),
            Home::Arena(_) | Home::Literal(_) | Home::Scratch(_) => None,
        }
    }

    /// The place in device memory that it is about.
    pub fn address(&self) -> Option<Address> {
        match self {
            Argument::Pointer(address) => Some(*address),
            Argument::Tensor(tensor) => Some(tensor.at),
            Argument::Null | Argument::Counters(_) | Argument::U32(_) | Argument::U64(_) | Argument::F32(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn address_mut(&mut self) -> Option<&mut Address> {
        match self {
            Argument::Pointer(address) => Some(address),
            Argument::Tensor(tensor) => Some(&mut tensor.at),
            Argument::Null | Argument::Counters(_) | Argument::U32(_) | Argument::U64(_) | Argument::F32(_) => None,
        }
    }
}

/// Where a kernel's code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A file of `kernels/ptx`, by its stem.
    Shipped(&'static str),
    /// The module that was written for this plan.
    Emitted,
    /// The same, of a kernel whose arguments are one parameter: a table of them, 8 bytes each.
    Table,
    /// The module of this number with copies of shipped kernels, into which code of this plan was put.
    Spliced(usize),
}

/// One launch of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// What it computes, for profiles.
    pub name: &'static str,
    /// Where the kernel is.
    pub code: Code,
    /// The kernel's name there.
    pub function: String,
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y and z.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// The kernel's parameters in order.
    pub arguments: Vec<Argument>,
}

/// What an operation becomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Launches {
    /// In order; each waits for the one before it.
    pub launches: Vec<Launch>,
    /// Bytes of working memory ([`Home::Scratch`]) that they share.
    pub scratch: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_that_the_hardware_cannot_copy_from_are_none() {
        let tensor = |at: Address, axes: &[[usize; 3]]| {
            let axis = |&[extent, stride, length]: &[usize; 3]| Axis { extent, stride, length };
            Tensor::new(at, DType::F16, axes.iter().map(axis).collect())
        };
        let at = Address::start(Home::Arena(0));
        assert!(tensor(at, &[[40, 1, 64], [3, 48, 256]]).is_some());
        for axes in [
            &[[40, 2, 64], [3, 48, 8]],
            &[[41, 1, 64], [3, 48, 8]],
            &[[40, 1, 72], [3, 48, 8]],
            &[[40, 1, 64], [3, 44, 8]],
            &[[40, 1, 64], [0, 48, 8]],
            &[[40, 1, 64], [3, 48, 257]],
        ] {
            assert_eq!(tensor(at, axes), None, "{axes:?}");
        }
        assert_eq!(tensor(at.plus(8), &[[40, 1, 64]]), None);
        assert_eq!(tensor(at, &[]), None);
        assert_eq!(Tensor::new(at, DType::F32, vec![Axis { extent: 8, stride: 1, length: 8 }]), None);
    }

    #[test]
    fn a_tensor_moves_with_its_memory() {
        let at = Address::start(Home::Scratch(512)).plus(32);
        let tensor = Tensor::new(at, DType::BF16, vec![Axis { extent: 8, stride: 1, length: 8 }]);
        let mut argument = Argument::Tensor(Box::new(tensor.unwrap()));
        assert_eq!(argument.address(), Some(at));
        argument.address_mut().unwrap().home = Home::Arena(1024);
        assert_eq!(argument.address(), Some(Address { home: Home::Arena(1024), offset: 32 }));
    }
}
