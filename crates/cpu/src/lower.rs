//! From steps to launches: loops as programs over tiles, kernels, and one arena.

use alloc::{boxed::Box, format, string::String, vec, vec::Vec};

use yuragi_graph::{
    CompileError, DType, Graph, Op, Shape,
    lowering::{self, Abilities, Chain, End, Halves, Schedule, Step, View},
    memory::{Lifetime, place},
    op::{Conv, Fused},
};

use crate::{
    kernels::{
        self, Decode, Direction, Fold, Gather, Gemm, Geometry, Instruction, Kernel, Place, Product, Program, Random,
        ScatterAdd, Stored,
    },
    simd::Level,
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
    /// The name, and shapes of operands.
    pub detail: String,
    pub kernel: Box<dyn Kernel>,
    /// Where each input begins, and an element offset from there.
    pub inputs: Vec<(Home, usize)>,
    pub outputs: Vec<(Home, usize)>,
    /// The first element of the kernel's working memory.
    pub scratch: usize,
}

impl Launch {
    /// The parameters that it reads, by their places in the graph.
    pub fn params(&self) -> impl Iterator<Item = usize> + '_ {
        self.inputs.iter().filter_map(|(home, _)| match *home {
            Home::Param(param) => Some(param),
            Home::Arena(_) | Home::Literal(_) => None,
        })
    }
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
    /// After how many launches it is there.
    pub ready: Vec<usize>,
}

/// Chooses kernels and places every buffer.
pub(crate) fn lower(graph: &Graph, level: Level, threads: usize) -> Result<Lowered, CompileError> {
    let abilities = Abilities {
        halves: Halves::Widened,
        matrices: false,
        epilogues: false,
        in_place: true,
        weights: !level.has_pairs(),
        prepares: false,
    };
    let schedule = Schedule::new(graph, abilities)?;
    let mut lowering = Lowering { graph, level, launches: Vec::new(), step: 0 };
    for (number, step) in schedule.steps.iter().enumerate() {
        lowering.step = number;
        match step {
            Step::Chain(chain) => lowering.chain(chain),
            Step::Kernel(kernel) => lowering.kernel(kernel)?,
            Step::Decode { param, output } => lowering.decode(*param, *output),
        }
    }
    lowering.placed(&schedule, threads)
}

struct Lowering<'a> {
    graph: &'a Graph,
    level: Level,
    /// The step of each launch, and the launch. Homes in the arena are numbers of buffers until they are placed.
    launches: Vec<(usize, Launch)>,
    /// The step at hand.
    step: usize,
}

const fn unplaced(home: lowering::Home) -> Home {
    match home {
        lowering::Home::Buffer(number) => Home::Arena(number),
        lowering::Home::Param(param) => Home::Param(param),
        lowering::Home::Literal(literal) => Home::Literal(literal),
    }
}

