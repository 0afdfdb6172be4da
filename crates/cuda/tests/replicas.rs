//! Reads on a device, executed in the emulator with every access checked, are those of the processor, bit for bit.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fs,
    path::Path,
};

use yuragi_cuda::replicas::{Argument, CudaReplicas, Executor, Kernel};
use yuragi_emulator::{Arguments, Device, Launch, Module, Properties, counters::Counters};
use yuragi_energy::{
    Bonds, Error, Problem,
    dynamics::{Dynamics, HeatBath, Kernel as Rule, Metropolis, Order, SingleSite},
    replicas::{Betas, Reads, Replicas, ScalarReplicas},
};
use yuragi_numeric::fill;

/// A device of the emulator.
struct Emulated {
    device: Device,
    modules: RefCell<HashMap<&'static str, Module>>,
    processors: usize,
    launches: RefCell<Vec<String>>,
    /// The most bytes of one piece of memory.
    most: usize,
    /// Bytes that were copied to it.
    written: Cell<usize>,
    /// Of all launches since it was emptied.
    counters: RefCell<Counters>,
}

struct Memory<'a> {
    device: &'a Device,
    address: u64,
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        self.device.free(self.address).unwrap();
    }
}

impl Emulated {
    fn new(processors: usize) -> Emulated {
        let device = Device::new(Properties::default());
        Emulated {
            device,
            modules: RefCell::default(),
            processors,
            launches: RefCell::default(),
            most: usize::MAX,
            written: Cell::default(),
            counters: RefCell::default(),
        }
    }
}

impl<'a> Executor for &'a Emulated {
    type Memory = Memory<'a>;

    fn processors(&self) -> usize {
        self.processors
    }

    fn allocate(&self, bytes: usize) -> Result<Memory<'a>, String> {
        if bytes > self.most {
            return Err(format!("no room for {bytes} bytes"));
        }
        let address = self.device.allocate(bytes as u64).map_err(|error| error.to_string())?;
        Ok(Memory { device: &self.device, address })
    }

    fn address(&self, memory: &Memory<'a>) -> u64 {
        memory.address
    }

    fn write(&self, memory: &mut Memory<'a>, start: usize, bytes: &[u8]) -> Result<(), String> {
        self.written.set(self.written.get() + bytes.len());
        self.device.write(memory.address + start as u64, bytes).map_err(|error| error.to_string())
    }

    fn read(&self, memory: &Memory<'a>, bytes: &mut [u8]) -> Result<(), String> {
        self.device.read(memory.address, bytes).map_err(|error| error.to_string())
    }

    fn launch(&self, launch: &Kernel<'_>) -> Result<(), String> {
        let mut modules = self.modules.borrow_mut();
        let module = modules.entry(launch.file).or_insert_with(|| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/ptx/sm_80");
            let text = fs::read_to_string(folder.join(launch.file).with_extension("ptx")).unwrap();
            self.device.load(&text).unwrap()
        });
        let arguments = launch.arguments.iter().fold(Arguments::new(), |list, argument| match *argument {
            Argument::Pointer(x) => list.u64(x),
            Argument::U32(x) => list.u32(x),
            Argument::F32(x) => list.f32(x),
            Argument::F64(x) => list.u64(x.to_bits()),
        });
        let kernel = module.kernel(launch.function).unwrap_or_else(|| panic!("no kernel {}", launch.function));
        let [x, y] = launch.grid;
        let shape =
            Launch { grid: [x, y, 1], block: [launch.threads, 1, 1], shared_bytes: launch.shared, cluster: [1; 3] };
        let report = self.device.launch(&kernel, &shape, arguments.bytes()).unwrap();
        let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{}: {}", launch.function, findings.join("\n"));
        self.launches.borrow_mut().push(launch.function.into());
        self.counters.borrow_mut().add(&report.counters);
        Ok(())
    }
}

fn reads(first: u32, count: u32) -> Reads {
    Reads { first, count }
}

/// Numbers between −1 and 1.
fn uniforms(count: usize, seed: u32) -> Vec<f64> {
    let mut values = vec![0.0; count];
    fill::uniform([seed, 17], 0, 0, &mut values);
    values.into_iter().map(|x| f64::from(2.0 * x - 1.0)).collect()
}

fn states(replicas: &dyn Replicas) -> Vec<Vec<u8>> {
    let mut values = vec![0; replicas.problem().len()];
    let mut of = |slot| {
        replicas.values(slot, &mut values).unwrap();
        values.clone()
    };
    (0..replicas.len()).map(&mut of).collect()
}

