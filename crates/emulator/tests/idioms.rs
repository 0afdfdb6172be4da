//! Common ways of writing kernels: what the checker must say about them, and what it must not.

mod common;

use common::{Bench, blocks, text};
use yuragi_emulator::{Arguments, Launch, Report, finding::Kind};

/// Launches a kernel with the address of 64 zeros as its parameter `p`, which stands in `%p`, and the thread in `%t`.
fn launched(body: &str, launch: Launch) -> (Report, Vec<u32>) {
    let head = " .reg .b64 %p; .reg .b32 %t; .reg .b32 %w<16>; .reg .f32 %f<16>; .reg .b64 %r<16>; .reg .pred %q<8>;\n \
                ld.param.u64 %p, [p]; mov.u32 %t, %tid.x;\n";
    let bench = Bench::emulated(|_| {});
    let module = bench.kernel(".param .u64 p", &format!("{head}{body}"));
    let p = bench.put(&[0_u32; 64]);
    let report = bench.launch(&module, "kernel", launch, Arguments::new().u64(p));
    (report, bench.get(p, 64))
}

fn kinds(report: &Report) -> Vec<Kind> {
    report.findings.iter().map(|finding| finding.kind).collect()
}

/// A warp reads its words, sums them by shuffles, and lane 0 writes the sum over the second word.
fn reduction(shuffles: &str) -> String {
    format!(
        " .shared .align 4 .b8 s[128]; mov.u32 %w1, s; mad.lo.u32 %w1, %t, 4, %w1; st.shared.u32 [%w1], %t; bar.sync 0;\n \
         ld.shared.u32 %w2, [%w1];\n {shuffles} setp.ne.u32 %q1, %t, 0; @%q1 bra END;\n st.shared.u32 [s+4], %w2;\nEND:\n bar.sync 0; \
         ld.shared.u32 %w4, [s+4]; mad.wide.u32 %r1, %t, 4, %p; st.global.u32 [%r1], %w4;"
    )
}

#[test]
fn a_write_after_a_reduction_by_shuffles_races_with_no_read() {
    let step = |by: u32| format!("shfl.sync.bfly.b32 %w3, %w2, {by}, 31, -1; add.u32 %w2, %w2, %w3;\n ");
    let all: String = [16, 8, 4, 2, 1].map(step).concat();
    let (report, values) = launched(&reduction(&all), blocks([1; 3], 32, 0));
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    assert_eq!(values[..32], [496; 32]);
    // Without them nothing makes lane 0 wait for the others.
    let (report, _) = launched(&reduction(""), blocks([1; 3], 32, 0));
    assert_eq!(kinds(&report), [Kind::Race]);
}

#[test]
fn a_shuffle_makes_no_write_seen() {
    let body = " .shared .align 4 .b8 s[128]; mov.u32 %w1, s; mad.lo.u32 %w2, %t, 4, %w1; st.shared.u32 [%w2], %t;\n \
        shfl.sync.bfly.b32 %w3, %t, 1, 31, -1;\n xor.b32 %w2, %w2, 4; ld.shared.u32 %w4, [%w2];";
    assert_eq!(kinds(&launched(body, blocks([1; 3], 32, 0)).0), [Kind::Race]);
}

#[test]
fn a_total_that_one_block_clears_races_with_all_that_add_to_it() {
    // Block 0 writes 0, and every block, or every other one, adds.
    for others in ["", " setp.eq.u32 %q2, %w1, 0; @%q2 bra END;\n"] {
        let body = format!(
            " mov.u32 %w1, %ctaid.x; or.b32 %w2, %w1, %t; setp.ne.u32 %q1, %w2, 0; @%q1 bra ADD;\n st.global.u32 [%p], 0;\nADD:\n{others} \
             setp.ne.u32 %q1, %t, 0; @%q1 bra END;\n red.global.add.u32 [%p], 1;\nEND:"
        );
        for _ in 0..10 {
            let (report, _) = launched(&body, blocks([8, 1, 1], 32, 0));
            assert_eq!(kinds(&report)[0], Kind::Race, "{others}");
        }
    }
}

