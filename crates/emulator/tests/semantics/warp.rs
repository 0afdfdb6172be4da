//! What lanes of a warp do together: shuffles, votes, matches, reductions, elections.

use yuragi_emulator::{Arguments, finding::Kind};

use crate::{
    common::{Bench, blocks, needs_the_emulator},
    table::noise,
};

/// Runs one warp with `%t` the lane, `%a` and `%b` its words of two tables, and `%d` its result.
fn lanes(statements: &str, a: &[u32], b: &[u32]) -> Vec<u32> {
    let body = format!(
        " .reg .b64 %l<8>; .reg .b64 %out; .reg .b32 %t; .reg .b32 %a; .reg .b32 %b; .reg .b32 %d; .reg .b32 %w<8>; .reg .pred %p<8>;\n \
         ld.param.u64 %l1, [a];\n ld.param.u64 %l2, [b];\n ld.param.u64 %out, [out];\n mov.u32 %t, %ctaid.x;\n mov.u32 %w1, %tid.x;\n \
         mad.lo.u32 %t, %t, 32, %w1;\n mad.wide.u32 %l1, %t, 4, %l1;\n mad.wide.u32 %l2, %t, 4, %l2;\n mad.wide.u32 %out, %t, 4, %out;\n \
         ld.global.u32 %a, [%l1];\n ld.global.u32 %b, [%l2];\n mov.u32 %t, %laneid;\n{statements}\n st.global.u32 [%out], %d;"
    );
    assert!(a.len() == b.len() && a.len().is_multiple_of(32));
    let bench = Bench::new();
    let module = bench.kernel(".param .u64 a, .param .u64 b, .param .u64 out", &body);
    let (pa, pb, out) = (bench.put(a), bench.put(b), bench.put(&vec![0_u32; a.len()]));
    bench.run(&module, "kernel", blocks([a.len() as u32 / 32, 1, 1], 32, 0), Arguments::new().u64(pa).u64(pb).u64(out));
    bench.get(out, a.len())
}

fn words(seed: u64, count: usize) -> Vec<u32> {
    noise(seed, count).into_iter().map(|x| (x >> 16) as u32).collect()
}

/// The lane that a shuffle reads, if it is in range (PTX ISA, `shfl.sync`).
fn source(mode: &str, lane: u32, b: u32, c: u32) -> Option<u32> {
    let (b, clamp, segment) = (b & 31, c & 31, c >> 8 & 31);
    let most = lane & segment | clamp & !segment;
    let least = lane & segment;
    let (from, inside) = match mode {
        "up" => (lane as i32 - b as i32, lane as i32 - b as i32 >= most as i32),
        "down" => ((lane + b) as i32, lane + b <= most),
        "bfly" => ((lane ^ b) as i32, lane ^ b <= most),
        _ => ((least | b & !segment) as i32, least | b & !segment <= most),
    };
    inside.then_some(from as u32)
}

#[test]
fn shuffles_of_every_mode_clamp_and_segment() {
    // Every clamp with every segment mask, 32 lanes each; b is noise, with bits above the fifth.
    let controls: Vec<u32> = (0..32).flat_map(|segment| (0..32).map(move |clamp| segment << 8 | clamp)).collect();
    let c: Vec<u32> = controls.iter().flat_map(|&c| [c | 0xe0e0_e0e0; 32]).collect();
    let b = words(1, c.len());
    for mode in ["up", "down", "bfly", "idx"] {
        let value = lanes(
            &format!(
                "mad.lo.u32 %w1, %t, 17, 5; shfl.sync.{mode}.b32 %d|%p1, %w1, %b, %a, 0xffffffff; @%p1 or.b32 %d, %d, 0x80000000;"
            ),
            &c,
            &b,
        );
        for (i, got) in value.iter().enumerate() {
            let lane = i as u32 % 32;
            let from = source(mode, lane, b[i], c[i]);
            let want = (from.unwrap_or(lane) * 17 + 5) | if from.is_some() { 0x8000_0000 } else { 0 };
            assert_eq!(*got, want, "{mode} of lane {lane} by {:#x} with {:#x}", b[i], c[i]);
        }
    }
}

#[test]
fn shuffles_as_they_are_written() {
    let a: Vec<u32> = (100..132).collect();
    let zero = [0; 32];
    let shuffled = |text: &str| lanes(&format!("shfl.sync.{text}, 0xffffffff;"), &a, &zero);
    let want = |f: &dyn Fn(u32) -> u32| (0..32).map(|lane| 100 + f(lane)).collect::<Vec<u32>>();
    assert_eq!(shuffled("up.b32 %d, %a, 1, 0"), want(&|lane| lane.saturating_sub(1)));
    assert_eq!(shuffled("down.b32 %d, %a, 16, 31"), want(&|lane| if lane < 16 { lane + 16 } else { lane }));
    assert_eq!(shuffled("bfly.b32 %d, %a, 3, 31"), want(&|lane| lane ^ 3));
    assert_eq!(shuffled("idx.b32 %d, %a, 7, 31"), want(&|_| 7));
    // Width 8: the lane 9 of an index is the second of each eight.
    assert_eq!(shuffled("idx.b32 %d, %a, 9, 0x181f"), want(&|lane| lane & 24 | 1));
    // What lanes below a mask's do is theirs.
    let half = "setp.lt.u32 %p1, %t, 16; mov.u32 %d, 7; @!%p1 shfl.sync.bfly.b32 %d, %a, 1, 31, 0xffff0000;";
    assert_eq!(
        lanes(half, &a, &zero),
        (0..32).map(|lane| if lane < 16 { 7 } else { 100 + (lane ^ 1) }).collect::<Vec<_>>()
    );
}

