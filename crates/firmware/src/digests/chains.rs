//! Markov chains on every kind of problem, by every implementation, and restricted Boltzmann machines.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_energy::draw::{Draws, Stream, threshold, units};
use yuragi_energy::dynamics::{
    Blocks, Dynamics, HeatBath, Kawasaki, Metropolis, MetropolisHastings, Order, Rotation, Rule, SingleSite, Skewed,
    SuwaTodo,
};
use yuragi_energy::heapless::{Chain, Machine};
use yuragi_energy::rbm::{Rbm, Units};
use yuragi_energy::replicas::{Betas, BitReplicas, Reads, ScalarReplicas, batch};
use yuragi_energy::{Bonds, Error, Problem, Replicas, Spins};
use yuragi_numeric::fill;

use super::digest::{Digest, Draw, Failure};

pub const ALL: &[(&str, Draw)] = &[
    ("draws", |digest| {
        let draws = Draws::new(0xfeed_beef_0123);
        for i in 0..200 {
            digest.words(draws.planes(i, 2 * i, Stream::Accept, i % 8, i / 3));
            digest.words([draws.word(i, 5, Stream::Choice, i)]);
            let chance = draws.chance(i, 6, Stream::Unit, i, threshold(i as f32 / 200.0));
            digest.bytes(&[chance.into()]);
        }
        let probabilities: [f32; 100] = core::array::from_fn(|i| i as f32 / 99.0);
        let mut drawn = [0; 100];
        units(draws, 3, Stream::Unit, 4, &probabilities, &mut drawn);
        digest.bytes(&drawn);
        Ok(())
    }),
    ("order/checkerboard", |digest| {
        let glass = glass()?;
        digest.words(Order::Checkerboard.visits(&glass));
        Ok(())
    }),
    ("metropolis/sparse", |digest| scalar(digest, &random_graph()?, Metropolis)),
    ("metropolis/dense", |digest| scalar(digest, &dense()?, Metropolis)),
    ("metropolis/random", |digest| scalar(digest, &glass()?, SingleSite::random(Metropolis))),
    ("metropolis/potts", |digest| scalar(digest, &potts()?, Metropolis)),
    ("heat-bath/sparse", |digest| scalar(digest, &random_graph()?, HeatBath)),
    ("heat-bath/dense", |digest| scalar(digest, &dense()?, HeatBath)),
    ("heat-bath/checkerboard", |digest| scalar(digest, &glass()?, SingleSite::checkerboard(HeatBath))),
    ("heat-bath/potts", |digest| scalar(digest, &potts()?, HeatBath)),
    ("suwa-todo/potts", |digest| scalar(digest, &potts()?, SuwaTodo)),
    ("suwa-todo/blocks", |digest| {
        scalar(digest, &random_graph()?, Blocks { kernel: SuwaTodo, order: Order::Sequential, size: 3 })
    }),
    ("skewed/metropolis", |digest| scalar(digest, &random_graph()?, Skewed { kernel: Metropolis })),
    ("skewed/heat-bath", |digest| scalar(digest, &glass()?, Skewed { kernel: HeatBath })),
    ("hastings/kawasaki", |digest| {
        scalar(digest, &glass()?, MetropolisHastings { proposal: Kawasaki, order: Order::Random })
    }),
    ("hastings/rotation", |digest| {
        scalar(digest, &potts()?, MetropolisHastings { proposal: Rotation { up: 0.75 }, order: Order::Sequential })
    }),
    ("multi-spin/integers", |digest| bits(digest, &glass()?, Rule::Metropolis)),
    ("multi-spin/heat-bath", |digest| bits(digest, &glass()?, Rule::HeatBath)),
    ("multi-spin/lanes", |digest| bits(digest, &random_graph()?, Rule::Metropolis)),
    ("multi-spin/dense", |digest| bits(digest, &dense()?, Rule::HeatBath)),
    ("multi-spin/betas", |digest| {
        let glass = glass()?;
        let betas: Vec<f32> = (0..70).map(|i| 0.05 * i as f32).collect();
        let mut replicas = batch(&glass, Metropolis, 70, 6)?;
        (0..20).try_for_each(|sweep| replicas.sweep(sweep, Betas::Each(&betas)))?;
        state(digest, &mut *replicas)
    }),
    ("heapless/chain", |digest| {
        let (starts, columns) = ring(30);
        // The weight of a bond stands in both of its rows.
        let weights: Vec<f32> = (0..30).flat_map(|k| bonds_of(k, 30)).map(|bond| WEIGHTS[bond % 3]).collect();
        let spins = Spins::new(&starts, &columns, &weights, &[])?;
        for rule in [Rule::Metropolis, Rule::HeatBath] {
            let mut values = [0; 30];
            let mut chain = Chain::start(spins, rule, &mut values, 5, 6)?;
            for sweep in 0..30 {
                chain.sweep(sweep, 0.05 * sweep as f32);
                digest.bytes(chain.values());
                digest.doubles(&[chain.energy()]);
            }
        }
        Ok(())
    }),
    ("rbm/spins", |digest| rbm(digest, [Units::Spin, Units::Spin])),
    ("rbm/binary", |digest| rbm(digest, [Units::Binary, Units::Binary])),
    ("rbm/mixed", |digest| rbm(digest, [Units::Binary, Units::Spin])),
    ("rbm/heapless", |digest| {
        let rbm = eighths([Units::Spin, Units::Binary])?;
        let machine = Machine::new([Units::Spin, Units::Binary], &rbm.weights, &rbm.visible_bias, &rbm.hidden_bias)?;
        let (mut v, mut h) = (vec![1.0; rbm.visible()], vec![0.0; rbm.hidden()]);
        for first in 0..20 {
            machine.gibbs(&mut v, &mut h, 2, Draws::new(4), 2 * first, 3)?;
            digest.singles(v.iter().chain(&h));
        }
        Ok(())
    }),
];

