//! From decisions to launches: code of every loop, kernels, and one arena.

use alloc::{boxed::Box, vec, vec::Vec};

use yuragi_graph::{
    CompileError, DType, Graph, NodeId, Op,
    memory::{Lifetime, place},
    op::{Conv, Fused},
};

use crate::{
    fusion::{Fusion, Group, Target, Work},
    kernels::{
        self, Decode, Direction, Fold, Gather, Gemm, Geometry, Instruction, Kernel, Place, Product, Program, Random,
        ScatterAdd,
    },
    simd::Level,
    view::View,
};

/// Elements of a cache line.
const LINE: usize = 16;

/// Where a value's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// From this element of the arena on.
    Arena(usize),
    /// A parameter, by its place in the graph.
    Param(usize),
    /// A constant, by its place in the graph.
    Literal(usize),
}

/// A kernel and what it works on.
pub(crate) struct Launch {
    pub name: &'static str,
    pub kernel: Box<dyn Kernel>,
    /// Where each input begins, and an element offset from there.
    pub inputs: Vec<(Home, usize)>,
    pub outputs: Vec<(Home, usize)>,
    /// The first element of the kernel's working memory.
    pub scratch: usize,
}

/// A lowered graph.
pub(crate) struct Lowered {
    pub launches: Vec<Launch>,
    /// Elements.
    pub arena: usize,
    /// Where each input of the graph is put.
    pub inputs: Vec<usize>,
    /// Where each output of the graph is found.
    pub outputs: Vec<usize>,
}

/// Chooses kernels and places every buffer.
pub(crate) fn lower(graph: &Graph, level: Level, threads: usize) -> Result<Lowered, CompileError> {
    let mut deferred = Vec::new();
    loop {
        let fusion = Fusion::new(graph, &deferred);
        let mut lowering = Lowering::new(graph, &fusion, level);
        lowering.emit_all()?;
        let overwritten = lowering.overwritten_too_early();
        if overwritten.is_empty() {
            return lowering.placed(threads);
        }
        if let Some(update) =
            graph.updates().iter().find(|u| overwritten.contains(&u.param) && deferred.contains(&u.param))
        {
            return Err(CompileError::Unsupported(update.node, "update"));
        }
        deferred.extend(overwritten);
    }
}

