//! Sizes, counts and depths that no honest kernel has, and programs that never end.

use std::fmt::Write;

use yuragi_emulator::{Arguments, Launch, LaunchError, Report, Swizzle, TensorMap, finding::Kind};

use crate::{
    Random,
    common::{blocks, text},
    device, refused,
};

const HEAD: &str = ".version 9.0\n.target sm_90a\n.address_size 64\n";

/// Runs a kernel with a step limit.
fn run(steps: u64, body: &str, launch: Launch) -> Report {
    let device = device(steps);
    let module = device.load(&text("", body)).unwrap_or_else(|error| panic!("{error}"));
    device.launch(&module.kernel("kernel").unwrap(), &launch, &[]).unwrap()
}

fn kinds(report: &Report) -> Vec<Kind> {
    report.findings.iter().map(|f| f.kind).collect()
}

#[test]
fn more_registers_than_anything_holds() {
    for declared in [".reg .b32 %r<4000000000>;", ".reg .b64 %r<18446744073709551615>;", ".reg .b32 %r<1000001>;"] {
        assert!(refused(&text("", declared)).contains("registers"), "{declared}");
    }
    // 200,000 that are needed at once can be loaded, but a block of 1,024 threads with them cannot be launched.
    let mut body = String::from(".reg .b32 %r<200000>;\n");
    (0..200_000).for_each(|i| writeln!(body, "mov.u32 %r{i}, 0;").unwrap());
    (1..200_000).for_each(|i| writeln!(body, "xor.b32 %r0, %r0, %r{i};").unwrap());
    let device = device(1 << 20);
    let module = device.load(&text("", &body)).unwrap();
    let kernel = module.kernel("kernel").unwrap();
    let error = device.launch(&kernel, &blocks([1; 3], 1024, 0), &[]).unwrap_err();
    assert!(error.to_string().contains("registers"), "{error}");
    assert!(device.launch(&kernel, &blocks([1; 3], 32, 0), &[]).unwrap().findings.is_empty());
}

#[test]
fn arrays_larger_than_any_memory() {
    for bytes in [49_153, 1 << 32, 1_099_511_627_776_u64] {
        let used = format!(".shared .b8 s[{bytes}];\n.reg .b32 %r;\nmov.u32 %r, s;");
        assert!(refused(&text("", &used)).contains("shared memory"), "{bytes}");
        let local = format!(".local .b8 l[{}];", bytes + (1 << 20));
        assert!(refused(&text("", &local)).contains("bytes"), "{bytes}");
        let params = format!(".param .b8 p[{bytes}]");
        assert!(refused(&text(&params, "")).contains("bytes"), "{bytes}");
        let global = format!("{HEAD}.global .b8 g[{}];", bytes + (1 << 24));
        assert!(refused(&global).contains("bytes"), "{bytes}");
    }
    for declared in [
        ".global .b8 g[18446744073709551615];",
        ".global .b64 g[4294967296][4294967296];",
        ".global .u32 g[1099511627776] = {1};",
    ] {
        refused(&format!("{HEAD}{declared}"));
    }
    let call = format!(
        "{HEAD}.func f(.param .b8 p[40000]) {{ ret; }}\n.entry k() {{ .param .b8 p[40000]; call f, (p); ret; }}"
    );
    assert!(refused(&call).contains("bytes of a parameter"));
}

#[test]
fn launches_without_any_proportion() {
    let device = device(50_000);
    let module = device.load(&text("", "")).unwrap();
    let kernel = module.kernel("kernel").unwrap();
    let launch = |grid, block, shared_bytes, cluster| {
        device.launch(&kernel, &Launch { grid, block, shared_bytes, cluster }, &[]).map(|report| kinds(&report))
    };
    let ones = [1; 3];
    for (grid, block) in [
        ([0, 1, 1], ones),
        ([1, 65_536, 1], ones),
        ([u32::MAX, 1, 1], ones),
        ([u32::MAX >> 1, 65_535, 65_535], ones),
        (ones, [1025, 1, 1]),
        (ones, [32, 32, 2]),
        (ones, [1, 1, 65]),
        (ones, [u32::MAX; 3]),
        (ones, [1, 0, 1]),
    ] {
        assert!(matches!(launch(grid, block, 0, ones), Err(LaunchError::Extent { .. })), "{grid:?} {block:?}");
    }
    assert!(launch(ones, ones, 1 << 20, ones).is_err() && launch(ones, ones, u32::MAX, ones).is_err());
    // Of the greatest extents of a cluster the product has more than 64 bits; of these it is 0 in them.
    for cluster in [[u32::MAX; 3], [1 << 31, 1 << 31, 4]] {
        let refused = launch(ones, ones, 0, cluster).unwrap_err().to_string();
        assert!(refused.contains("18446744073709551615"), "{refused}");
    }
    let module = device
        .load(&text("", "").replace("kernel()", "kernel() .reqnctapercluster 4294967295, 4294967295, 4294967295"));
    let required = module.unwrap().kernel("kernel").unwrap();
    let refused = device.launch(&required, &Launch::linear(1, 1), &[]).unwrap_err().to_string();
    assert!(refused.contains("blocks of a cluster"), "{refused}");
    assert!(launch(ones, ones, 0, [0, 1, 1]).is_err() && launch([4, 1, 1], ones, 0, [3, 1, 1]).is_err());
    // Two thousand million blocks of one instruction end at the limit.
    assert_eq!(launch([u32::MAX >> 1, 1, 1], ones, 0, ones), Ok(vec![Kind::StepLimit]));
    let wrong = device.launch(&kernel, &Launch::linear(1, 1), &[0]);
    assert!(matches!(wrong, Err(LaunchError::Parameters { given: 1, needed: 0 })));
}

