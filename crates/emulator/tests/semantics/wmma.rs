//! `wmma`: matrices loaded, multiplied and stored, in every shape, type and order of rows and columns.

use crate::common::{Bench, blocks, needs_the_emulator};
use half::{bf16, f16};
use yuragi_emulator::Arguments;

/// A type of factors or sums: its name, its bytes, and how a whole number is written in it and read.
#[derive(Clone, Copy)]
struct Of(&'static str, usize, fn(i32) -> u64, fn(u64) -> i32);

const F16: Of =
    Of("f16", 2, |x| f16::from_f32(x as f32).to_bits().into(), |x| f16::from_bits(x as u16).to_f32() as i32);
const BF16: Of = Of("bf16", 2, |x| bf16::from_f32(x as f32).to_bits().into(), |_| 0);
const TF32: Of = Of("tf32", 4, |x| (x as f32).to_bits().into(), |_| 0);
const F32: Of = Of("f32", 4, |x| (x as f32).to_bits().into(), |x| f32::from_bits(x as u32) as i32);
const F64: Of = Of("f64", 8, |x| f64::from(x).to_bits(), |x| f64::from_bits(x) as i32);
const S8: Of = Of("s8", 1, |x| u64::from(x as u8), |_| 0);
const U8: Of = Of("u8", 1, |x| u64::from(x as u8), |_| 0);
const S32: Of = Of("s32", 4, |x| u64::from(x as u32), |x| x as i32);

/// Bytes of a matrix whose rows, or columns, lie so many elements apart.
fn laid(
    rows: usize,
    columns: usize,
    by_columns: bool,
    stride: usize,
    of: Of,
    value: impl Fn(usize, usize) -> i32,
) -> Vec<u8> {
    let lines = if by_columns { columns } else { rows };
    let mut bytes = vec![0; lines * stride * of.1];
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let at = of.1 * if by_columns { column * stride + row } else { row * stride + column };
        bytes[at..at + of.1].copy_from_slice(&(of.2)(value(row, column)).to_le_bytes()[..of.1]);
    }
    bytes
}

fn registers(prefix: &str, count: usize) -> String {
    let list: Vec<String> = (0..count).map(|i| format!("%{prefix}{i}")).collect();
    format!("{{{}}}", list.join(", "))
}

/// One product by a kernel, compared with the same by whole numbers.
fn multiplies([m, n, k]: [usize; 3], of: Of, sum: Of, [a_columns, b_columns, c_columns]: [bool; 3]) {
    let order = |by_columns| if by_columns { "col" } else { "row" };
    let (a_of, b_of) = (|i: usize, j: usize| (i * 3 + j) as i32 % 5, |i: usize, j: usize| (i + 2 * j) as i32 % 4);
    let c_of = |i: usize, j: usize| (i as i32 - j as i32) % 7;
    let shape = format!("m{m}n{n}k{k}");
    let count = |elements: usize, of: Of, factor: bool| match (of.0, factor) {
        ("f16", true) => 8,
        ("f64", _) => elements / 32,
        _ => elements * of.1 / 128,
    };
    // Rows, or columns, lie at multiples of 32 bytes, with some room between.
    let stride = |rows: usize, columns: usize, by_columns, of: Of| {
        let count = if by_columns { rows } else { columns };
        count.next_multiple_of(32 / of.1) + 32 / of.1
    };
    let strides = [stride(m, k, a_columns, of), stride(k, n, b_columns, of), stride(m, n, c_columns, sum)];
    let wide = of.0 == "f64";
    let file = if wide { "f64" } else { "b32" };
    let [a, b, c, d] = [
        ("a", count(m * k, of, true)),
        ("b", count(k * n, of, true)),
        ("c", count(m * n, sum, false)),
        ("d", count(m * n, sum, false)),
    ]
    .map(|(name, count)| registers(name, count));
    let types = match of.0 {
        "f16" => format!("{0}.{0}", sum.0),
        _ => format!("{0}.{1}.{1}.{0}", sum.0, of.0),
    };
    let rounding = if wide { ".rn" } else { "" };
    let [a_order, b_order, c_order] = [a_columns, b_columns, c_columns].map(order);
    let body = format!(
        " .reg .{file} %a<8>; .reg .{file} %b<8>; .reg .{file} %c<8>; .reg .{file} %d<8>; .reg .b64 %p<4>; .reg .b32 %s<3>;\n \
         ld.param.u64 %p0, [pa]; ld.param.u64 %p1, [pb]; ld.param.u64 %p2, [pc]; ld.param.u64 %p3, [pd];\n \
         mov.u32 %s0, {}; mov.u32 %s1, {}; mov.u32 %s2, {};\n \
         wmma.load.a.sync.aligned.{a_order}.{shape}.global.{} {a}, [%p0], %s0;\n \
         wmma.load.b.sync.aligned.{b_order}.{shape}.global.{} {b}, [%p1], %s1;\n \
         wmma.load.c.sync.aligned.{c_order}.{shape}.{} {c}, [%p2], %s2;\n \
         wmma.mma.sync.aligned.{a_order}.{b_order}.{shape}{rounding}.{types} {d}, {a}, {b}, {c};\n \
         wmma.store.d.sync.aligned.{c_order}.{shape}.global.{} [%p3], {d}, %s2;",
        strides[0], strides[1], strides[2], of.0, of.0, sum.0, sum.0
    );
    let bench = Bench::new();
    let module = bench.kernel(".param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u64 pd", &body);
    let c = laid(m, n, c_columns, strides[2], sum, c_of);
    let [pa, pb, pc] =
        [laid(m, k, a_columns, strides[0], of, a_of), laid(k, n, b_columns, strides[1], of, b_of), c.clone()]
            .map(|bytes| bench.put(&bytes));
    let pd = bench.put(&vec![0_u8; c.len()]);
    let arguments = Arguments::new().u64(pa).u64(pb).u64(pc).u64(pd);
    bench.run(&module, "kernel", blocks([1; 3], 32, 0), arguments);
    let found = bench.get::<u8>(pd, c.len());
    for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
        let want = (0..k).map(|l| a_of(i, l) * b_of(l, j)).sum::<i32>() + c_of(i, j);
        let at = sum.1 * if c_columns { j * strides[2] + i } else { i * strides[2] + j };
        let mut bits = [0; 8];
        bits[..sum.1].copy_from_slice(&found[at..at + sum.1]);
        assert_eq!((sum.3)(u64::from_le_bytes(bits)), want, "{shape} {types} {a_order} {b_order} {c_order} ({i}, {j})");
    }
}

