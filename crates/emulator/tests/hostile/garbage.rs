//! Every instruction that the decoder knows with operands drawn at random, and random programs of those that it takes.

use std::{collections::BTreeSet, fs, time::Instant};

use yuragi_emulator::{Arguments, Device, Launch, Properties, finding::Kind, ptx::Module};

use crate::{Random, common::shipped};

/// Opcodes beside those of the kernels and of the parser's texts.
const MORE: &str = "
    add.s32 add.cc.u32 addc.u32 addc.cc.u64 sub.cc.u32 subc.u32 mad.lo.cc.u32 madc.hi.u32 mul.wide.u16 mul24.lo.u32 mad24.hi.s32 sad.u32
    div.s32 rem.s64 div.u64 rem.u32 abs.s32 neg.s64 min.s16 max.u64 popc.b64 clz.b32 bfind.u32 bfind.shiftamt.s64 fns.b32 brev.b64 bfe.s32
    bfi.b64 szext.wrap.s32 bmsk.clamp.b32 dp4a.s32.u32 dp2a.lo.u32.s32 lop3.b32 shf.l.wrap.b32 shf.r.clamp.b32 shl.b16 shr.s64 cnot.b32
    prmt.b32 prmt.b32.f4e prmt.b32.rc16 vadd2.s32.s32.s32 min.s16x2 add.u16x2 testp.notanumber.f32 copysign.f64 add.rn.ftz.sat.f32 fma.rp.f64
    rcp.approx.f32 rcp.rn.f64 sqrt.rz.f32 rsqrt.approx.ftz.f64 sin.approx.f32 cos.approx.f32 lg2.approx.f32 ex2.approx.ftz.f32
    tanh.approx.f32 div.full.f32 div.rn.f64 min.NaN.f32 max.xorsign.abs.f32 add.f16x2 fma.rn.relu.bf16x2 ex2.approx.f16x2 tanh.approx.bf16
    set.lt.f32.f32 set.eq.and.u32.s32 setp.lt.and.f32 setp.nan.f64 setp.gt.u16 selp.b64 slct.f32.s32 cvt.rni.s32.f32 cvt.rn.f16.f64
    cvt.sat.u8.s32 cvt.rn.bf16x2.f32 cvt.rna.tf32.f32 cvt.rn.satfinite.e4m3x2.f32 cvt.rn.f16x2.e5m2x2 cvt.rzi.ftz.u64.f32 cvt.pack.sat.s8.s32.b32
    mov.b128 mov.b16 mov.pred ld.global.v2.f64 ld.shared.v4.b32 ld.u8 ld.local.s16 ld.param.b64 ld.const.u32 ld.volatile.u64 ld.acquire.gpu.u32
    st.global.v4.f32 st.release.sys.global.u32 st.shared.b8 st.local.u64 st.param.b32 atom.add.u32 atom.global.cas.b64 atom.shared.exch.b32
    atom.inc.u32 atom.global.add.noftz.f16x2 atom.add.v4.f32 red.add.f64 red.shared.max.s64 cp.async.ca.shared.global cp.async.cg.shared.global
    cp.async.commit_group cp.async.wait_group cp.async.wait_all cp.async.mbarrier.arrive.noinc.shared.b64 cp.async.bulk.commit_group
    cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes cp.async.bulk.global.shared::cta.bulk_group
    cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes cp.async.bulk.tensor.1d.global.shared::cta.bulk_group
    mbarrier.init.shared.b64 mbarrier.inval.shared.b64 mbarrier.arrive.shared.b64 mbarrier.arrive_drop.shared.b64 mbarrier.expect_tx.shared.b64
    mbarrier.complete_tx.shared.b64 mbarrier.test_wait.shared.b64 mbarrier.try_wait.parity.shared.b64 mbarrier.arrive.expect_tx.shared.b64
    fence.proxy.async fence.acq_rel.gpu membar.gl isspacep.shared cvta.shared.u64 cvta.to.local.u64 prefetch.global.L2 createpolicy.fractional.L2::evict_last.b64
    bra brx.idx call ret exit trap nanosleep.u32 bar.sync bar.arrive barrier.cta.red.popc.aligned.u32 bar.red.and.pred bar.warp.sync
    barrier.cluster.arrive barrier.cluster.wait vote.sync.ballot.b32 vote.sync.all.pred vote.sync.uni.pred match.any.sync.b32 match.all.sync.b64
    shfl.sync.up.b32 shfl.sync.bfly.b32 shfl.sync.idx.b32 redux.sync.add.u32 redux.sync.xor.b32 elect.sync activemask.b32
    ldmatrix.sync.aligned.m8n8.x1.shared.b16 ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 stmatrix.sync.aligned.m8n8.x2.shared.b16
    movmatrix.sync.aligned.m8n8.trans.b16 mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32
    mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.u8.s32
    mma.sync.aligned.m16n8k32.row.col.f16.e4m3.e5m2.f16 wgmma.fence.sync.aligned wgmma.commit_group.sync.aligned wgmma.wait_group.sync.aligned
    wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 setmaxnreg.inc.sync.aligned.u32 griddepcontrol.wait tex.2d.v4.f32.s32 bogus.u32 vprintf";

