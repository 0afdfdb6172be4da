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
        other => panic!("{other:?}"),
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
    assert_eq!(open(&npy(&header("|b1"), &[0, 7])).unwrap().values(), &Values::Bits(vec![0, 1]));
    assert_eq!(read(">f8", &[1.5f64.to_be_bytes(), (-2.0f64).to_be_bytes()].concat()), [1.5, -2.0]);
    assert_eq!(read(">u4", &[0, 0, 1, 2, 0, 1, 0, 0]), [258.0, 65536.0]);
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
    // Three axes: element (i, j, k) of a (2, 3, 2) array stands at i + 2j + 6k.
    let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3, 2), }";
    let stored: Vec<u8> = (0..12i16).flat_map(i16::to_be_bytes).collect();
    let table = open(&npy(header, &stored)).unwrap();
    assert_eq!((table.rows(), table.shape()), (2, &[3, 2][..]));
    assert_eq!(reals(&table), [0.0, 6.0, 2.0, 8.0, 4.0, 10.0, 1.0, 7.0, 3.0, 9.0, 5.0, 11.0]);
}

#[test]
fn npy_that_is_wrong() {
    let header = |dtype: &str, shape: &str| format!("{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}");
    refuse(b"\x93NUMPY\x01", "cut short");
    refuse(b"\x93NUMPY\x01\x00\xff\xff{", "cut short");
    refuse(&npy("nothing", &[]), "not understood: nothing");
    refuse(&npy(&header("'<f4'", "(2,)"), &[0; 4]), "promises 8 bytes of elements, and it has 4");
    refuse(&npy(&header("'<c8'", "(1,)"), &[0; 8]), "type <c8");
    // The type is judged before the length, which it decides.
    refuse(&npy(&header("'|O'", "(1,)"), &[0; 40]), "type |O");
    refuse(&npy(&header("'<U7'", "(2,)"), &[0; 56]), "type <U7");
    refuse(&npy(&header("'<m8[ns]'", "(2,)"), &[0; 16]), "type <m8[ns] cannot be used; f2, f4");
    refuse(&npy(&header("[('a', '<f4')]", "(1,)"), &[0; 4]), "records of named fields");
    refuse(&npy(&header("'<f4'", "(2,)"), &[0, 0, 0x80, 0x7f, 0, 0, 0, 0]), "row 1, column 1 is inf");
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
    let missing = open(b"1,,NA\n4,2,6\n").unwrap();
    assert!(missing.names().is_empty() && missing.columns() == 3);
    assert_eq!(
        reals(&missing).iter().map(|v| v.is_nan()).collect::<Vec<_>>(),
        [false, true, true, false, false, false]
    );
    assert_eq!(open(b"1\n2\n3").unwrap().rows(), 3);
}

#[test]
fn csv_that_is_wrong() {
    refuse(b"", "empty");
    refuse(b" \n\n", "empty");
    refuse(b"a,b\n", "no rows");
    refuse(b"1,2\n3,x\n", "line 2, column 2: `x` is no number");
    refuse(b"1,2\n3\n", "line 2 has 1 columns, the lines before 2");
    refuse(b"1,2\n3,4,5\n6,7,8\n", "line 2 has 3 columns, the lines before 2");
    refuse(b"1,2\n\0\xfe\n", "line 2 is no text");
    refuse(b"a,b\n1,2\n3,inf\n", "line 3, column 2: `inf` is no finite number");
    refuse(b"\x89PNG\r\n\x1a\n", "a PNG picture");
}

/// Names, numbers by rows (−9 for a missing one), and how many remarks.
fn told(reading: &Reading, text: &str) -> (String, Vec<Vec<f64>>, usize) {
    let scratch = Scratch::new();
    fs::write(scratch.join("t"), text).unwrap();
    let Opened { table, notes } = reading.open(scratch.join("t")).unwrap_or_else(|error| panic!("{text}: {error}"));
    let numbers: Vec<f64> = table.to_f64().iter().map(|v| if v.is_nan() { -9.0 } else { *v }).collect();
    (table.names().join(" "), numbers.chunks(table.columns()).map(<[f64]>::to_vec).collect(), notes.len())
}

fn plain(text: &str) -> (String, Vec<Vec<f64>>, usize) {
    told(&Reading::default(), text)
}

