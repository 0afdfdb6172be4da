//! Group norm: `kernels/group_norm_silu.cu` in one launch, `kernels/group_norm.cu` in three.

use yuragi_graph::DType;

use super::{
    operand::{KernelError, function},
    picture::{Cut, Picture},
};
use crate::launch::{Address, Argument, Code, Home, Launch, Launches};

/// Groups of channels of each sample standardised, then scaled and shifted by channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// Samples; with 0 nothing is launched.
    pub samples: usize,
    /// Pixels of a sample; with 0 nothing is launched.
    pub pixels: usize,
    /// Channels of a pixel; with 0 nothing is launched.
    pub channels: usize,
    /// At least 1; divides `channels`.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Whether z·sigmoid(z) of the result z is wanted.
    pub silu: bool,
    /// Of x, gain, bias and y.
    pub dtype: DType,
    /// \[samples, pixels, channels\].
    pub x: Address,
    /// \[channels\].
    pub gain: Address,
    /// \[channels\].
    pub bias: Address,
    /// \[samples, pixels, channels\]; may be x.
    pub y: Address,
}

/// Elements of a group up to which a block normalises it alone.
const ALONE: usize = 8192;
/// Elements of x up to which it matters little how they are read.
const FEW: usize = 1 << 18;

/// Whether three launches are better than a block for each group.
pub(super) fn is_large(picture: &Picture) -> bool {
    let elements = picture.elements();
    let sectors = picture.width() * picture.dtype.size() >= 32 || picture.samples * picture.groups * elements <= FEW;
    elements > ALONE || !sectors
}

/// One block for each group.
pub(super) fn alone(
    picture: &Picture,
    name: &'static str,
    function: String,
    mut arguments: Vec<Argument>,
    eps: f32,
) -> Launch {
    let threads = (picture.elements().div_ceil(8)).clamp(32, 1024).next_multiple_of(32) as u32;
    arguments.extend(picture.sizes());
    arguments.push(Argument::F32(eps));
    Launch {
        name,
        code: Code::Shipped("group_norm_silu"),
        function,
        grid: [(picture.samples * picture.groups) as u32, 1, 1],
        block: [threads, 1, 1],
        shared: 0,
        arguments,
    }
}

/// The moments of each chunk, and those of each group, which the kernel `combine` leaves at `to`; the working memory
/// from `partial` on has as many bytes as are said.
pub(super) fn moments(
    picture: &Picture,
    cut: Cut,
    [x, partial, to]: [Address; 3],
    combine: &'static str,
    eps: f32,
) -> Result<([Launch; 2], usize), KernelError> {
    let (code, dtype) = (Code::Shipped("group_norm"), picture.dtype);
    let (groups, chunks) = (picture.samples * picture.groups, picture.chunks(cut));
    let cut_pixels = Argument::U32(cut.chunk as u32);
    let arguments = |pointers: &[Address], rest: [Argument; 2]| {
        pointers.iter().map(|&at| Argument::Pointer(at)).chain(picture.sizes()).chain(rest).collect::<Vec<_>>()
    };
    let first = arguments(&[x, partial], [cut_pixels.clone(), Argument::U32(cut.slab as u32)]);
    let mut first = picture.launch(cut, ("group_norm moments", code), function("group_norm_moments", dtype)?, first)?;
    first.shared = picture.shared(cut);
    let second = Launch {
        name: "group_norm combine",
        code,
        function: function(combine, dtype)?,
        grid: [groups as u32, 1, 1],
        block: [chunks.clamp(32, 256).next_multiple_of(32) as u32, 1, 1],
        shared: 0,
        arguments: arguments(&[x, partial, to], [cut_pixels, Argument::F32(eps)]),
    };
    Ok(([first, second], 8 * groups * chunks))
}

impl GroupNorm {
    /// The launches: one where a block can well have a group, else three.
    ///
    /// # Errors
    ///
    /// Integers; an extent of 2^31 or more; groups that do not divide the channels.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        let picture = self.picture();
        picture.check()?;
        if picture.is_empty() {
            return Ok(Launches::default());
        }
        match picture.cut() {
            Some(cut) if is_large(&picture) => self.three(cut),
            _ => self.one(),
        }
    }

    /// Both ways, where both exist: what a test should try.
    ///
    /// # Errors
    ///
    /// As for [`GroupNorm::launches`].
    pub fn variants(&self) -> Result<Vec<Launches>, KernelError> {
        self.picture().check()?;
        let three = self.picture().cut().map(|cut| self.three(cut));
        [self.one()].into_iter().chain(three).collect()
    }

    const fn picture(&self) -> Picture {
        let Self { samples, pixels, channels, groups, dtype, .. } = *self;
        Picture { samples, pixels, channels, groups, dtype }
    }

    fn one(&self) -> Result<Launches, KernelError> {
        let arguments = [self.x, self.gain, self.bias, self.y].map(Argument::Pointer).into();
        let function = function(self.name(), self.dtype)?;
        let launch = alone(&self.picture(), self.name(), function, arguments, self.eps);
        Ok(Launches { launches: vec![launch], scratch: 0 })
    }

    const fn name(&self) -> &'static str {
        if self.silu { "group_norm_silu" } else { "group_norm" }
    }

    fn three(&self, cut: Cut) -> Result<Launches, KernelError> {
        let picture = self.picture();
        let statistics = Address::start(Home::Scratch(0));
        let bytes = 16 * self.samples * self.groups;
        let addresses = [self.x, statistics.plus(bytes), statistics];
        let ([moments, combine], partial) = moments(&picture, cut, addresses, "group_norm_combine", self.eps)?;
        let suffix = if self.silu { "group_norm_apply_silu" } else { "group_norm_apply" };
        let mut arguments: Vec<Argument> =
            [self.x, self.gain, self.bias, statistics, self.y].map(Argument::Pointer).into();
        arguments.extend(picture.sizes());
        arguments.extend([cut.chunk, cut.slab].map(|n| Argument::U32(n as u32)));
        let named = (self.name(), Code::Shipped("group_norm"));
        let apply = picture.launch(cut, named, function(suffix, self.dtype)?, arguments)?;
        Ok(Launches { launches: vec![moments, combine, apply], scratch: bytes + partial })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm([samples, pixels, channels, groups]: [usize; 4], dtype: DType) -> GroupNorm {
        let at = Address::start(Home::Arena(0));
        let (eps, silu) = (1e-5, true);
        GroupNorm { samples, pixels, channels, groups, eps, silu, dtype, x: at, gain: at, bias: at, y: at }
    }

    #[test]
    fn small_groups_take_one_launch_and_large_ones_three() {
        let count = |extents| norm(extents, DType::F16).launches().unwrap().launches.len();
        assert_eq!(count([2, 64, 1280, 32]), 1);
        assert_eq!(count([2, 4096, 320, 32]), 3);
        assert_eq!(count([64, 1024, 64, 32]), 3);
        assert_eq!(count([1, 9, 5000, 1]), 1);
        assert_eq!(count([0, 9, 32, 1]), 0);
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        let error = |extents, dtype| norm(extents, dtype).launches().unwrap_err().to_string();
        assert!(error([1, 1, 4, 0], DType::F32).contains("number of groups of a group norm is 0"));
        assert!(error([1, 1, 4, 2], DType::U32).contains("U32"));
        assert!(error([1, 1 << 31, 4, 2], DType::F32).contains("number of pixels"));
    }
}
