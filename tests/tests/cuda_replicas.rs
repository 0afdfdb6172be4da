//! Many reads on a GPU's driver, or the emulator's: the same bits as on the processor.
#![cfg(target_os = "linux")]

use yuragi_cuda::{Device, replicas::CudaReplicas};
use yuragi_energy::{
    Bonds, Problem, Schedule,
    dynamics::{Dynamics, Metropolis},
    replicas::{Reads, batch},
    sampler::{anneal_replicas, quiet},
};
use yuragi_tests::on_a_driver;

on_a_driver! {
    fn reads_on_a_device_are_those_of_the_processor() {
        let device = Device::open(0).unwrap();
        let square = Problem::lattice(&[6, 6], Bonds::Uniform(-1.0), &[0.5; 36]).unwrap();
        let dense = square.to_dense().unwrap();
        let schedule = Schedule::linear(0.1, 2.0, 9).unwrap();
        for problem in [&square, &dense] {
            let (chain, reads) = (Metropolis.two_state().unwrap(), Reads { first: 20, count: 50 });
            let replicas = CudaReplicas::on(&device, problem, chain, reads, 3).unwrap();
            let found = anneal_replicas(Box::new(replicas), &schedule, &mut quiet).unwrap();
            let replicas = batch(problem, Metropolis, reads, 3).unwrap();
            let want = anneal_replicas(replicas, &schedule, &mut quiet).unwrap();
            assert!(found == want);
        }
    }
}
