//! A driver that refuses: one line each, and a process that goes on.
#![cfg(target_os = "linux")]

use std::{env, process::Output};

use yuragi_cpu::Cpu;
use yuragi_cuda::{Cuda, CudaError};
use yuragi_graph::{
    Backend, Builder, DType, Init, Params, Plan, Precision, Progress, Slice, SliceMut, op::Distribution,
};
use yuragi_tests::emulated::again;

/// Set in a process whose driver refuses something.
const REFUSED: &str = "YURAGI_TEST_REFUSED";

/// A product of square matrices of random numbers, summed, so many launches at a time.
fn product_by<B: Backend>(backend: &B, n: usize, slice: usize) -> Result<f32, String> {
    let b = Builder::new();
    let key = b.input("key", &[2], DType::U32);
    let noise = b.random(Distribution::Uniform, key, 0, &[n, n]);
    let graph = b.finish(&[("y", noise.matmul(noise).sum_all())]).map_err(|error| error.to_string())?;
    let plan = backend.compile(&graph).map_err(|error| error.to_string())?;
    let store = backend.upload(Params::new()).map_err(|error| error.to_string())?;
    let mut state = plan.state(&store).map_err(|error| error.to_string())?;
    let mut y = [0.0];
    plan.begin(&mut state, &[Slice::U32(&[1, 2])]).map_err(|error| error.to_string())?;
    while plan.advance(&mut state, &store, slice).map_err(|error| error.to_string())? != Progress::Done {}
    plan.finish(&state, &mut [SliceMut::F32(&mut y)]).map_err(|error| error.to_string())?;
    Ok(y[0])
}

fn product<B: Backend>(backend: &B, n: usize) -> Result<f32, String> {
    product_by(backend, n, usize::MAX)
}

/// The test of this name again on the emulator, which refuses these functions.
fn again_refusing(test: &str, functions: &str) -> Output {
    again_refusing_on("H200", test, functions)
}

/// The same on another device.
fn again_refusing_on(device: &str, test: &str, functions: &str) -> Output {
    let command = again([test, "--exact", "--nocapture"], true).map(|mut command| {
        command.env(REFUSED, functions).env("YURAGI_EMULATOR_REFUSE", functions).env("YURAGI_EMULATOR_DEVICE", device);
        command
    });
    let output = command.and_then(|mut command| command.output());
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

/// Which launches begin while the one before them ends is seen where the driver refuses the call that only those need.
#[test]
fn launches_begin_early_behind_others_on_devices_that_can() {
    let test = "launches_begin_early_behind_others_on_devices_that_can";
    if env::var_os(REFUSED).is_none() {
        for device in ["H200", "A100"] {
            again_refusing_on(device, test, "cuLaunchKernelEx=801");
        }
        return;
    }
    let cuda = Cuda::new().expect("the emulator");
    let here = product(&Cpu::new(), 5).expect("a processor");
    let is_right = |there: Result<f32, String>| (there.expect("a device") - here).abs() < 1e-4;
    assert!(is_right(product(&cuda.clone().dependent(false), 5)));
    // Of each slice the first one waits until all is over.
    assert!(is_right(product_by(&cuda, 5, 1)));
    if !cuda.device().has_dependent_launches() {
        assert!(is_right(product(&cuda, 5)));
        return;
    }
    let line = product_by(&cuda, 5, 2).expect_err("two launches at a time");
    assert!(line.contains("a launch") && line.lines().count() == 1, "{line}");
    // Repeated launches of one graph: where they may not begin early, they do not.
    let b = Builder::new();
    let x = b.input("x", &[16, 16], DType::F32);
    let graph = b.finish(&[("y", x.matmul(b.param("w", &[16, 16], DType::F32, Init::Normal(0.1))))]);
    let picked = cuda.picked(&graph.expect("a graph").in_precision(Precision::F16)).expect("a plan");
    let measured = picked.values().map(|picked| cuda.measure(picked).expect("times").len());
    assert!(measured.sum::<usize>() > 2);
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
