//! Sums of tensor cores, with the bits that an H100 gave.

use std::{env, path::PathBuf};

use half::f16;
use yuragi_emulator::Arguments;

use crate::common::{Bench, blocks, noise};
use given::{BF16_F32, F16_F16, F16_F32, TF32_F32};

/// Types of D and C, A and B, the products that are summed at once, and bytes of an element of A.
#[derive(Clone, Copy)]
struct Kind {
    sum: &'static str,
    of: &'static str,
    k: usize,
    bytes: usize,
}

const F16_F32_KIND: Kind = Kind { sum: "f32", of: "f16", k: 16, bytes: 2 };
const BF16_F32_KIND: Kind = Kind { sum: "f32", of: "bf16", k: 16, bytes: 2 };
const TF32_F32_KIND: Kind = Kind { sum: "f32", of: "tf32", k: 8, bytes: 4 };
const F16_F16_KIND: Kind = Kind { sum: "f16", of: "f16", k: 16, bytes: 2 };

/// Loads register `%NAME` with the elements at some places of a lane's row or column, at `step` bytes from each other,
/// from the address in `%base`.
fn fragment(name: &str, kind: Kind, first: usize, step: usize) -> String {
    match kind.bytes {
        4 => format!(" ld.global.u32 %{name}, [%base+{}];\n", first * step),
        _ => format!(
            " ld.global.u16 %h1, [%base+{}]; ld.global.u16 %h2, [%base+{}]; mov.b32 %{name}, {{%h1, %h2}};\n",
            first * step,
            (first + 1) * step
        ),
    }
}

/// A block of a warp for each tile: A [16, k], B [k, 8], C and D [16, 8] by rows, an element of C and D in a word.
fn tiles(kind: Kind, a: &[u8], b: &[u8], c: &[u32]) -> Vec<u32> {
    let Kind { sum, of, k, bytes } = kind;
    // Elements of a lane that lie together, and the lane's first one.
    let together = 4 / bytes;
    let mut body = format!(
        " .reg .b64 %p<5>; .reg .b64 %base; .reg .b64 %row; .reg .b32 %l; .reg .b32 %g; .reg .b32 %t; .reg .b32 %n; .reg .b32 %w<16>;\n \
         .reg .b16 %h<3>; .reg .b32 %a<4>; .reg .b32 %b<2>; .reg .b32 %c<4>; .reg .b32 %d<4>;\n \
         ld.param.u64 %p1, [a]; ld.param.u64 %p2, [b]; ld.param.u64 %p3, [c]; ld.param.u64 %p4, [d];\n \
         mov.u32 %l, %laneid; shr.u32 %g, %l, 2; and.b32 %t, %l, 3; mov.u32 %n, %ctaid.x;\n \
         mad.wide.u32 %p1, %n, {}, %p1; mad.wide.u32 %p2, %n, {}, %p2; mad.wide.u32 %p3, %n, 512, %p3; mad.wide.u32 %p4, %n, 512, %p4;\n \
         mad.wide.u32 %row, %g, {}, %p1; mad.wide.u32 %base, %t, {}, %row;\n",
        16 * k * bytes,
        k * 8 * bytes,
        k * bytes,
        together * bytes
    );
    for (register, (row, depth)) in [(0, 0), (8, 0), (0, k / 2), (8, k / 2)].into_iter().enumerate() {
        body += &fragment(&format!("a{register}"), kind, row * k + depth, bytes);
    }
    body += &format!(" mad.wide.u32 %row, %g, {bytes}, %p2; mad.wide.u32 %base, %t, {}, %row;\n", together * 8 * bytes);
    (0..2).for_each(|register| body += &fragment(&format!("b{register}"), kind, register * k / 2, 8 * bytes));
    body += " shl.b32 %w0, %g, 3; mad.lo.u32 %w0, %t, 2, %w0; mad.wide.u32 %p3, %w0, 4, %p3; mad.wide.u32 %p4, %w0, 4, %p4;\n";
    let place = |i: usize| 4 * (64 * (i / 2) + i % 2);
    (0..4).for_each(|i| body += &format!(" ld.global.u32 %c{i}, [%p3+{}];\n", place(i)));
    let half = sum == "f16";
    if half {
        body += " shl.b32 %c1, %c1, 16; or.b32 %c0, %c0, %c1; shl.b32 %c3, %c3, 16; or.b32 %c1, %c2, %c3;\n";
    }
    let list = |name: &str, count: usize| {
        let all: Vec<String> = (0..count).map(|i| format!("%{name}{i}")).collect();
        format!("{{{}}}", all.join(", "))
    };
    let sums = if half { 2 } else { 4 };
    body += &format!(
        " mma.sync.aligned.m16n8k{k}.row.col.{sum}.{of}.{of}.{sum} {}, {}, {}, {};\n",
        list("d", sums),
        list("a", 4),
        list("b", 2),
        list("c", sums)
    );
    if half {
        body += " shr.u32 %d3, %d1, 16; and.b32 %d2, %d1, 0xffff; shr.u32 %d1, %d0, 16; and.b32 %d0, %d0, 0xffff;\n";
    }
    (0..4).for_each(|i| body += &format!(" st.global.u32 [%p4+{}], %d{i};\n", place(i)));
    let bench = Bench::new();
    let module = bench.kernel(".param .u64 a, .param .u64 b, .param .u64 c, .param .u64 d", &body);
    let (pa, pb, pc, pd) = (bench.put(a), bench.put(b), bench.put(c), bench.room::<u32>(c.len()));
    let arguments = Arguments::new().u64(pa).u64(pb).u64(pc).u64(pd);
    bench.run(&module, "kernel", blocks([(c.len() / 128) as u32, 1, 1], 32, 0), arguments);
    bench.get(pd, c.len())
}

