//! A driver that refuses: one line each, and a process that goes on.
#![cfg(target_os = "linux")]

use std::{env, process::Output};

use yuragi_cpu::Cpu;
use yuragi_cuda::{Cuda, CudaError};
use yuragi_graph::{Backend, Builder, DType, Params, Plan, Slice, SliceMut, op::Distribution};
use yuragi_tests::emulated::again;

/// Set in a process whose driver refuses something.
const REFUSED: &str = "YURAGI_TEST_REFUSED";

/// A product of square matrices of random numbers, summed.
fn product<B: Backend>(backend: &B, n: usize) -> Result<f32, String> {
    let b = Builder::new();
    let key = b.input("key", &[2], DType::U32);
    let noise = b.random(Distribution::Uniform, key, 0, &[n, n]);
    let graph = b.finish(&[("y", noise.matmul(noise).sum_all())]).map_err(|error| error.to_string())?;
    let plan = backend.compile(&graph).map_err(|error| error.to_string())?;
    let store = backend.upload(Params::new()).map_err(|error| error.to_string())?;
    let mut state = plan.state(&store).map_err(|error| error.to_string())?;
    let mut y = [0.0];
    plan.run(&mut state, &store, &[Slice::U32(&[1, 2])], &mut [SliceMut::F32(&mut y)]).map_err(|e| e.to_string())?;
    Ok(y[0])
}

/// The test of this name again on the emulator, which refuses these functions.
fn again_refusing(test: &str, functions: &str) -> Output {
    let command = again([test, "--exact", "--nocapture"], true);
    let output = command
        .and_then(|mut command| command.env(REFUSED, functions).env("YURAGI_EMULATOR_REFUSE", functions).output());
    let output = output.expect("the emulator beside the tests");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{functions}: {said}");
    output
}

#[test]
fn what_a_driver_refuses_is_one_line_and_the_process_goes_on() {
    let cases = [
        ("cuInit=100", "there is no CUDA device 0"),
        ("cuDevicePrimaryCtxRetain=46", "in use by another process"),
        ("cuModuleLoadDataEx=222,cuModuleLoadData=222", "too old for this program's kernels"),
        ("cuMemAlloc_v2=2,cuMemAllocAsync=2", "not enough memory"),
        ("cuStreamSynchronize=700", "must be opened anew"),
        ("cuLaunchKernel=719", "must be opened anew"),
    ];
    let Ok(refused) = env::var(REFUSED) else {
        for (functions, _) in cases {
            again_refusing("what_a_driver_refuses_is_one_line_and_the_process_goes_on", functions);
        }
        return;
    };
    let words = cases.iter().find(|(functions, _)| *functions == refused).map_or("", |(_, words)| words);
    let line = Cuda::new().map_err(|error| error.to_string()).and_then(|cuda| product(&cuda, 5)).expect_err("refused");
    assert!(line.contains(words) && line.lines().count() == 1, "{refused}: {line}");
    assert!(product(&Cpu::new(), 5).is_ok_and(|sum| sum > 0.0), "the processor computes after it");
}

#[test]
fn memory_that_is_not_there_is_told_and_the_device_goes_on() {
    if env::var_os(REFUSED).is_none() {
        again_refusing("memory_that_is_not_there_is_told_and_the_device_goes_on", "");
        return;
    }
    let cuda = Cuda::new().expect("the emulator");
    let line = product(&cuda, 1 << 20).expect_err("four terabytes");
    assert!(line.contains("not enough memory") && line.contains("free") && line.lines().count() == 1, "{line}");
    let (there, here) = (product(&cuda, 5), product(&Cpu::new(), 5));
    assert!((there.expect("a device that goes on") - here.expect("a processor")).abs() < 1e-4);
}

#[test]
fn a_machine_without_a_driver_is_told_so() {
    if yuragi_tests::emulated::has_driver() || Cuda::new().is_ok() {
        return;
    }
    let error = Cuda::new().expect_err("no driver");
    assert_eq!(error, CudaError::NoDriver);
    assert_eq!(error.to_string(), "no CUDA driver is installed on this machine");
}