/// Operands: of each kind that there is, and of none.
const OPERANDS: [&str; 76] = [
    "%r1",
    "%r2",
    "%r3",
    "%r4",
    "%r5",
    "%r1",
    "%r2",
    "%l1",
    "%l2",
    "%l3",
    "%h1",
    "%h2",
    "%f1",
    "%f2",
    "%d1",
    "%d2",
    "%p1",
    "%p2",
    "%p3",
    "_",
    "!%p1",
    "-%r1",
    "%none",
    "0",
    "1",
    "-1",
    "2",
    "4",
    "16",
    "32",
    "33",
    "64",
    "4294967295",
    "18446744073709551615",
    "-9223372036854775808",
    "0f7fc00000",
    "0f00000001",
    "0d7ff0000000000000",
    "1.5",
    "[%l1]",
    "[%l1+4]",
    "[%l2]",
    "[%l2+8]",
    "[%r2]",
    "[%r2+16]",
    "[%r3]",
    "[%r3+-4]",
    "[%l3+9223372036854775807]",
    "[%r1+-9223372036854775808]",
    "[0]",
    "[s]",
    "[s+1020]",
    "[v]",
    "[x]",
    "[x+4]",
    "[g]",
    "s",
    "g",
    "v",
    "f",
    "L",
    "T",
    "{%r1, %r2}",
    "{%r1, %r2, %r3, %r4}",
    "{%f1, %f2, %f1, %f2}",
    "{%f1, %f2}",
    "{%d1, %d2}",
    "{%r1}",
    "{%l1, %l2}",
    "%r1|%p1",
    "%p1|%p2",
    "[%l1, {%r1, %r2}]",
    "WARP_SZ",
    "%tid.x",
    "%clock64",
    "(%r1)",
];

