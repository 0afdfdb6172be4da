use std::fs;
use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::testing::Scratch;

/// As dimod 0.12 writes E = 2 + a − b + ½ab.
fn model(vartype: &str, labels: &str) -> String {
    format!(
        r#"{{"type": "BinaryQuadraticModel", "version": {{"bqm_schema": "3.0.0"}}, "use_bytes": false,
        "index_type": "int32", "bias_type": "float64", "num_variables": 2, "num_interactions": 1,
        "variable_labels": {labels}, "variable_type": "{vartype}", "offset": 2.0, "info": {{}},
        "linear_biases": [1.0, -1.0], "quadratic_biases": [0.5], "quadratic_head": [0], "quadratic_tail": [1]}}"#
    )
}

fn read(text: &str) -> Result<Named, String> {
    parse(text, &Asked::default())
}

fn refuse(text: &str, words: &str) {
    let reason = read(text).unwrap_err();
    assert!(reason.contains(words), "{reason} should say {words}");
}

fn energies(named: &Named) -> [f64; 4] {
    [[0, 0], [0, 1], [1, 0], [1, 1]].map(|values| named.problem.energy(&values).unwrap())
}

/// The file's own value of a configuration.
fn value(named: &Named, values: &[u8]) -> f64 {
    named.objective.value(named.problem.energy(values).unwrap())
}

const SPINS: Asked = Asked { vartype: Some(Vartype::Spin), sense: None, format: None };

