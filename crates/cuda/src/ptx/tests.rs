//! What is recorded, run in the emulator.

use yuragi_emulator::{Arguments, Device, Launch, Properties};
use yuragi_graph::DType;
use yuragi_numeric::Real;

use super::{
    index::{Index, index},
    kernel::{Emitted, Params, Variant, entry},
    memory::Access,
    tape::Tape,
    traced::Traced,
};
use crate::launch::{Address, Argument, Home};

/// Runs a kernel of an input, an output of so many bytes, and what other parameters say, and gives the output.
fn run(kernel: Emitted, input: &[u8], output: usize) -> Vec<u8> {
    let variant = Variant { text: kernel.text, members: 1, rows: 1 };
    let text = format!(".version 8.1\n.target sm_80\n.address_size 64\n{}", entry("kernel", &[variant]));
    let device = Device::new(Properties::default());
    let module = device.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let [from, to] = [input.len(), output].map(|bytes| device.allocate(bytes as u64).unwrap());
    device.write(from, input).unwrap();
    let arguments = kernel.arguments.iter().fold(Arguments::new(), |list, argument| match argument {
        Argument::Pointer(address) => list.u64(if address.home == Home::Param(0) { from } else { to }),
        Argument::U32(x) => list.u32(*x),
        Argument::U64(x) => list.u64(*x),
        Argument::Null | Argument::Counters(_) | Argument::F32(_) | Argument::Tensor(_) => panic!("{argument:?}"),
    });
    let blocks = kernel.grid.map(|n| n as u32);
    let launch = Launch { grid: [blocks[0], blocks[1], 1], ..Launch::linear(1, 256) };
    let report = device.launch(&module.kernel("kernel").unwrap(), &launch, arguments.bytes()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let mut bytes = vec![0; output];
    device.read(to, &mut bytes).unwrap();
    bytes
}

/// ln(1 + eˣ), and beyond 20 a chirp, so that most operations of a formula take part.
fn formula<R: Real>(x: R) -> R {
    let softplus = x.max(R::of(0.0)) + (R::of(1.0) + (-x.abs()).exp()).ln();
    let chirp = (x * x).sin() / x.sqrt() - x.floor().cos().tanh() * R::of(0.1);
    R::select(x.less(R::of(20.0)), softplus, chirp)
}

#[test]
fn one_line_is_an_operation_everywhere() {
    const COUNT: usize = 1 << 12;
    let x: Vec<f32> = (0..COUNT).map(|i| (i as f32 - 2000.0) * 0.037).collect();

    let (mut params, tape) = (Params::default(), Tape::new());
    let [from, to] = [0, 1].map(|number| params.pointer(Address::start(Home::Param(number))));
    let count = params.add(Argument::U32(COUNT as u32));
    let (thread, threads) = tape.thread::<u32>();
    let one = Access { dtype: DType::F32, lanes: 1, step: 1, width: 1 };
    tape.each([thread, tape.size(count), threads], |element| {
        let x = one.load(&tape, tape.address(from, element * 4))[0];
        one.store(&tape, tape.address(to, element * 4), &[formula(x)]);
    });
    let kernel = params.kernel(&tape, 0, [2, 1]);
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    let there = run(kernel, &bytes, 4 * COUNT);
    let there = there.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x));
    for (&x, there) in x.iter().zip(there) {
        let here = formula(x);
        assert!(here.to_bits() == there.to_bits() || here.is_nan() && there.is_nan(), "f({x}) = {here}, {there}");
    }
}

/// Divisors of every kind, at the ends of the range and at multiples.
#[test]
fn division_by_constants_is_exact() {
    fn check<I: Index>() {
        let most = u64::MAX >> (64 - I::BITS + 1);
        for divisor in (1..200).chain([255, 256, 257, 641, 1000, 4096, 65_537, 1_000_003, (1 << 31) - 1]) {
            let multiples = [1, 2, 3, most / divisor / 2, most / divisor].map(|n| n * divisor);
            for n in multiples.into_iter().chain([most]).flat_map(|n| [n.saturating_sub(1), n, n + 1]) {
                let n = n.min(most);
                let Traced::Constant(quotient) = index::<I>(n as usize) / divisor as usize else { panic!("recorded") };
                assert_eq!(quotient.get(), n / divisor, "{n} / {divisor} in {} bits", I::BITS);
            }
        }
    }
    check::<u32>();
    check::<u64>();
}

/// A transposed copy, with indices of this type.
fn transposed<I: Index>(limit: Argument) {
    let (mut params, tape) = (Params::default(), Tape::new());
    let [from, to] = [0, 1].map(|number| params.pointer(Address::start(Home::Param(number))));
    let limit = params.add(limit);
    let (thread, threads) = tape.thread::<I>();
    let one = Access { dtype: DType::F32, lanes: 1, step: 1, width: 1 };
    tape.each([thread, tape.size(limit), threads], |element| {
        let x = one.load(&tape, tape.address(from, element.walk(&[(7, 4), (30, 28), (3, 840)])));
        one.store(&tape, tape.address(to, element * 4), &x);
    });
    let input: Vec<u8> = (0..630_u32).flat_map(u32::to_le_bytes).collect();
    let output = run(params.kernel(&tape, 0, [2, 1]), &input, input.len());
    for (element, word) in output.as_chunks::<4>().0.iter().enumerate() {
        let [a, b, c] = [element / 90, element / 3 % 30, element % 3];
        assert_eq!(u32::from_le_bytes(*word) as usize, a + 7 * b + 210 * c);
    }
}

#[test]
fn walks_in_32_and_64_bits() {
    transposed::<u32>(Argument::U32(630));
    transposed::<u64>(Argument::U64(630));
}

#[test]
fn equal_instructions_are_shared_moved_out_of_loops_and_dropped_if_dead() {
    let (mut params, tape) = (Params::default(), Tape::new());
    let [from, to] = [0, 1].map(|number| params.pointer(Address::start(Home::Param(number))));
    let one = Access { dtype: DType::F32, lanes: 1, step: 1, width: 1 };
    tape.each([index::<u32>(0), index(3), index(1)], |element| {
        let scale = one.load(&tape, tape.address(from, index::<u32>(4)))[0];
        let x = one.load(&tape, tape.address(from, element * 4))[0];
        let _dead = x / scale;
        let y = x * scale.sqrt() + x * scale.sqrt();
        one.store(&tape, tape.address(to, element * 4), &[y]);
    });
    let text = tape.to_string();
    let (before, inside) = text.split_once("$top1:").unwrap();
    assert!(before.contains("sqrt.rn.f32") && before.contains("ld.global.b32"), "{text}");
    assert_eq!(["ld.global", "mul.rn.f32", "div.rn", "sqrt"].map(|word| inside.matches(word).count()), [1, 1, 0, 0]);
}