/// Instructions with as many operands of their kinds as chance seldom finds.
const WHOLE: [&str; 67] = [
    "tex.2d.v4.f32.f32 {%r1, %r2, %r3, %r4}, [%l1, {%f1, %f2}]",
    "suld.b.1d.v2.b32.clamp {%r1, %r2}, [%l3, {%r4}]",
    "sust.b.3d.b64.zero [%l1, {%r1, %r2, %r3, %r4}], {%l2}",
    "txq.width.b32 %r1, [%l1]",
    "brx.idx %r1, T",
    "mapa.shared::cluster.u32 %r3, %r2, %r1",
    "mapa.shared::cluster.u32 %r2, s, 1",
    "ld.shared::cluster.u32 %r1, [%r3]",
    "st.shared::cluster.u32 [%r3], %r1",
    "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r3]",
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%r2], [%l1], 64, [s+512], 3",
    "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r3], [%r2], 64, [%r3]",
    "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%r3], %r1, [s+512]",
    "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%r3], %r1, [s+512]",
    "barrier.cluster.arrive.relaxed.aligned",
    "barrier.cluster.wait.acquire.aligned",
    "bra L",
    "cp.async.ca.shared.global [%r3], [%l1], 4",
    "cp.async.cg.shared.global [s], [%l1], 16, 5",
    "cp.async.ca.shared.global [%r3], [%l1], 4, %p1",
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r2], [%l1], 64, [s+512]",
    "cp.async.bulk.global.shared::cta.bulk_group [%l1], [%r2], 32",
    "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r2], [%l1, {%r1, %r2}], [s+512]",
    "cp.async.bulk.tensor.1d.global.shared::cta.bulk_group [%l1, {%r1}], [%r2]",
    "mbarrier.init.shared.b64 [s+512], %r4",
    "mbarrier.init.shared.b64 [s+512], 2",
    "mbarrier.arrive.expect_tx.shared.b64 %l3, [s+512], %r1",
    "mbarrier.test_wait.shared.b64 %p1, [s+512], %l3",
    "mbarrier.try_wait.parity.shared.b64 %p2, [s+512], 0",
    "cp.async.mbarrier.arrive.noinc.shared.b64 [s+512]",
    "elect.sync %r1|%p1, %r4",
    "elect.sync _|%p2, 4294967295",
    "isspacep.shared %p1, %l3",
    "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%r3]",
    "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r1, %r2, %r3, %r4}, [%r2]",
    "stmatrix.sync.aligned.m8n8.x2.shared.b16 [%r2], {%r1, %r4}",
    "movmatrix.sync.aligned.m8n8.trans.b16 %r4, %r1",
    "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1, %f2, %f1, %f2}, {%r1, %r2, %r3, %r4}, {%r1, %r2}, {%f1, %f2, %f1, %f2}",
    "mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.u8.s32 {%r1, %r2, %r3, %r4}, {%r1, %r2, %r3, %r4}, {%r1, %r2}, {%r1, %r2, %r3, %r4}",
    "mma.sync.aligned.m16n8k32.row.col.f16.e4m3.e5m2.f16 {%r1, %r2}, {%r1, %r2, %r3, %r4}, {%r1, %r2}, {%r3, %r4}",
    "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%d1, %d2}, {%d1}, {%d2}, {%d1, %d2}",
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f1, %f2}, %l1, %l3, %p1, 1, 1, 0, 0",
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f1, %f2}, {%r1, %r2, %r3, %r4}, %l3, 1, -1, 1, 1",
    "vote.sync.ballot.b32 %r1, %p1, %r4",
    "vote.sync.all.pred %p2, !%p1, 4294967295",
    "match.all.sync.b32 %r1|%p1, %r4, 65535",
    "match.any.sync.b64 %r1, %l3, %r4",
    "shfl.sync.idx.b32 %r1|%p2, %r3, %r4, %r2, 4294967295",
    "shfl.sync.up.b32 %r4, %r1, 1, 0, %r1",
    "redux.sync.min.s32 %r1, %r3, %r4",
    "bar.warp.sync %r4",
    "bar.sync %r4, 64",
    "bar.red.popc.u32 %r1, 1, 64, %p1",
    "barrier.cta.red.or.aligned.pred %p2, 0, !%p1",
    "setp.lt.and.f32 %p1|%p2, %f1, %f2, !%p3",
    "setp.ne.s64 %p3, %l1, %l3",
    "setp.gt.u16 %p1, %h1, %h2",
    "selp.b32 %r4, %r1, %r2, %p1",
    "set.lt.f32.f32 %f1, %f2, 1.5",
    "testp.notanumber.f32 %p1, %f1",
    "lop3.b32 %r4, %r1, %r2, %r3, 202",
    "xor.pred %p1, %p2, %p3",
    "ld.global.v4.f32 {%f1, %f2, %f1, %f2}, [%l1]",
    "ld.shared.v4.b32 {%r1, %r2, %r3, %r4}, [%r2+16]",
    "st.global.v2.u16 [%l1+4], {%h1, %h2}",
    "atom.global.add.v4.f32 {%f1, %f2, %f1, %f2}, [%l1], {%f1, %f2, %f1, %f2}",
    "call f",
];

/// One of the whole ones, perhaps with an operand exchanged.
fn whole(text: &str, random: &mut Random) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    if random.below(3) == 0 {
        let at = random.below(words.len());
        words[at] = random.of(&OPERANDS);
    }
    format!("{}{};", ["", "", "@%p1 ", "@!%p2 "][random.below(4)], words.join(" "))
}

