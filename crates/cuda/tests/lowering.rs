//! Graphs become launches without a driver.

use yuragi_cuda::{
    kernels::{picks::Picks, product::Machine, ptx},
    launch::{Argument, Code, Home},
    lower::{Lowered, Target, arranged, claims, lower},
};
use yuragi_graph::{Builder, DType, Graph, Init, Precision, Tensor, op::Window};

fn target() -> Target<'static> {
    Target::new(Machine { multiprocessors: 132, hopper: false })
}

fn lowered(graph: &Graph) -> Lowered {
    lower(&graph.expanded(claims), target()).unwrap()
}

/// A little of everything: convolution, norms, attention, a table of rows, noise, a reduction and an update.
fn network() -> Graph {
    let b = Builder::new();
    let param = |name: &str, shape: &[usize]| b.param(name, shape, DType::F32, Init::Normal(0.1));
    let x = b.input("x", &[2, 8, 8, 16], DType::F32);
    let ids = b.input("ids", &[2, 5], DType::I32);
    let key = b.input("key", &[2], DType::U32);
    let h = x.group_norm(4, param("gain", &[16]), param("shift", &[16]), 1e-5).silu();
    let h = h.conv2d(param("kernel", &[3, 3, 16, 16]), Window::same(3)) + param("bias", &[16]);
    let tokens = param("table", &[11, 16]).gather(ids);
    let h = h.reshape(&[2, 64, 16]);
    let h = h + h.attention(tokens, tokens, None, 0.25);
    let noise = b.random(yuragi_graph::op::Distribution::Normal, key, 3, &[2, 64, 16]);
    let h = (h + noise).layer_norm(param("g", &[16]), param("s", &[16]), 1e-5);
    let loss = (h.matmul(param("w", &[16, 4])).softmax() + 1e-3).ln().mean_all();
    let w = b.find_param("w").unwrap();
    b.update(w, w - b.grad(loss, &[w])[0] * 0.1);
    b.finish(&[("loss", loss)]).unwrap()
}

#[test]
fn every_kernel_stands_in_its_file() {
    for precision in Precision::ALL {
        let lowered = lowered(&network().in_precision(*precision));
        assert!(lowered.launches.len() > 5);
        for launch in &lowered.launches {
            let text = match launch.code {
                Code::Shipped(stem) => ptx(stem),
                Code::Emitted | Code::Table => &lowered.module,
                Code::Spliced(number) => &lowered.spliced[number],
            };
            let entry = format!(".entry {}(", launch.function);
            assert!(text.contains(&entry), "{}: no {}", launch.name, launch.function);
        }
    }
}

#[test]
fn plans_launch_what_was_picked() {
    let b = Builder::new();
    let param = |name: &str, shape: &[usize]| b.param(name, shape, DType::F32, Init::Normal(0.1));
    let x = b.input("x", &[2, 8, 8, 16], DType::F32);
    let h = (x.conv2d(param("kernel", &[3, 3, 16, 16]), Window::same(3)) + param("bias", &[16])).silu();
    let h = h.reshape(&[2, 64, 16]);
    let h = h + h.attention(h, h, None, 0.25);
    let h = h.matmul(param("w", &[16, 48])).silu().matmul(param("v", &[48, 24]));
    let graph = b.finish(&[("h", h)]).unwrap().in_precision(Precision::F16);

    let target = Target::new(Machine { multiprocessors: 132, hopper: true });
    let rule = lower(&arranged(&graph, target), target).unwrap();
    let (mut picks, mut wanted) = (Picks::default(), Vec::new());
    for picked in &rule.picked {
        let ways = picked.sensible(target.machine).unwrap();
        let is_rule = |pick| picked.rule(target.machine).as_ref() == Some(pick);
        let (other, launches) = ways.iter().rfind(|(pick, _)| !is_rule(pick)).unwrap();
        picks.insert(picked.key(), other.clone(), 1e-6);
        wanted.push(launches.launches[0].function.clone());
    }
    wanted.sort();
    assert_eq!(wanted, ["attention_f16_256", "conv2d_f16_any_64x64", "gemm_f16_any_64x64", "gemm_f16_any_64x64"]);
    let target = Target { picks: &picks, ..target };
    let tuned = lower(&arranged(&graph, target), target).unwrap();
    assert_eq!(tuned.picked, rule.picked);
    // Copies of kernels with code of the graph have longer names.
    let launched = |lowered: &Lowered, name: &str| lowered.launches.iter().any(|of| of.function.starts_with(name));
    assert!(wanted.iter().all(|name| launched(&tuned, name) && !launched(&rule, name)));
    assert!(tuned.launches.iter().all(|launch| !launch.function.contains("wgmma")));
}

