//! Faults planted in small kernels: each is found, on its line, and none in the sound twin beside it.

mod common;

use common::{Bench, blocks, text};
use yuragi_emulator::{
    Arguments, Launch, Report,
    finding::{Finding, Kind},
};

/// The line of a text that holds `// here`.
fn marked(text: &str) -> u32 {
    text.lines().position(|line| line.contains("// here")).map_or(0, |at| at as u32 + 1)
}

fn launch(params: &str, body: &str, launch: Launch, arguments: impl Fn(&Bench) -> Arguments) -> (Report, u32) {
    let bench = Bench::emulated(|_| {});
    let text = text(params, body);
    let module = bench.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let report = bench.launch(&module, "kernel", launch, arguments(&bench));
    (report, marked(&text))
}

/// Runs a kernel that must give exactly one finding, on the marked line.
fn finding(params: &str, body: &str, with: Launch, arguments: impl Fn(&Bench) -> Arguments) -> Finding {
    let (report, line) = launch(params, body, with, arguments);
    let all: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(report.findings.len(), 1, "{}", all.join("\n"));
    let found = report.findings[0].clone();
    assert_eq!(found.at.line, line, "{found}");
    found
}

fn sound(params: &str, body: &str, with: Launch, arguments: impl Fn(&Bench) -> Arguments) {
    let (report, _) = launch(params, body, with, arguments);
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
}

const POINTER: &str = ".param .u64 p";

/// Registers, the address p + 4·thread in %rd2, and the thread in %r1.
const HEAD: &str = "
 .reg .pred %p<4>; .reg .b32 %r<16>; .reg .b64 %rd<8>; .reg .f32 %f<8>;
 ld.param.u64 %rd1, [p];
 mov.u32 %r1, %tid.x;
 mul.wide.u32 %rd2, %r1, 4;
 add.u64 %rd2, %rd1, %rd2;
";

/// 32 words, as many as a warp has lanes.
fn words(bench: &Bench) -> Arguments {
    Arguments::new().u64(bench.put(&[7_u32; 32]))
}

#[test]
fn a_read_past_the_end() {
    let body = |offset: u32| format!("{HEAD} ld.global.u32 %r2, [%rd2+{offset}]; // here");
    let found = finding(POINTER, &body(4), blocks([1; 3], 32, 0), words);
    assert_eq!((found.kind, found.at.thread), (Kind::OutOfBounds, [31, 0, 0]));
    assert!(found.note.contains("0 bytes past the end of the 128 bytes"), "{found}");
    assert!(!found.access.unwrap().write);
    sound(POINTER, &body(0), blocks([1; 3], 32, 0), words);
}

#[test]
fn a_write_before_the_beginning_and_one_through_a_null_pointer() {
    let body = format!("{HEAD} st.global.u32 [%rd2+-4], %r1; // here");
    let found = finding(POINTER, &body, blocks([1; 3], 1, 0), words);
    assert!(found.kind == Kind::OutOfBounds && found.access.unwrap().write && found.note.contains("before"), "{found}");
    let body = "\n .reg .b64 %rd<2>;\n mov.u64 %rd1, 0;\n st.u32 [%rd1], 1; // here";
    let found = finding("", body, blocks([1; 3], 1, 0), |_| Arguments::new());
    assert!(found.note.contains("null"), "{found}");
}

#[test]
fn shared_local_and_freed_memory_have_ends_too() {
    let body = ".shared .b8 s[64];\n .reg .b32 %r<4>;\n mov.u32 %r1, s;\n st.shared.u32 [%r1+64], 1; // here";
    assert_eq!(finding("", body, blocks([1; 3], 1, 0), |_| Arguments::new()).kind, Kind::OutOfBounds);
    let body = ".local .b8 l[8];\n .reg .b64 %r<4>;\n mov.u64 %r1, l;\n st.local.u32 [%r1+8], 1; // here";
    assert_eq!(finding("", body, blocks([1; 3], 1, 0), |_| Arguments::new()).kind, Kind::OutOfBounds);
    let body = format!("{HEAD} ld.global.u32 %r2, [%rd2]; // here");
    let freed = |bench: &Bench| {
        let address = bench.put(&[0_u32; 4]);
        bench.device().free(address).unwrap();
        Arguments::new().u64(address)
    };
    assert!(finding(POINTER, &body, blocks([1; 3], 1, 0), freed).note.contains("freed"));
}

#[test]
fn a_vector_at_a_crooked_address() {
    let body = |offset| format!("{HEAD} ld.global.v4.u32 {{%r2, %r3, %r4, %r5}}, [%rd1+{offset}]; // here");
    let found = finding(POINTER, &body(8), blocks([1; 3], 1, 0), words);
    assert!(found.kind == Kind::Misaligned && found.note.contains("16"), "{found}");
    sound(POINTER, &body(16), blocks([1; 3], 1, 0), words);
}

