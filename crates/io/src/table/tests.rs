use std::fs;

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::testing::Scratch;

fn open(bytes: &[u8]) -> Result<Table, String> {
    let scratch = Scratch::new();
    let path = scratch.join("data");
    fs::write(&path, bytes).unwrap();
    Table::open(&path).map_err(|error| error.to_string())
}

fn refuse(bytes: &[u8], words: &str) {
    let reason = open(bytes).unwrap_err();
    assert!(reason.contains(words) && reason.contains("data"), "{reason} should say {words}");
}

fn reals(table: &Table) -> &[f64] {
    match table.values() {
        Values::Reals(values) => values,
        Values::Bytes(_) => panic!("bytes"),
    }
}

/// Two pictures of 1×3.
const IDX: &[u8] = &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 9, 8, 7, 6, 5, 255];

#[test]
fn idx_of_bytes_packed_or_not() {
    let table = open(IDX).unwrap();
    assert_eq!((table.rows(), table.columns(), table.shape()), (2, 3, &[1, 3][..]));
    assert_eq!(table.values(), &Values::Bytes(vec![9, 8, 7, 6, 5, 255]));
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(IDX).unwrap();
    assert_eq!(open(&packed.finish().unwrap()).unwrap(), table);
}

#[test]
fn idx_of_other_types() {
    let header = |kind, bytes: &[u8]| [&[0, 0, kind, 1, 0, 0, 0, 2], bytes].concat();
    assert_eq!(reals(&open(&header(9, &[255, 1])).unwrap()), [-1.0, 1.0]);
    assert_eq!(reals(&open(&header(11, &[255, 254, 0, 1])).unwrap()), [-2.0, 1.0]);
    assert_eq!(reals(&open(&header(12, &[255, 255, 255, 254, 0, 0, 0, 1])).unwrap()), [-2.0, 1.0]);
    assert_eq!(reals(&open(&header(13, &[0x3f, 0x80, 0, 0, 0xbf, 0, 0, 0])).unwrap()), [1.0, -0.5]);
    let doubles = [1.5f64.to_be_bytes(), (-0.1f64).to_be_bytes()].concat();
    let table = open(&header(14, &doubles)).unwrap();
    assert_eq!((reals(&table), table.shape()), (&[1.5, -0.1][..], &[1][..]));
}

#[test]
fn idx_that_is_wrong() {
    refuse(&IDX[..3], "cut short");
    refuse(&IDX[..10], "cut short");
    refuse(&IDX[..20], "promises 6 bytes of elements, and it has 4");
    refuse(&[0, 0, 7, 1, 0, 0, 0, 1, 0], "0x07");
    refuse(&[0, 0, 8, 1, 0, 0, 0, 0], "no rows");
    refuse(&[&[0, 0, 8, 4][..], &[255; 16]].concat(), "too large");
    refuse(&[0, 0, 8, 0, 1], "one number");
}

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn npy_of_each_type() {
    let header = |dtype: &str| format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': (2, 1), }}\n");
    let read = |dtype: &str, bytes: &[u8]| open(&npy(&header(dtype), bytes)).unwrap().to_f64();
    assert_eq!(read("|u1", &[1, 255]), [1.0, 255.0]);
    assert_eq!(read("|b1", &[0, 1]), [0.0, 1.0]);
    assert_eq!(read("|i1", &[1, 255]), [1.0, -1.0]);
    assert_eq!(read("<u2", &[1, 1, 255, 255]), [257.0, 65535.0]);
    assert_eq!(read("<i2", &[1, 1, 255, 255]), [257.0, -1.0]);
    assert_eq!(read("<i8", &[&(-5i64).to_le_bytes()[..], &7i64.to_le_bytes()].concat()), [-5.0, 7.0]);
    assert_eq!(read("<f2", &[0, 0x3c, 0, 0xc0]), [1.0, -2.0]);
    assert_eq!(read("<f4", &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xbf]), [1.0, -0.5]);
}

