//! What sm_90 brought: barriers in memory, bulk copies, products of warp groups, and their faults.

use crate::common::{Bench, blocks, needs_the_emulator, noise, text};
use half::bf16;
use yuragi_emulator::{Arguments, Report, Swizzle, TensorMap, finding::Kind};

fn marked(text: &str) -> u32 {
    text.lines().position(|line| line.contains("// here")).map_or(0, |at| at as u32 + 1)
}

/// A block of 128 threads in which thread 0 copies 512 bytes by a bulk copy, and every thread reads its word.
fn bulk_load(wait: &str, mark: &str) -> String {
    format!(
        ".shared .align 128 .b8 s[512];\n .shared .align 8 .b64 bar;\n .reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %rd<8>;\n \
         ld.param.u64 %rd1, [x];\n ld.param.u64 %rd2, [y];\n mov.u32 %r1, %tid.x;\n mov.u32 %r2, bar;\n mov.u32 %r3, s;\n \
         setp.ne.u32 %p1, %r1, 0;\n @%p1 bra READY;\n mbarrier.init.shared::cta.b64 [%r2], 1;\n \
         fence.mbarrier_init.release.cluster;\nREADY:\n bar.sync 0;\n @%p1 bra WAIT;\n \
         mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r2], 512;\n \
         cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r3], [%rd1], 512, [%r2];\nWAIT:\n {wait}\n \
         shl.b32 %r4, %r1, 2;\n add.u32 %r4, %r4, %r3;\n ld.shared.u32 %r5, [%r4]; {mark}\n \
         mul.wide.u32 %rd3, %r1, 4;\n add.u64 %rd3, %rd2, %rd3;\n st.global.u32 [%rd3], %r5;"
    )
}

const WAIT: &str = "mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r2], 0;\n @%p2 bra DONE;\n bra WAIT;\nDONE:";
const XY: &str = ".param .u64 x, .param .u64 y";

fn run_bulk(body: &str) -> (Report, Vec<u32>, u32) {
    let bench = Bench::new();
    let values: Vec<u32> = (0..128).map(|i| i * i).collect();
    let (x, y) = (bench.put(&values), bench.put(&[0_u32; 128]));
    let text = text(XY, body);
    let module = bench.load(&text).unwrap_or_else(|error| panic!("{error}"));
    let report = bench.launch(&module, "kernel", blocks([1; 3], 128, 0), Arguments::new().u64(x).u64(y));
    (report, bench.get(y, 128), marked(&text))
}

#[test]
fn a_bulk_copy_is_there_after_its_barrier() {
    let (report, values, _) = run_bulk(&bulk_load(WAIT, ""));
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    assert!(values.iter().zip(0..).all(|(&v, i): (&u32, u32)| v == i * i));
}

#[test]
fn a_bulk_copy_that_nobody_waits_for_is_found() {
    if needs_the_emulator("a copy that is not waited for") {
        return;
    }
    let (report, _, line) = run_bulk(&bulk_load("", "// here"));
    let found = &report.findings[0];
    assert_eq!((found.kind, found.at.line), (Kind::NotWaited, line), "{found}");
    assert!(found.other.as_ref().unwrap().instruction.starts_with("cp.async.bulk"));
}

#[test]
fn a_barrier_counts_phases_and_arrivals() {
    // 64 threads arrive twice; the parity of the phase that is over alternates.
    let body = ".shared .align 8 .b64 bar;\n .reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %rd<4>;\n \
        ld.param.u64 %rd1, [x];\n mov.u32 %r1, %tid.x;\n mov.u32 %r2, bar;\n setp.ne.u32 %p1, %r1, 0;\n \
        @%p1 bra READY;\n mbarrier.init.shared.b64 [%r2], 64;\nREADY:\n bar.sync 0;\n \
        mbarrier.arrive.shared.b64 %rd2, [%r2];\nA:\n mbarrier.test_wait.shared.b64 %p2, [%r2], %rd2;\n \
        @!%p2 bra A;\n mbarrier.arrive.shared.b64 _, [%r2];\nB:\n mbarrier.try_wait.parity.shared.b64 %p3, [%r2], 1;\n \
        @!%p3 bra B;\n selp.u32 %r3, 1, 0, %p3;\n st.global.u32 [%rd1], %r3;";
    let bench = Bench::new();
    let x = bench.put(&[0_u32]);
    let module = bench.kernel(".param .u64 x", body);
    bench.run(&module, "kernel", blocks([1; 3], 64, 0), Arguments::new().u64(x));
    assert_eq!(bench.get::<u32>(x, 1), [1]);
    if needs_the_emulator("more arrivals than are expected") {
        return;
    }
    let more = body.replace("[%r2], 64", "[%r2], 32");
    let module = bench.kernel(".param .u64 x", &more);
    let report = bench.launch(&module, "kernel", blocks([1; 3], 64, 0), Arguments::new().u64(x));
    assert!(report.findings.iter().any(|f| f.note.contains("more threads arrive")) || report.findings.is_empty());
}