/// 64 threads meet at a barrier in memory that expects so many.
fn meeting(expected: u32) -> String {
    format!(
        " .shared .align 8 .b64 bar; mov.u32 %w1, bar; setp.ne.u32 %q1, %t, 0; @%q1 bra READY;\n \
         mbarrier.init.shared.b64 [%w1], {expected};\nREADY:\n bar.sync 0;\n mbarrier.arrive.shared.b64 %r1, [%w1];\nWAIT:\n \
         mbarrier.test_wait.shared.b64 %q2, [%w1], %r1;\n @!%q2 bra WAIT;\n st.global.u32 [%p], 1;"
    )
}

#[test]
fn a_barrier_in_memory_that_is_never_complete_is_a_deadlock() {
    let (report, values) = launched(&meeting(64), blocks([1; 3], 64, 0));
    assert!(report.findings.is_empty() && values[0] == 1);
    let (report, _) = launched(&meeting(65), blocks([1; 3], 64, 0));
    let found = &report.findings[0];
    assert!(found.kind == Kind::Deadlock && found.note.contains("still expects 1 arrivals"), "{found}");
    assert!(found.at.instruction.starts_with("mbarrier.test_wait"), "{found}");
    assert!(report.counters.warp_instructions < 1_000_000, "{}", report.counters.warp_instructions);
    // Who waits for another block waits for good reason.
    let flag = " mov.u32 %w1, %ctaid.x; setp.eq.u32 %q1, %w1, 1; @%q1 bra SET;\nWAIT:\n ld.acquire.gpu.global.u32 %w2, [%p]; \
        setp.eq.u32 %q2, %w2, 0; @%q2 bra WAIT;\n bra END;\nSET:\n mov.u32 %w3, 0;\nSPIN:\n add.u32 %w3, %w3, 1; \
        setp.lt.u32 %q3, %w3, 300000; @%q3 bra SPIN;\n st.release.gpu.global.u32 [%p], 1;\nEND:";
    assert!(launched(flag, blocks([2, 1, 1], 1, 0)).0.findings.is_empty());
}

#[test]
fn waiting_for_a_barrier_in_memory_costs_little() {
    // Seven warps wait while the eighth computes 10,000 steps of four instructions.
    let body = " .shared .align 8 .b64 bar; mov.u32 %w1, bar; setp.ne.u32 %q1, %t, 0; @%q1 bra READY;\n \
        mbarrier.init.shared.b64 [%w1], 256;\nREADY:\n bar.sync 0;\n setp.lt.u32 %q1, %t, 224; @%q1 bra ARRIVE;\n mov.u32 %w2, 0;\nSTEP:\n \
        mul.lo.u32 %w3, %w2, %w2; add.u32 %w2, %w2, 1; setp.lt.u32 %q2, %w2, 10000; @%q2 bra STEP;\nARRIVE:\n \
        mbarrier.arrive.shared.b64 %r1, [%w1];\nWAIT:\n mbarrier.try_wait.shared.b64 %q3, [%w1], %r1;\n @!%q3 bra WAIT;";
    let (report, _) = launched(body, blocks([1; 3], 256, 0));
    assert!(report.findings.is_empty());
    assert!(report.counters.warp_instructions < 42_000, "{}", report.counters.warp_instructions);
}

