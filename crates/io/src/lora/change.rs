//! What a module of an adapter adds to a weight, row by row.

use super::names::{Letter, Product, Role};

/// A tensor of a module, as a matrix of its first axis and all others.
pub(super) struct Factor {
    pub rows: usize,
    pub columns: usize,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// A change `[outputs, inputs, taps]` of a weight.
pub(super) enum Change {
    /// LoRA (Hu et al. 2021), for convolutions LoCon.
    Product(Matrices),
    /// LoHa (Hyeon-Woo et al. 2021): two products, multiplied element by element.
    Hadamard([Matrices; 2]),
    /// LoKr (Yeh et al. 2023): the Kronecker product of a matrix and a smaller change.
    Kronecker { left: Factor, right: Vec<f32> },
    /// The change itself.
    Whole(Vec<f32>),
}

/// B·A: `[outputs, r]` times `[r, columns]`.
pub(super) struct Matrices {
    up: Vec<f32>,
    down: Vec<f32>,
    rank: usize,
}

impl Matrices {
    /// Writes a row of the product.
    fn row(&self, row: usize, out: &mut [f32]) {
        out.fill(0.0);
        let up = &self.up[row * self.rank..(row + 1) * self.rank];
        for (factor, down) in up.iter().zip(self.down.chunks_exact(out.len().max(1))) {
            out.iter_mut().zip(down).for_each(|(sum, x)| *sum += factor * x);
        }
    }

