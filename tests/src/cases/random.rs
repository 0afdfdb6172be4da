//! Random numbers: equal bits, not merely close ones.

use yuragi_graph::{DType, op::Distribution};

use super::{Case, Law};

pub(super) fn cases(cases: &mut Vec<Case>) {
    for &law in Distribution::ALL {
        for shape in [&[][..], &[1], &[0], &[5], &[1031], &[2, 3, 7], &[64, 33]] {
            for stream in [0, 7, u32::MAX] {
                let case = Case::new(law.name(), DType::F32, format!("{shape:?} of stream {stream}"), move |b, x| {
                    vec![b.random(law, x[0], stream, shape)]
                });
                cases.push(case.typed_input(&[2], DType::U32, Law::Key));
            }
        }
        let two = Case::new(law.name(), DType::F32, "two streams of a sliced key", move |b, x| {
            let key = x[0].slice(0, 1, 3);
            vec![b.random(law, key, 1, &[40]) - b.random(law, key, 2, &[40]), b.random(law, key, 1, &[8, 5])]
        });
        cases.push(two.typed_input(&[4], DType::U32, Law::Key));
    }
}