#[test]
fn a_failed_assertion_tells_its_text_and_place() {
    let text = ".version 9.0\n.target sm_80\n.address_size 64\n\
        .extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 g, .param .b64 s) .noreturn;\n\
        .global .align 1 .b8 what[6] = {120, 32, 62, 32, 48, 0};\n.global .align 1 .b8 file[5] = {97, 46, 99, 117, 0};\n\
        .global .align 1 .b8 name[2] = {102, 0};\n.visible .entry kernel(.param .u64 p)\n{\n .reg .b64 %r<4>; .reg .pred %q; .reg .b32 %t;\n \
        mov.u32 %t, %tid.x; setp.ne.u32 %q, %t, 33; @%q bra END;\n mov.u64 %r1, what; cvta.global.u64 %r1, %r1; mov.u64 %r2, file; \
        cvta.global.u64 %r2, %r2;\n mov.u64 %r3, name; cvta.global.u64 %r3, %r3;\n { .param .b64 a; .param .b64 b; .param .b32 c; .param .b64 d; \
        .param .b64 e;\n st.param.b64 [a], %r1; st.param.b64 [b], %r2; st.param.b32 [c], 42; st.param.b64 [d], %r3; st.param.b64 [e], 1;\n \
        call.uni __assertfail, (a, b, c, d, e); }\nEND:\n ret;\n}\n";
    let bench = Bench::emulated(|_| {});
    let module = bench.load(text).unwrap_or_else(|error| panic!("{error}"));
    let report = bench.launch(&module, "kernel", blocks([1; 3], 64, 0), Arguments::new().u64(0));
    let found = &report.findings[0];
    assert!(found.kind == Kind::Assertion && found.at.thread == [33, 0, 0], "{found}");
    assert_eq!(found.note, "a.cu:42: f: assertion `x > 0`");
}

#[test]
fn what_is_not_known_in_one_kernel_keeps_no_other_from_being_launched() {
    // Newer than all that is known here, with an instruction, a directive and a function of the future.
    let text = ".version 11.3\n.target sm_80\n.address_size 64\n.func oracle() { .prophecy 3, {1}; ret; }\n\
        .visible .entry good(.param .u64 p) { ret; }\n.visible .entry first(.param .u64 p, .param .b8 q[24])\n{\n .reg .b32 %r<3>;\n \
        foretell.b32 %r1, %r2;\n ret;\n}\n.visible .entry second() { .future .b32 { x } ; ret; }\n\
        .visible .entry third() { call oracle; ret; }\n";
    assert!(text.parse::<yuragi_emulator::ptx::Module>().is_err());
    let bench = Bench::emulated(|_| {});
    let device = bench.device();
    let module = device.load(text).unwrap_or_else(|error| panic!("{error}"));
    let refused: Vec<_> = module.refused().map(|(name, why)| (name, why.line)).collect();
    assert_eq!(refused, [("first", 9), ("second", 12), ("third", 4)]);
    assert_eq!(module.kernels().count(), 4);
    let launch = |name: &str, bytes: usize| {
        let kernel = module.kernel(name).unwrap();
        device.launch(&kernel, &blocks([1; 3], 1, 0), &vec![0; bytes]).map_err(|error| error.to_string())
    };
    assert!(launch("good", 8).unwrap().findings.is_empty());
    assert!(launch("first", 32).unwrap_err().contains("line 9: `foretell.b32`"));
    assert_eq!(module.kernel("first").unwrap().params().len(), 2);
    assert!(launch("third", 0).unwrap_err().contains("prophecy"));
}

