//! Moves, alone and in chains.

use yuragi_graph::{DType, Tensor};

use super::{Case, Law, Smooth};

pub(super) fn cases(cases: &mut Vec<Case>) {
    for dtype in DType::ALL {
        let mut add =
            |op: &'static str, detail: &str, shapes: &[&[usize]], build: for<'g> fn(&[Tensor<'g>]) -> Tensor<'g>| {
                let law = if dtype.is_float() { Law::Normal } else { Law::Key };
                let mut case = Case::new(op, dtype, format!("{detail} {shapes:?}"), move |_, x| vec![build(x)]);
                for shape in shapes {
                    case = case.input(shape, law);
                }
                cases.push(case.smooth(if dtype.is_float() { Smooth::Twice } else { Smooth::No }));
            };
        add("reshape", "flat", &[&[3, 4, 5]], |x| x[0].reshape(&[60]));
        add("reshape", "scalar", &[&[1, 1]], |x| x[0].reshape(&[]));
        add("reshape", "empty", &[&[3, 0]], |x| x[0].reshape(&[0, 7, 2]));
        add("reshape", "of permuted", &[&[3, 4]], |x| x[0].permute(&[1, 0]).reshape(&[2, 6]));
        add("permute", "matrix", &[&[5, 7]], |x| x[0].permute(&[1, 0]));
        add("permute", "matrix", &[&[65, 33]], |x| x[0].permute(&[1, 0]));
        add("permute", "to channels first", &[&[2, 3, 4, 5]], |x| x[0].permute(&[0, 3, 1, 2]));
        add("permute", "rank 6", &[&[2, 3, 1, 2, 3, 2]], |x| x[0].permute(&[5, 3, 1, 0, 4, 2]));
        add("permute", "empty", &[&[3, 0, 2]], |x| x[0].permute(&[2, 0, 1]));
        add("permute", "of sliced", &[&[4, 5, 6]], |x| x[0].slice(1, 1, 4).permute(&[2, 1, 0]));
        add("broadcast", "scalar", &[&[]], |x| x[0].broadcast(&[3, 5]));
        add("broadcast", "rows", &[&[5]], |x| x[0].broadcast(&[2, 3, 5]));
        add("broadcast", "columns", &[&[3, 1]], |x| x[0].broadcast(&[3, 5]));
        add("broadcast", "inner", &[&[2, 1, 3, 1]], |x| x[0].broadcast(&[2, 4, 3, 2]));
        add("broadcast", "to nothing", &[&[1, 3]], |x| x[0].broadcast(&[0, 3]));
        add("broadcast", "of permuted", &[&[3, 1, 4]], |x| x[0].permute(&[2, 1, 0]).broadcast(&[4, 2, 3]));
        add("slice", "first", &[&[5, 4]], |x| x[0].slice(0, 0, 2));
        add("slice", "last", &[&[5, 4]], |x| x[0].slice(1, 3, 4));
        add("slice", "middle", &[&[2, 9, 3]], |x| x[0].slice(1, 2, 7));
        add("slice", "nothing", &[&[4, 3]], |x| x[0].slice(0, 2, 2));
        add("slice", "of slice of permuted", &[&[6, 7]], |x| x[0].permute(&[1, 0]).slice(0, 1, 6).slice(0, 2, 4));
        add("pad", "before", &[&[3, 4]], |x| x[0].pad(0, 2, 0));
        add("pad", "both", &[&[3, 4]], |x| x[0].pad(1, 1, 3));
        add("pad", "nothing", &[&[0, 4]], |x| x[0].pad(0, 1, 2));
        add("pad", "of pad", &[&[2, 3, 2]], |x| x[0].pad(1, 1, 1).pad(2, 0, 2));
        add("pad", "of permuted", &[&[3, 4]], |x| x[0].permute(&[1, 0]).pad(0, 1, 1));
        add("concat", "rows", &[&[2, 3], &[1, 3], &[4, 3]], |x| x[0].concat(&x[1..], 0));
        add("concat", "columns", &[&[2, 3], &[2, 1]], |x| x[0].concat(&x[1..], -1));
        add("concat", "with nothing", &[&[2, 3], &[2, 0]], |x| x[0].concat(&x[1..], 1));
        add("concat", "one tensor thrice", &[&[2, 3]], |x| x[0].concat(&[x[0], x[0]], 1));
        add("concat", "inner", &[&[2, 3, 4], &[2, 2, 4]], |x| x[0].concat(&x[1..], 1));
        add("concat", "of views", &[&[4, 6], &[3, 4]], |x| {
            x[0].slice(1, 1, 4).concat(&[x[1].permute(&[1, 0]), x[0]], 1)
        });
        add("concat", "of chunks", &[&[2, 12]], |x| {
            let parts = x[0].chunk(1, 4);
            parts[2].concat(&[parts[0], parts[3]], 0)
        });
    }
}
