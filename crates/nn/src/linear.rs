use yuragi_graph::{Init, Tensor};

use crate::{Scope, init};

/// An affine map of the last axis: `x·weight + bias`, parameters `weight [in, out]` and `bias [out]`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    outputs: usize,
    bias: bool,
    init: Option<Init>,
}

impl Linear {
    /// A map to this many outputs, beginning as [`init::standard`] with bias 0.
    pub fn new(outputs: usize) -> Linear {
        Linear { outputs, bias: true, init: None }
    }

    /// Without a bias.
    #[must_use]
    pub fn unbiased(self) -> Linear {
        Linear { bias: false, ..self }
    }

    /// With weights that begin like this.
    #[must_use]
    pub fn init(self, init: Init) -> Linear {
        Linear { init: Some(init), ..self }
    }

    /// With weights that begin as 0.
    #[must_use]
    pub fn zero(self) -> Linear {
        self.init(init::ZERO)
    }

    /// `[.., in]` → `[.., out]`.
    #[track_caller]
    pub fn apply<'g>(self, s: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let inputs = x.dim(-1);
        let weight = s.param("weight", &[inputs, self.outputs], self.init.unwrap_or(init::standard(inputs)));
        let y = x.matmul(weight);
        if self.bias { y + s.param("bias", &[self.outputs], init::ZERO) } else { y }
    }
}

/// The plain [`Linear`] map.
#[track_caller]
pub fn linear<'g>(s: &Scope<'g>, x: Tensor<'g>, outputs: usize) -> Tensor<'g> {
    Linear::new(outputs).apply(s, x)
}

/// A multilayer perceptron: linear maps to each of these widths (parameters `0`, `1`, …) with an
/// activation between them.
///
/// ```
/// use yuragi_graph::{Builder, DType, Tensor};
/// use yuragi_nn::{Scope, mlp};
/// let b = Builder::new();
/// let x = b.input("x", &[5, 784], DType::F32);
/// let logits = mlp(&Scope::new(&b), x, &[128, 10], Tensor::relu);
/// assert_eq!(*logits.shape(), [5, 10]);
/// ```
#[track_caller]
pub fn mlp<'g>(
    s: &Scope<'g>,
    x: Tensor<'g>,
    widths: &[usize],
    activation: impl Fn(Tensor<'g>) -> Tensor<'g>,
) -> Tensor<'g> {
    let layer = |x, (i, &width): (usize, &usize)| {
        let x = if i > 0 { activation(x) } else { x };
        linear(&s.enter(i), x, width)
    };
    widths.iter().enumerate().fold(x, layer)
}

/// A gated map (Shazeer 2020): `value(x)·gelu(gate(x))`.
#[track_caller]
pub fn geglu<'g>(s: &Scope<'g>, x: Tensor<'g>, outputs: usize) -> Tensor<'g> {
    linear(&s.enter("value"), x, outputs) * linear(&s.enter("gate"), x, outputs).gelu()
}
