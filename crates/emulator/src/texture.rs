//! Textures and surfaces: texels that lie in memory, and how coordinates find them.
//!
//! The formulas are those of NVIDIA's CUDA C++ Programming Guide, "Texture Fetching". What it leaves open is done so: a
//! weight, kept with 8 bits of fraction, is the nearest one, the greater of two; a coordinate in double precision finds it,
//! one that is no number as zero, an infinite one as the greatest number; the weighted sum is formed in double precision and rounded once.

use std::fmt;

use half::f16;

/// The format of a channel of a texel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TexelFormat {
    /// Unsigned integers of 8, 16 and 32 bits.
    U8,
    /// 16 bits.
    U16,
    /// 32 bits.
    U32,
    /// Signed integers of 8, 16 and 32 bits.
    S8,
    /// 16 bits.
    S16,
    /// 32 bits.
    S32,
    /// Floating-point numbers of 16 and 32 bits.
    F16,
    /// 32 bits.
    F32,
}

impl TexelFormat {
    /// Bytes of a channel.
    pub fn bytes(self) -> u64 {
        match self {
            TexelFormat::U8 | TexelFormat::S8 => 1,
            TexelFormat::U16 | TexelFormat::S16 | TexelFormat::F16 => 2,
            TexelFormat::U32 | TexelFormat::S32 | TexelFormat::F32 => 4,
        }
    }

    /// Whether channels are integers.
    pub fn is_integer(self) -> bool {
        !matches!(self, TexelFormat::F16 | TexelFormat::F32)
    }

    /// A channel as a number between −1 and 1 or, if it is a floating-point number, as itself.
    fn number(self, bits: u32) -> f32 {
        match self {
            TexelFormat::U8 => bits as f32 / 255.0,
            TexelFormat::U16 => bits as f32 / 65_535.0,
            TexelFormat::S8 => (f32::from(bits as i8) / 127.0).max(-1.0),
            TexelFormat::S16 => (f32::from(bits as i16) / 32_767.0).max(-1.0),
            TexelFormat::F16 => f16::from_bits(bits as u16).into(),
            TexelFormat::F32 | TexelFormat::U32 | TexelFormat::S32 => f32::from_bits(bits),
        }
    }

    /// A channel as an integer of 32 bits.
    fn integer(self, bits: u32) -> u32 {
        match self {
            TexelFormat::S8 => i32::from(bits as i8) as u32,
            TexelFormat::S16 => i32::from(bits as i16) as u32,
            _ => bits,
        }
    }
}

/// Texels in global memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Texels {
    /// The address of the first.
    pub address: u64,
    /// 1 to 3.
    pub dimensions: usize,
    /// Texels along x, y and z; 1 along those that are not there.
    pub extents: [u64; 3],
    /// Bytes from one row to the next, and from one slice to the next.
    pub pitches: [u64; 2],
    /// The format of a channel.
    pub format: TexelFormat,
    /// Channels of a texel: 1, 2 or 4.
    pub channels: u64,
    /// Whether they lie in plain memory, one behind the other, which only integers find.
    pub linear: bool,
}

impl Texels {
    /// Bytes of a texel.
    pub fn texel_bytes(&self) -> u64 {
        self.channels * self.format.bytes()
    }

    /// Bytes from the first to the last.
    pub fn bytes(&self) -> Option<u64> {
        let [x, y, z] = self.extents;
        let row = x.checked_mul(self.texel_bytes())?;
        let rows = self.pitches[0].checked_mul(y.checked_sub(1)?)?;
        self.pitches[1].checked_mul(z.checked_sub(1)?)?.checked_add(rows)?.checked_add(row)
    }

    /// The address of a byte of a row.
    pub(crate) fn address_of(&self, byte: u64, y: u64, z: u64) -> u64 {
        self.address + byte + y * self.pitches[0] + z * self.pitches[1]
    }

    /// A channel of a texel's bytes.
    fn channel(&self, words: &[u64; 4], channel: u64) -> u32 {
        let (bytes, bits) = (self.format.bytes(), 8 * self.format.bytes());
        let word = words[(channel * bytes / 8) as usize] >> (8 * (channel * bytes % 8));
        (word & (u64::MAX >> (64 - bits))) as u32
    }
}

