//! NumPy's `.npz`: a zip archive of `.npy` files, packed or not.

use std::io::Cursor;

use zip::ZipArchive;

use super::npy::{self, Array};
use crate::read::limited;

pub(crate) const MAGIC: &[u8] = b"PK\x03\x04";

/// The arrays of an archive, each under its name.
pub(crate) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Their names, in the order of the archive.
    pub names: Vec<String>,
}

impl<'a> Archive<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let zip =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("it begins as a zip archive does: {error}"))?;
        let parts: Vec<String> = zip.file_names().filter_map(Result::ok).map(|name| name.into_owned()).collect();
        let arrays = parts.iter().filter_map(|name| name.strip_suffix(".npy").map(str::to_owned));
        let names: Vec<String> = arrays.collect();
        if !names.is_empty() {
            return Ok(Self { zip, names });
        }
        let what = if parts.iter().any(|name| name.starts_with("xl/")) {
            "it is an Excel workbook; save the sheet as CSV"
        } else if parts.iter().any(|name| name.starts_with("content.xml")) {
            "it is an OpenDocument file; save the sheet as CSV"
        } else {
            "it is a zip archive without .npy arrays"
        };
        Err(what.to_owned())
    }

    /// The array of this name.
    pub fn array(&mut self, name: &str) -> Result<Array, String> {
        let there = || self.names.join(", ");
        if !self.names.iter().any(|known| known == name) {
            return Err(format!("it has no array {name}; it has {}", there()));
        }
        let told = |error: &dyn std::fmt::Display| format!("its array {name}: {error}");
        let part = self.zip.by_name(&format!("{name}.npy")).map_err(|error| told(&error))?;
        let bytes = limited(part).map_err(|error| told(&error))?;
        if !bytes.starts_with(npy::MAGIC) {
            return Err(told(&"it is no .npy array"));
        }
        npy::array(&bytes).map_err(|error| told(&error))
    }

    /// The array that was asked for, or the only one.
    pub fn only(&mut self, asked: Option<&str>) -> Result<Array, String> {
        match (asked, self.names.as_slice()) {
            (Some(name), _) => self.array(name),
            (None, [name]) => self.array(&name.clone()),
            (None, names) => {
                let all = names.join(", ");
                Err(format!("it has the arrays {all}; name one after the file, such as FILE.npz:{}", names[0]))
            }
        }
    }
}