#[test]
fn equal_graphs_become_equal_launches() {
    let (a, b) = (lowered(&network()), lowered(&network()));
    assert_eq!((&a.launches, &a.module, a.arena), (&b.launches, &b.module, b.arena));
}

#[test]
fn every_address_lies_in_its_block() {
    let graph = network().expanded(claims);
    let lowered = lower(&graph, target()).unwrap();
    for launch in &lowered.launches {
        for argument in &launch.arguments {
            let Some(address) = argument.address() else { continue };
            let (start, bytes) = match address.home {
                Home::Arena(at) => (at, lowered.arena),
                Home::Param(param) => {
                    let spec = &graph.params()[param];
                    (0, spec.shape.count() * spec.dtype.size())
                }
                Home::Literal(literal) => (0, graph.literals()[literal].len() * 4),
                Home::Scratch(_) => panic!("{}: working memory without a place", launch.name),
            };
            assert!(start + address.offset < bytes, "{}: {address:?} in {bytes} bytes", launch.name);
        }
    }
}

#[test]
fn half_precision_halves_the_memory_of_products() {
    let bytes = |precision| {
        let b = Builder::new();
        let x = b.input("x", &[64, 256], DType::F32);
        let w = b.param("w", &[256, 256], DType::F32, Init::Normal(0.1));
        let y = x.matmul(w).relu().matmul(w).relu().matmul(w).sum(&[1]);
        lowered(&b.finish(&[("y", y)]).unwrap().in_precision(precision)).arena
    };
    assert!(bytes(Precision::BF16) < bytes(Precision::F32), "{} {}", bytes(Precision::BF16), bytes(Precision::F32));
}

/// How many of the launches are loops over elements.
fn loops(names: &[&str]) -> usize {
    names.iter().filter(|name| ["loop", "cast", "copy", "loop"].contains(name)).count()
}

#[test]
fn heads_are_read_and_written_where_projections_have_them() {
    let kernels = |precision, train: bool| {
        let b = Builder::new();
        let param = |name: &str| b.param(name, &[32, 32], DType::F32, Init::Normal(0.1));
        let x = b.input("x", &[2, 64, 32], DType::F32);
        let head = |name: &str| x.matmul(param(name)).reshape(&[2, 64, 4, 8]).permute(&[0, 2, 1, 3]);
        let y = head("q").attention(head("k"), head("v"), None, 0.25);
        let y = y.permute(&[0, 2, 1, 3]).reshape(&[2, 64, 32]).matmul(param("out"));
        let output = if train { b.grad(y.sum_all(), &[x])[0] } else { y };
        let lowered = lowered(&b.finish(&[("y", output)]).unwrap().in_precision(precision));
        lowered.launches.iter().map(|launch| launch.name).collect::<Vec<_>>()
    };
    let all = kernels(Precision::F32, false);
    assert_eq!(all, ["gemm", "gemm", "gemm", "attention", "gemm"]);
    let all = kernels(Precision::BF16, false);
    assert_eq!(all.iter().filter(|name| **name == "gemm").count(), 4);
    // What is cast: the input, four weights, the result.
    assert!(loops(&all) <= 6, "{all:?}");
    let all = kernels(Precision::F32, true);
    let gradients = all.iter().filter(|name| name.starts_with("attention_") && name.ends_with("_grad")).count();
    assert_eq!(gradients, 3, "{all:?}");
    // The gradient of the sum, the result for the sum of g∘y, that sum, and what is added of three operands.
    assert!(loops(&all) <= 4, "{all:?}");
}

