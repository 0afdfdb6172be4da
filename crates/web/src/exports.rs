//! What the module exports to its worker: calls of numbers, beside one buffer in and one out.
//!
//! Texts and files come in through the buffer that [`input`] makes room in; the worker fills it before its call, which
//! takes it. What is to be shown goes out through [`output`] and [`output_length`], until the next call. A call gives 0 or
//! more, or −1 with one line in the output that says what was wrong; none of them panics, whatever it is given. A worker
//! holds one of the three things at a time, and its calls come from one thread.
#![allow(unsafe_code)] // names that the linker keeps, and the runtime's constructors

use std::cell::RefCell;

use yuragi::Failure;

use crate::{Asked, Digits, Glass, Studio, Temperatures, glass};

/// The longest input: a model's file.
const LONGEST: usize = 1 << 28;

#[derive(Default)]
struct State {
    input: Vec<u8>,
    output: Vec<u8>,
    studio: Option<Studio>,
    glass: Option<Glass>,
    digits: Option<Digits>,
}

impl State {
    /// The input as so many texts, parted by zeros.
    fn texts<const N: usize>(&mut self) -> Result<[String; N], Failure> {
        let text = String::from_utf8(std::mem::take(&mut self.input));
        let text = text.map_err(|_| Failure::new("the words are no UTF-8 text"))?;
        let parts: Vec<String> = text.split('\0').map(str::to_owned).collect();
        parts.try_into().map_err(|_| Failure::new(format!("{N} texts are wanted, parted by zeros")))
    }

    fn studio(&mut self) -> Result<&mut Studio, Failure> {
        self.studio.as_mut().ok_or_else(|| Failure::new("no model was opened"))
    }

    fn glass(&mut self) -> Result<&mut Glass, Failure> {
        self.glass.as_mut().ok_or_else(|| Failure::new("no glass was made"))
    }

    fn digits(&mut self) -> Result<&mut Digits, Failure> {
        self.digits.as_mut().ok_or_else(|| Failure::new("no machine was opened"))
    }
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
    #[cfg(target_os = "wasi")]
    static BEGUN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs a call; its bytes become the output.
fn call<T: Into<Vec<u8>>>(body: impl FnOnce(&mut State) -> Result<(i32, T), Failure>) -> i32 {
    STATE.with_borrow_mut(|state| {
        let (code, output) = match body(state) {
            Ok((code, output)) => (code, output.into()),
            Err(failure) => (-1, failure.to_string().into_bytes()),
        };
        state.input.clear();
        state.output = output;
        code
    })
}

/// A number that a caller counts things with.
fn count(number: u32) -> usize {
    number.try_into().unwrap_or(usize::MAX)
}

/// To be called once, before all else.
#[unsafe(no_mangle)]
pub extern "C" fn begin() {
    #[cfg(target_os = "wasi")]
    if !BEGUN.replace(true) {
        unsafe extern "C" {
            fn __wasi_init_tp();
            fn __wasm_call_ctors();
        }
        // SAFETY: what `_initialize` of WASI with threads does, which Rust's dynamic libraries lack: the C library learns of
        // its first thread, without which its locks wait for ever, and its constructors run. Both once, and before all
        // else. That the constructors are named keeps the linker from running them at every call.
        unsafe {
            __wasi_init_tp();
            __wasm_call_ctors();
        }
    }
}

/// Room for so many bytes, to be filled before the next call; 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn input(length: u32) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        state.input.clear();
        if count(length) > LONGEST || state.input.try_reserve_exact(count(length)).is_err() {
            return std::ptr::null_mut();
        }
        state.input.resize(count(length), 0);
        state.input.as_mut_ptr()
    })
}

/// Where the last call's bytes are.
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    STATE.with_borrow(|state| state.output.as_ptr())
}

/// How many they are.
#[unsafe(no_mangle)]
pub extern "C" fn output_length() -> u32 {
    STATE.with_borrow(|state| state.output.len().try_into().unwrap_or(u32::MAX))
}

/// Takes the input as a drawing model's file, packed (`yuragi-packed`); gives the side of its pictures.
#[unsafe(no_mangle)]
pub extern "C" fn studio_open(threads: u32) -> i32 {
    call(|state| {
        state.studio = None;
        let file = yuragi_packed::unpack(&std::mem::take(&mut state.input));
        let file = file.ok_or_else(|| Failure::new("the model's file is cut short or damaged"))?;
        let studio = Studio::open(file, count(threads).clamp(1, 64))?;
        let side = studio.side();
        state.studio = Some(studio);
        Ok((side.try_into().unwrap_or(i32::MAX), []))
    })
}

