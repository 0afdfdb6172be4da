//! Matrix products: `kernels/gemm_*.cu`.

use yuragi_graph::{DType, op::MatMul};

use super::product::{self, Choice, Factors, Fetch, Machine, Pick, ProductError, Sizes, Tile};
use crate::launch::{Address, Argument, Axis, Code, Launch, Launches, Tensor};

/// A batch of matrices, row-major, with contiguous rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrices {
    /// The first element.
    pub at: Address,
    /// Elements from one stored row to the next.
    pub pitch: usize,
    /// Elements from one matrix to the next; 0 where all share one.
    pub stride: usize,
}

impl Matrices {
    /// Contiguous matrices of so many stored rows and columns.
    pub const fn contiguous(at: Address, rows: usize, columns: usize) -> Matrices {
        Matrices { at, pitch: columns, stride: rows * columns }
    }

    /// One matrix for the whole batch.
    pub const fn shared(self) -> Matrices {
        Matrices { stride: 0, ..self }
    }
}

/// C = A·B for a batch of matrices, plus a row of biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// Matrices of the batch; with 0 nothing is launched.
    pub batch: usize,
    /// Rows of C; with 0 nothing is launched.
    pub m: usize,
    /// Columns of C; with 0 nothing is launched.
    pub n: usize,
    /// Columns of A and rows of B; with 0 all sums are 0.
    pub k: usize,
    /// Which factors are stored transposed.
    pub op: MatMul,
    /// m × k, stored k × m if transposed.
    pub a: Matrices,
    /// k × n, stored n × k if transposed.
    pub b: Matrices,
    /// m × n.
    pub c: Matrices,
    /// n numbers of C's type, added to each row after its sums are rounded to that type.
    pub bias: Option<Address>,
    /// Type and arithmetic of A and B.
    pub factors: Factors,
    /// Type of C and of the biases: `F32`, or the factors'.
    pub result: DType,
}

/// Blocks along y and z of a grid.
const MOST_BLOCKS: usize = 65_535;

impl Gemm {
    /// The launches, with the tile shape and the number of shares that suit the machine.
    ///
    /// # Errors
    ///
    /// An extent of 2^29 or more; a result of another type than the factors or `F32`.
    pub fn launches(&self, machine: Machine) -> Result<Launches, ProductError> {
        self.picked(machine, None)
    }

    /// The same, as it was picked, if that can be.
    pub(super) fn picked(&self, machine: Machine, pick: Option<&Pick>) -> Result<Launches, ProductError> {
        self.check()?;
        let picked = pick.and_then(|pick| pick.among(&self.choices(machine)));
        let choice = picked.or_else(|| self.choice(machine));
        choice.map_or_else(|| Ok(Launches::default()), |choice| self.launch(machine, choice))
    }

    /// What should be the fastest.
    pub(super) fn choice(&self, machine: Machine) -> Option<Choice> {
        let choice = product::choose(machine, self.factors, &self.ways(machine), self.sizes())?;
        Some(if self.can_share() { choice } else { Choice { shares: 1, ..choice } })
    }

    /// Every way among which the fastest may be.
    pub(super) fn sensible(&self, machine: Machine) -> Result<Vec<(Pick, Launches)>, ProductError> {
        self.check()?;
        let launched = |choice: Choice| Ok((choice.into(), self.launch(machine, choice)?));
        self.choices(machine).into_iter().map(launched).collect()
    }

    fn choices(&self, machine: Machine) -> Vec<Choice> {
        let ways = self.ways(machine);
        let choices = product::sensible(machine, self.factors, &ways, self.sizes());
        choices.filter(|choice| choice.shares == 1 || self.can_share()).collect()
    }

    const fn sizes(&self) -> Sizes {
        Sizes { batch: self.batch, m: self.m, n: self.n, k: self.k }
    }

    /// Whether C is one row of numbers: shares are added as if it were.
    const fn can_share(&self) -> bool {
        self.c.pitch == self.n && (self.batch == 1 || self.c.stride == self.m * self.n)
    }

    /// What is multiplied, in words.
    pub(super) fn key(&self) -> String {
        let Gemm { batch, m, n, k, factors, result, op, .. } = *self;
        let [a, b] = [op.transpose_a, op.transpose_b].map(|transposed| if transposed { 't' } else { 'n' });
        let is_one = |x: Matrices| x.stride == 0 && batch > 1;
        let words = [(is_one(self.a), " of one a"), (is_one(self.b), " of one b"), (!self.can_share(), " apart")];
        let words: String = words.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
        let fetched = product::fetched(factors, &self.ways(Machine::ABLE));
        format!("gemm {} {result} {a}{b} {batch} {m} {n} {k}{words}{fetched}", factors.name())
    }

