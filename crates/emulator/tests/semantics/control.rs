//! Branches, guards, loops, calls, returns and barriers.

use yuragi_emulator::{Arguments, finding::Kind};

use crate::{
    common::{Bench, blocks, needs_the_emulator},
    table::{check, noise, pairs, results, singles},
};

const HEAD: &str = ".version 9.0\n.target sm_90a\n.address_size 64\n";

/// Runs a kernel with `%t` the thread, `%out` the address of its word, on so many threads; gives the words.
fn words(functions: &str, statements: &str, threads: u32) -> Vec<u32> {
    let text = format!(
        "{HEAD}{functions}\n.visible .entry kernel(.param .u64 out)\n{{\n .reg .b64 %out; .reg .b64 %l<8>; .reg .b32 %t; \
         .reg .b32 %w<16>; .reg .pred %p<8>;\n ld.param.u64 %out, [out];\n mov.u32 %t, %tid.x;\n \
         mad.wide.u32 %out, %t, 4, %out;\n{statements}\n ret;\n}}\n"
    );
    let bench = Bench::new();
    let module = bench.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let out = bench.put(&vec![0_u32; threads as usize]);
    bench.run(&module, "kernel", blocks([1; 3], threads, 0), Arguments::new().u64(out));
    bench.get(out, threads as usize)
}

#[test]
fn guards_let_only_some_lanes_execute() {
    let rows = pairs(&[0, 1], &noise(1, 40));
    for (guard, on) in [("@%a", 1), ("@!%a", 0)] {
        let of = |r: &[u64]| Some(if r[0] == on { r[1] + 5 } else { r[1] });
        let rows: Vec<_> = rows.iter().map(|r| vec![r[0], r[1] >> 1]).collect();
        check(&format!("mov.u64 %d, %b; {guard} add.u64 %d, %d, 5;"), "b64", &["pred", "b64"], &rows, of);
        check(
            &format!("mov.u64 %d, %b; {guard} bra A; bra B;\nA: add.u64 %d, %d, 5;\nB:"),
            "b64",
            &["pred", "b64"],
            &rows,
            of,
        );
        check(
            &format!(
                "st.global.u64 [%at2], %b; {guard} add.u64 %b, %b, 5; {guard} st.global.u64 [%at2], %b; ld.global.u64 %d, [%at2];"
            ),
            "b64",
            &["pred", "b64"],
            &rows,
            of,
        );
        check(&format!("mov.u64 %d, 0; {guard} ld.global.u64 %d, [%at1+8];"), "b64", &["pred", "b64"], &rows, |r| {
            Some(if r[0] == on { r[1] } else { 0 })
        });
        // A guarded comparison leaves the predicate of the other lanes.
        check(
            &format!("setp.ne.u64 %d, %b, %b; {guard} setp.eq.u64 %d, %b, %b;"),
            "pred",
            &["pred", "b64"],
            &rows,
            |r| Some(u64::from(r[0] == on)),
        );
    }
}