#[test]
fn products_of_every_shape_type_and_order() {
    let orders = [[false, true, false], [true, false, true], [false; 3]];
    let mut all = Vec::new();
    for shape in [[16, 16, 16], [32, 8, 16], [8, 32, 16]] {
        all.extend([(F16, F32), (F16, F16), (BF16, F32), (S8, S32), (U8, S32)].map(|(of, sum)| (shape, of, sum)));
    }
    all.extend([([16, 16, 8], TF32, F32), ([8, 8, 4], F64, F64)]);
    for (shape, of, sum) in all {
        orders.iter().for_each(|&order| multiplies(shape, of, sum, order));
    }
}

#[test]
fn shapes_and_places_that_are_none_are_refused() {
    if needs_the_emulator("what its messages say") {
        return;
    }
    let load = |form: &str, count: usize, offset: u32, stride: u32| {
        let body = format!(
            " .reg .b32 %a<8>; .reg .b64 %p; .reg .b32 %s; ld.param.u64 %p, [p]; mov.u32 %s, {stride};\n wmma.load.{form} {}, [%p+{offset}], %s;",
            registers("a", count)
        );
        let bench = Bench::new();
        let module = bench.load(&crate::common::text(".param .u64 p", &body))?;
        let p = bench.put(&[0_u8; 1024]);
        let report = bench.launch(&module, "kernel", blocks([1; 3], 32, 0), Arguments::new().u64(p));
        Ok::<_, String>(
            report.findings.iter().map(|found| format!("{} {}", found.kind.name(), found.note)).collect::<String>(),
        )
    };
    let form = "a.sync.aligned.row.m16n16k16.global.f16";
    assert_eq!(load(form, 8, 0, 16).unwrap(), "");
    assert!(load(form, 8, 16, 16).unwrap().contains("misaligned"));
    assert!(load(form, 8, 0, 20).unwrap().contains("20 elements"));
    assert!(load(form, 8, 0, 64).unwrap().contains("out of bounds"));
    assert!(load(form, 4, 0, 16).unwrap_err().contains("8 registers"));
    for wrong in
        ["a.sync.aligned.row.m16n16k16.f32", "a.sync.aligned.row.m16n8k16.f16", "e.sync.aligned.row.m16n16k16.f16"]
    {
        assert!(load(wrong, 8, 0, 16).unwrap_err().contains("wmma"), "{wrong}");
    }
}
