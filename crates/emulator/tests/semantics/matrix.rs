//! Matrices in registers: loads, stores and transposes of 8×8 ones, and every product, by the ISA's fragments.

use half::{bf16, f16};
use yuragi_emulator::{Arguments, Report};

use crate::{
    common::{Bench, blocks, needs_the_emulator},
    table::noise,
};

/// Runs one warp with the word `%l` of lane and a table in `%x`, an address for output in `%y`.
fn warp(body: &str, x: &[u64], y: usize) -> (Vec<u64>, Report) {
    let text = format!(
        " .reg .b64 %x; .reg .b64 %y; .reg .b32 %l; .reg .b32 %s; .reg .b32 %w<48>; .reg .b64 %r<48>;\n \
         ld.param.u64 %x, [x];\n ld.param.u64 %y, [y];\n mov.u32 %l, %laneid;\n{body}"
    );
    let bench = Bench::new();
    let module = bench.kernel(".param .u64 x, .param .u64 y", &text);
    let (px, py) = (bench.put(x), bench.put(&vec![0_u64; y]));
    let report = bench.run(&module, "kernel", blocks([1; 3], 32, 0), Arguments::new().u64(px).u64(py));
    (bench.get(py, y), report)
}

/// Where the row of each lane's address lies among 32: another order than that of the lanes.
fn row(lane: usize) -> usize {
    (lane * 5 + 3) % 32
}

/// Statements that put the address of row `row(lane)` into `%s`, or one beyond memory for lanes from `count` on.
fn addresses(count: usize) -> String {
    format!(
        " .reg .pred %far; .reg .b32 %b; mov.u32 %b, s; mad.lo.u32 %s, %l, 5, 3; and.b32 %s, %s, 31; mad.lo.u32 %s, %s, 16, %b;\n \
         setp.ge.u32 %far, %l, {count}; @%far mov.u32 %s, 0xfffff0;\n"
    )
}

#[test]
fn loads_of_one_two_and_four_matrices() {
    let memory: Vec<u64> = noise(1, 64);
    let element = |row: usize, column: usize| memory[2 * row + column / 4] >> (16 * (column % 4)) & 0xffff;
    for count in [1, 2, 4] {
        for (trans, word) in [(false, ""), (true, ".trans")] {
            for space in [".shared", ".shared::cta", ""] {
                let registers: Vec<String> = (0..count).map(|i| format!("%w{i}")).collect();
                let store: String =
                    (0..count).map(|i| format!(" st.global.u32 [%y+{}], %w{i};\n", 8 * 32 * i)).collect();
                let generic = " .reg .b64 %g; cvt.u64.u32 %g, %s; cvta.shared.u64 %g, %g;\n";
                let address = if space.is_empty() { "%g" } else { "%s" };
                let body = format!(
                    " .shared .align 16 .b8 s[512];\n mad.wide.u32 %r1, %l, 16, %x; ld.global.v2.u64 {{%r2, %r3}}, [%r1];\n \
                     mov.u32 %w8, s; mad.lo.u32 %w8, %l, 16, %w8; st.shared.v2.u64 [%w8], {{%r2, %r3}}; bar.sync 0;\n{}{generic} \
                     ldmatrix.sync.aligned.m8n8.x{count}{word}{space}.b16 {{{}}}, [{address}];\n mad.wide.u32 %y, %l, 8, %y;\n{store}",
                    addresses(8 * count),
                    registers.join(", ")
                );
                let (got, _) = warp(&body, &memory, 32 * count);
                for (i, got) in got.iter().enumerate() {
                    let (matrix, lane) = (i / 32, i % 32);
                    let one = |column: usize| match trans {
                        false => element(row(8 * matrix + lane / 4), column),
                        true => element(row(8 * matrix + column), lane / 4),
                    };
                    let want = one(2 * (lane % 4)) | one(2 * (lane % 4) + 1) << 16;
                    assert_eq!(*got, want, "x{count}{word}{space}: matrix {matrix} lane {lane}");
                }
            }
        }
    }
}