#[test]
fn kernels_print_what_their_formats_say() {
    let text = ".version 9.0\n.target sm_80\n.address_size 64\n\
        .extern .func (.param .b32 r) vprintf(.param .b64 a, .param .b64 b);\n\
        .global .align 1 .b8 form[16] = {37, 100, 58, 32, 37, 46, 50, 102, 32, 37, 115, 10, 0};\n\
        .global .align 1 .b8 word[4] = {121, 101, 115, 0};\n.visible .entry kernel(.param .u64 p)\n{\n .reg .b32 %w<3>; .reg .b64 %r<8>; .reg .f64 %d;\n \
        .local .align 8 .b8 room[24];\n mov.u64 %r1, room; cvta.local.u64 %r2, %r1;\n mov.u32 %w1, %tid.x; sub.s32 %w1, %w1, 1; st.local.u32 [%r1], %w1;\n \
        cvt.rn.f64.s32 %d, %w1; st.local.f64 [%r1+8], %d;\n mov.u64 %r3, word; cvta.global.u64 %r3, %r3; st.local.u64 [%r1+16], %r3;\n \
        mov.u64 %r4, form; cvta.global.u64 %r4, %r4;\n { .param .b64 a; .param .b64 b; .param .b32 r; st.param.b64 [a], %r4; st.param.b64 [b], %r2;\n \
        call.uni (r), vprintf, (a, b); ld.param.b32 %w2, [r]; }\n ld.param.u64 %r5, [p]; st.global.u32 [%r5], %w2;\n ret;\n}\n";
    let bench = Bench::emulated(|_| {});
    let module = bench.load(text).unwrap_or_else(|error| panic!("{error}"));
    let p = bench.put(&[0_u32]);
    let report = bench.launch(&module, "kernel", blocks([1; 3], 3, 0), Arguments::new().u64(p));
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    assert_eq!(String::from_utf8(report.printed).unwrap(), "-1: -1.00 yes\n0: 0.00 yes\n1: 1.00 yes\n");
    assert_eq!(bench.get::<u32>(p, 1), [3]);
}

#[test]
fn an_equal_finding_is_counted() {
    // 64 threads of 2 blocks read a word that nothing wrote.
    let (report, _) = launched(" ld.global.u32 %w1, [%p+4096];", blocks([2, 1, 1], 64, 0));
    let found = &report.findings[0];
    assert!(found.kind == Kind::OutOfBounds && found.times == 128, "{found}");
    assert!(found.to_string().contains("128 times in this launch"), "{found}");
}

#[test]
fn a_warp_that_waited_for_its_group_products_may_write_what_they_read() {
    // 64×16 by 16×8, all zeros, then a lane of the first warp writes into its own rows of A.
    let body = |wait: &str| {
        format!(
            " .shared .align 128 .b8 s[4096]; mov.u32 %w1, s; mad.lo.u32 %w2, %t, 32, %w1; mov.u32 %w3, 0;\n \
             st.shared.v4.u32 [%w2], {{%w3, %w3, %w3, %w3}}; st.shared.v4.u32 [%w2+16], {{%w3, %w3, %w3, %w3}};\n \
             fence.proxy.async; bar.sync 0;\n cvt.u64.u32 %r1, %w1; shr.u64 %r1, %r1, 4; or.b64 %r2, %r1, 0x1000080000; add.u64 %r3, %r2, 128;\n \
             mov.f32 %f0, 0f00000000; mov.f32 %f1, %f0; mov.f32 %f2, %f0; mov.f32 %f3, %f0;\n wgmma.fence.sync.aligned;\n \
             wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {{%f0, %f1, %f2, %f3}}, %r2, %r3, 1, 1, 1, 0, 0;\n \
             wgmma.commit_group.sync.aligned;\n {wait}\n setp.ne.u32 %q1, %t, 1; @%q1 bra END;\n st.shared.u32 [s], %t;\nEND:"
        )
    };
    let (report, _) = launched(&body("wgmma.wait_group.sync.aligned 0;"), blocks([1; 3], 128, 0));
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    assert_eq!(kinds(&launched(&body(""), blocks([1; 3], 128, 0)).0), [Kind::Race]);
}