    /// Bytes of A, B, C and the biases.
    pub(super) fn bytes(&self) -> [usize; 4] {
        let span = |x: Matrices, [rows, columns]: [usize; 2]| {
            self.batch.saturating_sub(1) * x.stride + rows.saturating_sub(1) * x.pitch + columns
        };
        let a = if self.op.transpose_a { [self.k, self.m] } else { [self.m, self.k] };
        let b = if self.op.transpose_b { [self.n, self.k] } else { [self.k, self.n] };
        let (factor, result) = (self.factors.dtype().size(), self.result.size());
        let c = span(self.c, [self.m, self.n]) * result;
        [span(self.a, a) * factor, span(self.b, b) * factor, c, self.n * result]
    }

    /// The launches for every tile shape, alone and shared by three blocks: what a test should try.
    ///
    /// # Errors
    ///
    /// As for [`Gemm::launches`].
    pub fn variants(&self, machine: Machine) -> Result<Vec<Launches>, ProductError> {
        self.check()?;
        product::choices(self.factors, &self.ways(machine)).map(|choice| self.launch(machine, choice)).collect()
    }

    fn check(&self) -> Result<(), ProductError> {
        product::check_result(self.factors, self.result)
    }

    /// How the factors can be fetched. There is no kernel that takes two transposed ones in chunks.
    fn ways(&self, machine: Machine) -> Vec<Fetch> {
        let aligned = |x: Matrices| product::is_aligned(x.at, &[x.pitch, x.stride]);
        let chunks = aligned(self.a) && aligned(self.b) && !(self.op.transpose_a && self.op.transpose_b);
        let boxes = machine.hopper && self.tensors([64; 3]).is_some();
        product::ways(chunks, boxes)
    }

    /// The factors, in boxes for these tiles.
    pub(super) fn tensors(&self, [m, n, terms]: [usize; 3]) -> Option<[Tensor; 2]> {
        // Neighbours in memory, rows, matrices; of a box 64 terms, or 64 neighbours of the result.
        let tensor = |x: Matrices, [rows, columns]: [usize; 2], length: usize| {
            let (batch, stride) = match x.stride {
                0 => (1, rows * x.pitch),
                stride => (self.batch, if self.batch == 1 { rows * x.pitch } else { stride }),
            };
            let axes = vec![
                Axis { extent: columns, stride: 1, length: terms },
                Axis { extent: rows, stride: x.pitch, length },
                Axis { extent: batch, stride, length: 1 },
            ];
            Tensor::new(x.at, self.factors.dtype(), axes)
        };
        let a = match self.op.transpose_a {
            false => tensor(self.a, [self.m, self.k], m),
            true => tensor(self.a, [self.k, self.m], terms),
        };
        let b = match self.op.transpose_b {
            false => tensor(self.b, [self.k, self.n], terms),
            true => tensor(self.b, [self.n, self.k], n),
        };
        Some([a?, b?])
    }

    /// The kernel's file and name.
    fn kernel(&self, tile: Tile) -> (&'static str, String) {
        let file = match (self.factors, tile.fetch) {
            (Factors::F32, _) => "gemm_f32",
            (Factors::Tf32, _) => "gemm_tf32",
            (Factors::F16, Fetch::Boxes) => "gemm_wgmma_f16",
            (Factors::F16, Fetch::Chunks) => "gemm_f16",
            (Factors::F16, Fetch::Elements) => "any_f16",
            (Factors::BF16, Fetch::Boxes) => "gemm_wgmma_bf16",
            (Factors::BF16, Fetch::Chunks) => "gemm_bf16",
            (Factors::BF16, Fetch::Elements) => "any_bf16",
        };
        let layout = match (self.op.transpose_a, self.op.transpose_b) {
            _ if tile.fetch == Fetch::Elements => "",
            (false, false) => "nn_",
            (false, true) => "nt_",
            (true, false) => "tn_",
            (true, true) => "tt_",
        };
        (file, format!("gemm_{}_{layout}{}", self.factors.name(), tile.name))
    }

