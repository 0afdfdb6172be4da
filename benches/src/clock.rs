//! Time on a shared machine.

use std::{fs, sync::OnceLock, time::Instant};

/// Seconds of processor time that this thread has had, where Linux tells them; elsewhere those of the clock, from the first
/// call on. Linux counts in ticks of some milliseconds.
pub fn processor_seconds() -> f64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    nanoseconds.map_or_else(|| ORIGIN.get_or_init(Instant::now).elapsed().as_secs_f64(), |ns| ns * 1e-9)
}
