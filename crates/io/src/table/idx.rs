//! IDX, the format of MNIST (LeCun, Cortes and Burges): two zero bytes, a type, the number of axes, their sizes and
//! the elements, all big-endian.

use super::{Table, Values, elements, table};

pub(super) fn read(bytes: &[u8]) -> Result<Table, String> {
    let cut = || "it is cut short".to_owned();
    let (&[_, _, kind, axes], rest) = bytes.split_first_chunk().ok_or_else(cut)?;
    let size = match kind {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        _ => return Err(format!("it is no IDX file: 0x{kind:02x} is none of its types of elements")),
    };
    let (sides, data) = rest.split_at_checked(4 * usize::from(axes)).ok_or_else(cut)?;
    let shape: Vec<usize> = sides.as_chunks().0.iter().map(|&side| u32::from_be_bytes(side) as usize).collect();
    let want = elements(&shape, size)? * size;
    if data.len() != want {
        return Err(format!("its header promises {want} bytes of elements, and it has {}", data.len()));
    }
    let values = match kind {
        0x08 => Values::Bytes(data.to_vec()),
        0x09 => reals(data, i8::from_be_bytes),
        0x0b => reals(data, i16::from_be_bytes),
        0x0c => reals(data, i32::from_be_bytes),
        0x0d => reals(data, f32::from_be_bytes),
        _ => reals(data, f64::from_be_bytes),
    };
    table(&shape, values)
}

fn reals<const N: usize, T: Into<f64>>(data: &[u8], number: fn([u8; N]) -> T) -> Values {
    Values::Reals(data.as_chunks().0.iter().map(|&bytes| number(bytes).into()).collect())
}
