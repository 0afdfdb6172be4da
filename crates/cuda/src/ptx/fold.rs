//! Chains that end in a reduction.
//!
//! The order in which numbers are combined follows from the shape alone: it is the same on every device.

use yuragi_graph::{
    DType, Shape,
    lowering::{Fold, Instruction, Value, View},
    op::{Movement, Reduce},
};
use yuragi_numeric::Real;

use super::{
    index::{Index, index},
    kernel::{Emitted, LONG, Operands, Params, THREADS, Variable, evaluate},
    tape::Tape,
    traced::Traced,
    walk::{Walk, halves, most_lanes},
};
use crate::launch::{Address, Home};

/// Threads of a warp.
const WARP: usize = 32;
/// Blocks that keep a large device busy: a reduction to fewer results is cut into parts.
const BUSY: usize = 1056;
/// Steps of a thread below which nothing is cut.
const STEPS: usize = 8;

/// A reduction: numbered results, each of numbered terms.
pub(super) struct Reduction {
    code: Vec<Instruction>,
    value: Value,
    op: Reduce,
    axes: Vec<Axis>,
    params: Params,
    /// By instruction.
    loaded: Vec<Option<Load>>,
    output: (Address, DType),
}

/// Neighbouring axes of the chain that are all kept or all folded, as one.
#[derive(Clone, Copy)]
struct Axis {
    extent: usize,
    kept: bool,
    /// The step of the element's own number.
    step: usize,
}

struct Load {
    walk: Walk,
    /// The walk's axes are not those of the reduction: it follows the element's number.
    by_number: bool,
}

/// An operand as a chain's instruction sees it.
struct Seen<'a> {
    input: usize,
    view: &'a View,
    /// The same walk along the axes of the reduction, if there is one with constant steps.
    along: Option<View>,
}

impl Seen<'_> {
    fn by<'a>(instruction: &'a Instruction, shape: &Shape) -> Option<Seen<'a>> {
        let Instruction::Load { input, view } = instruction else { return None };
        Some(Seen { input: *input, view, along: view.clone().moved(&Movement::Reshape, shape) })
    }
}

/// The axes of a reduction: neighbours that are all kept or all folded stand together if no operand tells them apart.
/// Those of extent 1 are left out, for nobody walks along them.
fn groups(fold: &Fold, views: &[Option<Seen<'_>>]) -> Vec<Vec<usize>> {
    let shape = &fold.shape;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for axis in (0..shape.rank()).filter(|&axis| shape[axis] != 1) {
        let joins = |outer: usize| {
            let nested = |view: &View| view.axes()[outer].1 == shape[axis] * view.axes()[axis].1;
            let mut walks = views.iter().flatten().filter_map(|seen| seen.along.as_ref());
            fold.axes.contains(outer) == fold.axes.contains(axis) && walks.all(nested)
        };
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|&outer| joins(outer)) => group.push(axis),
            _ => groups.push(vec![axis]),
        }
    }
    groups
}

/// The kernels of a reduction, and the bytes of working memory between them.
pub(super) struct Folded {
    pub kernels: Vec<Emitted>,
    pub scratch: usize,
}

/// How a kernel's threads share the work.
#[derive(Clone, Copy)]
struct Split {
    lanes: usize,
    /// Threads of a block that work on one result (terms along the innermost axis), or on one item of terms of
    /// neighbouring results.
    together: usize,
    /// Parts into which the terms of a result are cut, for blocks along y.
    parts: usize,
    /// Items of a part.
    part: usize,
}

