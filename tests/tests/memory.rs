//! A plan says what memory it needs, takes no more, and allocates nothing while it runs.
//!
//! One test, for the allocator counts what every thread of the process does but the harness's.

use std::sync::Arc;

use yuragi_cpu::{Cpu, Executor};
use yuragi_graph::{Backend, Params, Plan, Slice, SliceMut};
use yuragi_models::{
    Settings,
    generator::{Generator, Request, Sampling},
    latent_diffusion,
    tokenizer::Tokenizer,
};
use yuragi_tests::allocator::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

#[test]
fn what_runs_allocates_nothing_and_takes_the_memory_it_said() {
    ALLOCATOR.count_here();
    a_training_step();
    two_pictures_on_a_callers_threads();
}

/// A pool that makes its calls from the last to the first.
struct Backwards;

impl Executor for Backwards {
    fn threads(&self) -> usize {
        3
    }

    fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..calls).rev().for_each(work);
    }
}

/// As an engine draws them: at once, from one model, and one is given up for another.
fn two_pictures_on_a_callers_threads() {
    let settings = Settings::default();
    let tokenizer = Tokenizer::train(["a red cat", "a blue fish"], 290).unwrap();
    let cpu = Cpu::on(Arc::new(Backwards));
    let mut params = Params::new();
    for part in [latent_diffusion::encode_text, latent_diffusion::denoise, latent_diffusion::decode] {
        params.initialise(part(&settings, 1).unwrap().params(), 1);
    }
    let generator = Generator::new(&cpu, params, settings, tokenizer, 1).unwrap();
    let request = |prompt, seed| [Request { prompt, seed, ..Request::default() }];
    let sampling = Sampling { steps: 2, ..Sampling::default() };
    let start = |prompt| generator.start(&request(prompt, 7), &sampling).unwrap();
    let (mut cat, mut fish) = (start("a red cat"), start("a blue fish"));

    let calls = ALLOCATOR.calls();
    for _ in 0..60 {
        cat.advance(1).unwrap();
        fish.advance(1).unwrap();
    }
    assert_eq!(ALLOCATOR.calls() - calls, 0, "allocations while two pictures are under way");
    let live = ALLOCATOR.live();
    ALLOCATOR.forget_peak();
    fish.restart(&request("a red fish", 8), &sampling).unwrap();
    let more = ALLOCATOR.peak() - live;
    assert!(
        10 * more < generator.memory(),
        "another picture took {more} bytes beside an arena of {}",
        generator.memory()
    );
    assert!(ALLOCATOR.live() <= live + 1024, "{} bytes instead of {live}", ALLOCATOR.live());
    let calls = ALLOCATOR.calls();
    assert!(cat.advance(usize::MAX).unwrap().is_all() && fish.advance(usize::MAX).unwrap().is_all());
    assert_eq!(ALLOCATOR.calls() - calls, 0, "allocations until two pictures are there");
    let fresh = {
        let mut job = generator.start(&request("a red fish", 8), &sampling).unwrap();
        job.advance(usize::MAX).unwrap();
        job.rgb8(0)
    };
    assert!(fresh.is_some() && fish.rgb8(0) == fresh, "a picture that was begun in old memory is another one");
}

fn a_training_step() {
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