#[test]
fn a_store_through_the_other_proxy_needs_a_fence() {
    let body = |fence: &str, mark: &str| {
        format!(
            ".shared .align 128 .b8 s[128];\n .reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %rd<4>;\n \
             ld.param.u64 %rd1, [x];\n mov.u32 %r1, %tid.x;\n mov.u32 %r2, s;\n shl.b32 %r3, %r1, 2;\n add.u32 %r3, %r3, %r2;\n \
             st.shared.u32 [%r3], %r1;\n {fence}\n bar.sync 0;\n setp.ne.u32 %p1, %r1, 0;\n @%p1 bra END;\n \
             cp.async.bulk.global.shared::cta.bulk_group [%rd1], [%r2], 128; {mark}\n \
             cp.async.bulk.commit_group;\n cp.async.bulk.wait_group 0;\nEND:"
        )
    };
    let run = |body: &str| {
        let bench = Bench::new();
        let x = bench.room::<u32>(32);
        let text = text(".param .u64 x", body);
        let module = bench.load(&text).unwrap_or_else(|error| panic!("{error}"));
        let report = bench.launch(&module, "kernel", blocks([1; 3], 32, 0), Arguments::new().u64(x));
        (report, bench.get::<u32>(x, 32), marked(&text))
    };
    let (report, values, _) = run(&body("fence.proxy.async.shared::cta;", ""));
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    assert!(values.iter().zip(0..).all(|(&v, i)| v == i));
    if needs_the_emulator("a missing fence") {
        return;
    }
    let (report, _, line) = run(&body("", "// here"));
    assert_eq!((report.findings[0].kind, report.findings[0].at.line), (Kind::Proxy, line));
}

/// One warp group multiplies 64×64 by 64×n boxes that bulk copies of tensors brought, both along k:
/// `bits` are the swizzle's of the descriptors, `stride` the bytes from 8 rows to the next 8.
fn product(n: usize, bits: u64, width: usize, mark: &str) -> String {
    let sums: Vec<String> = (0..n / 2).map(|i| format!("%f{i}")).collect();
    let (sums, count) = (sums.join(", "), n / 2);
    let (stride, bytes) = (8 * width as u64, 128 * 64 + n * 128);
    let descriptor = bits << 62 | (stride >> 4) << 32 | 1 << 16;
    let boxes = 128 / width;
    let mut copies = String::new();
    let mut products = String::new();
    for i in 0..boxes {
        let column = i * width / 2;
        copies += &format!(
            "add.u32 %r4, %r3, {};\n add.u32 %r5, %r3, {};\n mov.u32 %r6, {column};\n \
             cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r4], [%rd8, {{%r6, 0}}], [%r2];\n \
             cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r5], [%rd9, {{%r6, 0}}], [%r2];\n ",
            i * 64 * width,
            8192 + i * n * width,
        );
    }
    for k in 0..4 {
        let (part, within) = (32 * k / width, 32 * k % width);
        products += &format!(
            "add.u32 %r4, %r3, {};\n add.u32 %r5, %r3, {};\n cvt.u64.u32 %rd4, %r4;\n cvt.u64.u32 %rd5, %r5;\n \
             shr.u64 %rd4, %rd4, 4;\n shr.u64 %rd5, %rd5, 4;\n or.b64 %rd4, %rd4, {descriptor};\n or.b64 %rd5, %rd5, {descriptor};\n \
             setp.ne.b32 %p3, {k}, 0;\n wgmma.mma_async.sync.aligned.m64n{n}k16.f32.bf16.bf16 {{{sums}}}, %rd4, %rd5, %p3, 1, 1, 0, 0; {}\n ",
            part * 64 * width + within,
            8192 + part * n * width + within,
            if k == 0 { mark } else { "" },
        );
    }
    let stores: String = (0..count)
        .map(|i| {
            let (row, column) = (i % 4 / 2 * 8, i / 4 * 8 + i % 2);
            format!("st.global.f32 [%rd7+{}], %f{i};\n ", (row * n + column) * 4)
        })
        .collect();
    format!(
        ".shared .align 1024 .b8 s[{bytes}];\n .shared .align 8 .b64 bar;\n .reg .pred %p<4>; .reg .b32 %r<12>; .reg .b64 %rd<10>;\n \
         .reg .f32 %f<{count}>;\n ld.param.u64 %rd1, [y];\n mov.u32 %r1, %tid.x;\n mov.u32 %r2, bar;\n mov.u32 %r3, s;\n \
         setp.ne.u32 %p1, %r1, 0;\n @%p1 bra READY;\n mbarrier.init.shared::cta.b64 [%r2], 1;\nREADY:\n bar.sync 0;\n \
         @%p1 bra WAIT;\n mov.b64 %rd8, a;\n cvta.param.u64 %rd8, %rd8;\n mov.b64 %rd9, b;\n cvta.param.u64 %rd9, %rd9;\n \
         mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r2], {bytes};\n {copies}\nWAIT:\n {WAIT}\n \
         wgmma.fence.sync.aligned;\n {products} wgmma.commit_group.sync.aligned;\n wgmma.wait_group.sync.aligned 0;\n \
         shr.u32 %r7, %r1, 5;\n and.b32 %r8, %r1, 31;\n shr.u32 %r9, %r8, 2;\n and.b32 %r10, %r8, 3;\n \
         mad.lo.u32 %r9, %r7, 16, %r9;\n mul.lo.u32 %r9, %r9, {n};\n mad.lo.u32 %r9, %r10, 2, %r9;\n \
         mul.wide.u32 %rd6, %r9, 4;\n add.u64 %rd7, %rd1, %rd6;\n {stores}"
    )
}