const WEIGHTS: [f32; 3] = [1.0, -0.5, 0.75];

/// Rows of a ring: both neighbours of each site.
fn ring(n: u32) -> (Vec<usize>, Vec<u32>) {
    let row = |k: u32| {
        let (a, b) = ((k + n - 1) % n, (k + 1) % n);
        [a.min(b), a.max(b)]
    };
    ((0..=n as usize).map(|k| 2 * k).collect(), (0..n).flat_map(row).collect())
}

/// The bonds (k, k + 1) at a site, in the order of the neighbours.
fn bonds_of(k: usize, n: usize) -> [usize; 2] {
    let before = (k + n - 1) % n;
    if before < (k + 1) % n { [before, k] } else { [k, before] }
}

/// ±J on a periodic square of 6×6: integers.
pub fn glass() -> Result<Problem, Error> {
    let draws = Draws::new(99);
    let sign = |bond: u32| if draws.chance(0, bond, Stream::Start, 0, 1 << 31) { 1.0 } else { -1.0 };
    let bonds: Vec<f64> = (0..72).map(sign).collect();
    Problem::lattice(&[6, 6], Bonds::Each(&bonds), &[])
}

/// Couplings and fields of any size, every pair at even odds.
fn random_graph() -> Result<Problem, Error> {
    let (mut weights, mut fields) = ([0.0; 20 * 20], [0.0; 20]);
    fill::normal([1, 1], 1, 0, &mut weights);
    fill::normal([1, 1], 2, 0, &mut fields);
    let pairs = (0..20).flat_map(|k| (k + 1..20).map(move |l| (k, l)));
    let terms = pairs.map(|(k, l)| (k, l, f64::from(weights[20 * k + l]))).filter(|term| term.2 > 0.0);
    Problem::ising(20, terms.map(|(k, l, weight)| (k, l, weight - 0.7)), &fields.map(f64::from))
}

/// All coupled.
fn dense() -> Result<Problem, Error> {
    random_graph()?.to_dense()
}

/// Four values on a lattice with fields.
fn potts() -> Result<Problem, Error> {
    let mut fields = [0.0; 4 * 15];
    fill::normal([2, 1], 1, 0, &mut fields);
    Problem::potts_lattice(&[3, 5], 4, Bonds::Uniform(0.8), &fields.map(f64::from))
}

/// One read after another.
fn scalar(digest: &mut Digest, problem: &Problem, dynamics: impl Dynamics) -> Result<(), Failure> {
    let mut replicas = ScalarReplicas::new(problem, dynamics, Reads { first: 31, count: 3 }, 8)?;
    for sweep in 120..140 {
        replicas.sweep(sweep, Betas::Same(0.04 * (sweep - 119) as f32))?;
        state(digest, &mut replicas)?;
    }
    Ok(())
}

/// Many reads at once.
fn bits(digest: &mut Digest, problem: &Problem, rule: Rule) -> Result<(), Failure> {
    let chain = yuragi_energy::dynamics::TwoState { rule, order: Order::Sequential };
    let mut replicas = BitReplicas::new(problem, chain, Reads { first: 0, count: 300 }, 8)?;
    for sweep in 126..132 {
        replicas.sweep(sweep, Betas::Same(0.2 * (sweep - 125) as f32))?;
    }
    state(digest, &mut replicas)
}

/// Configurations and energies, the kept ones too.
fn state(digest: &mut Digest, replicas: &mut dyn Replicas) -> Result<(), Failure> {
    digest.bytes(&replicas.configurations()?);
    let mut energies = vec![0.0; replicas.len()];
    replicas.energies(&mut energies)?;
    digest.doubles(&energies);
    replicas.kept_energies(&mut energies)?;
    digest.doubles(&energies);
    Ok(())
}

/// A machine whose weights are eighths, so that every order of sums gives the same fields.
fn eighths([visible, hidden]: [Units; 2]) -> Result<Rbm, Error> {
    let mut rbm = Rbm::new(20, 70, visible, hidden)?;
    rbm.randomize(4.0, 3);
    let eighth = |x: &mut f32| *x = *x as i32 as f32 / 8.0;
    rbm.weights.iter_mut().for_each(eighth);
    fill::uniform([5, 5], 1, 0, &mut rbm.visible_bias);
    rbm.visible_bias.iter_mut().for_each(|x| *x = (*x * 8.0) as i32 as f32 / 8.0);
    Ok(rbm)
}

fn rbm(digest: &mut Digest, units: [Units; 2]) -> Result<(), Failure> {
    let rbm = eighths(units)?;
    let low = if units[0] == Units::Spin { -1.0 } else { 0.0 };
    let mut v: Vec<f32> = (0..40 * rbm.visible()).map(|i| if i % 3 == 0 { 1.0 } else { low }).collect();
    for first in 0..8 {
        v = rbm.gibbs(&v, 3, Draws::new(17), 3 * first)?;
        digest.singles(&v);
        digest.singles(&rbm.sample_hidden(&v, Draws::new(18), first)?);
    }
    Ok(())
}
