//! Atomic operations: what they give back and what they leave.

use std::collections::HashSet;

use yuragi_emulator::Arguments;

use crate::{
    common::{Bench, blocks},
    exact::{BF16, F16, F32, F64, Format, Mode},
    table::{Row, check, holds, integers, pairs, triples},
};

/// What stands in memory after an operation on the old value and its operands.
type After = fn(u64, u64, u64) -> u64;

fn signed(x: u64, bits: u32) -> i64 {
    (x << (64 - bits)) as i64 >> (64 - bits)
}

/// Statements that run `{atom}` on a word that begins with `%a`, in each space and by a generic address; then its
/// old value is `%d`, or else the new one.
fn places(of_register: &str, atom: &str, old: bool) -> Vec<String> {
    let shared = format!(
        ".shared .align 8 .b64 s[128]; .reg .b32 %s; mov.u32 %s, s; mad.lo.u32 %s, %n4, 8, %s; st.shared.{of_register} [%s], %a;"
    );
    let generic = ".reg .b64 %g; cvt.u64.u32 %g, %s; cvta.shared.u64 %g, %g;";
    let spaces = [
        (String::new(), ".global", "%at1"),
        (String::new(), "", "%at1"),
        (shared.clone(), ".shared", "%s"),
        (format!("{shared} {generic}"), "", "%g"),
    ];
    let one = |(before, space, address): &(String, &str, &str)| {
        let atom = atom.replace("{space}", space).replace("{address}", address);
        match old {
            true => format!("{before} {atom}"),
            false => format!("{before} {atom} ld{space}.{of_register} %d, [{address}];"),
        }
    };
    spaces.iter().map(one).collect()
}

/// Checks `atom` and `red` of an operation with these operands beside the old value.
fn operation(op: &str, of: &str, bits: u32, operands: usize, rows: &[Row], after: impl Fn(&[u64]) -> u64) {
    let register = format!("b{bits}");
    let from = vec![register.as_str(); operands + 1];
    let operand = if operands == 1 { "%b" } else { "%b, %c" };
    let atom = format!("atom{{space}}.{op}.{of} %d, [{{address}}], {operand};");
    for statements in places(&register, &atom, true) {
        check(&statements, &register, &from, rows, |r| Some(r[0]));
    }
    let unused = format!(".reg .b{bits} %old; {}", atom.replace("%d", "%old"));
    for statements in places(&register, &unused, false) {
        check(&statements, &register, &from, rows, |r| Some(after(r)));
    }
    if !matches!(op, "exch" | "cas") {
        let red = format!("red{{space}}.{op}.{of} [{{address}}], {operand};");
        for statements in places(&register, &red, false) {
            check(&statements, &register, &from, rows, |r| Some(after(r)));
        }
    }
}

#[test]
fn operations_on_integers() {
    let operations: [(&str, &[&str], After); 13] = [
        ("add", &["u32", "s32", "u64"], |a, b, mask| a.wrapping_add(b) & mask),
        ("exch", &["b32", "b64"], |_, b, _| b),
        ("and", &["b32", "b64"], |a, b, _| a & b),
        ("or", &["b32", "b64"], |a, b, _| a | b),
        ("xor", &["b32", "b64"], |a, b, _| a ^ b),
        ("min", &["u32", "u64"], |a, b, _| a.min(b)),
        ("max", &["u32", "u64"], |a, b, _| a.max(b)),
        ("min", &["s32"], |a, b, _| if signed(a, 32) < signed(b, 32) { a } else { b }),
        ("max", &["s32"], |a, b, _| if signed(a, 32) > signed(b, 32) { a } else { b }),
        ("min", &["s64"], |a, b, _| if (a as i64) < b as i64 { a } else { b }),
        ("max", &["s64"], |a, b, _| if a as i64 > b as i64 { a } else { b }),
        ("inc", &["u32"], |a, b, _| if a >= b { 0 } else { a + 1 }),
        ("dec", &["u32"], |a, b, _| if a == 0 || a > b { b } else { a - 1 }),
    ];
    for (op, types, after) in operations {
        for of in types {
            let bits = if of.ends_with("32") { 32 } else { 64 };
            let rows = pairs(&integers(bits), &integers(bits));
            operation(op, of, bits, 1, &rows, |r| after(r[0], r[1], u64::MAX >> (64 - bits)));
        }
    }
}