const MAPS: &str = ".param .align 64 .b8 a[128], .param .align 64 .b8 b[128], .param .u64 y";

fn run_product(n: usize, written: Swizzle, bits: u64, width: usize, mark: &str) -> (Report, f64, u32) {
    let bench = Bench::new();
    let round = |seed, count| noise(seed, count).iter().map(|&x| bf16::from_f32(x)).collect::<Vec<_>>();
    let (a, b) = (round(1, 64 * 64), round(2, n * 64));
    let map = |values: &[bf16], rows: usize| {
        let map = TensorMap {
            address: bench.put(values),
            element_bytes: 2,
            extents: vec![64, rows as u64],
            strides: vec![128],
            box_extents: vec![width as u64 / 2, rows as u64],
            swizzle: written,
        };
        bench.tensor(&map)
    };
    let y = bench.room::<f32>(64 * n);
    let arguments = Arguments::new().aligned(&map(&a, 64), 64).aligned(&map(&b, n), 64).u64(y);
    let text = text(MAPS, &product(n, bits, width, mark));
    let module = bench.load(&text).unwrap_or_else(|error| panic!("{error}"));
    let report = bench.launch(&module, "kernel", blocks([1; 3], 128, 0), arguments);
    let got = bench.get::<f32>(y, 64 * n);
    let mut worst = 0.0_f64;
    for (i, j) in (0..64).flat_map(|i| (0..n).map(move |j| (i, j))) {
        let terms = (0..64).map(|k| f64::from(a[i * 64 + k]) * f64::from(b[j * 64 + k]));
        let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + f64::abs(t)));
        // Each of four sums cuts 17 terms below 2⁻²⁵ of the largest one's power of two, and itself to 24 bits.
        let bound = 4.0 * (17.0 / 2.0 + 2.0) / 16_777_216.0 * size;
        worst = worst.max((f64::from(got[i * n + j]) - sum).abs() / bound);
    }
    (report, worst, marked(&text))
}

#[test]
fn products_of_warp_groups_in_every_swizzle() {
    for n in [8, 64] {
        for (swizzle, bits, width) in
            [(Swizzle::Bytes128, 1, 128), (Swizzle::Bytes64, 2, 64), (Swizzle::Bytes32, 3, 32)]
        {
            let (report, worst, _) = run_product(n, swizzle, bits, width, "");
            assert!(report.findings.is_empty(), "{swizzle:?}: {}", report.findings[0]);
            assert!(worst <= 1.0, "n = {n}, {swizzle:?}: {worst}");
            assert!([0, (2 * 64 * 64 * n) as u64].contains(&report.counters.matrix_flops), "0 on a GPU");
        }
    }
}

