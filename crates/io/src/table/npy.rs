//! NumPy's `.npy` (NEP 1): magic, version, a Python dictionary of three entries, and the elements.

use std::io::{self, Write};

use half::f16;

use super::{Table, Values, elements, table, write_all};

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

pub(super) fn read(bytes: &[u8]) -> Result<Table, String> {
    let (header, data) = split(bytes).ok_or("it is cut short")?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is no text")?;
    let unclear = || format!("its header is not understood: {}", header.trim());
    let entry = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}':"))?;
        Some(rest.trim_start())
    };
    let dtype = entry("descr").and_then(|rest| rest.strip_prefix('\'')?.split_once('\'')).ok_or_else(unclear)?.0;
    let order = entry("fortran_order").ok_or_else(unclear)?;
    let shape = entry("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).ok_or_else(unclear)?.0;
    let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    let shape: Vec<usize> = sides.map(str::parse).collect::<Result<_, _>>().map_err(|_| unclear())?;

    let mut values = numbers(dtype, &shape, data)?;
    if order.starts_with("True") && shape.len() > 1 {
        let [rows, columns] = shape[..] else {
            return Err("it is stored by columns; store it by rows: numpy.ascontiguousarray".to_owned());
        };
        values = match values {
            Values::Bytes(values) => Values::Bytes(transposed(&values, rows, columns)),
            Values::Reals(values) => Values::Reals(transposed(&values, rows, columns)),
        };
    }
    table(&shape, values)
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
    let size = dtype.get(2..).and_then(|size| size.parse::<usize>().ok()).unwrap_or(0);
    if size > 1 && dtype.starts_with('>') {
        return Err(format!("its elements are big-endian ({dtype}); store them little-endian"));
    }
    let unknown = || format!("elements of type {dtype} cannot be used; f2, f4, f8, i1 to i8, u1 to u8 and b1 can");
    let want = elements(shape, size.max(1))? * size.max(1);
    if data.len() != want {
        return Err(format!("its header promises {want} bytes of elements, and it has {}", data.len()));
    }
    Ok(match dtype.get(1..).ok_or_else(unknown)? {
        "u1" | "b1" => Values::Bytes(data.to_vec()),
        "i1" => reals(data, |bytes| i8::from_le_bytes(bytes).into()),
        "u2" => reals(data, |bytes| u16::from_le_bytes(bytes).into()),
        "i2" => reals(data, |bytes| i16::from_le_bytes(bytes).into()),
        "u4" => reals(data, |bytes| u32::from_le_bytes(bytes).into()),
        "i4" => reals(data, |bytes| i32::from_le_bytes(bytes).into()),
        "u8" => reals(data, |bytes| u64::from_le_bytes(bytes) as f64),
        "i8" => reals(data, |bytes| i64::from_le_bytes(bytes) as f64),
        "f2" => reals(data, |bytes| f16::from_le_bytes(bytes).to_f64()),
        "f4" => reals(data, |bytes| f32::from_le_bytes(bytes).into()),
        "f8" => reals(data, f64::from_le_bytes),
        _ => return Err(unknown()),
    })
}

fn reals<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f64) -> Values {
    Values::Reals(data.as_chunks().0.iter().map(|&bytes| number(bytes)).collect())
}

fn transposed<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..rows * columns).map(|i| values[i % columns * rows + i / columns]).collect()
}

pub(super) fn write(table: &Table, to: &mut impl Write) -> io::Result<()> {
    let dtype = if matches!(table.values(), Values::Bytes(_)) { "|u1" } else { "<f8" };
    let sides: String = table.shape().iter().map(|side| format!(", {side}")).collect();
    let shape = format!("({}{sides})", table.rows());
    let mut header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
    // The elements begin at a multiple of 64 bytes.
    let length = (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(64) - MAGIC.len() - 4;
    header.extend(std::iter::repeat_n(' ', length - 1 - header.len()));
    write_all(to, &[MAGIC, &[1, 0], &(length as u16).to_le_bytes(), header.as_bytes(), b"\n"])?;
    match table.values() {
        Values::Bytes(values) => to.write_all(values),
        Values::Reals(values) => values.iter().try_for_each(|v| to.write_all(&v.to_le_bytes())),
    }
}
