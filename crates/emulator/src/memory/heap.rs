//! The heap of kernels: what their `malloc` and `free` give and take back.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What `malloc` gives is a multiple of this.
const ALIGN: u64 = 16;

/// The live parts of an allocation, by their offsets, each with its bytes.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    live: Mutex<BTreeMap<u64, u64>>,
}

impl Heap {
    fn live(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of so many bytes within a total: its first offset, and the first after it, if there is room.
    pub fn allocate(&self, total: u64, bytes: u64) -> Option<(u64, u64)> {
        let room = bytes.max(1).checked_next_multiple_of(ALIGN)?;
        let mut live = self.live();
        let mut begin = 0;
        for (&next, &taken) in live.iter() {
            if next - begin >= room {
                break;
            }
            begin = next + taken.max(1).next_multiple_of(ALIGN);
        }
        if total.saturating_sub(begin) < room {
            return None;
        }
        live.insert(begin, bytes);
        Some((begin, begin + room))
    }

    /// Takes a part back; whether one begins there.
    pub fn free(&self, offset: u64) -> bool {
        self.live().remove(&offset).is_some()
    }

    /// Whether a range lies in a live part.
    pub fn holds(&self, offset: u64, bytes: u64) -> bool {
        let live = self.live();
        let part = live.range(..=offset).next_back();
        part.is_some_and(|(&begin, &len)| offset - begin <= len && bytes <= len - (offset - begin))
    }

    /// What lies around an offset that no live part holds.
    pub fn describe(&self, offset: u64) -> String {
        match self.live().range(..=offset).next_back() {
            Some((&begin, &len)) => format!(
                "{} bytes past the end of {len} bytes that malloc gave",
                offset - begin - len.min(offset - begin)
            ),
            None => "in the heap, where malloc gave nothing".into(),
        }
    }
}
