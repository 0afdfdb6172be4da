//! Textures and surfaces beside the formulas of the CUDA C++ Programming Guide ("Texture Fetching"), to the bit.

use crate::common::{Bench, blocks, needs_the_emulator, noise, text};
use yuragi_emulator::{
    AddressMode::{self, Border, Clamp, Mirror, Wrap},
    Arguments, Report, Sampling, TexelFormat, Texels, Texture,
    finding::Kind,
};

const PARAMS: &str = ".param .u64 object, .param .u64 at, .param .u64 out";
const HEAD: &str = ".reg .b64 %o; .reg .b64 %at; .reg .b64 %out; .reg .b32 %t; .reg .b32 %x; .reg .b32 %y; .reg .b32 %z; .reg .b32 %a; \
    .reg .b32 %b; .reg .b32 %c; .reg .b32 %d; .reg .b16 %h;\n ld.param.u64 %o, [object];\n ld.param.u64 %at, [at];\n \
    ld.param.u64 %out, [out];\n mov.u32 %t, %tid.x;\n mad.wide.u32 %at, %t, 12, %at;\n mad.wide.u32 %out, %t, 16, %out;\n \
    ld.global.u32 %x, [%at];\n ld.global.u32 %y, [%at+4];\n ld.global.u32 %z, [%at+8];\n ";
const STORE: &str = "\n st.global.v4.u32 [%out], {%a, %b, %c, %d};";
const EXTENTS: [u64; 3] = [7, 5, 3];

/// Texels of 7, 7×5 or 7×5×3 elements, whose rows and slices have room between them.
fn texels(bench: &Bench, dimensions: usize, format: TexelFormat, channels: u64, bytes: &[u8]) -> Texels {
    let extents = std::array::from_fn(|axis| if axis < dimensions { EXTENTS[axis] } else { 1 });
    let texel = channels * format.bytes();
    let [row, slice] = [texel * 8, texel * 8 * 6];
    let mut held = vec![0xa5_u8; (slice * extents[2]) as usize];
    let count = extents.iter().product::<u64>() as usize;
    for (i, one) in bytes.chunks(texel as usize).enumerate().take(count) {
        let [x, y, z] = [i % 7, i / 7 % 5, i / 35];
        let at = x * texel as usize + y * row as usize + z * slice as usize;
        held[at..at + texel as usize].copy_from_slice(one);
    }
    let address = bench.put(&held);
    Texels { address, dimensions, extents, pitches: [row, slice], format, channels, linear: false }
}

/// What 32 threads find at coordinates, by an instruction, and what the checker says.
fn run(bench: &Bench, object: u64, at: &[[u32; 3]], instruction: &str) -> (Report, Vec<u32>) {
    let module = bench.kernel(PARAMS, &format!("{HEAD}{instruction}{STORE}"));
    let at = bench.put(at.as_flattened());
    let out = bench.put(&[9_u32; 128]);
    let arguments = Arguments::new().u64(object).u64(at).u64(out);
    let report = bench.launch(&module, "kernel", blocks([1; 3], 32, 0), arguments);
    (report, bench.get(out, 128))
}

/// Where along an axis of n texels an index lies.
fn place(mode: AddressMode, normalised: bool, i: i64, n: i64) -> Option<i64> {
    match mode {
        Border => (0..n).contains(&i).then_some(i),
        Wrap if normalised => Some(((i % n) + n) % n),
        _ => Some(i.max(0).min(n - 1)),
    }
}

/// x along an axis of n texels, after wrapping and mirroring.
fn scaled(mode: AddressMode, normalised: bool, x: f32, n: i64) -> f64 {
    let (x, n) = (f64::from(x), n as f64);
    let fraction = x - x.floor();
    match mode {
        _ if !normalised => x,
        Wrap => fraction * n,
        Mirror => n * if (x.floor() / 2.0).fract() == 0.0 { fraction } else { 1.0 - fraction },
        Clamp | Border => x * n,
    }
}

