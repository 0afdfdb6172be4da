//! Noise has the bits of the processor.

use yuragi_emulator::Arguments;
use yuragi_numeric::fill;

use crate::common::{Bench, blocks};

#[test]
fn noise_has_the_bits_of_the_processor() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/philox_normal.ptx");
    let key = bench.put(&[11_u32, 22]);
    for (n, first) in [(1, 0), (7, 3), (1001, 1 << 40), (64, u64::MAX - 5)] {
        let py = bench.room::<f32>(n + 1);
        for skip in [0, 4] {
            let out = || Arguments::new().u64(py + skip).u64(n as u64);
            let by_value = out().u32(11).u32(22).u32(33).u64(first);
            let by_address = out().u64(key).u32(33).u64(first);
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let [mut normal, mut uniform] = [vec![0.0; n], vec![0.0; n]];
            fill::normal([11, 22], 33, first, &mut normal);
            fill::uniform([11, 22], 33, first, &mut uniform);
            for (kernel, arguments, want) in [
                ("philox_normal_f32", &by_value, &normal),
                ("philox_uniform_f32", &by_value, &uniform),
                ("random_normal_f32", &by_address, &normal),
                ("random_uniform_f32", &by_address, &uniform),
            ] {
                bench.run(&module, kernel, blocks([2, 1, 1], 96, 0), arguments.clone());
                assert_eq!(bits(&bench.get::<f32>(py + skip, n)), bits(want), "{kernel} {n} {first}");
            }
        }
    }
}
