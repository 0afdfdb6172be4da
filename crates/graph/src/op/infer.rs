use alloc::{format, string::String};

use super::{Conv, Factor, Fused, Movement, Op, group_norm_run, winograd};
use crate::{DType, Shape};

/// The shape and element type of an operation's result. `want` is the shape that the caller asks
/// for where the operation leaves it open (moves, transposed convolutions, random numbers).
pub(crate) fn infer(op: &Op, x: &[(Shape, DType)], want: Shape) -> Result<(Shape, DType), String> {
    let count = |n: usize| -> Result<(), String> {
        (x.len() == n).then_some(()).ok_or_else(|| format!("takes {n} operands, got {}", x.len()))
    };
    let floats = || -> Result<DType, String> {
        let dtype = x[0].1;
        match x.iter().find(|o| o.1 != dtype || !dtype.is_float()) {
            None => Ok(dtype),
            Some(other) => Err(format!("operands must share one floating type, got {dtype} and {}", other.1)),
        }
    };
    let same = || -> Result<Shape, String> {
        match x.iter().find(|o| o.0 != x[0].0) {
            None => Ok(x[0].0),
            Some(other) => Err(format!("operands must have one shape, got {} and {}", x[0].0, other.0)),
        }
    };
    let expect = |ok: bool, what: &str| -> Result<(), String> {
        ok.then_some(()).ok_or_else(|| {
            let mut text = format!("{what}; operands");
            x.iter().for_each(|o| text += &format!(" {}", o.0));
            text + &format!(", result {want}")
        })
    };
    match op {
        Op::Input(_) | Op::Param(_) | Op::Literal(_) | Op::Fill(_) => {
            count(0)?;
            Ok((want, DType::F32))
        }
        Op::Unary(_) => {
            count(1)?;
            Ok((x[0].0, floats()?))
        }
        Op::Binary(_) => {
            count(2)?;
            Ok((same()?, floats()?))
        }
        Op::Select => {
            count(3)?;
            Ok((same()?, floats()?))
        }
        Op::Cast => {
            count(1)?;
            Ok((x[0].0, x[0].1))
        }
        Op::Reduce(_, axes) => {
            count(1)?;
            let mut shape = x[0].0;
            for axis in (0..8).filter(|&axis| axes.contains(axis)) {
                expect(axis < shape.rank(), "the axes must exist")?;
                shape = shape.with(axis, 1);
            }
            Ok((shape, floats()?))
        }
        Op::Move(movement) => {
            match *movement {
                Movement::Concat(_) => expect(!x.is_empty(), "concat takes at least one operand")?,
                Movement::Reshape
                | Movement::Permute(_)
                | Movement::Broadcast
                | Movement::Slice { .. }
                | Movement::Pad { .. } => count(1)?,
            }
            let from = x[0].0;
            let rank = from.rank();
            let axis_is = |axis: u8| usize::from(axis) < rank && want.rank() == rank;
            let elsewhere_equal = |axis: u8| (0..rank).all(|i| i == usize::from(axis) || from[i] == want[i]);
            match *movement {
                Movement::Reshape => expect(from.count() == want.count(), "reshape keeps the number of elements")?,
                Movement::Permute(p) => {
                    let p = &p[..rank];
                    expect(
                        (0..rank).all(|i| p.iter().any(|&j| usize::from(j) == i)),
                        "a permutation names every axis once",
                    )?;
                    expect(
                        want.rank() == rank && (0..rank).all(|i| want[i] == from[usize::from(p[i])]),
                        "permuted extents",
                    )?;
                }
                Movement::Broadcast => expect(
                    want.rank() == rank && (0..rank).all(|i| from[i] == want[i] || from[i] == 1),
                    "only extents of 1 are repeated",
                )?,
                Movement::Slice { axis, start } => {
                    expect(axis_is(axis), "the axis must exist")?;
                    let i = usize::from(axis);
                    expect(
                        elsewhere_equal(axis) && start.checked_add(want[i]).is_some_and(|end| end <= from[i]),
                        "the slice must lie inside",
                    )?;
                }
                Movement::Pad { axis, before } => {
                    expect(axis_is(axis), "the axis must exist")?;
                    let i = usize::from(axis);
                    expect(
                        elsewhere_equal(axis) && before.checked_add(from[i]).is_some_and(|end| end <= want[i]),
                        "padding only adds",
                    )?;
                }
                Movement::Concat(axis) => {
                    expect(axis_is(axis), "the axis must exist")?;
                    let i = usize::from(axis);
                    let fits = x
                        .iter()
                        .all(|o| o.1 == x[0].1 && o.0.rank() == rank && (0..rank).all(|j| j == i || o.0[j] == want[j]));
                    expect(
                        fits && x.iter().map(|o| o.0[i]).sum::<usize>() == want[i],
                        "all other extents must be equal",
                    )?;
                }
            }
            Ok((want, x[0].1))
        }
        Op::MatMul(matmul) => {
            count(2)?;
            let (a, b) = (x[0].0, x[1].0);
            let Some((m, n, _)) = matmul.extents(&a, &b) else {
                return Err(format!("operands must be [.., M, K] and [.., K, N], got {a} and {b} ({matmul:?})"));
            };
            let rank = a.rank();
            Ok((a.with(rank - 2, m).with(rank - 1, n), floats()?))
        }
        Op::Conv(conv) => {
            count(2)?;
            let (a, b) = (x[0].0, x[1].0);
            expect(a.rank() == 4 && b.rank() == 4, "operands have four axes")?;
            let window = conv.window();
            let (image, kernel, output, shape) = match conv {
                Conv::Forward(_) => {
                    expect(a[3] == b[2], "input channels must agree")?;
                    let [h, w] = window.output([a[1], a[2]], [b[0], b[1]]).unwrap_or([0, 0]);
                    (a, b, a.with(1, h).with(2, w).with(3, b[3]), a.with(1, h).with(2, w).with(3, b[3]))
                }
                Conv::InputGrad(_) => {
                    expect(a[3] == b[3], "output channels must agree")?;
                    expect(want.rank() == 4 && want[0] == a[0] && want[3] == b[2], "the input's batch and channels")?;
                    (want, b, a, want)
                }
                Conv::WeightGrad(_) => {
                    expect(a[0] == b[0], "batches must agree")?;
                    expect(want.rank() == 4 && want[2] == a[3] && want[3] == b[3], "the kernel's channels")?;
                    (a, want, b, want)
                }
            };
            let size = window.output([image[1], image[2]], [kernel[0], kernel[1]]);
            expect(
                size == Some([output[1], output[2]]),
                "the window must fit: stride at least 1, kernel inside the padded picture",
            )?;
            Ok((shape, floats()?))
        }
        Op::Gather => {
            count(2)?;
            expect(x[0].0.rank() >= 1 && x[1].1 == DType::I32, "gather takes a table and i32 indices")?;
            let dims: alloc::vec::Vec<usize> = x[1].0.iter().chain(&x[0].0[1..]).copied().collect();
            let shape = Shape::new(&dims).ok_or("the result has too many axes")?;
            Ok((shape, x[0].1))
        }
        Op::ScatterAdd(rows) => {
            count(2)?;
            let (indices, values) = (x[0].0, x[1].0);
            expect(x[0].1 == DType::I32 && x[1].1.is_float(), "scatter_add takes i32 indices and values")?;
            expect(values.starts_with(&indices), "the values' leading axes are the indices'")?;
            let dims: alloc::vec::Vec<usize> =
                core::iter::once(*rows).chain(values[indices.rank()..].iter().copied()).collect();
            let shape = Shape::new(&dims).ok_or("the result has too many axes")?;
            Ok((shape, x[1].1))
        }
        Op::Random(..) => {
            count(1)?;
            expect(x[0].1 == DType::U32 && *x[0].0 == [2], "the key is two u32")?;
            Ok((want, DType::F32))
        }
        Op::Fused(fused) => {
            let channels = |x: Shape, of: Shape| x.rank() >= 1 && *of == [x[x.rank() - 1]];
            // Operands that several gradients share.
            let single = |(have, dtype): (Shape, DType), want: &[usize]| *have == *want && dtype == DType::F32;
            let alike = |count: usize| -> Result<DType, String> {
                let dtype = x[0].1;
                match x[..count].iter().chain(x.get(6)).find(|o| o.1 != dtype || !dtype.is_float()) {
                    None => Ok(dtype),
                    Some(other) => Err(format!("operands must share one floating type, got {dtype} and {}", other.1)),
                }
            };
            let grouped = |x: Shape, groups: usize| -> Result<(usize, usize), String> {
                let rank = x.rank();
                expect(rank >= 2, "x is [N, .., C]")?;
                let c = x[rank - 1];
                expect(groups > 0 && c.is_multiple_of(groups), "the number of groups divides the channels")?;
                Ok((x[0], c))
            };
            let summed =
                |dims: &[usize]| Shape::new(dims).map(|s| (s, DType::F32)).ok_or("the result is too large".into());
            let masked = |mask: Option<&(Shape, DType)>, q: Shape, keys: usize| -> Result<(), String> {
                let scores = q.with(q.rank() - 1, keys);
                expect(Shape::new(&scores).is_some(), "the scores [.., L, S] are too large")?;
                match mask {
                    Some((mask, _)) => expect(
                        Shape::broadcast(mask, &scores) == Some(scores) && mask.rank() == q.rank(),
                        "the mask broadcasts to [.., L, S]",
                    ),
                    None => Ok(()),
                }
            };
            let crossed = |q: Shape, k: Shape| {
                let r = q.rank();
                r >= 2 && k.rank() == r && q[..r - 2] == k[..r - 2] && q[r - 1] == k[r - 1]
            };
            let attended = |q: Shape, k: Shape, v: Shape| {
                let r = q.rank();
                crossed(q, k) && v.rank() == r && q[..r - 2] == v[..r - 2] && k[r - 2] == v[r - 2]
            };
            match *fused {
                Fused::Softmax => {
                    count(1)?;
                    expect(x[0].0.rank() >= 1, "the last axis must exist")?;
                }
                Fused::LayerNorm { .. } => {
                    count(3)?;
                    expect(channels(x[0].0, x[1].0) && x[1].0 == x[2].0, "gain and bias are [C]")?;
                }
                Fused::LayerNormSums { .. } => {
                    count(2)?;
                    expect(x[0].0.rank() >= 1, "the last axis must exist")?;
                    same()?;
                    floats()?;
                    return summed(&[2, x[0].0[x[0].0.rank() - 1]]);
                }
                Fused::LayerNormGrad { .. } => {
                    count(3)?;
                    expect(x[0].0 == x[1].0 && channels(x[0].0, x[2].0), "g is as x [.., C], gain is [C]")?;
                }
                Fused::GroupNorm { groups, .. } => {
                    count(3)?;
                    grouped(x[0].0, groups)?;
                    expect(channels(x[0].0, x[1].0) && x[1].0 == x[2].0, "x is [N, .., C], gain and bias are [C]")?;
                }
                Fused::GroupMoments { groups, .. } => {
                    count(1)?;
                    let (n, _) = grouped(x[0].0, groups)?;
                    floats()?;
                    return summed(&[2, n, groups]);
                }
                Fused::GroupNormSums { groups } => {
                    count(3)?;
                    let (n, c) = grouped(x[1].0, groups)?;
                    let fits = x[0].0 == x[1].0 && single(x[2], &[2, n, groups]);
                    expect(fits, "g is as x [N, .., C], moments are F32 [2, N, groups]")?;
                    alike(2)?;
                    return summed(&[2, n, c]);
                }
                Fused::GroupNormGrad { groups } => {
                    count(5)?;
                    let (n, c) = grouped(x[1].0, groups)?;
                    let fits = x[0].0 == x[1].0 && channels(x[1].0, x[2].0);
                    expect(fits, "g is as x [N, .., C], gain is [C]")?;
                    let fits = single(x[3], &[2, n, groups]) && single(x[4], &[2, n, c]);
                    expect(fits, "moments are F32 [2, N, groups], sums F32 [2, N, C]")?;
                    return Ok((x[1].0, alike(3)?));
                }
                Fused::GroupRunMoments { groups } => {
                    count(1)?;
                    let (n, c) = grouped(x[0].0, groups)?;
                    expect(c > 0 && floats()? == DType::F32, "x is F32 [N, .., C], with channels")?;
                    let pixels: usize = x[0].0[1..x[0].0.rank() - 1].iter().product();
                    return summed(&[n, pixels.div_ceil(group_norm_run(c)), groups, 2]);
                }
                Fused::GroupNormPart { groups, pixels, .. } => {
                    count(4)?;
                    let (n, c) = grouped(x[0].0, groups)?;
                    let fits = channels(x[0].0, x[1].0) && x[1].0 == x[2].0 && c > 0;
                    expect(fits && floats()? == DType::F32, "x is F32 [N, .., C], gain and bias are [C]")?;
                    let runs = pixels.div_ceil(group_norm_run(c));
                    let fits = pixels > 0 && single(x[3], &[n, runs, groups, 2]);
                    expect(fits, "moments are F32 [N, R, groups, 2], of the runs of the pixels")?;
                }
                Fused::Attention { .. } => {
                    expect(x.len() == 3 || x.len() == 4, "attention takes q, k, v and perhaps a mask")?;
                    let (q, k, v) = (x[0].0, x[1].0, x[2].0);
                    let r = q.rank();
                    expect(attended(q, k, v), "q [.., L, D], k [.., S, D], v [.., S, V]")?;
                    masked(x.get(3), q, k[r - 2])?;
                    return Ok((q.with(r - 1, v[r - 1]), floats()?));
                }
                Fused::AttentionLogSum { .. } => {
                    expect(x.len() == 2 || x.len() == 3, "takes q, k and perhaps a mask")?;
                    let (q, k) = (x[0].0, x[1].0);
                    expect(crossed(q, k), "q [.., L, D], k [.., S, D]")?;
                    masked(x.get(2), q, k[q.rank() - 2])?;
                    floats()?;
                    return Ok((q.with(q.rank() - 1, 1), DType::F32));
                }
                Fused::AttentionGrad { of, .. } => {
                    expect(x.len() == 6 || x.len() == 7, "takes g, q, k, v, log_sum, delta and perhaps a mask")?;
                    let (q, k, v) = (x[1].0, x[2].0, x[3].0);
                    expect(attended(q, k, v), "q [.., L, D], k [.., S, D], v [.., S, V]")?;
                    let r = q.rank();
                    let rows = q.with(r - 1, 1);
                    let fits = x[0].0 == q.with(r - 1, v[r - 1]) && single(x[4], &rows) && single(x[5], &rows);
                    expect(fits, "g [.., L, V], log_sum and delta F32 [.., L, 1]")?;
                    masked(x.get(6), q, k[r - 2])?;
                    let place = match of {
                        Factor::Query => 1,
                        Factor::Key => 2,
                        Factor::Value => 3,
                    };
                    return Ok((x[place].0, alike(4)?));
                }
                Fused::Winograd(conv) => {
                    count(2)?;
                    let shape = winograd::infer(conv, x[0].0, x[1].0);
                    expect(shape.is_some(), "3×3 taps of stride 1, inside the padded picture, with agreeing channels")?;
                    expect(floats()? == DType::F32, "minimal filtering is of f32")?;
                    return Ok((shape.unwrap_or(x[0].0), DType::F32));
                }
            }
            Ok((x[0].0, floats()?))
        }
    }
}
