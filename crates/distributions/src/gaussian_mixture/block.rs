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
    let mut tile = [0.0; LANES];
    for (lane, value) in tile.iter_mut().enumerate() {
        *value = f(lane);
    }
    tile
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

/// z = x − mean, coordinate by coordinate.
#[inline(always)]
pub fn center(x: &[Line], mean: &[f64], z: &mut [Line]) {
    for ((x, mean), z) in x.iter().zip(mean).zip(z) {
        for t in 0..TILES {
            z[t] = tile(|lane| x[t][lane] - mean);
        }
    }
}

/// ‖L⁻¹z‖² of every point, from [`pack`]ed panels.
#[inline(always)]
pub fn distances(panels: &[[f64; ROWS]], z: &[Line], out: &mut Line) {
    *out = ZERO;
    let mut rest = panels;
    for first in (0..z.len()).step_by(ROWS) {
        let Some((panel, next)) = rest.split_at_checked(first + ROWS) else { return };
        rest = next;
        let (body, corner) = panel.split_at(first);
        let Some((below, corner_z)) = z.split_at_checked(first) else { return };
        let (Some(corner), Some(corner_z)) = (corner.first_chunk::<ROWS>(), corner_z.first_chunk::<ROWS>()) else {
            return;
        };
        for t in 0..TILES {
            let mut y = [[0.0; LANES]; ROWS];
            for (column, z) in body.iter().zip(below) {
                for r in 0..ROWS {
                    for lane in 0..LANES {
                        y[r][lane] += column[r] * z[t][lane];
                    }
                }
            }
            for j in 0..ROWS {
                for r in j..ROWS {
                    for lane in 0..LANES {
                        y[r][lane] += corner[j][r] * corner_z[j][t][lane];
                    }
                }
            }
            for y in &y {
                out[t] = tile(|lane| out[t][lane] + y[lane] * y[lane]);
            }
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

/// From ln q(x, k), one line for every k, to weight·q(k|x); `evidence` becomes ln q(x).
#[inline(always)]
pub fn normalize(lines: &mut [Line], weights: &Line, evidence: &mut Line) {
    for t in 0..TILES {
        let mut most = [f64::NEG_INFINITY; LANES];
        for line in lines.iter() {
            most = tile(|lane| if line[t][lane] > most[lane] { line[t][lane] } else { most[lane] });
        }
        let mut sum = [0.0; LANES];
        for line in lines.iter_mut() {
            let e = tile(|lane| exp(line[t][lane] - most[lane]));
            sum = tile(|lane| sum[lane] + e[lane]);
            line[t] = e;
        }
        evidence[t] = tile(|lane| most[lane] + ln(sum[lane]));
        let scale = tile(|lane| weights[t][lane] / sum[lane]);
        for line in lines.iter_mut() {
            line[t] = tile(|lane| line[t][lane] * scale[lane]);
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

/// Σ g_r z_c for the R last of four rows and two columns, apart for every lane. One half of a tile at a
/// time: as many accumulators as registers hold.
#[inline(always)]
fn pair<const R: usize>(rows: &[Line; ROWS], columns: &[Line; 2]) -> [Apart; 2] {
    let mut sums = [[[0.0; HALF]; R]; 2];
    let [g0, g1, g2, g3] = rows;
    let rows = halves(g0).iter().zip(halves(g1)).zip(halves(g2).iter().zip(halves(g3)));
    let columns = halves(&columns[0]).iter().zip(halves(&columns[1]));
    for ((z0, z1), ((g0, g1), (g2, g3))) in columns.zip(rows) {
        let (z, g) = ([z0, z1], [g0, g1, g2, g3]);
        for c in 0..2 {
            for r in 0..R {
                for lane in 0..HALF {
                    sums[c][r][lane] += g[ROWS - R + r][lane] * z[c][lane];
                }
            }
        }
    }
    sums.map(|sums| core::array::from_fn(|r| if r + R < ROWS { [0.0; HALF] } else { sums[r + R - ROWS] }))
}

/// second += Σ over the block of gz_i z_j for j ≤ i, in the places of [`pack`]: column j of a group of
/// rows. What stands above the diagonal there has no meaning. `apart` is scratch of z.len() places.
#[inline(always)]
pub fn outer(z: &[Line], gz: &[Line], apart: &mut [Apart], second: &mut [[f64; ROWS]]) {
    let (columns, apart) = (z.as_chunks::<2>().0, apart.as_chunks_mut::<2>().0);
    let mut rest = second;
    for (group, rows) in gz.as_chunks::<ROWS>().0.iter().enumerate() {
        let (Some(columns), Some(apart)) = (columns.get(..2 * group + 2), apart.get_mut(..2 * group + 2)) else {
            return;
        };
        let Some((panel, next)) = rest.split_at_mut_checked(ROWS * (group + 1)) else { return };
        rest = next;
        let pairs = columns.iter().zip(&mut *apart).enumerate();
        for (i, (columns, apart)) in pairs {
            // The last two columns meet the diagonal in the last two rows.
            *apart = if i <= 2 * group { pair::<ROWS>(rows, columns) } else { pair::<2>(rows, columns) };
        }
        for (sum, apart) in panel.iter_mut().zip(apart.as_flattened()) {
            for r in 0..ROWS {
                sum[r] += (apart[r][0] + apart[r][2]) + (apart[r][1] + apart[r][3]);
            }
        }
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
