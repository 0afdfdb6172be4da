//! Codes in words.

use std::ffi::CStr;

use super::error::{Code, Outcome, lookup};
use super::pointer::{Out, Text};

fn describe(number: u32, out: Out<Text>, pick: impl Fn((&'static CStr, &'static CStr)) -> &'static CStr) -> Outcome {
    let place = out.place()?;
    match lookup(number) {
        Some(found) => place.put(Text::lasting(pick(found))),
        None => {
            place.put(Text::null());
            return Err(Code::INVALID_VALUE.into());
        }
    }
    Ok(())
}

super::boundary::exported! {
    fn cuGetErrorName(error: u32, text: Out<Text>) {
        describe(error, text, |(name, _)| name)
    }

    fn cuGetErrorString(error: u32, text: Out<Text>) {
        describe(error, text, |(_, text)| text)
    }
}
