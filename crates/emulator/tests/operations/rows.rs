//! Rows of tables: gathered, and summed.

use half::{bf16, f16};
use yuragi_emulator::Arguments;

use crate::common::{Bench, Number, blocks, noise};
use crate::{Stored, put_at, room_at, stored};

/// Numbers of rows, some of which do not exist.
fn indices(seed: u64, count: usize, rows: usize) -> Vec<i32> {
    let most = (rows + 2) as f32 / 2.0;
    noise(seed, count).iter().map(|x| ((x + 1.0) * most) as i32 - 1).collect()
}

fn row_of(index: i32, rows: usize) -> Option<usize> {
    usize::try_from(index).ok().filter(|&row| row < rows)
}

#[test]
fn rows_are_gathered_bit_for_bit() {
    fn all<T: Number + PartialEq + std::fmt::Debug + From<u16>>(kernel: &str) {
        let bench = Bench::new();
        let module = bench.shipped("sm_80/rows.ptx");
        for (rows, width, count, skip) in [(1, 1, 1, 0), (5, 3, 17, 0), (40, 64, 33, 0), (40, 64, 33, 1), (3, 20, 0, 0)]
        {
            let table: Vec<T> = (0..rows * width + skip).map(|i| (i as u16).into()).collect();
            let mut names = indices(3, count, rows);
            if let [first, .., last] = &mut names[..] {
                (*first, *last) = (i32::MIN, i32::MAX);
            }
            let at = (skip * T::BYTES) as u64;
            let (pt, pi) = (bench.put(&table) + at, bench.put(&names));
            let py = bench.room::<T>(count * width + skip) + at;
            let arguments = Arguments::new().u64(pt).u64(pi).u64(py);
            let arguments = arguments.u32(rows as u32).u64(width as u64).u64(count as u64);
            bench.run(&module, kernel, blocks([2, 1, 1], 64, 0), arguments);
            let table = &table[skip..];
            let want = names.iter().flat_map(|&index| match row_of(index, rows) {
                Some(row) => table[row * width..][..width].to_vec(),
                None => vec![0.into(); width],
            });
            assert_eq!(bench.get::<T>(py, count * width), want.collect::<Vec<T>>());
        }
    }
    all::<u16>("gather_16");
    all::<u32>("gather_32");
}

/// Sums in f32 in the order of the values, a segment at a time.
fn sums<T: Stored>(names: &[i32], values: &[T], rows: usize, width: usize, segment: usize) -> Vec<T> {
    let mut total = vec![0.0_f32; rows * width];
    for (names, values) in names.chunks(segment).zip(values.chunks(segment * width)) {
        let mut part = vec![0.0_f32; rows * width];
        for (&index, value) in names.iter().zip(values.chunks(width)) {
            if let Some(row) = row_of(index, rows) {
                part[row * width..][..width].iter_mut().zip(value).for_each(|(sum, x)| *sum += x.value() as f32);
            }
        }
        total.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    total.iter().map(|&sum| T::new(sum.into())).collect()
}

fn scatters<T: Stored>() {
    let bench = Bench::new();
    let module = bench.shipped("sm_80/rows.ptx");
    for (rows, width, count, segment, skip) in [
        (1, 1, 1, 1, 0),
        (3, 5, 70, 32, 0),
        (20, 132, 45, 45, 0),
        (70, 4, 200, 64, 0),
        (9, 8, 200, 70, 1),
        (17, 6, 0, 1, 0),
    ] {
        let names = indices(7, count, rows);
        let values = stored::<T>(8, count * width, 3.0);
        let (pi, pv) = (bench.put(&names), put_at(&bench, &values, skip));
        let py = room_at::<T>(&bench, rows * width, skip);
        let sizes = |list: Arguments| list.u32(rows as u32).u32(width as u32).u32(count as u32);
        let grid = [rows.div_ceil(16) as u32, width.div_ceil(128) as u32, 1];
        let arguments = sizes(Arguments::new().u64(pi).u64(pv).u64(py));
        bench.run(&module, &format!("scatter_add_{}", T::NAME), blocks(grid, 64, 0), arguments);
        let want = sums(&names, &values, rows, width, count.max(1));
        assert_eq!(bench.get::<T>(py, rows * width), want, "{rows} {width} {count}");

        let segments = count.div_ceil(segment);
        let part = bench.room::<f32>(segments * rows * width);
        let arguments = sizes(Arguments::new().u64(pi).u64(pv).u64(part)).u32(segment as u32);
        if segments > 0 {
            let launch = blocks([grid[0], grid[1], segments as u32], 64, 0);
            bench.run(&module, &format!("scatter_add_part_{}", T::NAME), launch, arguments);
        }
        let arguments = Arguments::new().u64(part).u64(py).u64((rows * width) as u64).u32(segments as u32);
        bench.run(&module, &format!("scatter_add_sum_{}", T::NAME), blocks([1, 1, 1], 64, 0), arguments);
        assert_eq!(bench.get::<T>(py, rows * width), sums(&names, &values, rows, width, segment));
    }
}

#[test]
fn rows_are_summed_in_order() {
    scatters::<f32>();
    scatters::<f16>();
    scatters::<bf16>();
}