/// Both must hold the same configurations and energies, to the last bit.
fn equal(a: &mut dyn Replicas, b: &mut dyn Replicas, what: &str) {
    assert_eq!(states(a), states(b), "{what}");
    assert_eq!(a.configurations().unwrap(), b.configurations().unwrap(), "{what}");
    let [mut x, mut y] = [vec![0.0; a.len()], vec![0.0; b.len()]];
    a.energies(&mut x).unwrap();
    b.energies(&mut y).unwrap();
    let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&x), bits(&y), "{what}");
    a.kept_energies(&mut x).unwrap();
    b.kept_energies(&mut y).unwrap();
    assert_eq!(bits(&x), bits(&y), "{what}, as they are kept");
    // The first read takes what the last holds, and no one else.
    let last = a.len() - 1;
    let state = a.state(last).unwrap();
    assert_eq!(state, b.state(last).unwrap(), "{what}");
    a.set_state(0, &state).unwrap();
    b.set_state(0, &state).unwrap();
    assert_eq!((states(a), b.state(0).unwrap()), (states(b), state), "{what}");
}

/// Sweeps both at changing temperatures, resamples, goes on.
fn follow<K: Rule>(machine: &Emulated, problem: &Problem, chain: SingleSite<K>, span: Reads, each: bool) {
    let mut scalar = ScalarReplicas::new(problem, chain, span, 99).unwrap();
    let mut device = CudaReplicas::new(machine, problem, chain.two_state().unwrap(), span, 99).unwrap();
    equal(&mut scalar, &mut device, "start");
    let mut sweep = 125;
    for (round, betas) in [[0.0, 0.3, 1e4], [2.0, 0.7, 0.1]].into_iter().enumerate() {
        for beta in betas {
            let own: Vec<f32> = (0..span.count).map(|i| beta + i as f32 * 0.01).collect();
            let betas = if each { Betas::Each(&own) } else { Betas::Same(beta) };
            for replicas in [&mut scalar as &mut dyn Replicas, &mut device] {
                replicas.sweep(sweep, betas).unwrap();
            }
            sweep += 1;
        }
        equal(&mut scalar, &mut device, &format!("{} sites, {span:?}, {each}, round {round}", problem.len()));
        let parents: Vec<u32> = (0..span.count).map(|i| (i * 7 + 3) % span.count).collect();
        scalar.resample(&parents).unwrap();
        device.resample(&parents).unwrap();
    }
    equal(&mut scalar, &mut device, "resampled");
}

fn plus_minus(sides: &[usize], seed: u32) -> Problem {
    let count = sides.iter().product::<usize>() * sides.len();
    let signs: Vec<f64> = uniforms(count, seed).iter().map(|x| x.signum()).collect();
    Problem::lattice(sides, Bonds::Each(&signs), &[]).unwrap()
}

fn launched(machine: &Emulated, function: &str) -> bool {
    machine.launches.borrow().iter().any(|name| name == function)
}

#[test]
fn multi_spin_coding_equals_single_reads() {
    // One multiprocessor has enough to do where a thread has a site in two groups of reads.
    let machines = [Emulated::new(4), Emulated::new(1)];
    let lattice = plus_minus(&[6, 5], 1);
    let cube = plus_minus(&[3, 2, 4], 2);
    let halves: Vec<f64> = uniforms(40, 5).iter().map(|x| 0.5 * (2.4 * x).round()).collect();
    let chain = Problem::lattice(&[20], Bonds::Each(&halves[..20]), &halves[20..]).unwrap();
    let one = Problem::ising(1, [], &[-1.0]).unwrap();
    let free = Problem::ising(3, [], &[]).unwrap();
    for problem in [&lattice, &cube, &chain, &one, &free] {
        for order in [Order::Sequential, Order::Checkerboard] {
            for (machine, span) in [(0, reads(0, 3)), (0, reads(60, 40)), (1, reads(60, 40))] {
                let machine = &machines[machine];
                follow(machine, problem, SingleSite { kernel: Metropolis, order }, span, false);
                follow(machine, problem, SingleSite { kernel: HeatBath, order }, span, false);
            }
        }
        follow(&machines[0], problem, SingleSite::sequential(HeatBath), reads(7, 30), true);
    }
    for kernel in ["ising_metropolis_2", "ising_metropolis_4", "ising_heat_bath_8"] {
        assert!(launched(&machines[0], kernel) && launched(&machines[1], &format!("{kernel}_wide")));
    }
    assert!(launched(&machines[0], "ising_satisfied") && !launched(&machines[1], "ising_energies"));
}

