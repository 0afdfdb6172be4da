//! Who touched which bytes of an allocation last, a page at a time.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::quads::Shadows;

/// Words of a page.
pub(crate) const PAGE: usize = 256;

/// The words of a page in one launch.
pub(crate) struct Page {
    launch: u64,
    pub shadows: Shadows,
}

/// The last accesses to all words of an allocation. A page exists once it is touched.
pub(crate) struct Shadow {
    shelves: Box<[OnceLock<Box<Shelf>>]>,
}

/// Pages in a row, which exist once one of them does.
type Shelf = [OnceLock<Box<Mutex<Page>>>; SHELF];
const SHELF: usize = 64;

impl Shadow {
    pub fn new(words: usize) -> Shadow {
        Shadow { shelves: (0..words.div_ceil(PAGE * SHELF)).map(|_| OnceLock::new()).collect() }
    }

    fn cell(&self, word: usize) -> &Mutex<Page> {
        let shelf = self.shelves[word / (PAGE * SHELF)].get_or_init(|| Box::new([const { OnceLock::new() }; SHELF]));
        let page = || Box::new(Mutex::new(Page { launch: 0, shadows: Shadows::new(PAGE) }));
        shelf[word / PAGE % SHELF].get_or_init(page)
    }

    /// The page of a word, emptied if it was used by another launch.
    pub fn page(&self, word: usize, launch: u64) -> MutexGuard<'_, Page> {
        let mut page = self.cell(word).lock().unwrap_or_else(PoisonError::into_inner);
        if page.launch != launch {
            page.launch = launch;
            page.shadows.clear(PAGE);
        }
        page
    }

    /// Makes words such as nobody ever touched.
    pub fn forget(&self, begin: usize, end: usize) {
        for word in begin..end {
            let shelf = self.shelves[word / (PAGE * SHELF)].get();
            if let Some(page) = shelf.and_then(|shelf| shelf[word / PAGE % SHELF].get()) {
                page.lock().unwrap_or_else(PoisonError::into_inner).shadows.forget(word % PAGE);
            }
        }
    }

    /// Keeps others from the same page.
    pub fn exclusive(&self, word: usize) -> MutexGuard<'_, Page> {
        self.cell(word).lock().unwrap_or_else(PoisonError::into_inner)
    }
}