#[test]
fn the_blocks_of_a_cooperative_launch_meet() {
    // What `this_grid().sync()` does: all blocks count in the workspace, the address of which stands in two registers.
    let body = " .reg .b64 %p; .reg .b32 %t; .reg .b32 %w<16>; .reg .b64 %r<8>; .reg .pred %q<4>; ld.param.u64 %p, [p];\n \
        mov.u32 %w1, %envreg1; mov.u32 %w2, %envreg2; mov.b64 %r1, {%w1, %w2};\n mov.u32 %t, %ctaid.x; mad.wide.u32 %r2, %t, 4, %p;\n \
        add.u32 %w3, %t, 5; st.global.u32 [%r2], %w3;\n membar.gl; atom.global.add.u32 %w4, [%r1+4], 1;\nWAIT:\n \
        ld.volatile.global.u32 %w5, [%r1+4]; setp.lt.u32 %q1, %w5, 16; @%q1 bra WAIT;\n membar.gl;\n sub.u32 %w6, 15, %t; \
        mad.wide.u32 %r3, %w6, 4, %p; ld.global.u32 %w7, [%r3]; st.global.u32 [%r2+64], %w7;";
    let bench = Bench::emulated(|_| {});
    let device = bench.device();
    let module = device.load(&text(".param .u64 p", body)).unwrap_or_else(|error| panic!("{error}"));
    let p = bench.put(&[0_u32; 32]);
    let kernel = module.kernel("kernel").unwrap();
    let used = device.used();
    let arguments = Arguments::new().u64(p);
    let report = device.launch_cooperatively(&kernel, &blocks([16, 1, 1], 1, 0), arguments.bytes()).unwrap();
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    assert_eq!(bench.get::<u32>(p + 64, 16), (5..21).rev().collect::<Vec<u32>>());
    assert_eq!(device.used(), used);
    // In another launch there is none.
    let none = " mov.u32 %w1, %envreg1; mov.u32 %w2, %envreg2; or.b32 %w1, %w1, %w2; st.global.u32 [%p+4], %w1;";
    let (report, values) = launched(none, blocks([1; 3], 1, 0));
    assert!(report.findings.is_empty() && values[1] == 0);
}

/// The text of a kernel with functions before it.
fn with_functions(functions: &str, body: &str) -> String {
    text(".param .u64 p", body).replacen(".visible", &format!("{functions}\n.visible"), 1)
}

#[test]
fn a_barrier_in_memory_that_one_thread_forgets_is_named_with_the_thread() {
    let body = |skips: &str| {
        format!(
            " .shared .align 8 .b8 bar[8]; mov.u32 %w1, bar; setp.ne.u32 %q1, %t, 0; @%q1 bra A;\n \
             mbarrier.init.shared.b64 [%w1], 64;\nA:\n bar.sync 0;\n {skips}\n mbarrier.arrive.shared.b64 %r1, [%w1];\nW:\n \
             mbarrier.test_wait.shared.b64 %q3, [%w1], %r1; @!%q3 bra W;\nB:"
        )
    };
    let (report, _) = launched(&body("setp.eq.u32 %q2, %t, 5; @%q2 bra B;"), blocks([1; 3], 64, 0));
    let found = &report.findings[0];
    assert_eq!(kinds(&report), [Kind::Deadlock]);
    assert!(
        found.note.contains("1 arrivals and 0 bytes in its phase 0; not there: (5,0,0), which has exited"),
        "{found}"
    );
    let (report, _) = launched(&body("setp.ne.u32 %q2, %t, 5; @%q2 bra W;"), blocks([1; 3], 64, 0));
    assert!(
        report.findings[0].note.contains("not there: (0,0,0), (1,0,0), (2,0,0), (3,0,0) and 59 more"),
        "{}",
        report.findings[0]
    );
    assert!(launched(&body(""), blocks([1; 3], 64, 0)).0.findings.is_empty());
    // Those who wait take next to nothing while another warp works.
    let slow = " setp.lt.u32 %q2, %t, 32; @%q2 bra R; mov.u32 %w2, 0;\nL: add.u32 %w2, %w2, 1; setp.lt.u32 %q2, %w2, 100000; @%q2 bra L;\nR:";
    let (report, _) = launched(&body(slow), blocks([1; 3], 64, 0));
    assert!(report.findings.is_empty() && report.counters.warp_instructions < 310_000, "{}", report.counters);
}

