//! What a graph computes.

use yuragi::{
    graph::{
        Tensor,
        op::{Binary, Unary},
    },
    nn::{
        loss,
        optim::{Group, Optimizer, Rule},
    },
};

use super::{
    draft::{YURAGI_MAX_RANK, YURAGI_NO_TENSOR, extend, yuragi_graph, yuragi_tensor},
    pointer::{counted, guard, held, items, locked, room},
};
use crate::failure::{Answer, YURAGI_ORDER, YURAGI_RANGE, failure, yuragi_status};

/// A function of each element.
#[repr(C)]
#[allow(dead_code)] // callers give its numbers
pub enum yuragi_unary {
    /// -x
    YURAGI_NEG = 0,
    /// |x|
    YURAGI_ABS = 1,
    /// e to the x
    YURAGI_EXP = 2,
    /// The natural logarithm
    YURAGI_LN = 3,
    /// The square root
    YURAGI_SQRT = 4,
    /// 1/x
    YURAGI_RECIP = 5,
    /// The sine of x radians
    YURAGI_SIN = 6,
    /// The cosine of x radians
    YURAGI_COS = 7,
    /// The hyperbolic tangent
    YURAGI_TANH = 8,
    /// 1/(1 + e to the -x)
    YURAGI_SIGMOID = 9,
    /// The larger of x and 0
    YURAGI_RELU = 10,
    /// x times its sigmoid
    YURAGI_SILU = 11,
    /// x times the normal distribution function of x
    YURAGI_GELU = 12,
}

const UNARY: [Unary; 13] = [
    Unary::Neg,
    Unary::Abs,
    Unary::Exp,
    Unary::Ln,
    Unary::Sqrt,
    Unary::Recip,
    Unary::Sin,
    Unary::Cos,
    Unary::Tanh,
    Unary::Sigmoid,
    Unary::Relu,
    Unary::Silu,
    Unary::Gelu,
];

/// A function of two elements; shapes are stretched as NumPy does.
#[repr(C)]
#[allow(dead_code)] // callers give its numbers
pub enum yuragi_binary {
    /// a + b
    YURAGI_ADD = 0,
    /// a - b
    YURAGI_SUB = 1,
    /// a b
    YURAGI_MUL = 2,
    /// a/b
    YURAGI_DIV = 3,
    /// The larger
    YURAGI_MAX = 4,
    /// The smaller
    YURAGI_MIN = 5,
    /// 1 where a < b, else 0
    YURAGI_LESS = 6,
    /// 1 where a = b, else 0
    YURAGI_EQUAL = 7,
}

const BINARY: [Binary; 8] =
    [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Max, Binary::Min, Binary::Less, Binary::Equal];

fn chosen<T: Copy>(what: &str, table: &[T], number: i32) -> Answer<T> {
    let found = usize::try_from(number).ok().and_then(|number| table.get(number));
    let most = table.len() - 1;
    found.copied().ok_or_else(|| failure(YURAGI_RANGE, format_args!("{number} is no {what}; legal is 0 to {most}")))
}

/// A yuragi_unary of every element.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_unary(
    graph: *const yuragi_graph,
    function: i32,
    x: yuragi_tensor,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe { extend(graph, |draft| Ok(draft.at(x)?.unary(chosen("function of one element", &UNARY, function)?))) }
}

/// A yuragi_binary of every pair of elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_binary(
    graph: *const yuragi_graph,
    function: i32,
    a: yuragi_tensor,
    b: yuragi_tensor,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe {
        extend(graph, |draft| {
            Ok(draft.at(a)?.binary(chosen("function of two elements", &BINARY, function)?, draft.at(b)?))
        })
    }
}

/// x times `factor` plus `term`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_scale(
    graph: *const yuragi_graph,
    x: yuragi_tensor,
    factor: f32,
    term: f32,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe { extend(graph, |draft| Ok(draft.at(x)? * factor + term)) }
}

/// The product of matrices [.., M, K] and [.., K, N].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_matmul(
    graph: *const yuragi_graph,
    a: yuragi_tensor,
    b: yuragi_tensor,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe { extend(graph, |draft| Ok(draft.at(a)?.matmul(draft.at(b)?))) }
}

/// The last two axes exchanged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_transpose(graph: *const yuragi_graph, x: yuragi_tensor) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe { extend(graph, |draft| Ok(draft.at(x)?.transpose())) }
}

/// Softmax along the last axis.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_softmax(graph: *const yuragi_graph, x: yuragi_tensor) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe { extend(graph, |draft| Ok(draft.at(x)?.softmax())) }
}

/// A fold along axes.
#[repr(C)]
#[allow(dead_code)] // callers give its numbers
pub enum yuragi_fold {
    /// The sum
    YURAGI_SUM = 0,
    /// The mean
    YURAGI_MEAN = 1,
    /// The largest
    YURAGI_LARGEST = 2,
}

