//! Launches that begin before the one before them is over: what they touch before they wait is found.

mod common;

use common::{Bench, blocks, text};
use yuragi_emulator::{Arguments, Report, Swizzle, TensorMap, finding::Kind};

const WAIT: &str = "griddepcontrol.wait;";

/// Registers, and the address x + 4·thread in %rd2.
const HEAD: &str = "
 .reg .pred %p<4>; .reg .b32 %r<16>; .reg .b64 %rd<8>; .reg .f32 %f<8>;
 ld.param.u64 %rd1, [x];
 mov.u32 %r1, %tid.x;
 mul.wide.u32 %rd2, %r1, 4;
 add.u64 %rd2, %rd1, %rd2;
";

/// A kernel over 64 words and their block of shared memory, launched behind another.
fn launch(body: &str, threads: u32) -> (Report, u32) {
    let bench = Bench::emulated(|_| {});
    let text = text(".param .u64 x", &format!("{HEAD} {body}"));
    let line = text.lines().position(|line| line.contains("// here")).map_or(0, |at| at as u32 + 1);
    let common::Module::Emulated(module) = bench.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}")) else {
        panic!("the emulator's module");
    };
    let arguments = Arguments::new().u64(bench.put(&[7_u32; 64]));
    let kernel = module.kernel("kernel").unwrap();
    let report = bench.device().launch_dependently(&kernel, &blocks([1; 3], threads, 0), arguments.bytes()).unwrap();
    (report, line)
}

/// The launch has one finding, on the marked line, whose words hold these.
fn found(body: &str, threads: u32, words: &str) {
    let (report, line) = launch(body, threads);
    let all: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(all.len(), 1, "{body}: {}", all.join("\n"));
    let finding = &report.findings[0];
    assert_eq!((finding.kind, finding.at.line), (Kind::Dependency, line), "{finding}");
    assert!(all[0].contains(words), "{}", all[0]);
}

fn sound(body: &str, threads: u32) {
    let (report, _) = launch(body, threads);
    assert!(report.findings.is_empty(), "{body}: {}", report.findings[0]);
}

#[test]
fn global_memory_is_touched_after_the_wait() {
    let copy = "cp.async.ca.shared.global [%r2], [%rd2], 4; cp.async.wait_all;";
    let shared =
        ".shared .align 128 .b8 s[512];\n mov.u32 %r2, s;\n mul.lo.u32 %r3, %r1, 4;\n add.u32 %r2, %r2, %r3;\n";
    for (before, access, words) in [
        ("", "ld.global.u32 %r5, [%rd2];", "reads global memory before griddepcontrol.wait"),
        ("", "ld.u32 %r5, [%rd2];", "reads global memory before griddepcontrol.wait"),
        ("", "ld.global.nc.u32 %r5, [%rd2];", "reads global memory before griddepcontrol.wait"),
        ("", "ld.relaxed.gpu.global.u32 %r5, [%rd2];", "reads global memory"),
        ("", "st.global.u32 [%rd2], %r1;", "writes global memory before griddepcontrol.wait"),
        ("", "red.global.add.u32 [%rd2], 1;", "writes global memory"),
        ("", "atom.global.add.u32 %r5, [%rd2], 1;", "writes global memory"),
        (shared, copy, "reads global memory"),
    ] {
        found(&format!("{before} {access} // here\n {WAIT}"), 64, words);
        sound(&format!("{before} {WAIT}\n {access}"), 64);
    }
}

#[test]
fn each_thread_waits_for_itself() {
    let half = "setp.lt.u32 %p1, %r1, 8;\n @%p1 griddepcontrol.wait;\n";
    found(&format!("{half} ld.global.u32 %r5, [%rd2]; // here"), 32, "24 times in this launch");
    found(&format!("{half} @!%p1 ld.global.u32 %r5, [%rd2]; // here"), 20, "12 times in this launch");
    sound(&format!("{half} @%p1 ld.global.u32 %r5, [%rd2];"), 32);
    // Of another warp, too.
    let warp = "setp.lt.u32 %p1, %r1, 32;\n @%p1 griddepcontrol.wait;\n bar.sync 0;\n";
    found(&format!("{warp} st.global.u32 [%rd2], %r1; // here"), 64, "thread (32,0,0)");
}

#[test]
fn what_is_not_global_need_not_wait() {
    let shared = ".shared .b8 s[256];\n .local .b8 l[4];\n mov.u32 %r2, s;\n mul.lo.u32 %r3, %r1, 4;\n add.u32 %r2, %r2, %r3;\n \
                  st.shared.u32 [%r2], %r1;\n bar.sync 0;\n ld.shared.u32 %r4, [%r2];\n mov.u32 %r6, l;\n \
                  st.local.u32 [%r6], %r4;\n griddepcontrol.launch_dependents;\n";
    sound(&format!("{shared} {WAIT}\n st.global.u32 [%rd2], %r4;"), 64);
}

