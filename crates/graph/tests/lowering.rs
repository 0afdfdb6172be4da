//! What kernels store for the loops after them.

use yuragi_graph::{
    Builder, DType, Init,
    lowering::{Abilities, Halves, Home, Kernel, Schedule, Step},
};

const ABILITIES: Abilities = Abilities {
    halves: Halves::Packed,
    matrices: true,
    epilogues: true,
    in_place: false,
    weights: false,
    prepares: true,
};

#[test]
fn zeros_around_a_product_are_written_before_it() {
    let b = Builder::new();
    let x = b.input("x", &[70, 24], DType::F32);
    let y = x.matmul(b.param("w", &[24, 20], DType::F32, Init::Normal(1.0)));
    let padded = y.pad(1, 4, 3);
    let both = y.concat(&[x], 1);
    let graph = b.finish(&[("y", y), ("padded", padded), ("both", both)]).unwrap();
    let schedule = Schedule::new(&graph, ABILITIES).unwrap();
    for &(buffer, _) in &schedule.outputs {
        let whole = |step: &Step| match step {
            Step::Chain(chain) => chain.count == schedule.buffers[buffer].count,
            Step::Kernel(kernel) => kernel.epilogue.is_none(),
            Step::Decode { .. } => true,
        };
        let mut writers = Vec::new();
        for step in &schedule.steps {
            step.homes(|home, written| {
                writers.extend((written && home == Home::Buffer(buffer)).then_some(whole(step)))
            });
        }
        assert!(!writers.is_empty() && !writers[1..].contains(&true), "{buffer}: {writers:?} of {:#?}", schedule.steps);
    }
    // The concatenation cost no loop for the product's part.
    let loops = schedule.steps.iter().filter(|step| matches!(step, Step::Chain(_))).count();
    assert_eq!(loops, 3, "zeros, what they are around, and the concatenation's other part");
}

#[test]
fn a_product_stores_to_so_many_places_itself() {
    let b = Builder::new();
    let x = b.input("x", &[70, 24], DType::F32);
    let y = x.matmul(b.param("w", &[24, 20], DType::F32, Init::Normal(1.0)));
    let others: Vec<_> =
        (1..=50).map(|columns| b.input(&format!("x{columns}"), &[70, 4 * columns], DType::F32)).collect();
    let names: Vec<String> = (0..others.len()).map(|i| format!("both {i}")).collect();
    let outputs: Vec<_> = names.iter().zip(&others).map(|(name, &x)| (name.as_str(), y.concat(&[x], 1))).collect();
    let schedule = Schedule::new(&b.finish(&outputs).unwrap(), ABILITIES).unwrap();
    let stores = schedule.steps.iter().filter_map(|step| match step {
        Step::Kernel(Kernel { epilogue: Some(epilogue), .. }) => Some(epilogue.chain.outputs.len()),
        _ => None,
    });
    assert_eq!(stores.collect::<Vec<_>>(), [32]);
    // Loops copy the product, which is one of those, to the other places.
    let loops = schedule.steps.iter().filter(|step| matches!(step, Step::Chain(_))).count();
    assert_eq!(loops, 50 + (50 - 31));
}
