//! NumPy's `.npy` (NEP 1): magic, version, a Python dictionary of three entries, and the elements.

use std::io::{self, Write};

use half::f16;

use super::{Table, Values, elements, table, write_all};

pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// An array of any number of axes, row by row.
pub(crate) struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

pub(super) fn read(bytes: &[u8]) -> Result<Table, String> {
    let Array { shape, values } = array(bytes)?;
    table(&shape, values)
}

pub(crate) fn array(bytes: &[u8]) -> Result<Array, String> {
    let (header, data) = split(bytes).ok_or("it is cut short")?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is no text")?;
    let unclear = || format!("its header is not understood: {}", header.trim());
    let entry = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}':"))?;
        Some(rest.trim_start())
    };
    let dtype = entry("descr").ok_or_else(unclear)?;
    if dtype.starts_with('[') {
        return Err("its elements are records of named fields; store a plain array: structured_to_unstructured".into());
    }
    let dtype = dtype.strip_prefix('\'').and_then(|rest| rest.split_once('\'')).ok_or_else(unclear)?.0;
    let order = entry("fortran_order").ok_or_else(unclear)?;
    let shape = entry("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).ok_or_else(unclear)?.0;
    let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    let shape: Vec<usize> = sides.map(str::parse).collect::<Result<_, _>>().map_err(|_| unclear())?;

    let mut values = numbers(dtype, &shape, data)?;
    if order.starts_with("True") && shape.len() > 1 {
        values = match values {
            Values::Bits(values) => Values::Bits(by_rows(&values, &shape)),
            Values::Bytes(values) => Values::Bytes(by_rows(&values, &shape)),
            Values::Reals(values) => Values::Reals(by_rows(&values, &shape)),
        };
    }
    Ok(Array { shape, values })
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (version, rest) = bytes.get(MAGIC.len()..)?.split_first_chunk::<2>()?;
    let (length, rest) = if version[0] == 1 {
        let (length, rest) = rest.split_first_chunk()?;
        (u16::from_le_bytes(*length).into(), rest)
    } else {
        let (length, rest) = rest.split_first_chunk()?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    rest.split_at_checked(length)
}

fn numbers(dtype: &str, shape: &[usize], data: &[u8]) -> Result<Values, String> {
    let unknown = || {
        format!(
            "elements of type {dtype} cannot be used; f2, f4, f8, i1 to i8, u1 to u8 and b1 can, of either byte order"
        )
    };
    let (big, kind) = match dtype.split_at_checked(1) {
        Some((">", kind)) => (true, kind),
        Some(("<" | "=" | "|", kind)) => (false, kind),
        _ => return Err(unknown()),
    };
    let size = match kind {
        "b1" | "i1" | "u1" => 1,
        "i2" | "u2" | "f2" => 2,
        "i4" | "u4" | "f4" => 4,
        "i8" | "u8" | "f8" => 8,
        _ => return Err(unknown()),
    };
    let want = elements(shape, size)? * size;
    if data.len() != want {
        return Err(format!("its header promises {want} bytes of elements, and it has {}", data.len()));
    }
    Ok(match kind {
        "b1" => Values::Bits(data.iter().map(|&byte| u8::from(byte != 0)).collect()),
        "u1" => Values::Bytes(data.to_vec()),
        "i1" => reals(data, big, |bytes| i8::from_le_bytes(bytes).into()),
        "u2" => reals(data, big, |bytes| u16::from_le_bytes(bytes).into()),
        "i2" => reals(data, big, |bytes| i16::from_le_bytes(bytes).into()),
        "u4" => reals(data, big, |bytes| u32::from_le_bytes(bytes).into()),
        "i4" => reals(data, big, |bytes| i32::from_le_bytes(bytes).into()),
        "u8" => reals(data, big, |bytes| u64::from_le_bytes(bytes) as f64),
        "i8" => reals(data, big, |bytes| i64::from_le_bytes(bytes) as f64),
        "f2" => reals(data, big, |bytes| f16::from_le_bytes(bytes).to_f64()),
        "f4" => reals(data, big, |bytes| f32::from_le_bytes(bytes).into()),
        _ => reals(data, big, f64::from_le_bytes),
    })
}

fn reals<const N: usize>(data: &[u8], big: bool, number: impl Fn([u8; N]) -> f64) -> Values {
    let element = |&(mut bytes): &[u8; N]| {
        if big {
            bytes.reverse();
        }
        number(bytes)
    };
    Values::Reals(data.as_chunks().0.iter().map(element).collect())
}

/// An array whose first axis runs fastest, with the last one running fastest.
fn by_rows<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for side in shape {
        strides.push(stride);
        stride *= side;
    }
    let (mut index, mut at) = (vec![0; shape.len()], 0);
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[at]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    out
}

pub(super) fn write(table: &Table, to: &mut impl Write) -> io::Result<()> {
    let dtype = match table.values() {
        Values::Bits(_) => "|b1",
        Values::Bytes(_) => "|u1",
        Values::Reals(_) => "<f8",
    };
    let sides: String = table.shape().iter().map(|side| format!(", {side}")).collect();
    let shape = format!("({}{sides})", table.rows());
    let mut header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
    // The elements begin at a multiple of 64 bytes.
    let length = (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(64) - MAGIC.len() - 4;
    header.extend(std::iter::repeat_n(' ', length - 1 - header.len()));
    write_all(to, &[MAGIC, &[1, 0], &(length as u16).to_le_bytes(), header.as_bytes(), b"\n"])?;
    match table.values() {
        Values::Bits(values) | Values::Bytes(values) => to.write_all(values),
        Values::Reals(values) => values.iter().try_for_each(|v| to.write_all(&v.to_le_bytes())),
    }
}