#[test]
fn nested_branches_meet_again() {
    // Eight ways through three levels, each with its own sum; then all 32 lanes vote together.
    let got = words(
        "",
        " and.b32 %w1, %t, 1; setp.ne.u32 %p1, %w1, 0; and.b32 %w1, %t, 2; setp.ne.u32 %p2, %w1, 0; and.b32 %w1, %t, 4;\n \
         setp.ne.u32 %p3, %w1, 0; mov.u32 %w2, 0;\n @%p1 bra A1;\n add.u32 %w2, %w2, 1;\n @%p2 bra B1;\n add.u32 %w2, %w2, 10;\n \
         bra B2;\nB1:\n add.u32 %w2, %w2, 20;\n @!%p3 bra B2;\n add.u32 %w2, %w2, 300;\nB2:\n vote.sync.ballot.b32 %w3, %p2, 0x55555555;\n \
         bra A2;\nA1:\n add.u32 %w2, %w2, 2;\n @%p3 bra C1;\n add.u32 %w2, %w2, 40;\nC1:\n vote.sync.ballot.b32 %w3, %p2, 0xaaaaaaaa;\nA2:\n \
         vote.sync.ballot.b32 %w4, %p3, 0xffffffff;\n xor.b32 %w4, %w4, %w3;\n add.u32 %w2, %w2, %w4;\n st.global.u32 [%out], %w2;",
        32,
    );
    for (t, got) in (0..32_u32).zip(got) {
        let (one, two, four) = (t & 1 != 0, t & 2 != 0, t & 4 != 0);
        let sum = match (one, two, four) {
            (false, false, _) => 11,
            (false, true, false) => 21,
            (false, true, true) => 321,
            (true, _, false) => 42,
            (true, _, true) => 2,
        };
        let votes = 0xf0f0_f0f0_u32 ^ 0xcccc_cccc & if one { 0xaaaa_aaaa } else { 0x5555_5555 };
        assert_eq!(got, sum + votes, "thread {t}");
    }
}

#[test]
fn loops_with_a_count_of_their_own_in_each_lane() {
    let collatz = |mut n: u64| {
        let mut steps = 0;
        while n != 1 {
            n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
            steps += 1;
        }
        Some(steps)
    };
    let rows = singles(&(1..=700).collect::<Vec<u64>>());
    let body = ".reg .b64 %x; .reg .pred %odd; mov.u64 %d, 0;\nTOP: setp.eq.u64 %q, %a, 1; @%q bra DONE; and.b64 %x, %a, 1;\n \
        setp.eq.u64 %odd, %x, 1; @%odd bra ODD; shr.u64 %a, %a, 1; bra.uni NEXT;\nODD: mad.lo.u64 %a, %a, 3, 1;\n\
        NEXT: add.u64 %d, %d, 1; bra TOP;\nDONE:";
    check(body, "b64", &["b64"], &rows, |r| collatz(r[0]));
    // A loop in a loop, both with counts of the lane.
    let rows = pairs(&[0, 1, 2, 5, 9], &[0, 1, 3, 4, 7, 8, 30]);
    let body = ".reg .b32 %i; .reg .b32 %j; mov.u32 %d, 0; mov.u32 %i, 0;\nI: setp.ge.u32 %q, %i, %a; @%q bra IEND; mov.u32 %j, 0;\n\
        J: setp.ge.u32 %q, %j, %b; @%q bra JEND; mad.lo.u32 %d, %i, %j, %d; add.u32 %d, %d, 1; add.u32 %j, %j, 1; bra J;\n\
        JEND: add.u32 %i, %i, 1; bra I;\nIEND:";
    check(body, "b32", &["b32", "b32"], &rows, |r| {
        Some((0..r[0]).flat_map(|i| (0..r[1]).map(move |j| i * j + 1)).sum())
    });
}

#[test]
fn a_lane_that_spins_does_not_starve_the_one_that_frees_it() {
    // Lane 1 waits for a flag that lane 0 sets after the branch.
    let got = words(
        "",
        " setp.eq.u32 %p1, %t, 0;\n @%p1 bra SET;\nSPIN:\n ld.volatile.global.u32 %w1, [%out+-4];\n setp.eq.u32 %p2, %w1, 0;\n \
         @%p2 bra SPIN;\n bra END;\nSET:\n st.volatile.global.u32 [%out], 9;\n mov.u32 %w1, 8;\nEND:\n add.u32 %w1, %w1, 1;\n \
         st.volatile.global.u32 [%out], %w1;",
        2,
    );
    assert_eq!(got[0], 9);
    assert_eq!(got[1], 10);
}

