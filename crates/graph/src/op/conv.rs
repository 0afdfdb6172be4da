use crate::{Shape, Tensor};

/// How a convolution's window moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Steps down and right.
    pub stride: [usize; 2],
    /// Zeros above, below, left and right.
    pub padding: [usize; 4],
}

impl Window {
    /// Every pixel, with `k/2` zeros around: an odd `k`×`k` kernel keeps the picture's size.
    pub const fn same(k: usize) -> Window {
        let p = k / 2;
        Window { stride: [1, 1], padding: [p; 4] }
    }

    /// The output's height and width; `None` if the kernel exceeds the padded picture or a stride is 0.
    pub fn output(&self, input: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let extent = |i: usize| {
            let padded = input[i].checked_add(self.padding[2 * i])?.checked_add(self.padding[2 * i + 1])?;
            let room = padded.checked_sub(kernel[i]).filter(|_| kernel[i] > 0)?;
            Some(room.checked_div(self.stride[i])? + 1)
        };
        Some([extent(0)?, extent(1)?])
    }
}

/// Two-dimensional cross-correlation of pictures `[N, H, W, C]` with kernels `[KH, KW, C, O]`, and its adjoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conv {
    /// `(x, w)` → `[N, H', W', O]`.
    Forward(Window),
    /// `(dy, w)` → `[N, H, W, C]`: the adjoint in x, also called transposed convolution.
    InputGrad(Window),
    /// `(x, dy)` → `[KH, KW, C, O]`: the adjoint in w.
    WeightGrad(Window),
}

impl Conv {
    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Conv::Forward(_) => "conv2d",
            Conv::InputGrad(_) => "conv2d_input_grad",
            Conv::WeightGrad(_) => "conv2d_weight_grad",
        }
    }

    /// The window.
    pub const fn window(self) -> Window {
        match self {
            Conv::Forward(w) | Conv::InputGrad(w) | Conv::WeightGrad(w) => w,
        }
    }

    /// The gradients for both operands. The three kinds are the partial derivatives of one
    /// trilinear form of (x, w, dy), so that each kind's gradients are the other two.
    pub(crate) fn grad<'g>(self, g: Tensor<'g>, a: Tensor<'g>, b: Tensor<'g>) -> [Tensor<'g>; 2] {
        let size = |t: Tensor<'g>| {
            let s: Shape = t.shape();
            [s[1], s[2]]
        };
        let kernel = |t: Tensor<'g>| {
            let s: Shape = t.shape();
            [s[0], s[1]]
        };
        match self {
            Conv::Forward(w) => [g.conv2d_input_grad(b, w, size(a)), a.conv2d_weight_grad(g, w, kernel(b))],
            Conv::InputGrad(w) => [g.conv2d(b, w), g.conv2d_weight_grad(a, w, kernel(b))],
            Conv::WeightGrad(w) => [b.conv2d_input_grad(g, w, size(a)), a.conv2d(g, w)],
        }
    }
}