#[test]
fn volatile_accesses_need_a_barrier_or_a_fence_too() {
    // A step of a scan: each thread adds its neighbour's number to its own.
    let scan = |between: &str| {
        format!(
            " .shared .align 4 .b8 s[1024]; mov.u32 %w1, s; mad.lo.u32 %w2, %t, 4, %w1; xor.b32 %w3, %w2, 512;\n \
             st.volatile.shared.u32 [%w2], %t; bar.sync 0; ld.volatile.shared.u32 %w4, [%w3];\n {between}\n \
             st.volatile.shared.u32 [%w2], %w4;"
        )
    };
    let (report, _) = launched(&scan(""), blocks([1; 3], 256, 0));
    assert!(!report.findings.is_empty() && report.findings.iter().all(|f| f.kind == Kind::Race));
    assert!(launched(&scan("bar.sync 0;"), blocks([1; 3], 256, 0)).0.findings.is_empty());
    // A flag that is raised after a fence is no race, and orders what was written before it.
    let flag = |fence: &str| {
        format!(
            " mov.u32 %w1, %ctaid.x; setp.ne.u32 %q1, %w1, 0; @%q1 bra B;\n st.global.u32 [%p+8], 5; {fence} st.volatile.global.u32 [%p], 1;\n \
             bra END;\nB: ld.volatile.global.u32 %w2, [%p]; setp.eq.u32 %q1, %w2, 0; @%q1 bra B;\n {fence} ld.global.u32 %w3, [%p+8];\nEND:"
        )
    };
    assert!(launched(&flag("membar.gl;"), blocks([2, 1, 1], 1, 0)).0.findings.is_empty());
    assert!(!launched(&flag(""), blocks([2, 1, 1], 1, 0)).0.findings.is_empty());
}

#[test]
fn a_total_that_one_block_sets_races_with_what_others_add() {
    // Block 0 sets it by one thread; after a barrier another one of its threads adds, as those of all blocks do.
    let body = |others: &str| {
        format!(
            " mov.u32 %w1, %ctaid.x; or.b32 %w2, %t, %w1; setp.ne.u32 %q1, %w2, 0; @%q1 bra A;\n st.global.u32 [%p], %w2;\nA: bar.sync 0;\n \
             {others}\n setp.ne.u32 %q2, %t, 40; @%q2 bra END; atom.global.add.u32 %w5, [%p], 1;\nEND:"
        )
    };
    for _ in 0..20 {
        let (report, _) = launched(&body(""), blocks([8, 1, 1], 64, 0));
        assert_eq!(kinds(&report), [Kind::Race], "found each time");
    }
    let own = " setp.ne.u32 %q2, %w1, 0; @%q2 bra END;";
    assert!(launched(&body(own), blocks([8, 1, 1], 64, 0)).0.findings.is_empty());
}

#[test]
fn the_shared_memory_that_cuda_keeps_is_there() {
    let body = " .shared .align 4 .b8 s[40]; mov.u32 %w1, %reserved_smem_offset_1; mov.u32 %w2, %reserved_smem_offset_begin;\n \
        mov.u32 %w3, %reserved_smem_offset_end; ld.shared.u32 %w4, [%w1]; atom.shared.add.u32 %w5, [%w1], 3; ld.shared.u32 %w5, [%w3+-4];\n \
        mov.u32 %w6, s; st.shared.u32 [%w6+36], 7; st.global.u32 [%p], %w2; st.global.u32 [%p+4], %w3; st.global.u32 [%p+8], %w4;";
    let (report, values) = launched(body, Launch { shared_bytes: 100, ..blocks([1; 3], 1, 0) });
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    assert!(values[0] >= 140 && values[1] == values[0] + 1024 && values[2] == 0);
}

