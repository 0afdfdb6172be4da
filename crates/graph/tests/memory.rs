//! The planner keeps live buffers apart, and is never below what must be alive at once.

use yuragi_graph::{
    Builder, DType, Init, Tensor,
    lowering::{Abilities, Halves, Schedule},
    memory::{Lifetime, place},
};
use yuragi_numeric::{philox::Philox, rand_core::Rng};

/// The most bytes alive at one step.
fn least(buffers: &[Lifetime], align: usize) -> usize {
    let steps = buffers.iter().map(|b| b.last + 1).max().unwrap_or(0);
    let alive = |step: usize| {
        let alive = buffers.iter().filter(|b| (b.first..=b.last).contains(&step));
        alive.map(|b| b.size.next_multiple_of(align)).sum()
    };
    (0..steps).map(alive).max().unwrap_or(0)
}

fn check(buffers: &[Lifetime], align: usize) -> (usize, usize) {
    let (offsets, arena) = place(buffers, align);
    assert_eq!(offsets.len(), buffers.len());
    for (i, (a, &at)) in buffers.iter().zip(&offsets).enumerate() {
        assert_eq!(at % align, 0);
        assert!(at + a.size <= arena, "buffer {i} ends beyond the arena");
        for (b, &other) in buffers.iter().zip(&offsets).take(i) {
            let together = a.first <= b.last && b.first <= a.last;
            let overlap = at < other + b.size && other < at + a.size;
            assert!(!(together && overlap), "{a:?} at {at} and {b:?} at {other}");
        }
    }
    let least = least(buffers, align);
    assert!(arena >= least, "an arena of {arena} cannot hold {least}");
    assert_eq!(arena % align, 0);
    (arena, least)
}

#[test]
fn buffers_alive_together_never_overlap() {
    let (mut used, mut needed) = (0, 0);
    for seed in 0..400 {
        let mut rng = Philox::new([seed, 0], 0);
        let mut pick = |n: u32| (rng.next_u32() % n) as usize;
        let count = pick(60);
        let buffers: Vec<Lifetime> = (0..count)
            .map(|_| {
                let first = pick(40);
                let most = [1, 20, 20, 1000][pick(4)];
                let size = pick(most);
                Lifetime { size, first, last: first + pick(12) }
            })
            .collect();
        let (arena, least) = check(&buffers, [1, 4, 16][seed as usize % 3]);
        used += arena;
        needed += least;
    }
    assert!(used * 100 < needed * 101, "the planner wastes more than a hundredth: {used} for {needed}");
}

#[test]
fn a_chain_needs_two_buffers() {
    let chain: Vec<Lifetime> = (0..50).map(|i| Lifetime { size: 64, first: i, last: i + 1 }).collect();
    assert_eq!(place(&chain, 16).1, 128);
}

#[test]
fn nothing_needs_nothing() {
    assert_eq!(place(&[], 16), (vec![], 0));
    assert_eq!(place(&[Lifetime { size: 0, first: 0, last: 3 }], 16), (vec![0], 0));
}

#[test]
fn no_argument_panics() {
    let huge = Lifetime { size: usize::MAX, first: 0, last: 0 };
    place(&[huge, huge], 16);
    assert_eq!(place(&[Lifetime { size: 5, first: 0, last: 0 }], 0).1, 5);
    place(&[Lifetime { size: 3, first: 5, last: 1 }], 4);
}

/// Elements of the arena for a graph of matrices of 32 × 32, where loops may write where they read, and where not.
fn arenas(build: impl for<'g> Fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>) -> [usize; 2] {
    let b = Builder::new();
    let (x, w) = (b.input("x", &[32, 32], DType::F32), b.param("w", &[32, 32], DType::F32, Init::Constant(0.5)));
    let y = build(x, w);
    let graph = b.finish(&[("y", y)]).unwrap();
    [true, false].map(|in_place| {
        let halves = Halves::Widened;
        let abilities =
            Abilities { halves, matrices: false, epilogues: false, in_place, weights: true, prepares: false };
        let schedule = Schedule::new(&graph, abilities).unwrap();
        place(&schedule.lifetimes(|buffer| buffer.count), 16).1 / 1024
    })
}

#[test]
fn a_loop_writes_where_it_reads_what_nobody_needs_after_it() {
    // A product, its hyperbolic tangent, another product: three matrices at most, and two.
    assert_eq!(arenas(|x, w| (x + x.matmul(w)).tanh().matmul(w)), [2, 3]);
    // The product is needed again: nothing is gained.
    assert_eq!(arenas(|x, w| x.matmul(w).tanh().matmul(w) + x.matmul(w)), [3, 3]);
    // Each element is read elsewhere than it is written.
    assert_eq!(arenas(|x, w| (x.transpose() + x.matmul(w).transpose()).tanh().matmul(w)), [3, 3]);
}