/// Sweeps of a problem of which a warp visits more words of a level than it gathers before it draws their last bits, so often
/// that the ring of those words goes round.
fn gather<K: Rule>(machine: &Emulated, chain: SingleSite<K>, span: Reads) {
    let square = plus_minus(&[64, 66], 18);
    let mut scalar = ScalarReplicas::new(&square, chain, span, 6).unwrap();
    let mut device = CudaReplicas::new(machine, &square, chain.two_state().unwrap(), span, 6).unwrap();
    for (sweep, beta) in (0..).zip([0.1, 0.3, 0.5, 0.7, 0.9, 1.2]) {
        for replicas in [&mut scalar as &mut dyn Replicas, &mut device] {
            replicas.sweep(sweep, Betas::Same(beta)).unwrap();
        }
    }
    assert_eq!(scalar.configurations().unwrap(), device.configurations().unwrap(), "{span:?}");
    let [mut own, mut truth] = [vec![0.0; scalar.len()], vec![0.0; scalar.len()]];
    device.energies(&mut own).unwrap();
    scalar.energies(&mut truth).unwrap();
    assert_eq!(own, truth, "{span:?}");
}

#[test]
fn words_gathered_over_many_visits_equal_single_reads() {
    // One multiprocessor has enough to do with one block, which keeps its reads.
    let machine = Emulated::new(1);
    for span in [reads(0, 64), reads(0, 3)] {
        gather(&machine, SingleSite::checkerboard(Metropolis), span);
        gather(&machine, SingleSite::checkerboard(HeatBath), span);
    }
    for kernel in ["ising_metropolis_2", "ising_heat_bath_8"] {
        assert!(launched(&machine, kernel) && launched(&machine, &format!("{kernel}_wide")));
        assert!(
            machine.launches.borrow().iter().filter(|name| *name == kernel).count() == 1,
            "all sweeps in one launch"
        );
    }
}

/// A thread's counters of what is satisfied hold 36 sites of seven units: it adds them to the reads' before they overflow.
#[test]
fn satisfied_units_of_many_sites_are_counted() {
    let machine = Emulated::new(1);
    // Threads of the one block of each group have 38 sites of this cube, and 37 or 38 of the ring.
    let signs: Vec<f64> = uniforms(3 * 9680, 15).iter().map(|x| x.signum()).collect();
    let cube = Problem::lattice(&[22, 22, 20], Bonds::Each(&signs), &[-1.0; 9680]).unwrap();
    let bonds: Vec<f64> = (0..9600).map(|k| if k % 2 == 0 { 3.0 } else { 4.0 }).collect();
    let ring = Problem::lattice(&[9600], Bonds::Each(&bonds), &[]).unwrap();
    for problem in [&cube, &ring] {
        let chain = SingleSite::checkerboard(Metropolis);
        let mut scalar = ScalarReplicas::new(problem, chain, reads(0, 256), 16).unwrap();
        let mut device = CudaReplicas::new(&machine, problem, chain.two_state().unwrap(), reads(0, 256), 16).unwrap();
        // In two reads all are satisfied, or none of the fields.
        for (slot, value) in [(0, 1), (170, 0)] {
            scalar.set_values(slot, &vec![value; problem.len()]).unwrap();
            device.set_values(slot, &vec![value; problem.len()]).unwrap();
        }
        let [mut own, mut truth] = [vec![0.0; 256], vec![0.0; 256]];
        device.energies(&mut own).unwrap();
        scalar.energies(&mut truth).unwrap();
        assert_eq!(own, truth, "{} sites", problem.len());
    }
    assert!(launched(&machine, "ising_satisfied") && !launched(&machine, "ising_energies"));
}

/// What a visit took: instructions of lanes, and of warps times 32, sectors of global memory, passes over the banks of
/// shared memory, and those of them that conflicts added.
fn per_visit(machine: &Emulated, visits: usize) -> [f64; 5] {
    let sum = machine.counters.take();
    let conflicts = sum.shared_passes - sum.shared_least_passes;
    let counts = [sum.lane_instructions, 32 * sum.warp_instructions, sum.global_sectors, sum.shared_passes, conflicts];
    let each = counts.map(|count| count as f64 / visits as f64);
    println!(
        "a visit: lanes {:.2}, warps × 32 {:.2}, sectors {:.4}, passes {:.4}, conflicts {:.4}",
        each[0], each[1], each[2], each[3], each[4]
    );
    each
}