#[test]
fn constants_need_not_wait() {
    let bench = Bench::emulated(|_| {});
    let text = ".version 9.0\n.target sm_90\n.address_size 64\n.const .align 4 .b32 c[2] = {3, 4};\n.visible .entry k(.param \
                .u64 x)\n{\n .reg .b64 %rd<4>; .reg .b32 %r<4>;\n ld.const.u32 %r1, [c+4];\n mov.u64 %rd2, c;\n \
                cvta.const.u64 %rd2, %rd2;\n ld.u32 %r2, [%rd2];\n add.u32 %r1, %r1, %r2;\n ld.param.u64 %rd1, [x];\n \
                griddepcontrol.wait;\n st.global.u32 [%rd1], %r1;\n ret;\n}\n";
    let module = bench.device().load(text).unwrap();
    let at = bench.put(&[0_u32]);
    let (kernel, arguments) = (module.kernel("k").unwrap(), Arguments::new().u64(at));
    let report = bench.device().launch_dependently(&kernel, &blocks([1; 3], 1, 0), arguments.bytes()).unwrap();
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    assert_eq!(bench.get::<u32>(at, 1), [7]);
}

#[test]
fn bulk_copies_and_boxes_wait_too() {
    let barrier = ".shared .align 128 .b8 s[256];\n .shared .align 8 .b64 bar;\n mov.u32 %r2, bar;\n mov.u32 %r3, s;\n \
                   mbarrier.init.shared::cta.b64 [%r2], 1;\n fence.mbarrier_init.release.cluster;\n \
                   mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r2], 256;\n";
    let done = "A:\n mbarrier.try_wait.parity.shared::cta.b64 %p1, [%r2], 0;\n @!%p1 bra A;\n";
    let load = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r3], [%rd1], 256, [%r2];";
    found(&format!("{barrier} {load} // here\n {done} {WAIT}"), 1, "reads global memory before griddepcontrol.wait");
    sound(&format!("{barrier} {WAIT}\n {load}\n {done}"), 1);

    let bench = Bench::emulated(|_| {});
    let map = TensorMap {
        element_bytes: 4,
        address: bench.put(&[7_u32; 64]),
        extents: vec![8, 8],
        strides: vec![32],
        box_extents: vec![8, 8],
        swizzle: Swizzle::None,
    };
    let described = bench.tensor(&map);
    let tensor = "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r3], [%rd2, {%r5, %r5}], [%r2];";
    let run = |body: &str| {
        let head = " .reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %rd<4>;\n mov.b64 %rd1, map;\n cvta.param.u64 %rd2, %rd1;\n mov.u32 %r5, 0;\n";
        let text = text(".param .align 64 .b8 map[128]", &format!("{head} {body}"));
        let module = bench.device().load(&text).unwrap();
        let (kernel, arguments) = (module.kernel("kernel").unwrap(), Arguments::new().aligned(&described, 64));
        let launched = bench.device().launch_dependently(&kernel, &blocks([1; 3], 1, 0), arguments.bytes());
        launched.unwrap().findings
    };
    let early = run(&format!("{barrier} {tensor}\n {done} {WAIT}"));
    assert_eq!(early.len(), 1, "{early:?}");
    assert!(early[0].kind == Kind::Dependency && early[0].note.starts_with("reads global memory"), "{}", early[0]);
    let late = run(&format!("{barrier} {WAIT}\n {tensor}\n {done}"));
    assert!(late.is_empty(), "{}", late[0]);
}

#[test]
fn a_launch_of_which_no_thread_waits_is_found() {
    let (report, _) = launch("mov.u32 %r2, 1;", 64);
    assert_eq!(report.findings.len(), 1);
    let words = report.findings[0].to_string();
    assert!(words.contains("no thread executes griddepcontrol.wait"), "{words}");
    // One that waits holds back the end of all.
    sound(&format!("setp.eq.u32 %p1, %r1, 40;\n @%p1 {WAIT}"), 64);
}

#[test]
fn other_launches_need_not_wait() {
    let bench = Bench::emulated(|_| {});
    let module = bench.kernel(".param .u64 x", &format!("{HEAD} ld.global.u32 %r5, [%rd2];"));
    bench.run(&module, "kernel", blocks([1; 3], 32, 0), Arguments::new().u64(bench.put(&[7_u32; 32])));
}