#[test]
fn bulk_copies_of_more_than_any_block_has() {
    let device = device(50_000);
    let x = device.allocate(1 << 20).unwrap();
    for copy in [
        "cp.async.bulk.global.shared::cta.bulk_group [%x], [%s], %r;",
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%x], %r, [%b];",
    ] {
        let body = format!(
            ".shared .align 128 .b8 s[512];\n.shared .align 8 .b64 bar;\n.reg .b32 %r; .reg .b32 %s; .reg .b32 %b; .reg .b64 %x;\n\
             ld.param.u64 %x, [x];\nmov.u32 %s, s;\nmov.u32 %b, bar;\nmov.u32 %r, 0xfffffff0;\n{copy}"
        );
        let module = device.load(&text(".param .u64 x", &body)).unwrap_or_else(|error| panic!("{error}"));
        let kernel = module.kernel("kernel").unwrap();
        let report = device.launch(&kernel, &Launch::linear(1, 1024), Arguments::new().u64(x).bytes()).unwrap();
        assert_eq!(report.findings[0].kind, Kind::OutOfBounds, "{}", report.findings[0]);
        assert!(report.findings[0].note.contains("4294967280 bytes"), "{}", report.findings[0]);
        assert_eq!(report.counters.global_sectors, 0, "nothing of it is counted");
    }
}

#[test]
fn tables_and_labels_without_end() {
    // 60,000 labels in one table that 20,000 instructions use: the table is there once.
    let mut body = String::from(".reg .b32 %r;\nmov.u32 %r, 0;\nT: .branchtargets L");
    (0..60_000).for_each(|_| body.push_str(",L"));
    body.push_str(";\n");
    (0..20_000).for_each(|_| body.push_str("brx.idx %r, T;\n"));
    body.push_str("L:");
    assert!(kinds(&run(100, &body, Launch::linear(1, 32))).is_empty());
    let mut body = String::new();
    (0..60_000).for_each(|i| writeln!(body, "L{i}:").unwrap());
    body.push_str("bra L59999;");
    assert_eq!(kinds(&run(100, &body, Launch::linear(1, 1))), [Kind::StepLimit]);
    let mut body = String::new();
    (0..3000).for_each(|i| writeln!(body, "T{i}: .branchtargets NOWHERE;").unwrap());
    assert!(kinds(&run(100, &body, Launch::linear(1, 1))).is_empty());
    assert!(refused(&text("", &format!("{body}.reg .b32 %r;\nbrx.idx %r, T7;"))).contains("NOWHERE"));
}

#[test]
fn kernels_that_share_too_much() {
    // A text of n bytes must not become a program of n² instructions.
    let mut module = format!("{HEAD}.func f() {{\n.reg .b32 %r;\n");
    (0..20_000).for_each(|_| module.push_str("mov.u32 %r, 0;\n"));
    module.push_str("ret; }\n");
    let few = module.clone() + &(0..20).map(|i| format!(".entry k{i}() {{ call f; ret; }}\n")).collect::<String>();
    assert!(device(1).load(&few).is_ok());
    (0..20_000).for_each(|i| writeln!(module, ".entry k{i}() {{ call f; ret; }}").unwrap());
    assert!(refused(&module).contains("too large"));
    // Nor must calls through a register be decoded for each function that they may reach.
    let mut module = String::from(HEAD);
    (0..2000).for_each(|i| writeln!(module, ".func f{i}() {{ ret; }}").unwrap());
    module.push_str(".global .u64 all[2000] = {f0");
    (1..2000).for_each(|i| write!(module, ", f{i}").unwrap());
    module.push_str("};\n.entry k() {\n.reg .b64 %r;\nP: .callprototype _ ();\n");
    (0..2000).for_each(|_| module.push_str("call %r, (), P;\n"));
    module.push_str("ret; }\n");
    assert!(refused(&module).contains("calls through registers"));
}

