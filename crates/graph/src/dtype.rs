use core::fmt;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DType {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision. Arithmetic is done in `F32` and every result rounded to nearest even.
    F16,
    /// The upper half of an `F32`. Arithmetic as for [`DType::F16`].
    BF16,
    /// Signed integers: indices of rows.
    I32,
    /// Unsigned integers: keys of random generators.
    U32,
}

impl DType {
    /// Every element type.
    pub const ALL: [DType; 5] = [DType::F32, DType::F16, DType::BF16, DType::I32, DType::U32];

    /// Bytes of one element in a file or a borrowed buffer.
    pub const fn size(self) -> usize {
        match self {
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F16 | DType::BF16 => 2,
        }
    }

    /// Whether arithmetic and gradients are defined on the type.
    pub const fn is_float(self) -> bool {
        match self {
            DType::F32 | DType::F16 | DType::BF16 => true,
            DType::I32 | DType::U32 => false,
        }
    }

    /// The unit roundoff of a floating type (half the distance from 1 to the next number); 0 for integers.
    pub const fn unit_roundoff(self) -> f64 {
        match self {
            DType::F32 => 5.960464477539063e-8,
            DType::F16 => 4.8828125e-4,
            DType::BF16 => 3.90625e-3,
            DType::I32 | DType::U32 => 0.0,
        }
    }

    /// The smallest positive number of a floating type (subnormal): the rounding error near zero.
    pub const fn smallest(self) -> f64 {
        match self {
            DType::F32 => 1.401298464324817e-45,
            DType::F16 => 5.960464477539063e-8,
            DType::BF16 => 9.183549615799121e-41,
            DType::I32 | DType::U32 => 0.0,
        }
    }

    /// Rounds to the nearest value of the type (ties to even); integers are truncated towards zero.
    pub fn round(self, x: f64) -> f64 {
        match self {
            DType::F32 => f64::from(x as f32),
            DType::F16 => to_digits(x, 11, -24, 65_504.0),
            DType::BF16 => to_digits(x, 8, -133, 3.389_531_389_251_535_5e38),
            DType::I32 => f64::from(x as i32),
            DType::U32 => f64::from(x as u32),
        }
    }
}

/// The nearest number of so many binary digits, at least this power of two apart (ties to even);
/// infinite if it would exceed `max`. (`half`'s conversion from `f64` drops its low digits first.)
fn to_digits(x: f64, digits: i32, smallest: i32, max: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let spacing = libm::ldexp(1.0, smallest.max(libm::ilogb(x) + 1 - digits));
    let nearest = libm::rint(x / spacing) * spacing;
    if nearest.abs() > max { f64::INFINITY.copysign(x) } else { nearest }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::I32 => "i32",
            DType::U32 => "u32",
        })
    }
}
