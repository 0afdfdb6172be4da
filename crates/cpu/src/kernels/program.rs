use alloc::{vec, vec::Vec};
use core::slice::{from_raw_parts, from_raw_parts_mut};

use yuragi_graph::{
    DType,
    lowering::View,
    op::{Binary, Unary},
};

use super::{Buffers, Kernel, Scratch};
use crate::simd::{Level, Op, Vector};

/// Elements that pass through a chain at once: a few such registers stay in the first cache.
pub(crate) const TILE: usize = 512;
/// Elements of one task.
const TASK: usize = 16 * TILE;

/// Where an instruction finds or leaves a tile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// A tile of the task's own memory.
    Register(usize),
    /// The range of an input that stands under the tile.
    Input {
        /// Which input.
        index: usize,
        /// The input's element under the walk's first.
        offset: usize,
    },
    /// The range of an output that stands under the tile.
    Output {
        /// Which output.
        index: usize,
        /// The output's element under the walk's first.
        offset: usize,
    },
}

/// One step of a chain, over a whole tile.
#[derive(Clone, Debug)]
pub(crate) enum Instruction {
    Fill { value: f32, to: Place },
    Load { input: usize, view: View, to: Place },
    Unary { op: Unary, x: Place, to: Place },
    Binary { op: Binary, a: Place, b: Place, to: Place },
    Select { condition: Place, a: Place, b: Place, to: Place },
    Convert { from: DType, into: DType, x: Place, to: Place },
    Store { x: Place, output: usize, view: View },
}

/// A chain of elementwise operations, run tile by tile, so that only what the chain begins and
/// ends with touches memory.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub level: Level,
    /// The number of elements of every value of the chain.
    pub count: usize,
    /// Values that are the same for every tile.
    pub once: Vec<Instruction>,
    /// Run for every tile.
    pub code: Vec<Instruction>,
    /// Tiles of the task's own memory.
    pub registers: usize,
}

impl Program {
    /// Renames registers, so that one serves several values one after another. Those in `kept`
    /// outlive the chain and are renamed too.
    pub fn share_registers(&mut self, kept: &mut [Place]) {
        let mut last = vec![0; self.registers];
        for (step, instruction) in self.code.iter_mut().enumerate() {
            instruction.places(|place, _| {
                if let Place::Register(r) = place {
                    last[*r] = step;
                }
            });
        }
        for place in kept.iter() {
            if let Place::Register(r) = place {
                last[*r] = usize::MAX;
            }
        }
        let mut names = vec![None; self.registers];
        let mut total = 0;
        for instruction in &mut self.once {
            instruction.places(|place, _| {
                if let Place::Register(r) = place {
                    names[*r] = Some(total);
                    last[*r] = usize::MAX;
                    *r = total;
                    total += 1;
                }
            });
        }
        let mut free: Vec<usize> = Vec::new();
        for (step, instruction) in self.code.iter_mut().enumerate() {
            let mut ended = Vec::new();
            instruction.places(|place, _| {
                let Place::Register(r) = place else { return };
                let old = *r;
                *r = *names[old].get_or_insert_with(|| {
                    free.pop().unwrap_or_else(|| {
                        total += 1;
                        total - 1
                    })
                });
                if last[old] == step && !ended.contains(r) {
                    ended.push(*r);
                }
            });
            free.extend(ended);
        }
        for place in kept {
            if let Place::Register(r) = place {
                *r = names[*r].unwrap_or(*r);
            }
        }
        self.registers = total;
    }

