//! Which of the kernels that can compute a product or an attention is taken, by what it is of: as it was measured on a
//! device, or else as the rules of each family have it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use thiserror::Error;
use yuragi_graph::DType;
use yuragi_numeric::fnv::Fnv1a;

use super::{
    SHIPPED,
    attention::{Attention, Mask, Operand},
    conv::Conv2d,
    gemm::{Gemm, Matrices},
    operand::KernelError,
    product::{Machine, Pick, ProductError},
};
use crate::{
    dependent,
    launch::{ALIGNMENT, Address, Home, Launches},
};

/// What several kernels can compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Picked {
    /// Matrix products.
    Gemm(Gemm),
    /// A convolution, or a gradient of one, that is no matrix product.
    Conv(Conv2d),
    /// Attention.
    Attention(Attention),
}

/// Why there is no kernel.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PickError {
    /// For a product.
    #[error(transparent)]
    Product(#[from] ProductError),
    /// For an attention.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl Picked {
    /// A convolution, as a matrix product if it is one.
    ///
    /// # Errors
    /// As for [`Conv2d::launches`].
    pub fn conv(conv: Conv2d) -> Result<Picked, PickError> {
        Ok(conv.as_gemm()?.map_or(Picked::Conv(conv), Picked::Gemm))
    }

    /// In words: what is told alike takes alike long.
    pub fn key(&self) -> String {
        match self {
            Picked::Gemm(gemm) => gemm.key(),
            Picked::Conv(conv) => conv.key(),
            Picked::Attention(attention) => attention.key(),
        }
    }

    /// The launches, as they were picked where that can be.
    ///
    /// # Errors
    /// As for [`Gemm::launches`], [`Conv2d::launches`] and [`Attention::launches`].
    pub fn launches(&self, machine: Machine, picks: &Picks) -> Result<Launches, PickError> {
        let pick = if picks.is_empty() { None } else { picks.get(&self.key()) };
        Ok(match self {
            Picked::Gemm(gemm) => gemm.picked(machine, pick)?,
            Picked::Conv(conv) => conv.picked(machine, pick)?,
            Picked::Attention(attention) => attention.picked(machine, pick)?,
        })
    }

    /// Every way among which the fastest may be, with its launches.
    ///
    /// # Errors
    /// As for the launches.
    pub fn sensible(&self, machine: Machine) -> Result<Vec<(Pick, Launches)>, PickError> {
        Ok(match self {
            Picked::Gemm(gemm) => gemm.sensible(machine)?,
            Picked::Conv(conv) => conv.sensible(machine)?,
            Picked::Attention(attention) => attention.sensible(machine)?,
        })
    }

    /// What is taken where nothing was measured.
    pub fn rule(&self, machine: Machine) -> Option<Pick> {
        match self {
            Picked::Gemm(gemm) => gemm.choice(machine).map(Pick::from),
            Picked::Conv(conv) => conv.chosen(machine).map(Pick::from),
            Picked::Attention(attention) => Some(attention.sensible(machine).ok()?.into_iter().next()?.0),
        }
    }

    /// The type of the operands.
    pub const fn dtype(&self) -> DType {
        match self {
            Picked::Gemm(gemm) => gemm.factors.dtype(),
            Picked::Conv(conv) => conv.factors.dtype(),
            Picked::Attention(attention) => attention.dtype,
        }
    }

    /// The bytes of each block of memory of the same [alone](Picked::alone).
    pub fn bytes(&self) -> Vec<usize> {
        match self {
            Picked::Gemm(gemm) => gemm.bytes().into(),
            Picked::Conv(conv) => conv.bytes().into(),
            Picked::Attention(attention) => attention.bytes().into(),
        }
    }

    /// The same in memory of its own: the arena's buffers from 0 on, operands first, then the result and what else there is.
    /// Addresses keep their alignment.
    #[must_use]
    pub fn alone(&self) -> Picked {
        let place = |at: Address, buffer| Address { home: Home::Arena(buffer), offset: at.alignment() % ALIGNMENT };
        match *self {
            Picked::Gemm(gemm) => {
                let at = |x: Matrices, buffer| Matrices { at: place(x.at, buffer), ..x };
                let bias = gemm.bias.map(|bias| place(bias, 3));
                Picked::Gemm(Gemm { a: at(gemm.a, 0), b: at(gemm.b, 1), c: at(gemm.c, 2), bias, ..gemm })
            }
            Picked::Conv(conv) => {
                let [a, b, c] = [place(conv.a, 0), place(conv.b, 1), place(conv.c, 2)];
                Picked::Conv(Conv2d { a, b, c, bias: conv.bias.map(|bias| place(bias, 3)), ..conv })
            }
            Picked::Attention(attention) => {
                let at = |x: Operand, buffer| Operand { at: place(x.at, buffer), ..x };
                Picked::Attention(Attention {
                    q: at(attention.q, 0),
                    k: at(attention.k, 1),
                    v: attention.v.map(|v| at(v, 2)),
                    mask: attention.mask.map(|mask| Mask { at: place(mask.at, 3), ..mask }),
                    y: attention.y.map(|y| at(y, 4)),
                    log_sum: attention.log_sum.map(|sums| place(sums, 5)),
                    ..attention
                })
            }
        }
    }
}

