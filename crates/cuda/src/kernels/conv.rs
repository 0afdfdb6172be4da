//! Convolutions and their gradients: `kernels/conv_*.cu`.

use yuragi_graph::{
    DType,
    op::{Conv, MatMul, Window},
};

use super::{
    gemm::{Gemm, Matrices},
    product::{self, Choice, Factors, Fetch, Machine, Pick, ProductError, Sizes, Tile},
};
use crate::launch::{Address, Argument, Axis, Code, Launch, Launches, Tensor};

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
        match self.as_gemm()? {
            Some(gemm) => gemm.launches(machine),
            None => self.picked(machine, None),
        }
    }

    /// The same of what is no matrix product, as it was picked, if that can be.
    pub(super) fn picked(&self, machine: Machine, pick: Option<&Pick>) -> Result<Launches, ProductError> {
        let output = self.check()?;
        let picked = pick.and_then(|pick| pick.among(&self.choices(machine, output)));
        let choice = picked.or_else(|| self.choice(machine, output));
        choice.map_or_else(|| Ok(Launches::default()), |choice| self.launch(machine, output, choice))
    }

    /// What should be the fastest, of pictures of this height and width of y.
    fn choice(&self, machine: Machine, output: [usize; 2]) -> Option<Choice> {
        product::choose(machine, self.factors, &self.ways(machine, output), self.sizes(output))
    }

    /// What should be the fastest.
    pub(super) fn chosen(&self, machine: Machine) -> Option<Choice> {
        self.choice(machine, self.check().ok()?)
    }

    /// Every way among which the fastest may be.
    pub(super) fn sensible(&self, machine: Machine) -> Result<Vec<(Pick, Launches)>, ProductError> {
        let output = self.check()?;
        let launched = |choice: Choice| Ok((choice.into(), self.launch(machine, output, choice)?));
        self.choices(machine, output).into_iter().map(launched).collect()
    }

    fn choices(&self, machine: Machine, output: [usize; 2]) -> Vec<Choice> {
        let ways = self.ways(machine, output);
        product::sensible(machine, self.factors, &ways, self.sizes(output)).collect()
    }

    /// What is multiplied, in words.
    pub(super) fn key(&self) -> String {
        let Conv2d { samples, picture: [height, width], channels, kernel: [down, across], filters, .. } = *self;
        let Window { stride: [y, x], padding: [top, bottom, left, right] } = self.op.window();
        let (name, factors, result) = (self.op.name(), self.factors.name(), self.result);
        let sizes = format!("{samples} {height} {width} {channels} {filters} by {down} {across}");
        let output = self.op.window().output(self.picture, self.kernel).unwrap_or_default();
        let fetched = product::fetched(self.factors, &self.ways(Machine::ABLE, output));
        format!("{name} {factors} {result} {sizes}, {y} {x} from {top} {bottom} {left} {right}{fetched}")
    }

    /// Bytes of the operands, of the result and of its biases.
    pub(super) fn bytes(&self) -> [usize; 4] {
        let [rows, columns] = self.op.window().output(self.picture, self.kernel).unwrap_or_default();
        let x = self.samples * self.picture[0] * self.picture[1] * self.channels;
        let w = self.kernel[0] * self.kernel[1] * self.channels * self.filters;
        let y = self.samples * rows * columns * self.filters;
        let (a, b, c, bias) = match self.op {
            Conv::Forward(_) => (x, w, y, self.filters),
            Conv::InputGrad(_) => (y, w, x, self.channels),
            Conv::WeightGrad(_) => (x, y, w, self.filters),
        };
        let (factor, result) = (self.factors.dtype().size(), self.result.size());
        [a * factor, b * factor, c * result, bias * result]
    }

    /// The launches for every tile shape, alone and shared by three blocks: what a test should try.
    ///
    /// # Errors
    ///
    /// As for [`Conv2d::launches`].
    pub fn variants(&self, machine: Machine) -> Result<Vec<Launches>, ProductError> {
        let output = self.check()?;
        let ways = self.ways(machine, output);
        product::choices(self.factors, &ways).map(|choice| self.launch(machine, output, choice)).collect()
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
    pub(super) fn as_gemm(&self) -> Result<Option<Gemm>, ProductError> {
        self.check()?;
        let Window { stride, padding } = self.op.window();
        if self.kernel != [1, 1] || stride != [1, 1] || padding != [0; 4] {
            return Ok(None);
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
        Ok(Some(match self.op {
            Conv::Forward(_) => product(false, false, [pixels, filters, channels], x(a), w(b), y(c)),
            Conv::InputGrad(_) => product(false, true, [pixels, channels, filters], y(a), w(b), x(c)),
            Conv::WeightGrad(_) => product(true, false, [channels, filters, pixels], x(a), y(b), w(c)),
        }))
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

    /// How pixels can be fetched.
    fn ways(&self, machine: Machine, output: [usize; 2]) -> Vec<Fetch> {
        let channels = match self.op {
            Conv::Forward(_) | Conv::WeightGrad(_) => self.channels,
            Conv::InputGrad(_) => 0,
        };
        let chunks = [self.a, self.b].iter().all(|&at| product::is_aligned(at, &[channels, self.filters]));
        product::ways(chunks, machine.hopper && self.boxed(output, [64; 3]).is_some())
    }

    /// The operands in boxes for these tiles, where the hardware can copy such.
    fn boxed(&self, output: [usize; 2], [m, n, _]: [usize; 3]) -> Option<Boxed> {
        const PART: usize = 64;
        let (channels, filters, taps) = (self.channels, self.filters, self.kernel[0] * self.kernel[1]);
        let axis = |extent: usize, stride: usize, length: usize| Axis { extent, stride, length };
        let dtype = self.factors.dtype();
        // Pixels by the remainders of their rows and columns.
        let picture =
            |at: Address, [height, width]: [usize; 2], channels: usize, shifts: [u32; 2], boxes: [usize; 3]| {
                let [down, across] = shifts;
                let (row, [samples, rows, columns]) = (width * channels, boxes);
                let axes = vec![
                    axis(channels << across, 1, PART),
                    axis(width >> across, channels << across, columns),
                    axis(1 << down, row, 1),
                    axis(height >> down, row << down, rows),
                    axis(self.samples, height * row, samples),
                ];
                Tensor::new(at, dtype, axes)
            };
        let kernel = |at: Address, inputs: usize| {
            let axes = vec![axis(filters, 1, PART), axis(channels, filters, inputs), axis(taps, channels * filters, 1)];
            Tensor::new(at, dtype, axes)
        };
        let Window { stride, padding } = self.op.window();
        let first = [padding[0], padding[2]].map(|zeros| zeros as u32);
        let before = first.map(u32::wrapping_neg);
        let moved = || {
            let whole = |axis: usize| stride[axis].is_power_of_two() && self.picture[axis].is_multiple_of(stride[axis]);
            // Boxes of channels of one column must not reach into the next one's.
            let apart = stride[1] == 1 || channels.is_multiple_of(PART);
            (whole(0) && whole(1) && apart).then(|| stride.map(usize::trailing_zeros))
        };
        match self.op {
            Conv::Forward(_) => {
                let (boxes, shifts) = (boxes(m, self.samples, output, false)?, moved()?);
                let tensors = [picture(self.a, self.picture, channels, shifts, boxes)?, kernel(self.b, PART)?];
                Some(Boxed { tensors, boxes, pixels: output, first: before, shifts })
            }
            Conv::InputGrad(_) => {
                // All parts that the same taps reach must have as many pixels and taps.
                let even = |axis: usize| {
                    let is_whole = |extent: usize| extent.is_multiple_of(stride[axis]);
                    stride[axis].is_power_of_two() && is_whole(self.picture[axis]) && is_whole(self.kernel[axis])
                };
                let shifts = (even(0) && even(1)).then(|| stride.map(usize::trailing_zeros))?;
                let pixels = [0, 1].map(|axis| self.picture[axis] / stride[axis]);
                let boxes = boxes(m, self.samples, pixels, false)?;
                let tensors = [picture(self.a, output, filters, [0; 2], boxes)?, kernel(self.b, n)?];
                Some(Boxed { tensors, boxes, pixels, first, shifts })
            }
            Conv::WeightGrad(_) => {
                let (boxes, shifts) = (boxes(PART, self.samples, output, true)?, moved()?);
                let x = picture(self.a, self.picture, channels, shifts, boxes)?;
                let y = picture(self.b, output, filters, [0; 2], boxes)?;
                Some(Boxed { tensors: [x, y], boxes, pixels: output, first: before, shifts })
            }
        }
    }

    /// A launch of blocks that stay and take tile after tile of this convolution.
    fn staying(&self, machine: Machine, choice: Choice, boxed: Boxed, count: usize) -> Result<Launch, ProductError> {
        let Choice { tile: Tile { name, extents: [m, n, _], threads, shared, .. }, shares } = choice;
        let Boxed { tensors, boxes, pixels, first, shifts } = boxed;
        // Parts that the same taps reach, and these taps.
        let (parts, [down, across]) = match self.op {
            Conv::Forward(_) | Conv::WeightGrad(_) => (1, self.kernel),
            Conv::InputGrad(window) => {
                (window.stride.iter().product(), [0, 1].map(|axis| self.kernel[axis] / window.stride[axis]))
            }
        };
        let taps = down * across;
        let (columns, terms) = match self.op {
            Conv::Forward(_) | Conv::WeightGrad(_) => (self.filters, self.channels),
            Conv::InputGrad(_) => (self.channels, self.filters),
        };
        let rows = match self.op {
            Conv::Forward(_) | Conv::InputGrad(_) => number(boxes, self.samples, pixels),
            Conv::WeightGrad(_) => taps * terms.div_ceil(m),
        };
        let tiles = parts * rows * columns.div_ceil(n);
        let work = product::extent("the number of tiles", tiles * shares)?;
        let blocks = work.min(product::extent("the number of multiprocessors", machine.multiprocessors)?.max(1));
        let mut arguments = Vec::from(tensors.map(|tensor| Argument::Tensor(Box::new(tensor))));
        arguments.extend([Argument::Pointer(self.c), self.bias.map_or(Argument::Null, Argument::Pointer)]);
        let [box_h, box_w] = [boxes[1], boxes[2]].map(usize::trailing_zeros);
        let sizes = [self.samples, pixels[0], pixels[1], columns].map(|size| size as u32);
        let moves = [down as u32, across as u32, terms as u32, first[0], first[1]];
        let all = [&sizes[..], &[box_h, box_w], &moves, &shifts, &[shares as u32]].concat();
        arguments.extend(all.into_iter().map(Argument::U32));
        arguments.extend(choice.shared(count, tiles, 0));
        arguments.extend(product::wide(self.factors, self.result));
        let stem = if self.factors == Factors::F16 { "conv_wgmma_f16" } else { "conv_wgmma_bf16" };
        let function = format!("{}_{}_{name}", self.op.name(), self.factors.name());
        let (grid, block) = ([blocks, 1, 1], [threads, 1, 1]);
        Ok(Launch { name: self.op.name(), code: Code::Shipped(stem), function, grid, block, shared, arguments })
    }

    fn launch(&self, machine: Machine, output: [usize; 2], choice: Choice) -> Result<Launches, ProductError> {
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
        let launch = match self.boxed(output, choice.tile.extents) {
            Some(boxed) if choice.tile.fetch == Fetch::Boxes => self.staying(machine, choice, boxed, count)?,
            _ => self.blocks(output, choice, count)?,
        };
        Ok(Launches { launches: vec![launch], scratch: choice.scratch(count) })
    }

    /// A launch of a block for each tile and each share.
    fn blocks(&self, output: [usize; 2], choice: Choice, count: usize) -> Result<Launch, ProductError> {
        let Choice { tile, shares } = choice;
        let Sizes { batch, m, n, .. } = self.sizes(output);
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
        let mut arguments = vec![Argument::Pointer(self.a), Argument::Pointer(self.b), Argument::Pointer(self.c)];
        arguments.push(self.bias.map_or(Argument::Null, Argument::Pointer));
        arguments.extend(sizes.map(|size| Argument::U32(size as u32)));
        let tiles = m.div_ceil(tile.extents[0]) * n.div_ceil(tile.extents[1]);
        arguments.extend(choice.shared(count, tiles * batch, 0));
        arguments.extend(product::wide(self.factors, self.result));
        let file = match (self.factors, tile.fetch) {
            (Factors::F32, _) => "conv_f32",
            (Factors::Tf32, _) => "conv_tf32",
            (Factors::F16, Fetch::Elements) => "any_f16",
            (Factors::F16, _) => "conv_f16",
            (Factors::BF16, Fetch::Elements) => "any_bf16",
            (Factors::BF16, _) => "conv_bf16",
        };
        Ok(Launch {
            name: self.op.name(),
            code: Code::Shipped(file),
            function: format!("{}_{}_{}", self.op.name(), self.factors.name(), tile.name),
            grid: [product::extent("the number of tiles", tiles)?, shares as u32, batch as u32],
            block: [tile.threads, 1, 1],
            shared: tile.shared,
            arguments,
        })
    }
}

/// A convolution's operands in boxes, and how the window moves over them.
struct Boxed {
    tensors: [Tensor; 2],
    /// Samples, rows and columns of a box of pixels; powers of two.
    boxes: [usize; 3],
    /// Height and width of the pixels that are counted in boxes.
    pixels: [usize; 2],
    /// What is added to a pixel's coordinates under the first tap, modulo 2^32.
    first: [u32; 2],
    /// Logarithms of the strides.
    shifts: [u32; 2],
}

/// The boxes of so many pixels, a power of two, that cover these pictures in the fewest; `exact` ones end with the
/// pictures' rows and columns.
fn boxes(pixels: usize, samples: usize, [height, width]: [usize; 2], exact: bool) -> Option<[usize; 3]> {
    let powers = || (0..=pixels.trailing_zeros()).rev().map(|power| 1_usize << power);
    let all = powers().flat_map(|columns| powers().map(move |rows| (rows, columns)));
    let fits = |&(rows, columns): &(usize, usize)| {
        let divides = height.is_multiple_of(rows) && width.is_multiple_of(columns);
        rows * columns <= pixels && (divides || !exact)
    };
    let boxes = all.filter(fits).map(|(rows, columns)| [pixels / (rows * columns), rows, columns]);
    let boxes = boxes.min_by_key(|&boxes| number(boxes, samples, [height, width]))?;
    // Boxes of a narrow shape and few samples are nearly empty.
    let all = number(boxes, samples, [height, width]) * pixels;
    (!exact || all <= 4 * samples * height * width).then_some(boxes)
}

/// How many boxes cover pictures.
fn number([samples, rows, columns]: [usize; 3], count: usize, [height, width]: [usize; 2]) -> usize {
    count.div_ceil(samples) * height.div_ceil(rows) * width.div_ceil(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_cover_pictures_in_the_fewest() {
        assert_eq!(boxes(128, 2, [64, 64], false), Some([1, 2, 64]));
        assert_eq!(boxes(128, 2, [8, 8], false), Some([2, 8, 8]));
        assert_eq!(boxes(64, 3, [5, 6], false), Some([1, 8, 8]));
        assert_eq!(boxes(64, 3, [8, 12], true), Some([2, 8, 4]));
        assert_eq!(boxes(64, 3, [5, 6], true), None);
        assert_eq!(number([1, 2, 64], 2, [64, 64]), 64);
    }
}