    /// The whole product.
    fn all(&self, outputs: usize, columns: usize) -> Vec<f32> {
        let mut values = vec![0.0; outputs * columns];
        values.chunks_exact_mut(columns.max(1)).enumerate().for_each(|(row, out)| self.row(row, out));
        values
    }
}

/// How a module's parts do not fit a weight.
pub(super) struct Misfit(pub Vec<Vec<usize>>);

/// A module's change of a weight `[outputs, inputs, taps]`, and its rank if it has one; `None` for a module of another kind.
/// `read` gives the tensor of a role, if there is one.
pub(super) fn change<E: From<Misfit>>(
    mut read: impl FnMut(Role) -> Result<Option<Factor>, E>,
    shape: [usize; 3],
) -> Result<Option<(Change, Option<usize>)>, E> {
    let [outputs, inputs, taps] = shape;
    if read(Role::Other)?.is_some() {
        return Ok(None);
    }
    if let Some(whole) = read(Role::Difference)? {
        let fits = whole.rows == outputs && whole.columns == inputs * taps;
        return match fits {
            true => Ok(Some((Change::Whole(whole.values), None))),
            false => Err(Misfit(vec![whole.shape]).into()),
        };
    }
    if let Some(matrices) = matrices(&mut read, Product::Plain, shape)? {
        let rank = matrices.rank;
        return Ok(Some((Change::Product(matrices), Some(rank))));
    }
    if let Some(first) = matrices(&mut read, Product::Hadamard(0), shape)? {
        let rank = first.rank;
        let second = matrices(&mut read, Product::Hadamard(1), shape)?;
        return Ok(second.map(|second| (Change::Hadamard([first, second]), Some(rank))));
    }
    let divides = |rows: usize, columns: usize| {
        rows > 0 && columns > 0 && outputs.is_multiple_of(rows) && inputs.is_multiple_of(columns)
    };
    let mut rank = None;
    // Of its first factor the extents are not known beforehand.
    let left = match read(Role::Factor(Product::Kronecker(0)))? {
        Some(left) => left,
        None => {
            let [a, b] = [Letter::A, Letter::B].map(|letter| Role::Part(Product::Kronecker(0), letter));
            let (Some(down), Some(up)) = (read(a)?, read(b)?) else { return Ok(None) };
            let extents = [up.rows, down.columns, 1];
            // Before they are multiplied: what divides the weight is no larger than it.
            if !divides(up.rows, down.columns) {
                return Err(Misfit(vec![up.shape, down.shape]).into());
            }
            let shape = vec![up.rows, down.columns];
            let parts = joined(up, down, None, extents)?;
            rank = Some(parts.rank);
            Factor { rows: extents[0], columns: extents[1], shape, values: parts.all(extents[0], extents[1]) }
        }
    };
    if !divides(left.rows, left.columns) {
        return Err(Misfit(vec![left.shape]).into());
    }
    let extents = [outputs / left.rows, inputs / left.columns, taps];
    let right = match read(Role::Factor(Product::Kronecker(1)))? {
        Some(right) if right.rows == extents[0] && right.columns == extents[1] * taps => right.values,
        Some(right) => return Err(Misfit(vec![left.shape, right.shape]).into()),
        None => {
            let Some(parts) = matrices(&mut read, Product::Kronecker(1), extents)? else { return Ok(None) };
            rank = rank.or(Some(parts.rank));
            parts.all(extents[0], extents[1] * taps)
        }
    };
    Ok(Some((Change::Kronecker { left, right }, rank)))
}

/// The matrices of a product, if they are there.
fn matrices<E: From<Misfit>>(
    read: &mut impl FnMut(Role) -> Result<Option<Factor>, E>,
    product: Product,
    shape: [usize; 3],
) -> Result<Option<Matrices>, E> {
    let [down, up, core] = [Letter::A, Letter::B, Letter::Core].map(|letter| Role::Part(product, letter));
    let (Some(down), Some(mut up)) = (read(down)?, read(up)?) else { return Ok(None) };
    let core = read(core)?;
    if core.is_some() && product != Product::Plain {
        // Beside a core, both matrices begin with the rank.
        up = Factor { rows: up.columns, columns: up.rows, values: transposed(&up), ..up };
    }
    Ok(Some(joined(up, down, core, shape)?))
}

/// B, A and perhaps a core of Tucker's form `[r, r, taps]`, if they fit each other and a weight.
fn joined(up: Factor, down: Factor, core: Option<Factor>, shape: [usize; 3]) -> Result<Matrices, Misfit> {
    let [outputs, inputs, taps] = shape;
    let rank = down.rows;
    let columns = if core.is_some() { inputs } else { inputs * taps };
    let fits = outputs == up.rows
        && up.columns == rank
        && down.columns == columns
        && rank > 0
        && core.as_ref().is_none_or(|core| core.rows == rank && core.columns == rank * taps);
    if !fits {
        return Err(Misfit([Some(up), Some(down), core].into_iter().flatten().map(|part| part.shape).collect()));
    }
    let down = match core {
        Some(core) => through(&core.values, &down.values, [rank, inputs, taps]),
        None => down.values,
    };
    Ok(Matrices { up: up.values, down, rank })
}

impl Change {
    /// Writes the change of an output; `other` is for what is between.
    pub fn row(&self, row: usize, out: &mut [f32], other: &mut [f32]) {
        match self {
            Change::Product(matrices) => matrices.row(row, out),
            Change::Hadamard([first, second]) => {
                first.row(row, out);
                second.row(row, other);
                out.iter_mut().zip(other.iter()).for_each(|(x, factor)| *x *= factor);
            }
            Change::Kronecker { left, right } => {
                let of_one = out.len() / left.columns;
                let rows = right.len() / of_one.max(1);
                let factors = &left.values[row / rows.max(1) * left.columns..][..left.columns];
                let right = &right[row % rows.max(1) * of_one..][..of_one];
                for (out, factor) in out.chunks_exact_mut(of_one.max(1)).zip(factors) {
                    out.iter_mut().zip(right).for_each(|(x, right)| *x = factor * right);
                }
            }
            Change::Whole(values) => out.copy_from_slice(&values[row * out.len()..(row + 1) * out.len()]),
        }
    }
}

fn transposed(factor: &Factor) -> Vec<f32> {
    let Factor { rows, columns, values, .. } = factor;
    (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
}

/// The core of Tucker's form `[r, r, taps]` taken through A `[r, inputs]`: `[r, inputs, taps]`.
fn through(core: &[f32], down: &[f32], [rank, inputs, taps]: [usize; 3]) -> Vec<f32> {
    let mut out = vec![0.0; rank * inputs * taps];
    for (m, out) in out.chunks_exact_mut((inputs * taps).max(1)).enumerate() {
        for n in 0..rank {
            let core = &core[(m * rank + n) * taps..][..taps];
            for (out, a) in out.chunks_exact_mut(taps.max(1)).zip(&down[n * inputs..]) {
                out.iter_mut().zip(core).for_each(|(sum, x)| *sum += a * x);
            }
        }
    }
    out
}
