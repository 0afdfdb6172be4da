use alloc::{vec, vec::Vec};

use super::{Chain, End, Instruction, Source, Store, Value, View, schedule::Scheduler};
use crate::{DType, NodeId, Op};

/// Writes one chain.
pub(super) struct Coder<'s, 'a> {
    pub scheduler: &'s mut Scheduler<'a>,
    /// The loop whose inlined nodes are computed.
    group: Option<usize>,
    /// Values that the chain has already.
    known: Vec<(Key, Value)>,
    inputs: Vec<Source>,
    outputs: Vec<Source>,
    code: Vec<Instruction>,
}

#[derive(PartialEq)]
enum Key {
    Node(NodeId),
    Number(u32),
    Walk(NodeId, View),
}

impl<'s, 'a> Coder<'s, 'a> {
    pub fn new(scheduler: &'s mut Scheduler<'a>, group: Option<usize>) -> Coder<'s, 'a> {
        Coder { scheduler, group, known: vec![], inputs: vec![], outputs: vec![], code: vec![] }
    }

    fn known(&self, key: &Key) -> Option<Value> {
        self.known.iter().find(|(k, _)| k == key).map(|(_, value)| *value)
    }

    fn push(&mut self, instruction: Instruction) -> Value {
        self.code.push(instruction);
        Value(self.code.len() - 1)
    }

    fn push_keyed(&mut self, key: Key, instruction: Instruction) -> Value {
        self.known(&key).unwrap_or_else(|| {
            let value = self.push(instruction);
            self.known.push((key, value));
            value
        })
    }

    /// The value of a node, computed if need be.
    pub fn value(&mut self, id: NodeId) -> Value {
        // Operands before users, without recursion: chains may be long.
        let graph = self.scheduler.graph;
        let fusion = self.scheduler.fusion;
        let root = fusion.stripped(id);
        let mut open = vec![root];
        while let Some(&id) = open.last() {
            if self.known(&Key::Node(id)).is_some() {
                open.pop();
                continue;
            }
            let node = graph.node(id);
            if !self.group.is_some_and(|group| fusion.inlined[id.index()].contains(&group)) {
                let value = self.leaf(id);
                self.known.push((Key::Node(id), value));
                continue;
            }
            let operands: Vec<NodeId> = node.inputs.iter().map(|&i| fusion.stripped(i)).collect();
            let missing: Vec<NodeId> =
                operands.iter().copied().filter(|&i| self.known(&Key::Node(i)).is_none()).collect();
            if missing.is_empty() {
                let values: Vec<Value> = operands.iter().filter_map(|&i| self.known(&Key::Node(i))).collect();
                let value = self.compute(id, &values);
                self.known.push((Key::Node(id), value));
            } else {
                open.extend(missing);
            }
        }
        self.known(&Key::Node(root)).unwrap_or(Value(0))
    }

    /// A copied value, whole.
    pub fn copied(&mut self, number: usize, count: usize) -> Value {
        let source = self.scheduler.copied(number);
        let input = self.input(source);
        self.push(Instruction::Load { input, view: View::run(count) })
    }

    fn compute(&mut self, id: NodeId, x: &[Value]) -> Value {
        let graph = self.scheduler.graph;
        let node = graph.node(id);
        let from = graph.node(node.inputs[0]).dtype;
        let exact = match node.op {
            Op::Unary(op) => Instruction::Unary(op, x[0]),
            Op::Binary(op) => Instruction::Binary(op, x[0], x[1]),
            Op::Select => Instruction::Select(x[0], x[1], x[2]),
            _ => return self.push(Instruction::Convert { from, into: node.dtype, x: x[0] }),
        };
        let exact = self.push(exact);
        if node.dtype == DType::F32 {
            return exact;
        }
        self.push(Instruction::Convert { from: DType::F32, into: node.dtype, x: exact })
    }

    /// The same number everywhere.
    pub fn number(&mut self, value: f32) -> Value {
        self.push_keyed(Key::Number(value.to_bits()), Instruction::Number(value))
    }

    /// A value that the chain reads: a number, or a walk through an input.
    fn leaf(&mut self, id: NodeId) -> Value {
        let graph = self.scheduler.graph;
        let (base, view) = self.scheduler.fusion.trace(id);
        let node = graph.node(base);
        if let Op::Fill(value) = node.op {
            return self.number(stored(value.get(), node.dtype));
        }
        let home = self.scheduler.home(base);
        let input = self.input(Source { home, dtype: node.dtype });
        let view = view.collapsed();
        self.push_keyed(Key::Walk(base, view.clone()), Instruction::Load { input, view })
    }

    fn input(&mut self, source: Source) -> usize {
        self.inputs.iter().position(|i| *i == source).unwrap_or_else(|| {
            self.inputs.push(source);
            self.inputs.len() - 1
        })
    }

    /// A value that goes to memory.
    pub fn store(&mut self, value: Value, output: Source, view: View) -> Store {
        self.outputs.push(output);
        Store { value, output: self.outputs.len() - 1, view }
    }

    /// What the code is, for profiles: elements moved, elements of another type, or a computation.
    pub fn kind(&self) -> &'static str {
        let all = |moves: fn(&Instruction) -> bool| self.code.iter().all(moves);
        match () {
            () if all(|one| matches!(one, Instruction::Load { .. } | Instruction::Number(_))) => "copy",
            () if all(|one| {
                !matches!(one, Instruction::Unary(..) | Instruction::Binary(..) | Instruction::Select(..))
            }) =>
            {
                "cast"
            }
            () => "loop",
        }
    }

    /// The chain's reduction fills the buffer of this node.
    pub fn fold_into(&mut self, id: NodeId) {
        let home = self.scheduler.home(id);
        self.outputs.push(Source { home, dtype: self.scheduler.graph.node(id).dtype });
    }

    pub fn finish(self, name: &'static str, count: usize, end: End) -> Chain {
        Chain { name, count, inputs: self.inputs, outputs: self.outputs, code: self.code, end }
    }
}

/// A number as it stands in a register.
fn stored(value: f32, dtype: DType) -> f32 {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => dtype.round(f64::from(value)) as f32,
        DType::I32 => f32::from_bits(value as i32 as u32),
        DType::U32 => f32::from_bits(value as u32),
    }
}
