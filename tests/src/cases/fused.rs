//! Fused operations, whether the backend has kernels for them or not.

use yuragi_graph::{
    DType,
    op::{Fused, group_norm_run},
};

use super::{Case, FLOATS, Law, Smooth, feed::Feed};

const EPS: f32 = 1e-5;

/// A mean that a norm can bear: the type's spacing there is well below 1.
fn offset(dtype: DType) -> Law {
    Law::Offset((2e-3 / dtype.unit_roundoff()).min(100.0) as f32)
}

pub(super) fn cases(cases: &mut Vec<Case>) {
    for dtype in FLOATS {
        let softmax = |detail: String| Case::new("softmax", dtype, detail, |_, x| vec![x[0].softmax()]);
        for shape in [&[1][..], &[5], &[3, 7], &[2, 3, 5], &[0, 4], &[4, 0], &[1, 1], &[3, 129], &[2, 1031]] {
            let smooth = if shape.iter().product::<usize>() < 60 { Smooth::Twice } else { Smooth::No };
            cases.push(softmax(format!("{shape:?}")).input(shape, Law::Normal).smooth(smooth));
        }
        cases.push(softmax("offset".into()).input(&[5, 33], Law::Offset(1000.0)));
        cases.push(softmax("wide".into()).input(&[5, 33], Law::Wide));
        cases.push(softmax("ties".into()).input(&[5, 33], Law::Ties));
        cases.push(softmax("special".into()).input(&[20, 8], Law::Spiked));

        let layer =
            |detail: String| Case::new("layer_norm", dtype, detail, |_, x| vec![x[0].layer_norm(x[1], x[2], EPS)]);
        for shape in [&[4][..], &[3, 7], &[2, 3, 4], &[2, 1], &[0, 3], &[5, 257], &[2, 3, 64]] {
            let c = &shape[shape.len() - 1..];
            let smooth = if shape.iter().product::<usize>() < 60 && c[0] > 1 { Smooth::Twice } else { Smooth::No };
            for (detail, law) in [("", Law::Normal), (" offset", offset(dtype)), (" ties", Law::Ties)] {
                let case = layer(format!("{shape:?}{detail}")).input(shape, law);
                let smooth = if law == Law::Normal { smooth } else { Smooth::No };
                cases.push(case.input(c, Law::Normal).input(c, Law::Normal).smooth(smooth));
            }
        }

        for (shape, groups) in [
            (&[2, 3, 3, 6][..], 1),
            (&[2, 3, 2, 6], 2),
            (&[1, 2, 3, 6], 3),
            (&[2, 2, 2, 6], 6),
            (&[3, 6], 2),
            (&[2, 5, 4], 2),
            (&[0, 3, 4], 2),
            (&[2, 7, 9, 32], 8),
            (&[1, 1, 1, 4], 2),
        ] {
            let c = &shape[shape.len() - 1..];
            let group = |detail: &str| {
                let detail = format!("{shape:?} in {groups}{detail}");
                Case::new("group_norm", dtype, detail, move |_, x| vec![x[0].group_norm(groups, x[1], x[2], EPS)])
            };
            let smooth = if shape.iter().product::<usize>() <= 60 { Smooth::Twice } else { Smooth::No };
            for (detail, law) in [("", Law::Normal), (" offset", offset(dtype))] {
                let case = group(detail).input(shape, law);
                let smooth = if law == Law::Normal { smooth } else { Smooth::No };
                cases.push(case.input(c, Law::Normal).input(c, Law::Normal).smooth(smooth));
            }
            let silu = Case::new("group_norm", dtype, format!("{shape:?} in {groups}, silu"), move |_, x| {
                vec![x[0].group_norm(groups, x[1], x[2], EPS).silu()]
            });
            cases.push(silu.input(shape, Law::Normal).input(c, Law::Normal).input(c, Law::Normal));
        }

        attention(dtype, cases);
        if dtype == DType::F32 {
            winograd(cases);
            parts(cases);
        }
        for feed in Feed::ALL {
            let shape = [2, 3, 4];
            let case =
                Case::new("softmax", dtype, format!("{feed:?}"), move |_, x| vec![feed.apply(x[0], &shape).softmax()]);
            cases.push(case.input(&feed.before(&shape), Law::Normal).smooth(Smooth::Twice));
            let case = Case::new("layer_norm", dtype, format!("{feed:?}"), move |_, x| {
                vec![feed.apply(x[0], &shape).layer_norm(x[1].slice(0, 1, 5), x[1].slice(0, 2, 6), EPS)]
            });
            cases.push(case.input(&feed.before(&shape), Law::Normal).input(&[6], Law::Normal).smooth(Smooth::Twice));
        }
    }
}

