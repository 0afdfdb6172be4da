//! The CUDA backend on whatever driver there is: the emulator's, or with `YURAGI_TEST_ON_GPU` the machine's own.
#![cfg(target_os = "linux")]

use yuragi_cpu::Cpu;
use yuragi_cuda::{Cuda, CudaStore};
use yuragi_graph::{
    Backend, Builder, DType, Graph, HostTensor, Init, Params, Plan, Precision, Progress, RunError, Shape, Slice,
    SliceMut,
};
use yuragi_nn::{
    Scope, mlp,
    optim::{Group, Optimizer},
};
use yuragi_tests::{on_a_driver, suite::Suite};

/// Runs what may have kernels of its own on a GPU of compute capability 9.0, by the kernels for every GPU.
fn conforms_anywhere(filter: &str) {
    let report = Suite::new().filter(filter).run(&Cuda::new().expect("a driver").portable(true));
    assert!(report.passed(), "{report}");
}

/// Runs a quarter of all cases.
fn conforms(quarter: usize) {
    let cuda = Cuda::new().expect("a driver");
    let report = Suite::new().part(quarter, 4).run(&cuda);
    println!("{report}");
    assert!(report.passed(), "{report}");
}

/// A training step with a matrix product, a bias, a nonlinearity, and a mean.
fn training() -> (Graph, Params) {
    let b = Builder::new();
    let x = b.input("x", &[7, 5], DType::F32);
    let y = mlp(&Scope::new(&b), x, &[9, 3], |h| h.gelu());
    let loss = (y * y).mean_all();
    let hyper = Optimizer::input(&b);
    Optimizer::default().minimize(loss, hyper, |p| Some(Group::standard(p)));
    let graph = b.finish(&[("loss", loss), ("y", y)]).expect("a graph");
    let mut params = Params::new();
    params.initialise(graph.params(), 5);
    (graph, params)
}

/// The losses of some training steps, and the weights after them.
fn train<B: Backend>(backend: &B, steps: u64) -> (Vec<f32>, Params) {
    let (graph, params) = training();
    let plan = backend.compile(&graph).expect("a plan");
    let mut store = backend.upload(params).expect("a store");
    let mut state = plan.state(&store).expect("a state");
    let mut losses = Vec::new();
    for step in 0..steps {
        let x: Vec<f32> = (0..35).map(|i| ((i * 37 + 11) % 17) as f32 / 8.0 - 1.0).collect();
        let hyper = Optimizer::default().hyper(step, 0.01, 0.9);
        let (mut loss, mut y) = ([0.0], [0.0; 21]);
        let inputs = [Slice::F32(&x), Slice::F32(&hyper)];
        let mut outputs = [SliceMut::F32(&mut loss), SliceMut::F32(&mut y)];
        plan.update(&mut state, &mut store, &inputs, &mut outputs).expect("a step");
        losses.push(loss[0]);
    }
    (losses, backend.download(&store).expect("the weights"))
}

