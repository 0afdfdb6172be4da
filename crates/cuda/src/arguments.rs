//! From a launch's arguments to what its kernel is given.

use crate::{
    CudaError,
    device::{Parameters, description},
    launch::{Address, Argument, Code, Launch},
};

/// What a kernel is given, with these addresses, and that of counters.
pub(crate) fn parameters(launch: &Launch, at: &dyn Fn(Address) -> u64, counters: u64) -> Result<Parameters, CudaError> {
    let (mut parameters, mut table) = (Parameters::default(), Vec::new());
    for argument in &launch.arguments {
        let word = match *argument {
            Argument::Pointer(address) => at(address),
            Argument::Null => 0,
            Argument::Counters(_) => counters,
            Argument::U32(value) => value.into(),
            Argument::U64(value) => value,
            Argument::F32(value) => value.to_bits().into(),
            Argument::Tensor(ref tensor) => {
                parameters.add(&description(tensor, at(tensor.at()))?);
                continue;
            }
        };
        match launch.code {
            Code::Table => table.push(word),
            Code::Shipped(_) | Code::Emitted | Code::Spliced(_) => parameters.add(&[word]),
        }
    }
    if launch.code == Code::Table {
        parameters.add(&table);
    }
    Ok(parameters)
}