#[test]
fn compare_and_swap() {
    for bits in [16, 32, 64] {
        let mask = u64::MAX >> (64 - bits);
        let few = [0, 1, mask, mask / 2 + 1, 0x1234_5678_9abc_def0 & mask];
        operation("cas", &format!("b{bits}"), bits, 2, &triples(&few, &few, &few[2..]), |r| {
            if r[0] == r[1] { r[2] } else { r[0] }
        });
    }
}

/// Whether bits are a sum, rounded to the nearest.
fn is_sum(format: Format, a: u64, b: u64, got: u64) -> bool {
    if !format.is_finite(a) || !format.is_finite(b) {
        let sum = format.float(a) + format.float(b);
        return if sum.is_nan() { format.is_nan(got) } else { format.float(got) == sum };
    }
    let sum = format.exact(a).plus(&format.exact(b));
    match sum.is_zero() {
        true => got == if a & b & format.sign() != 0 { format.sign() } else { 0 },
        false => format.is_exact_rounded(got, Mode::Nearest, &sum, false),
    }
}

/// Checks sums of floating-point numbers; `flushes` says whether subnormal ones count as 0 in global memory.
fn sums(of: &str, format: Format, bits: u32, flushes: bool) {
    let register = format!("b{bits}");
    let values = format.edges(20);
    let rows = pairs(&values, &values);
    for (place, statements) in
        places(&register, &format!(".reg .b{bits} %old; atom{{space}}.add.{of} %old, [{{address}}], %b;"), false)
            .iter()
            .enumerate()
    {
        let flush = |x: u64| if flushes && place < 2 { format.flushed(x) } else { x };
        holds(statements, &register, &[&register, &register], &rows, |r, got| {
            let (a, b) = (flush(r[0]), flush(r[1]));
            if flushes && place < 2 && format.is_finite(a) && format.is_finite(b) {
                let sum = format.exact(a).plus(&format.exact(b)).magnitude();
                if sum.compare(&format.exact(1 << format.fraction)).is_lt() {
                    return got & !format.sign() == 0;
                }
            }
            is_sum(format, a, b, got)
        });
    }
    for statements in places(&register, &format!("atom{{space}}.add.{of} %d, [{{address}}], %b;"), true) {
        check(&statements, &register, &[&register, &register], &rows, |r| Some(r[0]));
    }
}

#[test]
fn sums_of_floating_point_numbers() {
    // The ISA says that sums of f32 in global memory flush subnormal numbers, and those in shared memory do not.
    sums("f32", F32, 32, true);
    sums("f64", F64, 64, false);
    sums("noftz.f16", F16, 16, false);
    sums("noftz.bf16", BF16, 16, false);
}

#[test]
fn sums_of_pairs_and_vectors() {
    for (of, format) in [("f16x2", F16), ("bf16x2", BF16)] {
        let halves = format.edges(12);
        let both = pairs(&halves, &halves);
        let rows: Vec<Row> =
            both.iter().zip(both.iter().rev()).map(|(p, q)| vec![p[0] | q[0] << 16, p[1] | q[1] << 16]).collect();
        for op in ["atom{space}.add.noftz.{of} %old, [{address}], %b;", "red{space}.add.noftz.{of} [{address}], %b;"] {
            let op = format!(".reg .b32 %old; {}", op.replace("{of}", of));
            for statements in places("b32", &op, false) {
                holds(&statements, "b32", &["b32", "b32"], &rows, |r, got| {
                    let half = |x: u64, i: u32| x >> (16 * i) & 0xffff;
                    (0..2).all(|i| is_sum(format, half(r[0], i), half(r[1], i), half(got, i)))
                });
            }
        }
    }
    let float = |x: f32| u64::from(x.to_bits());
    let rows: Vec<Row> = (0..40).map(|i| vec![float(i as f32) | float(0.5) << 32, float(2.0), float(-0.25)]).collect();
    let vector =
        ".reg .b32 %x; .reg .b32 %y; atom.global.add.v2.f32 {%x, %y}, [%at1], {%b, %c}; ld.global.b64 %d, [%at1];";
    check(vector, "b64", &["b64", "b32", "b32"], &rows, |r| {
        Some(float(f32::from_bits(r[0] as u32) + 2.0) | float(0.25) << 32)
    });
    let old = ".reg .b32 %x; .reg .b32 %y; atom.global.add.v2.f32 {%x, %y}, [%at1], {%b, %c}; mov.b64 %d, {%x, %y};";
    check(old, "b64", &["b64", "b32", "b32"], &rows, |r| Some(r[0]));
}

