//! One instruction on many rows of operands in one launch.

use yuragi_emulator::Arguments;

use crate::common::{Bench, blocks};

/// Operands of one execution, as bits.
pub type Row = Vec<u64>;

/// Runs statements in which `%a`, `%b`, `%c`, `%e` are operands of these types and `%d` the result of
/// type `to`, once for each row. Types are `b16`, `b32`, `b64`, and `pred` as 0 or 1.
pub fn results(statements: &str, to: &str, from: &[&str], rows: &[Row]) -> Vec<u64> {
    let mut body = String::from(
        " .reg .b64 %at<3>; .reg .b32 %n<8>; .reg .pred %q;\n ld.param.u64 %at1, [in]; ld.param.u64 %at2, [out];\n \
         ld.param.u32 %n1, [count];\n mov.u32 %n2, %ctaid.x; mov.u32 %n3, %ntid.x; mov.u32 %n4, %tid.x;\n \
         mad.lo.u32 %n5, %n2, %n3, %n4; setp.ge.u32 %q, %n5, %n1; @%q bra END;\n \
         mad.wide.u32 %at2, %n5, 8, %at2;\n",
    );
    body += &format!(" mul.lo.u32 %n6, %n5, {}; mad.wide.u32 %at1, %n6, 8, %at1;\n", from.len());
    for (i, (name, of)) in ["a", "b", "c", "e"].iter().zip(from).enumerate() {
        body += &format!(" .reg .{of} %{name};\n");
        body += &match *of {
            "pred" => format!(" ld.global.u32 %n7, [%at1+{}]; setp.ne.u32 %{name}, %n7, 0;\n", 8 * i),
            _ => format!(" ld.global.{of} %{name}, [%at1+{}];\n", 8 * i),
        };
    }
    body += &format!(" .reg .{to} %d;\n {statements}\n");
    body += &match to {
        "pred" => " selp.u32 %n7, 1, 0, %d; st.global.u32 [%at2], %n7;\nEND:".to_owned(),
        _ => format!(" st.global.{to} [%at2], %d;\nEND:"),
    };
    let bench = Bench::new();
    let module = bench.kernel(".param .u64 in, .param .u64 out, .param .u32 count", &body);
    assert!(rows.iter().all(|row| row.len() == from.len()), "{statements}");
    let input = bench.put(&rows.concat());
    let output = bench.put(&vec![0_u64; rows.len()]);
    let arguments = Arguments::new().u64(input).u64(output).u32(rows.len() as u32);
    bench.run(&module, "kernel", blocks([rows.len().div_ceil(128) as u32, 1, 1], 128, 0), arguments);
    bench.get(output, rows.len())
}

/// Compares each result with what it must be; `None` where it is open.
pub fn check(statements: &str, to: &str, from: &[&str], rows: &[Row], want: impl Fn(&[u64]) -> Option<u64>) {
    let got = results(statements, to, from, rows);
    for (row, got) in rows.iter().zip(got) {
        if let Some(want) = want(row) {
            assert_eq!(got, want, "`{statements}` of {row:#x?} gives {got:#x}, not {want:#x}");
        }
    }
}

/// Compares each result with a test of it.
pub fn holds(statements: &str, to: &str, from: &[&str], rows: &[Row], right: impl Fn(&[u64], u64) -> bool) {
    let got = results(statements, to, from, rows);
    for (row, got) in rows.iter().zip(got) {
        assert!(right(row, got), "`{statements}` of {row:#x?} gives {got:#x}");
    }
}

/// Each value alone.
pub fn singles(a: &[u64]) -> Vec<Row> {
    a.iter().map(|&a| vec![a]).collect()
}

/// All pairs.
pub fn pairs(a: &[u64], b: &[u64]) -> Vec<Row> {
    a.iter().flat_map(|&a| b.iter().map(move |&b| vec![a, b])).collect()
}

/// All triples.
pub fn triples(a: &[u64], b: &[u64], c: &[u64]) -> Vec<Row> {
    pairs(a, b).into_iter().flat_map(|row| c.iter().map(move |&c| [row.as_slice(), &[c]].concat())).collect()
}

/// Bits that look random and are always the same.
pub fn noise(seed: u64, count: usize) -> Vec<u64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ state >> 29
    };
    (0..count).map(|_| next()).collect()
}

/// Integers of so many bits at the edges, and a few others.
pub fn integers(bits: u32) -> Vec<u64> {
    let mask = u64::MAX >> (64 - bits);
    let top = 1 << (bits - 1);
    let mut all = vec![0, 1, 2, 3, 7, 100, top - 1, top, top + 1, mask, mask - 1, mask - 6, mask / 3, mask / 5 * 2];
    all.extend(noise(u64::from(bits), 6));
    all.iter().map(|x| x & mask).collect()
}
