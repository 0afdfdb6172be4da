use crate::{
    DType, Graph, Node, Op, Tensor,
    op::{Conv, Movement, Window},
};

/// How the window of 4×4 taps moves over the larger picture.
const WINDOW: Window = Window { stride: [2, 2], padding: [1; 4] };

impl Graph {
    /// The graph with convolutions of 3×3 over pictures whose pixels were doubled in both directions as transposed
    /// convolutions of 4×4 with strides of 2 over the pictures themselves: four of nine products are left, for of three
    /// neighbours two are always the same pixel. The kernel's sums are made in single precision and rounded to its type
    /// once; parameters must decide it alone.
    ///
    /// For backends that keep what parameters alone decide from run to run.
    ///
    /// ```
    /// use yuragi_graph::{Builder, DType, Init, op::Window};
    /// let b = Builder::new();
    /// let x = b.input("x", &[1, 4, 5, 2], DType::F32);
    /// let doubled = x.reshape(&[1, 4, 1, 5, 1, 2]).broadcast(&[1, 4, 2, 5, 2, 2]).reshape(&[1, 8, 10, 2]);
    /// let y = doubled.conv2d(b.param("w", &[3, 3, 2, 6], DType::F32, Init::Normal(1.0)), Window::same(3));
    /// let graph = b.finish(&[("y", y)])?.with_transposed();
    /// assert!(graph.nodes().iter().any(|node| node.op.name() == "conv2d_input_grad" && node.shape[..] == [1, 8, 10, 6]));
    /// # Ok::<(), yuragi_graph::BuildError>(())
    /// ```
    #[must_use]
    pub fn with_transposed(&self) -> Graph {
        let fixed = self.fixed();
        let may = |node: &Node| {
            node.op == Op::Conv(Conv::Forward(Window::same(3)))
                && self.node(node.inputs[1]).shape[..2] == [3, 3]
                && fixed[node.inputs[1].index()]
        };
        if !self.nodes.iter().any(may) {
            return self.clone();
        }
        self.rebuilt(|node, operands| {
            let [picture, kernel] = operands else { return None };
            let single = if may(node) { halved(*picture)? } else { return None };
            let size = [node.shape[1], node.shape[2]];
            Some(single.cast(picture.dtype()).conv2d_input_grad(spread(*kernel), WINDOW, size))
        })
    }
}

/// The picture whose pixels this one has doubled.
fn halved<'g>(picture: Tensor<'g>) -> Option<Tensor<'g>> {
    // Casts to other types than the last would round on the way.
    let moved = |mut at: Tensor<'g>, movement: Movement| loop {
        let node = picture.builder().node(at.id());
        let from = Tensor::new(picture.builder(), *node.inputs.first()?);
        match node.op {
            Op::Cast if node.dtype == picture.dtype() => at = from,
            op => return (op == Op::Move(movement)).then_some(from),
        }
    };
    let repeated = moved(picture, Movement::Reshape)?;
    let single = moved(repeated, Movement::Broadcast)?;
    let [n, height, width, c] = picture.shape()[..] else { return None };
    let (h, w) = (height / 2, width / 2);
    let is_doubled = [height, width] == [2 * h, 2 * w]
        && repeated.shape()[..] == [n, h, 2, w, 2, c]
        && single.shape()[..] == [n, h, 1, w, 1, c];
    is_doubled.then(|| single.reshape(&[n, h, w, c]))
}

/// The kernel `[4, 4, filters, channels]` that does over single pixels what `[3, 3, channels, filters]` does over doubled
/// ones.
fn spread<'g>(kernel: Tensor<'g>) -> Tensor<'g> {
    let across = |taps: Tensor<'g>, axis: usize| {
        let [a, b, c] = [0, 1, 2].map(|tap| taps.slice(axis, tap, tap + 1));
        c.concat(&[b + c, a + b, a], axis as isize)
    };
    let taps = kernel.cast(DType::F32).permute(&[0, 1, 3, 2]);
    across(across(taps, 0), 1).cast(kernel.dtype())
}
