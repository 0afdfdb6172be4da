//! Loads and stores of every width in every space, and addresses.

use yuragi_emulator::{Arguments, finding::Kind};

use crate::{
    common::{Bench, blocks, needs_the_emulator},
    table::{check, integers, noise, results, singles},
};

/// Types that memory holds, their bits, and whether a load extends their sign.
const TYPES: [(&str, u32, bool); 14] = [
    ("b8", 8, false),
    ("u8", 8, false),
    ("s8", 8, true),
    ("b16", 16, false),
    ("u16", 16, false),
    ("s16", 16, true),
    ("b32", 32, false),
    ("u32", 32, false),
    ("s32", 32, true),
    ("f32", 32, false),
    ("b64", 64, false),
    ("u64", 64, false),
    ("s64", 64, true),
    ("f64", 64, false),
];

/// The spaces that a kernel can write, with what stands before `v` to declare it inside of a kernel.
const SPACES: [&str; 3] = ["global", "shared", "local"];

/// The value of so many low bits in a register of others.
fn extended(value: u64, bits: u32, signed: bool, to: u32) -> u64 {
    let value = value << (64 - bits);
    let value = if signed { (value as i64 >> (64 - bits)) as u64 } else { value >> (64 - bits) };
    value & (u64::MAX >> (64 - to))
}

/// Four words as bytes.
fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A little-endian number.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |all, &byte| all << 8 | u64::from(byte))
}

/// Runs one thread with `v`, 32 bytes of a space at a multiple of 32, their address there in `%v` and the generic
/// one in `%g`. Gives what `v` and the 64 bytes at `%out` hold in the end.
fn with_variable(space: &str, before: &[u64], statements: &str) -> (Vec<u8>, Vec<u8>) {
    // Only a later device moves 32 bytes at once.
    let wide = ["v8.", "v4.b64", "v4.u64", "v4.s64", "v4.f64"].iter().any(|words| statements.contains(words));
    let target = if wide { "sm_100a" } else { "sm_90a" };
    let declared = format!(".{space} .align 32 .b8 v[32];");
    let (outside, inside) = if space == "global" { (declared.as_str(), "") } else { ("", declared.as_str()) };
    let fill: String =
        before.iter().enumerate().map(|(i, w)| format!(" st.{space}.u64 [%v+{}], {w};\n", 8 * i)).collect();
    let read: String = (0..4)
        .map(|i| format!(" ld.{space}.u64 %x, [%v+{0}]; st.global.u64 [%out+{1}], %x;\n", 8 * i, 64 + 8 * i))
        .collect();
    let text = format!(
        ".version 9.0\n.target {target}\n.address_size 64\n{outside}\n.visible .entry kernel(.param .u64 out)\n{{\n {inside}\n \
         .reg .b64 %v; .reg .b64 %g; .reg .b64 %x; .reg .b64 %out; .reg .b64 %l<8>; .reg .b32 %w<8>; .reg .b16 %h<8>; \
         .reg .pred %p<4>;\n ld.param.u64 %out, [out];\n mov.u64 %v, v;\n cvta.{space}.u64 %g, %v;\n{fill} {statements}\n{read} ret;\n}}\n"
    );
    let bench = Bench::new();
    let module = bench.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let out = bench.put(&[0_u64; 12]);
    bench.run(&module, "kernel", blocks([1; 3], 1, 0), Arguments::new().u64(out));
    let all = bytes(&bench.get::<u64>(out, 12));
    (all[64..].to_vec(), all[..64].to_vec())
}

/// The registers of a width, of which there are eight.
fn registers(bits: u32) -> char {
    match bits {
        16 => 'h',
        32 => 'w',
        _ => 'l',
    }
}

/// The braces around the registers of a vector.
fn list(name: char, count: usize) -> String {
    let all: Vec<String> = (0..count).map(|i| format!("%{name}{i}")).collect();
    if count == 1 { all[0].clone() } else { format!("{{{}}}", all.join(", ")) }
}

/// Vectors of at most so many bytes: the word after the space, and the elements.
fn vectors(bits: u32, most: usize) -> Vec<(&'static str, usize)> {
    let all = [("", 1), (".v2", 2), (".v4", 4), (".v8", 8)];
    all.into_iter().filter(|(_, count)| count * bits as usize / 8 <= most && (*count < 8 || bits == 32)).collect()
}