#[test]
fn kernels_allocate_and_free() {
    let heap = ".extern .func (.param .b64 r) malloc(.param .b64 n);\n.extern .func free(.param .b64 a);";
    let malloc = |bytes: &str, to: &str| {
        format!(
            "{{ .param .b64 n; .param .b64 a; st.param.b64 [n], {bytes}; call.uni (a), malloc, (n); ld.param.b64 {to}, [a]; }}\n"
        )
    };
    let free = |from: &str| format!("{{ .param .b64 a; st.param.b64 [a], {from}; call.uni free, (a); }}\n");
    let head =
        " .reg .b64 %p; .reg .b32 %w<4>; .reg .b64 %r<4>; .reg .b32 %t;\n ld.param.u64 %p, [p]; mov.u32 %t, %tid.x;\n";
    let run = |body: &str| {
        let bench = Bench::emulated(|_| {});
        let module =
            bench.load(&with_functions(heap, &format!("{head}{body}"))).unwrap_or_else(|error| panic!("{error}"));
        let p = bench.put(&[0_u32; 64]);
        let report = bench.launch(&module, "kernel", blocks([4, 1, 1], 64, 0), Arguments::new().u64(p));
        (report, bench.get::<u32>(p, 64))
    };
    // Each thread writes its own piece, reads it, and gives it back for another to use.
    let sound = malloc("20", "%r1")
        + " st.u32 [%r1+16], %t; ld.u32 %w1, [%r1+16]; mad.wide.u32 %r2, %t, 4, %p; atom.add.u32 %w2, [%r2], %w1;\n";
    let (report, values) = run(&(sound + &free("%r1") + &free("0")));
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    assert_eq!(values, (0..64).map(|t| 4 * t).collect::<Vec<u32>>());
    let (report, _) = run(&(malloc("20", "%r1") + " st.u32 [%r1+20], %t;"));
    assert!(report.findings[0].note.contains("0 bytes past the end of 20 bytes"), "{}", report.findings[0]);
    let (report, _) = run(&(malloc("8", "%r1") + " ld.u32 %w1, [%r1];"));
    assert_eq!(kinds(&report), [Kind::Uninitialized]);
    let (report, _) = run(&(malloc("8", "%r1") + &free("%r1") + &free("%r1")));
    assert_eq!(kinds(&report), [Kind::OutOfBounds]);
    // The address is written where it has room.
    let narrow =
        with_functions(heap, &format!("{head} {{ .param .b64 n; .param .b32 a; call.uni (a), malloc, (n); }}"));
    let refused = Bench::emulated(|_| {}).load(&narrow).err().unwrap_or_default();
    assert!(refused.contains("of 8 bytes"), "{refused}");
    // More than there is.
    let (report, values) = run(&(malloc("1099511627776", "%r1") + " cvt.u32.u64 %w1, %r1; st.global.u32 [%p], %w1;"));
    assert!(report.findings.is_empty() && values[0] == 0);
}

#[test]
fn memory_that_nothing_touches_takes_no_room() {
    let bench = Bench::emulated(|p| p.memory = 1 << 50);
    let device = bench.device();
    // More than this machine has; the ends of it are used.
    let address = device.allocate(1 << 40).unwrap();
    let last = address + (1 << 40) - 4;
    device.write(last, &7_u32.to_le_bytes()).unwrap();
    let module = bench.kernel(
        ".param .u64 p",
        " .reg .b64 %p; .reg .b32 %w; ld.param.u64 %p, [p]; ld.global.u32 %w, [%p]; add.u32 %w, %w, 1; st.global.u32 [%p], %w;",
    );
    let report = bench.launch(&module, "kernel", blocks([1; 3], 1, 0), Arguments::new().u64(last));
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    assert_eq!((bench.get::<u32>(last, 1), bench.get::<u32>(address + (1 << 39), 2)), (vec![8], vec![0, 0]));
}