#[test]
fn one_launch_gives_the_gradients_for_keys_and_values_where_groups_of_warps_multiply() {
    let gradients = |hopper: bool, precision, heads: usize, wanted: &[&str]| {
        let b = Builder::new();
        let param = |name: &str| b.param(name, &[32, 32], DType::F32, Init::Normal(0.1));
        let x = b.input("x", &[2, 64, 32], DType::F32);
        let head = |name: &str| x.matmul(param(name)).reshape(&[2, 64, heads, 32 / heads]).permute(&[0, 2, 1, 3]);
        let y = head("q").attention(head("k"), head("v"), None, 0.25);
        let y = y.permute(&[0, 2, 1, 3]).reshape(&[2, 64, 32]).matmul(param("out"));
        let params: Vec<_> = wanted.iter().map(|name| b.find_param(name).unwrap()).collect();
        let gradients = b.grad(y.sum_all(), &params);
        let outputs: Vec<_> = wanted.iter().copied().zip(gradients).collect();
        let graph = b.finish(&outputs).unwrap().in_precision(precision);
        let target = Target::new(Machine { multiprocessors: 132, hopper });
        let lowered = lower(&arranged(&graph, target), target).unwrap();
        let mut names: Vec<_> = lowered.launches.iter().map(|launch| launch.name).collect();
        names.retain(|name| name.starts_with("attention_") && name.ends_with("_grad"));
        names.sort_unstable();
        names
    };
    let apart = ["attention_key_grad", "attention_query_grad", "attention_value_grad"];
    let together = ["attention_key_value_grad", "attention_query_grad"];
    for precision in [Precision::F16, Precision::BF16] {
        assert_eq!(gradients(true, precision, 4, &["q", "k", "v"]), together);
        assert_eq!(gradients(true, precision, 4, &["k"]), ["attention_key_value_grad"]);
        assert_eq!(gradients(false, precision, 4, &["q", "k", "v"]), apart);
        assert_eq!(gradients(true, precision, 8, &["q", "k", "v"]), apart);
    }
    assert_eq!(gradients(true, Precision::F32, 4, &["q", "k", "v"]), apart);
}

#[test]
fn what_parameters_alone_decide_is_prepared_once() {
    let b = Builder::new();
    let param = |name: &str, shape: &[usize]| b.param(name, shape, DType::F16, Init::Normal(0.1));
    let x = b.input("x", &[2, 8, 8, 16], DType::F16);
    let filters = param("kernel", &[16, 16, 3, 3]).permute(&[2, 3, 1, 0]);
    let h = x.conv2d(filters, Window::same(3)).reshape(&[128, 16]);
    let head = |name: &str| h.matmul(param(name, &[16, 16])).reshape(&[2, 64, 2, 8]).permute(&[0, 2, 1, 3]);
    let y = head("q").attention(head("k"), head("v"), None, 0.25);
    let graph = b.finish(&[("y", y)]).unwrap().expanded(claims).joined();
    let small = Target::new(Machine { multiprocessors: 1, hopper: false });
    let lowered = lower(&graph, small).unwrap();
    let names: Vec<_> = lowered.launches.iter().map(|launch| launch.name).collect();
    // The kernel permuted and the three matrices put side by side; a product for all three.
    let (once, always) = names.split_at(lowered.prepared);
    assert!(!once.is_empty() && once.iter().all(|name| *name == "copy"), "{names:?}");
    assert_eq!(always, ["conv2d", "gemm", "attention"]);
    let of_params = lowered.launches[lowered.prepared..].iter().flat_map(|launch| &launch.arguments);
    assert_eq!(of_params.filter_map(Argument::param).count(), 0);
}