#[test]
fn nesting_and_calls_without_end() {
    assert!(refused(&text("", &"{".repeat(100_000))).contains("nest"));
    refused(&format!("{HEAD}.global .u32 g = {}1;", "(".repeat(100_000)));
    refused(&text("", &format!("mov.u32 %r, {}1;", "-".repeat(100_000))));
    refused(&text("", &format!("mov.u32 {};", "{".repeat(100_000))));
    for calls in [".func f() { call f; ret; }", ".func g();\n.func f() { call g; ret; }\n.func g() { call f; ret; }"] {
        let module = format!("{HEAD}{calls}\n.entry k() {{ call f; ret; }}");
        let device = device(1 << 20);
        let loaded = device.load(&module).unwrap();
        let report = device.launch(&loaded.kernel("k").unwrap(), &Launch::linear(1, 32), &[]).unwrap();
        assert!(report.findings[0].note.contains("512 times deep"), "{}", report.findings[0]);
    }
    // 3,000 functions, each of which calls the next, are no recursion.
    let mut module = String::from(HEAD);
    (0..3000).for_each(|i| writeln!(module, ".func f{i}();").unwrap());
    (0..2999).for_each(|i| writeln!(module, ".func f{i}() {{ call f{}; ret; }}", i + 1).unwrap());
    module.push_str(".func f2999() { ret; }\n.entry k() { call f0; ret; }\n");
    let device = device(10_000);
    let loaded = device.load(&module).unwrap();
    let report = device.launch(&loaded.kernel("k").unwrap(), &Launch::linear(1, 32), &[]).unwrap();
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    // A function that calls itself through a register is stopped when it does.
    let module = format!(
        "{HEAD}.global .u64 g = f;\n.func f() {{ .reg .b64 %r; ld.global.u64 %r, [g];\nP: .callprototype _ ();\ncall %r, (), P; ret; }}\n\
         .entry k() {{ call f; ret; }}"
    );
    let loaded = device.load(&module).unwrap();
    let report = device.launch(&loaded.kernel("k").unwrap(), &Launch::linear(1, 32), &[]).unwrap();
    assert_eq!(kinds(&report), [Kind::Jump]);
}

#[test]
fn programs_that_never_end() {
    let head = ".shared .align 16 .b8 s[4096];\n.reg .b32 %r<8>;\n.reg .b64 %l<4>;\n.reg .pred %p<4>;\nmov.u32 %r1, %tid.x;\nmov.u32 %r2, s;\n\
                mov.u32 %r3, 0;\n";
    for loop_ in [
        "A: bra A;",
        "A: add.u32 %r3, %r3, 1; setp.ne.u32 %p1, %r3, %r1; @%p1 bra A; bra A;",
        "st.volatile.shared.u32 [%r2], %r3; A: ld.volatile.shared.u32 %r4, [%r2]; setp.eq.u32 %p1, %r4, 0; @%p1 bra A;",
        "A: bar.sync 0; bra A;",
        "A: setp.lt.u32 %p1, %r1, 5; @%p1 bra A; B: bra B;",
        "A: bar.arrive 1, 64; bra A;",
        "A: vote.sync.ballot.b32 %r4, %p1, 0xffffffff; nanosleep.u32 4000000000; bra A;",
        "mbarrier.init.shared.b64 [%r2], 99; A: mbarrier.try_wait.parity.shared.b64 %p1, [%r2], 0; @!%p1 bra A;",
        "mbarrier.init.shared.b64 [%r2], 4294967295; A: cp.async.mbarrier.arrive.shared.b64 [%r2]; bra A;",
        "A: cp.async.commit_group; fence.sc.gpu; bra A;",
        "T: .branchtargets A, B; A: B: brx.idx %r3, T;",
    ] {
        let report = run(60_000, &format!("{head}{loop_}"), blocks([2, 1, 1], 40, 0));
        assert!(kinds(&report).contains(&Kind::StepLimit), "{loop_}");
        assert!(report.counters.warp_instructions < 200_000);
    }
    // What no thread can leave ends at once, with a finding that says so.
    for stuck in [
        "setp.lt.u32 %p1, %r1, 32; @%p1 bra A; bar.sync 0; bra B; A: bar.sync 1; B:",
        "bar.sync 3, 1024;",
        "setp.eq.u32 %p1, %r1, 0; @%p1 bar.sync 0, 96;",
    ] {
        let report = run(60_000, &format!("{head}{stuck}"), blocks([1; 3], 64, 0));
        assert_eq!(report.findings[0].kind, Kind::DivergentBarrier, "{stuck}");
    }
}

