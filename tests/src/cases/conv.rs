//! Convolutions and their two adjoints.

use yuragi_graph::op::Window;

use super::{Case, FLOATS, Law, Smooth, feed::Feed};

/// A picture `[N, H, W, C]`, a kernel `[KH, KW, C, O]` and how it moves.
struct Geometry(&'static str, [usize; 4], [usize; 4], Window);

const fn window(stride: [usize; 2], padding: [usize; 4]) -> Window {
    Window { stride, padding }
}

const GEOMETRIES: [Geometry; 15] = [
    Geometry("1×1", [1, 1, 1, 1], [1, 1, 1, 1], window([1, 1], [0; 4])),
    Geometry("1×1 channels", [2, 3, 4, 5], [1, 1, 5, 3], window([1, 1], [0; 4])),
    Geometry("3×3 same", [1, 5, 4, 3], [3, 3, 3, 2], Window::same(3)),
    Geometry("3×3 valid", [2, 5, 6, 2], [3, 3, 2, 3], window([1, 1], [0; 4])),
    Geometry("3×3 stride 2", [1, 7, 7, 2], [3, 3, 2, 2], window([2, 2], [1; 4])),
    Geometry("stride 2 that leaves a border unread", [1, 6, 8, 1], [3, 3, 1, 2], window([2, 2], [0; 4])),
    Geometry("3×2 uneven", [2, 6, 5, 3], [3, 2, 3, 2], window([2, 1], [0, 1, 2, 0])),
    Geometry("5×5 on a smaller picture", [1, 3, 3, 2], [5, 5, 2, 3], Window::same(5)),
    Geometry("stride beyond the kernel", [1, 8, 7, 2], [1, 2, 2, 2], window([3, 3], [0; 4])),
    Geometry("padding beyond the kernel", [1, 2, 3, 1], [2, 2, 1, 2], window([1, 2], [3, 2, 0, 3])),
    Geometry("many channels", [1, 6, 5, 17], [3, 3, 17, 19], Window::same(3)),
    Geometry("wide", [2, 19, 17, 8], [3, 3, 8, 16], Window::same(3)),
    Geometry("chunks of channels", [3, 8, 4, 16], [3, 3, 16, 8], Window::same(3)),
    Geometry("no samples", [0, 4, 4, 2], [3, 3, 2, 2], Window::same(3)),
    Geometry("no channels", [1, 4, 4, 0], [3, 3, 0, 2], Window::same(3)),
];

pub(super) fn cases(cases: &mut Vec<Case>) {
    for dtype in FLOATS {
        for Geometry(name, x, w, window) in GEOMETRIES {
            let out = window.output([x[1], x[2]], [w[0], w[1]]).unwrap_or_default();
            let y = [x[0], out[0], out[1], w[3]];
            let size: usize = y.iter().chain(&w[..3]).product();
            let smooth = if size < 1500 { Smooth::Twice } else { Smooth::No };
            for (detail, law) in [("", Law::Normal), (", wide", Law::Wide), (", ties", Law::Ties)] {
                let smooth = if law == Law::Normal { smooth } else { Smooth::No };
                let detail = format!("{name}{detail}");
                let forward = Case::new("conv2d", dtype, detail.clone(), move |_, t| vec![t[0].conv2d(t[1], window)]);
                cases.push(forward.input(&x, law).input(&w, law).smooth(smooth));
                let input = Case::new("conv2d_input_grad", dtype, detail.clone(), move |_, t| {
                    vec![t[0].conv2d_input_grad(t[1], window, [x[1], x[2]])]
                });
                cases.push(input.input(&y, law).input(&w, law).smooth(smooth));
                let weight = Case::new("conv2d_weight_grad", dtype, detail, move |_, t| {
                    vec![t[0].conv2d_weight_grad(t[1], window, [w[0], w[1]])]
                });
                cases.push(weight.input(&x, law).input(&y, law).smooth(smooth));
            }
        }
        for feed in Feed::ALL {
            let (x, w) = ([2, 4, 3, 2], [3, 3, 2, 2]);
            let case = Case::new("conv2d", dtype, format!("{feed:?}"), move |_, t| {
                vec![feed.apply(t[0], &x).conv2d(feed.apply(t[1], &w), Window::same(3))]
            });
            let case = case.input(&feed.before(&x), Law::Normal).input(&feed.before(&w), Law::Normal);
            cases.push(case.smooth(if feed == Feed::Direct { Smooth::Twice } else { Smooth::Once }));
        }
        let special = Case::new("conv2d", dtype, "special", |_, t| vec![t[0].conv2d(t[1], Window::same(3))]);
        cases.push(special.input(&[1, 12, 12, 3], Law::Spiked).input(&[3, 3, 3, 4], Law::Normal));
    }
}