/// Which texel a coordinate outside means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressMode {
    /// The texels begin anew. Of coordinates that are not normalised it is as [`Clamp`](AddressMode::Clamp).
    Wrap,
    /// The nearest one.
    #[default]
    Clamp,
    /// The texels stand mirrored. Of coordinates that are not normalised it is as [`Clamp`](AddressMode::Clamp).
    Mirror,
    /// The colour of the border.
    Border,
}

/// How a texture is read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Along x, y and z.
    pub address: [AddressMode; 3],
    /// Whether the nearest 2, 4 or 8 texels are weighted, instead of one taken.
    pub linear: bool,
    /// Whether coordinates go from 0 to 1.
    pub normalised: bool,
    /// Whether integers are read as such, instead of as numbers between −1 and 1.
    pub integers: bool,
    /// The colour outside.
    pub border: [f32; 4],
}

/// A texture: texels and how they are read; or, with no sampling, a surface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Texture {
    /// The texels.
    pub texels: Texels,
    /// How they are read.
    pub sampling: Option<Sampling>,
}

/// Why there is no such texture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextureError(pub(crate) String);

impl fmt::Display for TextureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TextureError {}

/// The most texels along an axis of a texture with so many dimensions (compute capability 9.0).
const MOST: [[u64; 3]; 3] = [[131_072, 1, 1], [131_072, 65_536, 1], [16_384, 16_384, 16_384]];
/// The most of those in plain memory.
const MOST_LINEAR: u64 = 1 << 28;

impl Texture {
    /// Checks what no device has.
    pub(crate) fn check(&self) -> Result<(), TextureError> {
        let Texels { dimensions, extents, channels, format, linear, .. } = self.texels;
        let refuse = |why: String| Err(TextureError(why));
        let Some(mut most) = dimensions.checked_sub(1).and_then(|i| MOST.get(i)).copied() else {
            return refuse(format!("{dimensions} dimensions; legal are 1 to 3"));
        };
        if linear {
            most = [MOST_LINEAR, 1, 1];
        }
        if let Some(axis) = (0..3).find(|&axis| !(1..=most[axis]).contains(&extents[axis])) {
            let name = ["width", "height", "depth"][axis];
            return refuse(format!("a {name} of {} texels; legal are 1 to {}", extents[axis], most[axis]));
        }
        if !matches!(channels, 1 | 2 | 4) {
            return refuse(format!("{channels} channels; legal are 1, 2 and 4"));
        }
        let Some(sampling) = self.sampling else { return Ok(()) };
        let wide = format.is_integer() && format.bytes() == 4;
        if sampling.linear && (format.is_integer() && sampling.integers || wide) {
            return refuse("integers that are read as such are not weighted: nearest filtering is legal".into());
        }
        if linear && sampling.normalised {
            return refuse("texels in plain memory are found by integers: coordinates are not normalised".into());
        }
        Ok(())
    }
}

/// The texels along an axis that a coordinate finds, each with its weight; none stands for the border.
type Found = [(Option<u64>, f64); 2];

impl Sampling {
    /// What a texel's index means along an axis of so many.
    fn index(&self, axis: usize, index: i64, count: u64) -> Option<u64> {
        let last = count as i64 - 1;
        match self.address[axis] {
            AddressMode::Border => (0..=last).contains(&index).then_some(index as u64),
            AddressMode::Wrap if self.normalised => Some(index.rem_euclid(count as i64) as u64),
            _ => Some(index.clamp(0, last) as u64),
        }
    }

    /// What a coordinate finds along an axis of so many texels.
    fn find(&self, axis: usize, x: f32, count: u64) -> Found {
        let x = if x.is_nan() { 0.0 } else { x.clamp(f32::MIN, f32::MAX) };
        let (x, n) = (f64::from(x), count as f64);
        let x = match self.address[axis] {
            _ if !self.normalised => x,
            AddressMode::Wrap => (x - x.floor()) * n,
            AddressMode::Mirror if x.floor().rem_euclid(2.0) == 1.0 => (1.0 - (x - x.floor())) * n,
            AddressMode::Mirror => (x - x.floor()) * n,
            AddressMode::Clamp | AddressMode::Border => x * n,
        };
        if !self.linear {
            let mut index = x.floor() as i64;
            if self.normalised && matches!(self.address[axis], AddressMode::Wrap | AddressMode::Mirror) {
                index = index.min(count as i64 - 1);
            }
            return [(self.index(axis, index, count), 1.0), (None, 0.0)];
        }
        let begin = x - 0.5;
        let weight = ((begin - begin.floor()) * 256.0 + 0.5).floor() / 256.0;
        let index = begin.floor() as i64;
        [(self.index(axis, index, count), 1.0 - weight), (self.index(axis, index.saturating_add(1), count), weight)]
    }
}

