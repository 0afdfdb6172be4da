//! Values computed again instead of kept.
//!
//! A training step keeps what its forward half computed until the backward half needs it. Much of that follows cheaply
//! from something that is kept anyway: a norm from its operand, an activation from the norm (Chen et al. 2016,
//! arXiv 1604.06174, with the choice made by cost instead of by depth).
//!
//! Gradients are kept, too, where their norm must be known before the first is used. One of a layer of many weights and
//! few rows is larger than its two factors: these are kept instead, and it is computed twice, for the norm and for the
//! update.

use alloc::{vec, vec::Vec};

use crate::{
    Graph, Node, NodeId, Op,
    op::{Fused, Movement},
};

/// How often the place of the highest need is sought.
const ROUNDS: usize = 6;
/// How many times as large as what is kept for it a gradient must be.
const GAIN: usize = 2;
/// Values smaller than this share of the highest need stay.
const SHARE: usize = 4096;

/// Whether computing a value costs about what reading its operands does.
fn is_cheap(op: &Op) -> bool {
    match op {
        Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast | Op::Move(_) => true,
        Op::Fused(op) => matches!(op, Fused::LayerNorm { .. } | Fused::GroupNorm { .. }),
        _ => false,
    }
}

/// Whether a value is a walk through its operand's memory.
fn is_view(op: &Op) -> bool {
    matches!(op, Op::Move(Movement::Reshape | Movement::Permute(_) | Movement::Broadcast | Movement::Slice { .. }))
}

/// Whether an operation is computed inside the loops that need it, and takes memory only for a kernel.
fn is_inlined(op: &Op) -> bool {
    matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast)
}

/// Whether a value is there all the time, or costs no memory.
fn is_given(op: &Op) -> bool {
    matches!(op, Op::Input(_) | Op::Param(_) | Op::Literal(_) | Op::Fill(_))
}

fn bytes(node: &Node) -> usize {
    node.shape.count().saturating_mul(node.dtype.size())
}

impl Graph {
    /// The same graph, of which cheap values that would be kept over the time of the highest need of memory are
    /// computed once more when they are needed again. Every operation has the operands that it had; kernels that compute
    /// several of them at once may find others than before, and round otherwise.
    #[must_use]
    pub fn recomputed(&self) -> Graph {
        let mut graph = self.with_early_folds();
        let mut uses = Uses::of(&graph);
        for _ in 0..ROUNDS {
            let (turn, most) = uses.highest(&graph);
            let again = uses.again(&graph, turn, most / SHARE);
            let next = graph.with_clones(&again);
            let uses_then = Uses::of(&next);
            // What is computed again must be worth it.
            if uses_then.highest(&next).1 >= most {
                break;
            }
            (graph, uses) = (next, uses_then);
        }
        graph
    }