impl Lowering<'_> {
    fn launch(
        &mut self,
        name: &'static str,
        kernel: Box<dyn Kernel>,
        inputs: Vec<(Home, usize)>,
        outputs: Vec<(Home, usize)>,
    ) {
        self.described(name, name.into(), kernel, inputs, outputs);
    }

    fn described(
        &mut self,
        name: &'static str,
        detail: String,
        kernel: Box<dyn Kernel>,
        inputs: Vec<(Home, usize)>,
        outputs: Vec<(Home, usize)>,
    ) {
        self.launches.push((self.step, Launch { name, detail, kernel, inputs, outputs, scratch: 0 }));
    }

    fn decode(&mut self, param: usize, output: lowering::Home) {
        let spec = &self.graph.params()[param];
        let kernel = Decode { dtype: spec.dtype, count: spec.shape.count() };
        self.launch("decode", Box::new(kernel), vec![(Home::Param(param), 0)], vec![(unplaced(output), 0)]);
    }

    fn kernel(&mut self, step: &lowering::Kernel) -> Result<(), CompileError> {
        let (id, level) = (step.node, self.level);
        let node = self.graph.node(id);
        let shape = |place: usize| self.graph.node(node.inputs[place]).shape;
        let batch = |place: usize| shape(place)[..shape(place).rank() - 2].iter().product::<usize>();
        let pairs =
            level.has_pairs() && node.inputs.iter().take(2).all(|&input| self.graph.node(input).dtype == DType::BF16);
        // What lies in buffers is of single precision.
        let stored = step.operands.get(1).map_or(Stored::PLAIN, |weights| Stored {
            dtype: if matches!(weights.home, lowering::Home::Param(_)) { weights.dtype } else { DType::F32 },
            filters_first: weights.filters_first,
        });
        let kernel: Box<dyn Kernel> = match node.op {
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
                        bias: step.bias.is_some(),
                        pairs,
                        stored: stored.dtype,
                    },
                ))
            }
            Op::Conv(op) => {
                let (direction, geometry) = convolution(op, shape(0), shape(1), node.shape);
                let geometry = Geometry { pairs, stored, ..geometry };
                Box::new(kernels::Conv::new(level, direction, geometry, step.bias.is_some()))
            }
            Op::Gather => {
                let rows = shape(0)[0];
                Box::new(Gather { rows, width: shape(0)[1..].iter().product(), indices: shape(1).count() })
            }
            Op::ScatterAdd(rows) => {
                Box::new(ScatterAdd { rows, width: node.shape[1..].iter().product(), indices: shape(0).count() })
            }
            Op::Random(law, stream) => Box::new(Random { law, stream, count: node.shape.count() }),
            Op::Fused(op) => self.fused(op, step, stored)?,
            _ => return Err(CompileError::Unsupported(id, node.op.name())),
        };
        let operands = step.operands.iter().chain(&step.bias);
        let inputs = operands.map(|operand| (unplaced(operand.home), operand.offset)).collect();
        let output = unplaced(step.output);
        let result = self.graph.node(step.result);
        let mut detail = String::from(node.op.name());
        node.inputs.iter().for_each(|&input| detail += &format!(" {}", self.graph.node(input).shape));
        self.described(result.op.name(), detail, kernel, inputs, vec![(output, 0)]);
        self.round(output, result.dtype, result.shape.count());
        Ok(())
    }

    fn fused(&self, op: Fused, step: &lowering::Kernel, stored: Stored) -> Result<Box<dyn Kernel>, CompileError> {
        let node = self.graph.node(step.node);
        let shape = |place: usize| self.graph.node(node.inputs[place]).shape;
        let level = self.level;
        let n = node.shape[node.shape.rank() - 1];
        let rows = node.shape[..node.shape.rank() - 1].iter().product();
        Ok(match op {
            Fused::Softmax => Box::new(kernels::Softmax::new(level, rows, n)),
            Fused::LayerNorm { eps } => Box::new(kernels::LayerNorm::new(level, rows, n, eps.get())),
            Fused::GroupNorm { groups, eps } => {
                let pixels = node.shape[1..node.shape.rank() - 1].iter().product();
                Box::new(kernels::GroupNorm::new(level, node.shape[0], pixels, n, groups, eps.get(), step.silu))
            }
            Fused::GroupRunMoments { groups } => {
                let x = shape(0);
                let pixels = x[1..x.rank() - 1].iter().product();
                Box::new(kernels::GroupRunMoments::new(level, x[0], pixels, x[x.rank() - 1], groups))
            }
            Fused::GroupNormPart { groups, eps, pixels } => {
                let part = node.shape[1..node.shape.rank() - 1].iter().product();
                let size = [node.shape[0], part, n];
                Box::new(kernels::GroupNormPart::new(level, size, pixels, groups, eps.get(), step.silu))
            }
            Fused::Attention { scale } => {
                let r = shape(0).rank();
                let mask = (node.inputs.len() == 4).then(|| {
                    let m = shape(3);
                    kernels::Mask { per_batch: m[..r - 2].iter().product::<usize>() > 1, per_query: m[r - 2] > 1 }
                });
                let shape = attention(shape(0), shape(1), shape(2), scale.get());
                let shape = kernels::AttentionShape { mask, ..shape };
                Box::new(kernels::Attention::new(level, shape))
            }
            Fused::AttentionLogSum { scale } => {
                let shape = attention(shape(0), shape(1), shape(1), scale.get());
                Box::new(kernels::Attention::log_sums(level, shape))
            }
            Fused::AttentionGrad { scale, of } => {
                Box::new(kernels::AttentionGrad::new(level, attention(shape(1), shape(2), shape(3), scale.get()), of))
            }
            Fused::Winograd(op) => {
                let (direction, geometry) = convolution(op, shape(0), shape(1), node.shape);
                let geometry = Geometry { stored, ..geometry };
                Box::new(kernels::Winograd::new(level, direction, geometry, step.bias.is_some()))
            }
            Fused::LayerNormSums { .. }
            | Fused::LayerNormGrad { .. }
            | Fused::GroupMoments { .. }
            | Fused::GroupNormSums { .. }
            | Fused::GroupNormGrad { .. } => return Err(CompileError::Unsupported(step.node, op.name())),
        })
    }

    /// Rounds a kernel's result where it is of half precision.
    fn round(&mut self, home: Home, dtype: DType, count: usize) {
        if !matches!(dtype, DType::F16 | DType::BF16) {
            return;
        }
        let x = Place::Input { index: 0, offset: 0 };
        let code = vec![
            Instruction::Convert { from: DType::F32, into: dtype, x, to: Place::Register(0) },
            Instruction::Store { x: Place::Register(0), output: 0, view: View::run(count) },
        ];
        let program = Program { level: self.level, count, once: Vec::new(), code, registers: 1 };
        self.launch("round", Box::new(program), vec![(home, 0)], vec![(home, 0)]);
    }

    fn chain(&mut self, chain: &Chain) {
        let (mut program, places) = program(self.level, chain);
        let inputs = chain.inputs.iter().map(|i| (unplaced(i.home), 0)).collect();
        let outputs: Vec<_> = chain.outputs.iter().map(|o| (unplaced(o.home), 0)).collect();
        match &chain.end {
            End::Stores(stores) => {
                let store = |s: &lowering::Store| Instruction::Store {
                    x: places[s.value.0],
                    output: s.output,
                    view: s.view.clone(),
                };
                program.code.extend(stores.iter().map(store));
                program.share_registers(&mut []);
                let read = |home| chain.inputs.iter().any(|input| unplaced(input.home) == home);
                program
                    .store_directly(|output| matches!(outputs[output].0, Home::Arena(_)) && !read(outputs[output].0));
                let detail = format!("{} over {}", chain.name, chain.count);
                self.described(chain.name, detail, Box::new(program), inputs, outputs);
            }
            End::Fold(fold) => {
                let mut value = [places[fold.value.0]];
                program.share_registers(&mut value);
                let kernel = Fold::new(program, value[0], fold.op, &fold.shape, fold.axes);
                let output = outputs[0].0;
                let results =
                    fold.shape.iter().enumerate().filter(|(axis, _)| !fold.axes.contains(*axis)).map(|(_, e)| e);
                let count = results.product();
                let detail = format!("{} over {}", chain.name, fold.shape);
                self.described(chain.name, detail, Box::new(kernel), inputs, outputs);
                self.round(output, chain.outputs[0].dtype, count);
            }
        }
    }

    /// Gives every buffer and working memory its place in the arena.
    fn placed(self, schedule: &Schedule, threads: usize) -> Result<Lowered, CompileError> {
        let mut buffers = schedule.lifetimes(|buffer| buffer.count);
        let values = buffers.len();
        for (step, launch) in &self.launches {
            buffers.push(Lifetime { size: launch.kernel.scratch().total(threads), first: *step, last: *step });
        }
        let total = buffers.iter().try_fold(0usize, |sum, b| sum.checked_add(b.size.checked_add(LINE)?));
        if total.is_none_or(|t| t > isize::MAX as usize / 8) {
            return Err(CompileError::TooLarge);
        }
        let (offsets, arena) = place(&buffers, LINE);
        let mut launches: Vec<Launch> = self.launches.into_iter().map(|(_, launch)| launch).collect();
        let mut written = vec![0; values];
        for (number, launch) in launches.iter().enumerate() {
            for (home, _) in &launch.outputs {
                if let Home::Arena(buffer) = home {
                    written[*buffer] = number + 1;
                }
            }
        }
        for (number, launch) in launches.iter_mut().enumerate() {
            for (home, _) in launch.inputs.iter_mut().chain(&mut launch.outputs) {
                if let Home::Arena(buffer) = home {
                    *home = Home::Arena(offsets[*buffer]);
                }
            }
            launch.scratch = offsets[values + number];
        }
        Ok(Lowered {
            launches,
            arena,
            inputs: schedule.inputs.iter().map(|&b| offsets[b]).collect(),
            outputs: schedule.outputs.iter().map(|&(b, offset)| offsets[b] + offset).collect(),
            ready: schedule.outputs.iter().map(|&(b, _)| written[b]).collect(),
        })
    }
}