/// A row of A, a column of B, C, and what an H100 gave.
type Element = (&'static [u32], &'static [u32], u32, u32);

/// Element i of a list in row and column i of a tile.
fn checked(kind: Kind, list: &[Element]) {
    let Kind { k, bytes, .. } = kind;
    let (mut a, mut b, mut c) = (vec![0; 16 * k * bytes], vec![0; k * 8 * bytes], vec![0; 128]);
    for (i, (row, column, before, _)) in list.iter().enumerate() {
        for depth in 0..k {
            a[(i * k + depth) * bytes..][..bytes].copy_from_slice(&row[depth].to_le_bytes()[..bytes]);
            b[(depth * 8 + i) * bytes..][..bytes].copy_from_slice(&column[depth].to_le_bytes()[..bytes]);
        }
        c[i * 8 + i] = *before;
    }
    let got = tiles(kind, &a, &b, &c);
    for (i, (.., want)) in list.iter().enumerate() {
        assert_eq!(got[i * 8 + i], *want, "{} to {}, element {i}: {:#x}", kind.of, kind.sum, got[i * 8 + i]);
    }
}

#[test]
fn sums_have_the_bits_of_an_h100() {
    checked(F16_F32_KIND, &F16_F32);
    checked(BF16_F32_KIND, &BF16_F32);
    checked(TF32_F32_KIND, &TF32_F32);
    checked(F16_F16_KIND, &F16_F16);
}

/// The tiles that an H100 computed: `tensor-core-h100` in `../shared/gpu`, or else in `$YURAGI_DATA/gpu`.
fn folder() -> Option<PathBuf> {
    let shared = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/gpu"));
    let data = PathBuf::from(env::var_os("YURAGI_DATA").unwrap_or_default()).join("gpu");
    [shared, data].into_iter().find(|folder| folder.join("tensor-core-h100.tgz").is_file())
}

#[test]
fn whole_tiles_have_the_bits_of_an_h100() {
    let Some(folder) = folder() else {
        println!("skipped: no tensor-core-h100.tgz in ../shared/gpu or $YURAGI_DATA/gpu");
        return;
    };
    // The archive is unpacked by the system's tar.
    let archive = folder.join("tensor-core-h100.tgz");
    let file = |name: &str| {
        let tar = std::process::Command::new("tar").arg("-xzOf").arg(&archive).arg(name).output();
        tar.ok().map(|out| out.stdout).filter(|bytes| !bytes.is_empty())
    };
    let read = |name: &str| file(name).or_else(|| file(&format!("./{name}")));
    for (kind, a, b, c, d) in [
        (F16_F32_KIND, "f16a", "f16b", "f32c", "f16_f32"),
        (BF16_F32_KIND, "bf16a", "bf16b", "f32c", "bf16_f32"),
        (TF32_F32_KIND, "tf32a", "tf32b", "f32c", "tf32_f32"),
        (F16_F16_KIND, "f16a", "f16b", "f16c", "f16_f16"),
    ] {
        let [Some(a), Some(b), Some(c), Some(want)] = [a, b, c, d].map(read) else {
            println!("skipped: the tiles cannot be unpacked");
            return;
        };
        let words = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|&w| u32::from_le_bytes(w)).collect::<Vec<_>>();
        let (got, want) = (tiles(kind, &a, &b, &words(&c)), words(&want));
        let mask = if kind.sum == "f16" { 0xffff } else { u32::MAX };
        let wrong = got.iter().zip(&want).filter(|(got, want)| (*got ^ *want) & mask != 0).count();
        assert!(got.len() == 384 * 128 && wrong == 0, "{} to {}: {wrong} of {}", kind.of, kind.sum, got.len());
    }
}