    /// Lets the last operation before a store write where the store would copy to, if that is
    /// consecutive and nobody's input.
    pub fn store_directly(&mut self, may: impl Fn(usize) -> bool) {
        let mut at = 0;
        while at < self.code.len() {
            let candidate = match &self.code[at] {
                Instruction::Store { x: Place::Register(register), output, view }
                    if view.is_contiguous() && may(*output) =>
                {
                    Some((*register, Place::Output { index: *output, offset: view.offset }))
                }
                _ => None,
            };
            if let Some((register, direct)) = candidate
                && let Some(origin) = self.code[..at].iter_mut().rposition(|i| i.writes(register))
            {
                let later = at + 1..self.code.len();
                self.code[origin].places(|place, written| {
                    if written {
                        *place = direct;
                    }
                });
                for instruction in self.code[origin + 1..at].iter_mut() {
                    instruction.redirect(register, direct);
                }
                for step in later {
                    if self.code[step].writes(register) {
                        break;
                    }
                    self.code[step].redirect(register, direct);
                }
                self.code.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Prepares a task's registers.
    ///
    /// # Safety
    /// As [`Kernel::task`].
    pub unsafe fn prepare(&self, buffers: Buffers<'_>) {
        // SAFETY: passed on to the caller.
        self.level.run(Run { code: &self.once, buffers, start: 0, length: TILE.min(self.count) });
        // Ragged last tiles read whole registers, never more than a tile.
    }

    /// Runs the chain for elements `start..start + length`, at most a tile.
    ///
    /// # Safety
    /// As [`Kernel::task`]; the task's registers are prepared.
    pub unsafe fn tile(&self, buffers: Buffers<'_>, start: usize, length: usize) {
        self.level.run(Run { code: &self.code, buffers, start, length });
    }
}

impl Instruction {
    /// Every place that the instruction reads, then the one it writes (`true`).
    fn places(&mut self, mut visit: impl FnMut(&mut Place, bool)) {
        match self {
            Instruction::Fill { to, .. } | Instruction::Load { to, .. } => visit(to, true),
            Instruction::Unary { x, to, .. } | Instruction::Convert { x, to, .. } => {
                visit(x, false);
                visit(to, true);
            }
            Instruction::Binary { a, b, to, .. } => {
                visit(a, false);
                visit(b, false);
                visit(to, true);
            }
            Instruction::Select { condition, a, b, to } => {
                visit(condition, false);
                visit(a, false);
                visit(b, false);
                visit(to, true);
            }
            Instruction::Store { x, .. } => visit(x, false),
        }
    }

    /// Whether the instruction's result is this register.
    fn writes(&mut self, register: usize) -> bool {
        let mut found = false;
        self.places(|place, written| found |= written && *place == Place::Register(register));
        found
    }

    /// Reads another place instead of a register.
    fn redirect(&mut self, register: usize, to: Place) {
        self.places(|place, written| {
            if !written && *place == Place::Register(register) {
                *place = to;
            }
        });
    }
}

struct Run<'a> {
    code: &'a [Instruction],
    buffers: Buffers<'a>,
    start: usize,
    length: usize,
}

/// The elements under a tile.
///
/// # Safety
/// The place exists in the buffers.
#[inline(always)]
pub(crate) unsafe fn address(place: Place, buffers: Buffers<'_>, start: usize) -> *mut f32 {
    match place {
        Place::Register(register) => buffers.local.wrapping_add(register * TILE),
        Place::Input { index, offset } => buffers.inputs[index].wrapping_add(offset + start).cast_mut(),
        Place::Output { index, offset } => buffers.outputs[index].wrapping_add(offset + start),
    }
}

impl Op for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Run { code, buffers, start, length } = self;
        // SAFETY: the program names existing places, a tile of a place lies inside its buffer, and
        // an instruction's result never overlaps its operands.
        let read = |place: Place| unsafe { from_raw_parts(address(place, buffers, start).cast_const(), length) };
        // SAFETY: as above.
        let write = |place: Place| unsafe { from_raw_parts_mut(address(place, buffers, start), length) };
        for instruction in code {
            match *instruction {
                Instruction::Fill { value, to } => write(to).fill(value),
                Instruction::Load { input, ref view, to } => {
                    let out = write(to);
                    let from = buffers.inputs[input];
                    view.runs(start, length, |at, offset, step, run| {
                        let out = &mut out[at..at + run];
                        // SAFETY: a view lies inside its buffer.
                        unsafe {
                            match step {
                                0 => out.fill(*from.add(offset)),
                                1 => copy(from.add(offset), out),
                                _ => out.iter_mut().enumerate().for_each(|(i, o)| *o = *from.add(offset + i * step)),
                            }
                        }
                    });
                }
                Instruction::Unary { op, x, to } => op.map(read(x), write(to)),
                Instruction::Binary { op, a, b, to } => op.map(read(a), read(b), write(to)),
                Instruction::Select { condition, a, b, to } => {
                    let operands = read(condition).iter().zip(read(a)).zip(read(b));
                    for (o, ((&c, &a), &b)) in write(to).iter_mut().zip(operands) {
                        *o = if c != 0.0 { a } else { b };
                    }
                }
                Instruction::Convert { from, into, x, to } => {
                    for (o, &x) in write(to).iter_mut().zip(read(x)) {
                        *o = convert(x, from, into);
                    }
                }
                Instruction::Store { x, output, ref view } => {
                    let x = read(x);
                    let to = buffers.outputs[output];
                    view.runs(start, length, |at, offset, step, run| {
                        let x = &x[at..at + run];
                        // SAFETY: a view lies inside its buffer; stores of one program do not overlap.
                        unsafe {
                            match step {
                                1 => copy(x.as_ptr(), from_raw_parts_mut(to.add(offset), run)),
                                _ => x.iter().enumerate().for_each(|(i, &x)| *to.add(offset + i * step) = x),
                            }
                        }
                    });
                }
            }
        }
    }
}

/// A short copy without a call.
///
/// # Safety
/// As many elements as `out` holds can be read at `from`.
#[inline(always)]
unsafe fn copy(from: *const f32, out: &mut [f32]) {
    for (i, o) in out.iter_mut().enumerate() {
        // SAFETY: inside, by the contract.
        *o = unsafe { *from.add(i) };
    }
}

/// One element in another type, truncated towards zero and saturated where it becomes an integer.
/// Integers keep their bits in the arena.
#[inline(always)]
fn convert(x: f32, from: DType, into: DType) -> f32 {
    if from.is_float() {
        return match into {
            DType::F32 => x,
            DType::F16 => half::f16::from_f32(x).to_f32(),
            DType::BF16 => half::bf16::from_f32(x).to_f32(),
            DType::I32 => f32::from_bits(x as i32 as u32),
            DType::U32 => f32::from_bits(x as u32),
        };
    }
    let value = if from == DType::I32 { f64::from(x.to_bits() as i32) } else { f64::from(x.to_bits()) };
    match into {
        DType::F32 | DType::F16 | DType::BF16 => into.round(value) as f32,
        DType::I32 => f32::from_bits(value as i32 as u32),
        DType::U32 => f32::from_bits(value as u32),
    }
}

impl Kernel for Program {
    fn scratch(&self) -> Scratch {
        Scratch { shared: 0, local: self.registers * TILE }
    }

    fn tasks(&self, _phase: usize) -> usize {
        self.count.div_ceil(TASK)
    }

    unsafe fn task(&self, _phase: usize, index: usize, buffers: Buffers<'_>) {
        // SAFETY: passed on to the caller.
        unsafe { self.prepare(buffers) };
        let end = self.count.min((index + 1) * TASK);
        for start in (index * TASK..end).step_by(TILE) {
            // SAFETY: passed on to the caller.
            unsafe { self.tile(buffers, start, TILE.min(end - start)) };
        }
    }
}
