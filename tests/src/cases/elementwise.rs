//! Functions of one, two or three numbers, and casts.

use yuragi_graph::{
    DType,
    op::{Binary, Unary},
};

use super::{Case, FLOATS, Law, Smooth, feed::Feed, law::SPECIAL};

const SHAPES: [&[usize]; 9] = [&[], &[1], &[0], &[7], &[3, 5], &[4, 0, 3], &[2, 3, 1, 2, 1, 3], &[1; 6], &[1031]];
const FED: &[usize] = &[3, 4, 5];

pub(super) fn cases(cases: &mut Vec<Case>) {
    for dtype in FLOATS {
        for &op in Unary::ALL {
            unary(op, dtype, cases);
        }
        for &op in Binary::ALL {
            binary(op, dtype, cases);
        }
        select(dtype, cases);
        for to in DType::ALL {
            cast(dtype, to, cases);
        }
    }
    for dtype in [DType::I32, DType::U32] {
        for to in DType::ALL.into_iter().filter(|&to| to != dtype) {
            let below = if to == DType::F16 { 60_000 } else { 1 << 30 };
            let case = Case::new("cast", dtype, format!("to {to}"), move |_, x| vec![x[0].cast(to)]);
            cases.push(case.input(&[257], Law::Index(below)));
        }
    }
}

/// Inputs where a function of one number is defined and can be differentiated, and how often.
fn domain(op: Unary) -> (Law, Smooth) {
    match op {
        Unary::Ln | Unary::Sqrt => (Law::Positive, Smooth::Twice),
        Unary::Recip => (Law::Nonzero, Smooth::Twice),
        Unary::Abs | Unary::Sign | Unary::Floor | Unary::Relu => (Law::Normal, Smooth::Once),
        Unary::Neg
        | Unary::Exp
        | Unary::Sin
        | Unary::Cos
        | Unary::Tanh
        | Unary::Sigmoid
        | Unary::Erf
        | Unary::Softplus
        | Unary::Silu
        | Unary::Gelu => (Law::Normal, Smooth::Twice),
    }
}

fn unary(op: Unary, dtype: DType, cases: &mut Vec<Case>) {
    let (law, smooth) = domain(op);
    let case = |detail: String| Case::new(op.name(), dtype, detail, move |_, x| vec![x[0].unary(op)]);
    for shape in SHAPES {
        cases.push(case(format!("{shape:?}")).input(shape, law).smooth(smooth));
    }
    cases.push(case("wide".into()).input(&[513], Law::Wide));
    cases.push(case("ties".into()).input(&[65], Law::Ties));
    cases.push(case("special".into()).input(&[SPECIAL.len()], Law::Special));
    for feed in Feed::ALL {
        let case = Case::new(op.name(), dtype, format!("{feed:?}"), move |_, x| vec![feed.apply(x[0], FED).unary(op)]);
        let smooth = if feed == Feed::Padded { Smooth::No } else { smooth };
        cases.push(case.input(&feed.before(FED), law).smooth(smooth));
    }
}

fn binary(op: Binary, dtype: DType, cases: &mut Vec<Case>) {
    let (right, smooth) = match op {
        Binary::Add | Binary::Sub | Binary::Mul => (Law::Normal, Smooth::Twice),
        Binary::Div => (Law::Nonzero, Smooth::Twice),
        Binary::Max | Binary::Min | Binary::Less | Binary::Equal => (Law::Normal, Smooth::Once),
    };
    let case = |detail: String| Case::new(op.name(), dtype, detail, move |_, x| vec![x[0].binary(op, x[1])]);
    for shape in SHAPES {
        cases.push(case(format!("{shape:?}")).input(shape, Law::Normal).input(shape, right).smooth(smooth));
    }
    for (a, b) in [(&[3, 1][..], &[1, 5][..]), (&[4], &[2, 3, 4]), (&[2, 3, 4], &[]), (&[1, 7, 1], &[5, 1, 3])] {
        cases.push(case(format!("{a:?} {b:?}")).input(a, Law::Normal).input(b, right).smooth(smooth));
    }
    cases.push(case("wide".into()).input(&[513], Law::Wide).input(&[513], Law::Wide));
    cases.push(case("ties".into()).input(&[257], Law::Ties).input(&[257], Law::Ties));
    let pairs = &[SPECIAL.len() * SPECIAL.len()];
    cases.push(case("special".into()).input(pairs, Law::Special).input(pairs, Law::Special));
    let twice = Case::new(op.name(), dtype, "one tensor twice", move |_, x| vec![x[0].binary(op, x[0])]);
    cases.push(twice.input(&[3, 5], Law::Nonzero).smooth(if smooth == Smooth::Twice { smooth } else { Smooth::No }));
    for feed in Feed::ALL {
        let case = Case::new(op.name(), dtype, format!("{feed:?}"), move |_, x| {
            vec![feed.apply(x[0], FED).binary(op, x[1]), x[1].binary(op, feed.apply(x[0], FED))]
        });
        let smooth = if op == Binary::Div { Smooth::No } else { smooth };
        cases.push(case.input(&feed.before(FED), Law::Normal).input(FED, right).smooth(smooth));
    }
}

fn select(dtype: DType, cases: &mut Vec<Case>) {
    let case = |detail: String| Case::new("select", dtype, detail, |_, x| vec![x[0].select(x[1], x[2])]);
    for shape in SHAPES {
        let case = case(format!("{shape:?}")).input(shape, Law::Ties);
        cases.push(case.input(shape, Law::Normal).input(shape, Law::Normal));
    }
    let triples = &[SPECIAL.len().pow(3)];
    let special = case("special".into()).input(triples, Law::Special);
    cases.push(special.input(triples, Law::Special).input(triples, Law::Special));
    let broadcast = Case::new("select", dtype, "broadcast", |_, x| vec![x[0].less(x[1]).select(x[1], x[2] * x[2])]);
    let broadcast = broadcast.input(&[3, 1], Law::Normal).input(&[1, 4], Law::Normal).input(&[4], Law::Normal);
    cases.push(broadcast.smooth(Smooth::Once));
}

fn cast(from: DType, to: DType, cases: &mut Vec<Case>) {
    if from == to {
        return;
    }
    let case = |detail: &str| Case::new("cast", from, format!("to {to} {detail}"), move |_, x| vec![x[0].cast(to)]);
    let smooth = if to.is_float() { Smooth::Twice } else { Smooth::No };
    cases.push(case("normal").input(&[513], Law::Normal));
    cases.push(case("wide").input(&[513], Law::Wide));
    cases.push(case("special").input(&[SPECIAL.len()], Law::Special));
    let chained =
        Case::new("cast", from, format!("to {to} and back"), move |_, x| vec![x[0].cast(to).cast(from) * x[0]]);
    cases.push(chained.input(&[3, 5], Law::Normal).smooth(smooth));
}
