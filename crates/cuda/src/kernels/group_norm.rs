//! Group norm: `kernels/group_norm_silu.cu` and `group_norm_cluster.cu` in one launch, `group_norm.cu` in two or three.

use yuragi_graph::DType;

use super::{
    operand::{KernelError, function, function_into},
    picture::{Cut, Picture},
    product::Machine,
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
    /// Of x, gain and bias.
    pub dtype: DType,
    /// Of y: the same, or 16 bits of `F32`.
    pub result: DType,
    /// \[samples, pixels, channels\].
    pub x: Address,
    /// \[channels\].
    pub gain: Address,
    /// \[channels\].
    pub bias: Address,
    /// \[samples, pixels, channels\]; may be x if it is of the same type.
    pub y: Address,
}

/// Elements of a group up to which a block holds it and normalises it alone.
const ALONE: usize = 20 * 1024;
/// Blocks of a cluster, each of which holds as many of the pixels that it takes.
const CLUSTER: usize = 8;
/// Clusters of a grid.
const MOST_CLUSTERS: usize = i32::MAX as usize / CLUSTER;
/// Bytes of x up to which every block joins the moments of a whole sample's chunks itself, as a launch would take longer.
const JOINED: usize = 1 << 26;
/// Bytes that are read together.
const SECTOR: usize = 32;
/// Elements of x up to which it matters little how they are read.
const FEW: usize = 1 << 18;