#[test]
fn npy_by_columns() {
    let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }";
    assert_eq!(open(&npy(header, &[1, 4, 2, 5, 3, 6])).unwrap().to_f64(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    refuse(&npy("{'descr': '|u1', 'fortran_order': True, 'shape': (1, 1, 1)}", &[1]), "ascontiguousarray");
}

#[test]
fn npy_that_is_wrong() {
    let header = |dtype: &str, shape: &str| format!("{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}");
    refuse(b"\x93NUMPY\x01", "cut short");
    refuse(b"\x93NUMPY\x01\x00\xff\xff{", "cut short");
    refuse(&npy("nothing", &[]), "not understood: nothing");
    refuse(&npy(&header("'<f4'", "(2,)"), &[0; 4]), "promises 8 bytes of elements, and it has 4");
    refuse(&npy(&header("'<c8'", "(1,)"), &[0; 8]), "type <c8");
    refuse(&npy(&header("'>f4'", "(1,)"), &[0; 4]), "big-endian");
    refuse(&npy(&header("'|O'", "(1,)"), &[0; 1]), "type |O");
    refuse(&npy(&header("[('a', '<f4')]", "(1,)"), &[0; 4]), "not understood");
    refuse(&npy(&header("'|u1'", "()"), &[0; 1]), "one number");
    refuse(&npy(&header("'|u1'", "(0, 3)"), &[]), "no rows");
    refuse(&npy(&header("'<f8'", "(4294967296, 4294967296)"), &[]), "too large");
    refuse(&npy(&header("'|u1'", "(-1,)"), &[]), "not understood");
}

#[test]
fn csv_with_its_kin() {
    for text in
        ["a,b\n1,2.5\n-3e1,4\n", "a;b\r\n1;2.5\r\n-3e1;4", "\u{feff}a\tb\n1\t2.5\n-3e1\t4\n", "a b\n 1  2.5\n\n-30 4"]
    {
        let table = open(text.as_bytes()).unwrap();
        assert_eq!(
            (table.names(), reals(&table)),
            (&["a".to_owned(), "b".to_owned()][..], &[1.0, 2.5, -30.0, 4.0][..])
        );
    }
    let missing = open(b"1,,NA\n4,nan,6\n").unwrap();
    assert!(missing.names().is_empty() && missing.columns() == 3);
    assert_eq!(reals(&missing).iter().map(|v| v.is_nan()).collect::<Vec<_>>(), [false, true, true, false, true, false]);
    assert_eq!(open(b"1\n2\n3").unwrap().rows(), 3);
}

#[test]
fn csv_that_is_wrong() {
    refuse(b"", "empty");
    refuse(b" \n\n", "empty");
    refuse(b"a,b\n", "no rows");
    refuse(b"1,2\n3,x\n", "line 2, column 2: `x` is no number");
    refuse(b"1,2\n3\n", "line 2 has 1 columns, the lines before 2");
    refuse(b"1,2\n\xff\xfe\n", "line 2 is no text");
}

#[test]
fn what_is_written_reads_the_same() {
    let scratch = Scratch::new();
    let numbers = vec![0.1, f64::NAN, -1e-300, 1e300, 5.0, f64::MIN_POSITIVE];
    let reals = Table::new(vec![2], Values::Reals(numbers.clone())).unwrap();
    let named = reals.clone().with_names(vec!["x".into(), "y, z".into()]).unwrap();
    let bytes = Table::new(vec![2, 3], Values::Bytes((0..12).collect())).unwrap();
    for (name, table) in [("a.csv", &named), ("b.CSV", &reals), ("c.npy", &reals), ("d.npy", &bytes)] {
        table.save(scratch.join(name)).unwrap();
        let again = Table::open(scratch.join(name)).unwrap();
        assert_eq!((again.names(), again.shape()), (table.names(), table.shape()));
        let bits = |table: &Table| table.to_f64().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&again), bits(table), "{name}");
    }
    let header = fs::read(scratch.join("d.npy")).unwrap();
    assert_eq!(header.len() - 12, 128);
    assert!(
        header.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3), }")
    );
    let error = bytes.save(scratch.join("e.txt")).unwrap_err().to_string();
    assert!(error.contains("e.txt") && error.contains(".csv or .npy"), "{error}");
}

#[test]
fn tables_are_whole_rows() {
    for (shape, count) in [(vec![2], 3), (vec![2], 0), (vec![0], 2), (vec![usize::MAX, 2], 2)] {
        assert_eq!(Table::new(shape, Values::Bytes(vec![0; count])), None);
    }
    let table = Table::new(vec![2], Values::Bytes(vec![1, 2, 3, 4, 5, 6])).unwrap();
    assert_eq!(table.first(2).values(), &Values::Bytes(vec![1, 2, 3, 4]));
    assert_eq!((table.first(0).rows(), table.first(9)), (1, table.clone()));
    assert_eq!(table.with_names(vec!["one".into()]), None);
}

#[test]
fn files_that_cannot_be_read() {
    let scratch = Scratch::new();
    for (path, words) in [(scratch.join("none"), "No such file"), (scratch.to_path_buf(), "directory")] {
        let error = Table::open(&path).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains(words), "{error}");
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(IDX).unwrap();
    let packed = packed.finish().unwrap();
    refuse(&packed[..packed.len() - 9], "cannot read");
}