/// Why a table is not used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PicksError {
    /// It was measured on another device, or with another driver.
    #[error("it was measured on {0}")]
    Elsewhere(Origin),
    /// It was measured with other kernels.
    #[error("it was measured with another version's kernels")]
    Kernels,
    /// It is no table, or not all of one.
    #[error("it is damaged")]
    Damaged,
}

/// What times depend on, beside the kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The device: see [`Cuda::kind`](crate::Cuda::kind).
    pub device: String,
    /// Its driver.
    pub driver: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(100).collect() };
        write!(f, "{} with {}", shown(&self.device), shown(&self.driver))
    }
}

/// A table of picks. As text: a line with the device, its driver, a sum over the kernels and one over all other lines, each of
/// which has what is computed, the kernel, the shares and the microseconds that it took, with tabs between.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picks {
    table: BTreeMap<String, (Pick, f64)>,
}

/// How a table's text begins.
const TITLE: &str = "yuragi tune";

/// The tables of this repository, one after the other.
const COMMITTED: &str = include_str!("picks.tsv");

impl Picks {
    /// None.
    pub const NONE: &'static Picks = &Picks { table: BTreeMap::new() };

    /// Those of this repository for a device, with whatever driver, if they are of the kernels as they are.
    pub fn committed(device: &str) -> Picks {
        let mut picks = Picks::default();
        for text in tables(COMMITTED).filter(|text| origin(text).is_some_and(|origin| origin.device == device)) {
            let table = origin(text).and_then(|origin| Picks::read(text, &origin).ok());
            picks.extend(table.unwrap_or_default());
        }
        picks
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// What is picked for what has this key.
    pub fn get(&self, key: &str) -> Option<&Pick> {
        self.table.get(key).map(|(pick, _)| pick)
    }

    /// Picks what took so many seconds.
    pub fn insert(&mut self, key: String, pick: Pick, seconds: f64) {
        self.table.insert(key, (pick, seconds));
    }

    /// Picks what another table does, in place of what this one does.
    pub fn extend(&mut self, others: Picks) {
        self.table.extend(others.table);
    }

    /// As text, for the kernels of this version.
    pub fn text(&self, Origin { device, driver }: &Origin) -> String {
        let mut rows = String::new();
        for (key, (Pick { kernel, shares }, seconds)) in &self.table {
            let _ = writeln!(rows, "{key}\t{kernel}\t{shares}\t{:.3}", seconds * 1e6);
        }
        format!("{TITLE}\t{device}\t{driver}\t{:016x}\t{:016x}\n{rows}", version(), sum(&rows))
    }

    /// From text, for the kernels of this version.
    ///
    /// # Errors
    /// A table of another origin or version, or one that is not as it was written.
    pub fn read(text: &str, of: &Origin) -> Result<Picks, PicksError> {
        let (title, rows) = text.split_once('\n').ok_or(PicksError::Damaged)?;
        let fields: Vec<&str> = title.split('\t').collect();
        let ([_, _, _, kernels, sum_of_rows], Some(origin)) = (&fields[..], origin(title)) else {
            return Err(PicksError::Damaged);
        };
        if *sum_of_rows != format!("{:016x}", sum(rows)) {
            return Err(PicksError::Damaged);
        }
        if origin != *of {
            return Err(PicksError::Elsewhere(origin));
        }
        if *kernels != format!("{:016x}", version()) {
            return Err(PicksError::Kernels);
        }
        let row = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [key, kernel, shares, microseconds] = fields[..] else { return None };
            let seconds = microseconds.parse::<f64>().ok()? * 1e-6;
            Some((key.to_owned(), (Pick { kernel: kernel.to_owned(), shares: shares.parse().ok()? }, seconds)))
        };
        let table = rows.lines().map(row).collect::<Option<_>>().ok_or(PicksError::Damaged)?;
        Ok(Picks { table })
    }
}