/// A warp group multiplies 64 rows of A in registers with 8 columns of B, once by `wgmma` and once by `mma`.
const BOTH: &str = " .reg .b64 %p<5>; .reg .b64 %base; .reg .b64 %row; .reg .b32 %t; .reg .b32 %l; .reg .b32 %g; .reg .b32 %q; .reg .b32 %w<8>;\n \
    .reg .b64 %r<4>; .reg .b32 %a<4>; .reg .b32 %b<2>; .reg .f32 %c<4>; .reg .f32 %d<4>; .shared .align 128 .b8 s[256];\n \
    ld.param.u64 %p1, [a]; ld.param.u64 %p2, [b]; ld.param.u64 %p3, [d];\n mov.u32 %t, %tid.x; and.b32 %l, %t, 31;\n \
    shr.u32 %g, %l, 2; and.b32 %q, %l, 3; shr.u32 %w0, %t, 5; mad.lo.u32 %w1, %w0, 16, %g;\n \
    mad.wide.u32 %row, %w1, 32, %p1; mad.wide.u32 %base, %q, 4, %row;\n \
    ld.global.u32 %a0, [%base]; ld.global.u32 %a1, [%base+256]; ld.global.u32 %a2, [%base+16]; ld.global.u32 %a3, [%base+272];\n \
    mad.wide.u32 %row, %g, 32, %p2; mad.wide.u32 %base, %q, 4, %row;\n ld.global.u32 %b0, [%base]; ld.global.u32 %b1, [%base+16];\n \
    mov.u32 %w2, s; mad.lo.u32 %w3, %g, 16, %w2; mad.lo.u32 %w3, %q, 4, %w3; st.shared.u32 [%w3], %b0; st.shared.u32 [%w3+128], %b1;\n \
    fence.proxy.async.shared::cta; bar.sync 0;\n mov.f32 %c0, 0f3E800000; mov.f32 %c1, 0fC0000000; mov.f32 %c2, 0f00000000; mov.f32 %c3, 0f45000000;\n \
    mov.f32 %d0, %c0; mov.f32 %d1, %c1; mov.f32 %d2, %c2; mov.f32 %d3, %c3;\n \
    mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%c0, %c1, %c2, %c3}, {%a0, %a1, %a2, %a3}, {%b0, %b1}, {%c0, %c1, %c2, %c3};\n \
    cvt.u64.u32 %r1, %w2; shr.u64 %r1, %r1, 4; or.b64 %r1, %r1, 0x1000080000;\n wgmma.fence.sync.aligned;\n \
    wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%d0, %d1, %d2, %d3}, {%a0, %a1, %a2, %a3}, %r1, 1, 1, 1, 0;\n \
    wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;\n mad.wide.u32 %p3, %t, 32, %p3;\n \
    st.global.v4.f32 [%p3], {%c0, %c1, %c2, %c3}; st.global.v4.f32 [%p3+16], {%d0, %d1, %d2, %d3};";

