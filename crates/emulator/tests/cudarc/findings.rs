//! Kernels and programs that do wrong: what is returned, and what is said.

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaContext, PushKernelArg, result, sys};

use yuragi_emulator::Profile;

use crate::harness::{on_a_driver, on_gpu, run};
use crate::kernels::{PTX, function, linear, module};

/// The line of the tests' PTX that holds a text for the `nth` time.
fn line_of(text: &str, nth: usize) -> usize {
    1 + PTX.lines().enumerate().filter(|(_, line)| line.contains(text)).nth(nth).expect("it is there").0
}

on_a_driver! {
    /// One element too many: the read is out of bounds, and the error sticks to the context.
    fn out_of_bounds() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let axpy = function(&context, "axpy");
        let x = stream.clone_htod(&[1.0_f32; 100]).unwrap();
        let mut y = stream.alloc_zeros::<f32>(101).unwrap();
        let mut launch = stream.launch_builder(&axpy);
        launch.arg(&x).arg(&mut y).arg(&1.0_f32).arg(&101_u32);
        let failed = unsafe { launch.launch(linear(1, 128)) }.and_then(|_| stream.synchronize()).unwrap_err();
        assert_eq!(failed.0, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        assert_eq!(stream.synchronize().unwrap_err().0, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        assert_eq!(stream.clone_htod(&[1.0_f32]).unwrap_err().0, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    }

    fn misaligned() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let store = function(&context, "store");
        let slice = stream.alloc_zeros::<u32>(4).unwrap();
        let address = slice.leak() + 2;
        let launched = unsafe { stream.launch_builder(&store).arg(&address).launch(linear(1, 1)) };
        let failed = launched.and_then(|_| stream.synchronize()).unwrap_err();
        assert_eq!(failed.0, CUresult::CUDA_ERROR_MISALIGNED_ADDRESS);
    }

    /// Two launches of each of two kernels, on a device with a name of its own.
    fn two_kernels() {
        let context = CudaContext::new(0).unwrap();
        println!("the device is {} with {:?}", context.name().unwrap(), context.compute_capability().unwrap());
        let stream = context.default_stream();
        let (axpy, store) = (function(&context, "axpy"), function(&context, "store"));
        let x = stream.clone_htod(&[1.0_f32; 4096]).unwrap();
        let mut y = stream.alloc_zeros::<f32>(4096).unwrap();
        for _ in 0..2 {
            let mut launch = stream.launch_builder(&axpy);
            launch.arg(&x).arg(&mut y).arg(&1.0_f32).arg(&4096_u32);
            unsafe { launch.launch(linear(32, 128)) }.unwrap();
            unsafe { stream.launch_builder(&store).arg(&mut y).launch(linear(1, 1)) }.unwrap();
        }
        stream.synchronize().unwrap();
    }

    /// Four blocks store their numbers at one address.
    fn race() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let claim = function(&context, "claim");
        let slice = stream.alloc_zeros::<u32>(1).unwrap();
        unsafe { stream.launch_builder(&claim).arg(&slice).launch(linear(4, 1)) }.unwrap();
        stream.synchronize().unwrap();
    }

    fn trap() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let trap = function(&context, "trap");
        let failed = unsafe { stream.launch_builder(&trap).launch(linear(1, 1)) }.and_then(|_| stream.synchronize());
        assert!(failed.is_err());
    }

    /// Memory that is freed twice, and memory that is used after it was freed.
    fn freed_memory() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let store = function(&context, "store");
        let address = unsafe { result::malloc_sync(4) }.unwrap();
        unsafe { result::free_sync(address) }.unwrap();
        assert!(unsafe { result::free_sync(address) }.is_err());
        let launched = unsafe { stream.launch_builder(&store).arg(&address).launch(linear(1, 1)) };
        assert!(launched.and_then(|_| stream.synchronize()).is_err());
    }

    fn leak() {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let _ = stream.alloc_zeros::<u8>(1234).unwrap().leak();
        let mut address = 0;
        unsafe { sys::cuMemAlloc_v2(&mut address, 56) }.result().unwrap();
        drop((stream, context));
        println!("the context has ended");
    }

    /// The context is never released, as when a program keeps it in a static.
    fn leak_at_exit() {
        let context = CudaContext::new(0).unwrap();
        std::mem::forget(context.default_stream().alloc_zeros::<u8>(777).unwrap());
    }

    /// An error ends with its context; another one is not touched by it.
    fn a_new_context_is_sound() {
        let spoiled = CudaContext::new_non_primary(0, 0).unwrap();
        let store = function(&spoiled, "store");
        let stream = spoiled.default_stream();
        let launched = unsafe { stream.launch_builder(&store).arg(&8_u64).launch(linear(1, 1)) };
        assert!(launched.and_then(|_| stream.synchronize()).is_err());
        assert!(stream.alloc_zeros::<u8>(1).is_err());
        let context = CudaContext::new_non_primary(0, 0).unwrap();
        let stream = context.default_stream();
        let mut slice = stream.clone_htod(&[0_u32]).unwrap();
        let store = module(&context).load_function("store").unwrap();
        unsafe { stream.launch_builder(&store).arg(&mut slice).launch(linear(1, 1)) }.unwrap();
        assert_eq!(stream.clone_dtoh(&slice).unwrap(), [7]);
    }
}