/// A coordinate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Coordinate {
    Float(f32),
    Integer(i32),
}

impl Texture {
    /// Whether it gives integers.
    pub(crate) fn gives_integers(&self) -> bool {
        let wide = self.texels.format.bytes() == 4;
        self.texels.format.is_integer() && (wide || self.sampling.is_none_or(|sampling| sampling.integers))
    }

    /// What coordinates find, its four channels as bits of 32-bit numbers; `read` gives the bytes of a texel at an address.
    pub(crate) fn fetch(&self, at: [Coordinate; 3], mut read: impl FnMut(u64) -> [u64; 4]) -> [u32; 4] {
        let Texels { dimensions, extents, channels, format, linear, .. } = self.texels;
        let sampling = self.sampling.unwrap_or_default();
        let mut found: [Found; 3] = [[(Some(0), 1.0), (None, 0.0)]; 3];
        for axis in 0..dimensions {
            found[axis] = match at[axis] {
                Coordinate::Float(x) => sampling.find(axis, x, extents[axis]),
                // Outside of plain memory there are zeros.
                Coordinate::Integer(x) if linear => {
                    let inside = u64::try_from(x).ok().filter(|&x| x < extents[axis]);
                    [(inside, 1.0), (None, 0.0)]
                }
                Coordinate::Integer(x) => [(sampling.index(axis, x.into(), extents[axis]), 1.0), (None, 0.0)],
            };
        }
        let outside = if linear { [0.0; 4] } else { sampling.border };
        let integers = self.gives_integers();
        let (mut sums, mut first) = ([0.0_f64; 4], None);
        for (z, wz) in found[2] {
            for (y, wy) in found[1] {
                for (x, wx) in found[0] {
                    let weight = wx * wy * wz;
                    if weight == 0.0 {
                        continue;
                    }
                    let words = match (x, y, z) {
                        (Some(x), Some(y), Some(z)) => {
                            Some(read(self.texels.address_of(x * self.texels.texel_bytes(), y, z)))
                        }
                        _ => None,
                    };
                    let bits = |channel: u64| words.as_ref().map(|words| self.texels.channel(words, channel));
                    first = first.or(Some(std::array::from_fn(|channel| match bits(channel as u64) {
                        _ if channel as u64 >= channels => 0,
                        Some(bits) if integers => format.integer(bits),
                        Some(bits) => format.number(bits).to_bits(),
                        None if integers => outside[channel] as i64 as u32,
                        None => outside[channel].to_bits(),
                    })));
                    for channel in 0..channels {
                        let value = bits(channel).map_or(outside[channel as usize], |bits| format.number(bits));
                        sums[channel as usize] += weight * f64::from(value);
                    }
                }
            }
        }
        match sampling.linear && !integers {
            true => sums.map(|sum| (sum as f32).to_bits()),
            // One texel as it is.
            false => first.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sampling: Sampling) -> Texture {
        let texels = Texels {
            address: 0,
            dimensions: 1,
            extents: [4, 1, 1],
            pitches: [16, 16],
            format: TexelFormat::F32,
            channels: 1,
            linear: false,
        };
        Texture { texels, sampling: Some(sampling) }
    }

    /// T = 10, 20, 30, 40.
    fn at(sampling: Sampling, x: f32) -> f32 {
        let read = |address: u64| [(10.0 * (address / 4 + 1) as f32).to_bits().into(), 0, 0, 0];
        f32::from_bits(
            row(sampling).fetch([Coordinate::Float(x), Coordinate::Float(0.0), Coordinate::Float(0.0)], read)[0],
        )
    }

    #[test]
    fn coordinates_outside_find_what_their_mode_says() {
        let mode = |mode, linear, normalised| Sampling {
            address: [mode; 3],
            linear,
            normalised,
            border: [7.0; 4],
            ..Sampling::default()
        };
        for (address, wanted) in [
            (AddressMode::Clamp, [10.0, 10.0, 40.0, 40.0, 40.0]),
            (AddressMode::Border, [7.0, 10.0, 40.0, 7.0, 7.0]),
            (AddressMode::Wrap, [40.0, 10.0, 40.0, 10.0, 30.0]),
            (AddressMode::Mirror, [10.0, 10.0, 40.0, 40.0, 20.0]),
        ] {
            let got = [-0.125, 0.125, 0.875, 1.125, 1.625].map(|x| at(mode(address, false, true), x));
            assert_eq!(got, wanted, "{address:?}");
        }
        for (address, wanted) in [
            (AddressMode::Clamp, [10.0, 15.0, 40.0]),
            (AddressMode::Border, [8.5, 15.0, 23.5]),
            (AddressMode::Wrap, [25.0, 15.0, 25.0]),
            (AddressMode::Mirror, [10.0, 15.0, 40.0]),
        ] {
            let got = [0.0, 0.25, 1.0].map(|x| at(mode(address, true, true), x));
            assert_eq!(got, wanted, "{address:?}");
        }
        assert_eq!(at(mode(AddressMode::Wrap, false, false), 5.0), 40.0, "of texels there is no wrapping");
        // Without end there is the border, the last texel, or the beginning of another round; what is no number is zero.
        for (address, wanted) in [
            (AddressMode::Clamp, [10.0, 40.0, 10.0]),
            (AddressMode::Border, [7.0, 7.0, 8.5]),
            (AddressMode::Wrap, [25.0; 3]),
            (AddressMode::Mirror, [10.0; 3]),
        ] {
            for linear in [true, false] {
                let got = [f32::NEG_INFINITY, f32::INFINITY, f32::NAN].map(|x| at(mode(address, linear, true), x));
                let nearest = wanted.map(|value| if matches!(value, 8.5 | 25.0) { 10.0 } else { value });
                assert_eq!(got, if linear { wanted } else { nearest }, "{address:?} {linear}");
            }
        }
        assert_eq!([f32::INFINITY, f32::NAN].map(|x| at(mode(AddressMode::Clamp, true, false), x)), [40.0, 10.0]);
    }

    #[test]
    fn weights_have_eight_bits_of_fraction() {
        let sampling = Sampling { linear: true, ..Sampling::default() };
        // xB = 1 + 1/1000: 0.256 of 256 parts is none; 1/400: 0.64 is one.
        assert_eq!(at(sampling, 1.501), 20.0);
        assert_eq!(at(sampling, 1.5025), 20.0 + 10.0 / 256.0);
        assert_eq!(at(sampling, 2.499), 30.0, "a weight of one");
    }

    #[test]
    fn integers_become_numbers_between_minus_one_and_one() {
        assert_eq!((TexelFormat::U8.number(255), TexelFormat::S8.number(0x80)), (1.0, -1.0));
        assert_eq!((TexelFormat::U16.number(65_535), TexelFormat::S16.number(0x8000)), (1.0, -1.0));
        assert_eq!((TexelFormat::F16.number(0x3c00), TexelFormat::S8.integer(0xff)), (1.0, u32::MAX));
    }

    #[test]
    fn what_no_device_has_is_refused() {
        let texture = row(Sampling::default());
        for (texels, why) in [
            (Texels { dimensions: 0, ..texture.texels }, "1 to 3"),
            (Texels { extents: [0, 1, 1], ..texture.texels }, "a width of 0"),
            (Texels { dimensions: 3, extents: [4, 4, 20_000], ..texture.texels }, "a depth of 20000"),
            (Texels { channels: 3, ..texture.texels }, "1, 2 and 4"),
        ] {
            let error = Texture { texels, ..texture }.check().unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        let texels = Texels { format: TexelFormat::U8, ..texture.texels };
        let sampling = Some(Sampling { linear: true, integers: true, ..Sampling::default() });
        assert!(Texture { texels, sampling }.check().is_err());
        assert!(texture.check().is_ok());
    }
}