/// Two blocks of random numbers serve 32 reads; the third, which one word of twelve needs, is drawn for 32 such words
/// together.
#[test]
fn random_bits_are_drawn_for_many_reads_together() {
    let machine = Emulated::new(8);
    let square = plus_minus(&[64, 64], 10);
    let chain = SingleSite::checkerboard(Metropolis).two_state().unwrap();
    let mut device = CudaReplicas::new(&machine, &square, chain, reads(0, 64), 4).unwrap();
    let mut values = [0; 64 * 64];
    // Towards what a low temperature leaves.
    (0..20).for_each(|sweep| device.sweep(sweep, Betas::Same(0.7)).unwrap());
    device.values(0, &mut values).unwrap();
    machine.counters.take();
    (20..24).for_each(|sweep| device.sweep(sweep, Betas::Same(0.7)).unwrap());
    device.values(0, &mut values).unwrap();
    let [lanes, warps, sectors, _, conflicts] = per_visit(&machine, 4 * 64 * 64 * 64);
    assert!(launched(&machine, "ising_metropolis_2_wide"));
    // Conflicts are those of writing the table of thresholds, once a sweep.
    assert!(lanes < 15.5 && warps < 20.0 && sectors < 0.05 && conflicts < 0.001);
}

#[test]
fn lanes_equal_single_reads() {
    let machine = Emulated::new(4);
    let pairs = (0..20).flat_map(|k| (0..k).map(move |l| (l, k))).zip(uniforms(190, 6));
    let sparse: Vec<(usize, usize, f64)> =
        pairs.filter(|&((l, k), _)| (3 * k + l) % 4 == 0).map(|((l, k), weight)| (l, k, weight)).collect();
    let sparse = Problem::ising(20, sparse, &uniforms(20, 7)).unwrap().with_offset(0.3).unwrap();
    let hub = Problem::ising(40, (1..40).map(|k| (0, k, 1.0)), &[]).unwrap();
    for problem in [&sparse, &hub] {
        for (span, each) in [(reads(0, 1), false), (reads(30, 40), true)] {
            follow(&machine, problem, SingleSite::sequential(Metropolis), span, each);
            follow(&machine, problem, SingleSite::checkerboard(HeatBath), span, each);
        }
    }
    assert!(["ising_metropolis", "ising_heat_bath"].iter().all(|f| launched(&machine, f)));
}

#[test]
fn all_coupled_spins_equal_single_reads() {
    let machine = Emulated::new(1);
    for n in [1, 20, 70] {
        let weights = uniforms(n * n, 8);
        let matrix: Vec<f64> = (0..n * n)
            .map(|i| if i / n == i % n { 0.0 } else { weights[(i / n).max(i % n) * n + (i / n).min(i % n)] })
            .collect();
        let dense = Problem::dense(n, &matrix, &uniforms(n, 9)).unwrap();
        for (span, each) in [(reads(0, 3), false), (reads(30, 9), true)] {
            follow(&machine, &dense, SingleSite::sequential(Metropolis), span, each);
            follow(&machine, &dense, SingleSite::sequential(HeatBath), span, each);
        }
    }
    assert!(!launched(&machine, "ising_dense_step_metropolis"));
}

#[test]
fn tiles_of_coupled_spins_equal_single_reads() {
    let machine = Emulated::new(4);
    let n = 300;
    let weights = uniforms(n * n, 12);
    let weight = |k: usize, l: usize| if k == l { 0.0 } else { weights[k.max(l) * n + k.min(l)] };
    let matrix: Vec<f64> = (0..n * n).map(|i| weight(i / n, i % n)).collect();
    let dense = Problem::dense(n, &matrix, &uniforms(n, 13)).unwrap();
    follow(&machine, &dense, SingleSite::sequential(Metropolis), reads(30, 9), false);
    follow(&machine, &dense, SingleSite::sequential(HeatBath), reads(0, 130), true);
    for kernel in ["ising_dense_step_metropolis", "ising_dense_step_heat_bath", "ising_dense_sum"] {
        assert!(launched(&machine, kernel));
    }
    assert!(!launched(&machine, "ising_dense_metropolis"));
}