#[test]
fn bytes_that_nothing_wrote() {
    let body = |first: &str| {
        format!(
            ".shared .b8 s[256];\n .reg .b32 %r<4>;\n mov.u32 %r1, %tid.x;\n shl.b32 %r1, %r1, 2;\n mov.u32 %r2, s;\n \
             add.u32 %r1, %r1, %r2;\n {first}\n ld.shared.u32 %r3, [%r1]; // here"
        )
    };
    let found = finding("", &body(""), blocks([1; 3], 32, 0), |_| Arguments::new());
    assert_eq!(found.kind, Kind::Uninitialized);
    sound("", &body("st.shared.u32 [%r1], 1;"), blocks([1; 3], 32, 0), |_| Arguments::new());
    let body = format!("{HEAD} ld.global.u32 %r2, [%rd2]; // here");
    let room = |bench: &Bench| Arguments::new().u64(bench.room::<u32>(32));
    assert_eq!(finding(POINTER, &body, blocks([1; 3], 32, 0), room).kind, Kind::Uninitialized);
}

/// Every thread writes its word of shared memory and reads that of the thread 32 further on.
fn exchange(between: &str, mark: &str) -> String {
    format!(
        ".shared .b8 s[256];\n .reg .b32 %r<8>;\n mov.u32 %r1, %tid.x;\n mov.u32 %r4, s;\n shl.b32 %r2, %r1, 2;\n \
         add.u32 %r2, %r2, %r4;\n xor.b32 %r3, %r1, 32;\n shl.b32 %r3, %r3, 2;\n add.u32 %r3, %r3, %r4;\n \
         st.shared.u32 [%r2], %r1;\n bar.sync 0;\n ld.shared.u32 %r5, [%r3];\n {between}\n \
         st.shared.u32 [%r2], %r5; {mark}"
    )
}

#[test]
fn a_barrier_missing_between_reading_and_writing() {
    let (report, line) = launch("", &exchange("", "// here"), blocks([1; 3], 64, 0), |_| Arguments::new());
    // Whichever warp goes first: the other's read or write comes too late.
    assert!(
        report.findings.iter().all(|f| f.kind == Kind::Race && f.at.line != f.other.as_ref().map_or(0, |o| o.line))
    );
    let found = report.findings.iter().find(|f| f.at.line == line).unwrap();
    let other = found.other.as_ref().unwrap();
    assert!(other.instruction == "ld.shared.u32" && other.thread != found.at.thread, "{other}");
    sound("", &exchange("bar.sync 0;", ""), blocks([1; 3], 64, 0), |_| Arguments::new());
}

#[test]
fn two_writes_with_no_barrier_between() {
    let body = |second: &str| {
        format!(
            ".shared .b8 s[16];\n .reg .b32 %r<8>;\n .reg .pred %p<2>;\n mov.u32 %r1, %tid.x;\n mov.u32 %r2, s;\n \
             shr.u32 %r3, %r1, 5;\n {second}"
        )
    };
    let two = body("st.shared.u32 [%r2], %r3; // here");
    let found = finding("", &two, blocks([1; 3], 64, 0), |_| Arguments::new());
    assert!(found.kind == Kind::Race && found.access.unwrap().write && found.other.is_some(), "{found}");
    let one = body("setp.ne.u32 %p1, %r1, 33;\n @%p1 bra END;\n st.shared.u32 [%r2], %r3;\nEND:");
    sound("", &one, blocks([1; 3], 64, 0), |_| Arguments::new());
    // Lanes of one warp are not ordered either, and the same value from all is no race.
    let lanes = body("st.shared.u32 [%r2], %r1; // here");
    assert_eq!(finding("", &lanes, blocks([1; 3], 32, 0), |_| Arguments::new()).kind, Kind::Race);
    sound("", &body("st.shared.u32 [%r2], 5;"), blocks([1; 3], 64, 0), |_| Arguments::new());
}

#[test]
fn a_warp_barrier_orders_the_lanes_of_a_warp() {
    let body = |between: &str, mark: &str| {
        format!(
            ".shared .b8 s[128];\n .reg .b32 %r<8>;\n mov.u32 %r1, %tid.x;\n mov.u32 %r4, s;\n shl.b32 %r2, %r1, 2;\n \
             add.u32 %r2, %r2, %r4;\n xor.b32 %r3, %r2, 4;\n st.shared.u32 [%r2], %r1;\n {between}\n \
             ld.shared.u32 %r5, [%r3]; {mark}"
        )
    };
    assert_eq!(finding("", &body("", "// here"), blocks([1; 3], 32, 0), |_| Arguments::new()).kind, Kind::Race);
    sound("", &body("bar.warp.sync 0xffffffff;", ""), blocks([1; 3], 32, 0), |_| Arguments::new());
}