struct Lowering<'a> {
    graph: &'a Graph,
    fusion: &'a Fusion<'a>,
    level: Level,
    launches: Vec<Launch>,
    /// Arena buffers by number; homes of these launches are numbers until they are placed.
    buffers: Vec<Lifetime>,
    of_node: Vec<Option<usize>>,
    of_input: Vec<usize>,
    of_copy: Vec<usize>,
    /// Parameters that a loop both replaces and reads at other elements.
    overwritten: Vec<usize>,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a Graph, fusion: &'a Fusion<'a>, level: Level) -> Lowering<'a> {
        let mut lowering = Lowering {
            graph,
            fusion,
            level,
            launches: Vec::new(),
            buffers: Vec::new(),
            of_node: vec![None; graph.nodes().len()],
            of_input: Vec::new(),
            of_copy: Vec::new(),
            overwritten: Vec::new(),
        };
        lowering.of_copy = vec![0; fusion.copies];
        lowering.of_input = graph.inputs().iter().map(|i| lowering.buffer(i.shape.count())).collect();
        lowering
    }

    /// A new buffer, so far unused.
    fn buffer(&mut self, size: usize) -> usize {
        self.buffers.push(Lifetime { size, first: usize::MAX, last: 0 });
        self.buffers.len() - 1
    }

    fn home(&mut self, id: NodeId) -> Home {
        let node = self.graph.node(id);
        match node.op {
            Op::Input(i) => Home::Arena(self.of_input[i as usize]),
            Op::Literal(i) => Home::Literal(i as usize),
            Op::Param(i) if node.dtype == DType::F32 => Home::Param(i as usize),
            _ => {
                let buffer = match self.of_node[id.index()] {
                    Some(buffer) => buffer,
                    None => self.buffer(node.shape.count()),
                };
                self.of_node[id.index()] = Some(buffer);
                Home::Arena(buffer)
            }
        }
    }

    fn emit_all(&mut self) -> Result<(), CompileError> {
        for work in &self.fusion.work {
            match work {
                Work::Loop(group) => self.emit_loop(&self.fusion.groups[*group]),
                Work::Kernel(id) => self.emit_kernel(*id)?,
            }
        }
        Ok(())
    }

    fn launch(
        &mut self,
        name: &'static str,
        kernel: Box<dyn Kernel>,
        inputs: Vec<(Home, usize)>,
        outputs: Vec<(Home, usize)>,
    ) {
        let step = self.launches.len();
        for (home, _) in inputs.iter().chain(&outputs) {
            if let Home::Arena(buffer) = home {
                let life = &mut self.buffers[*buffer];
                life.first = life.first.min(step);
                life.last = life.last.max(step);
            }
        }
        self.launches.push(Launch { name, kernel, inputs, outputs, scratch: 0 });
    }

    fn emit_kernel(&mut self, id: NodeId) -> Result<(), CompileError> {
        let biased = self.fusion.biased[id.index()];
        let node = self.graph.node(biased.map_or(id, |(product, _)| product));
        let level = self.level;
        let shape = |place: usize| self.graph.node(node.inputs[place]).shape;
        let batch = |place: usize| shape(place)[..shape(place).rank() - 2].iter().product::<usize>();
        let count = node.shape.count();
        let kernel: Box<dyn Kernel> = match node.op {
            Op::Param(i) => {
                let home = self.home(id);
                let kernel = Decode { dtype: node.dtype, count };
                self.launch("decode", Box::new(kernel), vec![(Home::Param(i as usize), 0)], vec![(home, 0)]);
                return Ok(());
            }
            Op::Move(_) => {
                let home = self.home(id);
                let once = vec![Instruction::Fill { value: 0.0, to: Place::Register(0) }];
                let code = vec![Instruction::Store {
                    x: Place::Register(0),
                    output: 0,
                    view: View::whole(&node.shape).collapsed(),
                }];
                let program = Program { level, count, once, code, registers: 1 };
                self.launch("zero", Box::new(program), Vec::new(), vec![(home, 0)]);
                return Ok(());
            }
            Op::MatMul(op) => {
                let (m, n, k) = op.extents(&shape(0), &shape(1)).ok_or(CompileError::Unsupported(id, "matmul"))?;
                Box::new(Gemm::new(
                    level,
                    Product {
                        batch: batch(0),
                        m,
                        n,
                        k,
                        ta: op.transpose_a,
                        tb: op.transpose_b,
                        a_stride: m * k,
                        b_stride: k * n,
                        bias: biased.is_some(),
                    },
                ))
            }
            Op::Conv(op) => {
                let (direction, image, kernel) = match op {
                    Conv::Forward(_) => (Direction::Forward, shape(0), shape(1)),
                    Conv::InputGrad(_) => (Direction::InputGrad, node.shape, shape(1)),
                    Conv::WeightGrad(_) => (Direction::WeightGrad, shape(0), node.shape),
                };
                let window = op.window();
                let [top, bottom, left, right] = window.padding;
                let geometry = Geometry {
                    batch: image[0],
                    height: image[1],
                    width: image[2],
                    channels: image[3],
                    filters: kernel[3],
                    kernel: [kernel[0], kernel[1]],
                    stride: window.stride,
                    padding: [[top, bottom], [left, right]],
                };
                Box::new(kernels::Conv::new(level, direction, geometry, biased.is_some()))
            }
            Op::Gather => {
                let rows = shape(0)[0];
                Box::new(Gather { rows, width: shape(0)[1..].iter().product(), indices: shape(1).count() })
            }
            Op::ScatterAdd(rows) => {
                Box::new(ScatterAdd { rows, width: node.shape[1..].iter().product(), indices: shape(0).count() })
            }
            Op::Random(law, stream) => Box::new(Random { law, stream, count }),
            Op::Fused(op) => self.fused(op, id),
            _ => return Err(CompileError::Unsupported(id, node.op.name())),
        };
        let mut inputs: Vec<_> = node
            .inputs
            .iter()
            .map(|&i| {
                let (base, offset) = self.fusion.operand(i);
                (self.home(base), offset)
            })
            .collect();
        if let Some((_, bias)) = biased {
            let (base, view) = self.fusion.trace(bias);
            inputs.push((self.home(base), view.offset));
        }
        let output = self.home(id);
        self.launch(node.op.name(), kernel, inputs, vec![(output, 0)]);
        self.round(id);
        Ok(())
    }

    fn fused(&self, op: Fused, id: NodeId) -> Box<dyn Kernel> {
        let node = self.graph.node(id);
        let shape = |place: usize| self.graph.node(node.inputs[place]).shape;
        let level = self.level;
        let n = node.shape[node.shape.rank() - 1];
        let rows = node.shape[..node.shape.rank() - 1].iter().product();
        match op {
            Fused::Softmax => Box::new(kernels::Softmax::new(level, rows, n)),
            Fused::LayerNorm { eps } => Box::new(kernels::LayerNorm::new(level, rows, n, eps.get())),
            Fused::GroupNorm { groups, eps } => {
                let pixels = node.shape[1..node.shape.rank() - 1].iter().product();
                Box::new(kernels::GroupNorm::new(level, node.shape[0], pixels, n, groups, eps.get(), false))
            }
            Fused::Attention { scale } => {
                let (q, k, v) = (shape(0), shape(1), shape(2));
                let r = q.rank();
                let mask = (node.inputs.len() == 4).then(|| {
                    let m = shape(3);
                    kernels::Mask { per_batch: m[..r - 2].iter().product::<usize>() > 1, per_query: m[r - 2] > 1 }
                });
                let shape = kernels::AttentionShape {
                    batch: q[..r - 2].iter().product(),
                    queries: q[r - 2],
                    keys: k[r - 2],
                    depth: q[r - 1],
                    value_depth: v[r - 1],
                    scale: scale.get(),
                    mask,
                };
                Box::new(kernels::Attention::new(level, shape))
            }
        }
    }

    /// Rounds a kernel's result where the node is of half precision.
    fn round(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        if !matches!(node.dtype, DType::F16 | DType::BF16) {
            return;
        }
        let home = self.home(id);
        let code = vec![
            Instruction::Convert {
                from: DType::F32,
                into: node.dtype,
                x: Place::Input { index: 0, offset: 0 },
                to: Place::Register(0),
            },
            Instruction::Store { x: Place::Register(0), output: 0, view: View::whole(&node.shape).collapsed() },
        ];
        let program = Program { level: self.level, count: node.shape.count(), once: Vec::new(), code, registers: 1 };
        self.launch("round", Box::new(program), vec![(home, 0)], vec![(home, 0)]);
    }

    fn emit_loop(&mut self, group: &Group) {
        let number = self.fusion.groups.iter().position(|g| core::ptr::eq(g, group)).unwrap_or(usize::MAX);
        let mut code = Coder {
            lowering: self,
            group: number,
            values: vec![],
            inputs: vec![],
            once: vec![],
            code: vec![],
            registers: 0,
        };
        match group.fold {
            Some(id) => {
                let graph = code.lowering.graph;
                let node = graph.node(id);
                let operand = node.inputs[0];
                let value = code.value(operand);
                let shape = graph.node(operand).shape;
                let (program, value, inputs) = code.finish(shape.count(), &mut [value]);
                if let Op::Reduce(op, axes) = node.op {
                    let home = self.home(id);
                    self.launch(
                        "reduce",
                        Box::new(Fold::new(program, value, op, &shape, axes)),
                        inputs,
                        vec![(home, 0)],
                    );
                    self.round(id);
                }
            }
            None => {
                let graph = code.lowering.graph;
                let count = graph.node(group.stores[0].0).shape.count();
                // All values first: a parameter may be replaced only when nothing reads it any more.
                let values: Vec<Place> = match group.copied {
                    Some(number) => vec![code.copied(number)],
                    None => group.stores.iter().map(|(id, _)| code.value(*id)).collect(),
                };
                let mut outputs = Vec::new();
                for ((id, target), value) in group.stores.iter().zip(values) {
                    let (home, view) = code.lowering.target(*id, target);
                    code.store(value, outputs.len(), view);
                    outputs.push((home, 0));
                }
                let (mut program, _, inputs) = code.finish(count, &mut []);
                program.store_directly(|output| matches!(outputs[output].0, Home::Arena(_)));
                for (input, (home, _)) in inputs.iter().enumerate() {
                    if let Home::Param(param) = *home
                        && outputs.iter().any(|o| o.0 == *home)
                        && program.walks(input)
                    {
                        self.overwritten.push(param);
                    }
                }
                self.launch("loop", Box::new(program), inputs, outputs);
            }
        }
    }

    fn target(&mut self, id: NodeId, target: &Target) -> (Home, View) {
        let whole = View::whole(&self.graph.node(id).shape).collapsed();
        match target {
            Target::Buffer(node) => (self.home(*node), whole),
            Target::Part(node, view) => (self.home(*node), view.collapsed()),
            Target::Param(param) => (Home::Param(*param), whole),
            Target::Copy(number) => {
                let buffer = self.buffer(self.graph.node(id).shape.count());
                self.of_copy[*number] = buffer;
                (Home::Arena(buffer), whole)
            }
        }
    }

    /// Parameters that a launch replaces although a later one reads them, or the same one elsewhere.
    fn overwritten_too_early(&self) -> Vec<usize> {
        let mut found = self.overwritten.clone();
        for (step, launch) in self.launches.iter().enumerate() {
            for (home, _) in &launch.outputs {
                let Home::Param(param) = *home else { continue };
                let later = self.launches[step + 1..].iter().flat_map(|l| &l.inputs).any(|i| i.0 == *home);
                if later {
                    found.push(param);
                }
            }
        }
        found
    }

    /// Gives every buffer and working memory its place in the arena.
    fn placed(mut self, threads: usize) -> Result<Lowered, CompileError> {
        let end = self.launches.len();
        for &input in &self.of_input {
            self.buffers[input].first = 0;
        }
        let outputs: Vec<(usize, usize)> = (0..self.graph.outputs().len())
            .map(|place| match self.fusion.output_copies[place] {
                Some(number) => (self.of_copy[number], 0),
                None => {
                    let (base, offset) = self.fusion.operand(self.graph.outputs()[place].node);
                    match self.home(base) {
                        Home::Arena(buffer) => (buffer, offset),
                        Home::Param(_) | Home::Literal(_) => (0, 0),
                    }
                }
            })
            .collect();
        for (buffer, _) in &outputs {
            self.buffers[*buffer].last = end;
        }
        let values = self.buffers.len();
        for (step, launch) in self.launches.iter().enumerate() {
            self.buffers.push(Lifetime { size: launch.kernel.scratch().total(threads), first: step, last: step });
        }
        let total = self.buffers.iter().try_fold(0usize, |sum, b| sum.checked_add(b.size.checked_add(LINE)?));
        if total.is_none_or(|t| t > isize::MAX as usize / 8) {
            return Err(CompileError::TooLarge);
        }
        let (offsets, arena) = place(&self.buffers, LINE);
        for (step, launch) in self.launches.iter_mut().enumerate() {
            for (home, _) in launch.inputs.iter_mut().chain(&mut launch.outputs) {
                if let Home::Arena(buffer) = home {
                    *home = Home::Arena(offsets[*buffer]);
                }
            }
            launch.scratch = offsets[values + step];
        }
        Ok(Lowered {
            launches: self.launches,
            arena,
            inputs: self.of_input.iter().map(|&b| offsets[b]).collect(),
            outputs: outputs.into_iter().map(|(b, offset)| offsets[b] + offset).collect(),
        })
    }
}