#[test]
fn tables_of_branches() {
    let table = "T: .branchtargets A, B, C, B;";
    let rows = singles(&[0, 1, 2, 3, 2, 2, 0]);
    let body = format!(
        "{table}\n brx.idx %a, T;\nA: mov.u32 %d, 10; bra E;\nB: mov.u32 %d, 20; bra E;\nC: mov.u32 %d, 30;\nE:"
    );
    check(&body, "b32", &["b32"], &rows, |r| Some([10, 20, 30, 20][r[0] as usize]));
    if needs_the_emulator("an index beyond a table") {
        return;
    }
    let bench = Bench::new();
    let body = ".reg .b32 %r<2>;\n T: .branchtargets A;\n mov.u32 %r1, 1;\n brx.idx.uni %r1, T;\nA:";
    let report = bench.launch(&bench.kernel("", body), "kernel", blocks([1; 3], 1, 0), Arguments::new());
    assert_eq!(report.findings[0].kind, Kind::Jump);
}

const FUNCTIONS: &str = "
.func (.param .b32 r) twice(.param .b32 x) {
 .reg .b32 %a<3>;
 ld.param.b32 %a1, [x];
 add.u32 %a2, %a1, %a1;
 st.param.b32 [r], %a2;
 ret;
}
.func (.param .align 16 .b8 r[16]) swap(.param .align 16 .b8 x[16], .param .f64 more) {
 .reg .b64 %a<3>; .reg .f64 %f<3>;
 ld.param.v2.u64 {%a1, %a2}, [x];
 ld.param.f64 %f1, [more];
 cvt.rzi.u64.f64 %a0, %f1;
 add.u64 %a1, %a1, %a0;
 st.param.v2.u64 [r], {%a2, %a1};
 ret;
}
.func (.param .b32 r) deeper(.param .b32 x) {
 .reg .b32 %a<3>; .reg .pred %p;
 ld.param.b32 %a1, [x];
 setp.gt.u32 %p, %a1, 20;
 @%p bra LARGE;
 {
  .param .b32 in; .param .b32 out;
  st.param.b32 [in], %a1;
  call.uni (out), twice, (in);
  ld.param.b32 %a2, [out];
 }
 st.param.b32 [r], %a2;
 ret;
LARGE:
 st.param.b32 [r], 7;
 ret;
}
.func nothing() {
 ret;
}
";

fn call(function: &str, argument: &str, result: &str) -> String {
    format!(
        "{{ .param .b32 in; .param .b32 out; st.param.b32 [in], {argument}; call (out), {function}, (in); ld.param.b32 {result}, [out]; }}"
    )
}

#[test]
fn functions_take_and_give_parameters() {
    let got = words(
        FUNCTIONS,
        &format!(
            " {}\n call nothing;\n call.uni nothing, ();\n st.global.u32 [%out], %w1;",
            call("twice", "%t", "%w1")
        ),
        40,
    );
    assert_eq!(got, (0..40).map(|t| 2 * t).collect::<Vec<_>>());
    let got = words(
        FUNCTIONS,
        " cvt.u64.u32 %l1, %t; mov.u64 %l2, 1000; .param .align 16 .b8 in[16]; .param .f64 more; .param .align 16 .b8 out1[16];\n \
         st.param.v2.b64 [in], {%l1, %l2}; st.param.f64 [more], 0d4059000000000000;\n call (out1), swap, (in, more);\n \
         ld.param.u64 %l3, [out1]; ld.param.u64 %l4, [out1+8]; mad.lo.u64 %l3, %l4, 10, %l3; cvt.u32.u64 %w1, %l3; st.global.u32 [%out], %w1;",
        33,
    );
    assert_eq!(got, (0..33).map(|t| 1000 + 10 * (t + 100)).collect::<Vec<_>>());
}

