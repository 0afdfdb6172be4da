use alloc::{vec, vec::Vec};

use super::{
    Abilities, Chain, End, Epilogue, Matrices, Source, View,
    coder::Coder,
    epilogue,
    fusion::{Absorbed, Fusion, Group, Target, Weights, Work},
    in_place, once,
};
use crate::{CompileError, DType, Graph, Node, NodeId, Op, memory::Lifetime};

/// Where a value's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Home {
    /// The buffer of this number.
    Buffer(usize),
    /// A parameter, by its place in the graph.
    Param(usize),
    /// A constant, by its place in the graph.
    Literal(usize),
}

/// Memory for one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Elements.
    pub count: usize,
    /// Their type.
    pub dtype: DType,
    /// The first step that writes it; inputs are there from step 0 on.
    pub first: usize,
    /// The last step that needs it; outputs are needed at the step after the last.
    pub last: usize,
}

/// Elements that a kernel reads: consecutive ones, or matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Where they are.
    pub home: Home,
    /// The first element.
    pub offset: usize,
    /// The type of the elements.
    pub dtype: DType,
    /// Where the matrices are that the elements form, if not one after the other.
    pub matrices: Option<Matrices>,
    /// Whether a kernel `[KH, KW, I, O]` lies as `[O, I, KH, KW]`, which is PyTorch's order.
    pub filters_first: bool,
}

/// An operation with a kernel of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// The operation.
    pub node: NodeId,
    /// The node whose value results: that operation, or what follows from it and the rest.
    pub result: NodeId,
    /// What it reads, in the operation's order.
    pub operands: Vec<Operand>,
    /// A row that is added to each row of the product.
    pub bias: Option<Operand>,
    /// Whether the SiLU of the result is wanted: of a group norm.
    pub silu: bool,
    /// What becomes of the result of a product before it is stored.
    pub epilogue: Option<Epilogue>,
    /// Where the result goes, or the first of what an epilogue stores.
    pub output: Home,
    /// Where the matrices of the result go, if not one after the other.
    pub matrices: Option<Matrices>,
}

/// What runs at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A loop over elements.
    Chain(Chain),
    /// A kernel.
    Kernel(Kernel),
    /// A parameter of half precision made single ([`Halves::Widened`](super::Halves::Widened) only).
    Decode {
        /// The parameter, by its place in the graph.
        param: usize,
        /// Where its numbers go.
        output: Home,
    },
}

/// A graph as steps over buffers.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// In order.
    pub steps: Vec<Step>,
    /// How many of them, the first, depend on constants and parameters alone: where the backend keeps what they give, they
    /// run once for all runs with the same parameters. 0 if it does not ([`Abilities::prepares`]).
    pub prepared: usize,
    /// The memory of values, so far without places.
    pub buffers: Vec<Buffer>,
    /// The buffer of each input of the graph.
    pub inputs: Vec<usize>,
    /// The buffer of each output of the graph, and its first element there.
    pub outputs: Vec<(usize, usize)>,
}

impl Schedule {
    /// Decides about a graph whose fused operations are all claimed.
    pub fn new(graph: &Graph, abilities: Abilities) -> Result<Schedule, CompileError> {
        let mut deferred = Vec::new();
        loop {
            let fusion = Fusion::new(graph, abilities, &deferred);
            let mut scheduler = Scheduler::new(graph, &fusion);
            scheduler.emit_all();
            let overwritten = scheduler.overwritten_too_early();
            if overwritten.is_empty() {
                return Ok(scheduler.concluded(abilities));
            }
            if let Some(update) =
                graph.updates().iter().find(|u| overwritten.contains(&u.param) && deferred.contains(&u.param))
            {
                return Err(CompileError::Unsupported(update.node, "update"));
            }
            deferred.extend(overwritten);
        }
    }

    /// The times at which each buffer is alive, with the size that a backend gives it.
    pub fn lifetimes(&self, size: impl Fn(&Buffer) -> usize) -> Vec<Lifetime> {
        let lifetime = |b: &Buffer| Lifetime { size: size(b), first: b.first, last: b.last };
        self.buffers.iter().map(lifetime).collect()
    }
}

/// Writes the steps of a graph whose loops are decided.
pub(super) struct Scheduler<'a> {
    pub graph: &'a Graph,
    pub fusion: &'a Fusion<'a>,
    steps: Vec<Step>,
    buffers: Vec<Buffer>,
    of_node: Vec<Option<usize>>,
    of_input: Vec<usize>,
    of_copy: Vec<usize>,
    /// Parameters that a loop both replaces and reads at other elements.
    overwritten: Vec<usize>,
}

