//! Handles: numbers that stand for what the driver made, and the tables of what is alive.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::error::{Code, Outcome};

/// An opaque pointer of the API (`CUcontext`, `CUstream`, ...). It is only ever looked up, never followed.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Handle(pub usize);

impl Handle {
    pub const NULL: Handle = Handle(0);

    /// A handle that no other object of any kind has had or will have.
    pub fn fresh() -> Handle {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        Handle(NEXT.fetch_add(1, Ordering::Relaxed) << Self::PART_BITS)
    }

    /// Parts of an object (the nodes of a graph) have the numbers after its own.
    const PART_BITS: u32 = 24;

    /// The handle of a part; `None` when the object has too many.
    pub fn part(self, index: usize) -> Option<Handle> {
        (index + 1 < 1 << Self::PART_BITS).then_some(Handle(self.0 + index + 1))
    }

    /// The object that a part belongs to, and its index.
    pub fn whole(self) -> Option<(Handle, usize)> {
        let index = (self.0 & ((1 << Self::PART_BITS) - 1)).checked_sub(1)?;
        Some((Handle(self.0 - index - 1), index))
    }
}

/// The live objects of one kind.
pub struct Table<T> {
    live: RwLock<BTreeMap<Handle, Arc<T>>>,
    missing: Code,
}

impl<T> Table<T> {
    /// An empty table; looking up what is not in it gives the code.
    pub const fn new(missing: Code) -> Table<T> {
        Table { live: RwLock::new(BTreeMap::new()), missing }
    }

    pub fn insert(&self, handle: Handle, object: Arc<T>) {
        self.write().insert(handle, object);
    }

    /// Puts an object in the table under a handle of its own.
    pub fn add(&self, object: Arc<T>) -> Handle {
        let handle = Handle::fresh();
        self.insert(handle, object);
        handle
    }

    pub fn get(&self, handle: Handle) -> Outcome<Arc<T>> {
        self.read().get(&handle).cloned().ok_or(self.missing.into())
    }

    pub fn remove(&self, handle: Handle) -> Outcome<Arc<T>> {
        self.write().remove(&handle).ok_or(self.missing.into())
    }

    /// Takes out all objects of which something holds.
    pub fn remove_all(&self, belongs: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let mut live = self.write();
        let gone: Vec<Handle> = live.iter().filter(|(_, object)| belongs(object)).map(|(&handle, _)| handle).collect();
        gone.iter().filter_map(|handle| live.remove(handle)).collect()
    }

    /// All objects of which something holds.
    pub fn all(&self, belongs: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        self.read().values().filter(|object| belongs(object)).cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Handle, Arc<T>>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Handle, Arc<T>>> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_live_once() {
        let table = Table::new(Code::INVALID_HANDLE);
        let (a, b) = (table.add(Arc::new(1)), table.add(Arc::new(2)));
        assert_ne!(a, b);
        assert_eq!(*table.get(a).expect("alive"), 1);
        assert_eq!(*table.remove(a).expect("alive"), 1);
        assert_eq!(table.get(a).expect_err("gone").code, Code::INVALID_HANDLE);
        assert_eq!(table.remove(a).expect_err("gone").code, Code::INVALID_HANDLE);
        assert_eq!(table.remove_all(|&n| n == 2).len(), 1);
        assert!(table.get(b).is_err() && table.get(Handle::NULL).is_err());
    }

    #[test]
    fn parts_lead_back_to_their_object() {
        let whole = Handle::fresh();
        let part = whole.part(41).expect("few parts");
        assert_eq!(part.whole(), Some((whole, 41)));
        assert_eq!(whole.whole(), None);
        assert_eq!(whole.part(1 << 24), None);
    }
}
