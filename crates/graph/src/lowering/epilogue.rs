//! Loops that the kernel of a product or a norm runs on its results before it stores them.

use alloc::{vec, vec::Vec};

use super::{Buffer, Chain, End, Home, Kernel, Step};
use crate::{DType, Graph, Op, op::Fused};

/// What becomes of a product, or of a layer or group norm, before it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Epilogue {
    /// A chain of one store, over as many elements as the product has, in the same order.
    pub chain: Chain,
    /// Which of [`Chain::inputs`] stands for the product: every load of it is of the element at hand.
    pub product: usize,
}

/// The most instructions of an epilogue: each is repeated for every sum that a thread holds.
const MOST: usize = 32;

impl Epilogue {
    /// All memory that the chain names.
    pub(super) fn homes_mut(&mut self) -> impl Iterator<Item = &mut Home> {
        self.chain.inputs.iter_mut().chain(&mut self.chain.outputs).map(|source| &mut source.home)
    }

    /// The memory that is read.
    pub(super) fn reads(&self) -> impl Iterator<Item = Home> + '_ {
        self.chain.inputs.iter().enumerate().filter(|(input, _)| *input != self.product).map(|(_, source)| source.home)
    }
}

/// Has the kernels of products and norms do what loops over nothing but their results did; `kept` are buffers that are read by
/// others than the steps.
///
/// A product then runs when the loop would. What it reads may have to live longer; it is left as it was where that
/// takes more memory than its own result, which needs none any more.
pub(super) fn absorb(graph: &Graph, steps: Vec<Step>, buffers: &[Buffer], kept: &[usize]) -> Vec<Step> {
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    let mut uses = Uses::new(graph, &steps, buffers, kept);
    for at in 0..steps.len() {
        let Some(Step::Chain(chain)) = &steps[at] else { continue };
        let product = |input: usize| {
            let Home::Buffer(buffer) = chain.inputs[input].home else { return None };
            let number = uses.of[buffer].product?;
            let Some(Step::Kernel(kernel)) = &steps[number] else { return None };
            let fits = uses.of[buffer].readers == 1 && fits(graph, kernel, chain, input, buffers);
            (fits && uses.may_wait(&steps, buffers, number, at)).then_some((number, input))
        };
        // The latest one, which waits for least.
        let Some((number, input)) = (0..chain.inputs.len()).filter_map(product).max() else { continue };
        let (Some(Step::Kernel(kernel)), Some(Step::Chain(chain))) = (steps[number].take(), steps[at].take()) else {
            continue;
        };
        kernel.operands.iter().chain(&kernel.bias).for_each(|operand| uses.extend(operand.home, at));
        let output = chain.outputs[0].home;
        steps[at] = Some(Step::Kernel(Kernel { output, epilogue: Some(Epilogue { chain, product: input }), ..kernel }));
    }
    steps.into_iter().flatten().collect()
}

/// Whether it is a layer or group norm.
fn is_norm(graph: &Graph, kernel: &Kernel) -> bool {
    matches!(graph.node(kernel.node).op, Op::Fused(Fused::LayerNorm { .. } | Fused::GroupNorm { .. }))
}

/// Whether a loop, apart from its reading a product as this input, can be its epilogue.
fn fits(graph: &Graph, kernel: &Kernel, chain: &Chain, input: usize, buffers: &[Buffer]) -> bool {
    let dtype = graph.node(kernel.result).dtype;
    let End::Stores(stores) = &chain.end else { return false };
    let [store] = &stores[..] else { return false };
    let Home::Buffer(output) = chain.outputs[store.output].home else { return false };
    let whole = buffers[output].count == chain.count && store.view.is_contiguous() && store.view.offset == 0;
    // A product of 16 bits may be stored wider, a norm of 32 narrower.
    let stored = match chain.outputs[store.output].dtype {
        into if into == dtype => true,
        into => {
            if is_norm(graph, kernel) {
                dtype == DType::F32 && into.is_float()
            } else {
                into == DType::F32
            }
        }
    };
    let same = chain.inputs[input].dtype == dtype && graph.node(kernel.result).shape.count() == chain.count;
    whole && stored && same && chain.count > 0 && !chain.walks(input) && chain.code.len() <= MOST
}

/// Who touches a buffer.
#[derive(Clone, Debug, Default)]
struct Use {
    /// The step of the product whose result it is.
    product: Option<usize>,
    /// Steps that read it, one more if others do.
    readers: usize,
    /// The last of them.
    last: usize,
}

/// Who touches each buffer.
struct Uses {
    of: Vec<Use>,
}

impl Uses {
    fn new(graph: &Graph, steps: &[Option<Step>], buffers: &[Buffer], kept: &[usize]) -> Uses {
        let mut of = vec![Use::default(); buffers.len()];
        for (number, step) in steps.iter().enumerate() {
            let Some(step) = step else { continue };
            let mut read = Vec::new();
            step.homes(|home, written| match home {
                Home::Buffer(buffer) if !written && !read.contains(&buffer) => read.push(buffer),
                _ => {}
            });
            for buffer in read {
                of[buffer].readers += 1;
                of[buffer].last = number;
            }
            if let Step::Kernel(kernel) = step
                && let Home::Buffer(buffer) = kernel.output
                && (matches!(graph.node(kernel.node).op, Op::MatMul(_) | Op::Conv(_)) || is_norm(graph, kernel))
            {
                of[buffer].product = Some(number);
            }
        }
        for &buffer in kept {
            of[buffer].readers += 1;
            of[buffer].last = steps.len();
        }
        Uses { of }
    }

    /// Whether a product may run at a later step instead of its own.
    fn may_wait(&self, steps: &[Option<Step>], buffers: &[Buffer], product: usize, until: usize) -> bool {
        let Some(Step::Kernel(kernel)) = &steps[product] else { return false };
        let between = steps[product + 1..until].iter().flatten();
        let mut replaced = false;
        for step in between {
            step.homes(|home, written| {
                replaced |= written && kernel.operands.iter().chain(&kernel.bias).any(|operand| operand.home == home);
            });
        }
        let bytes = |buffer: usize| buffers[buffer].count * buffers[buffer].dtype.size();
        let prolonged = kernel.operands.iter().map(|operand| match operand.home {
            Home::Buffer(buffer) if self.of[buffer].last < until => bytes(buffer),
            _ => 0,
        });
        let Home::Buffer(result) = kernel.output else { return false };
        let adjacent = steps[product + 1..until].iter().all(Option::is_none);
        !replaced && (adjacent || prolonged.sum::<usize>() <= bytes(result))
    }

    /// Notes that a step reads this as well.
    fn extend(&mut self, home: Home, at: usize) {
        if let Home::Buffer(buffer) = home {
            self.of[buffer].last = self.of[buffer].last.max(at);
        }
    }
}
