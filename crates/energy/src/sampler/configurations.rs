use crate::error::Error;
use crate::replicas::Replicas;
use alloc::vec::Vec;

/// The configurations of all slots, one after another.
pub(crate) fn configurations(replicas: &dyn Replicas) -> Result<Vec<u8>, Error> {
    let n = replicas.problem().len();
    let bytes = n.checked_mul(replicas.len()).ok_or(Error::Overflow { what: "the number of values" })?;
    let mut values = alloc::vec![0; bytes];
    for (slot, values) in values.chunks_mut(n).enumerate() {
        replicas.values(slot, values)?;
    }
    Ok(values)
}
