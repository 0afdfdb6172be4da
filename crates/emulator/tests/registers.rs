//! Kernels of many registers, which share places, do what they do where each has its own.

mod common;

use std::fmt::Write;

use common::{Bench, blocks};
use yuragi_emulator::Arguments;

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// A kernel with guards, jumps forward on some lanes, loops, and reads of what nothing wrote; each thread stores what
/// it saw. Where it calls a function, its registers stay apart.
fn kernel(seed: u64, calls: bool) -> String {
    const SECTIONS: u64 = 12;
    let mut n = Numbers(seed);
    let registers = 70 + n.below(130);
    let mut text = format!(
        ".version 9.0\n.target sm_80\n.address_size 64\n.func nothing() {{ ret; }}\n.visible .entry kernel(.param .u64 out)\n{{\n \
         .reg .b32 %r<{registers}>; .reg .b32 %seen; .reg .b32 %t; .reg .b32 %b; .reg .b32 %count; .reg .b32 %place;\n \
         .reg .pred %p<8>; .reg .pred %again; .reg .b64 %o; .reg .b64 %at;\n mov.u32 %t, %tid.x; mov.u32 %b, %ctaid.x;\n \
         mov.u32 %count, 0; mad.lo.u32 %place, %b, 64, %t; mul.lo.u32 %seen, %place, 7;\n"
    );
    for section in 0..SECTIONS {
        writeln!(text, "S{section}:").unwrap();
        for _ in 0..12 {
            let [d, a, b] = [0; 3].map(|_| n.below(registers));
            let guard = match n.below(3) {
                0 => format!("@{}%p{} ", if n.below(2) == 0 { "!" } else { "" }, n.below(8)),
                _ => String::new(),
            };
            let what = match n.below(8) {
                0 => format!("mov.u32 %r{d}, {};", n.below(1000)),
                1 => format!("add.u32 %r{d}, %r{a}, %place;"),
                2 => format!("setp.lt.u32 %p{}, %r{a}, %r{b};", n.below(8)),
                3 => format!("mul.lo.u32 %r{d}, %r{a}, %r{b};"),
                4 => format!("xor.b32 %r{d}, %r{a}, %r{b};"),
                5 => format!("sub.u32 %r{d}, %r{a}, %r{b};"),
                _ => format!("mad.lo.u32 %seen, %seen, 31, %r{a};"),
            };
            writeln!(text, " {guard}{what}").unwrap();
        }
        match n.below(3) {
            0 => writeln!(text, " @%p{} bra S{};", n.below(8), section + 1 + n.below(SECTIONS - section)).unwrap(),
            1 => writeln!(
                text,
                " add.u32 %count, %count, 1; setp.lt.u32 %again, %count, 20; @%again bra S{};",
                n.below(section + 1)
            )
            .unwrap(),
            _ => {}
        }
    }
    let call = if calls { "call.uni nothing;" } else { "" };
    writeln!(
        text,
        "S{SECTIONS}:\n ld.param.u64 %o, [out]; mad.wide.u32 %at, %place, 4, %o; st.global.u32 [%at], %seen; {call}\n ret;\n}}"
    )
    .unwrap();
    text
}

#[test]
fn registers_that_share_places_keep_their_values() {
    let mut different = Vec::new();
    for seed in 0..60 {
        let seen = [false, true].map(|calls| {
            let bench = Bench::emulated(|_| {});
            let module = bench.load(&kernel(seed, calls)).unwrap_or_else(|error| panic!("{error}"));
            let out = bench.put(&[0_u32; 192]);
            bench.run(&module, "kernel", blocks([3, 1, 1], 64, 0), Arguments::new().u64(out));
            bench.get::<u32>(out, 192)
        });
        assert_eq!(seen[0], seen[1], "seed {seed}: {}", kernel(seed, false));
        different.push(seen[0].clone());
    }
    different.dedup();
    assert_eq!(different.len(), 60, "each kernel does something of its own");
}
