//! What a program needs of what it runs on: text, an end, and how much stack and heap it took. On a microcontroller by
//! semihosting, elsewhere by the standard library.
#![allow(unsafe_code)] // allocators, and the stack's memory as it lies

#[cfg_attr(target_os = "none", path = "board/bare.rs")]
#[cfg_attr(not(target_os = "none"), path = "board/hosted.rs")]
mod machine;

#[cfg(target_os = "none")]
pub use machine::NoHeap;
pub use machine::{Heap, end, stack};

/// Where a program writes.
#[derive(Debug, Default)]
pub struct Console;

impl Console {
    /// Writes text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        machine::write(text);
        self
    }

    /// Writes a number, without the library's formatting, which is larger than a sampler.
    pub fn number(&mut self, number: i64) -> &mut Self {
        if number < 0 {
            self.text("-");
        }
        self.digits(number.unsigned_abs(), 10, 1)
    }

    /// Writes a number in sixteen hexadecimal digits.
    pub fn hexadecimal(&mut self, number: u64) -> &mut Self {
        self.digits(number, 16, 16)
    }

    /// Writes a number of thousandths as a decimal fraction.
    pub fn thousandths(&mut self, number: i64) -> &mut Self {
        if number < 0 {
            self.text("-");
        }
        let size = number.unsigned_abs();
        self.digits(size / 1000, 10, 1).text(".").digits(size % 1000, 10, 3)
    }

    fn digits(&mut self, mut number: u64, base: u64, least: usize) -> &mut Self {
        let mut digits = [b'0'; 20];
        let mut start = digits.len();
        while number > 0 || start > digits.len() - least {
            start -= 1;
            digits[start] = b"0123456789abcdef"[(number % base) as usize];
            number /= base;
        }
        self.text(core::str::from_utf8(&digits[start..]).unwrap_or_default())
    }

    /// Writes how much stack was used up to now, where that is known.
    pub fn stack(&mut self) -> &mut Self {
        match stack() {
            Some(bytes) => self.text("stack: ").number(bytes as i64).text(" bytes\n"),
            None => self,
        }
    }
}

/// The program's entry: `run(&mut Console) -> Result<(), &'static str>`, whose error ends the program as a failure. With a
/// [`Heap`]'s name and size the program has that heap; without, a microcontroller's program does not link if anything
/// that can be reached in it allocates.
#[macro_export]
macro_rules! program {
    ($run:path) => {
        #[cfg(target_os = "none")]
        #[global_allocator]
        static NO_HEAP: $crate::board::NoHeap = $crate::board::NoHeap;
        $crate::program!(@entry $run);
    };
    ($run:path, heap: $heap:ident = $bytes:expr) => {
        #[global_allocator]
        static $heap: $crate::board::Heap<{ $bytes }> = $crate::board::Heap::new();
        $crate::program!(@entry $run);
    };
    (@entry $run:path) => {
        #[cfg(target_os = "none")]
        #[cortex_m_rt::entry]
        fn main() -> ! {
            $crate::board::end($run(&mut $crate::board::Console))
        }

        #[cfg(not(target_os = "none"))]
        fn main() -> std::process::ExitCode {
            $crate::board::end($run(&mut $crate::board::Console))
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_formatting() {
        // What is written goes to the output; here only that every length fits.
        let mut console = Console;
        for number in [0, 7, -15, i64::MAX, i64::MIN] {
            console.number(number).text(" ").thousandths(number).text(" ").hexadecimal(number as u64).text("\n");
        }
    }
}