#[test]
fn stores_of_one_two_and_four_matrices() {
    let values: Vec<u64> = noise(2, 4 * 32).iter().map(|x| x & 0xffff_ffff).collect();
    for count in [1, 2, 4] {
        for (trans, word) in [(false, ""), (true, ".trans")] {
            let registers: Vec<String> = (0..count).map(|i| format!("%w{i}")).collect();
            let load: String = (0..count).map(|i| format!(" ld.global.u32 %w{i}, [%r1+{}];\n", 8 * 32 * i)).collect();
            let body = format!(
                " .shared .align 16 .b8 s[512];\n mov.u32 %w8, s; mad.lo.u32 %w8, %l, 16, %w8; mov.u64 %r2, 0xeeeeeeeeeeeeeeee;\n \
                 st.shared.v2.u64 [%w8], {{%r2, %r2}}; bar.sync 0;\n{}mad.wide.u32 %r1, %l, 8, %x;\n{load} \
                 stmatrix.sync.aligned.m8n8.x{count}{word}.shared.b16 [%s], {{{}}};\n bar.sync 0; ld.shared.v2.u64 {{%r2, %r3}}, [%w8];\n \
                 mad.wide.u32 %y, %l, 16, %y; st.global.v2.u64 [%y], {{%r2, %r3}};",
                addresses(8 * count),
                registers.join(", ")
            );
            let (got, _) = warp(&body, &values, 64);
            let mut want = [[0xeeee_u64; 8]; 32];
            for (matrix, lane, half) in
                (0..count).flat_map(|m| (0..32).flat_map(move |l| (0..2).map(move |h| (m, l, h))))
            {
                let (line, column) = (lane / 4, 2 * (lane % 4) + half);
                let (line, column) = if trans { (column, line) } else { (line, column) };
                want[row(8 * matrix + line)][column] = values[32 * matrix + lane] >> (16 * half) & 0xffff;
            }
            for (i, want) in want.iter().flatten().enumerate() {
                assert_eq!(got[i / 4] >> (16 * (i % 4)) & 0xffff, *want, "x{count}{word}: element {i}");
            }
        }
    }
}