#[test]
fn weighted_and_nearest_texels_in_one_to_three_dimensions() {
    if needs_the_emulator("textures made by its own interface") {
        return;
    }
    let bench = Bench::emulated(|_| {});
    let values = noise(3, 105);
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    for (dimensions, mode, normalised, linear) in [1, 2, 3].into_iter().flat_map(|d| {
        let kinds = [(Clamp, false), (Border, false), (Clamp, true), (Border, true), (Wrap, true), (Mirror, true)];
        kinds.into_iter().flat_map(move |(mode, normalised)| [false, true].map(|linear| (d, mode, normalised, linear)))
    }) {
        let texels = texels(&bench, dimensions, TexelFormat::F32, 1, &bytes);
        let sampling = Sampling { address: [mode; 3], linear, normalised, border: [0.625; 4], ..Sampling::default() };
        let object = bench.device().create_texture(Texture { texels, sampling: Some(sampling) }).unwrap();
        let range = |axis: usize| if normalised { 2.5 } else { 1.2 * EXTENTS[axis] as f32 };
        let mut at: Vec<[f32; 3]> =
            noise(5, 96).chunks(3).map(|c| std::array::from_fn(|axis| range(axis) * (c[axis] + 0.4))).collect();
        at[0] = [0.0; 3];
        at[1] = [1.0; 3];
        at[2] = [-0.0; 3];
        let coordinates = ["{%x}", "{%x, %y}", "{%x, %y, %z, %z}"][dimensions - 1];
        let instruction = format!("tex.{dimensions}d.v4.f32.f32 {{%a, %b, %c, %d}}, [%o, {coordinates}];");
        let bits: Vec<[u32; 3]> = at.iter().map(|at| at.map(f32::to_bits)).collect();
        let (report, got) = run(&bench, object, &bits, &instruction);
        assert!(report.findings.is_empty(), "{}", report.findings[0]);
        // T[i, j, k]
        let texel = |i: i64, j: i64, k: i64| {
            let n = texels.extents.map(|n| n as i64);
            let [i, j, k] = [(i, 0), (j, 1), (k, 2)]
                .map(|(i, axis)| if axis < dimensions { place(mode, normalised, i, n[axis]) } else { Some(0) });
            match (i, j, k) {
                (Some(i), Some(j), Some(k)) => f64::from(values[(i + 7 * j + 35 * k) as usize]),
                _ => 0.625,
            }
        };
        for (thread, at) in at.iter().enumerate() {
            let [x, y, z]: [f64; 3] =
                std::array::from_fn(|axis| scaled(mode, normalised, at[axis], EXTENTS[axis] as i64));
            let wanted = if linear {
                // xB = x − 0.5, i = floor(xB), α = frac(xB) with 8 bits of fraction.
                let part = |x: f64| {
                    let begin = x - 0.5;
                    (begin.floor() as i64, ((begin - begin.floor()) * 256.0 + 0.5).floor() / 256.0)
                };
                // (1 − α)(1 − β)(1 − γ) T[i, j, k] + α (1 − β)(1 − γ) T[i + 1, j, k] + ...
                let ends = |axis: usize, x: f64| match part(x) {
                    (i, weight) if axis < dimensions => [(i, 1.0 - weight), (i + 1, weight)],
                    _ => [(0, 1.0), (0, 0.0)],
                };
                let mut sum = 0.0;
                for (k, c) in ends(2, z) {
                    for (j, b) in ends(1, y) {
                        ends(0, x).into_iter().for_each(|(i, a)| sum += a * b * c * texel(i, j, k));
                    }
                }
                sum as f32
            } else {
                let last = |x: f64, axis: usize| match mode {
                    Mirror => (x.floor() as i64).min(EXTENTS[axis] as i64 - 1),
                    _ => x.floor() as i64,
                };
                texel(last(x, 0), last(y, 1), last(z, 2)) as f32
            };
            let found = f32::from_bits(got[4 * thread]);
            let what = format!("{dimensions}-D {mode:?} {normalised} {linear} at {at:?}");
            assert_eq!(found.to_bits(), wanted.to_bits(), "{what}: {found}, not {wanted}");
            assert_eq!(got[4 * thread + 1..4 * thread + 4], [0; 3], "channels that are not there");
        }
    }
}