/// A yuragi_fold along axes, which count from the end when negative and stay with extent 1; along all of them, to a
/// single number, where `axes` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_fold(
    graph: *const yuragi_graph,
    fold: i32,
    x: yuragi_tensor,
    axes: *const isize,
    count: usize,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe {
        extend(graph, |draft| {
            let (x, chosen) = (draft.at(x)?, chosen("fold", &[0, 1, 2], fold)?);
            let fold = |axes: &[isize]| match chosen {
                0 => x.sum(axes),
                1 => x.mean(axes),
                _ => x.max(axes),
            };
            if axes.is_null() {
                let all: Vec<isize> = (0..x.shape().rank() as isize).collect();
                return Ok(fold(&all).reshape(&[]));
            }
            if count > YURAGI_MAX_RANK {
                return Err(failure(YURAGI_RANGE, format_args!("{count} axes; at most {YURAGI_MAX_RANK} are legal")));
            }
            Ok(fold(items("the axes", axes, count)?))
        })
    }
}

/// What is minimised.
#[repr(C)]
#[allow(dead_code)] // callers give its numbers
pub enum yuragi_loss {
    /// The mean of (a - b) squared
    YURAGI_MSE = 0,
    /// The mean of |a - b|
    YURAGI_L1 = 1,
    /// Of logits and probabilities: the mean cross-entropy of yes and no
    YURAGI_BCE = 2,
    /// Of logits [.., K] and YURAGI_I32 classes [..]: the mean of -ln softmax at the class
    YURAGI_CROSS_ENTROPY = 3,
}

type Loss = for<'g> fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>;

/// A yuragi_loss of what a network says and what is true: a single number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_loss(
    graph: *const yuragi_graph,
    loss: i32,
    said: yuragi_tensor,
    truth: yuragi_tensor,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe {
        extend(graph, |draft| {
            let losses: [Loss; 4] = [loss::mse, loss::l1, loss::bce_with_logits, loss::cross_entropy];
            let (said, truth, chosen) = (draft.at(said)?, draft.at(truth)?, chosen("loss", &losses, loss)?);
            if loss == yuragi_loss::YURAGI_CROSS_ENTROPY as i32 && said.shape().rank() > 0 {
                counted("the number of classes", said.dim(-1), 1 << 24)?;
            }
            Ok(chosen(said, truth))
        })
    }
}

/// Writes the tensors of the gradient of `loss`, a single number, with respect to `count` tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_gradient(
    graph: *const yuragi_graph,
    loss: yuragi_tensor,
    with_respect_to: *const yuragi_tensor,
    gradient: *mut yuragi_tensor,
    count: usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let graph = held("the graph", graph)?;
        let mut draft = locked("the graph", &graph.draft)?;
        // Copied: the caller may give one array for both.
        let wrt = items("the tensors", with_respect_to, count)?.to_vec();
        let out = room("the gradient", gradient, count)?;
        let find = || -> Answer<Vec<yuragi_tensor>> {
            let wrt = wrt.iter().map(|tensor| draft.at(*tensor)).collect::<Answer<Vec<_>>>()?;
            let gradient = draft.builder.grad(draft.at(loss)?, &wrt);
            Ok(gradient.into_iter().map(|tensor| tensor.id().index() as yuragi_tensor).collect())
        };
        let found = find();
        out.fill(YURAGI_NO_TENSOR);
        match found {
            Ok(found) => out.iter_mut().zip(found).for_each(|(to, from)| *to = from),
            Err(failure) => {
                draft.failure.get_or_insert(failure.clone());
                return Err(failure);
            }
        }
        Ok(())
    })
}

/// How parameters step against the gradient.
#[repr(C)]
#[allow(dead_code)] // callers give its numbers
pub enum yuragi_optimizer {
    /// Gradient descent
    YURAGI_SGD = 0,
    /// Gradient descent with a momentum of 0.9
    YURAGI_MOMENTUM = 1,
    /// Adam with betas 0.9 and 0.999
    YURAGI_ADAM = 2,
}

/// Makes every run of the graph one step of training: of all parameters declared so far, against the gradient of `loss`,
/// by a yuragi_optimizer at the rate of yuragi_state_set_rate. Matrices shrink by `decay` times the rate at every step (0
/// for none), and gradients longer than `clip` are scaled down to it (0 for none). Returns the gradient's norm. Once a
/// graph.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_train(
    graph: *const yuragi_graph,
    loss: yuragi_tensor,
    optimizer: i32,
    decay: f32,
    clip: f32,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe {
        extend(graph, |draft| {
            if draft.optimizer.get().is_some() {
                return Err(failure(YURAGI_ORDER, "the graph trains already"));
            }
            let legal = |value: f32| value.is_finite() && value >= 0.0;
            if !legal(decay) || !legal(clip) {
                return Err(failure(YURAGI_RANGE, format_args!("decay {decay}, clip {clip}; legal is 0 and more")));
            }
            let adam = Optimizer::default().rule;
            let rules = [Rule::Sgd { momentum: 0.0 }, Rule::Sgd { momentum: 0.9 }, adam];
            let optimizer = Optimizer {
                rule: chosen("optimizer", &rules, optimizer)?,
                weight_decay: decay,
                clip: if clip == 0.0 { f32::INFINITY } else { clip },
                ..Optimizer::default()
            };
            let (loss, hyper) = (draft.at(loss)?, Optimizer::input(&draft.builder));
            draft.optimizer.set(Some(optimizer));
            Ok(optimizer.minimize(loss, hyper, |spec| Some(Group::standard(spec))))
        })
    }
}