/// Runs a test on the emulator; what it printed, or nothing when the tests run on a GPU.
fn said(test: &str, variables: &[(&str, &str)], passes: bool) -> Option<String> {
    let printed = run(module_path!(), test, variables);
    if on_gpu() {
        return None;
    }
    assert_eq!(printed.passed, passes, "{}{}", printed.out, printed.err);
    let lines = printed.err.lines().filter_map(|line| line.strip_prefix("yuragi-emulator: "));
    Some(lines.map(|line| format!("{line}\n")).collect())
}

#[test]
fn a_finding_names_kernel_line_thread_and_place() {
    let Some(said) = said("out_of_bounds", &[], true) else { return };
    let line = line_of("ld.global.f32 %f2", 0);
    for part in ["out of bounds in axpy", &format!("line {line}"), "thread (100,0,0)", "read of 4 bytes", "400 bytes"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(said.matches("out of bounds in axpy, line").count(), 1, "{said}");
    assert!(said.contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "{said}");
}

#[test]
fn a_report_of_all_launches_is_written_when_the_program_ends() {
    let path = std::env::temp_dir().join(format!("yuragi-emulator-report-{}.json", std::process::id()));
    let place = path.to_str().unwrap();
    let variables = [("YURAGI_EMULATOR_REPORT", place), ("YURAGI_EMULATOR_DEVICE", "rtx 4090")];
    let printed = run(module_path!(), "two_kernels", &variables);
    if on_gpu() {
        return;
    }
    assert!(printed.passed && printed.out.contains("RTX 4090") && printed.out.contains("(8, 9)"), "{}", printed.out);
    let profile = Profile::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(profile.device.contains("RTX 4090"));
    let axpy = &profile.kernels["axpy"];
    assert_eq!((axpy.launches, profile.kernels["store"].launches), (2, 2));
    // 4096 words are read of each of two, and one of them is written: 512 sectors each, twice.
    assert_eq!((axpy.total.sectors, axpy.total.least_sectors), (2 * 3 * 512, 2 * 3 * 512));
    let load = &axpy.lines[&(line_of("ld.global.f32 %f2", 0) as u32)];
    assert_eq!((load.instruction.as_str(), load.issued, load.lanes, load.sectors), ("ld.global.f32", 256, 32.0, 1024));
    // Each of both words' 512 sectors moved at 1.008 TB/s.
    assert!((axpy.memory_seconds - 2.0 * 1024.0 * 32.0 / 1.008e12).abs() < 1e-15);
    let table = profile.table(10);
    // One lane stores where 32 could.
    assert!(
        table.contains("axpy: 2 launches") && table.contains("store: 2 launches") && table.contains("1.0"),
        "{table}"
    );
    let bad = [("YURAGI_EMULATOR_REPORT", "/nowhere/at/all.json"), ("YURAGI_EMULATOR_DEVICE", "GTX 1")];
    let said = said("two_kernels", &bad, true).unwrap_or_default();
    assert!(
        said.contains("/nowhere/at/all.json: No such file") && said.contains("GTX 1") && said.contains("A100"),
        "{said}"
    );
}

#[test]
fn misalignment_and_traps_are_told() {
    let Some(text) = said("misaligned", &[], true) else { return };
    assert!(
        text.contains("misaligned") && text.contains(&format!("line {}", line_of("st.global.u32 [%rd1], %r1", 0))),
        "{text}"
    );
    let text = said("trap", &[], true).unwrap_or_default();
    assert!(text.contains("trap in trap"), "{text}");
}

#[test]
fn the_environment_decides_whether_a_race_is_an_error() {
    let Some(strict) = said("race", &[], false) else { return };
    assert!(strict.contains("race in claim"), "{strict}");
    let warned = said("race", &[("YURAGI_EMULATOR_CHECK", "warn")], true).unwrap_or_default();
    assert!(warned.contains("race in claim"), "{warned}");
    let silent = said("race", &[("YURAGI_EMULATOR_CHECK", "off")], true).unwrap_or_default();
    assert!(!silent.contains("race"), "{silent}");
}

#[test]
fn a_gpu_would_stop_at_a_bad_address_so_it_fails_unchecked_too() {
    let Some(text) = said("out_of_bounds", &[("YURAGI_EMULATOR_CHECK", "off")], true) else { return };
    assert!(text.contains("out of bounds"), "{text}");
}

#[test]
fn freed_memory_is_told_from_other_bad_addresses() {
    let Some(text) = said("freed_memory", &[], true) else { return };
    assert!(text.contains("cuMemFree_v2: no live allocation begins at"), "{text}");
    assert!(text.contains("freed"), "{text}");
}

#[test]
fn leaks_are_listed_with_their_size_and_origin() {
    let Some(text) = said("leak", &[], true) else { return };
    assert!(text.contains("leak: 2 allocations were not freed before their context ended"), "{text}");
    assert!(text.contains("1234 bytes at") && text.contains("from cuMemAllocAsync"), "{text}");
    assert!(text.contains("56 bytes at") && text.contains("from cuMemAlloc\n"), "{text}");
    let text = said("leak_at_exit", &[], true).unwrap_or_default();
    assert!(text.contains("leak: 1 allocations were not freed before the process ended"), "{text}");
    assert!(text.contains("777 bytes at"), "{text}");
    let silent = said("leak", &[("YURAGI_EMULATOR_CHECK", "off")], true).unwrap_or_default();
    assert!(!silent.contains("leak"), "{silent}");
}

#[test]
fn an_error_ends_with_its_context() {
    said("a_new_context_is_sound", &[], true);
}