#[test]
fn dimods_models() {
    let spins = read(&model("SPIN", r#"["a", "b"]"#)).unwrap();
    assert_eq!((energies(&spins), spins.vartype), ([2.5, -0.5, 3.5, 2.5], Vartype::Spin));
    assert_eq!((spins.names.as_slice(), spins.objective), (&["a".into(), "b".into()][..], Objective::ENERGY));
    let bits = read(&model("BINARY", "[[0, 1], [1, 1]]")).unwrap();
    assert_eq!((energies(&bits), bits.vartype), ([2.0, 1.0, 3.0, 2.5], Vartype::Binary));
    assert_eq!(bits.names, ["[0,1]", "[1,1]"]);
    assert!(read(&model("SPIN", "[0, 1]")).unwrap().names.is_empty());
    let contradicts = parse(&model("BINARY", "[0, 1]"), &SPINS).unwrap_err();
    assert!(contradicts.contains("its variables are bits; they were asked for as spins"), "{contradicts}");
}

#[test]
fn coordinates() {
    let text = "0 0 1.0\n0 1 0.5\n1 1 -1.0\n2 2 0\n";
    let of = |named: &Named| [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]].map(|x| named.problem.energy(&x).unwrap());
    assert_eq!(of(&parse(text, &SPINS).unwrap()), [0.5, -2.5, 1.5, 0.5]);
    let bits = read(&format!("\u{feff}# a problem: vartype: BINARY\r\n{}", text.replace('\n', "\r\n"))).unwrap();
    assert_eq!((of(&bits), bits.vartype, bits.notes.len()), ([0.0, -1.0, 1.0, 0.5], Vartype::Binary, 0));
    // Nobody said what the variables are: that is said.
    assert!(read(text).unwrap().notes[0].contains("--vartype spin"));
    let said = parse(&format!("# vartype=BINARY\n{text}"), &SPINS).unwrap_err();
    assert!(said.contains("bits; they were asked for as spins"), "{said}");
    let largest = Asked { sense: Some(Sense::Maximize), ..SPINS };
    let turned = parse(text, &largest).unwrap();
    assert_eq!((of(&turned), value(&turned, &[0, 1, 0])), ([-0.5, 2.5, -1.5, -0.5], -2.5));
    refuse("# vartype=SPIN\n0 0 1\n# vartype=BINARY\n0 1 1\n", "line 3");
}

#[test]
fn plain_json() {
    let qubo = read(r#"{"Q": [[0, 0, 1], [0, 1, 0.5], [1, 1, -1]], "offset": 3}"#).unwrap();
    assert_eq!(energies(&qubo), [3.0, 2.0, 4.0, 3.5]);
    let ising = read(r#"{"J": [[0, 1, 0.5]]}"#).unwrap();
    assert_eq!(energies(&ising), [-0.5, 0.5, 0.5, -0.5]);
    let shifted = read("\u{feff}{\"J\": [[0, 1, 0.5]], \"h\": [0, 1], \"offset\": 5, \"name\": \"a pair\"}").unwrap();
    assert_eq!(energies(&shifted), [5.5, 4.5, 6.5, 3.5]);
    let keyed = read(r#"{"J": {"(0, 1)": 0.5}, "h": {"1": 1}, "offset": 5, "vartype": "SPIN"}"#).unwrap();
    assert_eq!(energies(&keyed), energies(&shifted));
    let fields = read(r#"{"h": [1, -2]}"#).unwrap();
    assert_eq!(energies(&fields), [-1.0, 3.0, -3.0, 1.0]);
}

#[test]
fn keys_that_are_not_known_or_contradict_each_other() {
    refuse(r#"{"J": [[0, 1, 1]], "H": [10, 10]}"#, "`H`");
    refuse(r#"{"Q": [[0, 1, 1]], "constant": 4}"#, "`constant`");
    refuse(r#"{"Q": [[0, 1, 1]], "J": [[0, 1, 1]]}"#, "both `Q`, of bits, and `J`");
    refuse(r#"{"Q": [[0, 1, 1]], "h": [1, 1]}"#, "both `Q`, of bits, and `h`");
    refuse(r#"{"Q": [[0, 1, 1]], "vartype": "SPIN"}"#, "must be BINARY");
    refuse(r#"{"Q": [[0, 1, 1]], "Q": [[0, 1, 2]]}"#, "`Q` stands there twice");
    refuse(r#"{"Q": {"0,1": 1, "0,1": 2}}"#, "`0,1` stands there twice");
    refuse(&model("SPIN", "[0, 1]").replace("\"info\"", "\"scale\": 2, \"info\""), "the field `scale` is not known");
    refuse(&model("SPIN", "[0, 1]").replace("BinaryQ", "DiscreteQ"), "DiscreteQuadraticModel");
    refuse(&model("SPIN", "[0, 1]").replace("\"num_interactions\": 1", "\"num_interactions\": 2"), "num_interactions");
    refuse(r#"{"linear": {}, "quadratic": {}}"#, "it has `linear`, `quadratic`");
}

#[test]
fn matrices_under_a_key() {
    let square = read(r#"{"Q": [[1, 2], [0, -3]]}"#).unwrap();
    assert_eq!(energies(&square), [0.0, -3.0, 1.0, 0.0]);
    // A symmetric Q counts each entry; of J each pair counts once.
    let four = r"[[0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]";
    let qubo = read(&format!("{{\"Q\": {four}}}")).unwrap();
    assert_eq!((qubo.problem.len(), qubo.problem.energy(&[1, 1, 1, 1]).unwrap()), (4, 6.0));
    let ising = read(&format!("{{\"J\": {four}}}")).unwrap();
    assert_eq!((ising.problem.energy(&[1, 1, 1, 1]).unwrap(), ising.notes.len()), (-3.0, 1));
    let list = read("[[1, 2], [0, -3]]").unwrap();
    assert_eq!(energies(&list), energies(&square));
    refuse(r#"{"J": [[0, 1, 2, 0], [5, 0, 1, 0], [2, 1, 0, 1], [0, 0, 1, 0]]}"#, "symmetric");
    refuse(r#"{"J": [[1, 2], [2, 0]]}"#, "coupled with itself");
    // Three rows of three: terms, unless they are as good a matrix.
    assert_eq!(read(r#"{"Q": [[0, 1, 2], [1, 2, -5], [0, 2, 1]]}"#).unwrap().problem.len(), 3);
    assert_eq!(read(r#"{"Q": [[0, 0, 1], [0, 1, 1], [1, 1, -3]]}"#).unwrap().problem.len(), 2);
    refuse(r#"{"Q": [[0, 4, 7], [4, 0, 1], [7, 1, 0]]}"#, "a matrix of 3 rows or three terms");
    refuse(r#"{"Q": [[0, 4, 7], [0, 2, 1], [0, 0, 3]]}"#, "a matrix of 3 rows or three terms");
    assert_eq!(read(r#"{"Q": [[-1, 4, 7], [4, 0, 1], [7, 1, 0]]}"#).unwrap().problem.len(), 3);
}

#[test]
fn bqpjson() {
    let text = r#"{"version": "1.0.0", "id": 7, "metadata": {"any": 1}, "description": "x", "variable_ids": [2, 5],
        "variable_domain": "DOMAIN", "scale": 2.0, "offset": 0.5, "linear_terms": [{"id": 5, "coeff": -1.5}],
        "quadratic_terms": [{"id_tail": 2, "id_head": 5, "coeff": 3.0}],
        "solutions": [{"id": 0, "assignment": [{"id": 2, "value": 0}, {"id": 5, "value": 1}], "evaluation": -2.0}]}"#;
    let bits = read(&text.replace("DOMAIN", "boolean")).unwrap();
    assert_eq!((energies(&bits), bits.vartype), ([1.0, -2.0, 1.0, 4.0], Vartype::Binary));
    assert_eq!(bits.names, ["2", "5"]);
    let spins = read(&text.replace("DOMAIN", "spin")).unwrap();
    assert_eq!((energies(&spins), spins.vartype), ([10.0, -8.0, -2.0, 4.0], Vartype::Spin));
    refuse(text, "DOMAIN");
    refuse(&text.replace("DOMAIN", "spin").replace("\"id_head\": 5", "\"id_head\": 6"), "variable 6");
    refuse(&text.replace("DOMAIN", "spin").replace("[2, 5]", "[2, 5, 2]"), "2 twice");
    refuse(&text.replace("DOMAIN", "spin").replace("\"scale\"", "\"scaling\""), "`scaling`");
}

#[test]
fn qbsolvs_files() {
    let text = "c a comment\nc\np qubo 0 3 2 2\nc nodes\n0 0 -1.5\n2  2  4\n0 1 2\n1 2 -3.5\n";
    let named = read(text).unwrap();
    assert_eq!((named.problem.len(), named.vartype, named.format), (3, Vartype::Binary, "qbsolv's .qubo"));
    assert_eq!([[1, 0, 0], [1, 1, 0], [0, 1, 1]].map(|x| value(&named, &x)), [-1.5, 0.5, 0.5]);
    let largest = parse(text, &Asked { sense: Some(Sense::Maximize), ..Asked::default() }).unwrap();
    assert_eq!((value(&largest, &[1, 1, 0]), largest.objective.name), (0.5, "value"));
    assert_eq!(largest.problem.energy(&[1, 1, 0]).unwrap(), -0.5);
    assert!(read(&text.replace("a comment", "from Beasley's list")).unwrap().objective.maximize);
    let scaled = read(&text.replace("a comment", "scale : 2.0\nc offset : 1")).unwrap();
    assert_eq!(value(&scaled, &[1, 0, 0]), -1.0);
    refuse(&text.replace("p qubo 0 3 2 2", "p qubo 0 3 2 3"), "promises 2 nodes and 3 couplers; there are 2 and 2");
    refuse(&text.replace("p qubo 0 3 2 2", "p qubo 0 2 2 2"), "line 6: node 2");
    refuse(&text.replace("1 2 -3.5", "1 0 -3.5"), "line 8: the pair 1 0 stands in line 7");
    refuse(&text.replace("1 2 -3.5", "1 2 much"), "line 8: `much`");
    refuse("p qubo 0 x 1 1\n", "p qubo 0 maxNodes");
}

#[test]
fn cuts_of_graphs() {
    let named = read("4 4\n1 2 3\n2 3 -2\n3 4 5\n4 1 1\n").unwrap();
    assert_eq!((named.objective.name, named.objective.maximize), ("cut", true));
    assert_eq!((named.vartype, named.names.len(), named.first), (Vartype::Binary, 0, 1));
    assert_eq!(parse("2 1\n1 2 3\n", &SPINS).unwrap().vartype, Vartype::Spin);
    let cuts = [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0]].map(|x| value(&named, &x));
    assert_eq!(cuts, [0.0, 4.0, 8.0, 7.0]);
    assert!(cuts[0].is_sign_positive());
    // Without weights, with comments and blank lines.
    let plain = read("# a path\n\n3 2\n1 2\n2 3\n").unwrap();
    assert_eq!([[0, 1, 0], [0, 0, 1]].map(|x| value(&plain, &x)), [2.0, 1.0]);
    let least = parse("3 2\n1 2\n2 3\n", &Asked { sense: Some(Sense::Minimize), ..Asked::default() }).unwrap();
    assert_eq!((least.problem.energy(&[0, 1, 0]).unwrap(), least.objective.name), (2.0, "cut"));
    refuse("3 3\n1 2\n2 3\n", "line 1 promises 3 entries; there are 2");
    refuse("3 2\n1 2\n2 4\n", "line 3: 4 is not from 1 to 3 (read as a graph of rudy)");
    refuse("3 2\n0 2\n2 3\n", "line 2: 0 is not from 1 to 3");
    refuse("3 3\n1 2 1\n2 3 1\n2 1 1\n", "line 4: the pair 2 1 stands in line 2");
    refuse("3 2\n1 2 1 1\n2 3 1\n", "line 2");
}

#[test]
fn quadratic_problems_of_biq_mac() {
    let text = "3 4\n1 1 -5\n1 2 2\n2 3 -1\n3 3 4\n";
    let named = read(text).unwrap();
    assert_eq!(named.objective, Objective::ENERGY);
    assert_eq!([[1, 0, 0], [1, 1, 0], [1, 1, 1]].map(|x| value(&named, &x)), [-5.0, -1.0, 1.0]);
    let library = read(&format!("1\n{text}")).unwrap();
    assert!(library.objective.maximize);
    assert_eq!([[1, 0, 0], [1, 1, 1]].map(|x| value(&library, &x)), [-5.0, 1.0]);
    refuse(&format!("10\n{text}"), "it holds 10 problems");
    // Without a diagonal the name or the caller decides.
    let scratch = Scratch::new();
    let edges = "3 2\n1 2 2\n2 3 -1\n";
    for (name, format, expected) in
        [("a.bq", None, 4.0), ("a.sparse", None, 4.0), ("a.mc", None, -1.0), ("a.txt", Some(Format::BiqMac), 4.0)]
    {
        fs::write(scratch.join(name), edges).unwrap();
        let named = open(scratch.join(name), &Asked { format, ..Asked::default() }).unwrap();
        assert_eq!(value(&named, &[1, 1, 0]), expected, "{name}");
    }
}

#[test]
fn matrices_as_text() {
    let rows = [[1.0, 2.0, 0.0, 0.0], [0.0, -3.0, 0.5, 0.0], [0.0, 0.0, 0.0, 4.0], [0.0, 0.0, 0.0, 1.0]];
    let plain: Vec<String> = rows.iter().map(|row| row.map(|v| v.to_string()).join(",")).collect();
    let indexed: Vec<String> = plain.iter().enumerate().map(|(k, row)| format!("{k},{row}")).collect();
    for text in [
        plain.join("\n"),
        plain.join("\r\n").replace(',', " "),
        plain.join("\n").replace(',', ";").replace('.', ","),
        format!(",0,1,2,3\n{}\n", indexed.join("\n")),
    ] {
        let named = read(&text).unwrap();
        let found = [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]].map(|x| value(&named, &x));
        assert_eq!((found, named.vartype), ([0.0, -2.5, 5.0], Vartype::Binary), "{text}");
    }
    // Spins: what stands on the diagonal is constant.
    let spins = parse(&plain.join("\n"), &SPINS).unwrap();
    assert_eq!(value(&spins, &[0, 0, 1, 1]), 1.0 - 3.0 + 1.0 + 2.0 - 0.5 + 4.0);
    refuse("0,1,2\n1,0,3\n", "must be square");
    refuse("0 1 2\n1 0 3\n2 3 0\n", "a matrix or coordinate text");
    refuse("0,1,2\n1,0,3\n2,5,0\n", "may be terms");
    assert_eq!(read("0,1,2\n1,0,3\n2,3,0\n").unwrap().problem.energy(&[1, 1, 1]).unwrap(), 12.0);
    // In the order of terms they are terms, though the numbers are symmetric.
    assert_eq!(read("0 0 1\n0 1 1\n1 1 -3\n").unwrap().format, "coordinate text");
    refuse("0,0,1\n0,1,1\n1,1,-3\n", "may be terms");
    refuse("0,1\n,0\n", "row 2, column 1 is NaN");
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, array) in arrays {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(array).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn matrices_as_arrays() {
    let scratch = Scratch::new();
    let open = |name: &str, bytes: &[u8]| {
        fs::write(scratch.join(name), bytes).unwrap();
        super::open(scratch.join(name), &Asked::default())
    };
    let matrix = npy("<f8", "(2, 2)", &doubles(&[1.0, 2.0, 0.0, -3.0]));
    let expected = [0.0, -3.0, 1.0, 0.0];
    assert_eq!(energies(&open("m", &matrix).unwrap()), expected);
    assert_eq!(energies(&open("one", &npz(&[("any", matrix.clone())])).unwrap()), expected);
    let offset = npy("<f8", "()", &doubles(&[2.5]));
    let named = open("named", &npz(&[("Q", matrix.clone()), ("offset", offset)])).unwrap();
    assert_eq!(energies(&named), [2.5, -0.5, 3.5, 2.5]);
    let two = npz(&[("a", matrix.clone()), ("b", npy("<f8", "(2, 2)", &doubles(&[0.0, 1.0, 1.0, 0.0])))]);
    let reason = open("two", &two).unwrap_err().to_string();
    assert!(reason.contains("arrays a, b") && reason.contains("FILE.npz:a"), "{reason}");
    let b = super::open(scratch.join("two:b"), &Asked::default()).unwrap();
    assert_eq!(energies(&b), [0.0, 0.0, 0.0, 2.0]);
    let coupling = npy("<f8", "(2, 2)", &doubles(&[0.0, 2.0, 2.0, 0.0]));
    let ising = npz(&[("J", coupling), ("h", npy("<f8", "(2,)", &doubles(&[0.5, 0.0])))]);
    assert_eq!(energies(&open("ising", &ising).unwrap()), [-1.5, 2.5, 1.5, -2.5]);
    // SciPy's sparse forms of the same matrix.
    let ints = |shape: &str, values: &[i32]| {
        npy("<i4", shape, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    };
    let data = npy("<f8", "(3,)", &doubles(&[1.0, 2.0, -3.0]));
    let format = npy("|S3", "()", b"coo");
    let sparse = [("format", format), ("shape", ints("(2,)", &[2, 2])), ("data", data)];
    let coo = [&sparse[..], &[("row", ints("(3,)", &[0, 0, 1])), ("col", ints("(3,)", &[0, 1, 1]))]].concat();
    let csr = [&sparse[..], &[("indices", ints("(3,)", &[0, 1, 1])), ("indptr", ints("(3,)", &[0, 2, 3]))]].concat();
    for arrays in [coo, csr] {
        assert_eq!(energies(&open("sparse", &npz(&arrays)).unwrap()), expected);
    }
    let reason = open("flat", &npy("<f8", "(4,)", &doubles(&[0.0; 4]))).unwrap_err().to_string();
    assert!(reason.contains("a matrix has two sides"), "{reason}");
}

/// A model of three bits as dimod's `to_file` writes it: E = ½ + 2x − z + 4xy − 8yz.
fn bqm(version: u8, variables: &str) -> Vec<u8> {
    let mut header = format!(
        "{{\"dtype\": \"float64\", \"itype\": \"int32\", \"ntype\": \"int64\", \"shape\": [3, 2], \"type\": \
         \"BinaryQuadraticModel\", \"variables\": {variables}, \"vartype\": \"BINARY\"}}\n"
    );
    header.extend(std::iter::repeat_n(' ', (64 - (14 + header.len()) % 64) % 64));
    let mut bytes = [b"DIMODBQM", &[version, 0][..], &(header.len() as u32).to_le_bytes(), header.as_bytes()].concat();
    bytes.extend(0.5f64.to_le_bytes());
    for (start, bias) in [(0i64, 2.0f64), (1, 0.0), (3, -1.0)] {
        bytes.extend(start.to_le_bytes());
        bytes.extend(bias.to_le_bytes());
    }
    for (neighbour, bias) in [(1i32, 4.0f64), (0, 4.0), (2, -8.0), (1, -8.0)] {
        bytes.extend(neighbour.to_le_bytes());
        bytes.extend(bias.to_le_bytes());
    }
    if variables == "true" {
        let names = br#"["x", "y", ["z", 1]]"#;
        bytes.extend(b"VARS");
        bytes.extend((names.len() as u32).to_le_bytes());
        bytes.extend(names);
    }
    bytes
}

#[test]
fn dimods_binary_models() {
    let scratch = Scratch::new();
    let open = |bytes: &[u8]| {
        fs::write(scratch.join("m.bqm"), bytes).unwrap();
        super::open(scratch.join("m.bqm"), &Asked::default()).map_err(|error| error.to_string())
    };
    for (version, variables, names) in
        [(2, "false", ""), (2, "true", "x y [\"z\",1]"), (1, "[0, 1, 2]", ""), (1, "[\"p\", 5, \"q\"]", "p 5 q")]
    {
        let named = open(&bqm(version, variables)).unwrap();
        assert_eq!((named.names.join(" ").as_str(), named.vartype), (names, Vartype::Binary));
        let found = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1]].map(|x| value(&named, &x));
        assert_eq!(found, [0.5, 2.5, 6.5, -8.5]);
    }
    let whole = bqm(2, "true");
    for end in 8..whole.len() {
        let reason = open(&whole[..end]).unwrap_err();
        assert!(reason.contains("read as dimod's .bqm"), "{end}: {reason}");
    }
    let mut huge = whole.clone();
    let at = whole.windows(6).position(|window| window == b"[3, 2]").unwrap();
    huge[at + 1] = b'9';
    assert!(open(&huge).is_err());
}

#[test]
fn packed_files_and_strangers() {
    let scratch = Scratch::new();
    let open = |name: &str, bytes: &[u8]| {
        fs::write(scratch.join(name), bytes).unwrap();
        super::open(scratch.join(name), &Asked::default()).map_err(|error| error.to_string())
    };
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(b"3 2\n1 2 2\n2 3 -1\n").unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(open("a.mc.gz", &packed).unwrap().objective.name, "cut");
    assert_eq!(open("a.bq.gz", &packed).unwrap().objective.name, "energy");
    for (bytes, kind) in [
        (&b"\x89PNG\r\n\x1a\n"[..], "a PNG picture"),
        (b"<!DOCTYPE html>\n<p>404", "a web page"),
        (b"%%MatrixMarket matrix coordinate real symmetric\n3 3 1\n1 2 5\n", "Matrix Market"),
        (b"\\ENCODING=ISO-8859-1\n\\Problem name: x\n", "begins no known format"),
        (b"\0\0\x08\x03", "is no text"),
        (b"", "no line that says something"),
    ] {
        let reason = open("x", bytes).unwrap_err();
        assert!(reason.contains(kind) && reason.contains("rudy"), "{reason}");
    }
    let missing = super::open(scratch.join("none.json"), &Asked::default()).unwrap_err().to_string();
    assert!(missing.contains("cannot read") && missing.contains("none.json"), "{missing}");
    let bad = open("bad.coo", b"0 1 1\n0 1 nan").unwrap_err();
    assert!(bad.contains("bad.coo: line 2") && bad.contains("read as coordinate text"), "{bad}");
}

#[test]
fn what_is_wrong_is_said() {
    refuse("0 1 1\n0 1\n", "line 2");
    refuse("0 1 x\n", "line 1");
    refuse("{", "line 1");
    refuse("{}", "`J`, `Q`");
    refuse(r#"{"J": [[0, 1]]}"#, "entry 1 of `J` has 2 numbers");
    refuse(r#"{"J": [[0, 0, 1]]}"#, "coupled with itself");
    refuse(r#"{"J": []}"#, "variables");
    refuse(r#"{"J": [[0, 18446744073709551615, 1]]}"#, "is beyond 67108863");
    refuse(r#"{"Q": [[0, -1, 1]]}"#, "variable -1");
    refuse(r#"{"J": [[0, 1, 1]], "h": [1, 2, 3, 1e300]}"#, "1e37");
    refuse(r#"{"J": [[0, 4, 1]], "h": [1, 2]}"#, "`h` has 2 values; there are 5 variables");
    refuse(&model("DISCRETE", "[0, 1]"), "SPIN or BINARY");
    refuse(&model("SPIN", "[0]"), "`variable_labels` has 1 entries");
    refuse(&model("SPIN", "[0, 1]").replace("\"use_bytes\": false", "\"use_bytes\": true"), "use_bytes");
    refuse(&model("SPIN", "[0, 1]").replace("_tail\": [1]", "_tail\": [2]"), "variable 2 does not exist");
}
