//! A plan says what memory it needs, takes no more, and allocates nothing while it runs.
//!
//! One test, for the allocator counts what every thread of the process does.

use yuragi_cpu::Cpu;
use yuragi_graph::{Backend, Params, Plan, Slice, SliceMut};
use yuragi_models::{Settings, latent_diffusion};
use yuragi_tests::allocator::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

#[test]
fn a_training_step_allocates_nothing_and_takes_the_memory_it_said() {
    let settings = Settings::default();
    let batch = 2;
    let graph = latent_diffusion::diffusion_training(&settings, batch).unwrap();
    let cpu = Cpu::with_threads(2);
    let mut params = Params::new();
    params.initialise(graph.params(), 1);
    let plan = cpu.compile(&graph).unwrap();
    let pictures = latent_diffusion::autoencoder_training(&settings, batch).unwrap();
    let arena = |cpu: &Cpu| cpu.compile(&pictures).unwrap().memory().arena;
    let (again, kept) = (arena(&cpu), arena(&cpu.clone().recompute(false)));
    assert!(3 * again < 2 * kept, "{again} of {kept} bytes where cheap values are computed again");
    let mut store = cpu.upload(params).unwrap();

    let before = ALLOCATOR.live();
    let mut state = plan.state(&store).unwrap();
    let taken = ALLOCATOR.live() - before;
    let said = plan.memory().arena;
    assert!(taken >= said, "the state takes {taken} bytes, the plan said {said}");
    // Beside the arena a state holds a few pointers for each parameter and operand.
    let pointers = 64 * (graph.params().len() + 64);
    assert!(taken <= said + pointers, "the state takes {taken} bytes, the plan said {said}");

    let latent = vec![0.1; batch * settings.latent_len()];
    let ids = vec![3; batch * settings.text.length];
    let mut outputs = [[0.0f32; 1]; 4];
    let mut step = |number: u32| {
        let key = [number, 0];
        let hyper = latent_diffusion::OPTIMIZER.hyper(number.into(), 1e-3, 0.99);
        let inputs = [Slice::F32(&latent), Slice::I32(&ids), Slice::U32(&key), Slice::F32(&hyper)];
        let [a, b, c, d] = &mut outputs;
        let mut views = [SliceMut::F32(a), SliceMut::F32(b), SliceMut::F32(c), SliceMut::F32(d)];
        plan.update(&mut state, &mut store, &inputs, &mut views).unwrap();
    };
    step(0);
    let calls = ALLOCATOR.calls();
    ALLOCATOR.forget_peak();
    let live = ALLOCATOR.live();
    (1..4).for_each(&mut step);
    assert_eq!(ALLOCATOR.calls() - calls, 0, "allocations during three steps");
    assert_eq!(ALLOCATOR.peak(), live);
    assert!(outputs[0][0].is_finite());
}