/// Moments of runs of pixels, and parts of pictures by them: one run, several, and a rest.
fn parts(cases: &mut Vec<Case>) {
    for (shape, groups) in [
        (&[2, 3, 2, 6][..], 2),
        (&[1, 2, 3, 6], 6),
        (&[3, 6], 2),
        (&[0, 3, 4], 2),
        (&[2, 0, 4], 2),
        (&[1, 5, 17000], 17),
        (&[2, 13, 8000], 5),
    ] {
        let (n, c) = (shape[0], shape[shape.len() - 1]);
        let pixels: usize = shape[1..shape.len() - 1].iter().product();
        let smooth = if shape.iter().product::<usize>() <= 60 { Smooth::Twice } else { Smooth::No };
        let name = format!("{shape:?} in {groups}");
        let moments = Case::new("group_run_moments", DType::F32, name.clone(), move |_, x| {
            vec![x[0].fused(Fused::GroupRunMoments { groups }, &[])]
        });
        cases.push(moments.input(shape, Law::Normal).smooth(smooth));
        // As a part of a picture of twice the pixels.
        let (whole, eps) = (2 * pixels.max(1), EPS.into());
        let op = Fused::GroupNormPart { groups, eps, pixels: whole };
        let runs = [n, whole.div_ceil(group_norm_run(c)), groups, 2];
        for silu in [false, true] {
            let detail = if silu { format!("{name}, silu") } else { name.clone() };
            let case = Case::new("group_norm_part", DType::F32, detail, move |_, x| {
                let root = x[3].slice(3, 1, 2);
                let moments = x[3].slice(3, 0, 1).concat(&[root * root], 3);
                let y = x[0].fused(op, &[x[1], x[2], moments]);
                vec![if silu { y.silu() } else { y }]
            });
            let case = case.input(shape, Law::Normal).input(&[c], Law::Normal).input(&[c], Law::Normal);
            cases.push(case.input(&runs, Law::Normal).smooth(if silu { Smooth::No } else { smooth }));
        }
    }
}

/// Pictures, filters and zeros around: whole tiles and parts of them, any padding, sums in several steps.
pub(super) const TILED: [([usize; 4], usize, [usize; 4]); 9] = [
    ([1, 4, 4, 1], 1, [1; 4]),
    ([2, 5, 3, 3], 2, [1; 4]),
    ([1, 3, 3, 2], 3, [0; 4]),
    ([1, 6, 9, 5], 4, [0, 2, 3, 1]),
    ([2, 8, 8, 33], 17, [1; 4]),
    ([1, 17, 9, 130], 50, [1; 4]),
    ([0, 4, 4, 2], 2, [1; 4]),
    ([1, 4, 4, 2], 0, [1; 4]),
    ([1, 4, 4, 0], 2, [1; 4]),
];

/// Convolutions by minimal filtering.
fn winograd(cases: &mut Vec<Case>) {
    for (picture, filters, padding) in TILED {
        let kernel = [3, 3, picture[3], filters];
        let smooth = if picture.iter().product::<usize>() < 100 { Smooth::Twice } else { Smooth::No };
        for (detail, law) in [("", Law::Normal), (" wide", Law::Wide)] {
            let detail = format!("{picture:?} {kernel:?} {padding:?}{detail}");
            let case = Case::new("winograd", DType::F32, detail, move |_, x| vec![x[0].winograd(x[1], padding)]);
            let smooth = if law == Law::Normal { smooth } else { Smooth::No };
            cases.push(case.input(&picture, law).input(&kernel, law).smooth(smooth));
        }
        let biased = Case::new("winograd", DType::F32, format!("{picture:?} {kernel:?} and a bias"), move |_, x| {
            let y = x[0].winograd(x[1], padding);
            vec![y + x[2].broadcast(&y.shape())]
        });
        cases.push(biased.input(&picture, Law::Normal).input(&kernel, Law::Normal).input(&[filters], Law::Normal));
    }
}

