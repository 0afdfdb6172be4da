//! The arithmetic of one block of points: points side by side, coordinates one after another, so that
//! every loop runs over vectors.

use yuragi_numeric::double::{exp, ln};

/// Points in a vector's neighbourhood.
pub const LANES: usize = 8;
/// Tiles of a block.
pub const TILES: usize = 8;
/// Points of a block.
pub const BLOCK: usize = LANES * TILES;
/// Rows of a matrix that are worked on together.
pub const ROWS: usize = 4;

/// One value for every point of a block.
pub type Line = [[f64; LANES]; TILES];

pub const ZERO: Line = [[0.0; LANES]; TILES];

/// A tile of f(lane). Results are made whole before they are stored: a loop that stores them one by one
/// is not vectorised where input and output might overlap.
#[inline(always)]
fn tile(f: impl Fn(usize) -> f64) -> [f64; LANES] {
    lanes(f)
}

/// So many values of f(lane).
#[inline(always)]
fn lanes<const N: usize>(f: impl Fn(usize) -> f64) -> [f64; N] {
    let mut lanes = [0.0; N];
    for (lane, value) in lanes.iter_mut().enumerate() {
        *value = f(lane);
    }
    lanes
}

/// Squared distances beyond this count as this, so that no density is lost in −∞.
const FAR: f64 = 1e300;

/// The number of coordinates rounded up to whole groups of rows.
pub const fn padded(d: usize) -> usize {
    d.div_ceil(ROWS) * ROWS
}

/// Puts the whitening matrix L⁻¹ (d×d, lower triangular) into panels: for every group of rows, its
/// columns up to the group's last row, [`ROWS`] values a column.
pub fn pack(whitening: &[f64], d: usize) -> impl Iterator<Item = [f64; ROWS]> + '_ {
    (0..padded(d)).step_by(ROWS).flat_map(move |first| {
        (0..first + ROWS).map(move |j| {
            core::array::from_fn(|r| {
                let i = first + r;
                if i < d && j <= i { whitening[i * d + j] } else { 0.0 }
            })
        })
    })
}

/// How many columns [`pack`] makes.
pub const fn packed_len(d: usize) -> usize {
    let groups = d.div_ceil(ROWS);
    ROWS * groups * (groups + 1) / 2
}

/// z = x − mean, coordinate by coordinate: in one loop, because tiles one by one are vectorised across coordinates,
/// with gathers.
#[inline(always)]
pub fn center(x: &[Line], mean: &[f64], z: &mut [Line]) {
    for ((x, mean), z) in x.iter().zip(mean).zip(z) {
        z.as_flattened_mut().iter_mut().zip(x.as_flattened()).for_each(|(z, x)| *z = x - mean);
    }
}

/// z = x − mean and gz = gamma·z for one coordinate; the tiles of gz are added to `sums`, too.
#[inline(always)]
pub fn weigh(x: &Line, mean: f64, gamma: &Line, z: &mut Line, gz: &mut Line, sums: &mut [f64; LANES]) {
    let mut sum = *sums;
    for t in 0..TILES {
        let centred = tile(|lane| x[t][lane] - mean);
        let weighted = tile(|lane| gamma[t][lane] * centred[lane]);
        sum = tile(|lane| sum[lane] + weighted[lane]);
        z[t] = centred;
        gz[t] = weighted;
    }
    *sums = sum;
}

/// ‖L⁻¹z‖² of every point, from [`pack`]ed panels.
#[inline(always)]
pub fn distances(panels: &[[f64; ROWS]], z: &[Line], out: &mut Line) {
    *out = ZERO;
    let mut rest = panels;
    for last in (ROWS..=z.len()).step_by(ROWS) {
        let Some((panel, next)) = rest.split_at_checked(last) else { return };
        rest = next;
        for t in 0..TILES {
            let mut y = [[0.0; LANES]; ROWS];
            for (column, z) in panel[..last - 2].iter().zip(z) {
                let z = z[t];
                for r in 0..ROWS {
                    y[r] = tile(|lane| y[r][lane] + column[r] * z[lane]);
                }
            }
            // The last two columns meet the diagonal in the last two rows.
            for (column, z) in panel[last - 2..].iter().zip(&z[last - 2..]) {
                let z = z[t];
                for r in 2..ROWS {
                    y[r] = tile(|lane| y[r][lane] + column[r] * z[lane]);
                }
            }
            for y in &mut y {
                *y = tile(|lane| y[lane] * y[lane]);
            }
            let even = tile(|lane| y[0][lane] + y[1][lane]);
            let odd = tile(|lane| y[2][lane] + y[3][lane]);
            out[t] = tile(|lane| out[t][lane] + (even[lane] + odd[lane]));
        }
    }
}