impl Reduction {
    pub fn new(code: &[Instruction], fold: &Fold, operands: &Operands) -> Reduction {
        let shape = &fold.shape;
        let views: Vec<Option<Seen<'_>>> = code.iter().map(|instruction| Seen::by(instruction, shape)).collect();
        let groups = groups(fold, &views);
        let extent = |group: &[usize]| group.iter().map(|&axis| shape[axis]).product::<usize>();
        let inner = |group: &[usize]| group.last().copied().unwrap_or(0);
        let axis = |group: &Vec<usize>| {
            let inner = inner(group);
            Axis { extent: extent(group), kept: !fold.axes.contains(inner), step: shape.strides()[inner] }
        };
        let mut params = Params::default();
        let load = |seen: &Option<Seen<'_>>| {
            let Seen { input, view, along } = seen.as_ref()?;
            let operand = operands.inputs[*input];
            let walk = match along {
                Some(along) => {
                    let axes = groups.iter().map(|group| (extent(group), along.axes()[inner(group)].1)).collect();
                    Walk::along(&mut params, operand, along.offset, axes)
                }
                None => Walk::new(&mut params, operand, view),
            };
            Some(Load { walk, by_number: along.is_none() })
        };
        let loaded = views.iter().map(load).collect();
        let axes = groups.iter().map(axis).collect();
        let code = code.to_vec();
        Reduction { code, value: fold.value, op: fold.op, axes, params, loaded, output: operands.outputs[0] }
    }

    /// One kernel, or one for parts of the terms and one that combines them.
    pub fn emit(&self) -> Folded {
        let results = self.count(true);
        if results == 0 {
            return Folded { kernels: Vec::new(), scratch: 0 };
        }
        let split = self.split(self.lanes());
        if split.parts == 1 {
            return Folded { kernels: vec![self.kernel(split, self.output)], scratch: 0 };
        }
        let partial = (Address::start(Home::Scratch(0)), DType::F32);
        let combine = self.of_parts(partial, split.parts);
        let whole = Split { parts: 1, ..combine.split(combine.lanes()) };
        let kernels = vec![self.kernel(split, partial), combine.kernel(whole, self.output)];
        Folded { kernels, scratch: split.parts * results * partial.1.size() }
    }

    /// Combines as many partial results, which stand one after another.
    fn of_parts(&self, partial: (Address, DType), parts: usize) -> Reduction {
        let results = self.count(true);
        let all = [Axis { extent: parts, kept: false, step: results }, Axis { extent: results, kept: true, step: 1 }];
        let axes: Vec<Axis> = all.into_iter().filter(|axis| axis.extent != 1).collect();
        let code = vec![Instruction::Load { input: 0, view: View::run(parts * results) }];
        let mut params = Params::default();
        let steps = axes.iter().map(|axis| (axis.extent, axis.step)).collect();
        let load = Load { walk: Walk::along(&mut params, partial, 0, steps), by_number: false };
        Reduction { code, value: Value(0), axes, params, loaded: vec![Some(load)], ..*self }
    }

    /// How many results there are, or terms of each.
    fn count(&self, kept: bool) -> usize {
        self.axes.iter().filter(|axis| axis.kept == kept).map(|axis| axis.extent).product()
    }

    /// Whether neighbours along the innermost axis belong to different results.
    fn is_column(&self) -> bool {
        self.axes.last().is_some_and(|axis| axis.kept)
    }

    /// Neighbours of a thread at once: as many as one instruction moves, if every operand's axes are those of the
    /// reduction, and the kernel stays short.
    fn lanes(&self) -> usize {
        let extent = self.axes.last().map_or(1, |axis| axis.extent);
        let whole = |lanes: usize| extent.is_multiple_of(lanes) || self.axes.len() == 1 && !self.is_column();
        let by_axes = self.loaded.iter().flatten().all(|load| !load.by_number);
        let most = if by_axes { most_lanes(self.loaded.iter().flatten().map(|load| &load.walk)) } else { 1 };
        let short = |lanes: usize| {
            self.tape(Split { parts: 1, ..self.split(lanes) }, &self.stored(1, self.output).1).len() <= LONG
        };
        halves(most).find(|&lanes| lanes == 1 || lanes <= extent && whole(lanes) && short(lanes)).unwrap_or(1)
    }

    fn split(&self, lanes: usize) -> Split {
        let (results, terms) = (self.count(true), self.count(false));
        let (together, blocks, items) = if self.is_column() {
            let columns = results / lanes;
            let rows = (THREADS / columns.next_power_of_two().min(WARP)).min((terms / 4).max(1).next_power_of_two());
            (rows, columns.div_ceil(THREADS / rows), terms)
        } else {
            let items = terms / lanes;
            let whole_block = items >= 4 * THREADS || items >= THREADS / 2 && results < 1024;
            let together = if whole_block { THREADS } else { items.next_power_of_two().clamp(1, WARP) };
            (together, results.div_ceil(THREADS / together), items)
        };
        let parts = (BUSY / blocks.max(1)).min(items / (together * STEPS)).max(1);
        let part = items.div_ceil(parts).max(1);
        Split { lanes, together, parts: items.div_ceil(part).max(1), part }
    }

    /// The parameters and the walk of the results: those of one part after those of another.
    fn stored(&self, parts: usize, output: (Address, DType)) -> (Params, Walk) {
        let mut params = self.params.clone();
        let walk = Walk::along(&mut params, output, 0, vec![(parts * self.count(true), 1)]);
        (params, walk)
    }

    fn kernel(&self, split: Split, output: (Address, DType)) -> Emitted {
        let (params, to) = self.stored(split.parts, output);
        let columns = self.is_column();
        let results = self.count(true) / if columns { split.lanes } else { 1 };
        let numbers = match columns {
            true if split.together > 1 => THREADS * split.lanes,
            false if split.together > WARP => THREADS / WARP,
            _ => 0,
        };
        let blocks = results.div_ceil(THREADS / split.together);
        params.kernel(&self.tape(split, &to), numbers * size_of::<f32>(), [blocks, split.parts])
    }

    fn tape(&self, split: Split, to: &Walk) -> Tape {
        let tape = Tape::new();
        let elements = self.count(true) * self.count(false);
        let mut walks = self.loaded.iter().flatten().map(|load| &load.walk).chain([to]);
        let small = elements < 1 << 31 && walks.all(|walk| walk.reach() < 1 << 32);
        match (self.is_column(), small) {
            (true, true) => self.record_columns::<u32>(&tape, split, to),
            (true, false) => self.record_columns::<u64>(&tape, split, to),
            (false, true) => self.record_rows::<u32>(&tape, split, to),
            (false, false) => self.record_rows::<u64>(&tape, split, to),
        }
        tape
    }

    /// Terms along the innermost axis: `together` neighbouring threads work on one result.
    fn record_rows<I: Index>(&self, tape: &Tape, split: Split, to: &Walk) {
        let Split { lanes, together, .. } = split;
        let (results, terms) = (self.count(true), self.count(false));
        let thread = tape.special("%tid.x");
        let member = thread & (together as u32 - 1).into();
        let number = I::from_word(tape.special("%ctaid.x")) * (THREADS / together) + I::from_word(thread / together);
        let result = number.min(index(results - 1));
        let sums: Vec<Variable<'_>> = (0..lanes).map(|_| tape.variable(self.start())).collect();
        let member = I::from_word(member);
        let [first, end] = self.part(tape, split, terms / lanes);
        if terms > 0 {
            tape.each([first + member, end, index(together)], |item| self.add(tape, result, item, lanes, &sums));
        }
        let rest = terms % lanes;
        if rest > 0 {
            // Only the first part finds any.
            let part = I::from_word(tape.special("%ctaid.y"));
            let late = if split.parts > 1 { part * rest } else { index(0) };
            tape.each([member + late, index(rest), index(together)], |at| {
                self.add(tape, result, index::<I>(terms - rest) + at, 1, &sums[..1]);
            });
        }
        let mut sum = self.tree(sums.iter().map(Variable::get).collect());
        for bits in halves(together.min(WARP)).skip(1) {
            sum = self.pair(sum, tape.exchanged(sum, bits));
        }
        let bit = thread & (WARP as u32 - 1).into();
        if together > WARP {
            let warp = thread / WARP;
            tape.where_true(bit.less(1.into()), || tape.share(warp * 4, sum));
            tape.barrier();
            sum = self.tree((0..THREADS / WARP).map(|warp| tape.shared_value(index::<u32>(warp * 4))).collect());
        }
        let mine = member.less(index(1)).and(number.less(index(results)));
        tape.where_true(mine, || {
            let place = self.partial(tape, split, results) + result;
            to.access(1).store(tape, tape.address(to.pointer, to.place(place, 1)), &[sum]);
        });
    }

    /// Results along the innermost axis: threads stand side by side along it, and `together` rows of them share
    /// the terms.
    fn record_columns<I: Index>(&self, tape: &Tape, split: Split, to: &Walk) {
        let Split { lanes, together: rows, .. } = split;
        let width = THREADS / rows;
        let columns = self.count(true) / lanes;
        let thread = tape.special("%tid.x");
        let (row, column) = (thread / width, thread & (width as u32 - 1).into());
        let number = I::from_word(tape.special("%ctaid.x")) * width + I::from_word(column);
        let result = number.min(index(columns - 1));
        let sums: Vec<Variable<'_>> = (0..lanes).map(|_| tape.variable(self.start())).collect();
        let terms = self.count(false);
        let [first, end] = self.part(tape, split, terms);
        if terms > 0 {
            tape.each([first + I::from_word(row), end, index(rows)], |term| self.add(tape, result, term, lanes, &sums));
        }
        if rows > 1 {
            let place = |lane: usize| thread * 4 + index(lane * THREADS * 4);
            (0..lanes).for_each(|lane| tape.share(place(lane), sums[lane].get()));
            for half in halves(rows).skip(1) {
                tape.barrier();
                tape.where_true(row.less(index(half)), || {
                    for (lane, sum) in sums.iter().enumerate() {
                        let other = tape.shared_value(place(lane) + index(half * width * 4));
                        sum.set(self.pair(sum.get(), other));
                        tape.share(place(lane), sum.get());
                    }
                });
            }
        }
        tape.where_true(row.less(index(1)).and(number.less(index(columns))), || {
            let place = self.partial(tape, split, columns) + result;
            let stored: Vec<_> = sums.iter().map(Variable::get).collect();
            to.access(lanes).store(tape, tape.address(to.pointer, to.place(place, lanes)), &stored);
        });
    }

    /// The terms' items that this block takes: from, and to before.
    fn part<'t, I: Index>(&self, tape: &'t Tape, split: Split, items: usize) -> [Traced<'t, I>; 2] {
        if split.parts == 1 {
            return [index(0), index(items)];
        }
        let first = I::from_word(tape.special("%ctaid.y")) * split.part;
        [first, (first + index(split.part)).min(index(items))]
    }

    /// Where this block's part of the results begins.
    fn partial<'t, I: Index>(&self, tape: &'t Tape, split: Split, results: usize) -> Traced<'t, I> {
        if split.parts == 1 { index(0) } else { I::from_word(tape.special("%ctaid.y")) * results }
    }

    /// Combines the chain's value for one item of neighbours into the sums.
    fn add<'t, I: Index>(
        &self,
        tape: &'t Tape,
        result: Traced<'t, I>,
        term: Traced<'t, I>,
        lanes: usize,
        sums: &[Variable<'t>],
    ) {
        let load = |load: &Load| {
            let place = match load.by_number {
                true => self.along(result, term, |at| (self.axes[at].extent, self.axes[at].step)),
                false => {
                    let axes = load.walk.bytes(lanes);
                    self.along(result, term, |at| axes[at])
                }
            };
            let place = if load.by_number { load.walk.place(place, 1) } else { place };
            load.walk.access(lanes).load(tape, tape.address(load.walk.pointer, place))
        };
        let loaded: Vec<Vec<_>> = self.loaded.iter().map(|one| one.as_ref().map_or_else(Vec::new, load)).collect();
        for (lane, sum) in sums.iter().enumerate() {
            let value = evaluate(&self.code, |number| loaded[number][lane])[self.value.0];
            sum.set(self.pair(sum.get(), value));
        }
    }

    /// A place by the numbers of result and term, whose axes lie among each other.
    fn along<'t, I: Index>(
        &self,
        result: Traced<'t, I>,
        term: Traced<'t, I>,
        axis: impl Fn(usize) -> (usize, usize),
    ) -> Traced<'t, I> {
        let of = |kept: bool| -> Vec<(usize, usize)> {
            (0..self.axes.len()).filter(|&at| self.axes[at].kept == kept).map(&axis).collect()
        };
        result.walk(&of(true)) + term.walk(&of(false))
    }

    /// What nothing is combined to.
    fn start<'t>(&self) -> Traced<'t, f32> {
        match self.op {
            Reduce::Sum => 0.0.into(),
            Reduce::Max => f32::NEG_INFINITY.into(),
        }
    }

    fn pair<'t>(&self, a: Traced<'t, f32>, b: Traced<'t, f32>) -> Traced<'t, f32> {
        match self.op {
            Reduce::Sum => a + b,
            Reduce::Max => Real::max(a, b),
        }
    }

    /// Combines neighbours, then neighbouring pairs, and so on.
    fn tree<'t>(&self, mut values: Vec<Traced<'t, f32>>) -> Traced<'t, f32> {
        while values.len() > 1 {
            values = values.chunks(2).map(|x| if let [a, b] = *x { self.pair(a, b) } else { x[0] }).collect();
        }
        values[0]
    }
}