#[test]
fn some_lanes_call_and_return_at_different_places() {
    let got = words(
        FUNCTIONS,
        &format!(
            " mov.u32 %w1, 1; and.b32 %w2, %t, 1; setp.ne.u32 %p1, %w2, 0;\n @%p1 bra SKIP;\n {}\nSKIP:\n \
             vote.sync.ballot.b32 %w3, %p1, 0xffffffff;\n xor.b32 %w1, %w1, %w3;\n st.global.u32 [%out], %w1;",
            call("deeper", "%t", "%w1")
        ),
        32,
    );
    for (t, got) in (0..32_u32).zip(got) {
        let value = match t {
            _ if t % 2 == 1 => 1,
            ..=20 => 2 * t,
            _ => 7,
        };
        assert_eq!(got, value ^ 0xaaaa_aaaa, "thread {t}");
    }
    // A guard on the call itself.
    let guarded = call("twice", "%t", "%w1").replace("call (", "@%p1 call (").replace("ld.param", "@%p1 ld.param");
    let got = words(
        FUNCTIONS,
        &format!(" mov.u32 %w1, 5; setp.gt.u32 %p1, %t, 3;\n {guarded}\n st.global.u32 [%out], %w1;"),
        8,
    );
    assert_eq!(got, [5, 5, 5, 5, 8, 10, 12, 14]);
}

#[test]
fn functions_by_their_address() {
    let functions = format!(
        "{FUNCTIONS}.func (.param .b32 r) thrice(.param .b32 x) {{ .reg .b32 %a<3>; ld.param.b32 %a1, [x]; mul.lo.u32 %a2, %a1, 3; \
         st.param.b32 [r], %a2; ret; }}\n.global .u64 all[2] = {{twice, thrice}};"
    );
    let got = words(
        &functions,
        " and.b32 %w1, %t, 1; mov.u64 %l1, all; mad.wide.u32 %l1, %w1, 8, %l1; ld.global.u64 %l2, [%l1];\n \
         P: .callprototype (.param .b32 _) _ (.param .b32 _);\n { .param .b32 in; .param .b32 out; st.param.b32 [in], %t;\n \
         call (out), %l2, (in), P; ld.param.b32 %w2, [out]; }\n st.global.u32 [%out], %w2;",
        32,
    );
    assert_eq!(got, (0..32).map(|t| if t % 2 == 0 { 2 * t } else { 3 * t }).collect::<Vec<_>>());
    if needs_the_emulator("a call of an invented address") {
        return;
    }
    let bench = Bench::new();
    let body = " .reg .b64 %l; mov.u64 %l, 5;\n P: .callprototype _ ();\n call %l, (), P;";
    let report = bench.launch(&bench.kernel("", body), "kernel", blocks([1; 3], 1, 0), Arguments::new());
    assert_eq!(report.findings[0].kind, Kind::Jump);
}

