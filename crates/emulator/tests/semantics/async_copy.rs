//! `cp.async`: which bytes come, and what fills the rest.

use yuragi_emulator::{Arguments, finding::Kind};

use crate::common::{Bench, blocks, needs_the_emulator};

/// One thread copies `bytes` with the words and operands after the number of bytes; gives the 32 bytes of shared
/// memory in which they land at 16, all 0xee before.
fn copied(cache: &str, bytes: usize, more: &str) -> Vec<u8> {
    let body = format!(
        " .shared .align 16 .b8 s[32];\n .reg .b64 %r<8>; .reg .b32 %w<4>; .reg .pred %yes; .reg .pred %no;\n \
         ld.param.u64 %r1, [x];\n ld.param.u64 %r2, [y];\n mov.u32 %w1, s;\n setp.eq.u32 %yes, %w1, %w1;\n \
         setp.ne.u32 %no, %w1, %w1;\n mov.u64 %r3, 0xeeeeeeeeeeeeeeee;\n st.shared.v2.u64 [%w1], {{%r3, %r3}};\n \
         st.shared.v2.u64 [%w1+16], {{%r3, %r3}};\n bar.sync 0;\n cp.async.{cache}.shared.global [%w1+16], [%r1], {bytes}{more};\n \
         cp.async.commit_group;\n cp.async.wait_group 0;\n bar.sync 0;\n ld.shared.v2.u64 {{%r4, %r5}}, [%w1];\n \
         st.global.v2.u64 [%r2], {{%r4, %r5}};\n ld.shared.v2.u64 {{%r4, %r5}}, [%w1+16];\n st.global.v2.u64 [%r2+16], {{%r4, %r5}};"
    );
    let bench = Bench::new();
    let module = bench.kernel(".param .u64 x, .param .u64 y", &body);
    let x = bench.put(&(1..=16).collect::<Vec<u8>>());
    let y = bench.put(&[0_u64; 4]);
    bench.run(&module, "kernel", blocks([1; 3], 1, 0), Arguments::new().u64(x).u64(y));
    bench.get(y, 32)
}

/// What must lie there after `given` of `bytes` were copied.
fn want(bytes: usize, given: usize) -> Vec<u8> {
    let place = |i: usize| match i {
        16.. if i < 16 + given => (i - 15) as u8,
        16.. if i < 16 + bytes => 0,
        _ => 0xee,
    };
    (0..32).map(place).collect()
}

#[test]
fn missing_bytes_are_zeros() {
    for (cache, bytes) in [("ca", 4), ("ca", 8), ("ca", 16), ("cg", 16)] {
        assert_eq!(copied(cache, bytes, ""), want(bytes, bytes));
        assert_eq!(copied(&format!("{cache}.L2::128B"), bytes, ""), want(bytes, bytes));
        for given in 0..=bytes {
            assert_eq!(copied(cache, bytes, &format!(", {given}")), want(bytes, given), "{given} of {bytes}");
        }
        assert_eq!(copied(cache, bytes, ", %yes"), want(bytes, 0));
        assert_eq!(copied(cache, bytes, ", %no"), want(bytes, bytes));
        assert_eq!(copied(cache, bytes, ", !%no"), want(bytes, 0));
    }
}

#[test]
fn sources_that_are_not_read_may_lie_nowhere() {
    let run = |given: u32| {
        let body = format!(
            " .shared .align 16 .b8 s[16];\n .reg .b64 %r<2>; .reg .b32 %w<4>;\n ld.param.u64 %r1, [x];\n mov.u32 %w1, s;\n \
             cp.async.ca.shared.global [%w1], [%r1], 16, {given};\n cp.async.wait_all;\n ld.shared.u32 %w2, [%w1];"
        );
        let bench = Bench::new();
        let module = bench.kernel(".param .u64 x", &body);
        let x = bench.put(&[1_u32, 2]);
        bench.launch(&module, "kernel", blocks([1; 3], 1, 0), Arguments::new().u64(x)).findings
    };
    assert!(run(8).is_empty() && run(0).is_empty());
    if needs_the_emulator("a read past an allocation") {
        return;
    }
    assert_eq!(run(9)[0].kind, Kind::OutOfBounds);
}

#[test]
fn other_sizes_are_refused() {
    if needs_the_emulator("what its messages say") {
        return;
    }
    for form in
        ["cg.shared.global [%w1], [%r1], 8", "ca.shared.global [%w1], [%r1], 2", "ca.shared.global [%w1], [%r1]"]
    {
        let text =
            crate::common::text(".param .u64 x", &format!(" .reg .b64 %r<2>; .reg .b32 %w<4>;\n cp.async.{form};"));
        let error = Bench::new().load(&text).map(drop).unwrap_err();
        assert!(error.contains("line 7") && error.contains("bytes"), "{error}");
    }
}

#[test]
fn groups_are_waited_for_in_their_order() {
    // Two groups: after all but the last is waited for, only the first may be read.
    let body = |wait: u32, read: u32| {
        format!(
            " .shared .align 16 .b8 s[32];\n .reg .b64 %r<2>; .reg .b32 %w<4>;\n ld.param.u64 %r1, [x];\n mov.u32 %w1, s;\n \
             cp.async.ca.shared.global [%w1], [%r1], 4;\n cp.async.commit_group;\n \
             cp.async.ca.shared.global [%w1+4], [%r1+4], 4;\n cp.async.commit_group;\n cp.async.wait_group {wait};\n \
             ld.shared.u32 %w2, [%w1+{read}];"
        )
    };
    let run = |wait, read| {
        let bench = Bench::new();
        let module = bench.kernel(".param .u64 x", &body(wait, read));
        let x = bench.put(&[1_u32, 2]);
        bench.launch(&module, "kernel", blocks([1; 3], 1, 0), Arguments::new().u64(x)).findings
    };
    assert!(run(0, 0).is_empty() && run(0, 4).is_empty() && run(1, 0).is_empty());
    if needs_the_emulator("copies that are not waited for") {
        return;
    }
    for (wait, read) in [(1, 4), (2, 0), (2, 4)] {
        assert_eq!(run(wait, read)[0].kind, Kind::NotWaited);
    }
}