/// Threads that draw.
#[unsafe(no_mangle)]
pub extern "C" fn studio_threads() -> i32 {
    call(|state| Ok((state.studio()?.threads().try_into().unwrap_or(i32::MAX), [])))
}

/// Takes the input as words and negative words, parted by a zero, and begins to draw; the output has notes, line by line.
#[unsafe(no_mangle)]
pub extern "C" fn studio_start(seed: u64, pictures: u32, steps: u32, guidance: f32) -> i32 {
    call(|state| {
        let [prompt, negative] = state.texts()?;
        let (pictures, steps) = (count(pictures), count(steps));
        let notes = state.studio()?.start(Asked { prompt, negative, seed, count: pictures, steps, guidance })?;
        Ok((0, notes.join("\n")))
    })
}

/// Goes on for so many launches; gives how many hundredths of a percent are done. At 10,000 the pictures are there.
#[unsafe(no_mangle)]
pub extern "C" fn studio_advance(launches: u32) -> i32 {
    call(|state| {
        let done = state.studio()?.advance(count(launches))?;
        let [done, total] = [done.done, done.total].map(|launches| launches as u64);
        let share = (10_000 * done).checked_div(total).unwrap_or(0);
        Ok((share.try_into().unwrap_or(0), []))
    })
}

/// The steps that were made.
#[unsafe(no_mangle)]
pub extern "C" fn studio_evaluated() -> i32 {
    call(|state| Ok((state.studio()?.evaluated().try_into().unwrap_or(i32::MAX), [])))
}

/// Guesses of the pictures as red, green and blue bytes; gives their side.
#[unsafe(no_mangle)]
pub extern "C" fn studio_guesses() -> i32 {
    call(|state| {
        let studio = state.studio()?;
        Ok((studio.guess_side().try_into().unwrap_or(0), studio.guesses()))
    })
}

/// The pictures as red, green and blue bytes; gives their side.
#[unsafe(no_mangle)]
pub extern "C" fn studio_pictures() -> i32 {
    call(|state| {
        let studio = state.studio()?;
        Ok((studio.side().try_into().unwrap_or(0), studio.pictures()))
    })
}

/// How a picture was made, as its file tells it.
#[unsafe(no_mangle)]
pub extern "C" fn studio_parameters(place: u32) -> i32 {
    call(|state| {
        let text = state.studio()?.parameters(count(place));
        Ok((0, text.ok_or_else(|| Failure::new("there is no such picture"))?))
    })
}

/// Ends what is being drawn.
#[unsafe(no_mangle)]
pub extern "C" fn studio_cancel() -> i32 {
    call(|state| {
        state.studio()?.cancel();
        Ok((0, []))
    })
}

/// Makes a glass of `side` by `side` spins with replicas at so many temperatures.
#[unsafe(no_mangle)]
pub extern "C" fn glass_new(side: u32, levels: u32, seed: u64, coldest: f64, ratio: f64) -> i32 {
    call(|state| {
        state.glass = None;
        let temperatures = Temperatures { coldest, ratio };
        state.glass = Some(Glass::new(count(side), count(levels), seed, temperatures)?);
        Ok((0, []))
    })
}

/// So many sweeps at these temperatures, with exchanges unless that is 0.
#[unsafe(no_mangle)]
pub extern "C" fn glass_step(sweeps: u32, coldest: f64, ratio: f64, exchanges: u32) -> i32 {
    call(|state| {
        let glass = state.glass()?;
        glass.set(Temperatures { coldest, ratio })?;
        glass.step(sweeps, exchanges != 0)?;
        Ok((0, []))
    })
}

/// The temperature after `done` of `total` sweeps between two; −1 for numbers that are none.
#[unsafe(no_mangle)]
pub extern "C" fn glass_cooled(warmest: f64, coldest: f64, total: u32, done: u32) -> f64 {
    glass::cooled(warmest, coldest, total, done).unwrap_or(-1.0)
}