/// Writes the program of one loop.
struct Coder<'l, 'a> {
    lowering: &'l mut Lowering<'a>,
    group: usize,
    /// Values that the program has already.
    values: Vec<(Key, Place)>,
    inputs: Vec<(Home, usize)>,
    once: Vec<Instruction>,
    code: Vec<Instruction>,
    registers: usize,
}

#[derive(PartialEq)]
enum Key {
    Node(NodeId),
    Number(u32),
    Walk(NodeId, View),
}

impl Coder<'_, '_> {
    fn register(&mut self) -> usize {
        self.registers += 1;
        self.registers - 1
    }

    fn known(&self, key: &Key) -> Option<Place> {
        self.values.iter().find(|(k, _)| k == key).map(|(_, place)| *place)
    }

    /// The tile of a value, computed if need be.
    fn value(&mut self, id: NodeId) -> Place {
        // Operands before users, without recursion: chains may be long.
        let graph = self.lowering.graph;
        let mut open = vec![self.lowering.fusion.stripped(id)];
        while let Some(&id) = open.last() {
            if self.known(&Key::Node(id)).is_some() {
                open.pop();
                continue;
            }
            let node = graph.node(id);
            if !self.lowering.fusion.inlined[id.index()].contains(&self.group) {
                let place = self.leaf(id);
                self.values.push((Key::Node(id), place));
                continue;
            }
            let operands: Vec<NodeId> = node.inputs.iter().map(|&i| self.lowering.fusion.stripped(i)).collect();
            let missing: Vec<NodeId> =
                operands.iter().copied().filter(|&i| self.known(&Key::Node(i)).is_none()).collect();
            if missing.is_empty() {
                let places: Vec<Place> = operands.iter().filter_map(|&i| self.known(&Key::Node(i))).collect();
                let place = self.compute(id, &places);
                self.values.push((Key::Node(id), place));
            } else {
                open.extend(missing);
            }
        }
        let id = self.lowering.fusion.stripped(id);
        self.known(&Key::Node(id)).unwrap_or(Place::Register(0))
    }

