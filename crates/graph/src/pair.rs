use alloc::{vec, vec::Vec};

use crate::{
    Builder, Graph, NodeId, Op, Output, Tensor, Update,
    op::{Binary, Movement},
};

/// What becomes of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    /// What it was.
    Same,
    /// A product whose columns stand in pairs.
    Product,
    /// The first or second half of the columns of what a path makes of a product: so of the first or second of each pair.
    Half(usize, Vec<NodeId>),
}

impl Graph {
    /// The graph with the columns of products in pairs, each column beside that of the other half, where nothing is done
    /// with a product but to read its halves, as gates do: so the kernel of the product has both at hand. The weights, which
    /// parameters must decide alone, change places; every sum stays the same.
    ///
    /// For backends that keep what parameters alone decide from run to run.
    ///
    /// ```
    /// use yuragi_graph::{Builder, DType, Init};
    /// let b = Builder::new();
    /// let x = b.input("x", &[5, 8], DType::F32);
    /// let both = x.matmul(b.param("w", &[8, 6], DType::F32, Init::Normal(1.0)));
    /// let gated = both.slice(1, 0, 3) * both.slice(1, 3, 6).gelu();
    /// let graph = b.finish(&[("y", gated)])?.paired();
    /// assert!(graph.nodes().iter().any(|node| node.shape[..] == [5, 3, 2]));
    /// # Ok::<(), yuragi_graph::BuildError>(())
    /// ```
    #[must_use]
    pub fn paired(&self) -> Graph {
        let roles = self.roles();
        if roles.iter().all(|role| *role == Role::Same) {
            return self.clone();
        }
        let builder = Builder::resume(self);
        let mut new: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        for (id, role) in self.ids().zip(&roles) {
            let node = self.node(id);
            let at = |old: NodeId| Tensor::new(&builder, new[old.index()]);
            let tensor = match (role, node.op) {
                (Role::Half(which, path), _) => self.half_of_pairs(*which, path, at),
                (Role::Product, Op::MatMul(op)) => {
                    let weights = interleaved(at(node.inputs[1]), if op.transpose_b { 0 } else { 1 });
                    let inputs = [new[node.inputs[0].index()], weights.id()];
                    builder.push_typed(node.op, &inputs, node.shape, Some(node.dtype))
                }
                _ => {
                    let inputs: Vec<NodeId> = node.inputs.iter().map(|input| new[input.index()]).collect();
                    builder.push_typed(node.op, &inputs, node.shape, Some(node.dtype))
                }
            };
            if self.cuts.contains(&id) {
                builder.cut(tensor);
            }
            new.push(tensor.id());
        }
        let outputs = self.outputs.iter().map(|o| Output { name: o.name.clone(), node: new[o.node.index()] }).collect();
        let updates = self.updates.iter().map(|u| Update { param: u.param, node: new[u.node.index()] }).collect();
        builder.conclude(outputs, updates)
    }

