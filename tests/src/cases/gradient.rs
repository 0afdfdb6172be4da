//! Fused gradients, and what they share.

use yuragi_graph::{
    DType,
    op::{Conv, Factor, Fused, Window},
};

use super::{Case, FLOATS, Law, Smooth, fused::TILED};

const EPS: f32 = 1e-5;

/// First derivatives of small tensors are compared with differences; larger ones only with the reference.
fn small(shape: &[usize]) -> Smooth {
    if shape.iter().product::<usize>() <= 60 { Smooth::Twice } else { Smooth::No }
}

pub(super) fn cases(cases: &mut Vec<Case>) {
    for dtype in FLOATS {
        layer_norm(dtype, cases);
        group_norm(dtype, cases);
        attention(dtype, cases);
    }
    winograd(cases);
}

/// Gradients of convolutions by minimal filtering.
fn winograd(cases: &mut Vec<Case>) {
    for (picture, filters, padding) in TILED {
        let window = Window { stride: [1, 1], padding };
        let kernel = [3, 3, picture[3], filters];
        let [h, w] = window.output([picture[1], picture[2]], [3, 3]).expect("a kernel inside the picture");
        let result = [picture[0], h, w, filters];
        for law in [Law::Normal, Law::Wide] {
            let smooth = if law == Law::Normal { small(&picture) } else { Smooth::No };
            let of_picture =
                Some((Conv::InputGrad(window), [result, kernel])).filter(|_| padding.iter().all(|&p| p < 3));
            for (conv, operands) in [(Conv::WeightGrad(window), [picture, result])].into_iter().chain(of_picture) {
                let op = Fused::Winograd(conv);
                let detail = format!("{picture:?} {kernel:?} {padding:?} {law:?}");
                let case = Case::new(op.name(), DType::F32, detail, move |_, x| vec![x[0].fused(op, &x[1..])]);
                cases.push(case.input(&operands[0], law).input(&operands[1], law).smooth(smooth));
            }
        }
        // The convolution's own gradients, which a backend may compute directly.
        let whole = Case::new("winograd", DType::F32, format!("{picture:?} {kernel:?}, its gradients"), move |b, x| {
            let y = x[0].winograd(x[1], padding);
            b.grad((y * x[2]).sum_all(), &x[..2])
        });
        cases.push(whole.input(&picture, Law::Normal).input(&kernel, Law::Normal).input(&result, Law::Normal));
    }
}

fn layer_norm(dtype: DType, cases: &mut Vec<Case>) {
    let eps = EPS.into();
    for shape in [&[4][..], &[3, 7], &[2, 3, 4], &[0, 3], &[5, 257], &[130, 64], &[1, 2000], &[70, 3]] {
        let c = &shape[shape.len() - 1..];
        let case =
            |op: Fused| Case::new(op.name(), dtype, format!("{shape:?}"), move |_, x| vec![x[0].fused(op, &x[1..])]);
        let sums = case(Fused::LayerNormSums { eps });
        cases.push(sums.input(shape, Law::Normal).input(shape, Law::Normal).smooth(small(shape)));
        let grad = case(Fused::LayerNormGrad { eps });
        let grad = grad.input(shape, Law::Normal).input(shape, Law::Normal).input(c, Law::Normal);
        cases.push(grad.smooth(small(shape)));
        let whole = Case::new("layer_norm", dtype, format!("{shape:?}, its gradients"), |b, x| {
            let y = x[0].layer_norm(x[1], x[2], EPS);
            b.grad((y * x[3]).cast(DType::F32).sum_all(), &x[..3])
        });
        let whole = whole.input(shape, Law::Normal).input(c, Law::Normal).input(c, Law::Normal);
        cases.push(whole.input(shape, Law::Normal));
    }
}

fn group_norm(dtype: DType, cases: &mut Vec<Case>) {
    let eps = EPS.into();
    for (shape, groups) in [
        (&[2, 3, 3, 6][..], 1),
        (&[2, 3, 2, 6], 2),
        (&[2, 2, 1, 6], 6),
        (&[3, 6], 2),
        (&[2, 5, 4], 2),
        (&[0, 3, 4], 2),
        (&[2, 7, 9, 32], 8),
        (&[3, 70, 30], 5),
        (&[1, 600, 16], 2),
        (&[1, 3, 2600], 5),
    ] {
        let (n, c) = (shape[0], shape[shape.len() - 1]);
        let size = format!("{shape:?} in {groups}");
        let case = |op: Fused| Case::new(op.name(), dtype, size.clone(), move |_, x| vec![x[0].fused(op, &x[1..])]);
        let smooth = small(shape);
        let moments = case(Fused::GroupMoments { groups, eps });
        cases.push(moments.input(shape, Law::Normal).smooth(smooth));
        let sums = case(Fused::GroupNormSums { groups }).input(shape, Law::Normal).input(shape, Law::Normal);
        cases.push(sums.typed_input(&[2, n, groups], DType::F32, Law::Normal).smooth(smooth));
        let grad = case(Fused::GroupNormGrad { groups }).input(shape, Law::Normal).input(shape, Law::Normal);
        let grad = grad.input(&[c], Law::Normal).typed_input(&[2, n, groups], DType::F32, Law::Normal);
        cases.push(grad.typed_input(&[2, n, c], DType::F32, Law::Normal).smooth(smooth));
        let whole = Case::new("group_norm", dtype, format!("{size}, its gradients"), move |b, x| {
            let y = x[0].group_norm(groups, x[1], x[2], EPS);
            b.grad((y * x[3]).cast(DType::F32).sum_all(), &x[..3])
        });
        let whole = whole.input(shape, Law::Normal).input(&[c], Law::Normal).input(&[c], Law::Normal);
        cases.push(whole.input(shape, Law::Normal));
    }
}

