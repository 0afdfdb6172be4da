//! A formula that no table has: written once over `Real`, it runs here and there.

use yuragi_emulator::{Arguments, Device, Launch, Properties};
use yuragi_graph::DType;
use yuragi_numeric::Real;

use super::{kernel::Params, memory::Access, tape::Tape};
use crate::launch::{Address, Argument, Home};

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
    let text = format!(".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry formula{}", kernel.text);

    let device = Device::new(Properties::default());
    let module = device.load(&text).unwrap();
    let [from, to] = [0; 2].map(|_| device.allocate(4 * COUNT as u64).unwrap());
    device.write(from, &x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let arguments = Arguments::new().u64(from).u64(to).u32(COUNT as u32);
    let report = device.launch(&module.kernel("formula").unwrap(), &Launch::linear(2, 256), arguments.bytes()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let mut bytes = vec![0; 4 * COUNT];
    device.read(to, &mut bytes).unwrap();
    let there = bytes.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x));
    for (&x, there) in x.iter().zip(there) {
        let here = formula(x);
        assert!(here.to_bits() == there.to_bits() || here.is_nan() && there.is_nan(), "f({x}) = {here}, {there}");
    }
}
