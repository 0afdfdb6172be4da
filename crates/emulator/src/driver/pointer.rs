//! What a C caller passes: places for results, structures, arrays, texts and buffers.
//!
//! Every function of the CUDA driver API asks its caller for the same thing: a pointer is null, or it is valid for
//! what the function's documentation says is read or written there, until the function returns. The types of this
//! file carry such pointers. They are made by C callers only (no code of this crate makes one from a number), so
//! that promise is what makes their methods sound; each checks for null, and none assumes an alignment.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

use super::error::{Code, Outcome};

/// A place for a result; null if the caller has none.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Out<T> {}

/// A place that is there.
pub struct Place<T>(NonNull<T>);

impl<T> Out<T> {
    pub const NULL: Out<T> = Out(std::ptr::null_mut());

    /// A place of our own.
    pub fn to(place: &mut T) -> Out<T> {
        Out(place)
    }

    /// The place, which the caller must have given.
    pub fn place(self) -> Outcome<Place<T>> {
        NonNull::new(self.0).map(Place).ok_or(Code::INVALID_VALUE.into())
    }

    /// Puts a value there if the caller wants it.
    pub fn put_if_wanted(self, value: T) {
        if let Ok(place) = self.place() {
            place.put(value);
        }
    }

    pub fn is_null(self) -> bool {
        self.0.is_null()
    }
}

impl<T> Place<T> {
    pub fn put(self, value: T) {
        // SAFETY: a non-null place of a caller is valid for a write of its type (see the head of this file).
        unsafe { self.0.write_unaligned(value) }
    }
}

impl<T: Copy> Out<T> {
    /// What stands there now, for arguments that go both ways.
    pub fn get(self) -> Outcome<T> {
        let place = self.place()?;
        // SAFETY: as for a write; the API says that the caller has put a value there.
        Ok(unsafe { place.0.read_unaligned() })
    }
}

impl<T> Out<T> {
    /// Puts a value in one place of an array of the caller.
    pub fn put_at(self, index: usize, value: T) -> Outcome {
        let first = self.place()?.0;
        // SAFETY: the caller gave an array that has a place of this index.
        unsafe { first.add(index).write_unaligned(value) };
        Ok(())
    }

    /// The array, to be read as elements of the same size.
    pub fn array<U>(self) -> In<U> {
        In(self.0.cast_const().cast())
    }

    /// Fills the first places of an array of the caller.
    pub fn put_all(self, values: impl IntoIterator<Item = T>) -> Outcome {
        let first = self.place()?.0;
        for (i, value) in values.into_iter().enumerate() {
            // SAFETY: the caller gave an array of as many places as the API says will be filled.
            unsafe { first.add(i).write_unaligned(value) }
        }
        Ok(())
    }
}

/// A structure or an array of them to read; null if the caller has none.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct In<T>(*const T);

impl<T> In<T> {
    pub const NULL: In<T> = In(std::ptr::null());

    /// A structure of our own.
    pub fn of(structure: &T) -> In<T> {
        In(structure)
    }
}

impl<T: Copy> In<T> {
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// The structure, or the first of the array.
    pub fn get(self) -> Outcome<T> {
        self.at(0)
    }

    /// An element of the array.
    pub fn at(self, index: usize) -> Outcome<T> {
        let first = NonNull::new(self.0.cast_mut()).ok_or(Code::INVALID_VALUE)?;
        // SAFETY: a non-null array of a caller holds as many elements as the API says are read.
        Ok(unsafe { first.add(index).read_unaligned() })
    }

    /// The first elements of the array; null is an array of none.
    pub fn all(self, count: usize) -> Outcome<Vec<T>> {
        (0..count).map(|i| self.at(i)).collect()
    }
}

/// A text that ends with a NUL; null if the caller has none.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Text(*const c_char);

impl Text {
    pub fn null() -> Text {
        Text(std::ptr::null())
    }

    /// A text of the library's own, for a caller to read.
    pub fn lasting(text: &'static CStr) -> Text {
        Text(text.as_ptr())
    }

    /// A text that the caller may read for as long as its owner lives.
    pub fn borrowed(text: &CStr) -> Text {
        Text(text.as_ptr())
    }

    /// A copy of the text; bytes that are no UTF-8 become `U+FFFD`.
    pub fn read(self) -> Outcome<String> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE.into());
        }
        // SAFETY: a non-null text of a caller is readable up to its NUL.
        Ok(unsafe { CStr::from_ptr(self.0) }.to_string_lossy().into_owned())
    }
}

/// Bytes of the host whose number another argument says; null if the caller has none.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Buffer(*mut c_void);

impl Buffer {
    pub const NULL: Buffer = Buffer(std::ptr::null_mut());

    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    pub fn address(self) -> usize {
        self.0.expose_provenance()
    }

    /// The buffer as a text.
    pub fn text(self) -> Text {
        Text(self.0.cast_const().cast())
    }

    /// The buffer as a place for a value.
    pub fn out<T>(self) -> Out<T> {
        Out(self.0.cast())
    }

    /// The buffer as a structure or an array.
    pub fn array<T>(self) -> In<T> {
        In(self.0.cast_const().cast())
    }

    /// A copy of its first bytes.
    pub fn read(self, len: usize) -> Outcome<Vec<u8>> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE.into());
        }
        let mut bytes = vec![0; len];
        // SAFETY: a non-null buffer of a caller is readable for the bytes that the API says are read, and
        // the vector is another object.
        unsafe { self.0.cast_const().cast::<u8>().copy_to_nonoverlapping(bytes.as_mut_ptr(), len) };
        Ok(bytes)
    }

    /// Puts a text there, cut to fit, with its NUL; gives the bytes used.
    pub fn put_text(self, text: &str, room: usize) -> usize {
        let len = text.len().min(room.saturating_sub(1));
        if self.0.is_null() || room == 0 {
            return 0;
        }
        let bytes = text.as_bytes()[..len].iter().chain(&[0]);
        match self.out::<u8>().put_all(bytes.copied()) {
            Ok(()) => len + 1,
            Err(_) => 0,
        }
    }
}