#[test]
fn channels_of_every_format() {
    if needs_the_emulator("textures made by its own interface") {
        return;
    }
    let bench = Bench::emulated(|_| {});
    let f32 = |x: f32| x.to_bits();
    type Case = (TexelFormat, u64, bool, &'static [u8], [u32; 4]);
    let cases: [Case; 8] = [
        (TexelFormat::U8, 4, false, &[0, 255, 51, 102], [f32(0.0), f32(1.0), f32(51.0 / 255.0), f32(102.0 / 255.0)]),
        (TexelFormat::U8, 4, true, &[1, 2, 3, 255], [1, 2, 3, 255]),
        (TexelFormat::S8, 2, true, &[0xff, 0x80], [u32::MAX, 0xffff_ff80, 0, 0]),
        (TexelFormat::S8, 1, false, &[0x80], [f32(-1.0), 0, 0, 0]),
        (TexelFormat::U16, 2, false, &[0xff, 0xff, 0, 0], [f32(1.0), f32(0.0), 0, 0]),
        (TexelFormat::S32, 1, false, &[5, 0, 0, 0x80], [0x8000_0005, 0, 0, 0]),
        (
            TexelFormat::F16,
            4,
            false,
            &[0, 0x3c, 0, 0xc0, 1, 0, 0, 0x7c],
            [f32(1.0), f32(-2.0), f32(f32::from_bits(0x3380_0000)), f32(f32::INFINITY)],
        ),
        (TexelFormat::F32, 2, false, &[0, 0, 0x80, 0x3f, 1, 0, 0xc0, 0x7f], [f32(1.0), 0x7fc0_0001, 0, 0]),
    ];
    for (format, channels, integers, bytes, wanted) in cases {
        let texels = texels(&bench, 2, format, channels, bytes);
        let sampling = Sampling { integers, ..Sampling::default() };
        let object = bench.device().create_texture(Texture { texels, sampling: Some(sampling) }).unwrap();
        let of = if integers || format == TexelFormat::S32 { "u32" } else { "f32" };
        let at = vec![[0; 3]; 32];
        let (report, got) =
            run(&bench, object, &at, &format!("tex.2d.v4.{of}.f32 {{%a, %b, %c, %d}}, [%o, {{%x, %y}}];"));
        assert!(report.findings.is_empty(), "{}", report.findings[0]);
        assert_eq!(got[..4], wanted, "{format:?}");
        let other = if of == "u32" { "f32" } else { "u32" };
        let (report, _) =
            run(&bench, object, &at, &format!("tex.2d.v4.{other}.f32 {{%a, %b, %c, %d}}, [%o, {{%x, %y}}];"));
        assert_eq!(report.findings[0].kind, Kind::Illegal, "{}", report.findings[0]);
    }
}

#[test]
fn texels_in_plain_memory_are_found_by_integers() {
    if needs_the_emulator("textures made by its own interface") {
        return;
    }
    let bench = Bench::emulated(|_| {});
    let address = bench.put(&[10_u32, 20, 30, 40, 50, 60, 70]);
    let texels = Texels {
        linear: true,
        address,
        dimensions: 1,
        extents: [7, 1, 1],
        pitches: [0, 0],
        format: TexelFormat::U32,
        channels: 1,
    };
    let object = bench.device().create_texture(Texture { texels, sampling: Some(Sampling::default()) }).unwrap();
    let at: Vec<[u32; 3]> = (0..32).map(|i| [(i as u32).wrapping_sub(2), 0, 0]).collect();
    let (report, got) = run(&bench, object, &at, "tex.1d.v4.u32.s32 {%a, %b, %c, %d}, [%o, {%x}];");
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    let wanted = |i: usize| if (2..9).contains(&i) { 10 * (i as u32 - 1) } else { 0 };
    assert!((0..32).all(|i| got[4 * i] == wanted(i)), "{got:?}");
    // 28 bytes lie in one sector, the result in 16 and the coordinates in 12.
    assert_eq!(report.counters.global_sectors, 1 + 16 + 3 * 12);
    let (report, _) = run(&bench, object, &at, "tex.1d.v4.u32.f32 {%a, %b, %c, %d}, [%o, {%x}];");
    assert!(report.findings[0].note.contains("found by integers"), "{}", report.findings[0]);
}

#[test]
fn surfaces_are_read_and_written_by_bytes() {
    if needs_the_emulator("surfaces made by its own interface") {
        return;
    }
    let bench = Bench::emulated(|_| {});
    let bytes: Vec<u8> = (0..105_u32).flat_map(|i| [i, 1000 + i]).flat_map(u32::to_le_bytes).collect();
    for dimensions in 1..=3 {
        let texels = texels(&bench, dimensions, TexelFormat::U32, 2, &bytes);
        let object = bench.device().create_texture(Texture { texels, sampling: None }).unwrap();
        let coordinates = ["{%x}", "{%x, %y}", "{%x, %y, %z, %z}"][dimensions - 1];
        let inside = |i: usize| [8 * (i % 7) as u32, (i / 7 % 5) as u32, (i / 14 % 3) as u32];
        let at: Vec<[u32; 3]> = (0..32).map(inside).collect();
        let number = |[x, y, z]: [u32; 3]| {
            let parts = [x / 8, 7 * y, 35 * z];
            parts[..dimensions].iter().sum::<u32>()
        };
        let load = format!("suld.b.{dimensions}d.v2.b32.trap {{%a, %b}}, [%o, {coordinates}];");
        let both = format!("{load}\n mov.u32 %c, 0;\n mov.u32 %d, 0;");
        let (report, got) = run(&bench, object, &at, &both);
        assert!(report.findings.is_empty(), "{}", report.findings[0]);
        for (got, &at) in got.chunks(4).zip(&at) {
            assert_eq!(got, [number(at), 1000 + number(at), 0, 0], "{dimensions}-D {at:?}");
        }
        // One element is written and read again, of 16 bits in the middle of it.
        let store = format!(
            "mov.u16 %h, 7;\n add.u32 %x, %x, 2;\n setp.ne.u32 %p, %t, 5;\n @!%p sust.b.{dimensions}d.b16.trap [%o, {coordinates}], {{%h}};\n \
             bar.warp.sync -1;\n sub.u32 %x, %x, 2;\n {both}"
        );
        let (report, got) = run(&bench, object, &at, &format!(".reg .pred %p;\n {store}"));
        assert!(report.findings.is_empty(), "{}", report.findings[0]);
        assert_eq!(got[4 * 5], number(at[5]) & 0xffff | 7 << 16);
        // Outside of it.
        let far = vec![[8 * 9, 0, 0]; 32];
        let (report, _) = run(&bench, object, &far, &both);
        assert_eq!(report.findings[0].kind, Kind::OutOfBounds);
        assert!(report.findings[0].note.contains("outside of a surface of 7×"), "{}", report.findings[0]);
        let (report, got) = run(&bench, object, &far, &both.replace("trap", "zero"));
        assert!(report.findings.is_empty() && got[..2] == [0, 0], "{got:?}");
        let (report, got) = run(&bench, object, &far, &both.replace("trap", "clamp"));
        assert!(report.findings.is_empty() && got[..2] == [6, 1006], "{got:?}");
    }
}

#[test]
fn objects_tell_their_extents_and_wrong_ones_are_found() {
    if needs_the_emulator("textures made by its own interface") {
        return;
    }
    let bench = Bench::emulated(|_| {});
    let texels = texels(&bench, 2, TexelFormat::F32, 1, &[0; 140]);
    let texture = Texture { texels, sampling: Some(Sampling::default()) };
    let object = bench.device().create_texture(texture).unwrap();
    let query = "txq.width.b32 %a, [%o];\n txq.height.b32 %b, [%o];\n txq.depth.b32 %c, [%o];\n mov.u32 %d, 4;";
    let at = vec![[0; 3]; 32];
    assert_eq!(run(&bench, object, &at, query).1[..4], [7, 5, 0, 4]);
    let fetch = "tex.2d.v4.f32.f32 {%a, %b, %c, %d}, [%o, {%x, %y}];";
    let found = |object: u64, instruction: &str| run(&bench, object, &at, instruction).0.findings.swap_remove(0);
    assert!(found(77, fetch).note.contains("0x4d is no texture object"));
    assert!(found(object, &fetch.replace("2d", "1d").replace("{%x, %y}", "{%x}")).note.contains("has 2 dimensions"));
    bench.device().free(texels.address).unwrap();
    let freed = found(object, fetch);
    assert!(freed.kind == Kind::OutOfBounds && freed.note.contains("freed"), "{freed}");
    assert!(bench.device().destroy_texture(object) && !bench.device().destroy_texture(object));
    assert!(bench.device().create_texture(texture).unwrap_err().to_string().contains("no live allocation"));
}

#[test]
fn what_textures_lack_is_refused_by_name() {
    for (instruction, why) in [
        ("tex.a2d.v4.f32.f32 {%a, %b, %c, %d}, [%o, {%x, %y, %z, %z}];", "layered textures and surfaces (`.a2d`)"),
        ("tex.cube.v4.f32.f32 {%a, %b, %c, %d}, [%o, {%x, %y, %z, %z}];", "cube maps"),
        ("tex.level.2d.v4.f32.f32 {%a, %b, %c, %d}, [%o, {%x, %y}], %z;", "mipmaps (`.level`)"),
        ("tex.grad.2d.v4.f32.f32 {%a, %b, %c, %d}, [%o, {%x, %y}], {%x, %y}, {%x, %y};", "mipmaps (`.grad`)"),
        ("tld4.r.2d.v4.f32.f32 {%a, %b, %c, %d}, [%o, {%x, %y}];", "gathers of textures"),
        ("sust.p.2d.v4.b32.trap [%o, {%x, %y}], {%a, %b, %c, %d};", "formatted accesses"),
        ("sured.b.add.1d.u32.trap [%o, {%x}], %a;", "reductions on surfaces"),
        ("txq.channel_order.b32 %a, [%o];", "only `.width`"),
    ] {
        let bench = Bench::emulated(|_| {});
        let text = text(PARAMS, &format!("{HEAD}{instruction}"));
        let module = bench.device().load(&text).unwrap_or_else(|error| panic!("{error}"));
        let (_, refusal) = module.refused().next().expect("a refusal");
        assert!(
            refusal.to_string().contains(why)
                && refusal.line == text.lines().position(|l| l.contains(instruction)).unwrap() as u32 + 1,
            "{refusal}"
        );
    }
}
