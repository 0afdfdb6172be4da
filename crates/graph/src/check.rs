//! What every backend checks before it runs: inputs, outputs and parameters against the graph.

use crate::{DType, Graph, Op, ParamSpec, Params, RunError, Shape, Slice, View, ViewMut};

impl Graph {
    /// Whether these inputs are the graph's: their number, lengths and element types, and indices within their tables.
    pub fn check_inputs(&self, inputs: &[View<'_>]) -> Result<(), RunError> {
        let specs = self.inputs();
        if inputs.len() != specs.len() {
            return Err(RunError::Count { what: "inputs", want: specs.len(), have: inputs.len() });
        }
        for (spec, &view) in specs.iter().zip(inputs) {
            check_operand(&spec.name, (spec.shape.count(), spec.dtype), view)?;
        }
        for node in self.nodes() {
            let (place, rows) = match node.op {
                Op::Gather => (1, self.node(node.inputs[0]).shape[0]),
                Op::ScatterAdd(rows) => (0, rows),
                _ => continue,
            };
            if let Op::Input(input) = self.node(node.inputs[place]).op
                && let Slice::I32(values) = inputs[input as usize]
                && let Some(&index) = values.iter().find(|&&v| usize::try_from(v).map_or(true, |v| v >= rows))
            {
                return Err(RunError::Index { index: index.into(), rows });
            }
        }
        Ok(())
    }

    /// Whether these outputs are the graph's: their number, lengths and element types.
    pub fn check_outputs(&self, outputs: &[ViewMut<'_>]) -> Result<(), RunError> {
        let specs = self.outputs();
        if outputs.len() != specs.len() {
            return Err(RunError::Count { what: "outputs", want: specs.len(), have: outputs.len() });
        }
        outputs.iter().enumerate().try_for_each(|(output, view)| self.check_output(output, view))
    }

    /// Whether this is one of the graph's outputs: its place, length and element type.
    pub fn check_output(&self, output: usize, view: &ViewMut<'_>) -> Result<(), RunError> {
        let want = self.outputs().len();
        let Some(spec) = self.outputs().get(output) else {
            return Err(RunError::Count { what: "outputs", want, have: output + 1 });
        };
        let node = self.node(spec.node);
        check_operand(&spec.name, (node.shape.count(), node.dtype), view.as_slice())
    }
}

/// Half-precision values travel as single precision.
fn check_operand(name: &str, want: (usize, DType), have: Slice<'_>) -> Result<(), RunError> {
    let same = have.dtype() == want.1 || (have.dtype() == DType::F32 && want.1.is_float());
    if have.len() == want.0 && same {
        return Ok(());
    }
    Err(RunError::Operand { name: name.into(), want, have: (have.len(), have.dtype()) })
}

impl ParamSpec {
    /// Whether a stored tensor of this shape and element type is what the graph declares.
    pub fn check(&self, have: (Shape, DType)) -> Result<(), RunError> {
        let want = (self.shape, self.dtype);
        if want == have {
            return Ok(());
        }
        Err(RunError::ParamMismatch { name: self.name.clone(), want: want.into(), have: have.into() })
    }

    /// The parameter's place in a store, whose shape and element type must be the declared ones.
    pub fn place_in(&self, store: &Params) -> Result<usize, RunError> {
        let missing = || RunError::MissingParam(self.name.clone());
        let place = store.place(&self.name).ok_or_else(missing)?;
        let tensor = store.at(place).ok_or_else(missing)?;
        self.check((tensor.shape(), tensor.dtype()))?;
        Ok(place)
    }
}