    /// The copy of this number, under the tile.
    fn copied(&mut self, number: usize) -> Place {
        self.inputs.push((Home::Arena(self.lowering.of_copy[number]), 0));
        Place::Input { index: self.inputs.len() - 1, offset: 0 }
    }

    fn compute(&mut self, id: NodeId, x: &[Place]) -> Place {
        let graph = self.lowering.graph;
        let node = graph.node(id);
        let to = Place::Register(self.register());
        match node.op {
            Op::Unary(op) => self.code.push(Instruction::Unary { op, x: x[0], to }),
            Op::Binary(op) => self.code.push(Instruction::Binary { op, a: x[0], b: x[1], to }),
            Op::Select => self.code.push(Instruction::Select { condition: x[0], a: x[1], b: x[2], to }),
            Op::Cast => {
                let from = graph.node(node.inputs[0]).dtype;
                self.code.push(Instruction::Convert { from, into: node.dtype, x: x[0], to });
                return to;
            }
            _ => {}
        }
        if node.dtype == DType::F32 {
            return to;
        }
        let rounded = Place::Register(self.register());
        self.code.push(Instruction::Convert { from: DType::F32, into: node.dtype, x: to, to: rounded });
        rounded
    }

    /// A value that the loop reads: a number, an input under the tile, or a walk through an input.
    fn leaf(&mut self, id: NodeId) -> Place {
        let graph = self.lowering.graph;
        let (base, view) = self.lowering.fusion.trace(id);
        if let Op::Fill(value) = graph.node(base).op {
            let value = fill_bits(value.get(), graph.node(base).dtype);
            let key = Key::Number(value.to_bits());
            return self.known(&key).unwrap_or_else(|| {
                let to = self.register();
                let to = Place::Register(to);
                self.once.push(Instruction::Fill { value, to });
                self.values.push((key, to));
                to
            });
        }
        let home = self.lowering.home(base);
        let index = self.inputs.iter().position(|i| i.0 == home).unwrap_or_else(|| {
            self.inputs.push((home, 0));
            self.inputs.len() - 1
        });
        if view.is_contiguous() && !view.is_single() {
            return Place::Input { index, offset: view.offset };
        }
        let key = Key::Walk(base, view.collapsed());
        self.known(&key).unwrap_or_else(|| {
            let to = Place::Register(self.register());
            let load = Instruction::Load { input: index, view: view.collapsed(), to };
            if view.is_single() {
                self.once.push(load)
            } else {
                self.code.push(load)
            }
            self.values.push((key, to));
            to
        })
    }

    fn store(&mut self, x: Place, output: usize, view: View) {
        self.code.push(Instruction::Store { x, output, view });
    }

    /// The program with as few registers as possible, where it leaves `kept`, and its inputs.
    fn finish(self, count: usize, kept: &mut [Place]) -> (Program, Place, Vec<(Home, usize)>) {
        let mut program =
            Program { level: self.lowering.level, count, once: self.once, code: self.code, registers: self.registers };
        program.share_registers(kept);
        (program, kept.first().copied().unwrap_or(Place::Register(0)), self.inputs)
    }
}

/// A number as it stands in the arena.
fn fill_bits(value: f32, dtype: DType) -> f32 {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => dtype.round(f64::from(value)) as f32,
        DType::I32 => f32::from_bits(value as i32 as u32),
        DType::U32 => f32::from_bits(value as u32),
    }
}