/// Batch, queries, keys, depth, depth of values.
const SIZES: [(&[usize], [usize; 4]); 9] = [
    (&[], [1, 1, 1, 1]),
    (&[], [3, 4, 2, 3]),
    (&[2], [3, 3, 4, 4]),
    (&[2, 3], [2, 3, 3, 2]),
    (&[2, 2], [17, 33, 8, 8]),
    (&[1, 1], [65, 70, 40, 40]),
    (&[1], [5, 130, 90, 160]),
    (&[0], [2, 3, 4, 4]),
    (&[2], [0, 3, 4, 4]),
];

fn attention(dtype: DType, cases: &mut Vec<Case>) {
    for (batch, [l, s, d, v]) in SIZES {
        let shape = |rows: usize, columns: usize| [batch, &[rows, columns]].concat();
        let (q, k, v) = (shape(l, d), shape(s, d), shape(s, v));
        let (g, row) = ([&q[..q.len() - 1], &v[v.len() - 1..]].concat(), shape(l, 1));
        let smooth = small(&[batch.iter().product(), l, s, d]);
        let scale = (1.0 / (d as f32).sqrt()).into();
        for mask in [None, Some(shape(l, s)), Some([&vec![1; batch.len()][..], &[1, s]].concat())] {
            let masked = |case: Case| match &mask {
                Some(shape) => case.input(shape, Law::Normal),
                None => case,
            };
            let size = format!("{q:?} {k:?} {v:?} masked by {mask:?}");
            let case = |op: Fused| Case::new(op.name(), dtype, size.clone(), move |_, x| vec![x[0].fused(op, &x[1..])]);
            let log_sum = case(Fused::AttentionLogSum { scale }).input(&q, Law::Normal).input(&k, Law::Normal);
            cases.push(masked(log_sum).smooth(smooth));
            for of in Factor::ALL {
                let grad = case(Fused::AttentionGrad { scale, of }).input(&g, Law::Normal).input(&q, Law::Normal);
                let grad = grad.input(&k, Law::Normal).input(&v, Law::Normal);
                let grad = grad.typed_input(&row, DType::F32, Law::Offset(2.0));
                cases.push(masked(grad.typed_input(&row, DType::F32, Law::Normal)).smooth(smooth));
            }
        }
        let whole = Case::new("attention", dtype, format!("{q:?} {k:?} {v:?}, its gradients"), move |b, x| {
            let y = x[0].attention(x[1], x[2], None, scale.get());
            b.grad((y * x[3]).cast(DType::F32).sum_all(), &x[..3])
        });
        let whole = whole.input(&q, Law::Normal).input(&k, Law::Normal).input(&v, Law::Normal);
        cases.push(whole.input(&g, Law::Normal));
    }
    let causal = Case::new("attention", dtype, "causal, its gradients", |b, x| {
        let values: Vec<f32> = (0..49).map(|i| if i % 7 > i / 7 { f32::NEG_INFINITY } else { 0.0 }).collect();
        let mask = b.literal(&[1, 7, 7], &values).cast(x[0].dtype());
        let y = x[0].attention(x[1], x[2], Some(mask), 0.5);
        b.grad((y * x[3]).cast(DType::F32).sum_all(), &x[..3])
    });
    let shape = [2, 7, 4];
    let causal = causal.input(&shape, Law::Normal).input(&shape, Law::Normal).input(&shape, Law::Normal);
    cases.push(causal.input(&shape, Law::Normal));
    let own = Case::new("attention", dtype, "one tensor thrice, its gradient", |b, x| {
        let y = x[0].attention(x[0], x[0], None, 0.5);
        b.grad((y * x[1]).cast(DType::F32).sum_all(), &x[..1])
    });
    cases.push(own.input(&shape, Law::Normal).input(&shape, Law::Normal));
    let heads = Case::new("attention", dtype, "heads split from one projection, its gradient", |b, x| {
        let parts = x[0].chunk(2, 3);
        let head = |i: usize| parts[i].reshape(&[2, 5, 2, 8]).permute(&[0, 2, 1, 3]);
        let y = head(0).attention(head(1), head(2), None, 0.5).permute(&[0, 2, 1, 3]).reshape(&[2, 5, 16]);
        b.grad((y * x[1]).cast(DType::F32).sum_all(), &x[..1])
    });
    cases.push(heads.input(&[2, 5, 48], Law::Normal).input(&[2, 5, 16], Law::Normal));
}