#[test]
fn loads_fill_wider_registers_with_zeros_or_the_sign() {
    for (of, bits, signed) in TYPES {
        for to in [16, 32, 64].into_iter().filter(|&to| to >= bits) {
            let rows = singles(&integers(64));
            check(&format!("ld.global.{of} %d, [%at1];"), &format!("b{to}"), &["b64"], &rows, |r| {
                Some(extended(r[0], bits, signed, to))
            });
        }
    }
    let rows = singles(&noise(1, 50));
    for byte in 0..8 {
        let offset = |r: &[u64]| Some(r[0] >> (8 * byte) & 0xff);
        check(&format!("ld.global.u8 %d, [%at1+{byte}];"), "b32", &["b64"], &rows, offset);
        check(&format!("add.u64 %at1, %at1, 64; ld.u8 %d, [%at1+-{}];", 64 - byte), "b32", &["b64"], &rows, offset);
    }
}

#[test]
fn loads_of_vectors_in_every_space() {
    let on_gpu = needs_the_emulator("vectors of 32 bytes");
    let before = noise(2, 4);
    for (of, bits, signed) in TYPES {
        for space in SPACES {
            let most = if space == "global" && !on_gpu { 32 } else { 16 };
            for (vector, count) in vectors(bits, most) {
                let size = count * bits as usize / 8;
                for to in [16, 32, 64].into_iter().filter(|&to| to >= bits) {
                    let name = registers(to);
                    for (access, base) in [(format!("ld.{space}"), "%v"), ("ld".to_owned(), "%g")] {
                        let place = 32 - size;
                        let stores: String =
                            (0..count).map(|i| format!(" st.global.b{to} [%out+{}], %{name}{i};", 8 * i)).collect();
                        let load = format!("{access}{vector}.{of} {}, [{base}+{place}];", list(name, count));
                        let (after, out) = with_variable(space, &before, &format!("{load}\n{stores}"));
                        assert_eq!(after, bytes(&before));
                        let held = bytes(&before);
                        for (i, got) in out.chunks(8).enumerate().take(count) {
                            let from = place + i * bits as usize / 8;
                            let value = number(&held[from..from + bits as usize / 8]);
                            assert_eq!(number(got), extended(value, bits, signed, to), "{load} element {i}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn stores_of_vectors_write_their_own_bytes() {
    let on_gpu = needs_the_emulator("vectors of 32 bytes");
    let before = noise(3, 4);
    let values = noise(4, 8);
    for (of, bits, _) in TYPES {
        for space in SPACES {
            let most = if space == "global" && !on_gpu { 32 } else { 16 };
            for (vector, count) in vectors(bits, most) {
                let size = count * bits as usize / 8;
                for from in [16, 32, 64].into_iter().filter(|&from| from >= bits) {
                    let name = registers(from);
                    let moves: String = (0..count)
                        .map(|i| format!(" mov.b{from} %{name}{i}, {};", values[i] & (u64::MAX >> (64 - from))))
                        .collect();
                    for (access, base) in [(format!("st.{space}"), "%v"), ("st".to_owned(), "%g")] {
                        for place in [0, size, 32 - size].into_iter().filter(|place| place + size <= 32) {
                            let store = format!("{access}{vector}.{of} [{base}+{place}], {};", list(name, count));
                            let (after, _) = with_variable(space, &before, &format!("{moves}\n{store}"));
                            let mut want = bytes(&before);
                            for (i, value) in values.iter().enumerate().take(count) {
                                let width = bits as usize / 8;
                                // A number in single precision is converted from the register.
                                let single = u64::from((f64::from_bits(*value) as f32).to_bits());
                                let value = if of == "f32" && from == 64 { single } else { *value };
                                want[place + i * width..place + (i + 1) * width]
                                    .copy_from_slice(&value.to_le_bytes()[..width]);
                            }
                            assert_eq!(after, want, "{store}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_sink_among_the_registers_of_a_vector() {
    let before = [0x8899_aabb_ccdd_eeff, 0x0123_4567_89ab_cdef, 1, 2];
    let (_, out) = with_variable(
        "global",
        &before,
        "ld.global.v4.s8 {_, %w1, _, %w3}, [%v]; cvt.u64.u32 %l1, %w1; st.global.u64 [%out], %l1; \
         mov.b64 %l2, {%w3, %w1}; st.global.u64 [%out+8], %l2; setp.eq.s32 %p0, %w1, -18; selp.u32 %w2, 1, 0, %p0; \
         st.global.u32 [%out+16], %w2;",
    );
    assert_eq!(number(&out[..8]), 0xffff_ffee);
    assert_eq!(number(&out[8..16]), 0xffff_ffee_ffff_ffcc);
    assert_eq!(number(&out[16..20]), 1);
}

#[test]
fn words_about_order_and_caches_do_not_change_a_value() {
    let rows = singles(&noise(5, 40));
    for words in [
        "volatile.global",
        "relaxed.cta.global",
        "relaxed.gpu.global",
        "relaxed.sys",
        "acquire.gpu.global",
        "acquire.cluster.global",
        "weak.global",
        "global.ca",
        "global.cg",
        "global.cs",
        "global.cv",
        "global.lu",
        "global.nc",
        "global.nc.L1::no_allocate",
        "global.L1::evict_last.L2::128B",
    ] {
        check(&format!("ld.{words}.u64 %d, [%at1];"), "b64", &["b64"], &rows, |r| Some(r[0]));
    }
    for words in [
        "volatile.global",
        "relaxed.gpu.global",
        "release.sys.global",
        "weak.global",
        "global.wb",
        "global.cs",
        "global.wt",
    ] {
        let statements = format!("st.{words}.u64 [%at2], %a; ld.global.u64 %d, [%at2];");
        check(&statements, "b64", &["b64"], &rows, |r| Some(r[0]));
    }
    let hints = "prefetch.global.L2 [%at1]; prefetchu.L1 [%at1]; .reg .b64 %policy; \
                 createpolicy.fractional.L2::evict_last.b64 %policy, 1.0; \
                 ld.global.L2::cache_hint.u64 %d, [%at1], %policy;";
    check(hints, "b64", &["b64"], &rows, |r| Some(r[0]));
}

#[test]
fn addresses_are_generic_or_of_a_space() {
    for space in SPACES {
        let (_, out) = with_variable(
            space,
            &[1, 2, 3, 4],
            &format!(
                "cvta.to.{space}.u64 %l0, %g; sub.u64 %l0, %l0, %v; st.global.u64 [%out], %l0;\n \
                 isspacep.global %p0, %g; isspacep.shared %p1, %g; isspacep.local %p2, %g; isspacep.const %p3, %g;\n \
                 selp.u32 %w0, 1, 0, %p0; selp.u32 %w1, 2, 0, %p1; selp.u32 %w2, 4, 0, %p2; selp.u32 %w3, 8, 0, %p3;\n \
                 or.b32 %w0, %w0, %w1; or.b32 %w0, %w0, %w2; or.b32 %w0, %w0, %w3; st.global.u32 [%out+8], %w0;"
            ),
        );
        let place = SPACES.iter().position(|s| *s == space).unwrap();
        assert_eq!((number(&out[..8]), number(&out[8..12])), (0, 1 << place), "{space}");
    }
}

const HEAD: &str = ".version 9.0\n.target sm_90a\n.address_size 64\n";

#[test]
fn variables_begin_with_their_initial_values() {
    let text = format!(
        "{HEAD}.visible .global .align 4 .u32 list[4] = {{1, 0xfffffffe}};\n.global .f32 half = 0f3f000000;\n\
         .global .f64 third = 0d3fd5555555555555;\n.global .align 1 .b8 name[6] = {{104, 101, 108, 108, 111}};\n\
         .global .s16 grid[2][3] = {{{{1, -2}}, {{3}}}};\n.global .u64 to = list+4;\n.global .u64 too = generic(grid)+6;\n\
         .const .align 8 .s32 table[3] = {{-7, 8}};\n.global .u64 nothing;\n\
         .visible .entry kernel(.param .u64 out)\n{{\n .reg .b64 %r<8>; .reg .b32 %w<4>;\n ld.param.u64 %r1, [out];\n \
         ld.global.u64 %r2, [to]; ld.global.u32 %w1, [%r2]; st.global.u32 [%r1], %w1;\n \
         ld.global.u64 %r2, [too]; ld.s16 %w1, [%r2]; st.global.u32 [%r1+4], %w1;\n \
         ld.const.s32 %w1, [table]; st.global.u32 [%r1+8], %w1; mov.u64 %r3, table; cvta.const.u64 %r3, %r3;\n \
         ld.s32 %w1, [%r3+4]; st.global.u32 [%r1+12], %w1; ld.const.v2.s32 {{%w1, %w2}}, [table];\n \
         add.s32 %w1, %w1, %w2; st.global.u32 [%r1+16], %w1; ld.const.u32 %w1, [table+8]; st.global.u32 [%r1+20], %w1;\n \
         ret;\n}}\n"
    );
    let bench = Bench::new();
    let module = bench.load(&text).unwrap_or_else(|error| panic!("{error}"));
    let held = |name: &str| {
        let (address, bytes) = module.global(name).unwrap();
        bench.get::<u8>(address, bytes as usize)
    };
    assert_eq!(held("list"), [1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(held("half"), 0.5_f32.to_le_bytes());
    assert_eq!(held("third"), (1.0_f64 / 3.0).to_le_bytes());
    assert_eq!(held("name"), *b"hello\0");
    assert_eq!(held("grid"), [1, 0, 0xfe, 0xff, 3, 0, 0, 0, 0, 0, 0, 0], "rows lie behind each other");
    assert_eq!(held("to"), (module.global("list").unwrap().0 + 4).to_le_bytes());
    assert_eq!(held("nothing"), [0; 8]);
    let out = bench.put(&[0_u32; 6]);
    bench.run(&module, "kernel", blocks([1; 3], 1, 0), Arguments::new().u64(out));
    assert_eq!(bench.get::<i32>(out, 6), [-2, 0, -7, 8, 1, 0]);
}

#[test]
fn parameters_of_every_width_and_structures() {
    let params = ".param .u8 a, .param .s16 b, .param .f32 c, .param .align 16 .b8 s[32], .param .u64 out";
    let body = " .reg .b64 %r<8>; .reg .b32 %w<8>; .reg .b16 %h<4>; .reg .f32 %f<4>;\n ld.param.u64 %r1, [out];\n \
        ld.param.u8 %h1, [a]; cvt.u32.u16 %w1, %h1; st.global.u32 [%r1], %w1;\n \
        ld.param.s16 %w1, [b]; st.global.u32 [%r1+4], %w1;\n ld.param.f32 %f1, [c]; st.global.f32 [%r1+8], %f1;\n \
        ld.param.v4.u32 {%w1, %w2, %w3, %w4}, [s+16]; add.u32 %w1, %w1, %w2; add.u32 %w3, %w3, %w4; add.u32 %w1, %w1, %w3;\n \
        st.global.u32 [%r1+12], %w1; mov.u64 %r2, s; cvta.param.u64 %r2, %r2; ld.s8 %w1, [%r2+5]; st.global.u32 [%r1+16], %w1;\n \
        ld.param.v2.u64 {%r3, %r4}, [s]; xor.b64 %r3, %r3, %r4; st.global.u64 [%r1+24], %r3;";
    let bench = Bench::new();
    let module = bench.kernel(params, body);
    assert_eq!(module.params("kernel"), [(0, 1), (2, 2), (4, 4), (16, 32), (48, 8)]);
    let s: Vec<u8> = (0..32).map(|i| 0xf0_u8.wrapping_add(i)).collect();
    let out = bench.put(&[0_u32; 8]);
    let arguments =
        Arguments::new().aligned(&[200], 1).aligned(&(-5_i16).to_le_bytes(), 2).f32(1.25).aligned(&s, 16).u64(out);
    bench.run(&module, "kernel", blocks([1; 3], 1, 0), arguments);
    let got = bench.get::<u32>(out, 8);
    let word = |i: usize| number(&s[i..i + 4]) as u32;
    let sum = [16, 20, 24, 28].iter().fold(0_u32, |all, &i| all.wrapping_add(word(i)));
    assert_eq!(got[..5], [200, 0xffff_fffb, 1.25_f32.to_bits(), sum, 0xffff_fff5]);
    assert_eq!(u64::from(got[7]) << 32 | u64::from(got[6]), number(&s[..8]) ^ number(&s[8..16]));
}

#[test]
fn parameters_of_wide_alignment_lie_where_hardware_puts_them() {
    // Alignments count from an address that is 16 bytes past a multiple of 512.
    for (align, first) in [(16, 0), (32, 16), (64, 48), (128, 112)] {
        let params = format!(".param .align {align} .b8 s[128], .param .u64 out");
        let body = " .reg .b64 %r<4>; .reg .b32 %w; ld.param.u64 %r1, [out]; mov.u64 %r2, s; cvta.param.u64 %r2, %r2;\n \
            ld.u32 %w, [%r2+124]; st.global.u32 [%r1], %w; and.b64 %r3, %r2, ALIGN; st.global.u64 [%r1+8], %r3;";
        let bench = Bench::new();
        let module = bench.kernel(&params, &body.replace("ALIGN", &(align - 1).to_string()));
        assert_eq!(module.params("kernel"), [(first, 128), (first + 128, 8)]);
        let out = bench.put(&[7_u64, 7]);
        let s: Vec<u8> = (0..128).collect();
        let arguments = Arguments::new().aligned(&s, align).u64(out);
        bench.run(&module, "kernel", blocks([1; 3], 1, 0), arguments);
        assert_eq!(bench.get::<u32>(out, 1), [number(&s[124..]) as u32]);
        assert_eq!(bench.get::<u64>(out + 8, 1), [0], "a multiple of {align}");
    }
}

#[test]
fn shared_variables_lie_apart_and_dynamic_ones_behind_them() {
    let text = format!(
        "{HEAD}.shared .align 4 .b8 a[5];\n.extern .shared .align 16 .b8 dynamic[];\n.visible .entry kernel(.param .u64 out)\n{{\n \
         .shared .align 8 .b64 b[2];\n .reg .b32 %r<8>; .reg .b64 %out;\n ld.param.u64 %out, [out];\n mov.u32 %r1, a;\n \
         mov.u32 %r2, b;\n mov.u32 %r3, dynamic;\n mov.u32 %r4, %dynamic_smem_size;\n mov.u32 %r5, %total_smem_size;\n \
         st.global.v4.u32 [%out], {{%r1, %r2, %r3, %r4}};\n st.global.u32 [%out+16], %r5;\n st.shared.u8 [dynamic+99], 7;\n ret;\n}}\n"
    );
    let bench = Bench::new();
    let module = bench.load(&text).unwrap_or_else(|error| panic!("{error}"));
    let out = bench.put(&[0_u32; 5]);
    bench.run(&module, "kernel", blocks([1; 3], 1, 100), Arguments::new().u64(out));
    let [a, b, dynamic, size, total] = bench.get::<u32>(out, 5)[..] else { unreachable!() };
    assert!(a % 4 == 0 && b % 8 == 0 && dynamic % 16 == 0 && (a + 5 <= b || b + 16 <= a));
    assert!(dynamic >= a + 5 && dynamic >= b + 16 && size == 100 && total >= dynamic + 100);
    if needs_the_emulator("a store past shared memory") {
        return;
    }
    let report = bench.launch(&module, "kernel", blocks([1; 3], 1, 99), Arguments::new().u64(out));
    assert_eq!(report.findings[0].kind, Kind::OutOfBounds);
}

#[test]
fn a_thread_has_local_memory_of_its_own() {
    let statements = ".local .align 8 .b64 l[4]; .reg .b64 %l; mov.u64 %l, l; st.local.u64 [%l+8], %a; \
                      bar.warp.sync 0xffffffff; ld.local.u64 %d, [l+8];";
    let rows = singles(&noise(6, 96));
    check(statements, "b64", &["b64"], &rows, |r| Some(r[0]));
    // An address that a thread computes is one of its own memory too.
    let indexed = ".local .align 4 .b8 l[64]; .reg .b64 %l; .reg .b32 %i; and.b32 %i, %n5, 15; mul.wide.u32 %l, %i, 4; \
                   .reg .b64 %m; mov.u64 %m, l; add.u64 %l, %l, %m; cvta.local.u64 %l, %l; st.u32 [%l], %n5; ld.u32 %d, [%l];";
    assert_eq!(results(indexed, "b32", &["b64"], &rows), (0..96).collect::<Vec<u64>>());
}