    /// What a path from a product on makes of one half of its columns, which stand in pairs.
    fn half_of_pairs<'g>(&self, which: usize, path: &[NodeId], at: impl Fn(NodeId) -> Tensor<'g>) -> Tensor<'g> {
        let both = at(path[0]);
        let (rows, columns) = (both.shape()[0], both.shape()[1] / 2);
        let half = both.reshape(&[rows, columns, 2]).slice(2, which, which + 1).reshape(&[rows, columns]);
        path.windows(2).fold(half, |half, step| {
            let node = self.node(step[1]);
            match node.op {
                Op::Cast => half.cast(node.dtype),
                Op::Binary(Binary::Add) => {
                    let repeated = node.inputs[usize::from(node.inputs[0] == step[0])];
                    let row = at(self.node(repeated).inputs[0]);
                    let row = row.reshape(&[row.shape().count()]);
                    half + row.slice(0, which * columns, (which + 1) * columns)
                }
                _ => {
                    let mut extents = node.shape.to_vec();
                    if let Some(last) = extents.last_mut() {
                        *last = columns;
                    }
                    half.reshape(&extents)
                }
            }
        })
    }

    /// Whether a node repeats another one.
    fn is_repeated(&self, id: NodeId) -> bool {
        self.node(id).op == Op::Move(Movement::Broadcast)
    }

    fn roles(&self) -> Vec<Role> {
        let (fixed, live) = (self.fixed(), self.live());
        let mut users: Vec<Vec<NodeId>> = vec![Vec::new(); self.nodes.len()];
        for id in self.ids().filter(|id| live[id.index()]) {
            self.node(id).inputs.iter().for_each(|input| users[input.index()].push(id));
        }
        // What others than nodes read has one user more.
        let roots = self.outputs.iter().map(|o| o.node).chain(self.updates.iter().map(|u| u.node));
        roots.for_each(|root| users[root.index()].push(root));
        let mut roles = vec![Role::Same; self.nodes.len()];
        for id in self.ids().filter(|id| live[id.index()] && !fixed[id.index()]) {
            let [a, b] = users[id.index()][..] else { continue };
            let Some(halves) = self.halves(id, [a, b]) else { continue };
            let Some(path) = self.path(id, &users, &fixed) else { continue };
            roles[path[0].index()] = Role::Product;
            [a, b]
                .into_iter()
                .zip(halves)
                .for_each(|(half, which)| roles[half.index()] = Role::Half(which, path.clone()));
        }
        roles
    }

    /// Which halves of a value's columns two nodes are.
    fn halves(&self, of: NodeId, parts: [NodeId; 2]) -> Option<[usize; 2]> {
        let shape = self.node(of).shape;
        let (axis, columns) = (shape.rank().checked_sub(1)?, *shape.last()?);
        if columns == 0 || columns % 2 != 0 {
            return None;
        }
        let which = |part: NodeId| match self.node(part).op {
            Op::Move(Movement::Slice { axis: along, start })
                if usize::from(along) == axis && self.node(part).shape[axis] * 2 == columns =>
            {
                [0, columns / 2].iter().position(|&first| first == start)
            }
            _ => None,
        };
        let [a, b] = [which(parts[0])?, which(parts[1])?];
        (a != b).then_some([a, b])
    }

    /// The nodes from a product to a value that is it but for sums with rows, casts and the extents of other axes; nobody else
    /// reads what lies between.
    fn path(&self, to: NodeId, users: &[Vec<NodeId>], fixed: &[bool]) -> Option<Vec<NodeId>> {
        let columns = *self.node(to).shape.last()?;
        let (mut path, mut id) = (Vec::new(), to);
        loop {
            let node = self.node(id);
            if node.shape.last() != Some(&columns) || id != to && users[id.index()].len() != 1 {
                return None;
            }
            path.push(id);
            let is_row = |place: usize| {
                let input = node.inputs[place];
                let of = |row: &NodeId| self.node(*row).shape;
                let shape = self.node(input).inputs.first().filter(|_| self.is_repeated(input)).map(of);
                fixed[input.index()] && shape.is_some_and(|s| s.count() == columns && s.last() == Some(&columns))
            };
            id = match node.op {
                Op::MatMul(_) if node.shape.rank() == 2 && fixed[node.inputs[1].index()] => {
                    path.reverse();
                    return Some(path);
                }
                Op::Cast | Op::Move(Movement::Reshape) => node.inputs[0],
                Op::Binary(Binary::Add) if is_row(0) != is_row(1) => node.inputs[usize::from(is_row(0))],
                _ => return None,
            };
        }
    }
}

/// The second half of an axis between the elements of the first.
fn interleaved(x: Tensor<'_>, axis: usize) -> Tensor<'_> {
    let shape = x.shape();
    let count = |extents: &[usize]| extents.iter().product::<usize>();
    let (outer, inner) = (count(&shape[..axis]), count(&shape[axis + 1..]));
    x.reshape(&[outer, 2, shape[axis] / 2, inner]).permute(&[0, 2, 1, 3]).reshape(&shape)
}