#[test]
fn a_group_norm_and_its_activation_are_one() {
    let b = Builder::new();
    let x = b.input("x", &[2, 8, 8, 16], DType::F32);
    let channels = b.param("c", &[16], DType::F32, Init::Constant(1.0));
    let graph = b.finish(&[("y", x.group_norm(4, channels, channels, 1e-5).silu())]).unwrap();
    let lowered = lowered(&graph);
    assert_eq!(lowered.launches.iter().map(|launch| launch.name).collect::<Vec<_>>(), ["group_norm_silu"]);
}

/// The launches of a product followed by something.
fn following(follow: impl for<'g> Fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>) -> Vec<&'static str> {
    let b = Builder::new();
    let x = b.input("x", &[2, 8, 8, 16], DType::F32);
    let kernel = b.param("kernel", &[3, 3, 16, 16], DType::F32, Init::Normal(0.1));
    let y = follow(x.conv2d(kernel, Window::same(3)), x);
    let graph = b.finish(&[("y", y)]).unwrap().expanded(claims);
    // So small a machine that blocks share no sums.
    let small = Target::new(Machine { multiprocessors: 1, hopper: false });
    lower(&graph, small).unwrap().launches.iter().map(|launch| launch.name).collect()
}

#[test]
fn products_do_what_follows_element_by_element() {
    assert_eq!(following(|y, x| (y.silu() + x) * x.gelu()), ["conv2d"]);
    assert_eq!(following(|y, x| y + x.slice(1, 0, 1).slice(2, 0, 1)), ["conv2d"]);
}

#[test]
fn products_store_what_else_follows_from_them() {
    // A picture of its own, cast, and as a part of another in both types.
    let names = following(|y, x| {
        let both = y.silu().concat(&[x], 3);
        both.cast(DType::F16).cast(DType::F32).exp().sum(&[3]) + both.sum(&[3])
    });
    assert_eq!(names.iter().filter(|name| **name != "reduce").collect::<Vec<_>>(), [&"conv2d", &"copy", &"loop"]);
}

#[test]
fn gates_are_what_products_end_with() {
    let gated = |half: usize| {
        let b = Builder::new();
        let x = b.input("x", &[2, 5, 16], DType::F32);
        let w = b.param("w", &[2 * half, 16], DType::F32, Init::Normal(0.1));
        let row = b.param("row", &[2 * half], DType::F32, Init::Normal(0.1));
        let both = x.reshape(&[10, 16]).matmul(w.transpose()).reshape(&[2, 5, 2 * half]) + row;
        let y = both.slice(2, 0, half) * both.slice(2, half, 2 * half).gelu();
        let graph = b.finish(&[("y", y.reshape(&[10, half]).exp())]).unwrap();
        let target = Target::new(Machine { multiprocessors: 1, hopper: false });
        let lowered = lower(&arranged(&graph, target), target).unwrap();
        lowered.launches[lowered.prepared..].iter().map(|launch| launch.name).collect::<Vec<_>>()
    };
    assert_eq!(gated(12), ["gemm"]);
    // Kernels hold four columns together.
    assert_eq!(gated(9), ["gemm", "loop"]);
}

#[test]
fn what_parameters_decide_can_be_left_out_of_memory() {
    let b = Builder::new();
    let x = b.input("x", &[64, 256], DType::F32);
    let weights = |n: usize| b.param(&format!("w{n}"), &[256, 256], DType::F32, Init::Normal(0.1));
    let y = (0..8).fold(x, |y, n| y.matmul(weights(n)).tanh());
    let graph = b.finish(&[("y", y)]).unwrap().in_precision(Precision::F16);
    let arena = |prepares| {
        let target = Target { prepares, ..target() };
        let lowered = lower(&arranged(&graph, target), target).unwrap();
        (lowered.arena, lowered.prepared)
    };
    let ((kept, once), (low, none)) = (arena(true), arena(false));
    assert!(once > 0 && none == 0, "{once} {none}");
    assert!(kept > 8 * 2 * 256 * 256 && low < kept / 2, "{kept} {low}");
}

#[test]
fn loops_that_need_more_than_one_element_of_a_product_stay_loops() {
    assert_eq!(following(|y, x| y.permute(&[0, 2, 1, 3]) + x), ["conv2d", "loop"]);
    assert_eq!(following(|y, _| y.slice(3, 0, 8) * y.slice(3, 8, 16)), ["conv2d", "loop"]);
    assert_eq!(following(|y, _| y.silu().sum(&[1])).len(), 2);
}

#[test]
fn a_product_of_many_launches_is_followed_by_a_loop() {
    let b = Builder::new();
    let x = b.input("x", &[70_000, 2, 3], DType::F32);
    let y = (x.matmul(x.permute(&[0, 2, 1])) * 2.0).exp();
    let lowered = lowered(&b.finish(&[("y", y)]).unwrap());
    let names: Vec<_> = lowered.launches.iter().map(|launch| launch.name).filter(|name| *name != "zero").collect();
    assert!(names.ends_with(&["gemm", "gemm", "loop"]), "{names:?}");
}

#[test]
fn a_product_of_many_launches_is_stored_where_it_belongs_and_elsewhere() {
    let b = Builder::new();
    let x = b.input("x", &[70_000, 4, 4], DType::F32);
    let y = x.matmul(x);
    let graph = b.finish(&[("y", y), ("half", y.cast(DType::F16))]).unwrap();
    let lowered = lowered(&graph);
    let mut written = Vec::new();
    for launch in lowered.launches.iter().filter(|launch| launch.name != "zero") {
        written.extend(launch.arguments.iter().filter_map(Argument::address).map(|address| address.home));
    }
    for (output, &at) in graph.outputs().iter().zip(&lowered.outputs) {
        assert!(written.contains(&Home::Arena(at)), "{} at {at}: {written:?}", output.name);
    }
}

#[test]
fn layer_norms_are_of_the_product_before_them_where_blocks_form_clusters() {
    let names = |hopper: bool, width: usize, precision: Precision, known: bool| {
        let b = Builder::new();
        let x = b.input("x", &[128, width], DType::F32);
        let param = |name: &str, shape: &[usize]| b.param(name, shape, DType::F32, Init::Normal(0.1));
        let gain = if known { param("gain", &[width]) } else { b.input("gain", &[width], DType::F32).exp() };
        let h = x + x.matmul(param("w", &[width, width])) + param("row", &[width]);
        let z = h.layer_norm(gain, param("shift", &[width]), 1e-5);
        let y = h + z.matmul(param("v", &[width, width]).transpose());
        let graph = b.finish(&[("y", y)]).unwrap().in_precision(precision);
        let target = Target::new(Machine { multiprocessors: 132, hopper });
        let lowered = lower(&arranged(&graph, target), target).unwrap();
        let names = lowered.launches[lowered.prepared..].iter().map(|launch| launch.name);
        names.filter(|name| !["cast", "copy", "loop"].contains(name)).collect::<Vec<_>>()
    };
    assert_eq!(names(true, 320, Precision::F16, true), ["gemm, layer_norm", "gemm"]);
    assert_eq!(names(true, 1280, Precision::BF16, true), ["gemm, layer_norm", "gemm"]);
    let apart = ["gemm", "layer_norm", "gemm"];
    assert_eq!(names(false, 320, Precision::F16, true), apart);
    assert_eq!(names(true, 480, Precision::F16, true), apart);
    assert_eq!(names(true, 320, Precision::F32, true), apart);
    assert_eq!(names(true, 320, Precision::F16, false), apart);
}