#[test]
fn products_of_warps_and_of_groups_have_the_same_bits() {
    let bench = Bench::new();
    let module = bench.kernel(".param .u64 a, .param .u64 b, .param .u64 d", BOTH);
    // Sizes from 2⁻⁸ to 2⁷ that cancel.
    let half = |seed: u64, count: usize| -> Vec<f16> {
        let scale = |i: usize| 2f32.powi((i as i32 * 7 + seed as i32) % 16 - 8);
        noise(seed, count).iter().enumerate().map(|(i, &x)| f16::from_f32(x * scale(i))).collect()
    };
    for seed in 0..4 {
        let (pa, pb, pd) =
            (bench.put(&half(seed, 64 * 16)), bench.put(&half(seed + 9, 8 * 16)), bench.room::<u32>(128 * 8));
        bench.run(&module, "kernel", blocks([1; 3], 128, 0), Arguments::new().u64(pa).u64(pb).u64(pd));
        for (thread, both) in bench.get::<u32>(pd, 128 * 8).chunks(8).enumerate() {
            assert_eq!(both[..4], both[4..], "thread {thread}");
        }
    }
}

#[rustfmt::skip]
mod given {
    use super::Element;
    pub const F16_F32: [Element; 6] = [
        (&[0x34c2, 0xaf02, 0xb505, 0xacad, 0xb851, 0xb8e6, 0xbebb, 0xa796, 0x3f62, 0x3fec, 0x3d4a, 0x39a5, 0xb969, 0x3dc5, 0xab2f, 0xac68], &[0x34de, 0x34cd, 0x3941, 0x3801, 0x3294, 0xbc02, 0xc05a, 0x3c51, 0x35f5, 0xb5ee, 0xbd4c, 0xaa43, 0x3c9b, 0xb8bf, 0x3b6b, 0xbc23], 0x3fa34fb0, 0x3fe33450),
        (&[0x3b10, 0xb3d8, 0xbd8d, 0xbb97, 0x2e73, 0x357e, 0xae0e, 0x3c04, 0x3bf1, 0x352a, 0x26e2, 0xb40c, 0x3868, 0x3b5b, 0x2bc2, 0x3733], &[0xbc83, 0x3c95, 0x3ba1, 0x344e, 0x2c89, 0xb992, 0xbe7c, 0x3a4f, 0x3785, 0x37d7, 0xb8bf, 0x36d1, 0x340c, 0x35f4, 0x3843, 0x3e4b], 0xbfa78432, 0xbfdd33ac),
        (&[0xb35f, 0xb66b, 0xbccf, 0xbd9c, 0xb9dd, 0x34df, 0x402d, 0x3c44, 0x3f59, 0x37fd, 0xaca1, 0xbd3d, 0x24a4, 0xc042, 0xb489, 0x3e95], &[0xbe10, 0xb7e3, 0x3875, 0xae8f, 0x3799, 0x279a, 0x3c8c, 0x359a, 0xc10f, 0x3d0b, 0x38c9, 0xbdd0, 0x36a6, 0x986d, 0x395e, 0x2948], 0xbed53631, 0xbe82907a),
        (&[0x3920, 0x3bdb, 0x3cab, 0xbed2, 0xb79c, 0xb025, 0xb8be, 0x3c1f, 0x39f4, 0xacf4, 0x3089, 0x3cf4, 0xb4ed, 0xb46b, 0x3b29, 0x379f], &[0xba28, 0x290f, 0x37ca, 0xbce5, 0x37d0, 0xb204, 0x39c4, 0x3e83, 0x3c92, 0x34be, 0x333e, 0xc10b, 0xbba8, 0xb841, 0x3798, 0x3a8b], 0xbddb81c9, 0x4008339b),
        (&[0x3deb, 0xbedb, 0xaad3, 0x35ee, 0x3720, 0x34a8, 0x3d2f, 0xbc64, 0xa923, 0x31a1, 0xb77d, 0xb887, 0x3d45, 0xb97b, 0xb738, 0xb3f3], &[0x3fb1, 0x3805, 0x3af1, 0xc151, 0xbb04, 0xbdd5, 0xb406, 0xb1ef, 0xb443, 0x2f97, 0xb324, 0xb1dd, 0xbb35, 0x3b10, 0x369f, 0xb5cb], 0xbdcfc783, 0xbfde132f),
        (&[0x3d45, 0xa74e, 0xbb65, 0x40c9, 0x226f, 0xb1d0, 0x3aad, 0xb8d7, 0xb3d4, 0x3a80, 0xbcb5, 0xb776, 0x3b1b, 0x3ee2, 0xaea7, 0xb01b], &[0xbccf, 0x3686, 0x36d2, 0x3cb4, 0xbcd0, 0xa191, 0x3359, 0x2352, 0x3276, 0xb870, 0xb24d, 0x3d8a, 0x36e9, 0xb97c, 0x3ab4, 0x3eb3], 0xbe61cacf, 0xbf9e9652),
    ];

