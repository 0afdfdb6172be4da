//! Mistakes are kept with the caller's line, and no input panics.

use core::panic::Location;

use yuragi_graph::{
    BuildError, Builder, DType, Init, Tensor,
    op::{Axes, Distribution, MatMul, Reduce, Window},
};
use yuragi_numeric::{philox::Philox, rand_core::Rng};

/// An extent that a tensor can have, of which the square is no number of elements.
const LONG: usize = 1 << (usize::BITS * 5 / 8);
/// Half of the most elements.
const HALF: usize = if usize::BITS == 64 { 1 << 46 } else { 1 << 27 };

/// The first error of what a function records, which must be on this or the next few lines of the caller.
#[track_caller]
fn error(f: impl for<'g> FnOnce(&'g Builder) -> Tensor<'g>) -> BuildError {
    let here = Location::caller();
    let b = Builder::new();
    let y = f(&b);
    let error = b.finish(&[("y", y)]).expect_err("a mistake");
    assert_eq!(error.location.file(), here.file(), "{error}");
    let lines = here.line()..here.line() + 4;
    assert!(lines.contains(&error.location.line()), "{error}, expected line {}", here.line());
    assert!(!error.message.is_empty() && error.to_string().contains(&error.message));
    error
}

fn x(b: &Builder) -> Tensor<'_> {
    b.param("x", &[2, 3], DType::F32, Init::Constant(0.0))
}

#[test]
fn every_mistake_names_the_line_of_the_caller() {
    error(|b| b.input("x", &[1; 7], DType::F32));
    error(|b| b.input("x", &[usize::MAX, 2], DType::F32));
    error(|b| b.fill(&[LONG, LONG], 0.0, DType::F32));
    error(|b| b.literal(&[2, 2], &[1.0]));
    error(|b| b.random(Distribution::Normal, x(b), 0, &[3]));
    error(|b| b.param("p", &[1; 9], DType::F32, Init::Constant(0.0)));
    error(|b| x(b) + b.fill(&[4], 0.0, DType::F32));
    error(|b| x(b) + b.fill(&[3], 0.0, DType::F16));
    error(|b| x(b) * b.input("i", &[3], DType::I32));
    error(|b| -b.input("i", &[3], DType::I32));
    error(|b| 2.0 / b.input("i", &[3], DType::U32));
    error(|b| x(b).select(x(b).slice(0, 0, 1), b.fill(&[5], 0.0, DType::F32)));
    error(|b| x(b).sum(&[2]));
    error(|b| x(b).max(&[0, -3]));
    error(|b| x(b).mean(&[9]));
    error(|b| x(b).reduce(Reduce::Sum, Axes::default().with(5)));
    error(|b| x(b).reduce(Reduce::Sum, [3, 200].into_iter().collect()));
    error(|b| x(b).reshape(&[7]));
    error(|b| x(b).reshape(&[1; 8]));
    error(|b| x(b).permute(&[0, 0]));
    error(|b| x(b).permute(&[0]));
    error(|b| x(b).permute(&[0, 2]));
    error(|b| x(b).sum_all().transpose());
    error(|b| x(b).broadcast(&[2]));
    error(|b| x(b).broadcast(&[4, 3]));
    error(|b| x(b).slice(2, 0, 1));
    error(|b| x(b).slice(0, 2, 1));
    error(|b| x(b).slice(0, 1, 3));
    error(|b| x(b).chunk(1, 2)[0]);
    error(|b| x(b).chunk(1, usize::MAX)[0]);
    error(|b| x(b).chunk(7, 3)[0]);
    error(|b| x(b).pad(2, 1, 1));
    error(|b| x(b).pad(0, usize::MAX, usize::MAX));
    error(|b| x(b).pad(1, HALF, HALF));
    error(|b| x(b).concat(&[b.fill(&[2, 3, 1], 0.0, DType::F32)], 0));
    error(|b| x(b).concat(&[b.fill(&[2, 4], 0.0, DType::F32)], 0));
    error(|b| x(b).concat(&[x2(b)], 5));
    error(|b| x(b).matmul(x2(b)));
    error(|b| x(b).matmul(b.fill(&[3], 1.0, DType::F32)));
    error(|b| x(b).matmul_with(x2(b), MatMul { transpose_a: true, transpose_b: true }));
    error(|b| b.fill(&[LONG, 1], 1.0, DType::F32).exp().matmul(b.fill(&[1, LONG], 1.0, DType::F32).exp()));
    error(|b| x(b).conv2d(x2(b), Window::same(3)));
    error(|b| picture(b).conv2d(kernel(b), Window { stride: [0, 1], padding: [1; 4] }));
    error(|b| picture(b).conv2d(kernel(b), Window { stride: [1, 1], padding: [0; 4] }));
    error(|b| picture(b).conv2d(kernel(b), Window { stride: [1, 1], padding: [usize::MAX; 4] }));
    error(|b| picture(b).conv2d_input_grad(kernel(b), Window::same(3), [9, 9]));
    error(|b| picture(b).conv2d_input_grad(kernel(b), Window::same(3), [usize::MAX, usize::MAX]));
    error(|b| picture(b).conv2d_weight_grad(picture2(b), Window::same(3), [2, 2]));
    error(|b| x(b).gather(x2(b)));
    error(|b| x(b).scatter_add(x2(b), 3));
    error(|b| b.input("i", &[2], DType::I32).scatter_add(x(b), usize::MAX));
    error(|b| b.fill(&[], 0.0, DType::F32).softmax());
    error(|b| x(b).layer_norm(x2(b), x2(b), 1e-5));
    error(|b| x(b).group_norm(0, b.fill(&[3], 1.0, DType::F32), b.fill(&[3], 1.0, DType::F32), 1e-5));
    error(|b| x(b).group_norm(2, b.fill(&[3], 1.0, DType::F32), b.fill(&[3], 1.0, DType::F32), 1e-5));
    error(|b| x(b).attention(x2(b), picture(b), None, 1.0));
    error(|b| x(b).attention(x2(b), x2(b), Some(b.fill(&[5], 0.0, DType::F32)), 1.0));
    error(|b| long(b, "q").attention(long(b, "k"), long(b, "v"), None, 1.0));
    error(|b| b.grad(x(b), &[x2(b)])[0]);
    error(|b| b.grad(b.input("i", &[], DType::I32), &[x2(b)])[0]);
    error(|b| {
        b.update(b.input("i", &[2, 3], DType::F32), x2(b));
        x2(b)
    });
    error(|b| {
        let p = b.param("p", &[2], DType::F32, Init::Constant(0.0));
        b.update(p, x(b));
        p
    });
    error(|b| {
        let p = b.param("p", &[], DType::F32, Init::Constant(0.0));
        b.update(p, p + 1.0);
        b.update(p, p + 2.0);
        p
    });
    error(|b| {
        b.param("p", &[2], DType::F32, Init::Constant(0.0));
        b.param("p", &[3], DType::F32, Init::Constant(0.0))
    });
    error(|b| {
        b.input("x", &[2], DType::F32);
        b.input("x", &[2], DType::F32)
    });
    error(|b| {
        x(b).dim(4);
        x2(b)
    });
}

