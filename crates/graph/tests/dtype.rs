//! Rounding to each element type.

use half::{bf16, f16};
use yuragi_graph::DType;
use yuragi_numeric::{philox::Philox, rand_core::Rng};

#[test]
fn every_half_precision_number_rounds_to_itself() {
    for bits in 0..=u16::MAX {
        for (dtype, value) in
            [(DType::F16, f16::from_bits(bits).to_f64()), (DType::BF16, bf16::from_bits(bits).to_f64())]
        {
            let rounded = dtype.round(value);
            assert!(
                rounded == value && rounded.is_sign_negative() == value.is_sign_negative()
                    || value.is_nan() && rounded.is_nan()
            );
        }
    }
}

/// Between neighbours a < b: everything below the middle goes to a, above to b, the middle to the even one.
#[test]
fn ties_go_to_even_and_nothing_else_does() {
    for bits in (0..0x7bff_u16).chain(0x8000..0xfbff) {
        let [a, b] = [bits, bits + 1].map(|bits| f16::from_bits(bits).to_f64());
        let middle = (a + b) / 2.0;
        let even = if bits % 2 == 0 { a } else { b };
        assert_eq!(DType::F16.round(middle), even);
        assert_eq!(DType::F16.round(middle + (a - middle) * 1e-12), a);
        assert_eq!(DType::F16.round(middle + (b - middle) * 1e-12), b);
    }
    for bits in (0..0x7f7f_u16).chain(0x8000..0xff7f) {
        let [a, b] = [bits, bits + 1].map(|bits| bf16::from_bits(bits).to_f64());
        let middle = (a + b) / 2.0;
        assert_eq!(DType::BF16.round(middle), if bits % 2 == 0 { a } else { b });
        assert_eq!(DType::BF16.round(middle + (b - middle) * 1e-12), b);
    }
}

#[test]
fn single_precision_rounds_as_half_does() {
    let mut rng = Philox::new([1, 2], 3);
    for _ in 0..200_000 {
        let x = f32::from_bits(rng.next_u32());
        if !x.is_nan() {
            assert_eq!(DType::F16.round(x.into()), f16::from_f32(x).to_f64(), "{x:e}");
            assert_eq!(DType::BF16.round(x.into()), bf16::from_f32(x).to_f64(), "{x:e}");
        }
    }
}

#[test]
fn the_edge_of_the_range_is_halfway_beyond_the_largest() {
    assert_eq!(DType::F16.round(65_519.99), 65_504.0);
    assert_eq!(DType::F16.round(65_520.0), f64::INFINITY);
    assert_eq!(DType::F16.round(-1e300), f64::NEG_INFINITY);
    assert_eq!(DType::BF16.round(3.395e38), bf16::MAX.to_f64());
    assert_eq!(DType::BF16.round(3.3962e38), f64::INFINITY);
    assert_eq!(DType::F32.round(f64::from(f32::MAX) * (1.0 + 1e-9)), f32::MAX.into());
    assert_eq!(DType::F32.round(1e39), f64::INFINITY);
}

#[test]
fn integers_are_truncated_and_saturate() {
    assert_eq!([2.9, -2.9, 1e12, f64::NAN].map(|x| DType::I32.round(x)), [2.0, -2.0, 2_147_483_647.0, 0.0]);
    assert_eq!([2.9, -2.9, 1e12].map(|x| DType::U32.round(x)), [2.0, 0.0, 4_294_967_295.0]);
}
