//! Convolutions and their gradients: `kernels/conv_*.cu`.

use yuragi_graph::{
    DType,
    op::{Conv, MatMul, Window},
};

use super::{
    gemm::{Gemm, Matrices},
    product::{self, Choice, Factors, Machine, ProductError, Sizes},
};
use crate::launch::{Address, Argument, Code, Launch, Launches};

/// A convolution, or a gradient of one: with a picture x `[samples, height, width, channels]`, a kernel w
/// `[kernel height, kernel width, channels, filters]` and an output y `[samples, height', width', filters]`, all
/// contiguous, `Forward` makes c = y from a = x and b = w, `InputGrad` x from y and w, `WeightGrad` w from x and y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Which of the three, and how the window moves.
    pub op: Conv,
    /// Pictures.
    pub samples: usize,
    /// Height and width of x.
    pub picture: [usize; 2],
    /// Channels of x.
    pub channels: usize,
    /// Height and width of w.
    pub kernel: [usize; 2],
    /// Channels of y.
    pub filters: usize,
    /// The first operand.
    pub a: Address,
    /// The second operand.
    pub b: Address,
    /// The result.
    pub c: Address,
    /// As many numbers as the result's last axis has, of its type; added after the sums are rounded to that type.
    pub bias: Option<Address>,
    /// Type and arithmetic of the operands.
    pub factors: Factors,
    /// Type of the result and of the biases: `F32`, or the factors'.
    pub result: DType,
}

/// Blocks along y and z of a grid.
const MOST_BLOCKS: usize = 65_535;

impl Conv2d {
    /// The launches, with the tile shape and the number of shares that suit the machine.
    ///
    /// # Errors
    ///
    /// A kernel that exceeds the padded picture, a stride of 0; sizes of 2^29 or more, tensors of 2^32 elements or
    /// more; a result of another type than the factors or `F32`.
    pub fn launches(&self, machine: Machine) -> Result<Launches, ProductError> {
        let output = self.check()?;
        if let Some(gemm) = self.as_gemm() {
            return gemm.launches(machine);
        }
        match product::choose(machine, self.factors, self.is_aligned(), self.sizes(output)) {
            Some(choice) => self.launch(output, choice),
            None => Ok(Launches::default()),
        }
    }

    /// The launches for every tile shape, alone and shared by three blocks: what a test should try.
    ///
    /// # Errors
    ///
    /// As for [`Conv2d::launches`].
    pub fn variants(&self) -> Result<Vec<Launches>, ProductError> {
        let output = self.check()?;
        product::choices(self.factors, self.is_aligned()).map(|choice| self.launch(output, choice)).collect()
    }

    /// Height and width of y.
    fn check(&self) -> Result<[usize; 2], ProductError> {
        product::check_result(self.factors, self.result)?;
        let Window { stride, padding } = self.op.window();
        let [height, width] = self.picture;
        let padded = |extent: usize, zeros: [usize; 2]| zeros.iter().fold(extent, |sum, &x| sum.saturating_add(x));
        let padded = [padded(height, [padding[0], padding[1]]), padded(width, [padding[2], padding[3]])];
        let output = self.op.window().output(self.picture, self.kernel);
        let output = output.ok_or(ProductError::Window { kernel: self.kernel, picture: padded })?;
        let pixels = |[h, w]: [usize; 2], channels: usize| {
            [h, w, channels].iter().try_fold(self.samples, |product, &x| product.checked_mul(x)).unwrap_or(usize::MAX)
        };
        let taps = [self.kernel[1], self.channels, self.filters];
        for (what, extent, most) in [
            ("the height of a padded picture", padded[0], product::MOST),
            ("the width of a padded picture", padded[1], product::MOST),
            ("the number of pixels", pixels(self.picture, 1), product::MOST),
            ("the number of pixels of a convolution", pixels(output, 1), product::MOST),
            ("a stride", stride[0].max(stride[1]), product::MOST),
            ("the number of channels", self.channels, product::MOST),
            ("the number of filters", self.filters, product::MOST),
            ("the number of elements", pixels(self.picture, self.channels), u32::MAX as usize),
            ("the number of elements of a convolution", pixels(output, self.filters), u32::MAX as usize),
            (
                "the number of elements of a kernel",
                taps.iter().try_fold(self.kernel[0], |product, &x| product.checked_mul(x)).unwrap_or(usize::MAX),
                product::MOST,
            ),
        ] {
            if extent > most {
                return Err(ProductError::TooLarge { what, extent, most });
            }
        }
        Ok(output)
    }