/// Σ_j (s_j(x_j − mean_j))² of every point.
#[inline(always)]
pub fn scaled_distances(scales: &[f64], mean: &[f64], x: &[Line], out: &mut Line) {
    *out = ZERO;
    for ((x, mean), scale) in x.iter().zip(mean).zip(scales) {
        for t in 0..TILES {
            let y = tile(|lane| (x[t][lane] - mean) * scale);
            out[t] = tile(|lane| out[t][lane] + y[lane] * y[lane]);
        }
    }
}

/// ln q(x, k) = constant − ½ distance.
#[inline(always)]
pub fn log_densities(constant: f64, out: &mut Line) {
    for out in out {
        // False for NaN, too: ∞ − ∞ far away.
        let distance = tile(|lane| if out[lane] < FAR { out[lane] } else { FAR });
        *out = tile(|lane| constant - 0.5 * distance[lane]);
    }
}

/// Points that [`normalize`] works on together: enough independent exponentials to hide what one waits.
const WIDE: usize = 16;

/// A line in wider pieces.
#[inline(always)]
fn wide(line: &mut Line) -> &mut [[f64; WIDE]] {
    line.as_flattened_mut().as_chunks_mut().0
}

/// From ln q(x, k), one line for every k, to weight·q(k|x); `evidence` becomes ln q(x).
#[inline(always)]
pub fn normalize(lines: &mut [Line], weights: &Line, evidence: &mut Line) {
    let weights = weights.as_flattened().as_chunks::<WIDE>().0;
    for (t, (weights, evidence)) in weights.iter().zip(wide(evidence)).enumerate() {
        let mut most = [f64::NEG_INFINITY; WIDE];
        for line in lines.iter_mut() {
            let line = &wide(line)[t];
            most = lanes(|lane| if line[lane] > most[lane] { line[lane] } else { most[lane] });
        }
        let mut sum = [0.0; WIDE];
        for line in lines.iter_mut() {
            let line = &mut wide(line)[t];
            let e: [f64; WIDE] = lanes(|lane| exp(line[lane] - most[lane]));
            sum = lanes(|lane| sum[lane] + e[lane]);
            *line = e;
        }
        *evidence = lanes(|lane| most[lane] + ln(sum[lane]));
        let scale: [f64; WIDE] = lanes(|lane| weights[lane] / sum[lane]);
        for line in lines.iter_mut() {
            let line = &mut wide(line)[t];
            *line = lanes(|lane| line[lane] * scale[lane]);
        }
    }
}

/// Σ of a line, in a fixed order.
#[inline(always)]
pub fn total(line: &Line) -> f64 {
    let mut sums = [0.0; LANES];
    add_tiles(line, &mut sums);
    across(&sums)
}

/// Adds a line's tiles up.
#[inline(always)]
pub fn add_tiles(line: &Line, sums: &mut [f64; LANES]) {
    for values in line {
        *sums = tile(|lane| sums[lane] + values[lane]);
    }
}

/// Σ of a tile, in a fixed order.
#[inline(always)]
pub fn across(sums: &[f64; LANES]) -> f64 {
    ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
}

/// out = a·b, value by value.
#[inline(always)]
pub fn product(a: &Line, b: &Line, out: &mut Line) {
    for t in 0..TILES {
        out[t] = tile(|lane| a[t][lane] * b[t][lane]);
    }
}

/// Half a tile: what one accumulator holds.
pub const HALF: usize = LANES / 2;

/// The sums of one column of a row group, still apart for every lane.
pub type Apart = [[f64; HALF]; ROWS];