#[test]
fn a_descriptor_with_another_swizzle_than_the_box_is_found() {
    if needs_the_emulator("a wrong swizzle") {
        return;
    }
    let (report, worst, line) = run_product(64, Swizzle::Bytes128, 2, 128, "// here");
    let found = report.findings.iter().find(|f| f.kind == Kind::Swizzle).unwrap();
    assert_eq!(found.at.line, line);
    assert!(found.other.as_ref().unwrap().instruction.contains("tensor"), "{found}");
    assert!(worst > 1.0);
}

/// Copies a box of 8 rows of 16 numbers at (x, y) of a matrix to shared memory, and from there to `out`.
const TILE: &str = ".shared .align 128 .b8 s[512];\n .shared .align 8 .b64 bar;\n .reg .pred %p<3>; .reg .b32 %r<9>; .reg .b64 %rd<7>;\n \
    ld.param.u64 %rd1, [out];\n ld.param.u32 %r1, [x];\n ld.param.u32 %r2, [y];\n mov.u32 %r3, %tid.x;\n mov.u32 %r4, s;\n \
    mov.u32 %r5, bar;\n setp.ne.u32 %p1, %r3, 0;\n @%p1 bra BEGUN;\n mbarrier.init.shared::cta.b64 [%r5], 1;\n fence.proxy.async;\n \
    mbarrier.arrive.expect_tx.shared::cta.b64 %rd2, [%r5], 512;\n mov.b64 %rd3, map;\n cvta.param.u64 %rd4, %rd3;\n \
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r4], [%rd4, {%r1, %r2}], [%r5];\nBEGUN:\n \
    bar.sync 0;\nAGAIN:\n mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r5], 0;\n @!%p2 bra AGAIN;\n shl.b32 %r6, %r3, 2;\n \
    add.s32 %r7, %r4, %r6;\n ld.shared.u32 %r8, [%r7];\n mul.wide.u32 %rd5, %r3, 4;\n add.s64 %rd6, %rd1, %rd5;\n \
    st.global.u32 [%rd6], %r8;";
const TILE_PARAMS: &str = ".param .align 64 .b8 map[128], .param .u64 out, .param .u32 x, .param .u32 y";

/// What the box at (x, y) of a matrix of 20 rows of 40 numbers, which begins at 1, gives.
fn tile(bench: &Bench, body: &str, x: i32, y: i32) -> (Report, Vec<u32>) {
    let module = bench.kernel(TILE_PARAMS, body);
    let map = TensorMap {
        address: bench.put(&(1..=800).collect::<Vec<u32>>()),
        element_bytes: 4,
        extents: vec![40, 20],
        strides: vec![160],
        box_extents: vec![16, 8],
        swizzle: Swizzle::None,
    };
    let out = bench.put(&[7_u32; 128]);
    let arguments = Arguments::new().aligned(&bench.tensor(&map), 64).u64(out).u32(x as u32).u32(y as u32);
    let report = bench.launch(&module, "kernel", blocks([1; 3], 128, 0), arguments);
    (report, bench.get(out, 128))
}

#[test]
fn boxes_that_hang_over_the_edge_of_a_tensor_are_filled_with_zeros() {
    for (x, y) in [(0, 0), (8, 5), (32, 15), (-4, -3), (44, 0)] {
        let (report, got) = tile(&Bench::new(), TILE, x, y);
        assert!(report.findings.is_empty(), "{}", report.findings[0]);
        let element = |i: i32| match (x + i % 16, y + i / 16) {
            (x @ 0..40, y @ 0..20) => (y * 40 + x) as u32 + 1,
            _ => 0,
        };
        assert_eq!(got, (0..128).map(element).collect::<Vec<_>>(), "({x}, {y})");
    }
}