/// The statements before and after what is drawn.
fn program(statements: &[String]) -> String {
    format!(
        ".version 9.0\n.target sm_90a\n.address_size 64\n.global .align 16 .b8 g[64];\n.func f() {{ ret; }}\n.entry k(.param .u64 x, .param .u64 y)\n{{\n\
         .shared .align 128 .b8 s[1024];\n.local .align 16 .b8 v[64];\n.reg .b32 %r<6>; .reg .b64 %l<4>; .reg .b16 %h<3>; .reg .f32 %f<3>; .reg .f64 %d<3>;\n\
         .reg .pred %p<4>;\nld.param.u64 %l1, [x];\nld.param.u64 %l3, [y];\nmov.u64 %l2, s;\nmov.u32 %r1, %tid.x;\nmov.u32 %r2, s;\nmad.lo.u32 %r3, %r1, 4, %r2;\n\
         setp.lt.u32 %p1, %r1, 20;\nT: .branchtargets L, M, L;\nM:\n{}\nL:\nret;\n}}\n",
        statements.join("\n")
    )
}

/// All opcodes that this test knows.
fn opcodes() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parser/texts");
    let mut texts: Vec<String> =
        fs::read_dir(folder).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let kernels = ["elementwise", "softmax", "group_norm_silu", "gemm_f16", "philox_normal", "transpose"];
    texts.extend(kernels.iter().map(|name| shipped(&format!("sm_80/{name}.ptx")).to_owned()));
    let mut found: BTreeSet<String> = MORE.split_whitespace().map(str::to_owned).collect();
    for text in texts {
        let module: Module = text.parse().unwrap();
        found.extend(module.functions.iter().flat_map(|f| &f.body).map(|i| i.opcode.join(".")));
    }
    found.into_iter().collect()
}

fn statement(opcode: &str, random: &mut Random) -> String {
    let guard = ["", "", "", "@%p1 ", "@!%p2 "][random.below(5)];
    let words: Vec<&str> = opcode.split('.').collect();
    let operand = |random: &mut Random| match random.below(8) {
        // Most often a register of a type that the opcode names, or an address.
        0..5 => match *random.of(&words.iter().collect::<Vec<_>>()) {
            "pred" => "%p1",
            "f32" | "tf32" => "%f1",
            "f64" => "%d1",
            word if word.ends_with("64") => "%l3",
            word if word.ends_with("16") || word.ends_with('8') => "%h1",
            _ => "%r4",
        },
        5 => ["[%l1]", "[%r3]", "[%l1+8]", "[s]"][random.below(4)],
        _ => random.of(&OPERANDS),
    };
    let operands: Vec<&str> = (0..random.below(6)).map(|_| operand(random)).collect();
    format!("{guard}{opcode} {};", operands.join(", "))
}

/// What a device is asked, and what came of it.
struct Fuzz {
    device: Device,
    /// Without the checks of races and uninitialised bytes.
    unchecked: Device,
    pool: Vec<String>,
    loaded: usize,
    found: BTreeSet<Kind>,
}

impl Fuzz {
    /// Statements that the decoder takes, about so many tries for each opcode.
    fn new(tries: usize, random: &mut Random) -> Fuzz {
        let with = |check| {
            Device::new(Properties {
                memory: 1 << 16,
                step_limit: 400,
                host_threads: 1,
                check,
                ..Properties::default()
            })
        };
        let mut fuzz =
            Fuzz { device: with(true), unchecked: with(false), pool: Vec::new(), loaded: 0, found: BTreeSet::new() };
        for text in WHOLE {
            // As it stands it must be known.
            let statement = format!("{text};");
            assert!(fuzz.execute(&program(std::slice::from_ref(&statement)), random), "{text}");
            fuzz.pool.push(statement);
            fuzz.pool.extend((0..4).map(|_| whole(text, random)));
        }
        let pool = std::mem::take(&mut fuzz.pool);
        fuzz.pool = pool.into_iter().filter(|s| fuzz.execute(&program(std::slice::from_ref(s)), random)).collect();
        for opcode in opcodes() {
            let mut taken = 0;
            for _ in 0..tries {
                let statement = statement(&opcode, random);
                if fuzz.execute(&program(std::slice::from_ref(&statement)), random) {
                    fuzz.pool.push(statement);
                    taken += 1;
                }
                if taken == 4 {
                    break;
                }
            }
        }
        fuzz
    }