#[test]
fn functions_call_themselves_and_each_other() {
    // Fibonacci's numbers, with what one call gave kept across the next; and whether a number is even, by two functions.
    let one = "(.param .b32 r) NAME(.param .b32 n)";
    let functions = format!(
        ".func {fib} {{ .reg .b32 %n; .reg .b32 %a; .reg .b32 %b; .reg .pred %p; ld.param.u32 %n, [n]; setp.lt.u32 %p, %n, 2; @%p bra SMALL;\n \
         sub.u32 %a, %n, 1; {{ .param .b32 x; .param .b32 y; st.param.b32 [x], %a; call (y), fib, (x); ld.param.b32 %a, [y]; }}\n \
         sub.u32 %b, %n, 2; {{ .param .b32 x; .param .b32 y; st.param.b32 [x], %b; call (y), fib, (x); ld.param.b32 %b, [y]; }}\n \
         add.u32 %a, %a, %b; st.param.b32 [r], %a; ret;\nSMALL: st.param.b32 [r], %n; ret; }}\n.func {odd};\n\
         .func {even} {{ .reg .b32 %n; .reg .pred %p; ld.param.u32 %n, [n]; setp.eq.u32 %p, %n, 0; @%p bra END; sub.u32 %n, %n, 1;\n \
         {{ .param .b32 x; .param .b32 y; st.param.b32 [x], %n; call (y), odd, (x); ld.param.b32 %n, [y]; }} st.param.b32 [r], %n; ret;\n\
         END: st.param.b32 [r], 1; ret; }}\n.func {odd} {{ .reg .b32 %n; .reg .pred %p; ld.param.u32 %n, [n]; setp.eq.u32 %p, %n, 0; @%p bra END;\n \
         sub.u32 %n, %n, 1; {{ .param .b32 x; .param .b32 y; st.param.b32 [x], %n; call (y), even, (x); ld.param.b32 %n, [y]; }}\n \
         st.param.b32 [r], %n; ret;\nEND: st.param.b32 [r], 0; ret; }}",
        fib = one.replace("NAME", "fib"),
        even = one.replace("NAME", "even"),
        odd = one.replace("NAME", "odd"),
    );
    let body = " .reg .b64 %p; .reg .b32 %t; .reg .b32 %x; .reg .b32 %y; .reg .b64 %a; ld.param.u64 %p, [p]; mov.u32 %t, %tid.x; and.b32 %t, %t, 15;\n \
        { .param .b32 n; .param .b32 r; st.param.b32 [n], %t; call (r), fib, (n); ld.param.b32 %x, [r]; }\n \
        { .param .b32 n; .param .b32 r; st.param.b32 [n], %t; call (r), even, (n); ld.param.b32 %y, [r]; }\n \
        mad.wide.u32 %a, %t, 8, %p; st.global.v2.u32 [%a], {%x, %y};";
    let bench = Bench::new();
    let text = format!("{HEAD}{functions}\n.visible .entry kernel(.param .u64 p)\n{{\n{body}\n ret;\n}}\n");
    let module = bench.load(&text).unwrap_or_else(|error| panic!("{error}"));
    let p = bench.put(&[0_u32; 32]);
    bench.run(&module, "kernel", blocks([1; 3], 16, 0), Arguments::new().u64(p));
    let mut want = vec![[0, 1], [1, 0]];
    (2..16).for_each(|n| want.push([want[n - 1][0] + want[n - 2][0], u32::from(n % 2 == 0)]));
    assert_eq!(bench.get::<u32>(p, 32), want.concat());
}

#[test]
fn functions_that_are_not_defined_are_refused() {
    if needs_the_emulator("what its messages say") {
        return;
    }
    let load = |functions: &str, body: &str| {
        let text = format!("{HEAD}{functions}\n.visible .entry kernel()\n{{\n{body}\n ret;\n}}\n");
        match Bench::new().device().load(&text) {
            Ok(module) => module.kernel("kernel").unwrap().refusal().unwrap().to_string(),
            Err(error) => error.to_string(),
        }
    };
    let error = load(".extern .func f();", " call f;");
    assert!(error.contains("not defined"), "{error}");
}

#[test]
fn lanes_return_and_exit_one_by_one() {
    let statements = |word: &str| {
        format!(
            " st.global.u32 [%out], 1; and.b32 %w1, %t, 3; setp.eq.u32 %p1, %w1, 0; @%p1 {word};\n st.global.u32 [%out], 2; \
             setp.eq.u32 %p1, %w1, 1; @!%p1 bra ON; {word};\nON: st.global.u32 [%out], 3;"
        )
    };
    for word in ["ret", "ret.uni", "exit"] {
        assert_eq!(words("", &statements(word), 37), (0..37).map(|t| [1, 2, 3, 3][t % 4]).collect::<Vec<_>>());
    }
    // What is left of a warp still votes together, and a function's exit ends the thread.
    let function =
        ".func end() { .reg .b32 %a; .reg .pred %p; mov.u32 %a, %tid.x; setp.lt.u32 %p, %a, 8; @%p exit; ret; }";
    let got = words(
        function,
        " call end;\n setp.eq.u32 %p1, %t, %t;\n vote.sync.ballot.b32 %w1, %p1, 0xffffff00;\n st.global.u32 [%out], %w1;",
        32,
    );
    assert_eq!(got, [[0; 8].as_slice(), &[0xffff_ff00; 24]].concat());
}

