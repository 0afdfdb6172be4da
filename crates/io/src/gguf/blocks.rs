//! How GGUF stores numbers: in blocks that share scales. The formulas are those of ggml's `dequantize_row_*`.

use std::fmt;

use half::{bf16, f16};

/// The kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 32-bit float.
    F32,
    /// IEEE 16-bit float.
    F16,
    /// 16-bit float with the exponent of f32.
    Bf16,
    /// 64-bit float.
    F64,
    /// 8-bit signed integer.
    I8,
    /// 16-bit signed integer.
    I16,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// 4 bits, scale.
    Q4_0,
    /// 4 bits, scale and minimum.
    Q4_1,
    /// 5 bits, scale.
    Q5_0,
    /// 5 bits, scale and minimum.
    Q5_1,
    /// 8 bits, scale.
    Q8_0,
    /// 2 bits in blocks of 256 with scales of their own.
    Q2K,
    /// 3 bits, likewise.
    Q3K,
    /// 4 bits, likewise.
    Q4K,
    /// 5 bits, likewise.
    Q5K,
    /// 6 bits, likewise.
    Q6K,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F64 => "f64",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Q4_0 => "q4_0",
            Self::Q4_1 => "q4_1",
            Self::Q5_0 => "q5_0",
            Self::Q5_1 => "q5_1",
            Self::Q8_0 => "q8_0",
            Self::Q2K => "q2_k",
            Self::Q3K => "q3_k",
            Self::Q4K => "q4_k",
            Self::Q5K => "q5_k",
            Self::Q6K => "q6_k",
        })
    }
}

/// Values of a large block.
const LARGE: usize = 256;

impl Kind {
    /// The kind of a number in a file.
    pub(super) fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            10 => Self::Q2K,
            11 => Self::Q3K,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            24 => Self::I8,
            25 => Self::I16,
            26 => Self::I32,
            27 => Self::I64,
            28 => Self::F64,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Values of a block, and its bytes.
    #[must_use]
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F64 | Self::I64 => (1, 8),
            Self::F32 | Self::I32 => (1, 4),
            Self::F16 | Self::Bf16 | Self::I16 => (1, 2),
            Self::I8 => (1, 1),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q2K => (LARGE, 84),
            Self::Q3K => (LARGE, 110),
            Self::Q4K => (LARGE, 144),
            Self::Q5K => (LARGE, 176),
            Self::Q6K => (LARGE, 210),
        }
    }

    /// Decodes whole blocks, as many as both slices hold.
    ///
    /// ```
    /// use yuragi_io::gguf::Kind;
    /// let mut out = [0.0; 32];
    /// let mut block = [0x88; 18]; // 32 times the middle of 4 bits
    /// Kind::Q4_0.decode(&block, &mut out);
    /// assert_eq!(out, [-0.0; 32]);
    /// block[..2].copy_from_slice(&[0x00, 0x3c]); // a scale of 1
    /// block[2] = 0x0f;
    /// Kind::Q4_0.decode(&block, &mut out);
    /// assert_eq!((out[0], out[16]), (7.0, -8.0));
    /// ```
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let (values, size) = self.block();
        for (block, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(values)) {
            match self {
                Self::F64 => out[0] = f64::from_bits(long(block)) as f32,
                Self::I64 => out[0] = long(block).cast_signed() as f32,
                Self::I32 => out[0] = word(block, 0).cast_signed() as f32,
                Self::I16 => out[0] = i16::from_le_bytes([block[0], block[1]]).into(),
                Self::I8 => out[0] = block[0].cast_signed().into(),
                Self::F32 => out[0] = f32::from_bits(word(block, 0)),
                Self::F16 => out[0] = half(block, 0),
                Self::Bf16 => out[0] = bf16::from_le_bytes([block[0], block[1]]).to_f32(),
                Self::Q4_0 => nibbles(&block[2..], 0, half(block, 0), Shift::Middle(8.0), out),
                Self::Q4_1 => nibbles(&block[4..], 0, half(block, 0), Shift::Least(half(block, 2)), out),
                Self::Q5_0 => nibbles(&block[6..], word(block, 2), half(block, 0), Shift::Middle(16.0), out),
                Self::Q5_1 => {
                    nibbles(&block[8..], word(block, 4), half(block, 0), Shift::Least(half(block, 2)), out);
                }
                Self::Q8_0 => {
                    let scale = half(block, 0);
                    out.iter_mut().zip(&block[2..]).for_each(|(x, q)| *x = f32::from(q.cast_signed()) * scale);
                }
                Self::Q2K => q2_k(block, out),
                Self::Q3K => q3_k(block, out),
                Self::Q4K => q4_k(block, out),
                Self::Q5K => q5_k(block, out),
                Self::Q6K => q6_k(block, out),
            }
        }
    }
}