    fn launch(&self, machine: Machine, choice: Choice) -> Result<Launches, ProductError> {
        let Choice { tile, shares } = choice;
        let count = self.batch * self.m * self.n;
        if count == 0 {
            return Ok(Launches::default());
        }
        let sizes = [
            product::extent("the number of rows of a matrix product", self.m)?,
            product::extent("the number of columns of a matrix product", self.n)?,
            product::extent("the number of terms of a matrix product", self.k)?,
        ];
        let tiles = self.m.div_ceil(tile.extents[0]) * self.n.div_ceil(tile.extents[1]);
        let launches = match self.tensors(tile.extents) {
            Some(tensors) if tile.fetch == Fetch::Boxes => {
                let work = product::extent("the number of tiles of a batch", tiles * self.batch * shares)?;
                let blocks =
                    work.min(product::extent("the number of multiprocessors", machine.multiprocessors)?.max(1));
                vec![self.staying(choice, tensors, sizes, blocks)]
            }
            _ => self.blocks(choice, sizes, product::extent("the number of tiles of a matrix product", tiles)?),
        };
        Ok(Launches { launches, scratch: choice.scratch(count) })
    }

    /// A launch of so many blocks that take tiles of all matrices and shares.
    fn staying(&self, choice: Choice, tensors: [Tensor; 2], sizes: [u32; 3], blocks: u32) -> Launch {
        let Choice { tile, shares } = choice;
        let (file, function) = self.kernel(tile);
        let step = |matrices: Matrices| u32::from(matrices.stride != 0);
        let mut arguments = Vec::from(tensors.map(|tensor| Argument::Tensor(Box::new(tensor))));
        arguments.extend([Argument::Pointer(self.c.at), self.bias.map_or(Argument::Null, Argument::Pointer)]);
        arguments.extend(sizes.map(Argument::U32));
        let more = [self.batch as u32, shares as u32, step(self.a), step(self.b)];
        arguments.extend(more.map(Argument::U32));
        arguments.extend([self.c.pitch, self.c.stride].map(|stride| Argument::U64(stride as u64)));
        let tiles = self.m.div_ceil(tile.extents[0]) * self.n.div_ceil(tile.extents[1]) * self.batch;
        arguments.extend(choice.shared(self.batch * self.m * self.n, tiles, 0));
        arguments.extend(product::wide(self.factors, self.result));
        let (grid, block) = ([blocks, 1, 1], [tile.threads, 1, 1]);
        Launch { name: "gemm", code: Code::Shipped(file), function, grid, block, shared: tile.shared, arguments }
    }

    /// Launches of a block for each tile, each matrix and each share.
    fn blocks(&self, choice: Choice, sizes: [u32; 3], tiles: u32) -> Vec<Launch> {
        let Choice { tile, shares } = choice;
        let (file, function) = self.kernel(tile);
        let size = self.factors.dtype().size();
        let launch = |first: usize| {
            let at =
                |matrices: Matrices, size: usize| Argument::Pointer(matrices.at.plus(first * matrices.stride * size));
            let columns = |matrices: Matrices, transposed: bool| match transposed {
                true => [1, matrices.pitch],
                false => [matrices.pitch, 1],
            };
            let mut arguments = vec![at(self.a, size), at(self.b, size), at(self.c, self.result.size())];
            arguments.push(self.bias.map_or(Argument::Null, Argument::Pointer));
            arguments.extend(sizes.map(Argument::U32));
            let [a, b] = [columns(self.a, self.op.transpose_a), columns(self.b, self.op.transpose_b)];
            let strides = [a[0], a[1], b[0], b[1], self.c.pitch, self.a.stride, self.b.stride, self.c.stride];
            arguments.extend(strides.map(|stride| Argument::U64(stride as u64)));
            let (sums, matrices) = (self.m * self.n, (self.batch - first).min(MOST_BLOCKS));
            let kept = first * sums * size_of::<f32>();
            arguments.extend(choice.shared(self.batch * sums, matrices * tiles as usize, kept));
            arguments.extend(product::wide(self.factors, self.result));
            Launch {
                name: "gemm",
                code: Code::Shipped(file),
                function: function.clone(),
                grid: [tiles, shares as u32, matrices as u32],
                block: [tile.threads, 1, 1],
                shared: tile.shared,
                arguments,
            }
        };
        (0..self.batch).step_by(MOST_BLOCKS).map(launch).collect()
    }
}
