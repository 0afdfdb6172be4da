//! Which values get a buffer, and which exist only inside a loop.
//!
//! Elementwise operations are pulled into the loop that uses them; a loop is a chain of such
//! operations over one number of elements, ending in stores or in a reduction. Moves are walks
//! through somebody else's buffer. Users come after their operands, so one pass from the last node
//! to the first knows every use of a value when it meets it.

use alloc::{vec, vec::Vec};

use super::{Abilities, Halves, Matrices, View};
use crate::{
    DType, Graph, Node, NodeId, Op,
    op::{Binary, Conv, Fused, Movement, Unary},
};

/// Where a loop leaves a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// The buffer of this node.
    Buffer(NodeId),
    /// A part of the buffer of this node.
    Part(NodeId, View),
    /// A parameter, by its place in the graph.
    Param(usize),
    /// A copy of a value that others own, by its number.
    Copy(usize),
}

/// A loop: `value`s and where they go, or a reduction.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The node after whose operands the loop runs.
    pub root: NodeId,
    /// Values stored, by the node that has them.
    pub stores: Vec<(NodeId, Target)>,
    /// The loop ends in this reduction of the value.
    pub fold: Option<NodeId>,
    /// The loop reads this copy of its value.
    pub copied: Option<usize>,
}

/// A launch.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A loop, by its place in [`Fusion::groups`].
    Loop(usize),
    /// A kernel for this node.
    Kernel(NodeId),
}

/// What the kernel of an earlier node computes as well: the node that has it is the result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Absorbed {
    /// The sum of a product or convolution and a row.
    Bias { product: NodeId, row: NodeId },
    /// The SiLU of a group norm.
    Silu { norm: NodeId },
    /// The matrices of attention, as they lie in the permuted result.
    Permute { attention: NodeId, matrices: Matrices },
}

impl Absorbed {
    /// The node whose kernel it is.
    pub const fn kernel(self) -> NodeId {
        match self {
            Absorbed::Bias { product: kernel, .. }
            | Absorbed::Silu { norm: kernel }
            | Absorbed::Permute { attention: kernel, .. } => kernel,
        }
    }
}

/// A parameter as it lies.
pub(crate) struct Weights {
    pub param: usize,
    pub dtype: DType,
    /// The first element.
    pub offset: usize,
    pub filters_first: bool,
}

/// The result of the pass.
pub(crate) struct Fusion<'g> {
    graph: &'g Graph,
    abilities: Abilities,
    /// Nodes read through a buffer.
    pub buffered: Vec<bool>,
    /// For every node, the loops that compute it on the way.
    pub inlined: Vec<Vec<usize>>,
    pub groups: Vec<Group>,
    /// Launches in order.
    pub work: Vec<Work>,
    /// How many values are copied.
    pub copies: usize,
    /// The copy that an output is, where its value is somebody else's.
    pub output_copies: Vec<Option<usize>>,
    /// For every node that the kernel of another one computes: how.
    pub absorbed: Vec<Option<Absorbed>>,
}

/// A convolution that takes a bias and reads its kernel as it is stored.
fn convolves(op: &Op) -> bool {
    matches!(op, Op::Conv(Conv::Forward(_)) | Op::Fused(Fused::Winograd(Conv::Forward(_))))
}

/// Whether an operation belongs into a loop.
fn is_elementwise(op: &Op) -> bool {
    matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast)
}

