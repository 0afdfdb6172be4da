//! Launches: parameters gathered and put on a stream.

use std::sync::Arc;

use super::error::{Code, Outcome};
use super::function::{self, Function};
use super::handle::Handle;
use super::pointer::{Buffer, In};
use super::run::KernelLaunch;
use super::shape::{Config, Shape};
use super::stream::Stream;
use super::work::Work;

/// The markers in a list of `extra` arguments: `CU_LAUNCH_PARAM_END`, `.._BUFFER_POINTER` and `.._BUFFER_SIZE`.
const END: usize = 0;
const POINTER: usize = 1;
const SIZE: usize = 2;

/// The parameter block, from one pointer for each parameter or from one buffer for all.
fn gather(function: &Function, params: In<Buffer>, extra: In<Buffer>) -> Outcome<Vec<u8>> {
    let layout = function.kernel.params();
    let bytes = layout.last().map_or(0, |last| last.offset + last.bytes);
    if bytes == 0 {
        return Ok(Vec::new());
    }
    let missing = |what: &str| {
        let name = function.kernel.name();
        Code::INVALID_VALUE.because(format_args!("launch of {name}, which has {} parameters: {what}", layout.len()))
    };
    match (params.is_null(), extra.is_null()) {
        (false, false) => Err(missing("both kinds of parameter lists are given")),
        (true, true) => Err(missing("none are given")),
        (false, true) => {
            let mut block = vec![0; bytes];
            for (index, param) in layout.iter().enumerate() {
                let value = params.at(index)?;
                if value.is_null() {
                    return Err(missing(&format!("the pointer of parameter {index} is null")));
                }
                block[param.offset..param.offset + param.bytes].copy_from_slice(&value.read(param.bytes)?);
            }
            Ok(block)
        }
        (true, false) => {
            let (buffer, size) = read_extra(extra)?;
            if size < bytes {
                return Err(missing(&format!("the buffer has {size} bytes, of {bytes}")));
            }
            buffer.read(bytes)
        }
    }
}

/// The buffer and its size in a list of markers and values.
fn read_extra(extra: In<Buffer>) -> Outcome<(Buffer, usize)> {
    let (mut buffer, mut size) = (None, None);
    // No list is longer: there are two kinds of entries and an end.
    for entry in 0..3 {
        let value = |offset: usize| extra.at(2 * entry + offset);
        match value(0)?.address() {
            END => break,
            POINTER => buffer = Some(value(1)?),
            SIZE => size = Some(value(1)?.array::<usize>().get()?),
            _ => return Err(Code::INVALID_VALUE.into()),
        }
    }
    buffer.zip(size).ok_or(Code::INVALID_VALUE.into())
}

/// Puts a launch on a stream.
pub(super) fn launch(function: Handle, shape: Shape, stream: Handle, params: In<Buffer>, extra: In<Buffer>) -> Outcome {
    let stream = Stream::of(stream)?;
    let function = function::find(function)?;
    if !stream.is_of(function.context) {
        return Err(Code::INVALID_HANDLE.because("the function and the stream are of different contexts"));
    }
    let (launch, cooperative) = (shape.check(&function)?, shape.cooperative);
    // Behind anything else it begins when that is over.
    let dependent = shape.dependent && stream.ends_with_launch();
    let params = gather(&function, params, extra)?;
    stream.submit(Work::Launch(Arc::new(KernelLaunch { function, launch, params, cooperative, dependent })))
}

super::boundary::exported! {
    fn cuLaunchKernel(
        function: Handle,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared: u32,
        stream: Handle,
        params: In<Buffer>,
        extra: In<Buffer>,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let shape = Shape { grid, block, shared, cluster: None, cooperative: false, dependent: false };
        launch(function, shape, stream, params, extra)
    }

    fn cuLaunchCooperativeKernel(
        function: Handle,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared: u32,
        stream: Handle,
        params: In<Buffer>,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let shape = Shape { grid, block, shared, cluster: None, cooperative: true, dependent: false };
        launch(function, shape, stream, params, In::NULL)
    }

    fn cuLaunchKernelEx(config: In<Config>, function: Handle, params: In<Buffer>, extra: In<Buffer>) {
        let config = config.get()?;
        launch(function, config.shape()?, config.stream, params, extra)
    }
}