#[test]
fn threads_meet_at_barriers_in_any_order() {
    // Each thread reads what its opposite wrote, three times through the same memory.
    let body = " .shared .align 4 .b8 s[512];\n .reg .b32 %s; .reg .b32 %o; mov.u32 %w1, %ntid.x; sub.u32 %w2, %w1, %t; sub.u32 %w2, %w2, 1;\n \
        mov.u32 %o, s; mad.lo.u32 %s, %t, 4, %o; mad.lo.u32 %o, %w2, 4, %o; mov.u32 %w3, %t; mov.u32 %w4, 0;\nTOP:\n \
        st.shared.u32 [%s], %w3; bar.sync 0; ld.shared.u32 %w3, [%o]; add.u32 %w3, %w3, 1; barrier.cta.sync.aligned 5;\n \
        add.u32 %w4, %w4, 1; setp.lt.u32 %p1, %w4, 3; @%p1 bra TOP;\n st.global.u32 [%out], %w3;";
    assert_eq!(words("", body, 128), (0..128).map(|t| 127 - t + 3).collect::<Vec<_>>());
}

#[test]
fn barriers_for_some_warps_and_arrivals() {
    // Warps 0 and 1 produce, 2 and 3 consume: the first only arrive, then wait for a second barrier.
    let body = " .shared .align 4 .b8 s[256];\n .reg .b32 %s; mov.u32 %s, s; and.b32 %w1, %t, 63; mad.lo.u32 %s, %w1, 4, %s;\n \
        setp.ge.u32 %p1, %t, 64; @%p1 bra CONSUME;\n st.shared.u32 [%s], %t; bar.arrive 1, 128; bar.sync 2, 128;\n \
        ld.shared.u32 %w2, [%s]; bra END;\nCONSUME:\n bar.sync 1, 128; ld.shared.u32 %w2, [%s]; bar.sync 3, 64;\n \
        add.u32 %w3, %w2, 1000; st.shared.u32 [%s], %w3; bar.arrive 2, 128;\nEND:\n st.global.u32 [%out], %w2;";
    let got = words("", body, 128);
    assert_eq!(got, (0..64).map(|t| t + 1000).chain(0..64).collect::<Vec<_>>());
}

#[test]
fn barriers_that_reduce() {
    for (threads, least) in [(64, 0), (96, 40), (40, 39), (128, 128)] {
        let body = format!(
            " setp.ge.u32 %p1, %t, {least};\n bar.red.popc.u32 %w1, 0, %p1;\n barrier.cta.red.popc.aligned.u32 %w2, 1, !%p1;\n \
             bar.red.and.pred %p2, 0, %p1;\n bar.red.or.pred %p3, 0, %p1;\n selp.u32 %w3, 10000, 0, %p2; selp.u32 %w4, 1000000, 0, %p3;\n \
             mad.lo.u32 %w1, %w2, 100, %w1; add.u32 %w1, %w1, %w3; add.u32 %w1, %w1, %w4; st.global.u32 [%out], %w1;"
        );
        let count = threads - least;
        let want = count + 100 * least + if least == 0 { 10_000 } else { 0 } + if count > 0 { 1_000_000 } else { 0 };
        assert_eq!(words("", &body, threads), vec![want; threads as usize], "{threads} {least}");
    }
    // With a count: two warps of four reduce among themselves.
    let body = " setp.lt.u32 %p1, %t, 64; mov.u32 %w1, 0; @!%p1 bra END; setp.lt.u32 %p2, %t, 10; bar.red.popc.u32 %w1, 4, 64, %p2;\nEND:\n \
        st.global.u32 [%out], %w1;";
    assert_eq!(words("", body, 128), [[10; 64], [0; 64]].concat());
}