    /// Loads a text and, if it is a module, launches its kernel; whether it was one.
    fn execute(&mut self, text: &str, random: &mut Random) -> bool {
        let device = if random.below(4) == 0 { &self.unchecked } else { &self.device };
        let Ok(module) = device.load(text) else { return false };
        let Some(kernel) = module.kernel("k") else { return false };
        self.loaded += 1;
        let x = device.allocate(256).unwrap();
        device.write(x, &[1; 256]).unwrap();
        let y = [0, 7, u64::MAX, x + 252, 0x6000_0000_0000, 0x6100_0000_0004][random.below(6)];
        let block = [[1, 1, 1], [33, 1, 1], [128, 1, 1], [5, 3, 2]][random.below(4)];
        let launch = Launch {
            grid: [2, 1, 1],
            block,
            shared_bytes: [0, 77][random.below(2)],
            cluster: [1 + random.below(2) as u32, 1, 1],
        };
        if let Ok(report) = device.launch(&kernel, &launch, Arguments::new().u64(x).u64(y).bytes()) {
            self.found.extend(report.findings.iter().map(|f| f.kind));
            assert!(report.findings.iter().all(|f| f.to_string().len() < 1000));
        }
        device.free(x).unwrap();
        drop((kernel, module));
        assert_eq!(device.used(), 0, "{text}");
        true
    }

    /// A program of statements that the decoder takes, with labels and jumps between them.
    fn sequence(&self, random: &mut Random) -> Vec<String> {
        let mut all = Vec::new();
        for i in 0..2 + random.below(24) {
            all.push(format!("X{i}:\n{}", self.pool[random.below(self.pool.len())]));
        }
        for _ in 0..random.below(4) {
            let (to, at) = (random.below(all.len()), random.below(all.len()));
            let guard = ["", "@%p1 ", "@!%p1 ", "@%p3 "][random.below(4)];
            all[at] += &format!("\n{guard}bra X{to};");
        }
        all
    }

    /// One input of some kind.
    fn step(&mut self, opcodes: &[String], random: &mut Random) {
        match random.below(8) {
            0..3 => {
                let statement = match random.below(2) {
                    0 => statement(&opcodes[random.below(opcodes.len())], random),
                    _ => whole(random.of(&WHOLE), random),
                };
                self.execute(&program(&[statement]), random);
            }
            3..6 => {
                let text = program(&self.sequence(random));
                self.execute(&text, random);
            }
            _ => {
                let mut bytes = program(&self.sequence(random)).into_bytes();
                for _ in 0..1 + random.below(3) {
                    let at = random.below(bytes.len());
                    match random.below(3) {
                        0 => bytes[at] = random.below(256) as u8,
                        1 => drop(bytes.drain(at..(at + random.below(9)).min(bytes.len()))),
                        _ => {
                            let shard = random.of(&OPERANDS);
                            bytes.splice(at..at, shard.bytes());
                        }
                    }
                }
                self.execute(&String::from_utf8_lossy(&bytes), random);
            }
        }
    }
}

fn fuzz(seed: u64, tries: usize, inputs: usize) {
    let start = Instant::now();
    let mut random = Random(seed);
    let opcodes = opcodes();
    let mut fuzz = Fuzz::new(tries, &mut random);
    let names: BTreeSet<&str> =
        fuzz.pool.iter().map(|s| s.split(' ').find(|word| !word.starts_with('@')).unwrap_or("")).collect();
    println!(
        "{} of {} opcodes taken, {} statements, {:?}",
        names.len(),
        opcodes.len(),
        fuzz.pool.len(),
        start.elapsed()
    );
    fuzz.loaded = 0;
    for i in 1..=inputs {
        fuzz.step(&opcodes, &mut random);
        if i % 100_000 == 0 {
            println!("{i} inputs, {:?}", start.elapsed());
        }
    }
    println!("{} of {inputs} inputs were modules, {:?}; found {:?}", fuzz.loaded, start.elapsed(), fuzz.found);
    // Neither the refusals nor the launches are idle.
    assert!(fuzz.loaded > inputs / 10 && fuzz.loaded < inputs, "{}", fuzz.loaded);
    let expected =
        [Kind::OutOfBounds, Kind::Misaligned, Kind::Uninitialized, Kind::Race, Kind::StepLimit, Kind::DivergentBarrier];
    assert!(expected.iter().all(|kind| fuzz.found.contains(kind)), "{:?}", fuzz.found);
    assert!(resident_bytes() < 1 << 30, "{}", resident_bytes());
}

/// Bytes of memory that the process holds, where the system tells.
fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

#[test]
fn garbage_and_random_programs() {
    fuzz(1, 60, 10_000);
}

#[test]
#[ignore = "minutes"]
fn a_million_inputs() {
    fuzz(2, 300, 1_000_000);
}