/// What the glass is: the energies a spin and the shares of exchanges, from the warmest on, and the least energy a spin
/// so far, as numbers of 32 bits. Gives its sweeps.
#[unsafe(no_mangle)]
pub extern "C" fn glass_energies() -> i32 {
    call(|state| {
        let glass = state.glass()?;
        let numbers = [glass.energies(), glass.acceptance(), vec![glass.best().1 as f32]].concat();
        let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
        Ok(((glass.sweeps() & i32::MAX as u32).cast_signed(), bytes))
    })
}

/// Which replica is at each temperature, from the warmest on, a byte each; then the spins at each, 0 or 1; then those of
/// the least energy so far.
#[unsafe(no_mangle)]
pub extern "C" fn glass_spins() -> i32 {
    call(|state| {
        let glass = state.glass()?;
        Ok((0, [glass.replicas(), glass.spins(), glass.best().0.to_vec()].concat()))
    })
}

/// Takes the input as a machine's file; gives the width of its pictures.
#[unsafe(no_mangle)]
pub extern "C" fn digits_open() -> i32 {
    call(|state| {
        state.digits = None;
        let digits = Digits::open(std::mem::take(&mut state.input))?;
        let [_, width] = digits.shape();
        state.digits = Some(digits);
        Ok((width.try_into().unwrap_or(i32::MAX), []))
    })
}

/// Begins so many chains.
#[unsafe(no_mangle)]
pub extern "C" fn digits_start(chains: u32, seed: u64) -> i32 {
    call(|state| {
        state.digits()?.start(count(chains), seed)?;
        Ok((0, []))
    })
}

/// So many steps; the output has the grey levels of the means, or unless `ink` is 0, the units themselves. Gives the steps
/// that were made in all.
#[unsafe(no_mangle)]
pub extern "C" fn digits_step(steps: u32, ink: u32) -> i32 {
    call(|state| {
        let digits = state.digits()?;
        digits.step(steps)?;
        let shown = if ink == 0 { digits.grey() } else { digits.ink() };
        Ok(((digits.steps() & i32::MAX as u32).cast_signed(), shown))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> String {
        STATE.with_borrow(|state| String::from_utf8_lossy(&state.output).into_owned())
    }

    fn give(bytes: &[u8]) {
        assert!(!input(bytes.len() as u32).is_null());
        STATE.with_borrow_mut(|state| state.input.copy_from_slice(bytes));
    }

    #[test]
    fn calls_in_the_wrong_order_are_answered() {
        begin();
        begin();
        for code in [studio_advance(1), studio_evaluated(), studio_pictures(), studio_cancel(), studio_threads()] {
            assert!(code == -1 && said() == "no model was opened", "{}", said());
        }
        assert!(glass_step(1, 1.0, 1.2, 1) == -1 && said() == "no glass was made");
        assert!(digits_step(1, 0) == -1 && said() == "no machine was opened");
        assert!(input(u32::MAX).is_null());
    }

    #[test]
    fn files_that_are_none_and_numbers_out_of_range_are_answered() {
        for bytes in [&b""[..], b"not a model", &[0xff; 100]] {
            give(bytes);
            assert!(studio_open(1) == -1 && !said().is_empty(), "{}", said());
            give(bytes);
            assert!(digits_open() == -1 && !said().is_empty(), "{}", said());
        }
        assert!(glass_new(0, 4, 1, 1.0, 1.2) == -1 && said().contains("2 to 256 spins"));
        assert!(glass_new(8, 4, 1, f64::NAN, 1.2) == -1);
        assert_eq!(glass_cooled(f64::INFINITY, 1.0, 5, 1), -1.0);
        give(include_bytes!("../page/digits.safetensors"));
        assert_eq!(digits_open(), 28, "{}", said());
        assert!(digits_start(0, 1) == -1 && said().contains("1 to 256"));
    }

    #[test]
    fn bytes_go_out_as_they_are_described() {
        assert_eq!(glass_new(8, 3, 1, 0.5, 1.5), 0);
        assert_eq!(glass_step(20, 0.4, 1.5, 1), 0);
        assert_eq!(glass_energies(), 20);
        let bytes = STATE.with_borrow(|state| state.output.clone());
        assert_eq!((bytes.len(), output_length()), (4 * (3 + 2 + 1), 24));
        assert_eq!(glass_spins(), 0);
        assert_eq!(output_length(), 3 + 3 * 64 + 64);
        give(include_bytes!("../page/digits.safetensors"));
        assert_eq!(digits_open(), 28, "{}", said());
        assert_eq!((digits_start(2, 1), digits_step(3, 0), output_length()), (0, 3, 2 * 784));
    }
}