#[test]
fn copies_that_nobody_waits_for_are_forgotten() {
    let device = device(300_000);
    let body = ".shared .align 16 .b8 s[4096];\n.reg .b32 %r<8>;\n.reg .b64 %l<4>;\nld.param.u64 %l1, [x];\nmov.u32 %r1, %tid.x;\nmov.u32 %r2, s;\n\
                mad.lo.u32 %r2, %r1, 4, %r2;\nA: cp.async.ca.shared.global [%r2], [%l1], 4;\ncp.async.commit_group;\nbra A;";
    let module = device.load(&text(".param .u64 x", body)).unwrap();
    let x = device.allocate(16).unwrap();
    device.write(x, &[0; 16]).unwrap();
    let arguments = Arguments::new().u64(x);
    let report = device.launch(&module.kernel("kernel").unwrap(), &blocks([1; 3], 1024, 0), arguments.bytes()).unwrap();
    assert!(kinds(&report).contains(&Kind::StepLimit));
}

#[test]
fn descriptions_of_tensors_with_any_bit_changed() {
    let device = device(400);
    let body = ".shared .align 128 .b8 s[2048];\n.shared .align 8 .b64 bar;\n.reg .b32 %r<8>;\n.reg .pred %p;\n.reg .b64 %m;\nmov.b64 %m, map;\ncvta.param.u64 %m, %m;\n\
                mov.u32 %r1, s;\nmov.u32 %r2, bar;\nmov.u32 %r3, 0;\nmbarrier.init.shared::cta.b64 [%r2], 1;\nmbarrier.arrive.expect_tx.shared::cta.b64 _, [%r2], 1024;\n\
                cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%m, {%r3, %r3}], [%r2];\n\
                W: mbarrier.try_wait.parity.shared::cta.b64 %p, [%r2], 0;\n@!%p bra W;";
    let module = device.load(&text(".param .align 64 .b8 map[128]", body)).unwrap();
    let kernel = module.kernel("kernel").unwrap();
    let address = device.allocate(4096).unwrap();
    device.write(address, &[1; 4096]).unwrap();
    let map = TensorMap {
        address,
        element_bytes: 2,
        extents: vec![64, 32],
        strides: vec![128],
        box_extents: vec![32, 16],
        swizzle: Swizzle::Bytes64,
    };
    let right = map.encode().unwrap();
    let mut sound = 0;
    for bit in 0..=8 * right.len() {
        let mut bytes = right;
        if bit > 0 {
            bytes[(bit - 1) / 8] ^= 1 << ((bit - 1) % 8);
        }
        let report =
            device.launch(&kernel, &Launch::linear(1, 1), Arguments::new().aligned(&bytes, 64).bytes()).unwrap();
        sound += usize::from(report.findings.is_empty());
        assert!(bit > 0 || report.findings.is_empty(), "{}", report.findings[0]);
    }
    assert!((1..300).contains(&sound), "{sound}");
}

#[test]
fn descriptors_of_matrices_that_point_anywhere() {
    let device = device(400);
    let sums: Vec<String> = (0..4).map(|i| format!("%f{i}")).collect();
    let body = format!(
        ".shared .align 1024 .b8 s[2048];\n.reg .b64 %l<4>;\n.reg .f32 %f<4>;\n.reg .pred %p;\nld.param.u64 %l1, [a];\nld.param.u64 %l2, [b];\n\
         wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {{{}}}, %l1, %l2, %p, 1, 1, 0, 1;",
        sums.join(", ")
    );
    let module = device.load(&text(".param .u64 a, .param .u64 b", &body)).unwrap();
    let mut random = Random(21);
    for _ in 0..200 {
        let [a, b] = [0; 2].map(|_| random.bits() << 32 | random.bits());
        let arguments = Arguments::new().u64(a).u64(b);
        let report =
            device.launch(&module.kernel("kernel").unwrap(), &blocks([1; 3], 128, 0), arguments.bytes()).unwrap();
        assert!(!report.findings.is_empty());
    }
}

#[test]
fn jumps_that_are_many_or_go_backwards() {
    // A table of many labels that many instructions jump through.
    let mut body = String::from(".reg .b32 %r<80>;\n");
    let labels = vec!["A"; 100_000].join(", ");
    writeln!(body, "T: .branchtargets {labels};\nA:").unwrap();
    (0..10_000).for_each(|_| writeln!(body, "brx.idx %r1, T;").unwrap());
    device(1 << 20).load(&text("", &body)).unwrap();
    // Parts that are entered from the last to the first.
    let mut body = String::from(".reg .b32 %r<80>;\n bra L50000;\nL0:\n ret;\n");
    (1..=50_000).for_each(|i| writeln!(body, "L{i}:\n add.u32 %r1, %r1, %r2;\n bra L{};", i - 1).unwrap());
    device(1 << 20).load(&text("", &body)).unwrap();
}