#[test]
fn rows_of_numbers_that_are_names() {
    let rows = vec![vec![0.5, -1.25, 3.0], vec![1.5, 2.0, 0.25]];
    // As pandas writes arrays, without and with an index; of truth values and of bits.
    assert_eq!(plain("0,1,2\n0.5,-1.25,3.0\n1.5,2.0,0.25\n"), ("0 1 2".into(), rows.clone(), 1));
    assert_eq!(plain(",0,1,2\n0,0.5,-1.25,3.0\n1,1.5,2.0,0.25\n"), ("0 1 2".into(), rows.clone(), 2));
    let bits = vec![vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 1.0]];
    assert_eq!(plain("0,1,2\nTrue,False,False\nFalse,True,True\n"), ("0 1 2".into(), bits.clone(), 1));
    assert_eq!(plain("0,1,2\n1,0,0\n0,1,1\n"), ("0 1 2".into(), bits.clone(), 1));
    assert_eq!(plain(",0,1,2\n0,1,0,0\n1,0,1,1\n").1, bits);
    // Two columns that count are names beside numbers of another kind; beside bits nobody knows, and that is said.
    assert_eq!(plain("0,1\n0.25,1.0\n0.5,2.0\n"), ("0 1".into(), vec![vec![0.25, 1.0], vec![0.5, 2.0]], 1));
    assert_eq!(plain("0,1\n1,1\n"), (String::new(), vec![vec![0.0, 1.0], vec![1.0, 1.0]], 1));
    let yes = Reading { header: Some(true), ..Reading::default() };
    assert_eq!(told(&yes, "0,1\n1,1\n"), ("0 1".into(), vec![vec![1.0, 1.0]], 0));
    let no = Reading { header: Some(false), ..Reading::default() };
    assert_eq!(told(&no, "0,1,2\n1,0,0\n").1, [[0.0, 1.0, 2.0], [1.0, 0.0, 0.0]]);
    // Years above measurements, and labels beside them.
    let years = "2019,2020,2021\n0.10,1.5,2.25\n3.50,4.5,0.25\n";
    assert_eq!(plain(years).0, "2019 2020 2021");
    let labelled = Reading { skip: vec!["land".into()], ..Reading::default() };
    let text = "land,2019,2020,2021\nA,0.10,1.5,2.25\nB,3.50,4.5,0.25\n";
    assert_eq!(told(&labelled, text).0, "2019 2020 2021");
    assert_eq!(plain("digit,0,1\n7,3,5\n2,8,1\n").0, "digit 0 1");
    // Labels beside data that count.
    let second = Reading { skip: vec!["1".into()], ..Reading::default() };
    assert_eq!(told(&second, "red,1,2\nblue,3,4\n").1, [[1.0, 2.0], [3.0, 4.0]]);
    // Data that happen to count: permutations, and a table of wholes.
    assert_eq!(plain("0,1,2\n2,0,1\n1,2,0\n").1.len(), 3);
    assert_eq!(plain("0,1,2\n3,4,5\n6,7,8\n").1.len(), 3);
    assert_eq!(plain("1,2,3\n4,5,6\n7,8,8\n").1.len(), 3);
    assert_eq!(plain("3,1,2\n5,7,9\n"), (String::new(), vec![vec![3.0, 1.0, 2.0], vec![5.0, 7.0, 9.0]], 0));
    assert_eq!(plain("1,2\n1.5,2.5\n3.5,4.5\n").1.len(), 3);
}

#[test]
fn a_bad_cell_in_the_first_row_is_no_header() {
    refuse(b"1.5,2.O,2.5\n0.5,1.5,2\n1,2,3\n", "line 1, column 2: `2.O` is no number; `--header yes`");
    assert_eq!(plain("1.5,N/A,2.5\n0.5,1.5,2\n").1, [[1.5, -9.0, 2.5], [0.5, 1.5, 2.0]]);
    let text = "1.5,2.5,red\n0.5,1.5,blue\n";
    refuse(text.as_bytes(), "line 1, column 3: `red` is no number, nor is any other there; `--skip-columns 3`");
    let without = Reading { skip: vec!["3".into()], ..Reading::default() };
    assert_eq!(told(&without, text), (String::new(), vec![vec![1.5, 2.5], vec![0.5, 1.5]], 0));
    refuse(b"x,y,kind\n1.5,2.5,red\n0.5,1.5,blue\n", "`--skip-columns kind`");
}

