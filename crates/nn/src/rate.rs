//! Learning rates over time, as factors in \[0, 1\] of the largest. `step` counts from 0 to `total` − 1.

use alloc::string::String;
use core::{f32::consts::PI, fmt, str::FromStr};

/// A course of the learning rate over a whole training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Schedule {
    /// [`ladder`].
    Ladder,
    /// [`one_cycle`], whose peak is after a twentieth of the steps.
    #[default]
    OneCycle,
    /// 1 throughout.
    Constant,
}

impl Schedule {
    /// All of them.
    pub const ALL: [Schedule; 3] = [Schedule::Ladder, Schedule::OneCycle, Schedule::Constant];

    /// The name, which parses back.
    ///
    /// ```
    /// use yuragi_nn::rate::Schedule;
    /// assert_eq!("one-cycle".parse(), Ok(Schedule::OneCycle));
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Schedule::Ladder => "ladder",
            Schedule::OneCycle => "one-cycle",
            Schedule::Constant => "constant",
        }
    }

    /// The factor at a step of `total`.
    #[must_use]
    pub fn at(self, step: u64, total: u64) -> f32 {
        match self {
            Schedule::Ladder => ladder(step, total),
            Schedule::OneCycle => one_cycle(step, total, 0.05),
            Schedule::Constant => 1.0,
        }
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Schedule, String> {
        let found = Schedule::ALL.into_iter().find(|schedule| schedule.name() == text);
        found.ok_or_else(|| "it must be ladder, one-cycle or constant".into())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Rises in equal steps to 1 at step `warm`; 1 from there on.
pub fn warmup(step: u64, warm: u64) -> f32 {
    if step < warm { (step + 1) as f32 / (warm + 1) as f32 } else { 1.0 }
}

/// 1, then half a cosine to 0 over the last `share` (0 to 1) of the steps.
///
/// ```
/// use yuragi_nn::rate::cosine_tail;
/// assert_eq!(cosine_tail(599, 1000, 0.4), 1.0);
/// assert!((cosine_tail(800, 1000, 0.4) - 0.5).abs() < 1e-6);
/// assert!(cosine_tail(999, 1000, 0.4) < 1e-4);
/// ```
pub fn cosine_tail(step: u64, total: u64, share: f32) -> f32 {
    let tail = total as f32 * share;
    let into = step as f32 - (total as f32 - tail);
    if into > 0.0 { half_cosine(into / tail) } else { 1.0 }
}

/// One cycle (Smith & Topin 2018): rises from 1/25 to 1 along half a cosine over the first `share`
/// of the steps, then falls to 0 along another.
pub fn one_cycle(step: u64, total: u64, share: f32) -> f32 {
    let (step, peak, total) = (step as f32, total as f32 * share, total as f32);
    if step < peak {
        1.0 - (1.0 - 1.0 / 25.0) * half_cosine(step / peak)
    } else {
        half_cosine((step - peak) / (total - peak))
    }
}

/// Eight rungs of 1, 3, 9, .., 3⁷ of 3280 parts of the steps, at 10^(−i/7): from 1 down to 1/10 (Burda, Grosse &
/// Salakhutdinov 2016).
///
/// ```
/// use yuragi_nn::rate::ladder;
/// assert_eq!(ladder(0, 3280), 1.0);
/// assert!((ladder(1, 3280) - 0.7197).abs() < 1e-4);
/// assert!((ladder(1092, 3280) - 0.1389).abs() < 1e-4);
/// assert!((ladder(1093, 3280) - 0.1).abs() < 1e-6);
/// ```
pub fn ladder(step: u64, total: u64) -> f32 {
    let part = step as f64 / total.max(1) as f64 * 3280.0;
    let (mut rung, mut end, mut length) = (0, 1.0, 1.0);
    while part + 1e-9 >= end && rung < 7 {
        rung += 1;
        length *= 3.0;
        end += length;
    }
    libm::powf(10.0, -(rung as f32) / 7.0)
}

/// From 1 at 0 to 0 at 1, and 0 beyond.
fn half_cosine(x: f32) -> f32 {
    if x < 1.0 { 0.5 * (1.0 + libm::cosf(PI * x)) } else { 0.0 }
}