#[test]
fn barriers_that_not_all_threads_reach() {
    let body = |test: &str| {
        format!(
            ".reg .b32 %r<4>;\n .reg .pred %p<2>;\n mov.u32 %r1, %tid.x;\n {test}\n @%p1 bra END;\n \
             bar.sync 0; // here\nEND:"
        )
    };
    let half = finding("", &body("setp.ge.u32 %p1, %r1, 16;"), blocks([1; 3], 32, 0), |_| Arguments::new());
    assert!(half.kind == Kind::DivergentBarrier && half.note.contains("0xffff0000"), "{half}");
    sound("", &body("setp.ge.u32 %p1, %r1, 64;"), blocks([1; 3], 64, 0), |_| Arguments::new());
    let two = ".reg .b32 %r<4>;\n .reg .pred %p<2>;\n mov.u32 %r1, %laneid;\n setp.lt.u32 %p1, %r1, 16;\n @%p1 bra A;\n \
               bar.sync 0;\n bra B;\nA:\n bar.sync 0;\nB:";
    let (report, _) = launch("", two, blocks([1; 3], 32, 0), |_| Arguments::new());
    assert_eq!(report.findings.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::DivergentBarrier]);
    let never = ".reg .b32 %r<4>;\n .reg .pred %p<2>;\n mov.u32 %r1, %tid.x;\n setp.lt.u32 %p1, %r1, 32;\n @%p1 bra A;\n \
                 bar.sync 1;\n bra B;\nA:\n bar.sync 2; // here\nB:";
    let found = finding("", never, blocks([1; 3], 64, 0), |_| Arguments::new());
    assert!(found.kind == Kind::DivergentBarrier && found.note.contains("warp 1 waits in line"), "{found}");
}

#[test]
fn a_shuffle_that_lanes_of_its_mask_do_not_reach() {
    let body = ".reg .b32 %r<4>;\n .reg .pred %p<2>;\n mov.u32 %r1, %laneid;\n setp.ge.u32 %p1, %r1, 8;\n @%p1 bra A;\n \
                shfl.sync.idx.b32 %r2, %r1, 0, 31, 0xffffffff; // here\nA:\n bar.sync 0;";
    let (report, line) = launch("", body, blocks([1; 3], 32, 0), |_| Arguments::new());
    assert_eq!((report.findings[0].kind, report.findings[0].at.line), (Kind::DivergentWarp, line));
}

#[test]
fn blocks_that_write_what_others_read() {
    let body = |address: &str, mark: &str| {
        format!(
            "{HEAD} mov.u32 %r2, %ctaid.x;\n mul.wide.u32 %rd3, %r2, 4;\n add.u64 %rd3, %rd1, %rd3;\n \
             st.global.u32 [{address}], %r2; {mark}"
        )
    };
    let found = finding(POINTER, &body("%rd1", "// here"), blocks([4, 1, 1], 1, 0), words);
    assert!(found.kind == Kind::Race && found.other.clone().unwrap().block != found.at.block, "{found}");
    sound(POINTER, &body("%rd3", ""), blocks([4, 1, 1], 1, 0), words);
    let atomic = format!("{HEAD} red.global.add.u32 [%rd1], 1;");
    sound(POINTER, &atomic, blocks([4, 1, 1], 32, 0), words);
}

/// Every block adds a part, and the last to come sums them: sound by a fence before the atomic.
fn last_block_sums(fence: &str, mark: &str) -> String {
    format!(
        "{HEAD} mov.u32 %r2, %ctaid.x;\n mul.wide.u32 %rd3, %r2, 4;\n add.u64 %rd3, %rd1, %rd3;\n \
         st.global.u32 [%rd3+4], %r2;\n {fence}\n atom.global.add.u32 %r3, [%rd1], 1;\n \
         setp.ne.u32 %p1, %r3, 10;\n @%p1 bra END;\n ld.global.u32 %r4, [%rd1+4]; {mark}\n \
         ld.global.u32 %r5, [%rd1+8];\n ld.global.u32 %r6, [%rd1+12];\n ld.global.u32 %r7, [%rd1+16];\nEND:"
    )
}

#[test]
fn a_fence_and_an_atomic_order_blocks() {
    let arguments = |bench: &Bench| Arguments::new().u64(bench.put(&[7_u32, 0, 0, 0, 0]));
    sound(POINTER, &last_block_sums("membar.gl;", ""), blocks([4, 1, 1], 1, 0), arguments);
    let (report, line) = launch(POINTER, &last_block_sums("", "// here"), blocks([4, 1, 1], 1, 0), arguments);
    assert!(report.findings.iter().all(|f| f.kind == Kind::Race && f.at.line >= line));
    assert!(report.findings.len() >= 3, "{}", report.findings.len());
}