/// Tables that lie one after the other, without what is before the first.
fn tables(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices(TITLE).map(|(at, _)| at).filter(|&at| at == 0 || text.as_bytes()[at - 1] == b'\n');
    let starts: Vec<usize> = starts.collect();
    let ends = starts.clone().into_iter().skip(1).chain([text.len()]);
    starts.into_iter().zip(ends).map(|(start, end)| &text[start..end])
}

/// Where a table is from, by its first line.
fn origin(table: &str) -> Option<Origin> {
    let fields: Vec<&str> = table.lines().next()?.split('\t').collect();
    let [TITLE, device, driver, _, _] = fields[..] else { return None };
    Some(Origin { device: device.into(), driver: driver.into() })
}

/// A number that tells the kernels that are picked from those of other versions.
fn version() -> u64 {
    let families = ["any", "attention", "conv", "gemm"];
    let texts = SHIPPED.iter().filter(|(stem, _)| families.iter().any(|family| stem.starts_with(family)));
    let mut hash = Fnv1a::default();
    texts.for_each(|(_, text)| hash.bytes(text.as_bytes()));
    hash.bytes(dependent::WAIT.as_bytes());
    hash.value()
}

/// The hash of rows, by which a table that was cut off is seen.
fn sum(rows: &str) -> u64 {
    let mut hash = Fnv1a::default();
    hash.bytes(rows.as_bytes());
    hash.value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::product::Factors;
    use yuragi_graph::op::{Conv, MatMul, Window};

    const HOPPER: Machine = Machine { multiprocessors: 132, hopper: true };

    fn gemm(m: usize) -> Gemm {
        let at = |buffer| Address::start(Home::Arena(buffer));
        let op = MatMul { transpose_a: false, transpose_b: false };
        let of = |buffer, rows| Matrices::contiguous(at(buffer), rows, 64);
        let (a, b, c) = (of(0, m), of(1, 64), of(2, m));
        Gemm { batch: 1, m, n: 64, k: 64, op, a, b, c, bias: None, factors: Factors::F16, result: DType::F16 }
    }

    fn attention() -> Attention {
        let operand = Operand::contiguous(Address::start(Home::Arena(0)), 2, 64, 40);
        Attention {
            batch: 6,
            heads: 2,
            queries: 64,
            keys: 64,
            depth: 40,
            value_depth: 40,
            scale: 1.0,
            dtype: DType::F16,
            q: operand,
            k: operand,
            v: Some(operand),
            mask: None,
            y: Some(operand),
            log_sum: None,
        }
    }

    fn conv(kernel: usize) -> Conv2d {
        let at = |buffer| Address::start(Home::Arena(buffer));
        Conv2d {
            op: Conv::Forward(Window::same(kernel)),
            samples: 2,
            picture: [8, 8],
            channels: 64,
            kernel: [kernel; 2],
            filters: 128,
            a: at(0),
            b: at(1),
            c: at(2),
            bias: None,
            factors: Factors::F16,
            result: DType::F16,
        }
    }

    fn all() -> [Picked; 3] {
        [Picked::Gemm(gemm(640)), Picked::conv(conv(3)).unwrap(), Picked::Attention(attention())]
    }

    #[test]
    fn what_was_picked_is_launched_and_the_rule_else() {
        for picked in all() {
            let ways = picked.sensible(HOPPER).unwrap();
            assert!(ways.len() > 3, "{}", picked.key());
            let rule = picked.launches(HOPPER, Picks::NONE).unwrap();
            let own = picked.rule(HOPPER).unwrap();
            assert!(ways.contains(&(own, rule.clone())), "{}", picked.key());
            for (pick, launches) in &ways {
                let mut picks = Picks::default();
                picks.insert(picked.key(), pick.clone(), 1e-6);
                assert_eq!(picked.launches(HOPPER, &picks).unwrap(), *launches, "{}: {pick}", picked.key());
            }
            let mut picks = Picks::default();
            // No such kernel, shares of no kernel, shares of less than a sum has.
            for (kernel, shares) in [("none", 1), ("wgmma_64x64", 5), ("64x64", 32)] {
                picks.insert(picked.key(), Pick { kernel: kernel.into(), shares }, 1e-6);
                assert_eq!(picked.launches(HOPPER, &picks).unwrap(), rule, "{}: {kernel}", picked.key());
            }
        }
        // What this device has no kernel of, and sums that cannot be shared.
        let mut picks = Picks::default();
        picks.insert(Picked::Gemm(gemm(640)).key(), Pick { kernel: "wgmma_128x256".into(), shares: 1 }, 1e-6);
        let ampere = Machine { hopper: false, ..HOPPER };
        let rule = Picked::Gemm(gemm(640)).launches(ampere, Picks::NONE);
        assert_eq!(Picked::Gemm(gemm(640)).launches(ampere, &picks), rule);
        let apart = Gemm { c: Matrices { pitch: 72, ..gemm(640).c }, ..gemm(640) };
        picks.insert(Picked::Gemm(apart).key(), Pick { kernel: "64x64".into(), shares: 2 }, 1e-6);
        assert_eq!(Picked::Gemm(apart).launches(HOPPER, &picks).unwrap().scratch, 0);
    }

    #[test]
    fn keys_tell_what_takes_different_times() {
        let keys = [
            Picked::Gemm(gemm(640)),
            Picked::Gemm(gemm(641)),
            Picked::Gemm(Gemm { result: DType::F32, ..gemm(640) }),
            Picked::Gemm(Gemm { op: MatMul { transpose_a: true, transpose_b: false }, ..gemm(640) }),
            Picked::Conv(conv(3)),
            Picked::Conv(Conv2d { op: Conv::WeightGrad(Window::same(3)), ..conv(3) }),
            Picked::Conv(Conv2d { picture: [8, 9], ..conv(3) }),
            Picked::Attention(attention()),
            Picked::Gemm(Gemm { c: Matrices { pitch: 72, ..gemm(640).c }, ..gemm(640) }),
            Picked::Gemm(Gemm { a: Matrices { at: gemm(640).a.at.plus(2), ..gemm(640).a }, ..gemm(640) }),
            Picked::Gemm(Gemm { batch: 2, ..gemm(640) }),
            Picked::Gemm(Gemm { batch: 2, b: gemm(640).b.shared(), ..gemm(640) }),
            Picked::Conv(Conv2d { b: gemm(640).b.at.plus(2), ..conv(3) }),
            Picked::Attention(Attention { heads: 3, ..attention() }),
            Picked::Attention(Attention { q: Operand { pitch: 44, ..attention().q }, ..attention() }),
            Picked::Attention(Attention { log_sum: Some(Address::start(Home::Arena(1))), ..attention() }),
        ]
        .map(|picked| picked.key());
        let different: std::collections::BTreeSet<&String> = keys.iter().collect();
        assert_eq!(different.len(), keys.len(), "{keys:?}");
        // A window of one pixel is the matrix product that it is launched as.
        assert!(matches!(Picked::conv(conv(1)), Ok(Picked::Gemm(gemm)) if (gemm.m, gemm.n, gemm.k) == (128, 128, 64)));
        let at = gemm(640).a.at;
        assert_eq!(Picked::Gemm(Gemm { bias: Some(at.plus(8)), ..gemm(640) }).key(), keys[0]);
    }

    #[test]
    fn alone_a_block_holds_each_operand() {
        assert_eq!(Picked::Gemm(gemm(640)).bytes(), [2 * 640 * 64, 2 * 64 * 64, 2 * 640 * 64, 2 * 64]);
        assert_eq!(Picked::Conv(conv(3)).bytes(), [2 * 8192, 2 * 9 * 8192, 2 * 16384, 256]);
        assert_eq!(Picked::Attention(attention()).bytes(), [30720, 30720, 30720, 0, 30720, 4 * 384]);
        let moved = Gemm { a: Matrices { at: gemm(8).a.at.plus(4 * 256 + 16), ..gemm(8).a }, ..gemm(8) };
        let Picked::Gemm(alone) = Picked::Gemm(moved).alone() else { panic!("another kind") };
        assert_eq!((alone.a.at, alone.b.at.offset), (Address { home: Home::Arena(0), offset: 16 }, 0));
    }

    fn of(device: &str) -> Origin {
        Origin { device: device.into(), driver: "a driver".into() }
    }

    fn rules() -> Picks {
        let mut picks = Picks::default();
        for picked in all() {
            picks.insert(picked.key(), picked.rule(HOPPER).unwrap(), 2.5e-6);
        }
        picks
    }

    #[test]
    fn tables_are_read_as_they_were_written_or_not_at_all() {
        let text = rules().text(&of("A card"));
        let read = Picks::read(&text, &of("A card")).unwrap();
        assert_eq!((read.len(), read.text(&of("A card"))), (3, text.clone()));
        let why = |text: &str, device: &str| Picks::read(text, &of(device)).unwrap_err().to_string();
        assert_eq!(why(&text, "Another"), "it was measured on A card with a driver");
        let newer = Origin { driver: "a newer one".into(), ..of("A card") };
        assert_eq!(Picks::read(&text, &newer), Err(PicksError::Elsewhere(of("A card"))));
        let own = format!("{:016x}", version());
        assert_eq!(
            why(&text.replace(&own, "0123456789abcdef"), "A card"),
            "it was measured with another version's kernels"
        );
        for damaged in ["", "\n", &text[..text.len() - 20], &text.replace("640", "641"), &text.replace(TITLE, "x")] {
            assert_eq!(why(damaged, "A card"), "it is damaged");
        }
        for row in ["x\t64x64\t-5\t1\n", "x\t64x64\t1\tsoon\n", "x\t64x64\t1\n"] {
            let text = format!("{TITLE}\tA card\ta driver\t{own}\t{:016x}\n{row}", sum(row));
            assert_eq!(why(&text, "A card"), "it is damaged");
        }
        assert_eq!(Picks::read(&Picks::NONE.text(&of("A card")), &of("A card")).as_ref(), Ok(Picks::NONE));
    }

    #[test]
    fn tables_of_several_devices_lie_one_after_the_other() {
        let (one, none) = (rules().text(&of("A card")), Picks::NONE.text(&of("Another")));
        let text = format!("# What this is: yuragi tune writes it.\n{one}{none}");
        assert_eq!(tables(&text).collect::<Vec<_>>(), [&one, &none]);
        assert_eq!(tables(&text).filter_map(origin).collect::<Vec<_>>(), [of("A card"), of("Another")]);
        assert_eq!(tables("").count(), 0);
    }

    #[test]
    fn committed_tables_are_of_the_kernels_as_they_are() {
        assert!(COMMITTED.starts_with("# ") && Picks::committed("no such card").is_empty());
        for text in tables(COMMITTED) {
            let origin = origin(text).unwrap();
            let picks = Picks::read(text, &origin).unwrap_or_else(|why| panic!("{origin}: {why}"));
            assert!(!picks.is_empty() && Picks::committed(&origin.device).len() >= picks.len());
        }
    }
}