/// A line in halves of tiles.
#[inline(always)]
fn halves(line: &Line) -> &[[f64; HALF]] {
    line.as_flattened().as_chunks().0
}

/// sums += Σ gz_r z_c for the R last of four rows and two columns, apart for every lane. One half of a tile at a
/// time: as many accumulators as registers hold.
#[inline(always)]
fn pair<const R: usize>(rows: &[Line; ROWS], columns: &[Line; 2], sums: &mut [Apart; 2]) {
    let mut own: [[[f64; HALF]; R]; 2] = core::array::from_fn(|c| core::array::from_fn(|r| sums[c][ROWS - R + r]));
    let [g0, g1, g2, g3] = rows;
    let rows = halves(g0).iter().zip(halves(g1)).zip(halves(g2).iter().zip(halves(g3)));
    let columns = halves(&columns[0]).iter().zip(halves(&columns[1]));
    for ((z0, z1), ((g0, g1), (g2, g3))) in columns.zip(rows) {
        let (z, g) = ([z0, z1], [g0, g1, g2, g3]);
        for c in 0..2 {
            for lane in 0..HALF {
                for r in 0..R {
                    own[c][r][lane] += g[ROWS - R + r][lane] * z[c][lane];
                }
            }
        }
    }
    for (sums, own) in sums.iter_mut().zip(&own) {
        sums[ROWS - R..].copy_from_slice(own);
    }
}

/// sums += Σ over the block of gz_i z_j for j ≤ i, in the places of [`pack`]: column j of a group of rows. What
/// stands above the diagonal there has no meaning.
#[inline(always)]
pub fn outer(z: &[Line], gz: &[Line], sums: &mut [Apart]) {
    let columns = z.as_chunks::<2>().0;
    let mut rest = sums.as_chunks_mut::<2>().0;
    for (group, rows) in gz.as_chunks::<ROWS>().0.iter().enumerate() {
        let pairs = 2 * group + 2;
        let Some(columns) = columns.get(..pairs) else { return };
        let Some((panel, next)) = rest.split_at_mut_checked(pairs) else { return };
        rest = next;
        for (i, (columns, sums)) in columns.iter().zip(panel).enumerate() {
            // The last two columns meet the diagonal in the last two rows.
            if i + 1 == pairs {
                pair::<2>(rows, columns, sums);
            } else {
                pair::<ROWS>(rows, columns, sums);
            }
        }
    }
}

/// [`outer`] with lanes together: second += Σ over the block of gz_i z_j.
#[inline(always)]
pub fn outer_together(z: &[Line], gz: &[Line], second: &mut [[f64; ROWS]]) {
    let columns = z.as_chunks::<2>().0;
    let mut rest = second;
    for (group, rows) in gz.as_chunks::<ROWS>().0.iter().enumerate() {
        let pairs = 2 * group + 2;
        let Some(columns) = columns.get(..pairs) else { return };
        let Some((panel, next)) = rest.split_at_mut_checked(2 * pairs) else { return };
        rest = next;
        for (columns, second) in columns.iter().zip(panel.as_chunks_mut::<2>().0) {
            let mut apart = [[[0.0; HALF]; ROWS]; 2];
            pair::<ROWS>(rows, columns, &mut apart);
            gather(&mut apart, second);
        }
    }
}

/// Moves what [`outer`] has summed to `second`, lanes together.
#[inline(always)]
pub fn gather(apart: &mut [Apart], second: &mut [[f64; ROWS]]) {
    for (sum, apart) in second.iter_mut().zip(apart) {
        for r in 0..ROWS {
            sum[r] += (apart[r][0] + apart[r][2]) + (apart[r][1] + apart[r][3]);
        }
        *apart = [[0.0; HALF]; ROWS];
    }
}

/// Element (i, j), j ≤ i, of a matrix in the places of [`pack`].
pub fn packed_at(packed: &[[f64; ROWS]], i: usize, j: usize) -> f64 {
    packed[packed_index(i, j)][i % ROWS]
}

/// The column of a packed matrix that holds element (i, j).
pub const fn packed_index(i: usize, j: usize) -> usize {
    packed_len(i / ROWS * ROWS) + j
}