    pub const BF16_F32: [Element; 6] = [
        (&[0x3fe7, 0xbe59, 0x3e76, 0x3f1b, 0xbff7, 0x3f69, 0xbfb8, 0x3b36, 0xbc42, 0x3ec5, 0x3cbb, 0xbf23, 0x3eff, 0xbef2, 0x3e00, 0x3f3a], &[0xbf08, 0x3ea5, 0x3ecd, 0x4020, 0xbef4, 0xbe24, 0x3f34, 0xbf4d, 0x3ec7, 0xbfa8, 0xbfce, 0xbf87, 0xbec7, 0xbd76, 0x3d79, 0xbf9b], 0x3db4318b, 0xbef60712),
        (&[0x3fd2, 0xbefa, 0x3eba, 0xbe82, 0xbeca, 0xbfea, 0xbe86, 0xbf67, 0xc005, 0x3f03, 0xbfe4, 0xbf44, 0x3f85, 0x3d0f, 0xbf74, 0xbf85], &[0x4000, 0x3c8e, 0x3eba, 0xbee8, 0xbd90, 0xbe71, 0x3eef, 0x3fbb, 0x3eca, 0xbf8d, 0xc01c, 0x400b, 0x3ef5, 0x3f14, 0x3f3d, 0xbf21], 0xbddb81c9, 0x40862b0a),
        (&[0x3db0, 0x3e79, 0x3f8c, 0x3e81, 0xbe98, 0xbf2c, 0xbf05, 0x3e3d, 0x3ded, 0xbea3, 0xbf37, 0xbe8b, 0xbfb6, 0xbfb1, 0xbf70, 0xbee7], &[0x4005, 0x3ea2, 0xbfe6, 0xbf42, 0xbe4b, 0xbe64, 0xbf83, 0x3ac1, 0x3e12, 0x3fac, 0xbe9d, 0xbe32, 0xbe14, 0x3f98, 0x3eee, 0x3f75], 0xbf701b4e, 0xc0918365),
        (&[0xbe15, 0xbf8f, 0x3d1b, 0x3f80, 0xbdb1, 0x3fb7, 0x3e82, 0x3f00, 0x3f3f, 0xbfb2, 0x3fa4, 0xbead, 0xbd55, 0xbf20, 0xbef2, 0x3ea9], &[0x3e11, 0xbe64, 0x3ea5, 0x3d21, 0x3f0a, 0x3f12, 0x3f77, 0xbf34, 0xbf41, 0xbf18, 0x3e61, 0xbfa8, 0x3ef4, 0x3ea3, 0x3f2f, 0x3d94], 0x3e5b7a1e, 0x3fcf8927),
        (&[0xbdd5, 0xbf7c, 0xbe24, 0xbf42, 0xc001, 0xbc87, 0xbefe, 0xbff2, 0x3f31, 0x3eb4, 0xbf7f, 0x3f97, 0xbfb0, 0xbf0c, 0x3f5b, 0x3d04], &[0x3f71, 0x3fac, 0xbeb8, 0xbba9, 0x3ec9, 0x3f50, 0xc027, 0x4000, 0x3c15, 0xbf4a, 0xbf6c, 0xbfac, 0x3eff, 0x3eb2, 0x3f45, 0xbf85], 0x3d4a2a28, 0xc0b94318),
        (&[0xbdad, 0xbea9, 0x3ff3, 0xbf1f, 0x4017, 0x3ea7, 0x3fc4, 0x3cfa, 0xbe52, 0x3e22, 0xbf78, 0x3f92, 0xbfb7, 0x3e6a, 0xbf0e, 0xbe89], &[0xbd93, 0xbfde, 0x3f5a, 0x3f96, 0xbe34, 0x3f57, 0xbca7, 0xbd78, 0xbe69, 0x3eeb, 0xbe9f, 0xc002, 0xbf99, 0xbf8a, 0xbe78, 0xbfd9], 0x3ef1e2e3, 0x3ff5b72a),
    ];