impl<'g> Fusion<'g> {
    /// Analyses a graph. Parameters in `deferred` are replaced only after everything else has run.
    pub fn new(graph: &'g Graph, abilities: Abilities, deferred: &[usize]) -> Fusion<'g> {
        let count = graph.nodes().len();
        let mut fusion = Fusion {
            graph,
            abilities,
            buffered: vec![false; count],
            inlined: vec![Vec::new(); count],
            groups: Vec::new(),
            work: Vec::new(),
            absorbed: vec![None; count],
            copies: 0,
            output_copies: Vec::new(),
        };
        fusion.find_absorbed();
        let mut targets: Vec<Vec<Target>> = vec![Vec::new(); count];
        let mut last = Vec::new();
        for update in graph.updates() {
            let value = fusion.stripped(update.node);
            if fusion.is_inline(value) && !deferred.contains(&update.param) {
                targets[value.index()].push(Target::Param(update.param));
            } else {
                let (base, _) = fusion.trace(value);
                fusion.buffered[base.index()] = true;
                last.push((value, Target::Param(update.param)));
            }
        }
        let mut copies = Vec::new();
        for output in graph.outputs() {
            let (value, _) = fusion.operand(output.node);
            fusion.buffered[value.index()] = true;
            let foreign = fusion.is_foreign(value);
            fusion.output_copies.push(foreign.then_some(copies.len()));
            if foreign {
                copies.push((value, output.node));
            }
        }
        let live = graph.live();
        let mut work: Vec<(NodeId, Work)> = Vec::new();
        for id in graph.ids().rev().filter(|id| live[id.index()]) {
            fusion.visit(id, &mut targets[id.index()], &mut work);
        }
        for (number, &(root, value)) in copies.iter().enumerate() {
            let stores = vec![(value, Target::Copy(number))];
            fusion.push_group(Group { root, stores, fold: None, copied: None }, &mut work);
        }
        // Reversed, because visited from the end; the loops of one node keep their order.
        work.sort_by_key(|(root, _)| *root);
        fusion.work = work.into_iter().map(|(_, w)| w).collect();
        // Values that are parameters themselves are copied before any of them is replaced.
        let mut writes = Vec::new();
        for (value, target) in last {
            let of_param = matches!(graph.node(fusion.trace(value).0).op, Op::Param(_));
            let copied = of_param.then_some(copies.len());
            if let Some(number) = copied {
                copies.push((value, value));
                fusion.push_last(Group {
                    root: value,
                    stores: vec![(value, Target::Copy(number))],
                    fold: None,
                    copied: None,
                });
            }
            writes.push(Group { root: value, stores: vec![(value, target)], fold: None, copied });
        }
        writes.into_iter().for_each(|group| fusion.push_last(group));
        fusion.copies = copies.len();
        fusion
    }

    /// Finds what kernels compute as well, of nodes that nobody else needs.
    fn find_absorbed(&mut self) {
        let graph = self.graph;
        let live = graph.live();
        let mut uses = vec![0usize; live.len()];
        let used = graph.ids().filter(|id| live[id.index()]).flat_map(|id| &graph.node(id).inputs);
        let roots = graph.outputs().iter().map(|o| &o.node).chain(graph.updates().iter().map(|u| &u.node));
        used.chain(roots).for_each(|id| uses[id.index()] += 1);
        let sole = |mut id: NodeId| {
            while uses[id.index()] == 1 && graph.node(id).op == Op::Move(Movement::Reshape) {
                id = graph.node(id).inputs[0];
            }
            Some(id).filter(|id| uses[id.index()] == 1)
        };
        for id in graph.ids().filter(|id| live[id.index()]) {
            let node = graph.node(id);
            self.absorbed[id.index()] = match node.op {
                Op::Binary(Binary::Add) if node.dtype == DType::F32 => {
                    let [a, b] = [node.inputs[0], node.inputs[1]];
                    [(a, b), (b, a)].into_iter().find_map(|(product, row)| self.biased(sole(product)?, row))
                }
                Op::Unary(Unary::Silu) if node.dtype == DType::F32 => sole(node.inputs[0])
                    .filter(|&norm| {
                        matches!(graph.node(norm).op, Op::Fused(Fused::GroupNorm { .. } | Fused::GroupNormPart { .. }))
                    })
                    .map(|norm| Absorbed::Silu { norm }),
                Op::Move(Movement::Permute(axes)) if self.abilities.matrices => Some(node.inputs[0])
                    .filter(|id| uses[id.index()] == 1)
                    .and_then(|id| self.permuted(id, node, &axes)),
                _ => None,
            };
        }
    }

    /// A matrix product or convolution and a vector along its last axis, which becomes part of it.
    fn biased(&self, product: NodeId, row: NodeId) -> Option<Absorbed> {
        let node = self.graph.node(product);
        let sums = matches!(node.op, Op::MatMul(_)) || convolves(&node.op);
        let (base, view) = self.trace_stored(row);
        let columns = node.shape.last().copied().unwrap_or(0);
        let fits = sums && view.is_row(columns) && !matches!(self.graph.node(base).op, Op::Fill(_));
        fits.then_some(Absorbed::Bias { product, row })
    }

    /// Attention that writes its result where the permuted one lies.
    fn permuted(&self, attention: NodeId, result: &Node, axes: &[u8]) -> Option<Absorbed> {
        let node = self.graph.node(attention);
        let writes = matches!(node.op, Op::Fused(Fused::Attention { .. } | Fused::AttentionGrad { .. }));
        let strides = result.shape.strides();
        let place = |axis: usize| axes.iter().position(|&from| usize::from(from) == axis);
        let walk: Option<Vec<(usize, usize)>> =
            (0..node.shape.rank()).map(|axis| Some((node.shape[axis], strides[place(axis)?]))).collect();
        let matrices = View::along(walk.filter(|_| writes)?).matrices()?;
        Some(Absorbed::Permute { attention, matrices })
    }

    /// Whether a node is computed inside loops.
    fn is_inline(&self, id: NodeId) -> bool {
        is_elementwise(&self.graph.node(id).op) && self.absorbed[id.index()].is_none()
    }

    /// Decides about one node, all of whose users are decided.
    fn visit(&mut self, id: NodeId, targets: &mut Vec<Target>, work: &mut Vec<(NodeId, Work)>) {
        let node = self.graph.node(id);
        let buffered = self.buffered[id.index()];
        match &node.op {
            _ if self.is_foreign(id) => {}
            Op::Move(Movement::Reshape) => {}
            _ if self.is_inline(id) => {
                let loops = core::mem::take(&mut self.inlined[id.index()]);
                let stores = targets.drain(..).map(|t| (id, t));
                if !buffered && loops.len() == 1 {
                    self.groups[loops[0]].stores.extend(stores);
                    self.compute_in(id, loops);
                } else if !buffered && stores.len() == 0 && self.is_light(node) {
                    self.compute_in(id, loops);
                } else {
                    let mut stores: Vec<_> = stores.collect();
                    if buffered || !loops.is_empty() {
                        self.buffered[id.index()] = true;
                        stores.push((id, Target::Buffer(id)));
                    }
                    let group = self.push_group(Group { root: id, stores, fold: None, copied: None }, work);
                    self.compute_in(id, vec![group]);
                }
            }
            _ if !buffered => {}
            Op::Fill(_) | Op::Move(Movement::Permute(_) | Movement::Broadcast | Movement::Slice { .. })
                if self.absorbed[id.index()].is_none() =>
            {
                self.push_group(
                    Group { root: id, stores: vec![(id, Target::Buffer(id))], fold: None, copied: None },
                    work,
                );
                let (base, _) = self.trace(id);
                self.buffered[base.index()] |= base != id;
            }
            &Op::Move(Movement::Pad { axis, before }) => {
                let operand = node.inputs[0];
                let extent = self.graph.node(operand).shape[usize::from(axis)];
                let part = View::whole(&node.shape).part(usize::from(axis), before, extent);
                work.push((id, Work::Kernel(id)));
                self.push_part(id, operand, part, work);
            }
            &Op::Move(Movement::Concat(axis)) => {
                let mut start = 0;
                for &operand in &node.inputs {
                    let extent = self.graph.node(operand).shape[usize::from(axis)];
                    let part = View::whole(&node.shape).part(usize::from(axis), start, extent);
                    self.push_part(id, operand, part, work);
                    start += extent;
                }
            }
            Op::Reduce(..) => {
                let group = self.push_group(Group { root: id, stores: Vec::new(), fold: Some(id), copied: None }, work);
                self.use_in(node.inputs[0], group);
            }
            _ => {
                work.push((id, Work::Kernel(id)));
                let absorbed = self.absorbed[id.index()];
                if let Some(Absorbed::Bias { row, .. }) = absorbed {
                    let (base, _) = self.trace_stored(row);
                    self.buffered[base.index()] = true;
                }
                let node = absorbed.map_or(node, |absorbed| self.graph.node(absorbed.kernel()));
                for place in 0..node.inputs.len() {
                    if self.weights(node, place).is_some() {
                        continue;
                    }
                    let (value, ..) = self.kernel_operand(node, place);
                    self.buffered[value.index()] = true;
                }
            }
        }
    }

    fn push_last(&mut self, group: Group) {
        self.work.push(Work::Loop(self.groups.len()));
        self.groups.push(group);
    }

    fn push_group(&mut self, group: Group, work: &mut Vec<(NodeId, Work)>) -> usize {
        work.push((group.root, Work::Loop(self.groups.len())));
        self.groups.push(group);
        self.groups.len() - 1
    }

    /// A loop that stores an operand into a part of a node's buffer.
    fn push_part(&mut self, id: NodeId, operand: NodeId, part: View, work: &mut Vec<(NodeId, Work)>) {
        let value = self.stripped(operand);
        let stores = vec![(value, Target::Part(id, part))];
        let group = self.push_group(Group { root: id, stores, fold: None, copied: None }, work);
        self.use_in(operand, group);
    }

    /// Has an elementwise node computed inside these loops.
    fn compute_in(&mut self, id: NodeId, loops: Vec<usize>) {
        for &group in &loops {
            for &operand in &self.graph.node(id).inputs {
                self.use_in(operand, group);
            }
        }
        self.inlined[id.index()] = loops;
    }

    /// Notes that a loop needs a value: on the way, or from a buffer.
    fn use_in(&mut self, operand: NodeId, group: usize) {
        let value = self.stripped(operand);
        if self.is_inline(value) {
            let loops = &mut self.inlined[value.index()];
            if !loops.contains(&group) {
                loops.push(group);
            }
        } else {
            let (base, _) = self.trace(value);
            if !matches!(self.graph.node(base).op, Op::Fill(_)) {
                self.buffered[base.index()] = true;
            }
        }
    }

    /// Whether computing a value again costs no more than reading it: one cheap operation on at
    /// most one operand of full size.
    fn is_light(&self, node: &Node) -> bool {
        let cheap = match node.op {
            Op::Unary(op) => matches!(op, Unary::Neg | Unary::Abs | Unary::Sign | Unary::Relu | Unary::Floor),
            Op::Binary(op) => matches!(
                op,
                Binary::Add | Binary::Sub | Binary::Mul | Binary::Max | Binary::Min | Binary::Less | Binary::Equal
            ),
            Op::Cast => true,
            _ => false,
        };
        let large = |&&operand: &&NodeId| {
            let (base, _) = self.trace(operand);
            let base = self.graph.node(base);
            !matches!(base.op, Op::Fill(_)) && base.shape.count() * 4 > node.shape.count()
        };
        cheap && node.inputs.iter().filter(large).count() <= 1
    }

    /// The value behind moves that keep every element's place, and behind casts that change no number.
    pub fn stripped(&self, id: NodeId) -> NodeId {
        self.stripped_of(id, true)
    }

    fn stripped_of(&self, mut id: NodeId, casts: bool) -> NodeId {
        while let node = self.graph.node(id)
            && (node.op == Op::Move(Movement::Reshape) || casts && self.is_widening(node))
        {
            id = node.inputs[0];
        }
        id
    }

    fn is_widening(&self, node: &Node) -> bool {
        node.op == Op::Cast && node.dtype == DType::F32 && self.graph.node(node.inputs[0]).dtype.is_float()
    }

    /// The value whose elements a node shows to a loop, and the walk through them.
    pub fn trace(&self, id: NodeId) -> (NodeId, View) {
        self.trace_of(id, true)
    }

    /// The value whose stored bits a node shows, and the walk through them.
    pub fn trace_stored(&self, id: NodeId) -> (NodeId, View) {
        self.trace_of(id, self.abilities.halves == Halves::Widened)
    }

    fn trace_of(&self, id: NodeId, casts: bool) -> (NodeId, View) {
        let node = self.graph.node(id);
        match &node.op {
            _ if self.absorbed[id.index()].is_some() => (id, View::whole(&node.shape)),
            _ if casts && self.is_widening(node) => self.trace_of(node.inputs[0], casts),
            Op::Move(
                movement @ (Movement::Reshape | Movement::Permute(_) | Movement::Broadcast | Movement::Slice { .. }),
            ) => {
                let operand = node.inputs[0];
                let (base, view) = self.trace_of(operand, casts);
                match view.moved(movement, &node.shape) {
                    Some(view) => (base, view),
                    None => (operand, View::whole(&node.shape)),
                }
            }
            _ => (id, View::whole(&node.shape)),
        }
    }

    /// The value whose buffer a kernel reads for an operand, and the first element: consecutive elements from there.
    pub fn operand(&self, id: NodeId) -> (NodeId, usize) {
        let (base, view) = self.trace_stored(id);
        if view.is_contiguous() {
            (base, view.offset)
        } else {
            (self.stripped_of(id, self.abilities.halves == Halves::Widened), 0)
        }
    }

    /// The same for an operand of a kernel, which may read matrices that do not lie one after the other.
    pub fn kernel_operand(&self, node: &Node, place: usize) -> (NodeId, usize, Option<Matrices>) {
        let id = node.inputs[place];
        let matrices = match node.op {
            Op::Fused(Fused::AttentionLogSum { .. }) => 2,
            Op::Fused(Fused::Attention { .. }) => 3,
            Op::Fused(Fused::AttentionGrad { .. }) => 4,
            _ => 0,
        };
        if self.abilities.matrices && place < matrices {
            let (base, view) = self.trace_stored(id);
            let matrices = view.matrices().filter(|_| !view.is_contiguous());
            if matrices.is_some() {
                return (base, view.offset, matrices);
            }
        }
        let (base, offset) = self.operand(id);
        (base, offset, None)
    }

    /// The parameter that an operation's kernel reads as it lies.
    pub fn weights(&self, node: &Node, place: usize) -> Option<Weights> {
        let convolution = convolves(&node.op);
        let reads = self.abilities.weights && place == 1 && (convolution || matches!(node.op, Op::MatMul(_)));
        let (base, view) = self.trace_stored(*node.inputs.get(1).filter(|_| reads)?);
        let base = self.graph.node(base);
        let &Op::Param(param) = &base.op else { return None };
        let filters_first = convolution && !view.is_contiguous() && view.filters_first()?.is_contiguous();
        let fits = base.dtype.is_float() && (filters_first || view.is_contiguous());
        fits.then_some(Weights { param: param as usize, dtype: base.dtype, offset: view.offset, filters_first })
    }

    /// Whether a value lives in somebody else's memory: an output of it is a copy.
    pub fn is_foreign(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        match node.op {
            Op::Input(_) | Op::Literal(_) => true,
            Op::Param(_) => node.dtype == DType::F32 || self.abilities.halves == Halves::Packed,
            _ => false,
        }
    }
}
