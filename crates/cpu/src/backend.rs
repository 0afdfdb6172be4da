use alloc::sync::Arc;
use core::fmt;

use yuragi_graph::{Backend, CompileError, Graph, HostTensor, Node, Params, RunError, Shape, Storage, op::Fused};

use crate::{
    kernels,
    lower::lower,
    plan::{CpuPlan, Residency},
    simd::Level,
    threads::{Executor, Threads},
};

/// This machine's processor.
#[derive(Clone)]
pub struct Cpu {
    level: Level,
    pool: Threads,
    winograd: bool,
    recompute: bool,
    residency: Residency,
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cpu").field("level", &self.level).field("threads", &self.threads()).finish()
    }
}

impl Default for Cpu {
    fn default() -> Cpu {
        Cpu::new()
    }
}

impl Cpu {
    /// All that the processor has: its widest vectors and, with feature `std`, every core.
    pub fn new() -> Cpu {
        #[cfg(feature = "std")]
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        #[cfg(not(feature = "std"))]
        let threads = 1;
        Cpu::with_threads(threads)
    }

    /// So many threads, the caller's included (at least 1). The results are the same for any number.
    pub fn with_threads(threads: usize) -> Cpu {
        Cpu::of(Threads::new(threads))
    }

    /// The caller's own threads instead of ours. The results are the same, to the last bit; a run allocates nothing
    /// beside what the executor does.
    pub fn on(executor: Arc<dyn Executor>) -> Cpu {
        Cpu::of(Threads::on(executor))
    }

    fn of(pool: Threads) -> Cpu {
        let level = Level::detect();
        Cpu { level, pool, winograd: false, recompute: true, residency: Residency::default() }
    }

    /// Whether 3×3 convolutions in single precision and their gradients are computed by minimal filtering where that pays
    /// ([`Graph::with_winograd`]): two to three times as fast, with larger rounding errors. Without a call, they are not.
    #[must_use]
    pub fn winograd(self, minimal: bool) -> Cpu {
        Cpu { winograd: minimal, ..self }
    }

    /// Whether plans that update parameters compute cheap values again instead of keeping them
    /// ([`Graph::recomputed`]): up to half the memory, in about the same time: where gradients wait for their norm,
    /// those of many weights and few rows are multiplied twice. Without a call, they do.
    #[must_use]
    pub fn recompute(self, again: bool) -> Cpu {
        Cpu { recompute: again, ..self }
    }

    /// When the memory of parameters that a store borrows is given back. Without a call, with a plan's state.
    #[must_use]
    pub fn residency(self, residency: Residency) -> Cpu {
        Cpu { residency, ..self }
    }

    /// The number of threads that work, the caller's included.
    pub fn threads(&self) -> usize {
        self.pool.count()
    }
}

impl Backend for Cpu {
    type Store = Params;
    type Plan = CpuPlan;

    fn claims(&self, op: &Fused, node: &Node, _operands: &[Shape]) -> bool {
        match op {
            Fused::Softmax
            | Fused::LayerNorm { .. }
            | Fused::GroupNorm { .. }
            | Fused::GroupRunMoments { .. }
            | Fused::GroupNormPart { .. } => true,
            Fused::Attention { .. } => node.inputs.len() == 3,
            Fused::Winograd(_) => true,
            Fused::AttentionLogSum { .. } => node.inputs.len() == 2,
            Fused::AttentionGrad { .. } => node.inputs.len() == 6,
            Fused::LayerNormSums { .. }
            | Fused::LayerNormGrad { .. }
            | Fused::GroupMoments { .. }
            | Fused::GroupNormSums { .. }
            | Fused::GroupNormGrad { .. } => false,
        }
    }

    fn compile(&self, graph: &Graph) -> Result<CpuPlan, CompileError> {
        let graph = if self.winograd { &graph.with_winograd(kernels::Winograd::pays) } else { graph };
        let graph = graph.expanded(|op, node, operands| self.claims(op, node, operands));
        let graph = if self.recompute && !graph.updates().is_empty() { graph.recomputed() } else { graph };
        let lowered = lower(&graph, self.level, self.pool.count())?;
        Ok(CpuPlan::new(graph, lowered, self.pool.clone(), self.residency))
    }

    fn upload(&self, mut params: Params) -> Result<Params, RunError> {
        let count = params.iter().len();
        for place in 0..count {
            let Some(tensor) = params.at_mut(place) else { continue };
            let is_readable = match tensor.storage() {
                Storage::F32(_) => true,
                Storage::Shared(bytes, range) => {
                    let start = (**bytes).as_ref().as_ptr().addr() + range.start;
                    tensor.dtype().size() != 4 || start.is_multiple_of(4)
                }
                Storage::Groups(_) => false,
            };
            if !is_readable && let Some(owned) = HostTensor::rounded(tensor.shape(), tensor.dtype(), tensor.to_f32()) {
                *tensor = owned;
            }
        }
        Ok(params)
    }

    fn download(&self, store: &Params) -> Result<Params, RunError> {
        Ok(store.clone())
    }
}
