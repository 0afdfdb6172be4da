//! Texts that a GPU's assembler refuses, so that the emulator does, too.

use crate::common::{Bench, text};

#[test]
fn forms_that_no_assembler_takes_are_refused() {
    let registers = " .reg .b16 %h<4>; .reg .b32 %w<8>; .reg .b64 %r<8>; .reg .pred %p<4>;\n";
    for statement in [
        // 32 bytes at once came with sm_100.
        "ld.global.v8.b32 {%w0, %w1, %w2, %w3, %w4, %w5, %w6, %w7}, [%r0];",
        "st.global.v4.b64 [%r0], {%r1, %r2, %r3, %r4};",
        "setp.lt.f16 %p0|%p1, %h0, %h1;",
        "setp.ne.bf16 %p0|%p1, %h0, %h1;",
        "cvt.rm.relu.f16.f32 %h0, %w0;",
        "cvt.rp.satfinite.bf16.f32 %h0, %w0;",
        "cvt.rn.bf16.u8 %h0, %h1;",
        "cvt.rzi.s8.bf16 %h0, %h1;",
        "cvt.sat.s32.s16 %w0, %h0;",
        "cvt.sat.u64.u32 %r0, %w0;",
        "cvt.sat.s64.u32 %r0, %w0;",
        "cvt.sat.u32.u32 %w0, %w1;",
    ] {
        let refused = Bench::new().load(&text("", &format!("{registers} {statement}")));
        assert!(refused.is_err(), "`{statement}` is taken");
    }
    for statement in [
        "ld.global.v4.b32 {%w0, %w1, %w2, %w3}, [%r0];",
        "setp.lt.f16x2 %p0|%p1, %w0, %w1;",
        "cvt.rz.relu.f16.f32 %h0, %w0;",
        "cvt.rn.relu.satfinite.bf16.f32 %h0, %w0;",
        "cvt.rn.bf16.u16 %h0, %h1;",
        "cvt.sat.s32.u32 %w0, %w1;",
        "cvt.sat.u8.s32 %w0, %w1;",
    ] {
        let taken = Bench::new().load(&text("", &format!("{registers} {statement}")));
        assert!(taken.is_ok(), "`{statement}`: {}", taken.map(drop).unwrap_err());
    }
}
