//! Gradients of group norm: `kernels/group_norm_grad.cu`.

use super::{
    group_norm::{alone, is_large, moments},
    operand::{KernelError, function},
    picture::{Cut, Picture},
    product::{SHARES, sum_shares},
};
use crate::launch::{Address, Argument, Code, Home, Launch, Launches};

/// Mean and reciprocal deviation of each group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupMoments {
    /// Extents and type of x.
    pub picture: Picture,
    /// Added to the variance.
    pub eps: f32,
    /// As the picture.
    pub x: Address,
    /// F32 \[2, samples, groups\].
    pub y: Address,
}

/// Sums over the pixels of each channel of g·x̂ and of g.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupNormSums {
    /// Extents and type of g and x.
    pub picture: Picture,
    /// As the picture.
    pub g: Address,
    /// As the picture.
    pub x: Address,
    /// F32 \[2, samples, groups\].
    pub moments: Address,
    /// F32 \[2, samples, channels\].
    pub y: Address,
}

/// The gradient for x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupNormGrad {
    /// Extents and type of g, x and y.
    pub picture: Picture,
    /// As the picture.
    pub g: Address,
    /// As the picture.
    pub x: Address,
    /// \[channels\], of the picture's type.
    pub gain: Address,
    /// F32 \[2, samples, groups\].
    pub moments: Address,
    /// F32 \[2, samples, channels\].
    pub sums: Address,
    /// As the picture; may be g or x.
    pub y: Address,
}

/// Whether a block can have the channels of a group of such pictures.
pub fn fits(picture: &Picture) -> bool {
    picture.groups > 0 && picture.cut().is_some()
}

impl GroupMoments {
    /// The launches: one where a block can well have a group, else two.
    ///
    /// # Errors
    ///
    /// Integers; an extent of 2^31 or more; groups that do not divide the channels.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        self.picture.check()?;
        if self.picture.is_empty() {
            return Ok(Launches::default());
        }
        match self.picture.cut() {
            Some(cut) if is_large(&self.picture) => self.two(cut),
            _ => self.one(),
        }
    }

    /// Both ways, where both exist: what a test should try.
    ///
    /// # Errors
    ///
    /// As for [`GroupMoments::launches`].
    pub fn variants(&self) -> Result<Vec<Launches>, KernelError> {
        self.picture.check()?;
        let two = self.picture.cut().map(|cut| self.two(cut));
        [self.one()].into_iter().chain(two).collect()
    }

    fn one(&self) -> Result<Launches, KernelError> {
        let arguments = [self.x, self.y].map(Argument::Pointer).into();
        let function = function("group_moments", self.picture.dtype)?;
        let launch = alone(&self.picture, "group_moments", function, arguments, self.eps);
        Ok(Launches { launches: vec![launch], scratch: 0 })
    }

    fn two(&self, cut: Cut) -> Result<Launches, KernelError> {
        let addresses = [self.x, Address::start(Home::Scratch(0)), self.y];
        let (launches, scratch) = moments(&self.picture, cut, addresses, "group_moments_combine", self.eps)?;
        Ok(Launches { launches: launches.into(), scratch })
    }
}

/// One block for each chunk of a slab of `kernels/group_norm_grad.cu`.
fn launch(
    picture: &Picture,
    cut: Cut,
    name: &'static str,
    pointers: &[Address],
    shared: u32,
) -> Result<Launch, KernelError> {
    let mut arguments: Vec<Argument> = pointers.iter().map(|&at| Argument::Pointer(at)).collect();
    arguments.push(Argument::U32(picture.samples as u32));
    arguments.extend(picture.sizes());
    arguments.extend([cut.chunk, cut.slab].map(|n| Argument::U32(n as u32)));
    let named = (name, Code::Shipped("group_norm_grad"));
    let launch = picture.launch(cut, named, function(name, picture.dtype)?, arguments)?;
    Ok(Launch { shared, ..launch })
}

/// The picture's cut, checked; `None` where there is nothing to do.
fn cut(picture: &Picture) -> Result<Option<Cut>, KernelError> {
    picture.check()?;
    if picture.is_empty() {
        return Ok(None);
    }
    let too_wide = KernelError::TooLarge {
        what: "the number of channels of a group",
        extent: picture.width(),
        most: 512 * super::operand::lanes(picture.dtype),
    };
    picture.cut().map(Some).ok_or(too_wide)
}

impl GroupNormSums {
    /// One launch, or two where several blocks share a sum.
    ///
    /// # Errors
    ///
    /// As for [`GroupMoments::launches`]; a group of more channels than a block can have.
    pub fn launches(&self) -> Result<Launches, KernelError> {
        let picture = &self.picture;
        let Some(cut) = cut(picture)? else { return Ok(Launches::default()) };
        let (chunks, count) = (picture.chunks(cut), 2 * picture.samples * picture.channels);
        let to = if chunks > 1 { SHARES } else { self.y };
        let pointers = [self.g, self.x, self.moments, to];
        let mut launches = vec![launch(picture, cut, "group_norm_sums", &pointers, picture.shared(cut))?];
        if chunks == 1 {
            return Ok(Launches { launches, scratch: 0 });
        }
        launches.push(sum_shares(self.y, count, chunks));
        Ok(Launches { launches, scratch: chunks * count * size_of::<f32>() })
    }
}

impl GroupNormGrad {
    /// The launch.
    ///
    /// # Errors
    ///
    /// As for [`GroupNormSums::launches`].
    pub fn launches(&self) -> Result<Launches, KernelError> {
        let picture = &self.picture;
        let Some(cut) = cut(picture)? else { return Ok(Launches::default()) };
        let pointers = [self.g, self.x, self.gain, self.moments, self.sums, self.y];
        let shared = 8 * (cut.slab / picture.width()) as u32;
        let launches = vec![launch(picture, cut, "group_norm_grad", &pointers, shared)?];
        Ok(Launches { launches, scratch: 0 })
    }
}
