//! Times of the kernels among which plans pick.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use yuragi_graph::{DType, RunError};

use crate::{
    Cuda, CudaError,
    arguments::parameters,
    device::{Block, Pinned, Recording},
    kernels::{self, picks::Picked, product::Pick},
    launch::{ALIGNMENT, Address, Argument, Code, Home, Launches},
};

/// For how long a way is repeated.
const REPEATED: Duration = Duration::from_millis(2);
/// How often at most.
const MOST: usize = 64;
/// How many times so: the least is its time.
const ROUNDS: usize = 3;

impl Cuda {
    /// The seconds that each sensible way to compute this takes on the device, over operands of its own that lie in the cache
    /// as far as they fit, the fastest first.
    ///
    /// # Errors
    /// What the device reports, such as that its memory is full.
    pub fn measure(&self, picked: &Picked) -> Result<Vec<(Pick, f64)>, RunError> {
        let (device, picked) = (self.device(), picked.alone());
        let ways = picked.sensible(self.machine()).map_err(|error| RunError::Device(error.to_string()))?;
        let mut operands = Vec::new();
        for bytes in picked.bytes() {
            let mut block = Block::new(device, bytes + ALIGNMENT, "operands")?;
            block.write(&noise(picked.dtype(), block.bytes()))?;
            operands.push(block);
        }
        let most = |of: &dyn Fn(&Launches) -> usize| ways.iter().map(|(_, launches)| of(launches)).max().unwrap_or(0);
        let scratch = Block::new(device, most(&|launches| launches.scratch), "shares of sums")?;
        let mut counters = Block::new(device, size_of::<u32>() * most(&counted), "counters")?;
        counters.write(&vec![0; counters.bytes()])?;
        let at = |address: Address| {
            let start = match address.home {
                Home::Arena(operand) => operands[operand].pointer(),
                Home::Scratch(at) => scratch.pointer() + at as u64,
                Home::Param(_) | Home::Literal(_) => 0,
            };
            start + address.offset as u64
        };
        let mut measured = Vec::with_capacity(ways.len());
        for (pick, launches) in ways {
            measured.push((pick, self.seconds(&launches, &at, counters.pointer())?));
        }
        measured.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        Ok(measured)
    }

    /// The least seconds that these launches take, of several rounds.
    fn seconds(&self, launches: &Launches, at: &dyn Fn(Address) -> u64, counters: u64) -> Result<f64, CudaError> {
        let (device, mut modules) = (self.device(), HashMap::new());
        let mut staging = Pinned::new(device, 0)?;
        for launch in &launches.launches {
            if let Code::Shipped(stem) = launch.code
                && !modules.contains_key(stem)
            {
                modules.insert(stem, device.module(kernels::ptx(stem), self.dependent)?);
            }
        }
        let recorded = |times: usize| -> Result<Recording, CudaError> {
            let mut recording = Recording::default();
            for launch in (0..times).flat_map(|_| &launches.launches) {
                let Code::Shipped(stem) = launch.code else { continue };
                let function = device.function(&modules[stem], &launch.function, launch.shared)?;
                let parameters = parameters(launch, at, counters)?;
                recording.launch(function, launch.grid, launch.block, launch.shared, parameters);
            }
            Ok(recording)
        };
        let mut one = recorded(1)?;
        let mut once = || {
            let start = Instant::now();
            one.run(device, &mut staging, 0..launches.launches.len())?;
            device.synchronize()?;
            Ok::<f64, CudaError>(start.elapsed().as_secs_f64())
        };
        // The first loads the kernel.
        once()?;
        let once = once()?;
        let times = ((REPEATED.as_secs_f64() / once) as usize).clamp(1, MOST);
        // As plans run: as one graph.
        let Some(mut replay) = recorded(times)?.captured(device, &mut staging)? else { return Ok(once) };
        let round = |least: f64, _| {
            let start = Instant::now();
            replay.run()?;
            device.synchronize()?;
            Ok(least.min(start.elapsed().as_secs_f64() / times as f64))
        };
        (0..ROUNDS).try_fold(once, round)
    }
}

/// The most counters of a launch.
fn counted(launches: &Launches) -> usize {
    let of = |argument: &Argument| if let Argument::Counters(count) = argument { *count } else { 0 };
    launches.launches.iter().flat_map(|launch| &launch.arguments).map(of).max().unwrap_or(0)
}

/// Numbers of either sign from 1/2 to 1, of this type.
fn noise(dtype: DType, bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut word = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let bits = state ^ state >> 15;
        let word = match dtype {
            DType::F16 => bits & 0x83ff_83ff | 0x3800_3800,
            DType::BF16 => bits & 0x807f_807f | 0x3f00_3f00,
            DType::F32 | DType::I32 | DType::U32 => bits & 0x807f_ffff | 0x3f00_0000,
        };
        word.to_le_bytes()
    };
    let mut all: Vec<u8> = (0..bytes.div_ceil(4)).flat_map(|_| word()).collect();
    all.truncate(bytes);
    all
}
