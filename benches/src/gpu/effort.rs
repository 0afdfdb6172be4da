//! How much a part of a visit does.

use std::time::{Duration, Instant};

/// How much, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Sizes that the emulator computes in seconds.
    pub small: bool,
    end: Instant,
}

impl Effort {
    /// From now on, for so long.
    pub fn new(small: bool, limit: Duration) -> Effort {
        Effort { small, end: Instant::now() + limit }
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// So many of these, until the time is over; says how many were left out.
    pub fn each<T, E>(
        &self,
        all: impl IntoIterator<Item = T>,
        mut one: impl FnMut(T) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut all = all.into_iter();
        while !self.is_over() {
            let Some(next) = all.next() else { return Ok(0) };
            one(next)?;
        }
        Ok(all.count())
    }
}

/// What is said of a part that did not do all.
pub fn cut(left_out: usize) -> String {
    if left_out == 0 { String::new() } else { format!(", {left_out} left out: the time was over") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut done = Vec::new();
        let all: Result<usize, ()> = Effort::new(true, Duration::from_secs(60)).each(0..3, |i| {
            done.push(i);
            Ok(())
        });
        assert_eq!((all, done), (Ok(0), vec![0, 1, 2]));
        assert_eq!(Effort::new(true, Duration::ZERO).each(0..3, |_| Err(())), Ok(3));
        assert_eq!(cut(3), ", 3 left out: the time was over");
    }
}