    /// A window of one pixel that misses none makes a matrix product.
    fn as_gemm(&self) -> Option<Gemm> {
        let Window { stride, padding } = self.op.window();
        if self.kernel != [1, 1] || stride != [1, 1] || padding != [0; 4] {
            return None;
        }
        let (pixels, channels, filters) =
            (self.samples * self.picture[0] * self.picture[1], self.channels, self.filters);
        let x = |at| Matrices::contiguous(at, pixels, channels);
        let w = |at| Matrices::contiguous(at, channels, filters);
        let y = |at| Matrices::contiguous(at, pixels, filters);
        let Conv2d { a, b, c, bias, factors, result, .. } = *self;
        let product = |transpose_a, transpose_b, [m, n, k]: [usize; 3], a, b, c| {
            let op = MatMul { transpose_a, transpose_b };
            Gemm { batch: 1, m, n, k, op, a, b, c, bias, factors, result }
        };
        Some(match self.op {
            Conv::Forward(_) => product(false, false, [pixels, filters, channels], x(a), w(b), y(c)),
            Conv::InputGrad(_) => product(false, true, [pixels, channels, filters], y(a), w(b), x(c)),
            Conv::WeightGrad(_) => product(true, false, [channels, filters, pixels], x(a), y(b), w(c)),
        })
    }

    /// The product's sizes; the batch are the parts of an input gradient that the same taps reach.
    fn sizes(&self, output: [usize; 2]) -> Sizes {
        let [height, width] = self.picture;
        let outputs = self.samples * output[0] * output[1];
        let taps = self.kernel[0] * self.kernel[1];
        match self.op {
            Conv::Forward(_) => Sizes { batch: 1, m: outputs, n: self.filters, k: taps * self.channels },
            Conv::InputGrad(window) => {
                let [down, across] = window.stride;
                Sizes {
                    batch: down.min(height) * across.min(width),
                    m: self.samples * height.div_ceil(down) * width.div_ceil(across),
                    n: self.channels,
                    k: self.kernel[0].div_ceil(down) * self.kernel[1].div_ceil(across) * self.filters,
                }
            }
            Conv::WeightGrad(_) => Sizes { batch: 1, m: taps * self.channels, n: self.filters, k: outputs },
        }
    }

    /// Whether pixels of 16-bit elements can be copied in chunks.
    fn is_aligned(&self) -> bool {
        let channels = match self.op {
            Conv::Forward(_) | Conv::WeightGrad(_) => self.channels,
            Conv::InputGrad(_) => 0,
        };
        [self.a, self.b].iter().all(|&at| product::is_aligned(at, &[channels, self.filters]))
    }

    fn launch(&self, output: [usize; 2], Choice { tile, shares }: Choice) -> Result<Launches, ProductError> {
        let Sizes { batch, m, n, .. } = self.sizes(output);
        let count = match self.op {
            Conv::Forward(_) => m * n,
            Conv::InputGrad(_) => self.samples * self.picture[0] * self.picture[1] * n,
            Conv::WeightGrad(_) => m * n,
        };
        if count == 0 {
            return Ok(Launches::default());
        }
        if batch > MOST_BLOCKS {
            let what = "the product of the strides of an input gradient";
            return Err(ProductError::TooLarge { what, extent: batch, most: MOST_BLOCKS });
        }
        let (c, bias, result) = match shares {
            1 => (self.c, self.bias, self.result),
            _ => (product::SHARES, None, DType::F32),
        };
        let Window { stride, padding } = self.op.window();
        let sizes = [
            self.samples,
            self.picture[0],
            self.picture[1],
            self.channels,
            self.filters,
            self.kernel[0],
            self.kernel[1],
            output[0],
            output[1],
            stride[0],
            stride[1],
            padding[0],
            padding[2],
        ];
        let mut arguments = vec![Argument::Pointer(self.a), Argument::Pointer(self.b), Argument::Pointer(c)];
        arguments.push(bias.map_or(Argument::Null, Argument::Pointer));
        arguments.extend(sizes.map(|size| Argument::U32(size as u32)));
        arguments.push(Argument::U64(count as u64));
        arguments.extend(product::wide(self.factors, result));
        let file = match (self.factors, tile.any) {
            (Factors::F32, _) => "conv_f32",
            (Factors::Tf32, _) => "conv_tf32",
            (Factors::F16, false) => "conv_f16",
            (Factors::F16, true) => "any_f16",
            (Factors::BF16, false) => "conv_bf16",
            (Factors::BF16, true) => "any_bf16",
        };
        let mut launches = Launches::default();
        launches.launches.push(Launch {
            name: self.op.name(),
            code: Code::Shipped(file),
            function: format!("{}_{}_{}", self.op.name(), self.factors.name(), tile.name),
            grid: [
                product::extent("the number of tiles", m.div_ceil(tile.extents[0]) * n.div_ceil(tile.extents[1]))?,
                shares as u32,
                batch as u32,
            ],
            block: [tile.threads, 1, 1],
            shared: tile.shared,
            arguments,
        });
        if shares > 1 {
            launches.scratch = shares * count * size_of::<f32>();
            launches.launches.push(product::sum_shares((self.c, self.result), self.bias, count, n as u32, shares));
        }
        Ok(launches)
    }
}
