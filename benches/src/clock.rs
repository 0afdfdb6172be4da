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

/// Seconds of processor time, in ticks of a hundredth, that ended children of this process and theirs have had, where Linux
/// tells them; elsewhere 0.
pub fn children_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in brackets, may hold anything.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
