//! Ranks with GPUs that talk by NCCL: real processes, on the emulator, which stands in for the driver and for NCCL.
#![cfg(target_os = "linux")]

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    process::{self, Output, Stdio},
    time::{Duration, Instant},
};

use yuragi::{
    Failure,
    cpu::Cpu,
    cuda::CudaError,
    energy::{
        Bonds, Problem, Schedule,
        dynamics::Metropolis,
        replicas::batch,
        sampler::{PopulationSettings, Resampling, anneal, population_anneal, quiet},
    },
    graph::{Alone, Backend, Collective, HostTensor, Params, Precision, Shape, Slice},
    machine::{Choice, Machine, Work, shared_replicas},
    models::{
        likelihood::Likelihood,
        vae::{self, Layer, Vae},
    },
    ranks::{Ranks, Rendezvous},
    train::device::{Exchange, For, Sharing, Trainer},
};
use yuragi_tests::emulated;

/// What a rank is to do, in the processes that a test starts.
const TASK: &str = "YURAGI_TEST_TASK";
const PLACE: &str = "YURAGI_TEST_PLACE";

/// Starts this program as some ranks of so many, which do what the test of this name does for a rank; gives what each
/// printed.
fn ranks(
    test: &str,
    task: &str,
    place: Option<&str>,
    launched: &[(usize, usize)],
    more: &[(&str, &str)],
) -> Vec<Output> {
    let start = |&(rank, size): &(usize, usize)| {
        let mut command = emulated::again([test, "--exact", "--nocapture"], true).unwrap();
        command.env(TASK, task).env("RANK", rank.to_string()).env("WORLD_SIZE", size.to_string());
        command.env("LOCAL_RANK", rank.to_string()).envs(more.iter().copied());
        if let Some(place) = place {
            command.env(PLACE, place);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let started: Vec<_> = launched.iter().map(start).collect();
    started.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn all_passed(outputs: &[Output]) {
    for output in outputs {
        assert!(output.status.success() && text(output).contains("as it should be"), "{}", text(output));
    }
}

fn joined() -> Ranks {
    let place: Option<Rendezvous> = env::var(PLACE).ok().map(|place| place.parse().unwrap());
    Ranks::join(place.as_ref()).unwrap()
}

/// A file that is not there, for ranks to meet at.
fn file(name: &str) -> String {
    env::temp_dir().join(format!("yuragi-nccl-{}-{name}", process::id())).to_string_lossy().into_owned()
}

fn port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Every method of a collective, and the sum of parameters on the devices.
fn talk() {
    let ranks = joined();
    let (rank, size) = (ranks.rank(), ranks.size());
    let parcel = |from: usize, to: usize| vec![(10 * from + to) as u8; if to == 1 { 0 } else { 1000 * (from + 1) }];
    let sent: Vec<Vec<u8>> = (0..size).map(|to| parcel(rank, to)).collect();
    let found: Vec<Vec<u8>> = (0..size).map(|from| parcel(from, rank)).collect();
    assert_eq!(ranks.exchange(&sent).unwrap(), found);
    let own = |rank: usize| vec![rank as u8; 3 * rank];
    assert_eq!(ranks.gather(&own(rank)).unwrap(), (0..size).map(own).collect::<Vec<_>>());
    assert_eq!(ranks.gather(&[]).unwrap(), vec![Vec::<u8>::new(); size]);
    for from in 0..size {
        let mut bytes = own(rank);
        ranks.broadcast(from, &mut bytes).unwrap();
        assert_eq!(bytes, own(from));
    }
    assert!(ranks.broadcast(size, &mut Vec::new()).is_err() && ranks.exchange(&[]).is_err());
    ranks.barrier().unwrap();

    let machine = Machine::choose(Choice::Cuda(None), Cpu::new(), Precision::F32, Work::MUCH).unwrap();
    let values = |rank: usize| (0..33).map(|i| (i + 100 * rank) as f32).collect::<Vec<f32>>();
    let mut params = Params::new();
    for name in ["gradient", "weights"] {
        params.insert(name, HostTensor::new(Shape::new(&[3, 11]).unwrap(), values(rank)).unwrap());
    }
    let mut store = machine.upload(params).unwrap();
    ranks.sum(&machine, &mut store, &|name| name == "gradient").unwrap();
    let params = machine.download(&store).unwrap();
    let sum: Vec<f32> = (0..33).map(|i| (0..size).map(|rank| values(rank)[i]).sum()).collect();
    assert_eq!(params.get("gradient").unwrap().to_f32(), sum);
    assert_eq!(params.get("weights").unwrap().to_f32(), values(rank));
    println!("as it should be");
}

#[test]
fn bytes_and_sums_are_those_of_all_ranks() {
    const NAME: &str = "bytes_and_sums_are_those_of_all_ranks";
    if env::var_os(TASK).is_some() {
        return talk();
    }
    let place = file("talk");
    all_passed(&ranks(NAME, "talk", Some(&place), &[(0, 3), (1, 3), (2, 3)], &[]));
    assert!(!std::path::Path::new(&place).exists(), "what ranks met at is left");
    let place = format!("127.0.0.1:{}", port());
    all_passed(&ranks(NAME, "talk", Some(&place), &[(0, 2), (1, 2)], &[]));
    // As torchrun says it, whose agent listens at the port itself.
    let agent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = agent.local_addr().unwrap().port().to_string();
    let torchrun = [
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", port.as_str()),
        ("TORCHELASTIC_USE_AGENT_STORE", "True"),
        ("TORCHELASTIC_RUN_ID", "none"),
    ];
    all_passed(&ranks(NAME, "talk", None, &[(0, 2), (1, 2)], &torchrun));
}

fn sample() {
    let ranks = joined();
    let machine = Machine::choose(Choice::Auto, Cpu::new(), Precision::F32, Work::MUCH).unwrap();
    assert!(machine.is_gpu(), "each rank has a GPU");
    let square = Problem::lattice(&[6, 6], Bonds::Uniform(1.0), &[0.25; 36]).unwrap();
    let schedule = Schedule::linear(0.0, 1.0, 6).unwrap();
    let settings = PopulationSettings { schedule: schedule.clone(), sweeps: 1, resampling: Resampling::Systematic };
    let reads = || shared_replicas(&ranks, &machine, &square, Metropolis, 70, 3).unwrap();
    let alone = || batch(&square, Metropolis, 70, 3).unwrap();
    assert!(anneal(&mut *reads(), &schedule, &mut quiet) == anneal(&mut *alone(), &schedule, &mut quiet));
    let found = population_anneal(&mut *reads(), &settings, &mut quiet).unwrap();
    let expected = population_anneal(&mut *alone(), &settings, &mut quiet).unwrap();
    assert!(found.samples == expected.samples && found.steps == expected.steps && found.founders == expected.founders);
    println!("as it should be");
}

#[test]
fn t17_reads_on_gpus_of_ranks_are_those_of_one_processor() {
    const NAME: &str = "t17_reads_on_gpus_of_ranks_are_those_of_one_processor";
    match env::var(TASK).as_deref() {
        Ok("share") => {
            let _ranks = joined();
            let machine = Machine::choose(Choice::Auto, Cpu::new(), Precision::F32, Work::MUCH).unwrap();
            assert!(!machine.is_gpu(), "two ranks took one GPU");
            return println!("as it should be");
        }
        Ok(_) => return sample(),
        Err(_) => {}
    }
    // On a machine each, and on one machine with one GPU.
    all_passed(&ranks(NAME, "sample", Some(&file("sample")), &[(0, 2), (1, 2)], &[("LOCAL_RANK", "0")]));
    all_passed(&ranks(NAME, "share", Some(&file("share")), &[(0, 2), (1, 2)], &[]));
}

fn train() {
    let ranks = joined();
    let machine = Machine::choose(Choice::Cuda(None), Cpu::new(), Precision::F32, Work::MUCH).unwrap();
    let layers = vec![Layer { hidden: vec![8], latent: 2 }];
    let vae = Vae { shape: vec![12], likelihood: Likelihood::Bernoulli, layers, convolutional: false };
    let graph = vae.training(3, 1).unwrap();
    let learn = |machine: &Machine, ranks: &dyn Collective, exchange| {
        let mut params = Params::new();
        params.initialise(graph.params(), 3);
        let mut trainer = Trainer::new(machine, &graph, params, Sharing { slices: 4, ranks, exchange })?;
        let places = trainer.places(12);
        let x: Vec<f32> = (places.start * 12..places.end * 12).map(|i| (i % 7 % 2) as f32).collect();
        for step in 0..3 {
            let hyper = vae::OPTIMIZER.hyper(step, 1e-2, 0.9);
            let inputs = [Slice::F32(&x), Slice::U32(&[step as u32, 9]), Slice::F32(&hyper)];
            let _: [f32; 4] = trainer.step(&inputs)?;
        }
        let params = trainer.params(For::All)?;
        let bits = params.iter().map(|(_, tensor)| tensor.to_f32().into_iter().map(f32::to_bits).collect::<Vec<_>>());
        Ok::<_, Failure>((params.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(), bits.collect::<Vec<_>>()))
    };
    let alone = learn(&machine, &Alone, Exchange::Whole).unwrap();
    // Of two ranks, each of which adds up two slices, NCCL's sum is the tree's: of two numbers there is one sum.
    for exchange in [Exchange::Whole, Exchange::Sharded, Exchange::Nccl] {
        let (mut names, mut bits) = learn(&machine, &ranks, exchange).unwrap();
        // Those that came from another rank stand at the end.
        let place = |name: &String| alone.0.iter().position(|other| other == name).unwrap();
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|at| place(&names[*at]));
        (names, bits) = order.iter().map(|at| (names[*at].clone(), bits[*at].clone())).unzip();
        assert!((names, bits) == alone, "{exchange:?}");
    }
    let refused = learn(&Cpu::new().into(), &ranks, Exchange::Nccl).unwrap_err().to_string();
    assert!(refused.contains("--reduce nccl") && refused.lines().count() == 1, "{refused}");
    println!("as it should be");
}

#[test]
fn t24_gradients_are_added_up_where_gpus_have_them() {
    const NAME: &str = "t24_gradients_are_added_up_where_gpus_have_them";
    if env::var_os(TASK).is_some() {
        return train();
    }
    all_passed(&ranks(NAME, "train", Some(&file("train")), &[(0, 2), (1, 2)], &[("LOCAL_RANK", "0")]));
}

#[test]
fn a_rank_that_is_gone_is_noticed() {
    const NAME: &str = "a_rank_that_is_gone_is_noticed";
    if env::var_os(TASK).is_some() {
        let ranks = joined();
        ranks.barrier().unwrap();
        if ranks.rank() == 1 {
            process::exit(9);
        }
        let lost = ranks.gather(&[1]).unwrap_err().to_string();
        assert!(lost.contains("remote process exited"), "{lost}");
        assert!(ranks.barrier().unwrap_err().to_string().contains("the ranks have parted"));
        println!("as it should be");
        return;
    }
    let place = file("gone");
    let outputs = ranks(NAME, "leave", Some(&place), &[(0, 3), (1, 3), (2, 3)], &[]);
    assert_eq!(outputs[1].status.code(), Some(9));
    all_passed(&[outputs[0].clone(), outputs[2].clone()]);
}

#[test]
fn who_does_not_belong_is_refused() {
    const NAME: &str = "who_does_not_belong_is_refused";
    if env::var_os(TASK).is_some() {
        let place: Rendezvous = env::var(PLACE).unwrap().parse().unwrap();
        println!("{}", Ranks::join(Some(&place)).unwrap_err());
        return;
    }
    let places = [file("refused"), format!("127.0.0.1:{}", port())];
    for place in &places {
        let started = Instant::now();
        for output in ranks(NAME, "refuse", Some(place), &[(0, 2), (1, 3)], &[]) {
            let told = text(&output);
            assert!(told.contains("rank 1 was started as one of 3, rank 0 as one of 2"), "{told}");
        }
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    let place = format!("127.0.0.1:{}", port());
    let told: Vec<String> =
        ranks(NAME, "refuse", Some(&place), &[(0, 3), (1, 3), (1, 3)], &[]).iter().map(text).collect();
    assert!(told.iter().any(|told| told.contains("two were started as rank 1")), "{told:?}");
}

#[test]
fn without_nccl_a_line_says_so() {
    match yuragi::cuda::Nccl::check() {
        Err(error @ (CudaError::NoNccl | CudaError::NcclTooOld(..))) => {
            let told = error.to_string();
            assert!(told.contains("NCCL") && told.lines().count() == 1, "{told}");
        }
        found => {
            assert_eq!(found, Ok(()));
            println!("SKIPPED: there is an NCCL on this machine");
        }
    }
}
