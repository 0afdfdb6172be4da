//! Contexts, and which is current on a thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::error::{Code, Error, Outcome};
use super::handle::{Handle, Table};
use super::machine::machine;

pub static CONTEXTS: Table<Context> = Table::new(Code::INVALID_CONTEXT);

/// A context: what its streams, events and modules belong to, and what an error of a kernel spoils.
pub struct Context {
    pub handle: Handle,
    pub flags: AtomicU32,
    pub limits: Mutex<BTreeMap<i32, usize>>,
    pub cache: AtomicU32,
    pub banks: AtomicU32,
    /// The error that sticks to it, or 0.
    spoiled: AtomicU32,
}

impl Context {
    pub fn new(handle: Handle, flags: u32) -> Arc<Context> {
        Arc::new(Context {
            handle,
            flags: AtomicU32::new(flags),
            limits: Mutex::new(DEFAULT_LIMITS.into()),
            cache: AtomicU32::new(0),
            banks: AtomicU32::new(0),
            spoiled: AtomicU32::new(0),
        })
    }

    /// The context that is current on this thread, whatever befell it.
    pub fn current() -> Outcome<Arc<Context>> {
        machine()?;
        match CURRENT.get() {
            Handle::NULL => Err(Code::INVALID_CONTEXT.into()),
            handle => CONTEXTS.get(handle).map_err(|_| Code::CONTEXT_IS_DESTROYED.into()),
        }
    }

    /// The context that is current on this thread, if it can still be used.
    pub fn usable() -> Outcome<Arc<Context>> {
        let context = Self::current()?;
        context.check()?;
        Ok(context)
    }

    /// The context of a handle; null means the current one.
    pub fn of(handle: Handle) -> Outcome<Arc<Context>> {
        if handle == Handle::NULL { Self::current() } else { CONTEXTS.get(handle) }
    }

    /// The error that sticks to the context, if there is one.
    pub fn check(&self) -> Outcome {
        match self.spoiled.load(Ordering::Acquire) {
            0 => Ok(()),
            number => Err(Code::of_number(number).into()),
        }
    }

    /// Makes an error stick; the first one stays.
    pub fn spoil(&self, error: &Error) {
        let _ = self.spoiled.compare_exchange(0, error.code.number(), Ordering::AcqRel, Ordering::Acquire);
    }

    pub fn is_spoiled(&self) -> bool {
        self.check().is_err()
    }

    /// Whether an error sticks to the context of a handle.
    pub fn is_spoiled_handle(handle: Handle) -> bool {
        CONTEXTS.get(handle).is_ok_and(|context| context.is_spoiled())
    }
}

thread_local! {
    /// No destructor runs for it, so destructors of other thread-local values can still use the driver.
    static CURRENT: Cell<Handle> = const { Cell::new(Handle::NULL) };
    /// What lies below the current context on the thread's stack.
    static BELOW: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

/// The handle of the current context, or null.
pub fn current() -> Handle {
    CURRENT.get()
}

/// Makes a context current instead of that which was.
pub fn set_current(handle: Handle) {
    CURRENT.set(handle);
}

/// Makes a context current, above that which was.
pub fn push(handle: Handle) {
    let below = CURRENT.replace(handle);
    let _ = BELOW.try_with(|stack| stack.borrow_mut().push(below));
}

/// Takes the current context away, and with it its handle.
pub fn pop() -> Outcome<Handle> {
    let top = CURRENT.get();
    if top == Handle::NULL {
        return Err(Code::INVALID_CONTEXT.into());
    }
    let below = BELOW.try_with(|stack| stack.borrow_mut().pop()).ok().flatten();
    CURRENT.set(below.unwrap_or(Handle::NULL));
    Ok(top)
}

/// `CUlimit` numbers, and what an H200 has for them.
const DEFAULT_LIMITS: [(i32, usize); 6] = [(0, 1024), (1, 1 << 20), (2, 8 << 20), (4, 2048), (5, 64), (6, 0)];