    /// The graph with what is summed over single gradients directly behind them, so that those need not wait for it.
    fn with_early_folds(&self) -> Graph {
        let of_cut = self.of_cuts();
        // A gradient of which alone, numbers apart, each elementwise value or sum follows, as a place in the order.
        let mut source: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate() {
            let follows = is_inlined(&node.op) || is_view(&node.op) || matches!(node.op, Op::Reduce(..));
            let sources = node.inputs.iter().filter(|input| !is_given(&self.node(**input).op));
            let mut sources =
                sources.map(|input| if of_cut[input.index()] { Some(input.index()) } else { source[input.index()] });
            if let (true, Some(Some(first))) = (follows && !of_cut[place], sources.next())
                && sources.all(|other| other == Some(first))
            {
                source[place] = Some(first);
            }
        }
        // Those that end in a sum go, the others stay.
        let mut early = vec![false; self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate().rev() {
            early[place] |= source[place].is_some() && matches!(node.op, Op::Reduce(..));
            if early[place] {
                node.inputs.iter().for_each(|input| early[input.index()] |= source[input.index()].is_some());
            }
        }
        if !early.contains(&true) {
            return self.clone();
        }
        let given = |place: usize| is_given(&self.nodes[place].op);
        let key = |place: usize| match source[place].filter(|_| early[place]) {
            // What they are told comes before everything.
            Some(after) => (after, 1),
            None if given(place) => (0, 0),
            None => (place, 0),
        };
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_key(|&place| key(place));
        let mut newest = vec![NodeId(0); self.nodes.len()];
        for (place, &from) in order.iter().enumerate() {
            newest[from] = NodeId(place as u32);
        }
        let nodes = order.iter().map(|&from| moved(&self.nodes[from], &newest)).collect();
        self.renamed(nodes, &newest)
    }

    /// Which nodes are gradients that are cut out, seen through views.
    fn of_cuts(&self) -> Vec<bool> {
        let mut of_cut = vec![false; self.nodes.len()];
        for &cut in &self.cuts {
            let mut id = cut;
            while is_view(&self.node(id).op) {
                id = self.node(id).inputs[0];
            }
            of_cut[id.index()] = true;
        }
        of_cut
    }

    /// Which values follow, element by element or by sums, from more than one gradient that is cut out: their norm, and
    /// what is scaled by it.
    fn of_several_cuts(&self) -> Vec<bool> {
        let of_cut = self.of_cuts();
        let mut several = vec![false; self.nodes.len()];
        let mut source: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate() {
            if of_cut[place] {
                source[place] = Some(place);
            } else if is_inlined(&node.op) || is_view(&node.op) || matches!(node.op, Op::Reduce(..)) {
                let mut sources = node.inputs.iter().filter_map(|input| source[input.index()]);
                let first = sources.next();
                several[place] =
                    sources.any(|other| Some(other) != first) || node.inputs.iter().any(|input| several[input.index()]);
                source[place] = first;
            }
        }
        several
    }

    /// The graph of other nodes, by what its own are called there.
    fn renamed(&self, nodes: Vec<Node>, newest: &[NodeId]) -> Graph {
        let mut graph = Graph { nodes, ..self.clone() };
        graph.outputs.iter_mut().for_each(|o| o.node = newest[o.node.index()]);
        graph.updates.iter_mut().for_each(|u| u.node = newest[u.node.index()]);
        graph.cuts.iter_mut().for_each(|cut| *cut = newest[cut.index()]);
        graph
    }

    /// The graph with each node once more before the node whose place is given, used by that and all later ones.
    fn with_clones(&self, again: &[Option<usize>]) -> Graph {
        let mut pending: Vec<(usize, usize)> =
            again.iter().enumerate().filter_map(|(i, place)| Some(((*place)?, i))).collect();
        pending.sort_unstable();
        let mut pending = pending.into_iter().peekable();
        let mut nodes: Vec<Node> = Vec::with_capacity(self.nodes.len() + pending.len());
        let mut newest: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        for (place, node) in self.nodes.iter().enumerate() {
            while let Some((_, original)) = pending.next_if(|(before, _)| *before == place) {
                let node = moved(&self.nodes[original], &newest);
                newest[original] = NodeId(nodes.len() as u32);
                nodes.push(node);
            }
            let node = moved(node, &newest);
            newest.push(NodeId(nodes.len() as u32));
            nodes.push(node);
        }
        self.renamed(nodes, &newest)
    }
}

fn moved(node: &Node, newest: &[NodeId]) -> Node {
    Node { inputs: node.inputs.iter().map(|i| newest[i.index()]).collect(), ..node.clone() }
}

/// When the values of a graph are needed.
struct Uses {
    /// The places of the nodes that need each value, also through views of it, in order; the end of the graph for
    /// results.
    places: Vec<Vec<usize>>,
    /// Whether each value has memory of its own.
    stored: Vec<bool>,
}

impl Uses {
    fn of(graph: &Graph) -> Uses {
        let (count, live) = (graph.nodes.len(), graph.live());
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); count];
        for result in graph.outputs.iter().map(|o| o.node).chain(graph.updates.iter().map(|u| u.node)) {
            places[result.index()].push(count);
        }
        for (place, node) in graph.nodes.iter().enumerate().rev().filter(|(place, _)| live[*place]) {
            let mut inputs = node.inputs.clone();
            inputs.sort_unstable();
            inputs.dedup();
            for input in inputs {
                let of_view = if is_view(&node.op) { places[place].clone() } else { Vec::new() };
                let of_input = &mut places[input.index()];
                of_input.extend(of_view);
                of_input.push(place);
            }
        }
        for all in &mut places {
            all.sort_unstable();
            all.dedup();
        }
        let stored = graph.nodes.iter().zip(&places).map(|(node, places)| {
            let kernel = |place: &usize| {
                graph.nodes.get(*place).is_some_and(|user| {
                    !is_inlined(&user.op) && !is_view(&user.op) && !matches!(user.op, Op::Reduce(..))
                })
            };
            !is_given(&node.op) && !is_view(&node.op) && (!is_inlined(&node.op) || places.iter().any(kernel))
        });
        Uses { stored: stored.collect(), places }
    }

    /// The place at which most bytes are alive, and how many.
    fn highest(&self, graph: &Graph) -> (usize, usize) {
        let mut change = vec![0isize; graph.nodes.len() + 2];
        for (place, node) in graph.nodes.iter().enumerate() {
            let Some(&last) = self.places[place].last() else { continue };
            if self.stored[place] {
                change[place] += bytes(node) as isize;
                change[last + 1] -= bytes(node) as isize;
            }
        }
        let mut alive = 0;
        let sums = change.iter().map(|c| {
            alive += c;
            alive
        });
        let (place, most) =
            sums.enumerate().max_by_key(|(place, sum)| (*sum, core::cmp::Reverse(*place))).unwrap_or((0, 0));
        (place, most.unsigned_abs())
    }

    /// The first need of a value after a time at which it is only kept.
    fn after(&self, id: NodeId, turn: usize) -> Option<usize> {
        let places = &self.places[id.index()];
        let next = places.partition_point(|place| *place <= turn);
        (id.index() < turn && places.get(next.wrapping_sub(1)) != Some(&turn))
            .then(|| places.get(next).copied())
            .flatten()
    }

    /// Before which node each value is computed again, if it is.
    fn again(&self, graph: &Graph, turn: usize, least: usize) -> Vec<Option<usize>> {
        let (of_cut, several) = (graph.of_cuts(), graph.of_several_cuts());
        let mut again: Vec<Option<usize>> = vec![None; graph.nodes.len()];
        for id in graph.ids().take(turn) {
            let node = graph.node(id);
            let worth = is_view(&node.op) || bytes(node) >= least.max(1);
            let Some(place) = self.after(id, turn).filter(|place| *place < graph.nodes.len()) else { continue };
            let cheap = is_cheap(&node.op) && !node.inputs.is_empty() && self.follows(graph, node, place, &again);
            // Without a norm to wait for, nothing is gained but time lost.
            let waits = |place: &usize| {
                let user = graph.nodes.get(*place).filter(|_| *place > turn);
                user.is_some_and(|user| user.inputs.iter().any(|input| several[input.index()]))
            };
            let of_few = of_cut[id.index()]
                && matches!(node.op, Op::MatMul(_) | Op::Conv(_) | Op::Fused(Fused::Winograd(_)))
                && self.places[id.index()].iter().any(waits);
            if worth && (cheap || of_few && bytes(node) >= GAIN * self.kept_for(graph, node, place)) {
                again[id.index()] = Some(place);
            }
        }
        // A value that others follow from is there before them.
        for index in (0..turn).rev() {
            let Some(place) = again[index] else { continue };
            for input in &graph.nodes[index].inputs {
                if let Some(earlier) = &mut again[input.index()] {
                    *earlier = place.min(*earlier);
                }
            }
        }
        again
    }

    /// The bytes that must be kept until a place for a node to be computed there.
    fn kept_for(&self, graph: &Graph, node: &Node, place: usize) -> usize {
        let kept = node.inputs.iter().map(|&input| {
            let mut id = input;
            while is_view(&graph.node(id).op) {
                id = graph.node(id).inputs[0];
            }
            let there =
                is_given(&graph.node(id).op) || self.places[id.index()].last().is_some_and(|last| *last >= place);
            if there { 0 } else { bytes(graph.node(id)) }
        });
        kept.sum()
    }

    /// Whether all operands of a node are there at a place, kept or computed again.
    fn follows(&self, graph: &Graph, node: &Node, place: usize, again: &[Option<usize>]) -> bool {
        node.inputs.iter().all(|input| {
            let kept = || self.places[input.index()].last().is_some_and(|last| *last >= place);
            is_given(&graph.node(*input).op) || again[input.index()].is_some() || kept()
        })
    }
}