#[test]
fn an_asynchronous_copy_that_nobody_waits_for() {
    let body = |wait: &str, mark: &str| {
        format!(
            ".shared .align 16 .b8 s[512];\n{HEAD} mov.u32 %r2, s;\n shl.b32 %r3, %r1, 2;\n add.u32 %r2, %r2, %r3;\n \
             cp.async.ca.shared.global [%r2], [%rd2], 4;\n cp.async.commit_group;\n {wait}\n ld.shared.u32 %r4, [%r2]; {mark}"
        )
    };
    let found = finding(POINTER, &body("", "// here"), blocks([1; 3], 32, 0), words);
    assert!(found.kind == Kind::NotWaited && found.other.unwrap().instruction.starts_with("cp.async"));
    assert_eq!(
        finding(POINTER, &body("cp.async.wait_group 1;", "// here"), blocks([1; 3], 32, 0), words).kind,
        Kind::NotWaited
    );
    sound(POINTER, &body("cp.async.wait_group 0;", ""), blocks([1; 3], 32, 0), words);
    sound(POINTER, &body("cp.async.wait_all;", ""), blocks([1; 3], 32, 0), words);
}

#[test]
fn constants_and_parameters_cannot_be_written() {
    let text = ".version 9.0\n.target sm_80\n.address_size 64\n.const .u32 c = 5;\n.visible .entry kernel()\n{\n \
                .reg .b64 %rd<2>;\n mov.u64 %rd1, c;\n st.u32 [%rd1], 1;\n ret;\n}";
    let bench = Bench::emulated(|_| {});
    let module = bench.load(text).unwrap();
    let report = bench.launch(&module, "kernel", blocks([1; 3], 1, 0), Arguments::new());
    assert_eq!(report.findings[0].kind, Kind::ReadOnly);
}

/// Eight rows of 16 bytes, 128 bytes apart, read by `ldmatrix` as they were written: chunk ^ row, or chunk alone.
fn rows(swizzle: &str) -> String {
    format!(
        ".shared .align 16 .b8 s[1024];\n .reg .b32 %r<8>;\n mov.u32 %r1, %laneid;\n and.b32 %r1, %r1, 7;\n \
         shl.b32 %r2, %r1, 7;\n {swizzle}\n shl.b32 %r3, %r3, 4;\n add.u32 %r2, %r2, %r3;\n mov.u32 %r4, s;\n \
         add.u32 %r2, %r2, %r4;\n st.shared.v4.u32 [%r2], {{1, 2, 3, 4}};\n bar.warp.sync 0xffffffff;\n \
         ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%r5}}, [%r2]; // here"
    )
}

#[test]
fn a_wrong_swizzle_is_a_bank_conflict_of_its_instruction() {
    let (right, _) = launch("", &rows("mov.u32 %r3, %r1;"), blocks([1; 3], 8, 0), |_| Arguments::new());
    assert!(right.conflicts.is_empty() && right.findings.iter().all(|f| f.kind == Kind::DivergentWarp));
    let (wrong, line) = launch("", &rows("mov.u32 %r3, 0;"), blocks([1; 3], 32, 0), |_| Arguments::new());
    let conflict = wrong.conflicts.iter().find(|c| c.line == line).unwrap();
    assert_eq!((conflict.passes, conflict.least), (8, 1));
}

#[test]
fn a_trap_and_an_endless_loop_end_the_launch() {
    let found = finding("", "trap; // here", blocks([1; 3], 1, 0), |_| Arguments::new());
    assert_eq!(found.kind, Kind::Trap);
    let bench = Bench::emulated(|p| p.step_limit = 100_000);
    let module = bench.kernel("", "A:\n bra A;");
    let report = bench.launch(&module, "kernel", blocks([8, 1, 1], 64, 0), Arguments::new());
    assert_eq!(report.findings[0].kind, Kind::StepLimit);
}

#[test]
fn findings_and_counts_name_lines_of_the_source() {
    let bench = Bench::emulated(|_| {});
    let module = bench.load(include_str!("parser/texts/debug.ptx")).unwrap_or_else(|error| panic!("{error}"));
    let report = bench.launch(&module, "debug", blocks([1; 3], 1, 0), Arguments::new().u64(0));
    let found = &report.findings[0];
    assert!(found.kind == Kind::OutOfBounds && found.at.source.as_deref() == Some("debug.cu:2"), "{found}");
    assert!(found.to_string().contains(&format!("line {} (debug.cu:2): `ld.global.f32`", found.at.line)), "{found}");
    let inlined = report.lines.iter().find(|line| &*line.instruction == "add.f32").unwrap();
    assert_eq!(inlined.source.as_deref(), Some("debug.cu:1"));
    // Before the first `.loc` and without one there is none.
    let plain = finding(POINTER, "trap; // here", blocks([1; 3], 1, 0), words);
    assert_eq!(plain.at.source, None);
}