/// Batch, queries, keys, depth, depth of values.
const SIZES: [(&[usize], usize, usize, usize, usize); 9] = [
    (&[], 1, 1, 1, 1),
    (&[], 3, 4, 2, 3),
    (&[2], 3, 3, 4, 4),
    (&[2, 3], 4, 5, 3, 2),
    (&[2], 1, 7, 4, 5),
    (&[2, 2], 17, 33, 8, 8),
    (&[1, 1], 65, 70, 40, 40),
    (&[0], 2, 3, 4, 4),
    (&[2], 0, 3, 4, 4),
];

fn attention(dtype: DType, cases: &mut Vec<Case>) {
    for (batch, l, s, d, v) in SIZES {
        let shape = |rows: usize, columns: usize| [batch, &[rows, columns]].concat();
        let (q, k, v) = (shape(l, d), shape(s, d), shape(s, v));
        let size = format!("{q:?} {k:?} {v:?}");
        let smooth = if l * s * d * batch.iter().product::<usize>() < 130 { Smooth::Twice } else { Smooth::No };
        let scale = 1.0 / (d as f32).sqrt();
        let plain =
            Case::new("attention", dtype, size.clone(), move |_, x| vec![x[0].attention(x[1], x[2], None, scale)]);
        cases.push(plain.input(&q, Law::Normal).input(&k, Law::Normal).input(&v, Law::Normal).smooth(smooth));
        let ones = vec![1; batch.len()];
        let masks = [shape(l, s), [&ones[..], &[l, s]].concat(), [&ones[..], &[1, s]].concat(), shape(1, s)];
        for (i, mask) in masks.iter().enumerate() {
            if masks[..i].contains(mask) {
                continue;
            }
            let masked = Case::new("attention", dtype, format!("{size} masked by {mask:?}"), move |_, x| {
                vec![x[0].attention(x[1], x[2], Some(x[3]), scale)]
            });
            let masked = masked.input(&q, Law::Normal).input(&k, Law::Normal).input(&v, Law::Normal);
            cases.push(masked.input(mask, Law::Normal).smooth(if i == 0 { smooth } else { Smooth::No }));
        }
    }
    let causal = Case::new("attention", dtype, "causal", |b, x| {
        let values: Vec<f32> = (0..49).map(|i| if i % 7 > i / 7 { f32::NEG_INFINITY } else { 0.0 }).collect();
        let mask = b.literal(&[1, 7, 7], &values).cast(x[0].dtype());
        vec![x[0].attention(x[1], x[2], Some(mask), 0.5)]
    });
    let shape = [2, 7, 4];
    cases.push(causal.input(&shape, Law::Normal).input(&shape, Law::Normal).input(&shape, Law::Normal));
    let own = Case::new("attention", dtype, "one tensor thrice", |_, x| vec![x[0].attention(x[0], x[0], None, 0.5)]);
    cases.push(own.input(&[2, 3, 4], Law::Normal).smooth(Smooth::Twice));
    let sharp = Case::new("attention", dtype, "sharp", |_, x| vec![x[0].attention(x[1], x[2], None, 8.0)]);
    cases.push(sharp.input(&shape, Law::Normal).input(&shape, Law::Normal).input(&shape, Law::Normal));
    let heads = Case::new("attention", dtype, "heads split from one projection", |_, x| {
        let parts = x[0].chunk(2, 3);
        let head = |i: usize| parts[i].reshape(&[2, 5, 2, 3]).permute(&[0, 2, 1, 3]);
        vec![head(0).attention(head(1), head(2), None, 0.5).permute(&[0, 2, 1, 3]).reshape(&[2, 5, 6])]
    });
    cases.push(heads.input(&[2, 5, 18], Law::Normal));
}
