//! Plans by whichever of the kernels that can compute something, as a table has it: on the emulator's driver, or with
//! `YURAGI_TEST_ON_GPU` on the machine's own.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;

use yuragi_cuda::{Cuda, CudaPlan, CudaStore, kernels::picks::Picks};
use yuragi_graph::{
    Backend, Builder, CompileError, DType, Graph, Init, Node, Params, Precision, RunError, Shape,
    op::{Fused, Window},
};
use yuragi_tests::{on_a_driver, suite::Suite};

/// Takes, of the kernels that can compute something, the one of this number; after the last the first again.
struct Nth(Cuda, usize);

impl Nth {
    fn picks(&self, graph: &Graph) -> Result<Picks, CompileError> {
        let mut picks = Picks::default();
        for (key, picked) in self.0.picked(graph)? {
            let ways = picked.sensible(self.0.machine()).expect("kernels");
            if !ways.is_empty() {
                picks.insert(key, ways[self.1 % ways.len()].0.clone(), 1e-6);
            }
        }
        Ok(picks)
    }
}

impl Backend for Nth {
    type Store = CudaStore;
    type Plan = CudaPlan;

    fn claims(&self, op: &Fused, node: &Node, operands: &[Shape]) -> bool {
        self.0.claims(op, node, operands)
    }

    fn compile(&self, graph: &Graph) -> Result<CudaPlan, CompileError> {
        self.0.clone().picks(self.picks(graph)?).compile(graph)
    }

    fn upload(&self, params: Params) -> Result<CudaStore, RunError> {
        self.0.upload(params)
    }

    fn download(&self, store: &CudaStore) -> Result<Params, RunError> {
        self.0.download(store)
    }
}

/// A convolution, attention and a product, in f16.
fn network() -> Graph {
    let b = Builder::new();
    let x = b.input("x", &[1, 8, 8, 16], DType::F32);
    let param = |name: &str, shape: &[usize]| b.param(name, shape, DType::F32, Init::Normal(0.1));
    let h = x.conv2d(param("kernel", &[3, 3, 16, 16]), Window::same(3)).reshape(&[1, 64, 16]);
    let h = h.attention(h, h, None, 0.25).matmul(param("w", &[16, 24]));
    b.finish(&[("h", h)]).unwrap().in_precision(Precision::F16)
}

on_a_driver! {
    fn every_pick_stays_within_every_bound() {
        for (filter, numbers) in [("matmul f16", 1..8), ("conv2d f16", 1..8), ("attention f16", 1..8), ("matmul f32", 1..2)] {
            for number in numbers {
                let report = Suite::new().filter(filter).run(&Nth(Cuda::new().expect("a driver"), number));
                assert!(report.passed(), "{number}: {report}");
            }
        }
    }

    fn every_kernel_is_measured() {
        let cuda = Cuda::new().expect("a driver");
        let all = cuda.picked(&network()).expect("a plan");
        let families: BTreeSet<&str> = all.keys().filter_map(|key| key.split(' ').next()).collect();
        assert_eq!(families.into_iter().collect::<Vec<_>>(), ["attention", "conv2d", "gemm"], "{:?}", all.keys());
        for (key, picked) in &all {
            let measured = cuda.measure(picked).expect("times");
            let ways = picked.sensible(cuda.machine()).expect("kernels");
            assert!(ways.len() > 2 && measured.len() == ways.len(), "{key}");
            assert!(ways.iter().all(|(way, _)| measured.iter().any(|(pick, _)| pick == way)), "{key}");
            assert!(measured.iter().all(|(_, seconds)| *seconds > 0.0) && measured.is_sorted_by_key(|(_, s)| *s), "{key}");
        }
    }
}
