//! Draws points of a spiral by a diffusion model, in memory that is known before it runs.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::vec;

use yuragi_cpu::Cpu;
use yuragi_firmware::board::Console;
use yuragi_firmware::program;
use yuragi_firmware::spiral::{network, sampler, square_distance, weights};
use yuragi_graph::{Backend, Plan, Slice, SliceMut};

/// Bytes of the heap: with the stack, within the 256 kB of many a Cortex-M4.
const HEAP_BYTES: usize = 208 << 10;
/// Points that are drawn.
const POINTS: usize = 192;
/// Rows and columns of the plot, which reaches from −2 to 2.
const ROWS: usize = 20;
const COLUMNS: usize = 40;
/// A point is on the spiral within this distance, and so many per cent of them must be. Turns are 0.43 apart.
const NEAR: f32 = 0.1;
const MOST: usize = 90;

program!(run, heap: HEAP = HEAP_BYTES);

fn run(console: &mut Console) -> Result<(), &'static str> {
    let graph = network(POINTS).ok_or("the network is no graph")?;
    let backend = Cpu::with_threads(1);
    let plan = backend.compile(&graph).map_err(|_| "the network does not compile")?;
    let memory = plan.memory();
    console.text("plan: ").number(memory.arena as i64).text(" bytes of values, ");
    console.number(memory.literals as i64).text(" of constants, ");
    console.number(memory.params as i64).text(" of weights\n");
    let params = weights(&graph).ok_or("the weights are those of another network")?;
    let store = backend.upload(params).map_err(|_| "the weights do not load")?;
    let mut state = plan.state(&store).map_err(|_| "the plan has no state")?;
    drop(graph);
    let mut sampler = sampler(POINTS).map_err(|_| "the sampler has no steps")?;
    let (mut x, mut t, mut flow) = (vec![0.0; 2 * POINTS], vec![0.0; POINTS], vec![0.0; 2 * POINTS]);
    console.text("heap: ").number(HEAP.peak() as i64).text(" bytes at most, of ").number(HEAP_BYTES as i64).text("\n");
    HEAP.close();

    let mut noise = [7, 0];
    sampler.start(&mut x, &mut noise).map_err(|_| "the sampler does not start")?;
    while let Some(point) = sampler.request() {
        t.fill(point.time as f32);
        let inputs = [Slice::F32(&x), Slice::F32(&t)];
        plan.run(&mut state, &store, &inputs, &mut [SliceMut::F32(&mut flow)]).map_err(|_| "a run failed")?;
        sampler.advance(&mut x, &flow, &mut noise).map_err(|_| "a step failed")?;
    }

    let (points, _) = x.as_chunks::<2>();
    let mut plot = [[false; COLUMNS]; ROWS];
    for &[x, y] in points {
        let (row, column) = ((2.0 - y) * (ROWS as f32 / 4.0), (x + 2.0) * (COLUMNS as f32 / 4.0));
        if let Some(dot) = plot.get_mut(row as usize).and_then(|row| row.get_mut(column as usize)) {
            *dot = true;
        }
    }
    for row in plot {
        row.iter().for_each(|&dot| {
            console.text(if dot { "o" } else { " " });
        });
        console.text("\n");
    }
    let near = points.iter().filter(|point| square_distance(point) < NEAR * NEAR).count();
    console.number(near as i64).text(" of ").number(POINTS as i64).text(" points are on the spiral; ");
    console.number(HEAP.refused() as i64).text(" allocations while it ran\n").stack();
    if 100 * near < MOST * POINTS {
        return Err("too few points are on the spiral");
    }
    if HEAP.refused() == 0 { Ok(()) } else { Err("something was allocated while it ran") }
}