/// Masks, each with the lanes that it has; the other lanes use the mask's complement.
const MASKS: [u32; 6] = [0xffff_ffff, 0x0000_ffff, 0x5555_5555, 0x8000_0001, 0x0000_0001, 0x7f00_3c5a];

fn own_mask(mask: u32, lane: u32) -> u32 {
    if mask >> lane & 1 == 1 { mask } else { !mask }
}

/// Runs an instruction with `MASK` once in parts that diverge, and once where all lanes come together with the two
/// masks; `want` gives what a lane gets from its mask.
fn in_parts(instruction: &str, a: &[u32], want: impl Fn(&[u32], u32, u32) -> u32) {
    for mask in MASKS {
        let own: Vec<u32> = (0..a.len() as u32).map(|i| own_mask(mask, i % 32)).collect();
        let apart = format!(
            "setp.eq.u32 %p7, %b, {mask}; @%p7 bra A; {} bra END;\nA: {}\nEND:",
            instruction.replace("MASK", &format!("{}", !mask)),
            instruction.replace("MASK", &format!("{mask}"))
        );
        let together = instruction.replace("MASK", "%b");
        for statements in [apart, together] {
            let got = lanes(&statements, a, &own);
            for (i, got) in got.iter().enumerate() {
                let (warp, lane) = (i / 32, i as u32 % 32);
                let want = want(&a[32 * warp..32 * warp + 32], own[i], lane);
                assert_eq!(*got, want, "`{statements}` with {:#010x} in lane {lane}", own[i]);
            }
        }
    }
}

/// The lanes of a mask for which a test of their word holds.
fn those(words: &[u32], mask: u32, test: impl Fn(u32) -> bool) -> u32 {
    words.iter().zip(0..).map(|(&word, lane)| u32::from(test(word)) << lane & mask).sum()
}

#[test]
fn votes() {
    let mut a = words(2, 32 * 6);
    a[..32].fill(1);
    a[32..64].fill(0);
    (64..96).for_each(|i| a[i] = (0x5555_5555_u32 >> (i % 32)) & 1);
    let with =
        |vote: &str, give: &str| format!("and.b32 %w1, %a, 1; setp.ne.u32 %p1, %w1, 0; vote.sync.{vote}, MASK; {give}");
    let odd = |x: u32| x & 1 == 1;
    in_parts(&with("ballot.b32 %d, %p1", ""), &a, |w, mask, _| those(w, mask, odd));
    in_parts(&with("ballot.b32 %d, !%p1", ""), &a, |w, mask, _| mask & !those(w, mask, odd));
    let give = "selp.u32 %d, 1, 0, %p2;";
    in_parts(&with("all.pred %p2, %p1", give), &a, |w, mask, _| u32::from(those(w, mask, odd) == mask));
    in_parts(&with("any.pred %p2, %p1", give), &a, |w, mask, _| u32::from(those(w, mask, odd) != 0));
    in_parts(&with("uni.pred %p2, %p1", give), &a, |w, mask, _| {
        let votes = those(w, mask, odd);
        u32::from(votes == mask || votes == 0)
    });
    in_parts(&with("all.pred %p2, !%p1", give), &a, |w, mask, _| u32::from(those(w, mask, odd) == 0));
}

#[test]
fn matches() {
    let mut a: Vec<u32> = words(3, 32 * 4).iter().map(|x| x & 3).collect();
    a[..32].fill(9);
    in_parts("match.any.sync.b32 %d, %a, MASK;", &a, |w, mask, lane| those(w, mask, |x| x == w[lane as usize]));
    let same = |w: &[u32], mask: u32, lane: u32| those(w, mask, |x| x == w[lane as usize]) == mask;
    in_parts("match.all.sync.b32 %d|%p1, %a, MASK; @!%p1 not.b32 %d, %d;", &a, |w, mask, lane| {
        if same(w, mask, lane) { mask } else { !0 }
    });
    in_parts("match.all.sync.b32 %d, %a, MASK;", &a, |w, mask, lane| if same(w, mask, lane) { mask } else { 0 });
    // 64 bits that differ above the lowest 32 alone.
    let wide = "cvt.u64.u32 %l3, %a; shl.b64 %l3, %l3, 32; or.b64 %l3, %l3, 5;";
    in_parts(&format!("{wide} match.any.sync.b64 %d, %l3, MASK;"), &a, |w, mask, lane| {
        those(w, mask, |x| x == w[lane as usize])
    });
}

