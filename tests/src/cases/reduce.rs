//! Folds over every set of axes.

use yuragi_graph::op::{Axes, Reduce};

use super::{Case, FLOATS, Law, Smooth, feed::Feed};

const SHAPES: [&[usize]; 8] = [&[], &[1], &[5], &[3, 4], &[2, 3, 4], &[2, 1, 3, 2], &[3, 0], &[0, 2, 3]];

pub(super) fn cases(cases: &mut Vec<Case>) {
    for dtype in FLOATS {
        for &op in Reduce::ALL {
            let case = |detail: String, axes: Axes| {
                Case::new(op.name(), dtype, detail, move |_, x| vec![x[0].reduce(op, axes)])
            };
            let smooth = match op {
                Reduce::Sum => Smooth::Twice,
                Reduce::Max => Smooth::Once,
            };
            for shape in SHAPES {
                for set in 0..1_usize << shape.len() {
                    let axes: Vec<usize> = (0..shape.len()).filter(|axis| set >> axis & 1 == 1).collect();
                    let case = case(format!("{shape:?} over {axes:?}"), axes.into_iter().collect());
                    cases.push(case.input(shape, Law::Normal).smooth(smooth));
                }
            }
            for (shape, axis) in [([1031, 3], 0), ([3, 1031], 1), ([33, 257], 0), ([33, 257], 1)] {
                let axes = Axes::default().with(axis);
                cases.push(case(format!("{shape:?} over [{axis}]"), axes).input(&shape, Law::Normal));
                cases.push(case(format!("wide {shape:?} over [{axis}]"), axes).input(&shape, Law::Wide));
                cases.push(case(format!("ties {shape:?} over [{axis}]"), axes).input(&shape, Law::Ties));
            }
            // One special value in each row, and several in each column.
            cases.push(case("special rows".into(), Axes::default().with(1)).input(&[20, 8], Law::Spiked));
            cases.push(case("special columns".into(), Axes::default().with(0)).input(&[20, 8], Law::Spiked));
            for feed in Feed::ALL {
                for axes in [&[0][..], &[2], &[0, 2], &[1], &[0, 1, 2]] {
                    let set: Axes = axes.iter().copied().collect();
                    let shape = [3, 4, 5];
                    let case = Case::new(op.name(), dtype, format!("{feed:?} over {axes:?}"), move |_, x| {
                        vec![feed.apply(x[0], &shape).reduce(op, set)]
                    });
                    let ties = op == Reduce::Max && matches!(feed, Feed::Padded | Feed::Repeated);
                    let smooth = if ties { Smooth::No } else { smooth };
                    cases.push(case.input(&feed.before(&shape), Law::Normal).smooth(smooth));
                }
            }
        }
    }
}