fn x2(b: &Builder) -> Tensor<'_> {
    b.param("x2", &[2, 3], DType::F32, Init::Constant(0.0))
}

fn picture(b: &Builder) -> Tensor<'_> {
    b.param("picture", &[1, 2, 2, 3], DType::F32, Init::Constant(0.0))
}

fn picture2(b: &Builder) -> Tensor<'_> {
    b.param("picture2", &[1, 2, 2, 3], DType::F32, Init::Constant(0.0))
}

fn kernel(b: &Builder) -> Tensor<'_> {
    b.param("kernel", &[3, 3, 3, 3], DType::F32, Init::Constant(0.0))
}

fn long<'g>(b: &'g Builder, name: &str) -> Tensor<'g> {
    b.input(name, &[LONG, 1], DType::F32)
}

#[test]
fn the_first_mistake_is_kept() {
    let b = Builder::new();
    let y = x(&b).reshape(&[7]);
    let first = line!() - 1;
    let z = y.matmul(y).slice(9, 4, 1).softmax() + 1.0;
    let gradients = b.grad(z, &[y]);
    let error = b.finish(&[("z", z), ("g", gradients[0])]).expect_err("a mistake");
    assert_eq!(error.location.line(), first);
    assert!(error.message.starts_with("reshape"), "{error}");
}