impl<'a> Scheduler<'a> {
    fn new(graph: &'a Graph, fusion: &'a Fusion<'a>) -> Scheduler<'a> {
        let mut scheduler = Scheduler {
            graph,
            fusion,
            steps: Vec::new(),
            buffers: Vec::new(),
            of_node: vec![None; graph.nodes().len()],
            of_input: Vec::new(),
            of_copy: vec![0; fusion.copies],
            overwritten: Vec::new(),
        };
        scheduler.of_input = graph.inputs().iter().map(|i| scheduler.buffer(i.shape.count(), i.dtype)).collect();
        scheduler
    }

    /// A new buffer, so far unused.
    fn buffer(&mut self, count: usize, dtype: DType) -> usize {
        self.buffers.push(Buffer { count, dtype, first: usize::MAX, last: 0 });
        self.buffers.len() - 1
    }

    /// Where the value of a node is.
    pub fn home(&mut self, id: NodeId) -> Home {
        let node = self.graph.node(id);
        match node.op {
            Op::Input(i) => Home::Buffer(self.of_input[i as usize]),
            Op::Literal(i) => Home::Literal(i as usize),
            Op::Param(i) if self.fusion.is_foreign(id) => Home::Param(i as usize),
            _ => {
                let buffer = match self.of_node[id.index()] {
                    Some(buffer) => buffer,
                    None => self.buffer(node.shape.count(), node.dtype),
                };
                self.of_node[id.index()] = Some(buffer);
                Home::Buffer(buffer)
            }
        }
    }

    /// The buffer of the copy of this number.
    pub fn copied(&self, number: usize) -> Source {
        let buffer = self.of_copy[number];
        Source { home: Home::Buffer(buffer), dtype: self.buffers[buffer].dtype }
    }

    fn emit_all(&mut self) {
        let fusion = self.fusion;
        for work in &fusion.work {
            match work {
                Work::Loop(group) => self.emit_loop(*group, &fusion.groups[*group]),
                Work::Kernel(id) => self.emit_kernel(*id),
            }
        }
    }

    fn emit_kernel(&mut self, id: NodeId) {
        let graph = self.graph;
        let output = self.home(id);
        let absorbed = self.fusion.absorbed[id.index()];
        let kernel = absorbed.map_or(id, Absorbed::kernel);
        let node = graph.node(kernel);
        match node.op {
            Op::Param(param) => self.steps.push(Step::Decode { param: param as usize, output }),
            Op::Move(_) => {
                let mut coder = Coder::new(self, None);
                let zero = coder.number(0.0);
                let view = View::whole(&node.shape).collapsed();
                let store = coder.store(zero, Source { home: output, dtype: node.dtype }, view);
                let chain = coder.finish("zero", node.shape.count(), End::Stores(vec![store]));
                self.steps.push(Step::Chain(chain));
            }
            _ => {
                let operands = (0..node.inputs.len()).map(|place| self.operand(node, place)).collect();
                let (mut bias, mut silu, mut matrices) = (None, false, None);
                match absorbed {
                    Some(Absorbed::Bias { row, .. }) => {
                        let (base, view) = self.fusion.trace_stored(row);
                        bias = Some(self.place(base, view.offset, None));
                    }
                    Some(Absorbed::Silu { .. }) => silu = true,
                    Some(Absorbed::Permute { matrices: permuted, .. }) => matrices = Some(permuted),
                    None => {}
                }
                let kernel =
                    Kernel { node: kernel, result: id, operands, bias, silu, epilogue: None, output, matrices };
                self.steps.push(Step::Kernel(kernel));
            }
        }
    }

    fn operand(&mut self, node: &Node, place: usize) -> Operand {
        if let Some(Weights { param, dtype, offset, filters_first }) = self.fusion.weights(node, place) {
            return Operand { home: Home::Param(param), offset, dtype, matrices: None, filters_first };
        }
        let (base, offset, matrices) = self.fusion.kernel_operand(node, place);
        self.place(base, offset, matrices)
    }

    fn place(&mut self, base: NodeId, offset: usize, matrices: Option<Matrices>) -> Operand {
        let (home, dtype) = (self.home(base), self.graph.node(base).dtype);
        Operand { home, offset, dtype, matrices, filters_first: false }
    }

    fn emit_loop(&mut self, number: usize, group: &Group) {
        let graph = self.graph;
        let mut coder = Coder::new(self, Some(number));
        let chain = match group.fold {
            Some(id) => {
                let node = graph.node(id);
                let value = coder.value(node.inputs[0]);
                let shape = graph.node(node.inputs[0]).shape;
                let Op::Reduce(op, axes) = node.op else { return };
                coder.fold_into(id);
                coder.finish("reduce", shape.count(), End::Fold(super::Fold { value, op, shape, axes }))
            }
            None => {
                let count = graph.node(group.stores[0].0).shape.count();
                // All values first: a parameter may be replaced only when nothing reads it any more.
                let values: Vec<_> = match group.copied {
                    Some(number) => vec![coder.copied(number, count)],
                    None => group.stores.iter().map(|(id, _)| coder.value(*id)).collect(),
                };
                let mut stores = Vec::new();
                for ((id, target), value) in group.stores.iter().zip(values) {
                    let (output, view) = coder.scheduler.target(*id, target);
                    stores.push(coder.store(value, output, view));
                }
                let kind = coder.kind();
                coder.finish(kind, count, End::Stores(stores))
            }
        };
        for (input, source) in chain.inputs.iter().enumerate() {
            if let Home::Param(param) = source.home
                && chain.outputs.iter().any(|o| o.home == source.home)
                && chain.walks(input)
            {
                self.overwritten.push(param);
            }
        }
        self.steps.push(Step::Chain(chain));
    }

    fn target(&mut self, id: NodeId, target: &Target) -> (Source, View) {
        let node = self.graph.node(id);
        let whole = View::whole(&node.shape).collapsed();
        match target {
            Target::Buffer(of) => (Source { home: self.home(*of), dtype: self.graph.node(*of).dtype }, whole),
            Target::Part(of, view) => {
                (Source { home: self.home(*of), dtype: self.graph.node(*of).dtype }, view.collapsed())
            }
            Target::Param(param) => {
                (Source { home: Home::Param(*param), dtype: self.graph.params()[*param].dtype }, whole)
            }
            Target::Copy(number) => {
                self.of_copy[*number] = self.buffer(node.shape.count(), node.dtype);
                (self.copied(*number), whole)
            }
        }
    }

    /// Parameters that a step replaces although a later one reads them, or the same one elsewhere.
    fn overwritten_too_early(&self) -> Vec<usize> {
        let mut found = self.overwritten.clone();
        // From the end: what has been read later than the step at hand.
        let mut read = vec![false; self.graph.params().len()];
        for step in self.steps.iter().rev() {
            step.homes(|home, written| {
                if let Home::Param(param) = home
                    && written
                    && read[param]
                {
                    found.push(param);
                }
            });
            step.homes(|home, written| {
                if let Home::Param(param) = home
                    && !written
                {
                    read[param] = true;
                }
            });
        }
        found
    }

    fn concluded(mut self, abilities: Abilities) -> Schedule {
        let mut outputs: Vec<(usize, usize)> = (0..self.graph.outputs().len())
            .map(|place| match self.fusion.output_copies[place] {
                Some(number) => (self.of_copy[number], 0),
                None => {
                    let (base, offset) = self.fusion.operand(self.graph.outputs()[place].node);
                    match self.home(base) {
                        Home::Buffer(buffer) => (buffer, offset),
                        Home::Param(_) | Home::Literal(_) => (0, 0),
                    }
                }
            })
            .collect();
        let (mut steps, mut buffers, inputs) = (self.steps, self.buffers, self.of_input);
        if abilities.epilogues {
            let kept: Vec<usize> = outputs.iter().map(|(buffer, _)| *buffer).collect();
            steps = epilogue::absorb(self.graph, steps, &buffers, &kept);
            steps = epilogue::extend(self.graph, steps, &buffers, &kept);
        }
        let mut prepared = 0;
        if abilities.prepares {
            (steps, prepared) = once::first(steps, buffers.len(), &inputs, self.graph.params().len());
        }
        for (number, step) in steps.iter().enumerate() {
            step.homes(|home, _| {
                if let Home::Buffer(buffer) = home {
                    let life = &mut buffers[buffer];
                    life.first = life.first.min(number);
                    life.last = life.last.max(number);
                }
            });
        }
        // What is kept from run to run is needed after each.
        for buffer in buffers.iter_mut().filter(|buffer| buffer.first < prepared && buffer.last >= prepared) {
            buffer.last = steps.len();
        }
        inputs.iter().for_each(|&input| buffers[input].first = 0);
        outputs.iter().for_each(|(buffer, _)| buffers[*buffer].last = steps.len());
        if abilities.in_place {
            let names = in_place::merge(&mut steps, &mut buffers);
            outputs.iter_mut().for_each(|(buffer, _)| *buffer = names[*buffer]);
        }
        Schedule { steps, prepared, buffers, inputs, outputs }
    }
}

impl Step {
    /// Every place that the step reads (`false`), then those it writes (`true`).
    pub fn homes(&self, mut visit: impl FnMut(Home, bool)) {
        match self {
            Step::Chain(chain) => {
                chain.inputs.iter().for_each(|i| visit(i.home, false));
                chain.outputs.iter().for_each(|o| visit(o.home, true));
            }
            Step::Kernel(kernel) => {
                kernel.operands.iter().chain(&kernel.bias).for_each(|o| visit(o.home, false));
                kernel.epilogue.iter().flat_map(Epilogue::reads).for_each(|home| visit(home, false));
                match &kernel.epilogue {
                    Some(epilogue) => epilogue.chain.outputs.iter().for_each(|output| visit(output.home, true)),
                    None => visit(kernel.output, true),
                }
            }
            Step::Decode { param, output } => {
                visit(Home::Param(*param), false);
                visit(*output, true);
            }
        }
    }
    /// Every place that the step names.
    pub(super) fn homes_mut(&mut self, mut visit: impl FnMut(&mut Home)) {
        match self {
            Step::Chain(chain) => {
                chain.inputs.iter_mut().chain(&mut chain.outputs).for_each(|source| visit(&mut source.home));
            }
            Step::Kernel(kernel) => {
                kernel.operands.iter_mut().chain(&mut kernel.bias).for_each(|operand| visit(&mut operand.home));
                kernel.epilogue.iter_mut().flat_map(Epilogue::homes_mut).for_each(&mut visit);
                visit(&mut kernel.output);
            }
            Step::Decode { output, .. } => visit(output),
        }
    }
}