#[test]
fn coordinates_and_addresses_that_hardware_stops_at_are_found() {
    if needs_the_emulator("an error that ends the context") {
        return;
    }
    for x in [7, 1, -1, 2] {
        let (report, _) = tile(&Bench::new(), TILE, x, 0);
        assert_eq!(report.findings[0].kind, Kind::Illegal, "{x}");
    }
    let body = TILE.replace("cvta.param.u64 %rd4, %rd3", "mov.b64 %rd4, %rd3");
    let found = tile(&Bench::new(), &body, 0, 0).0.findings.swap_remove(0);
    assert!(found.kind == Kind::Misaligned && found.note.contains("cvta.param"), "{found}");
    let body = TILE.replace("[%rd4, {%r1", "[map, {%r1");
    let error = Bench::new().load(&text(TILE_PARAMS, &body)).map(drop).unwrap_err();
    assert!(error.contains("state space"), "{error}");
}

#[test]
fn a_description_made_by_the_kernel_itself_is_as_good_as_one_of_the_host() {
    // From zeros in shared memory, field by field, then copied to where the copy reads it.
    let replace = |field: &str, bits: u32, value: &str| {
        format!(" tensormap.replace.tile.{field}.shared::cta.b1024.b{bits} [%m], {value};\n")
    };
    let fields: String = [
        ("global_address", 64, "%a"),
        ("rank", 32, "1"),
        ("box_dim", 32, "0, 16"),
        ("box_dim", 32, "1, %v"),
        ("global_dim", 32, "0, 40"),
        ("global_dim", 32, "1, 20"),
        ("global_stride", 64, "0, 160"),
        ("element_stride", 32, "0, 1"),
        ("element_stride", 32, "1, 1"),
        ("elemtype", 32, "2"),
        ("interleave_layout", 32, "0"),
        ("swizzle_mode", 32, "0"),
        ("fill_mode", 32, "0"),
    ]
    .map(|(field, bits, value)| replace(field, bits, value))
    .concat();
    let head = " .shared .align 128 .b8 made[128]; .reg .b32 %m; .reg .b32 %v; .reg .b32 %z; .reg .b32 %i; .reg .b64 %a; .reg .b64 %d; .reg .pred %o;\n \
        ld.param.u64 %a, [from]; ld.param.u64 %d, [to]; mov.u32 %m, made; mov.u32 %v, 8; mov.u32 %i, %tid.x; setp.ge.u32 %o, %i, 32;\n \
        @%o bra MADE; mad.lo.u32 %z, %i, 4, %m; st.shared.u32 [%z], 0; bar.warp.sync -1; setp.ne.u32 %o, %i, 0; @%o bra FILLED;\n";
    let copied = "FILLED: bar.warp.sync -1;\n \
        tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned [%d], [%m], 128;\n \
        fence.proxy.tensormap::generic.acquire.gpu [%d], 128;\nMADE: bar.sync 0;\n";
    let tile =
        TILE.replacen("mov.b64 %rd3, map;", "", 1).replace("cvta.param.u64 %rd4, %rd3;", "ld.param.u64 %rd4, [to];");
    assert!(!tile.contains("map;"), "{tile}");
    let params = ".param .u64 from, .param .u64 to, .param .u64 out, .param .u32 x, .param .u32 y";
    let (declared, rest) = tile.split_at(tile.find("ld.param").unwrap());
    let run = |fields: &str| {
        let bench = Bench::new();
        let module = bench.kernel(params, &format!("{declared}{head}{fields}{copied}{rest}"));
        let (from, to) = (bench.put(&(1..=800).collect::<Vec<u32>>()), bench.put(&[0_u64; 32]));
        let (to, out) = (to.next_multiple_of(128), bench.put(&[7_u32; 128]));
        let arguments = Arguments::new().u64(from).u64(to).u64(out).u32(8).u32(5);
        let report = bench.launch(&module, "kernel", blocks([1; 3], 128, 0), arguments);
        (report, bench.get::<u32>(out, 128))
    };
    let (report, got) = run(&fields);
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    assert_eq!(got, (0..128).map(|i| (5 + i / 16) * 40 + 8 + i % 16 + 1).collect::<Vec<u32>>());
    if needs_the_emulator("an error that ends the context") {
        return;
    }
    let (report, _) = run(&fields
        .replace("mov.u32 %v, 8", "")
        .replace("swizzle_mode.shared::cta.b1024.b32 [%m], 0", "swizzle_mode.shared::cta.b1024.b32 [%m], 9"));
    assert!(
        report.findings.iter().any(|f| f.kind == Kind::Illegal && f.note.contains("swizzle 9")),
        "{:?}",
        report.findings
    );
}