#[test]
fn columns_that_label_rows_or_have_nothing() {
    let rows = vec![vec![5.0, 6.0], vec![7.0, 8.0]];
    for text in [
        // R's write.csv and write.table, pandas' to_csv read and written again, an index of words.
        "\"\",\"x\",\"y\"\n\"car A\",5,6\n\"car B\",7,8\n",
        "\"x\" \"y\"\n\"car A\" 5 6\n\"car B\" 7 8\n",
        "Unnamed: 0,x,y\n0,5,6\n1,7,8\n",
        ",x,y\n17,5,6\n4,7,8\n",
    ] {
        assert_eq!(plain(text), ("x y".into(), rows.clone(), 1), "{text}");
    }
    for text in ["x,y,\n5,6,\n7,8,\n", "x,y\n5,6,\n7,8,\n", "x,y,\n5,6\n7,8\n", "x,,y\n5,NA,6\n7,,8\n"] {
        let (names, found, _) = plain(text);
        assert_eq!((names.as_str(), found), ("x y", rows.clone()), "{text}");
    }
    let scratch = Scratch::new();
    fs::write(scratch.join("t"), "x,gap,y\n5,,6\n7,NA,8\n").unwrap();
    let notes = Reading::default().open(scratch.join("t")).unwrap().notes;
    assert_eq!(notes, ["left out column 2 (gap): no row has a number there"]);
    refuse(b"x,y\n,NA\n?,\n", "no column has a number");
    let nothing: Vec<u8> = [f64::NAN; 4].iter().flat_map(|v| v.to_le_bytes()).collect();
    refuse(&npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2)}", &nothing), "no column has a number");
    // Rows that a spreadsheet leaves behind.
    assert_eq!(plain("x,y\n5,6\n,\n7,8\n,\n"), ("x y".into(), rows.clone(), 1));
    // An index with a name is data, and said to be one.
    let counting: String = (0..6).map(|i| format!("{i},{}\n", i * i)).collect();
    let (names, found, notes) = plain(&format!("id,x\n{counting}"));
    assert_eq!((names.as_str(), found.len(), notes), ("id x", 6, 1));
}

#[test]
fn small_things_in_text() {
    let rows = vec![vec![5.0, 6.0], vec![7.0, 8.0]];
    for (text, names) in [
        ("x,y\n5,6\n   \n7,8\n", "x y"),
        ("# made by hand\nx,y\n5,6\n# a remark, with commas\n7,8\n", "x y"),
        ("\"x\nin cm\",\"y, too\"\n5,6\n7,8\n", "x\nin cm y, too"),
        ("\"x;\ny\";z\n5;6\n7;8\n", "x;\ny z"),
        ("sep=;\nx;y\n5;6\n7;8\n", "x y"),
        ("x|y\n5|6\n7|8\n", "x y"),
        ("# x y\n5.00e+00 6.00e+00\n7.00e+00 8.00e+00\n", "x y"),
        ("  5   6 # first\n\t7 8\n", ""),
        ("x,y\r5,6\r7,8\r", "x y"),
        ("\"x\", \"y, z\"\n5, 6\n\"7\", \"8\"\n", "x y, z"),
    ] {
        let (found, numbers, _) = plain(text);
        assert_eq!((found.as_str(), numbers), (names, rows.clone()), "{text}");
    }
    let halves = vec![vec![0.5, -1.25], vec![1e3, 2.0]];
    for text in ["x;y\n0,5;-1,25\n1000;2\n", "0,5\t-1,25\n1000,0\t2,0\n", "0,5;-1,25\n1000,0;2\n", "0,5 -1,25\n1e3 2\n"]
    {
        let (_, numbers, notes) = plain(text);
        assert_eq!((numbers, notes), (halves.clone(), 1), "{text}");
    }
    assert_eq!(plain("x\n0,5\n-1,25\n3\n"), ("x".into(), vec![vec![0.5], vec![-1.25], vec![3.0]], 1));
    let comma = Reading { decimal: Some(','), delimiter: Some(';'), ..Reading::default() };
    assert_eq!(told(&comma, "1,234;2\n3;4\n").1, [[1.234, 2.0], [3.0, 4.0]]);
    // It may be a thousand and more.
    refuse(b"1,234;2\n3;4\n", "`1,234` is no number; `--decimal ,`");
    let gaps = plain("5 #N/A # none\n#N/A 6\n");
    assert_eq!(gaps.1, [[5.0, -9.0], [-9.0, 6.0]]);
    let tabs = Reading { delimiter: Some(' '), header: Some(false), ..Reading::default() };
    assert_eq!(told(&tabs, "0\t1\n 2   3\n").1, [[0.0, 1.0], [2.0, 3.0]]);
}

