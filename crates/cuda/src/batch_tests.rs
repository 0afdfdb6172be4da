use std::collections::HashMap;

use yuragi_emulator::{Arguments, Device, Launch, Properties};
use yuragi_graph::{Builder, DType, Graph, Init, lowering::Abilities};

use super::*;
use crate::{
    launch::{self, Argument, Code},
    ptx::Module,
};

/// One step against the gradient of parameters of all sizes, its length clipped: a product a parameter, sums of
/// squares put together, an update a parameter.
fn training(count: usize) -> Graph {
    let b = Builder::new();
    let x = b.input("x", &[8], DType::F32);
    let params: Vec<_> =
        (0..count).map(|i| b.param(&format!("p{i}"), &[1 + i % 3, 8], DType::F32, Init::Constant(0.0))).collect();
    let loss = params.iter().map(|&p| (p * x.reshape(&[1, 8]).broadcast(&p.shape()) - 1.0).silu().sum_all());
    let loss = loss.reduce(|a, b| a + b).unwrap();
    let gradients = b.grad(loss, &params);
    let squares: Vec<_> = gradients.iter().map(|&g| (g * g).sum_all().reshape(&[1])).collect();
    let norm = squares[0].concat(&squares[1..], 0).sum_all().sqrt();
    for (&p, g) in params.iter().zip(gradients) {
        b.update(p, p - g / norm * 0.1);
    }
    b.finish(&[("loss", loss), ("norm", norm)]).unwrap()
}

/// Every loop of a schedule.
fn loops(schedule: &Schedule) -> Vec<Option<Loop>> {
    let place = |home: Home| match home {
        Home::Buffer(number) => launch::Home::Arena(number),
        Home::Param(number) => launch::Home::Param(number),
        Home::Literal(number) => launch::Home::Literal(number),
    };
    let of = |step: &Step| match step {
        Step::Chain(chain) => Some(Loop::new(chain, place)),
        Step::Kernel(_) | Step::Decode { .. } => None,
    };
    schedule.steps.iter().map(of).collect()
}

/// Runs groups of loops in the emulator, and gives the bytes of every buffer and parameter.
fn run(graph: &Graph, schedule: &Schedule, order: &[Group]) -> HashMap<launch::Home, Vec<u8>> {
    let loops = loops(schedule);
    let mut module = Module::new();
    let launches: Vec<launch::Launches> = order
        .iter()
        .map(|group| module.add(&group.iter().map(|&step| loops[step].as_ref().unwrap()).collect::<Vec<&Loop>>()))
        .collect();
    let device = Device::new(Properties::default());
    let loaded = device.load(&module.to_string()).unwrap_or_else(|error| panic!("{error}\n{module}"));
    let buffers = schedule.buffers.iter().enumerate().map(|(n, b)| (launch::Home::Arena(n), b.count));
    let params = graph.params().iter().enumerate().map(|(n, p)| (launch::Home::Param(n), p.shape.count()));
    let memory: HashMap<launch::Home, (u64, usize)> = buffers
        .chain(params)
        .map(|(home, count)| {
            let bytes: Vec<u8> = (0..count).flat_map(|i| ((i * 7 % 11) as f32 * 0.3 - 1.0).to_le_bytes()).collect();
            let address = device.allocate(bytes.len().max(1) as u64).unwrap();
            device.write(address, &bytes).unwrap();
            (home, (address, bytes.len()))
        })
        .collect();
    for launches in &launches {
        let scratch = device.allocate(launches.scratch.max(1) as u64).unwrap();
        for launch in &launches.launches {
            let arguments = launch.arguments.iter().fold(Arguments::new(), |list, argument| match argument {
                Argument::Pointer(address) => match address.home {
                    launch::Home::Scratch(at) => list.u64(scratch + (at + address.offset) as u64),
                    home => list.u64(memory[&home].0 + address.offset as u64),
                },
                Argument::U32(x) if launch.code == Code::Table => list.u64((*x).into()),
                Argument::U32(x) => list.u32(*x),
                other => panic!("{other:?}"),
            });
            let extents = Launch { grid: launch.grid, ..Launch::linear(1, launch.block[0]) };
            let report = device.launch(&loaded.kernel(&launch.function).unwrap(), &extents, arguments.bytes()).unwrap();
            assert!(report.findings.is_empty(), "{}\n{module}", report.findings[0]);
        }
    }
    let read = |(home, (address, bytes)): (launch::Home, (u64, usize))| {
        let mut value = vec![0; bytes];
        device.read(address, &mut value).unwrap();
        (home, value)
    };
    memory.into_iter().map(read).collect()
}

/// Those of the lowering, but everything is among the steps.
const ABILITIES: Abilities = Abilities { prepares: false, ..crate::lower::ABILITIES };

#[test]
fn independent_loops_run_at_once_and_change_nothing() {
    let graph = training(40);
    let schedule = Schedule::new(&graph, ABILITIES).unwrap();
    let one_by_one: Vec<Group> = (0..schedule.steps.len()).map(|step| vec![step]).collect();
    let together = grouped(&schedule, &loops(&schedule));
    assert!(together.len() * 3 < one_by_one.len(), "{} groups of {} steps", together.len(), one_by_one.len());
    let mut steps = together.concat();
    steps.sort_unstable();
    assert_eq!(steps, one_by_one.concat());
    assert_eq!(run(&graph, &schedule, &together), run(&graph, &schedule, &one_by_one));
}

#[test]
fn buffers_live_from_their_first_use_to_their_last() {
    let graph = training(7);
    let schedule = Schedule::new(&graph, ABILITIES).unwrap();
    let one_by_one: Vec<Group> = (0..schedule.steps.len()).map(|step| vec![step]).collect();
    let known = |b: &yuragi_graph::lowering::Buffer| (b.first < usize::MAX).then_some((b.first, b.last));
    assert_eq!(lives(&schedule, &one_by_one), schedule.buffers.iter().map(known).collect::<Vec<_>>());
}