#[test]
fn tensors_of_another_builder_are_refused() {
    let (a, b) = (Builder::new(), Builder::new());
    assert!(b.finish(&[("y", x(&a))]).is_err());
    let refused = |f: &dyn for<'g> Fn(&'g Builder, Tensor<'g>, Tensor<'g>) -> Option<Tensor<'g>>| {
        let (a, b) = (Builder::new(), Builder::new());
        let foreign = a.fill(&[2, 3], 1.0, DType::F32).exp().tanh();
        let x = b.input("x", &[2, 3], DType::F32);
        let own = x.sin();
        // Both lifetimes are those of the shorter-lived reference.
        let y = f(&b, own, foreign).unwrap_or(own);
        assert!(b.finish(&[("y", y)]).is_err());
    };
    refused(&|_, x, y| Some(x + y));
    refused(&|_, x, y| Some(x.select(x, y)));
    refused(&|_, x, y| Some(x.concat(&[y], 0)));
    refused(&|_, x, y| Some(x.matmul(y)));
    refused(&|_, x, y| Some(x.attention(x, y, None, 1.0)));
    refused(&|b, x, y| b.grad(x.sum_all(), &[y]).pop());
    refused(&|b, _, y| {
        let p = b.param("p", &[2, 3], DType::F32, Init::Constant(0.0));
        b.update(p, y);
        None
    });
}

/// Calls with arguments of every size, legal or not: whatever is recorded verifies, and nothing panics.
#[test]
fn silly_shapes_never_panic() {
    const EXTENTS: [usize; 18] = [0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 6, 1 << 20, HALF, usize::MAX];
    let mut legal = 0;
    for seed in 0..6000 {
        let mut rng = Philox::new([seed, 1], 0);
        let mut pick = |n: usize| rng.next_u32() as usize % n;
        let b = Builder::new();
        let mut tensors = vec![b.input("i", &[2, 3], DType::I32), b.input("x", &[2, 3, 1], DType::F32)];
        for step in 0..12 {
            let mut extents = || (0..pick(5)).map(|_| EXTENTS[pick(EXTENTS.len())]).collect::<Vec<_>>();
            let shape = extents();
            let t = |i: usize| tensors[i % tensors.len()];
            let (p, q, r) = (t(pick(99)), t(pick(99)), t(pick(99)));
            let (m, n) = (EXTENTS[pick(18)], EXTENTS[pick(18)]);
            let axis = pick(8) as isize - 4;
            let window = Window { stride: [pick(3), pick(3)], padding: [pick(3), m, pick(2), pick(2)] };
            let flags = MatMul { transpose_a: pick(2) == 0, transpose_b: pick(2) == 0 };
            let y = match pick(26) {
                0 => b.input(&format!("x{step}"), &shape, DType::F32),
                1 => b.fill(&shape, 1.5, DType::ALL[pick(5)]),
                2 => p + q,
                3 => p.select(q, r),
                4 => p.cast(DType::ALL[pick(5)]),
                5 => p.sum(&[axis]),
                6 => p.max(&[axis, 0]),
                7 => p.mean(&[axis]),
                8 => p.reshape(&shape),
                9 => p.permute(&shape),
                10 => p.permute(&(0..p.shape().rank()).rev().collect::<Vec<_>>()),
                11 => p.broadcast(&shape),
                12 => p.slice(pick(4), m, n),
                13 => p.pad(pick(4), m, n),
                14 => p.concat(&[q, r], axis),
                15 => p.matmul(q),
                16 => p.matmul_with(q, flags),
                17 => p.conv2d(q, window),
                18 => p.conv2d_input_grad(q, window, [m, n]),
                19 => p.conv2d_weight_grad(q, window, [m, n]),
                20 => p.gather(q),
                21 => p.scatter_add(q, m),
                22 => p.softmax().layer_norm(q, r, 1e-5),
                23 => p.group_norm(m, q, r, 1e-5),
                24 => p.attention(q, r, None, 0.5).chunk(axis, pick(4))[..].first().copied().unwrap_or(p),
                _ => p.mean_all() + q.sum_all(),
            };
            // Start again from the last legal graph, so that most steps meet legal tensors.
            match b.finish(&[("y", y)]) {
                Ok(graph) => {
                    graph.verify().expect("a legal graph");
                    graph.expanded(|_, _, _| false).verify().expect("a legal expansion");
                    legal += 1;
                    tensors.push(y);
                }
                Err(error) => {
                    assert_eq!(error.location.file(), file!(), "{error}");
                    break;
                }
            }
        }
    }
    assert!(legal > 2000, "only {legal} legal steps");
}