#[test]
fn threads_of_all_blocks_add_to_one_counter() {
    let body = " .reg .b64 %r<8>; .reg .b32 %w<8>;\n ld.param.u64 %r1, [p];\n ld.param.u64 %r2, [old];\n \
        mov.u32 %w1, %ctaid.x; mov.u32 %w2, %ntid.x; mov.u32 %w3, %tid.x; mad.lo.u32 %w4, %w1, %w2, %w3;\n \
        atom.global.add.u32 %w5, [%r1], 1;\n mul.wide.u32 %r3, %w4, 4; add.u64 %r3, %r2, %r3; st.global.u32 [%r3], %w5;\n \
        atom.global.inc.u32 %w6, [%r1+4], 99;\n red.global.max.s32 [%r1+8], %w4;\n cvt.u64.u32 %r4, %w4;\n \
        red.global.add.u64 [%r1+16], %r4;\n red.global.min.u64 [%r1+24], %r4;";
    let bench = Bench::with(|p| p.host_threads = 4);
    let module = bench.kernel(".param .u64 p, .param .u64 old", body);
    let p = bench.put(&[0_u32, 0, 0x8000_0000, 0, 0, 0, 0xffff_ffff, 0xffff_ffff]);
    let old = bench.room::<u32>(16 * 96);
    bench.run(&module, "kernel", blocks([16, 1, 1], 96, 0), Arguments::new().u64(p).u64(old));
    let n = 16 * 96_u32;
    assert_eq!(bench.get::<u32>(p, 3), [n, n % 100, n - 1]);
    assert_eq!(bench.get::<u64>(p + 16, 2), [u64::from(n * (n - 1) / 2), 0]);
    let seen: HashSet<u32> = bench.get::<u32>(old, n as usize).into_iter().collect();
    assert!(seen.len() == n as usize && seen.iter().all(|&x| x < n));
}

#[test]
fn a_loop_of_compare_and_swap_is_an_atomic_operation() {
    // Every thread multiplies by 3, modulo 2^64, a factor that no single operation has.
    let body = " .reg .b64 %r<8>; .reg .pred %p;\n ld.param.u64 %r1, [p];\n ld.relaxed.gpu.global.u64 %r2, [%r1];\nAGAIN:\n \
        mul.lo.u64 %r3, %r2, 3;\n atom.global.cas.b64 %r4, [%r1], %r2, %r3;\n setp.ne.u64 %p, %r4, %r2;\n mov.u64 %r2, %r4;\n \
        @%p bra AGAIN;";
    let bench = Bench::with(|p| p.host_threads = 3);
    let module = bench.kernel(".param .u64 p", body);
    let p = bench.put(&[1_u64]);
    bench.run(&module, "kernel", blocks([5, 1, 1], 48, 0), Arguments::new().u64(p));
    assert_eq!(bench.get::<u64>(p, 1), [(0..240).fold(1_u64, |x, _| x.wrapping_mul(3))]);
}

#[test]
fn a_sum_of_exact_numbers_does_not_depend_on_the_order() {
    let body = " .reg .b64 %r<4>; .reg .b32 %w<4>; .reg .f32 %f<4>; .reg .f64 %d<2>;\n ld.param.u64 %r1, [p];\n mov.u32 %w1, %tid.x;\n \
        cvt.rn.f32.u32 %f1, %w1;\n red.global.add.f32 [%r1], %f1;\n cvt.f64.f32 %d1, %f1;\n red.global.add.f64 [%r1+8], %d1;";
    let bench = Bench::new();
    let module = bench.kernel(".param .u64 p", body);
    let p = bench.put(&[0_u64, 0]);
    bench.run(&module, "kernel", blocks([7, 1, 1], 128, 0), Arguments::new().u64(p));
    let sum = 7 * 127 * 64;
    assert_eq!(bench.get::<f32>(p, 1), [sum as f32]);
    assert_eq!(bench.get::<f64>(p + 8, 1), [f64::from(sum)]);
}