fn half(block: &[u8], place: usize) -> f32 {
    f16::from_le_bytes([block[place], block[place + 1]]).to_f32()
}

fn word(block: &[u8], place: usize) -> u32 {
    u32::from_le_bytes([block[place], block[place + 1], block[place + 2], block[place + 3]])
}

fn long(block: &[u8]) -> u64 {
    u64::from(word(block, 0)) | u64::from(word(block, 4)) << 32
}

/// Where a small block's numbers lie.
#[derive(Clone, Copy)]
enum Shift {
    /// About 0: so much is taken off before the scale.
    Middle(f32),
    /// From a least number on.
    Least(f32),
}

/// 32 numbers of 4 bits, low halves first, and a fifth bit of each.
fn nibbles(low: &[u8], high: u32, scale: f32, shift: Shift, out: &mut [f32]) {
    for (j, byte) in low.iter().take(16).enumerate() {
        for (place, bits) in [(j, byte & 15), (j + 16, byte >> 4)] {
            let code = (u32::from(bits) | (high >> place & 1) << 4) as f32;
            out[place] = match shift {
                Shift::Middle(middle) => (code - middle) * scale,
                Shift::Least(least) => code * scale + least,
            };
        }
    }
}

/// The 6-bit scale and minimum of the `j`-th of eight groups, packed into 12 bytes.
fn scale_and_least(j: usize, packed: &[u8]) -> (f32, f32) {
    let (scale, least) = if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        (packed[j + 4] & 15 | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4)
    };
    (scale.into(), least.into())
}

fn q4_k(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half(block, 0), half(block, 2));
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (s, m) = scale_and_least(group, &block[4..16]);
        let (s, m) = (scale * s, least * m);
        let codes = &block[16 + group / 2 * 32..];
        for (x, code) in out.iter_mut().zip(codes) {
            *x = s * f32::from(code >> (4 * (group % 2)) & 15) - m;
        }
    }
}

fn q5_k(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half(block, 0), half(block, 2));
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (s, m) = scale_and_least(group, &block[4..16]);
        let (s, m) = (scale * s, least * m);
        let codes = &block[48 + group / 2 * 32..];
        for ((x, code), high) in out.iter_mut().zip(codes).zip(&block[16..48]) {
            *x = s * f32::from(code >> (4 * (group % 2)) & 15 | (high >> group & 1) << 4) - m;
        }
    }
}

fn q6_k(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 208);
    for (i, x) in out.iter_mut().enumerate() {
        // Each half of the block: four quarters of 32 values, which share bytes.
        let (half, quarter, place) = (i / 128, i % 128 / 32, i % 32);
        let low = block[half * 64 + quarter % 2 * 32 + place] >> (quarter / 2 * 4) & 15;
        let high = block[128 + half * 32 + place] >> (2 * quarter) & 3;
        let group = block[192 + i / 16].cast_signed();
        *x = scale * f32::from(group) * (f32::from(low | high << 4) - 32.0);
    }
}

fn q2_k(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half(block, 80), half(block, 82));
    for (i, x) in out.iter_mut().enumerate() {
        let (half, quarter, place) = (i / 128, i % 128 / 32, i % 32);
        let code = block[16 + half * 32 + place] >> (2 * quarter) & 3;
        let group = block[i / 16];
        *x = scale * f32::from(group & 15) * f32::from(code) - least * f32::from(group >> 4);
    }
}

fn q3_k(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 108);
    let packed = &block[96..108];
    for (i, x) in out.iter_mut().enumerate() {
        let (half, quarter, place) = (i / 128, i % 128 / 32, i % 32);
        let low = block[32 + half * 32 + place] >> (2 * quarter) & 3;
        // A high bit that is not set takes 4 off.
        let high = block[place] >> (4 * half + quarter) & 1;
        let group = i / 16;
        let bits = packed[group % 8] >> (group / 8 * 4) & 15;
        let more = packed[8 + group % 4] >> (group / 4 * 2) & 3;
        let group = f32::from(bits | more << 4) - 32.0;
        *x = scale * group * (f32::from(low) - if high == 1 { 0.0 } else { 4.0 });
    }
}
