//! Rows read from and summed into tables.

use yuragi_graph::DType;

use super::{Case, FLOATS, Law, Smooth};

pub(super) fn cases(cases: &mut Vec<Case>) {
    let shapes: [(&[usize], &[usize]); 7] = [
        (&[7, 3], &[5]),
        (&[7, 3, 2], &[2, 3]),
        (&[4], &[9]),
        (&[5, 2], &[]),
        (&[5, 2], &[0]),
        (&[1, 4], &[3]),
        (&[3, 0], &[2]),
    ];
    for dtype in DType::ALL {
        for (table, indices) in shapes {
            let case = Case::new("gather", dtype, format!("{table:?} at {indices:?}"), |_, x| vec![x[0].gather(x[1])]);
            let case = case.input(table, if dtype.is_float() { Law::Normal } else { Law::Key });
            let case = case.typed_input(indices, DType::I32, Law::Index(table[0]));
            cases.push(case.smooth(if dtype.is_float() { Smooth::Twice } else { Smooth::No }));
        }
    }
    for dtype in FLOATS {
        let views =
            Case::new("gather", dtype, "of views", |_, x| vec![x[0].permute(&[1, 0]).gather(x[1].slice(0, 1, 3))]);
        let views = views.input(&[4, 6], Law::Normal).typed_input(&[4, 2], DType::I32, Law::Index(6));
        cases.push(views.smooth(Smooth::Twice));
        let spiked = Case::new("gather", dtype, "special", |_, x| vec![x[0].gather(x[1])]);
        cases.push(spiked.input(&[20, 8], Law::Spiked).typed_input(&[40], DType::I32, Law::Index(20)));

        for (table, indices) in shapes {
            let rows = table[0];
            let values = [indices, &table[1..]].concat();
            let case = Case::new("scatter_add", dtype, format!("{values:?} to {table:?}"), move |_, x| {
                vec![x[0].scatter_add(x[1], rows)]
            });
            let case = case.typed_input(indices, DType::I32, Law::Index(rows)).input(&values, Law::Normal);
            cases.push(case.smooth(Smooth::Twice));
        }
        let many = Case::new("scatter_add", dtype, "many to few", |_, x| vec![x[0].scatter_add(x[1], 3)]);
        cases.push(many.typed_input(&[700], DType::I32, Law::Index(3)).input(&[700, 5], Law::Wide));
        let spiked = Case::new("scatter_add", dtype, "special", |_, x| vec![x[0].scatter_add(x[1], 30)]);
        cases.push(spiked.typed_input(&[40], DType::I32, Law::Index(30)).input(&[40, 5], Law::Spiked));
        let views =
            Case::new("scatter_add", dtype, "of views", |_, x| vec![x[0].scatter_add(x[1].permute(&[1, 0]), 4)]);
        let views = views.typed_input(&[6], DType::I32, Law::Index(4)).input(&[3, 6], Law::Normal);
        cases.push(views.smooth(Smooth::Twice));
    }
}