#[test]
fn columns_that_are_asked_for() {
    let text = "\"a, b\",c-d,e,f\n1,2,3,4\n5,6,7,8\n";
    let of = |columns: &[&str], skip: &[&str]| {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Reading { columns: owned(columns), skip: owned(skip), ..Reading::default() }
    };
    assert_eq!(told(&of(&["f,a, b"], &[]), "a, b,f\n1,2,3\n").0, "f a b");
    assert_eq!(told(&of(&["e", "a, b"], &[]), text).1, [[3.0, 1.0], [7.0, 5.0]]);
    assert_eq!(told(&of(&["2-4"], &["e"]), text).0, "c-d f");
    assert_eq!(told(&of(&["c-d-f"], &[]), text).0, "c-d e f");
    assert_eq!(told(&of(&[], &["c-d,4"]), text).0, "a, b e");
    // Names that are numbers leave no places; what labels rows can be asked for.
    let numbered = ",0,1,2\n7,5,6,9\n8,7,8,9\n";
    assert_eq!(told(&of(&["0-1"], &[]), numbered).1, [[5.0, 6.0], [7.0, 8.0]]);
    let scratch = Scratch::new();
    fs::write(scratch.join("t"), numbered).unwrap();
    let reason = of(&["3"], &[]).open(scratch.join("t")).unwrap_err().to_string();
    assert!(reason.contains("no column 3; they are named"), "{reason}");
    fs::write(scratch.join("t"), text).unwrap();
    for (columns, skip, words) in [
        (&["5"][..], &[][..], "no column 5"),
        (&["g"], &[], "named a, b, c-d, e, f"),
        (&[], &["1-4"], "no column is left"),
    ] {
        let reason = of(columns, skip).open(scratch.join("t")).unwrap_err().to_string();
        assert!(reason.contains(words), "{reason}");
    }
    // Arrays have places alone, and nothing that is said of text.
    fs::write(scratch.join("a"), IDX).unwrap();
    assert_eq!(of(&["3,1"], &[]).open(scratch.join("a")).unwrap().table.values(), &Values::Bytes(vec![7, 9, 255, 6]));
    let reason = Reading { header: Some(true), ..Reading::default() }.open(scratch.join("a")).unwrap_err().to_string();
    assert!(reason.contains("said of text"), "{reason}");
}

#[test]
fn archives_of_arrays() {
    let array = |shape: &str, bytes: &[u8]| {
        npy(&format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}"), bytes)
    };
    let archive = |parts: &[(&str, Vec<u8>)]| {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, bytes) in parts {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let one = archive(&[("arr_0.npy", array("(2, 2)", &[1, 2, 3, 4]))]);
    assert_eq!(open(&one).unwrap().values(), &Values::Bytes(vec![1, 2, 3, 4]));
    let two = archive(&[("x.npy", array("(1, 2)", &[1, 2])), ("y.npy", array("(1,)", &[5]))]);
    refuse(&two, "it has the arrays x, y; name one after the file, such as FILE.npz:x");
    let scratch = Scratch::new();
    fs::write(scratch.join("two.npz"), &two).unwrap();
    assert_eq!(Table::open(scratch.join("two.npz:y")).unwrap().to_f64(), [5.0]);
    let reason = Table::open(scratch.join("two.npz:z")).unwrap_err().to_string();
    assert!(reason.contains("no array z; it has x, y"), "{reason}");
    fs::write(scratch.join("t.csv"), "1\n").unwrap();
    assert!(Table::open(scratch.join("t.csv:y")).unwrap_err().to_string().contains("only an .npz file"));
    refuse(&archive(&[("xl/workbook.xml", vec![])]), "an Excel workbook");
    refuse(&archive(&[("readme.txt", vec![])]), "without .npy arrays");
    refuse(&archive(&[("x.npy", vec![1, 2])]), "its array x: it is no .npy array");
    refuse(&two[..40], "zip");
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