/// Whether three launches are better than a block for each group.
pub(super) fn is_large(picture: &Picture) -> bool {
    let elements = picture.elements();
    let sectors =
        picture.width() * picture.dtype.size() >= SECTOR || picture.samples * picture.groups * elements <= FEW;
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

/// The moments of each chunk, at `partial`: as many bytes as are said.
fn chunk_moments(picture: &Picture, cut: Cut, at: [Address; 2]) -> Result<(Launch, usize), KernelError> {
    let code = Code::Shipped("group_norm");
    let mut arguments: Vec<Argument> = at.map(Argument::Pointer).into();
    arguments.extend(picture.sizes());
    arguments.extend([cut.chunk, cut.slab].map(|n| Argument::U32(n as u32)));
    let function = function("group_norm_moments", picture.dtype)?;
    let mut launch = picture.launch(cut, ("group_norm moments", code), function, arguments)?;
    launch.shared = picture.shared(cut);
    Ok((launch, 8 * picture.samples * picture.groups * picture.chunks(cut)))
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
    let (first, bytes) = chunk_moments(picture, cut, [x, partial])?;
    let mut arguments: Vec<Argument> = [x, partial, to].map(Argument::Pointer).into();
    arguments.extend(picture.sizes());
    arguments.extend([Argument::U32(cut.chunk as u32), Argument::F32(eps)]);
    let second = Launch {
        name: "group_norm combine",
        code: Code::Shipped("group_norm"),
        function: function(combine, picture.dtype)?,
        grid: [(picture.samples * picture.groups) as u32, 1, 1],
        block: [picture.chunks(cut).clamp(32, 256).next_multiple_of(32) as u32, 1, 1],
        shared: 0,
        arguments,
    };
    Ok(([first, second], bytes))
}

impl GroupNorm {
    /// The launches: one where a block, or a cluster of them, can well have a group, else two, or three for the largest
    /// pictures.
    ///
    /// # Errors
    ///
    /// Integers; an extent of 2^31 or more; groups that do not divide the channels.
    pub fn launches(&self, machine: Machine) -> Result<Launches, KernelError> {
        let picture = self.picture();
        picture.check()?;
        if picture.is_empty() {
            return Ok(Launches::default());
        }
        let fills = picture.elements() > ALONE && self.pixels.div_ceil(CLUSTER) * picture.width() <= ALONE;
        let sectors = picture.width() * self.dtype.size() >= SECTOR;
        if machine.hopper && fills && sectors && picture.samples * picture.groups <= MOST_CLUSTERS {
            return self.cluster();
        }
        match picture.cut() {
            Some(cut) if is_large(&picture) => match picture.samples * picture.pixels * picture.channels {
                count if count * self.dtype.size() <= JOINED => self.two(picture.joined(cut)),
                _ => self.three(cut),
            },
            _ => self.one(),
        }
    }

    /// Every way that exists: what a test should try.
    ///
    /// # Errors
    ///
    /// As for [`GroupNorm::launches`].
    pub fn variants(&self, machine: Machine) -> Result<Vec<Launches>, KernelError> {
        self.picture().check()?;
        let cut = self.picture().cut();
        let more = cut.map(|cut| [self.two(cut), self.two(self.picture().joined(cut)), self.three(cut)]);
        let few = self.samples * self.groups <= MOST_CLUSTERS;
        let cluster = (machine.hopper && few).then(|| self.cluster());
        [self.one()].into_iter().chain(cluster).chain(more.into_iter().flatten()).collect()
    }

    const fn picture(&self) -> Picture {
        let Self { samples, pixels, channels, groups, dtype, .. } = *self;
        Picture { samples, pixels, channels, groups, dtype }
    }

    fn one(&self) -> Result<Launches, KernelError> {
        let arguments = [self.x, self.gain, self.bias, self.y].map(Argument::Pointer).into();
        let function = function_into(self.name(), self.dtype, self.result)?;
        let launch = alone(&self.picture(), self.name(), function, arguments, self.eps);
        Ok(Launches { launches: vec![launch], scratch: 0 })
    }

    fn cluster(&self) -> Result<Launches, KernelError> {
        let picture = self.picture();
        let mut arguments: Vec<Argument> = [self.x, self.gain, self.bias, self.y].map(Argument::Pointer).into();
        arguments.extend(picture.sizes());
        arguments.push(Argument::F32(self.eps));
        let name = if self.silu { "group_norm_cluster_silu" } else { "group_norm_cluster" };
        let threads = picture.elements().div_ceil(8 * CLUSTER).clamp(32, 1024).next_multiple_of(32) as u32;
        let launch = Launch {
            name: self.name(),
            code: Code::Shipped("group_norm_cluster"),
            function: function_into(name, self.dtype, self.result)?,
            grid: [(CLUSTER * picture.samples * picture.groups) as u32, 1, 1],
            block: [threads, 1, 1],
            shared: 0,
            arguments,
        };
        Ok(Launches { launches: vec![launch], scratch: 0 })
    }

    const fn name(&self) -> &'static str {
        if self.silu { "group_norm_silu" } else { "group_norm" }
    }

    fn two(&self, cut: Cut) -> Result<Launches, KernelError> {
        let (picture, partial) = (self.picture(), Address::start(Home::Scratch(0)));
        let (first, scratch) = chunk_moments(&picture, cut, [self.x, partial])?;
        let mut apply = self.apply(cut, [Argument::Null, Argument::Pointer(partial)])?;
        apply.shared = (16 * cut.slab.min(picture.channels).div_ceil(picture.width())) as u32;
        Ok(Launches { launches: vec![first, apply], scratch })
    }

    fn three(&self, cut: Cut) -> Result<Launches, KernelError> {
        let statistics = Address::start(Home::Scratch(0));
        let bytes = 16 * self.samples * self.groups;
        let addresses = [self.x, statistics.plus(bytes), statistics];
        let ([first, combine], partial) = moments(&self.picture(), cut, addresses, "group_norm_combine", self.eps)?;
        let apply = self.apply(cut, [Argument::Pointer(statistics), Argument::Null])?;
        Ok(Launches { launches: vec![first, combine, apply], scratch: bytes + partial })
    }

    /// By statistics of groups or moments of their chunks.
    fn apply(&self, cut: Cut, known: [Argument; 2]) -> Result<Launch, KernelError> {
        let picture = self.picture();
        let name = if self.silu { "group_norm_apply_silu" } else { "group_norm_apply" };
        let mut arguments: Vec<Argument> = [self.x, self.gain, self.bias].map(Argument::Pointer).into();
        arguments.extend(known);
        arguments.push(Argument::Pointer(self.y));
        arguments.extend(picture.sizes());
        arguments.extend([cut.chunk, cut.slab].map(|n| Argument::U32(n as u32)));
        arguments.push(Argument::F32(self.eps));
        let named = (self.name(), Code::Shipped("group_norm"));
        picture.launch(cut, named, function_into(name, self.dtype, self.result)?, arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMPERE: Machine = Machine { multiprocessors: 108, hopper: false };

    fn norm([samples, pixels, channels, groups]: [usize; 4], dtype: DType) -> GroupNorm {
        let at = Address::start(Home::Arena(0));
        let (eps, silu, result) = (1e-5, true, dtype);
        GroupNorm { samples, pixels, channels, groups, eps, silu, dtype, result, x: at, gain: at, bias: at, y: at }
    }

    #[test]
    fn small_groups_take_one_launch_and_large_ones_more() {
        let count = |extents| norm(extents, DType::F16).launches(AMPERE).unwrap().launches.len();
        assert_eq!(count([2, 64, 1280, 32]), 1);
        assert_eq!(count([2, 256, 1280, 32]), 1);
        assert_eq!(count([2, 4096, 320, 32]), 2);
        assert_eq!(count([64, 1024, 64, 32]), 2);
        assert_eq!(count([1, 1 << 18, 256, 32]), 3);
        assert_eq!(count([1, 9, 5000, 1]), 1);
        assert_eq!(count([0, 9, 32, 1]), 0);
    }

    #[test]
    fn clusters_hold_what_blocks_cannot() {
        let hopper = Machine { multiprocessors: 132, hopper: true };
        let code = |extents| norm(extents, DType::F32).launches(hopper).unwrap().launches[0].code;
        assert_eq!(code([2, 1024, 640, 32]), Code::Shipped("group_norm_silu"));
        assert_eq!(code([2, 4096, 320, 32]), Code::Shipped("group_norm_cluster"));
        assert_eq!(code([2, 16384, 320, 32]), Code::Shipped("group_norm_cluster"));
        assert_eq!(code([2, 16384, 640, 32]), Code::Shipped("group_norm"));
        assert_eq!(code([2, 16384, 128, 32]), Code::Shipped("group_norm"));
        // Of nine pixels, or 16, a block takes two.
        assert_eq!(code([1, 9, 18_000, 1]), Code::Shipped("group_norm_silu"));
        assert_eq!(code([1, 16, 10_240, 1]), Code::Shipped("group_norm_cluster"));
        // A grid has so many blocks at most.
        assert_eq!(code([MOST_CLUSTERS, 4096, 8, 1]), Code::Shipped("group_norm_cluster"));
        assert_eq!(code([MOST_CLUSTERS + 1, 4096, 8, 1]), Code::Shipped("group_norm"));
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        let error = |extents, dtype| norm(extents, dtype).launches(AMPERE).unwrap_err().to_string();
        assert!(error([1, 1, 4, 0], DType::F32).contains("number of groups of a group norm is 0"));
        assert!(error([1, 1, 4, 2], DType::U32).contains("U32"));
        assert!(error([1, 1 << 31, 4, 2], DType::F32).contains("number of pixels"));
        let into = GroupNorm { result: DType::F32, ..norm([1, 1, 4, 2], DType::F16) };
        let error = into.launches(AMPERE).unwrap_err().to_string();
        assert_eq!(error, "group_norm_silu of F16 cannot be stored as F32");
    }
}
