use yuragi_graph::{Init, Tensor, op::Window};

use crate::{Scope, init};

/// A convolution of pictures with zeros around them; parameters `weight [K, K, in, out]` and `bias [out]`.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d {
    outputs: usize,
    kernel: usize,
    stride: usize,
    bias: bool,
    init: Option<Init>,
}

impl Conv2d {
    /// A convolution with an odd `kernel`×`kernel` window at every pixel, beginning as
    /// [`init::standard`] with bias 0.
    pub fn new(outputs: usize, kernel: usize) -> Conv2d {
        Conv2d { outputs, kernel, stride: 1, bias: true, init: None }
    }

    /// At every `stride`-th pixel of every `stride`-th row: `[N, H, W, _]` → `[N, ⌈H/stride⌉, ⌈W/stride⌉, _]`.
    #[must_use]
    pub fn stride(self, stride: usize) -> Conv2d {
        Conv2d { stride, ..self }
    }

    /// Without a bias.
    #[must_use]
    pub fn unbiased(self) -> Conv2d {
        Conv2d { bias: false, ..self }
    }

    /// With weights that begin like this.
    #[must_use]
    pub fn init(self, init: Init) -> Conv2d {
        Conv2d { init: Some(init), ..self }
    }

    /// With weights that begin as 0.
    #[must_use]
    pub fn zero(self) -> Conv2d {
        self.init(init::ZERO)
    }

    /// `[N, H, W, in]` → `[N, H', W', out]`.
    #[track_caller]
    pub fn apply<'g>(self, s: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let (k, inputs) = (self.kernel, x.dim(-1));
        let init = self.init.unwrap_or(init::standard(k * k * inputs));
        let weight = s.param("weight", &[k, k, inputs, self.outputs], init);
        let y = x.conv2d(weight, Window { stride: [self.stride; 2], ..Window::same(k) });
        if self.bias { y + s.param("bias", &[self.outputs], init::ZERO) } else { y }
    }
}

/// The plain [`Conv2d`] that keeps a picture's size.
#[track_caller]
pub fn conv2d<'g>(s: &Scope<'g>, x: Tensor<'g>, outputs: usize, kernel: usize) -> Tensor<'g> {
    Conv2d::new(outputs, kernel).apply(s, x)
}