#[test]
fn a_matrix_in_registers_is_transposed() {
    let values: Vec<u64> = noise(3, 32).iter().map(|x| x & 0xffff_ffff).collect();
    let body = " mad.wide.u32 %r1, %l, 8, %x; ld.global.u32 %w1, [%r1]; movmatrix.sync.aligned.m8n8.trans.b16 %w2, %w1;\n \
        mad.wide.u32 %y, %l, 8, %y; st.global.u32 [%y], %w2;";
    let (got, _) = warp(body, &values, 32);
    let element = |row: usize, column: usize| values[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff;
    for (lane, got) in got.iter().enumerate() {
        let (row, column) = (lane / 4, 2 * (lane % 4));
        assert_eq!(*got, element(column, row) | element(column + 1, row) << 16);
    }
}

/// Row and column of element `i` of a lane's fragment: its group, and its place in the group (PTX ISA, matrix
/// fragments of `mma`).
type Fragment = fn(usize, usize, usize) -> (usize, usize);

/// A shape with the fragments of A, B and C.
struct Shape {
    m: usize,
    n: usize,
    k: usize,
    a: Fragment,
    b: Fragment,
    c: Fragment,
}

fn sixteen(g: usize, t: usize, i: usize) -> (usize, usize) {
    (if i < 2 { g } else { g + 8 }, 2 * t + i % 2)
}

fn eight(g: usize, t: usize, i: usize) -> (usize, usize) {
    (g, 2 * t + i)
}

const HALF_8: Shape = Shape { m: 16, n: 8, k: 8, a: sixteen, b: |g, t, i| (2 * t + i, g), c: sixteen };
const HALF_16: Shape = Shape {
    m: 16,
    n: 8,
    k: 16,
    a: |g, t, i| (if i < 2 || (4..6).contains(&i) { g } else { g + 8 }, 2 * t + i % 2 + if i >= 4 { 8 } else { 0 }),
    b: |g, t, i| (2 * t + i % 2 + if i >= 2 { 8 } else { 0 }, g),
    c: sixteen,
};
const SINGLE_4: Shape =
    Shape { m: 16, n: 8, k: 4, a: |g, t, i| (if i == 0 { g } else { g + 8 }, t), b: |g, t, _| (t, g), c: sixteen };
const SINGLE_8: Shape = Shape {
    m: 16,
    n: 8,
    k: 8,
    a: |g, t, i| (if i % 2 == 0 { g } else { g + 8 }, if i < 2 { t } else { t + 4 }),
    b: |g, t, i| (if i == 0 { t } else { t + 4 }, g),
    c: sixteen,
};
const DOUBLE_16: Shape = Shape {
    m: 16,
    n: 8,
    k: 16,
    a: |g, t, i| if i % 2 == 0 { (g, 2 * i + t) } else { (g + 8, 2 * i - 2 + t) },
    b: |g, t, i| (t + 4 * i, g),
    c: sixteen,
};
const DOUBLE_4: Shape = Shape { m: 8, n: 8, k: 4, a: |g, t, _| (g, t), b: |g, t, _| (t, g), c: eight };
const BYTE_8: Shape = Shape { m: 8, n: 8, k: 16, a: |g, t, i| (g, 4 * t + i), b: |g, t, i| (4 * t + i, g), c: eight };
const BYTE_16: Shape = Shape {
    m: 16,
    n: 8,
    k: 16,
    a: |g, t, i| (if i < 4 { g } else { g + 8 }, 4 * t + i % 4),
    b: |g, t, i| (4 * t + i, g),
    c: sixteen,
};
const BYTE_32: Shape = Shape {
    m: 16,
    n: 8,
    k: 32,
    a: |g, t, i| (if i < 4 || (8..12).contains(&i) { g } else { g + 8 }, 4 * t + i % 4 + if i >= 8 { 16 } else { 0 }),
    b: |g, t, i| (4 * t + i % 4 + if i >= 4 { 16 } else { 0 }, g),
    c: sixteen,
};

/// A small whole number in a format of `bits` bits.
fn encoded(of: &str, x: i64) -> u64 {
    let small = |exponent_bias: i32, fraction: u32| {
        // What one byte holds: x = ±1.f · 2^e with few bits of f.
        if x == 0 {
            return 0;
        }
        let e = x.unsigned_abs().ilog2();
        let f = (x.unsigned_abs() - (1 << e)) << fraction >> e;
        u64::from(x < 0) << 7 | ((e as i32 + exponent_bias) as u64) << fraction | f
    };
    match of {
        "f16" => f16::from_f64(x as f64).to_bits().into(),
        "bf16" => bf16::from_f64(x as f64).to_bits().into(),
        "f32" => (x as f32).to_bits().into(),
        // The bits below the upper 19 are not read.
        "tf32" => u64::from((x as f32).to_bits() | 0x1234 & 0x1fff),
        "f64" => (x as f64).to_bits(),
        "e4m3" => small(7, 3),
        "e5m2" => small(15, 2),
        "s8" | "u8" => x as u8 as u64,
        _ => x as u32 as u64,
    }
}

fn width(of: &str) -> usize {
    match of {
        "f16" | "bf16" => 16,
        "f64" => 64,
        "e4m3" | "e5m2" | "s8" | "u8" => 8,
        _ => 32,
    }
}

/// The fragment of a matrix of so many elements as registers: a list for each lane.
fn registers(of: &str, count: usize, at: Fragment, value: impl Fn(usize, usize) -> u64) -> Vec<Vec<u64>> {
    let per = (32 / width(of)).max(1);
    let lane = |lane: usize| {
        let element = |i: usize| {
            let (row, column) = at(lane / 4, lane % 4, i);
            value(row, column)
        };
        let register =
            |r: usize| (0..per).map(|i| element(r * per + i) << (i * width(of))).fold(0, |all, one| all | one);
        (0..count / 32 / per).map(register).collect()
    };
    (0..32).map(lane).collect()
}

/// D of one product, row by row; the matrices are given by their bits.
fn product(
    shape: &Shape,
    words: &str,
    [d_of, a_of, b_of]: [&str; 3],
    a: impl Fn(usize, usize) -> u64,
    b: impl Fn(usize, usize) -> u64,
    c: impl Fn(usize, usize) -> u64,
) -> (Vec<Vec<u64>>, Report) {
    let Shape { m, n, k, .. } = *shape;
    let parts =
        [registers(a_of, m * k, shape.a, a), registers(b_of, k * n, shape.b, b), registers(d_of, m * n, shape.c, c)];
    let counts = [&parts[0], &parts[1], &parts[2]].map(|part| part[0].len());
    let table: Vec<u64> = (0..32).flat_map(|lane| parts.iter().flat_map(move |part| part[lane].clone())).collect();
    let per_lane: usize = counts.iter().sum();
    let name = |of: &str| if of == "f64" { 'r' } else { 'w' };
    let list = |of: &str, first: usize, count: usize| {
        let all: Vec<String> = (first..first + count).map(|i| format!("%{}{i}", name(of))).collect();
        format!("{{{}}}", all.join(", "))
    };
    let mut body =
        format!(" mul.lo.u32 %s, %l, {}; .reg .b64 %z; cvt.u64.u32 %z, %s; add.u64 %x, %x, %z;\n", 8 * per_lane);
    let mut first = 10;
    let mut lists = Vec::new();
    for (of, count) in [a_of, b_of, d_of].into_iter().zip(counts) {
        for i in first..first + count {
            let bits = if of == "f64" { 64 } else { 32 };
            body += &format!(" ld.global.u{bits} %{}{i}, [%x+{}];\n", name(of), 8 * (i - 10));
        }
        lists.push(list(of, first, count));
        first += count;
    }
    let d = list(d_of, 0, counts[2]);
    body += &format!(
        " mma.sync.aligned.m{m}n{n}k{k}.row.col{words}.{d_of}.{a_of}.{b_of}.{d_of} {d}, {}, {}, {};\n mul.lo.u32 %s, %l, {}; cvt.u64.u32 %z, %s; add.u64 %y, %y, %z;\n",
        lists[0],
        lists[1],
        lists[2],
        8 * counts[2]
    );
    for i in 0..counts[2] {
        let bits = if d_of == "f64" { 64 } else { 32 };
        body += &format!(" st.global.u{bits} [%y+{}], %{}{i};\n", 8 * i, name(d_of));
    }
    let (out, report) = warp(&body, &table, 32 * counts[2]);
    let per = (32 / width(d_of)).max(1);
    let mut d = vec![vec![0; n]; m];
    for (lane, held) in out.chunks(counts[2]).enumerate() {
        for i in 0..counts[2] * per {
            let (row, column) = (shape.c)(lane / 4, lane % 4, i);
            d[row][column] = held[i / per] >> (i % per * width(d_of)) & (u64::MAX >> (64 - width(d_of)));
        }
    }
    (d, report)
}

#[test]
fn products_of_small_whole_numbers_are_exact() {
    let kinds: [(&Shape, [&str; 3]); 30] = [
        (&HALF_8, ["f16", "f16", "f16"]),
        (&HALF_8, ["f32", "f16", "f16"]),
        (&HALF_16, ["f16", "f16", "f16"]),
        (&HALF_16, ["f32", "f16", "f16"]),
        (&HALF_8, ["f32", "bf16", "bf16"]),
        (&HALF_16, ["f32", "bf16", "bf16"]),
        (&SINGLE_4, ["f32", "tf32", "tf32"]),
        (&SINGLE_8, ["f32", "tf32", "tf32"]),
        (&DOUBLE_4, ["f64", "f64", "f64"]),
        (&SINGLE_4, ["f64", "f64", "f64"]),
        (&SINGLE_8, ["f64", "f64", "f64"]),
        (&DOUBLE_16, ["f64", "f64", "f64"]),
        (&BYTE_8, ["s32", "s8", "s8"]),
        (&BYTE_8, ["s32", "u8", "s8"]),
        (&BYTE_8, ["s32", "u8", "u8"]),
        (&BYTE_16, ["s32", "s8", "s8"]),
        (&BYTE_16, ["s32", "s8", "u8"]),
        (&BYTE_32, ["s32", "s8", "s8"]),
        (&BYTE_32, ["s32", "u8", "s8"]),
        (&BYTE_32, ["s32", "u8", "u8"]),
        (&BYTE_16, ["f32", "e4m3", "e4m3"]),
        (&BYTE_16, ["f32", "e5m2", "e4m3"]),
        (&BYTE_16, ["f16", "e4m3", "e4m3"]),
        (&BYTE_32, ["f32", "e4m3", "e4m3"]),
        (&BYTE_32, ["f32", "e4m3", "e5m2"]),
        (&BYTE_32, ["f32", "e5m2", "e5m2"]),
        (&BYTE_32, ["f32", "e5m2", "e4m3"]),
        (&BYTE_32, ["f16", "e4m3", "e4m3"]),
        (&BYTE_32, ["f16", "e5m2", "e5m2"]),
        (&BYTE_8, ["s32", "s8", "u8"]),
    ];
    for (seed, (shape, types)) in kinds.iter().enumerate() {
        // Sums stay below 2048, up to which f16 holds every whole number.
        let whole = |of: &str, seed: u64, count: usize| -> Vec<i64> {
            let low = if of == "u8" { 0 } else { -7 };
            noise(seed, count).iter().map(|x| low + (x >> 20) as i64 % (8 - low)).collect()
        };
        let Shape { m, n, k, .. } = **shape;
        let seed = 10 * seed as u64;
        let (a, b, c) = (whole(types[1], seed, m * k), whole(types[2], seed + 1, k * n), whole("c", seed + 2, m * n));
        let (d, report) = product(
            shape,
            "",
            *types,
            |i, l| encoded(types[1], a[i * k + l]),
            |l, j| encoded(types[2], b[l * n + j]),
            |i, j| encoded(types[0], 9 * c[i * n + j]),
        );
        assert!([0, 2 * (m * n * k) as u64].contains(&report.counters.matrix_flops), "0 on a GPU");
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let sum = 9 * c[i * n + j] + (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum::<i64>();
            assert_eq!(d[i][j], encoded(types[0], sum), "m{m}n{n}k{k} {types:?}: d[{i}][{j}] is {sum}");
        }
    }
}

#[test]
fn sums_of_bytes_wrap_or_saturate() {
    for (words, saturates) in [("", false), (".satfinite", true)] {
        for (c, a) in [(i32::MAX - 100, 127), (i32::MIN + 100, -128), (5, 3)] {
            let (d, _) = product(
                &BYTE_32,
                words,
                ["s32", "s8", "s8"],
                |_, _| a as u8 as u64,
                |_, _| 127,
                |_, _| c as u32 as u64,
            );
            let sum = i64::from(c) + 32 * a * 127;
            let want = if saturates { sum.clamp(i32::MIN.into(), i32::MAX.into()) as u32 } else { sum as u32 };
            assert!(d.iter().flatten().all(|&x| x == u64::from(want)), "{words} {c} {a}");
        }
    }
}

#[test]
fn products_of_doubles_are_rounded_as_fused_ones() {
    // One product is not zero: it is added to C with one rounding, and zeros change nothing after.
    let values: Vec<f64> = noise(99, 64).iter().map(|x| f64::from_bits(x >> 12 | 0x3ff << 52)).collect();
    for (shape, at) in [(&DOUBLE_4, 2), (&SINGLE_4, 0), (&SINGLE_8, 7), (&DOUBLE_16, 11)] {
        let c = |i: usize, j: usize| -(values[i] * values[8 + j]);
        let (d, _) = product(
            shape,
            "",
            ["f64"; 3],
            |i, l| if l == at { values[i].to_bits() } else { 0 },
            |l, j| if l == at { values[8 + j].to_bits() } else { 0 },
            |i, j| c(i, j).to_bits(),
        );
        let mut inexact = 0;
        for (i, j) in (0..shape.m).flat_map(|i| (0..8).map(move |j| (i, j))) {
            let want = values[i].mul_add(values[8 + j], c(i, j));
            assert_eq!(f64::from_bits(d[i][j]), want);
            inexact += usize::from(want != 0.0);
        }
        assert!(inexact > 16, "{inexact}");
    }
}

#[test]
fn shapes_and_types_that_no_machine_has_are_refused() {
    if needs_the_emulator("what its messages say") {
        return;
    }
    for (form, lists) in [
        ("m16n8k16.row.col.f32.f16.bf16.f32", [4, 4, 2, 4]),
        ("m16n8k32.row.col.f32.f16.f16.f32", [4, 8, 4, 4]),
        ("m16n8k16.row.col.f16.bf16.bf16.f16", [2, 4, 2, 2]),
        ("m16n8k16.row.col.f32.f16.f16.f32", [4, 4, 3, 4]),
        ("m99n8k16.row.col.f32.f16.f16.f32", [4, 4, 2, 4]),
        ("m16n8k16.row.row.f32.f16.f16.f32", [4, 4, 2, 4]),
    ] {
        let lists: Vec<String> = lists.iter().map(|&n| format!("{{{}}}", vec!["%w1"; n].join(", "))).collect();
        let text =
            crate::common::text("", &format!(" .reg .b32 %w<4>;\n mma.sync.aligned.{form} {};", lists.join(", ")));
        let error = Bench::new().load(&text).map(drop).unwrap_err();
        assert!(error.contains("line 7") && error.contains("mma"), "{error}");
    }
}