/// Attention of q, k and v without a mask.
fn attention(q: Shape, k: Shape, v: Shape, scale: f32) -> kernels::AttentionShape {
    let r = q.rank();
    kernels::AttentionShape {
        batch: q[..r - 2].iter().product(),
        queries: q[r - 2],
        keys: k[r - 2],
        depth: q[r - 1],
        value_depth: v[r - 1],
        scale,
        mask: None,
    }
}

/// What to compute of which convolution, of an operation's operands and result.
fn convolution(op: Conv, a: Shape, b: Shape, result: Shape) -> (Direction, Geometry) {
    let (direction, image, kernel) = match op {
        Conv::Forward(_) => (Direction::Forward, a, b),
        Conv::InputGrad(_) => (Direction::InputGrad, result, b),
        Conv::WeightGrad(_) => (Direction::WeightGrad, a, result),
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
        pairs: false,
        stored: Stored::PLAIN,
    };
    (direction, geometry)
}

/// The code of a chain without its end, and where it leaves each value.
fn program(level: Level, chain: &Chain) -> (Program, Vec<Place>) {
    let mut program = Program { level, count: chain.count, once: vec![], code: vec![], registers: 0 };
    let mut places: Vec<Place> = Vec::with_capacity(chain.code.len());
    for instruction in &chain.code {
        if let lowering::Instruction::Load { input, view } = instruction
            && view.is_contiguous()
            && !view.is_single()
        {
            places.push(Place::Input { index: *input, offset: view.offset });
            continue;
        }
        let to = Place::Register(program.registers);
        program.registers += 1;
        let (instruction, once) = match instruction {
            lowering::Instruction::Number(value) => (Instruction::Fill { value: *value, to }, true),
            lowering::Instruction::Load { input, view } => {
                (Instruction::Load { input: *input, view: view.clone(), to }, view.is_single())
            }
            lowering::Instruction::Unary(op, x) => (Instruction::Unary { op: *op, x: places[x.0], to }, false),
            lowering::Instruction::Binary(op, a, b) => {
                (Instruction::Binary { op: *op, a: places[a.0], b: places[b.0], to }, false)
            }
            lowering::Instruction::Select(condition, a, b) => {
                let (condition, a, b) = (places[condition.0], places[a.0], places[b.0]);
                (Instruction::Select { condition, a, b, to }, false)
            }
            lowering::Instruction::Convert { from, into, x } => {
                (Instruction::Convert { from: *from, into: *into, x: places[x.0], to }, false)
            }
        };
        if once {
            program.once.push(instruction)
        } else {
            program.code.push(instruction)
        }
        places.push(to);
    }
    (program, places)
}