#[test]
fn reductions() {
    let a = words(4, 32 * 4);
    type Fold = fn(u32, u32) -> u32;
    let operations: [(&str, Fold); 9] = [
        ("add.u32", u32::wrapping_add),
        ("add.s32", u32::wrapping_add),
        ("min.u32", u32::min),
        ("max.u32", u32::max),
        ("min.s32", |x, y| (x as i32).min(y as i32) as u32),
        ("max.s32", |x, y| (x as i32).max(y as i32) as u32),
        ("and.b32", |x, y| x & y),
        ("or.b32", |x, y| x | y),
        ("xor.b32", |x, y| x ^ y),
    ];
    for (name, f) in operations {
        in_parts(&format!("redux.sync.{name} %d, %a, MASK;"), &a, |w, mask, _| {
            (0..32).filter(|lane| mask >> lane & 1 == 1).map(|lane| w[lane]).reduce(f).unwrap()
        });
    }
}

#[test]
fn elections_and_active_lanes() {
    for mask in MASKS {
        let a = vec![0; 32];
        let own: Vec<u32> = (0..32).map(|lane| own_mask(mask, lane)).collect();
        let leaders = lanes("elect.sync %d|%p1, %b;", &a, &own);
        let elected = lanes("elect.sync _|%p1, %b; selp.u32 %d, 1, 0, %p1;", &a, &own);
        for lane in 0..32 {
            // The same leader for all lanes of a mask, one of them, and only it is elected.
            let leader = leaders[lane as usize];
            assert!(own[lane as usize] >> leader & 1 == 1);
            assert!((0..32).all(|other| own[other] != own[lane as usize] || leaders[other] == leader));
            assert_eq!(elected[lane as usize], u32::from(leader == lane));
        }
        let active = lanes(&format!("setp.eq.u32 %p1, %b, {mask}; mov.u32 %d, 0; @%p1 activemask.b32 %d;"), &a, &own);
        for lane in 0..32_u32 {
            let held = mask >> lane & 1 == 1;
            assert!(if held {
                active[lane as usize] >> lane & 1 == 1 && active[lane as usize] & !mask == 0
            } else {
                active[lane as usize] == 0
            });
        }
    }
    let masks = "mov.u32 %w1, %lanemask_lt; mov.u32 %w2, %lanemask_le; mov.u32 %w3, %lanemask_gt; mov.u32 %w4, %lanemask_ge; \
                 mov.u32 %w5, %lanemask_eq; and.b32 %w1, %w1, 0x11111111; and.b32 %w2, %w2, 0x22222222; and.b32 %w3, %w3, 0x44444444; \
                 and.b32 %w4, %w4, 0x88888888; or.b32 %d, %w1, %w2; or.b32 %d, %d, %w3; or.b32 %d, %d, %w4; xor.b32 %d, %d, %w5;";
    let got = lanes(masks, &[0; 32], &[0; 32]);
    for (lane, got) in (0..32_u32).zip(got) {
        let below = |test: &dyn Fn(u32) -> bool| those(&(0..32).collect::<Vec<_>>(), !0, test);
        let parts = [
            (below(&|l| l < lane), 0x1111_1111),
            (below(&|l| l <= lane), 0x2222_2222),
            (below(&|l| l > lane), 0x4444_4444),
            (below(&|l| l >= lane), 0x8888_8888_u32),
        ];
        assert_eq!(got, parts.iter().fold(0, |all, (part, keep)| all | part & keep) ^ 1 << lane);
    }
}

#[test]
fn lanes_that_never_come_and_lanes_outside_of_their_mask() {
    if needs_the_emulator("lanes that are waited for in vain") {
        return;
    }
    for (body, lanes) in [
        (
            " .reg .pred %p; .reg .b32 %w<3>; mov.u32 %w1, %laneid; setp.lt.u32 %p, %w1, 4; @%p bar.warp.sync 0xff;",
            "0x000000f0",
        ),
        (" .reg .pred %p; .reg .b32 %w<3>; vote.sync.ballot.b32 %w1, %p, 0xffff;", "0xffff0000"),
    ] {
        let bench = Bench::new();
        let report = bench.launch(&bench.kernel("", body), "kernel", blocks([1; 3], 32, 0), Arguments::new());
        let found = &report.findings[0];
        assert!(found.kind == Kind::DivergentWarp && found.note.contains(lanes), "{found}");
    }
    // Lanes that have exited are not waited for.
    let body = " .reg .pred %p; .reg .b32 %w<3>; mov.u32 %w1, %laneid; setp.lt.u32 %p, %w1, 4; @%p exit; bar.warp.sync 0xffffffff;";
    let bench = Bench::new();
    bench.run(&bench.kernel("", body), "kernel", blocks([1; 3], 32, 0), Arguments::new());
}
