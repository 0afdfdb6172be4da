//! Numbers of many items that ranks compute together, each those of its share.

use crate::error::{Error, length};
use alloc::vec::Vec;
use core::ops::Range;
use yuragi_graph::Collective;

/// Numbers of each of `count` items on all ranks, as many of each, in the order of the items; `here` gives those of a rank's
/// share, which is whole units of so many items. If one rank was cancelled, all are.
///
/// ```
/// use yuragi_energy::shares;
/// use yuragi_graph::Alone; // one rank; others come from an engine such as MPI
/// let squares = shares::numbers(&Alone, (5, 1), |own| Ok(own.map(|i| (i * i) as f64).collect()))?;
/// assert_eq!(squares, [0.0, 1.0, 4.0, 9.0, 16.0]);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
///
/// # Errors
/// Those of `here`, or a rank that is gone.
pub fn numbers(
    collective: &dyn Collective,
    (count, unit): (usize, usize),
    here: impl FnOnce(Range<usize>) -> Result<Vec<f64>, Error>,
) -> Result<Vec<f64>, Error> {
    let own = collective.share(count, unit, collective.rank());
    let found = if own.is_empty() { Ok(Vec::new()) } else { here(own) };
    let bytes = match &found {
        Ok(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        Err(Error::Cancelled) => CANCELLED.to_vec(),
        Err(_) => return found,
    };
    let mut all = Vec::with_capacity(count);
    let parts = collective.gather(&bytes)?;
    if parts.iter().any(|part| part == CANCELLED) {
        return Err(Error::Cancelled);
    }
    for part in parts {
        let (numbers, rest) = part.as_chunks::<8>();
        length("the bytes that a rank sent", rest.len(), 0)?;
        all.extend(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)));
    }
    length("what ranks sent", all.len() % count.max(1), 0)?;
    Ok(all)
}

/// What a rank sends that was cancelled: no numbers have so many bytes.
const CANCELLED: &[u8] = &[0];