#[test]
fn barriers_without_alignment_are_for_single_threads() {
    let body = |barrier: &str| {
        format!(
            " and.b32 %w1, %t, 1; setp.eq.u32 %p1, %w1, 0; @%p1 bra A; {barrier} 0; bra END;\nA: {barrier} 0;\nEND:\n st.global.u32 [%out], 1;"
        )
    };
    assert_eq!(words("", &body("barrier.cta.sync"), 64), [1; 64]);
    assert_eq!(words("", &body("barrier.sync"), 64), [1; 64]);
    if needs_the_emulator("a divergent barrier") {
        return;
    }
    let bench = Bench::new();
    for barrier in ["bar.sync", "barrier.sync.aligned"] {
        let head = " .reg .b64 %out; .reg .b32 %t; .reg .b32 %w<16>; .reg .pred %p<8>; ld.param.u64 %out, [p]; mov.u32 %t, %tid.x;";
        let module =
            bench.kernel(".param .u64 p", &format!("{head}{}", body(barrier).replace("st.global.u32 [%out], 1;", "")));
        let report = bench.launch(&module, "kernel", blocks([1; 3], 64, 0), Arguments::new().u64(0));
        assert_eq!(report.findings[0].kind, Kind::DivergentBarrier, "{barrier}");
    }
}

#[test]
fn the_barrier_of_a_cluster_of_one_block() {
    let body = " .shared .align 4 .b8 s[256];\n .reg .b32 %s; .reg .b32 %o; mov.u32 %o, s; mad.lo.u32 %s, %t, 4, %o; xor.b32 %w1, %t, 32;\n \
        mad.lo.u32 %o, %w1, 4, %o; st.shared.u32 [%s], %t; barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;\n \
        ld.shared.u32 %w2, [%o]; st.global.u32 [%out], %w2;";
    assert_eq!(words("", body, 64), (0..64).map(|t| t ^ 32).collect::<Vec<u32>>());
}

#[test]
fn numbers_of_barriers_and_threads_that_no_barrier_has() {
    if needs_the_emulator("barriers that are refused when they are reached") {
        return;
    }
    for barrier in ["bar.sync 16;", "bar.sync 0, 33;", "bar.sync 0, 0;", "bar.arrive 99, 32;"] {
        let bench = Bench::new();
        let report = bench.launch(&bench.kernel("", barrier), "kernel", blocks([1; 3], 32, 0), Arguments::new());
        assert_eq!(report.findings[0].kind, Kind::DivergentBarrier, "{barrier}");
    }
}

#[test]
fn the_step_limit_counts_instructions_of_warps() {
    if needs_the_emulator("the number of instructions") {
        return;
    }
    // 4 warps in each of 2 blocks execute 3 instructions before the loop of 10 · 3, and ret.
    let body = " .reg .b32 %w; .reg .pred %p;\n mov.u32 %w, 0;\n mov.u32 %w, 0;\n mov.u32 %w, 0;\nA:\n add.u32 %w, %w, 1;\n \
        setp.lt.u32 %p, %w, 10;\n @%p bra A;";
    let steps = 2 * 4 * (3 + 10 * 3 + 1);
    for (limit, kinds) in [(steps, vec![]), (steps - 1, vec![Kind::StepLimit])] {
        let bench = Bench::with(|p| p.step_limit = limit);
        let report = bench.launch(&bench.kernel("", body), "kernel", blocks([2, 1, 1], 128, 0), Arguments::new());
        assert_eq!(report.findings.iter().map(|f| f.kind).collect::<Vec<_>>(), kinds);
    }
}

#[test]
fn instructions_without_a_visible_effect() {
    let nothing = "nanosleep.u32 100; fence.acq_rel.gpu; fence.sc.cta; membar.gl; membar.cta; pmevent 3; griddepcontrol.wait; \
                   griddepcontrol.launch_dependents; mov.u64 %d, %a;";
    check(nothing, "b64", &["b64"], &singles(&noise(9, 9)), |r| Some(r[0]));
    let clocks =
        results("mov.u64 %d, %clock64; mov.u64 %a, %clock64; sub.u64 %d, %a, %d;", "b64", &["b64"], &singles(&[0; 64]));
    assert!(clocks.iter().all(|&between| between < 1000));
}