    pub const TF32_F32: [Element; 6] = [
        (&[0xbdb0c000, 0xbffb6000, 0xbf4a4000, 0xbe39e000, 0x3fd18000, 0x3c2b2000, 0xbe1d2000, 0xbff90000], &[0x3e9d6000, 0xbf212000, 0x3f920000, 0x3d27e000, 0x3e19a000, 0x3fd2a000, 0xbfa90000, 0xbebf0000], 0x3fa34fb0, 0x40312422),
        (&[0x3fa4e000, 0x3f398000, 0xbfb34000, 0xbee60000, 0xbe058000, 0x3f78c000, 0xbf816000, 0x3edb8000], &[0xbec6a000, 0xbd9b2000, 0xbf208000, 0xbf196000, 0x3f298000, 0xbf618000, 0xbe45e000, 0x3f828000], 0x3db4318b, 0x3ebdc9d2),
        (&[0xbe1da000, 0xbf8a2000, 0x3f268000, 0xbf8ca000, 0xbdf1e000, 0x3f16a000, 0xbeaa6000, 0xbe880000], &[0x3e3fc000, 0xbf7c0000, 0xbfa38000, 0xbf276000, 0xbf544000, 0x3e78c000, 0xbd898000, 0x3e77e000], 0x3f2cfdef, 0x3fe5d591),
        (&[0x3f588000, 0x3e406000, 0x3f892000, 0x3f9b4000, 0x3efa6000, 0xbec58000, 0xbe880000, 0x3f972000], &[0x3f222000, 0xbdb7c000, 0xbe92c000, 0xbfd06000, 0x3efde000, 0xbfae6000, 0x3f25a000, 0x3f2be000], 0xbddb81c9, 0xbef66006),
        (&[0x3e936000, 0x3eb56000, 0x3fc9e000, 0xbe158000, 0xbedbc000, 0x3e90a000, 0xbfeba000, 0xbf196000], &[0xbf9d8000, 0x3ff22000, 0xbfb6c000, 0x3ea6c000, 0x40084000, 0x3fbd2000, 0x3ee80000, 0xbf1a2000], 0xbf701b4e, 0xc079077d),
        (&[0x3c92e000, 0x3fcea000, 0x3fe14000, 0x3fd66000, 0xbec6c000, 0xbfcd8000, 0x3fc0e000, 0x3e512000], &[0x3d610000, 0x3e1f0000, 0xbf156000, 0x3f8ea000, 0xbf594000, 0x3e3bc000, 0x3f76c000, 0xbe004000], 0x3fd65220, 0x4087458d),
    ];

    pub const F16_F16: [Element; 3] = [
        (&[0x3433, 0xbb8e, 0xb032, 0xc01f, 0xb685, 0xbd4d, 0xb5bb, 0xb5d5, 0x3795, 0x3908, 0x3629, 0x3658, 0x341c, 0x3e66, 0xb384, 0xb81a], &[0xbea9, 0xbcf6, 0xb3bc, 0x3896, 0x3f3d, 0xb065, 0x2fe4, 0x33d5, 0xbd3b, 0x3866, 0x3ccc, 0x33cb, 0xbf45, 0xb0f8, 0x3f82, 0x3954], 0xb6d2, 0xc17d),
        (&[0x2c39, 0x344f, 0xbaa0, 0xbc41, 0xbcb6, 0xb845, 0xb988, 0x3e8d, 0xbd35, 0xb3f6, 0x3c1e, 0x32ef, 0xa517, 0x3dc4, 0x3cb3, 0x3cd3], &[0x397f, 0xb879, 0x3217, 0x3d35, 0x4016, 0xb8ac, 0x3122, 0xb19d, 0xb2bf, 0x3bb4, 0xbfc8, 0x3d7f, 0xb495, 0xbc47, 0x38e6, 0x303b], 0xbb73, 0xc766),
        (&[0x3edb, 0x3a4e, 0x9e6c, 0x32f0, 0xbeb8, 0xbee7, 0x3da8, 0x36d3, 0xb84b, 0xb556, 0x3cf7, 0x3a7a, 0xb78e, 0xbade, 0x391f, 0x21a0], &[0x3813, 0xc027, 0x39fc, 0xb199, 0xbf4b, 0x36d6, 0xc153, 0x3a5a, 0xb9dc, 0xb910, 0x3509, 0xb9f8, 0xbcbf, 0xb4e9, 0x40c7, 0x3d0a], 0x3734, 0x3d34),
    ];
}
