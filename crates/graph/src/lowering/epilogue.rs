//! Loops that the kernel of a product or a norm runs on its results before it stores them.

use alloc::{vec, vec::Vec};

use super::{Buffer, Chain, End, Home, Instruction, Kernel, Source, Step, Store, Value, View};
use crate::{DType, Graph, Op, op::Fused};

/// What becomes of a product, or of a layer or group norm, before it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Epilogue {
    /// A chain of stores over the elements of the product, in the same order, or over pairs of neighbours.
    pub chain: Chain,
    /// Which of [`Chain::inputs`] stands for the product: every load of it is of the element at hand, or of one of the pair.
    pub product: usize,
}

/// Which element of a pair of neighbours a walk shows, at each of `count` pairs.
pub fn of_pair(view: &View, count: usize) -> Option<usize> {
    let pairs = view.collapsed();
    (pairs.axes() == [(count, 2)] && pairs.offset < 2).then_some(pairs.offset)
}

/// The most instructions of an epilogue, each of which is repeated for every sum that a thread holds, and the most stores, each
/// of which is an operand of the kernel.
const MOST: usize = 32;

impl Epilogue {
    /// Whether each store is of what the kernel would store, so that it can do so itself: there is one, of all elements in
    /// order. `count` elements has the product.
    pub fn is_simple(&self, count: usize) -> bool {
        let End::Stores(stores) = &self.chain.end else { return false };
        let [store] = &stores[..] else { return false };
        self.chain.count == count && store.view.is_contiguous() && store.view.offset == 0
    }

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
    let (dtype, shape) = (graph.node(kernel.result).dtype, graph.node(kernel.result).shape);
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
    let each = shape.count() == chain.count && !chain.walks(input);
    // Kernels hold four neighbours of a row together.
    let rows = shape.last().is_some_and(|columns| columns.is_multiple_of(4)) && !is_norm(graph, kernel);
    let pairs = rows
        && shape.count() == 2 * chain.count
        && loads(chain, input).all(|view| of_pair(view, chain.count).is_some());
    let same = chain.inputs[input].dtype == dtype && (each || pairs);
    whole && stored && same && chain.count > 0 && chain.code.len() <= MOST
}

/// The walks on which a chain loads an input.
fn loads(chain: &Chain, input: usize) -> impl Iterator<Item = &View> {
    chain.code.iter().filter_map(move |instruction| match instruction {
        Instruction::Load { input: i, view } if *i == input => Some(view),
        _ => None,
    })
}

/// Has the kernels of products and norms do what loops did with nothing but what they store: cast it, or put it into
/// parts of other buffers. What nobody else reads is stored no more.
pub(super) fn extend(graph: &Graph, steps: Vec<Step>, buffers: &[Buffer], kept: &[usize]) -> Vec<Step> {
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    let mut uses = Uses::new(graph, &steps, buffers, kept);
    for at in 0..steps.len() {
        let Some(Step::Chain(chain)) = &steps[at] else { continue };
        let [Source { home: Home::Buffer(source), .. }] = chain.inputs[..] else { continue };
        let Some(number) = uses.of[source].product else { continue };
        let Some(Step::Kernel(kernel)) = &steps[number] else { continue };
        let Some(epilogue) = longer(graph, kernel, chain) else { continue };
        if fills(&steps[number + 1..at], chain, buffers) {
            continue;
        }
        steps[number] = Some(Step::Kernel(Kernel { epilogue: Some(epilogue), ..kernel.clone() }));
        steps[at] = None;
        uses.of[source].readers -= 1;
        if let Some(Step::Kernel(kernel)) = &mut steps[number]
            && uses.of[source].readers == 0
        {
            kernel.forget(source);
        }
    }
    steps.into_iter().flatten().collect()
}

/// Whether one of these steps writes the whole of a buffer into which a loop stores after it: zeros around a padded value.
fn fills(between: &[Option<Step>], chain: &Chain, buffers: &[Buffer]) -> bool {
    let is_whole = |count: usize, output: &Source| match output.home {
        Home::Buffer(buffer) => buffers[buffer].count == count && chain.outputs.contains(output),
        Home::Param(_) | Home::Literal(_) => false,
    };
    between.iter().flatten().any(|step| match step {
        Step::Chain(other) => other.outputs.iter().any(|output| is_whole(other.count, output)),
        Step::Kernel(_) | Step::Decode { .. } => false,
    })
}

/// The epilogue of a kernel with what a loop does with its result after it.
fn longer(graph: &Graph, kernel: &Kernel, chain: &Chain) -> Option<Epilogue> {
    let End::Stores(stores) = &chain.end else { return None };
    let (node, count) = (graph.node(kernel.result), chain.count);
    let rows = node.shape.last().is_some_and(|columns| columns.is_multiple_of(4));
    let floats = |source: &Source| matches!(source.home, Home::Buffer(_)) && source.dtype.is_float();
    if !rows || count == 0 || chain.walks(0) || !chain.outputs.iter().all(floats) {
        return None;
    }
    let Epilogue { chain: mut all, product } = match &kernel.epilogue {
        Some(epilogue) => epilogue.clone(),
        // A loop over a part of the result leaves the rest to be stored.
        None if count != node.shape.count() => return None,
        None => {
            let result = Source { home: kernel.output, dtype: node.dtype };
            let code = vec![Instruction::Load { input: 0, view: View::run(count) }];
            let end = End::Stores(vec![Store { value: Value(0), output: 0, view: View::run(count) }]);
            let chain = Chain { name: chain.name, count, inputs: vec![result], outputs: vec![result], code, end };
            Epilogue { chain, product: 0 }
        }
    };
    let End::Stores(stored) = &mut all.end else { return None };
    let main = stored.iter().find(|store| all.outputs[store.output] == chain.inputs[0])?.value;
    let sizes = [all.code.len() + chain.code.len(), stored.len() + stores.len()];
    if all.count != count || sizes.iter().any(|&size| size > MOST) {
        return None;
    }
    let (mut values, first) = (Vec::with_capacity(chain.code.len()), all.outputs.len());
    for instruction in &chain.code {
        values.push(match instruction {
            Instruction::Load { .. } => main,
            instruction => {
                all.code.push(instruction.map(|value| values[value.0]));
                Value(all.code.len() - 1)
            }
        });
    }
    all.outputs.extend(&chain.outputs);
    let moved = |store: &Store| Store { value: values[store.value.0], output: first + store.output, ..store.clone() };
    stored.extend(stores.iter().map(moved));
    Some(Epilogue { chain: all, product })
}

impl Kernel {
    /// Has an epilogue of several stores not store to this buffer.
    fn forget(&mut self, buffer: usize) {
        let Some(Epilogue { chain, .. }) = &mut self.epilogue else { return };
        let End::Stores(stores) = &mut chain.end else { return };
        let is_other = |store: &Store| chain.outputs[store.output].home != Home::Buffer(buffer);
        if stores.iter().any(is_other) {
            stores.retain(is_other);
            let outputs = stores.iter().map(|store| chain.outputs[store.output]).collect();
            stores.iter_mut().enumerate().for_each(|(number, store)| store.output = number);
            chain.outputs = outputs;
            self.output = chain.outputs[0].home;
        }
    }
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
