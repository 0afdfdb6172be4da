//! Products of matrices, stored either way, in batches.

use yuragi_graph::op::MatMul;

use super::{Case, FLOATS, Law, Smooth, feed::Feed};

/// (M, N, K).
const SIZES: [(usize, usize, usize); 13] = [
    (1, 1, 1),
    (3, 5, 7),
    (2, 3, 4),
    (1, 65, 130),
    (65, 1, 33),
    (17, 9, 33),
    (64, 48, 1),
    (33, 31, 257),
    (16, 16, 16),
    (72, 136, 40),
    (0, 3, 4),
    (5, 0, 3),
    (3, 4, 0),
];

pub(super) fn cases(cases: &mut Vec<Case>) {
    for dtype in FLOATS {
        let parts = Case::new("matmul", dtype, "a part of a result, changed, and all of it", |_, x| {
            let y = x[0].matmul(x[1]);
            vec![y.slice(1, 0, 8) + 1.0, y]
        });
        cases.push(parts.input(&[1, 5], Law::Normal).input(&[5, 16], Law::Normal));
        for flags in 0..4 {
            let op = MatMul { transpose_a: flags & 1 == 1, transpose_b: flags & 2 == 2 };
            let stored =
                |rows: usize, columns: usize, swapped: bool| if swapped { [columns, rows] } else { [rows, columns] };
            let shapes = move |batch: &[usize], (m, n, k): (usize, usize, usize)| {
                let a = [batch, &stored(m, k, op.transpose_a)].concat();
                (a, [batch, &stored(k, n, op.transpose_b)].concat())
            };
            let name = ["", " aᵀ", " bᵀ", " aᵀ bᵀ"][flags];
            let case =
                |detail: String| Case::new("matmul", dtype, detail, move |_, x| vec![x[0].matmul_with(x[1], op)]);
            let small = |(m, n, k): (usize, usize, usize)| if m * n * k < 200 { Smooth::Twice } else { Smooth::No };
            for size in SIZES {
                let (a, b) = shapes(&[], size);
                let case = case(format!("{size:?}{name}"));
                cases.push(case.input(&a, Law::Normal).input(&b, Law::Normal).smooth(small(size)));
            }
            for batch in [&[1][..], &[3], &[2, 3], &[0], &[2, 1, 2]] {
                let (a, b) = shapes(batch, (4, 3, 5));
                let case = case(format!("batch {batch:?}{name}"));
                cases.push(case.input(&a, Law::Normal).input(&b, Law::Normal).smooth(Smooth::Twice));
            }
            for (detail, left, right) in [
                ("wide", Law::Wide, Law::Wide),
                ("ties", Law::Ties, Law::Ties),
                ("offset", Law::Offset(10.0), Law::Offset(-10.0)),
                ("special", Law::Spiked, Law::Normal),
            ] {
                let (a, b) = shapes(&[2], (13, 11, 40));
                cases.push(case(format!("{detail}{name}")).input(&a, left).input(&b, right));
            }
            for feed in Feed::ALL {
                let (a, b) = shapes(&[2], (3, 4, 5));
                let (before_a, before_b) = (feed.before(&a), feed.before(&b));
                let case = Case::new("matmul", dtype, format!("{feed:?}{name}"), move |_, x| {
                    vec![feed.apply(x[0], &a).matmul_with(feed.apply(x[1], &b), op)]
                });
                cases.push(case.input(&before_a, Law::Normal).input(&before_b, Law::Normal).smooth(Smooth::Twice));
            }
        }
        let shared = Case::new("matmul", dtype, "one matrix for a batch", |_, x| vec![x[0].matmul(x[1])]);
        cases.push(shared.input(&[2, 3, 4], Law::Normal).input(&[4, 5], Law::Normal).smooth(Smooth::Twice));
        let gram = Case::new("matmul", dtype, "one tensor twice", |_, x| vec![x[0].matmul(x[0].transpose())]);
        cases.push(gram.input(&[3, 4], Law::Normal).smooth(Smooth::Twice));
        let permuted = Case::new("matmul", dtype, "of transposes", |_, x| {
            vec![x[0].transpose().matmul(x[1].transpose()), x[0].transpose().matmul(x[0])]
        });
        cases.push(permuted.input(&[4, 3], Law::Normal).input(&[5, 4], Law::Normal).smooth(Smooth::Twice));
    }
}