/// At β = 1 a third of the spins flip. For each of those and 128 fields, a warp reads 128 couplings from shared memory in
/// the four passes that this takes.
#[test]
fn couplings_are_read_without_conflicts() {
    let (machine, n, count) = (Emulated::new(132), 384, 128);
    let weights = uniforms(n * n, 14);
    let scale = (3.0 / n as f64).sqrt();
    let weight = |k: usize, l: usize| if k == l { 0.0 } else { scale * weights[k.max(l) * n + k.min(l)] };
    let matrix: Vec<f64> = (0..n * n).map(|i| weight(i / n, i % n)).collect();
    let glass = Problem::dense(n, &matrix, &[]).unwrap();
    let chain = Metropolis.two_state().unwrap();
    let mut device = CudaReplicas::new(&machine, &glass, chain, reads(0, count), 4).unwrap();
    (1..10).for_each(|sweep| device.sweep(sweep, Betas::Same(1.0)).unwrap());
    let before = device.configurations().unwrap();
    machine.counters.take();
    device.sweep(10, Betas::Same(1.0)).unwrap();
    let after = device.configurations().unwrap();
    let flips = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    let [_, warps, _, _, conflicts] = per_visit(&machine, n * count as usize);
    let flips = flips as f64 / (n * count as usize) as f64;
    println!("flips {flips:.3}");
    assert!((0.25..0.4).contains(&flips) && warps < 1350.0 && conflicts == 0.0);
}

#[test]
fn wide_levels_are_shared_by_blocks() {
    let machine = Emulated::new(132);
    let square = plus_minus(&[64, 66], 10);
    let mut scalar = ScalarReplicas::new(&square, SingleSite::checkerboard(Metropolis), reads(0, 2), 4).unwrap();
    let chain = SingleSite::checkerboard(Metropolis).two_state().unwrap();
    let mut device = CudaReplicas::new(&machine, &square, chain, reads(0, 2), 4).unwrap();
    for sweep in 0..3 {
        for replicas in [&mut scalar as &mut dyn Replicas, &mut device] {
            replicas.sweep(sweep, Betas::Same(0.6)).unwrap();
        }
    }
    equal(&mut scalar, &mut device, "square");
    // Both colours of each sweep had a launch of their own.
    assert_eq!(machine.launches.borrow().iter().filter(|name| *name == "ising_metropolis_2").count(), 6);
}

#[test]
fn configurations_can_be_set() {
    let machine = Emulated::new(4);
    let dense = plus_minus(&[4, 4], 11).to_dense().unwrap();
    for problem in [plus_minus(&[4, 4], 10), dense] {
        let mut scalar = ScalarReplicas::new(&problem, Metropolis, reads(3, 40), 1).unwrap();
        let mut device =
            CudaReplicas::new(&machine, &problem, Metropolis.two_state().unwrap(), reads(3, 40), 1).unwrap();
        for slot in [0, 17, 39] {
            let values: Vec<u8> = (0..16).map(|k| u8::from((k * k + slot) % 3 == 0)).collect();
            scalar.set_values(slot, &values).unwrap();
            device.set_values(slot, &values).unwrap();
        }
        equal(&mut scalar, &mut device, "set");
        for replicas in [&mut scalar as &mut dyn Replicas, &mut device] {
            replicas.sweep(1, Betas::Same(0.7)).unwrap();
        }
        equal(&mut scalar, &mut device, "swept");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let machine = Emulated::new(4);
    let chain = Metropolis.two_state().unwrap();
    let few = Emulated { most: 4 * 300 * 300, ..Emulated::new(4) };
    let dense = Problem::dense(300, &[0.0; 300 * 300], &[]).unwrap();
    let refused = CudaReplicas::new(&few, &dense, chain, reads(0, 1), 0).err();
    assert_eq!(refused, Some(Error::Device("no room for 720000 bytes".into())));
    assert_eq!(few.written.get(), 0, "couplings are made where there is room for them");
    let potts = Problem::potts(2, 3, [(0, 1, 1.0)], &[]).unwrap();
    assert!(CudaReplicas::new(&machine, &potts, chain, reads(0, 1), 0).is_err());
    let square = plus_minus(&[4, 4], 1);
    assert!(CudaReplicas::new(&machine, &square, chain, reads(u32::MAX, 2), 0).is_err());
    let mut device = CudaReplicas::new(&machine, &square, chain, reads(0, 3), 0).unwrap();
    let mut values = vec![0; 16];
    assert_eq!(device.values(3, &mut values), Err(Error::Index { what: "slot", index: 3, count: 3 }));
    assert!(device.values(0, &mut values[..15]).is_err());
    assert!(device.set_values(0, &[2; 16]).is_err() && device.resample(&[0, 1, 3]).is_err());
    assert!(device.sweep(0, Betas::Same(f32::NAN)).is_err() && device.sweep(0, Betas::Each(&[1.0])).is_err());
    assert!(device.energies(&mut [0.0; 2]).is_err());
    let mut none = CudaReplicas::new(&machine, &square, chain, reads(9, 0), 0).unwrap();
    none.sweep(0, Betas::Same(1.0)).unwrap();
    assert!(none.energies(&mut []).is_ok() && none.is_empty());
}
