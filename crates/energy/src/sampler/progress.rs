use crate::error::Error;
use core::ops::ControlFlow;

/// How far a sampler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Sweeps done.
    pub done: u64,
    /// Sweeps in all.
    pub total: u64,
}

/// What a sampler calls after each sweep; `Break` cancels it.
pub type Hook<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// The hook that does nothing.
pub fn quiet(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Tells a hook how many of all sweeps are done.
///
/// # Errors
/// [`Error::Cancelled`] if it breaks.
pub fn report(hook: Hook<'_>, done: u64, total: u64) -> Result<(), Error> {
    match hook(Progress { done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