on_a_driver! {
    /// In one go, in slices, and as the graph of later runs.
    fn launches_that_begin_early_leave_the_same_bits() {
        let cuda = Cuda::new().expect("a driver");
        let forward = {
            let b = Builder::new();
            let x = b.input("x", &[33, 20], DType::F32);
            let h = mlp(&Scope::new(&b), x, &[24, 16], |h| h.silu());
            b.finish(&[("y", h.softmax()), ("z", h.sum(&[0]))]).expect("a graph")
        };
        let run = |cuda: &Cuda, slice: usize| {
            let plan = cuda.compile(&forward).expect("a plan");
            assert!(plan.launches() > 3);
            let mut weights = Params::new();
            weights.initialise(forward.params(), 3);
            let store = cuda.upload(weights).expect("a store");
            let mut state = plan.state(&store).expect("a state");
            let x: Vec<f32> = (0..660).map(|i| ((i * 37 + 11) % 17) as f32 / 8.0 - 1.0).collect();
            let mut all = Vec::new();
            for _ in 0..4 {
                let (mut y, mut z) = ([0.0; 33 * 16], [0.0; 16]);
                plan.begin(&mut state, &[Slice::F32(&x)]).expect("a beginning");
                while plan.advance(&mut state, &store, slice).expect("a slice") != Progress::Done {}
                plan.finish(&state, &mut [SliceMut::F32(&mut y), SliceMut::F32(&mut z)]).expect("an end");
                all.extend(y.iter().chain(&z).map(|v| v.to_bits()));
            }
            all
        };
        let apart = cuda.clone().dependent(false);
        let expected = run(&apart, usize::MAX);
        for slice in [1, 2, 3, usize::MAX] {
            assert_eq!(run(&cuda, slice), expected, "{slice} launches at a time");
        }
        let [(losses, weights), (apart, others)] = [train(&cuda, 5), train(&apart, 5)];
        assert_eq!(losses, apart);
        for (name, tensor) in weights.iter() {
            assert_eq!(Some(tensor.to_f32()), others.get(name).map(HostTensor::to_f32), "{name}");
        }
    }

    fn the_first_quarter_of_all_operations_stays_within_every_bound() {
        conforms(0);
    }

    fn the_second_quarter_of_all_operations_stays_within_every_bound() {
        conforms(1);
    }

    fn the_third_quarter_of_all_operations_stays_within_every_bound() {
        conforms(2);
    }

    fn the_last_quarter_of_all_operations_stays_within_every_bound() {
        conforms(3);
    }

    fn the_kernels_for_every_gpu_stay_within_every_bound() {
        ["matmul f16", "matmul bf16", "conv2d f16", "conv2d bf16"].into_iter().for_each(conforms_anywhere);
    }

    /// The second run is captured, the third replays it.
    fn training_steps_agree_with_the_processor() {
        let cuda = Cuda::new().expect("a driver");
        let ((have, weights), (want, truth)) = (train(&cuda, 5), train(&Cpu::new(), 5));
        for (have, want) in have.iter().zip(&want) {
            assert!((have - want).abs() <= 1e-5 * want.abs(), "{have} {want}");
        }
        for (name, tensor) in truth.iter() {
            let have = weights.get(name).expect("the same names").to_f32();
            for (have, want) in have.iter().zip(tensor.to_f32()) {
                assert!((have - want).abs() <= 1e-5 * want.abs().max(0.1), "{name}: {have} {want}");
            }
        }
    }

    fn slices_give_the_bits_of_a_whole_run() {
        let cuda = Cuda::new().expect("a driver");
        let b = Builder::new();
        let x = b.input("x", &[4, 6], DType::F32);
        let w = b.param("w", &[6, 6], DType::F32, Init::Normal(0.5));
        let y = x.matmul(w).softmax().matmul(w).silu().sum(&[-1]);
        let graph = b.finish(&[("y", y)]).expect("a graph");
        let mut params = Params::new();
        params.initialise(graph.params(), 1);
        let plan = cuda.compile(&graph).expect("a plan");
        let store = cuda.upload(params).expect("a store");
        let mut state = plan.state(&store).expect("a state");
        let x = [0.25_f32; 24];
        let mut runs: Vec<[u32; 4]> = Vec::new();
        for slice in [usize::MAX, 1, 2, usize::MAX, usize::MAX, 1] {
            plan.begin(&mut state, &[Slice::F32(&x)]).expect("a beginning");
            let mut out = [0.0; 4];
            assert_eq!(plan.finish(&state, &mut [SliceMut::F32(&mut out)]), Err(RunError::Unfinished));
            while plan.advance(&mut state, &store, slice).expect("a slice") != Progress::Done {}
            plan.finish(&state, &mut [SliceMut::F32(&mut out)]).expect("an end");
            runs.push(out.map(f32::to_bits));
        }
        assert!(runs.iter().all(|run| *run == runs[0]), "{runs:?}");
    }

    /// A product that is an output as well is stored by its kernel, and a loop does the rest.
    fn what_a_products_kernel_does_is_what_a_loop_would_do() {
        let cuda = Cuda::new().expect("a driver");
        for (dtype, n) in [(DType::F32, 12), (DType::F32, 7), (DType::F16, 8), (DType::BF16, 3)] {
            let run = |apart: bool| {
                let b = Builder::new();
                let [x, w] = [("x", [70, 9]), ("w", [9, n])].map(|(name, shape)| b.input(name, &shape, dtype));
                let [gate, row] = [("gate", 70), ("row", 1)].map(|(name, rows)| b.input(name, &[rows, n], dtype));
                let product = x.matmul(w) + row;
                let y = (product * gate.gelu()).silu().exp() + gate;
                let outputs = if apart { vec![("y", y), ("product", product)] } else { vec![("y", y)] };
                let graph = b.finish(&outputs).expect("a graph");
                let plan = cuda.compile(&graph).expect("a plan");
                let store = cuda.upload(Params::new()).expect("a store");
                let mut state = plan.state(&store).expect("a state");
                let noise = |seed: usize, count: usize| -> Vec<f32> {
                    (0..count).map(|i| ((i * 29 + seed) % 31) as f32 / 15.0 - 1.0).collect()
                };
                let inputs = [noise(3, 70 * 9), noise(5, 9 * n), noise(7, 70 * n), noise(11, n)];
                let inputs: Vec<Slice<'_>> = inputs.iter().map(|x| Slice::F32(x)).collect();
                let (mut y, mut product) = (vec![0.0; 70 * n], vec![0.0; 70 * n]);
                let mut views = [SliceMut::F32(&mut y), SliceMut::F32(&mut product)];
                plan.run(&mut state, &store, &inputs, &mut views[..outputs.len()]).expect("a run");
                (plan.launches(), y.iter().map(|y| y.to_bits()).collect::<Vec<u32>>())
            };
            let ((together, have), (apart, want)) = (run(false), run(true));
            assert!(together < apart, "{together} {apart}");
            assert_eq!(have, want, "{dtype:?}, {n} columns");
        }
    }

    /// The columns of weights that do not change stand in pairs, so that the product's kernel has value and gate.
    fn what_a_products_kernel_makes_of_gates_is_what_a_loop_would_make() {
        let cuda = Cuda::new().expect("a driver");
        for (precision, half) in [(Precision::F32, 12), (Precision::F16, 16), (Precision::BF16, 72)] {
            let run = |fixed: bool| {
                let b = Builder::new();
                let x = b.input("x", &[70, 72], DType::F32);
                let weight = |name: &str, shape: &[usize]| match fixed {
                    true => b.param(name, shape, DType::F32, Init::Constant(0.0)),
                    false => b.input(name, shape, DType::F32),
                };
                let both = x.matmul(weight("w", &[72, 2 * half])) + weight("row", &[2 * half]);
                let y = both.slice(1, 0, half) * both.slice(1, half, 2 * half).gelu();
                let graph = b.finish(&[("y", y)]).expect("a graph").in_precision(precision);
                let plan = cuda.compile(&graph).expect("a plan");
                let noise = |seed: usize, count: usize| -> Vec<f32> {
                    (0..count).map(|i| ((i * 29 + seed) % 31) as f32 / 15.0 - 1.0).collect()
                };
                let (x, w, row) = (noise(3, 70 * 72), noise(5, 144 * half), noise(7, 2 * half));
                let mut params = Params::new();
                if fixed {
                    let tensor = |shape: &[usize], values: &[f32]| {
                        HostTensor::new(Shape::new(shape).expect("a shape"), values.to_vec()).expect("a tensor")
                    };
                    params.insert("w", tensor(&[72, 2 * half], &w));
                    params.insert("row", tensor(&[2 * half], &row));
                }
                let store = cuda.upload(params).expect("a store");
                let mut state = plan.state(&store).expect("a state");
                let inputs = [Slice::F32(&x), Slice::F32(&w), Slice::F32(&row)];
                let mut y = vec![0.0; 70 * half];
                let given = if fixed { &inputs[..1] } else { &inputs };
                plan.run(&mut state, &store, given, &mut [SliceMut::F32(&mut y)]).expect("a run");
                (plan.launch_names().collect::<Vec<_>>(), y.iter().map(|y| y.to_bits()).collect::<Vec<u32>>())
            };
            let ((together, have), (apart, want)) = (run(true), run(false));
            assert!(together.ends_with(&["gemm"]) && apart.ends_with(&["gemm", "loop"]), "{together:?} {apart:?}");
            assert_eq!(have, want, "{precision}, {half} columns");
        }
    }

    /// A product's kernel stores it in parts of other buffers, too, and in other types.
    fn what_a_products_kernel_stores_elsewhere_is_the_same() {
        let cuda = Cuda::new().expect("a driver");
        for precision in [Precision::F32, Precision::F16] {
            let b = Builder::new();
            let [x, w] = [("x", [70, 24]), ("w", [24, 20])].map(|(name, shape)| b.input(name, &shape, DType::F32));
            let z = b.input("z", &[70, 8], DType::F32);
            let y = x.matmul(w).silu();
            let both = z.concat(&[y], 1);
            let half = y.concat(&[z], 1).cast(DType::F16);
            let padded = y.pad(1, 4, 3);
            let outputs = [("y", y), ("both", both), ("half", half), ("padded", padded)];
            let graph = b.finish(&outputs).expect("a graph").in_precision(precision);
            let plan = cuda.compile(&graph).expect("a plan");
            let store = cuda.upload(Params::new()).expect("a store");
            let mut state = plan.state(&store).expect("a state");
            let noise = |seed: usize, count: usize| -> Vec<f32> {
                (0..count).map(|i| ((i * 29 + seed) % 31) as f32 / 15.0 - 1.0).collect()
            };
            let (x, w, z) = (noise(3, 70 * 24), noise(5, 24 * 20), noise(7, 70 * 8));
            let inputs = [Slice::F32(&x), Slice::F32(&w), Slice::F32(&z)];
            let (mut y, [mut both, mut half, mut padded]) = (vec![0.0; 1400], [28, 28, 27].map(|n| vec![0.0; 70 * n]));
            let mut outputs = [&mut y, &mut both, &mut half, &mut padded].map(|values| SliceMut::F32(values));
            plan.run(&mut state, &store, &inputs, &mut outputs).expect("a run");
            let rounded = |x: f32| DType::F16.round(f64::from(x)) as f32;
            for (row, y) in y.chunks(20).enumerate() {
                let (both, half, z) = (&both[row * 28..][..28], &half[row * 28..][..28], &z[row * 8..][..8]);
                assert_eq!((&both[..8], &both[8..]), (z, y));
                let padded = &padded[row * 27..][..27];
                assert_eq!((&padded[..4], &padded[4..24], &padded[24..]), (&[0.0; 4][..], y, &[0.0; 3][..]));
                assert!(half.iter().zip(y.iter().chain(z)).all(|(half, x)| *half == rounded(*x)), "{half:?}");
            }
        }
    }

    /// The norm is of the very numbers that the product's kernel stores, means large beside deviations or not.
    fn a_layer_norm_after_a_product_is_the_norm_of_what_was_stored() {
        let cuda = Cuda::new().expect("a driver");
        let (rows, width, eps) = (70, 640, 1e-5_f32);
        for (precision, dtype, centre) in
            [(Precision::F16, DType::F16, 0.0), (Precision::BF16, DType::BF16, 0.0), (Precision::F16, DType::F16, 500.0)]
        {
            let b = Builder::new();
            let x = b.input("x", &[rows, 24], DType::F32);
            let beside = b.input("beside", &[rows, width], DType::F32);
            let param = |name: &str, shape: &[usize], init| b.param(name, shape, DType::F32, init);
            let y = x.matmul(param("w", &[24, width], Init::Normal(1.0)));
            let y = y + param("row", &[width], Init::Normal(1.0)) + beside;
            let [gain, shift] = ["gain", "shift"].map(|name| param(name, &[width], Init::Normal(1.0)));
            let z = y.layer_norm(gain, shift, eps).cast(dtype);
            let graph = b.finish(&[("y", y), ("z", z)]).expect("a graph").in_precision(precision);
            let mut params = Params::new();
            params.initialise(graph.params(), 3);
            let weights = |name: &str| params.get(name).expect("weights").to_f32();
            let (gain, shift) = (weights("gain"), weights("shift"));
            let noise = |seed: usize, count: usize| (0..count).map(move |i| ((i * 29 + seed) % 31) as f32 / 15.0 - 1.0);
            let (x, beside): (Vec<f32>, Vec<f32>) =
                (noise(3, rows * 24).collect(), noise(5, rows * width).map(|x| x + centre).collect());
            let run = |cuda: &Cuda| {
                let plan = cuda.compile(&graph).expect("a plan");
                let store = cuda.upload(params.clone()).expect("a store");
                let mut state = plan.state(&store).expect("a state");
                let (mut y, mut z) = (vec![0.0; rows * width], vec![0.0; rows * width]);
                let mut outputs = [SliceMut::F32(&mut y), SliceMut::F32(&mut z)];
                plan.run(&mut state, &store, &[Slice::F32(&x), Slice::F32(&beside)], &mut outputs).expect("a run");
                for (y, z) in y.chunks(width).zip(z.chunks(width)) {
                    let mean = y.iter().map(|y| f64::from(*y)).sum::<f64>() / width as f64;
                    let squares = y.iter().map(|y| (f64::from(*y) - mean).powi(2)).sum::<f64>();
                    let deviation = (squares / width as f64 + f64::from(eps)).sqrt();
                    // The contracts' bounds: of the mean, of the deviation, and of the last rounding.
                    let unit = DType::F32.unit_roundoff();
                    let mean_error = 32.0 * unit * mean.abs().max(deviation) / deviation;
                    for (j, (y, z)) in y.iter().zip(z).enumerate() {
                        let scaled = (f64::from(*y) - mean) / deviation * f64::from(gain[j]);
                        let want = scaled + f64::from(shift[j]);
                        let error = scaled.abs() * (40.0 * unit + mean_error.powi(2))
                            + mean_error * f64::from(gain[j]).abs()
                            + 2.0 * unit * f64::from(shift[j]).abs();
                        let error = error + dtype.unit_roundoff() * (want.abs() + error) + 2.0_f64.powi(-25);
                        assert!((f64::from(*z) - want).abs() <= error, "{precision}: {z}, want {want} ± {error}");
                    }
                }
                plan.launches()
            };
            let (together, apart) = (run(&cuda), run(&cuda.clone().portable(true)));
            assert_eq!(together, if cuda.device().is_hopper() { apart - 1 } else { apart });
        }
    }

    /// As above, of norms in one launch and in two, stored in single and half precision.
    fn what_a_norms_kernel_does_is_what_a_loop_would_do() {
        let cuda = Cuda::new().expect("a driver");
        let store = cuda.upload(Params::new()).expect("a store");
        for ([n, h, w, c], layer, into) in [
            ([2, 3, 5, 24], false, DType::F32),
            ([2, 3, 5, 24], false, DType::BF16),
            ([1, 3, 5, 21], false, DType::F16),
            ([1, 40, 24, 32], false, DType::F16),
            ([1, 3, 5, 24], true, DType::F16),
            ([1, 3, 2, 35], true, DType::BF16),
        ] {
            let run = |apart: bool| {
                let b = Builder::new();
                let x = b.input("x", &[n, h, w, c], DType::F32);
                let [gain, bias] = ["gain", "bias"].map(|name| b.input(name, &[c], DType::F32));
                let scale = b.input("scale", &[n, 1, 1, c], DType::F32);
                let norm = match layer {
                    true => x.layer_norm(gain, bias, 1e-5),
                    false => x.group_norm(if c == 32 { 1 } else { 3 }, gain, bias, 1e-5).silu(),
                };
                let y = (norm * (scale + 1.0) + x).tanh().cast(into);
                let outputs = if apart { vec![("y", y), ("norm", norm)] } else { vec![("y", y)] };
                let plan = cuda.compile(&b.finish(&outputs).expect("a graph")).expect("a plan");
                let mut state = plan.state(&store).expect("a state");
                let noise = |seed: usize, count: usize| -> Vec<f32> {
                    (0..count).map(|i| ((i * 29 + seed) % 31) as f32 / 15.0 - 1.0).collect()
                };
                let count = n * h * w * c;
                let inputs = [noise(3, count), noise(5, c), noise(7, c), noise(11, n * c)];
                let inputs: Vec<Slice<'_>> = inputs.iter().map(|x| Slice::F32(x)).collect();
                let (mut y, mut norm) = (vec![0.0; count], vec![0.0; count]);
                let mut views = [SliceMut::F32(&mut y), SliceMut::F32(&mut norm)];
                plan.run(&mut state, &store, &inputs, &mut views[..outputs.len()]).expect("a run");
                (plan.launches(), y.iter().map(|y| y.to_bits()).collect::<Vec<u32>>())
            };
            let ((together, have), (apart, want)) = (run(false), run(true));
            assert!(together < apart, "{together} {apart}");
            assert_eq!(have, want, "{n}×{h}×{w}×{c} into {into:?}");
        }
    }

    /// What is prepared of parameters is prepared anew when another plan has replaced them, and for another store.
    fn what_parameters_alone_decide_follows_them() {
        let cuda = Cuda::new().expect("a driver");
        let b = Builder::new();
        let x = b.input("x", &[5, 8], DType::F32);
        let map = |name: &str| x.matmul(b.param(name, &[8, 6], DType::F32, Init::Normal(0.5)));
        let looks = b.finish(&[("y", map("v") * map("w").tanh())]).expect("a graph").in_precision(Precision::BF16);
        let b = Builder::new();
        let w = b.param("w", &[8, 6], DType::F32, Init::Normal(0.5));
        b.update(w, w * 0.5 + 0.25);
        let moves = b.finish(&[]).expect("a graph");
        let [look, step] = [&looks, &moves].map(|graph| cuda.compile(graph).expect("a plan"));
        // One product, and what follows; the weights are cast and put together before.
        assert_eq!(look.launch_names().filter(|name| *name == "gemm").count(), 1);
        assert!(look.launches() <= 3, "{}", look.launches());
        let mut params = Params::new();
        params.initialise(looks.params(), 1);
        let mut store = cuda.upload(params.clone()).expect("a store");
        let (mut state, mut stepping) = (look.state(&store).expect("a state"), step.state(&store).expect("a state"));
        let x: Vec<f32> = (0..40).map(|i| ((i * 29 + 3) % 31) as f32 / 15.0 - 1.0).collect();
        let mut run = |store: &CudaStore| {
            let mut y = [0.0; 30];
            look.run(&mut state, store, &[Slice::F32(&x)], &mut [SliceMut::F32(&mut y)]).expect("a run");
            y
        };
        let first = run(&store);
        assert_eq!(run(&store), first);
        step.update(&mut stepping, &mut store, &[], &mut []).expect("a step");
        let second = run(&store);
        assert_ne!(second, first);
        let fresh = cuda.upload(cuda.download(&store).expect("the weights")).expect("a store");
        assert_eq!([run(&fresh), run(&store), run(&store)], [second; 3]);
        assert_eq!(run(&cuda.upload(params).expect("a store")), first);
    }

    fn products_in_half_precision_stay_near_single_precision() {
        let cuda = Cuda::new().expect("a driver");
        let b = Builder::new();
        let x = b.input("x", &[19, 33], DType::F32);
        let w = b.param("w", &[33, 17], DType::F32, Init::Normal(0.2));
        let graph = b.finish(&[("y", x.matmul(w).tanh())]).expect("a graph");
        let mut params = Params::new();
        params.initialise(graph.params(), 1);
        let x: Vec<f32> = (0..19 * 33).map(|i| ((i * 29 + 3) % 31) as f32 / 15.0 - 1.0).collect();
        let run = |graph: &Graph| {
            let plan = cuda.compile(graph).expect("a plan");
            let store = cuda.upload(params.clone()).expect("a store");
            let mut state = plan.state(&store).expect("a state");
            let mut y = vec![0.0; 19 * 17];
            plan.run(&mut state, &store, &[Slice::F32(&x)], &mut [SliceMut::F32(&mut y)]).expect("a run");
            y
        };
        let single = run(&graph);
        for (precision, unit) in [(Precision::F16, 4.9e-4), (Precision::BF16, 3.9e-3)] {
            let half = run(&graph.in_precision(precision));
            let worst = single.iter().zip(&half).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst > 0.0 && worst < 8.0 * unit, "{precision}: {worst}");
        }
    }
}
