//! Linking: PTX texts put together into one image, which a module is loaded from.

use std::ffi::CString;
use std::sync::{Arc, Mutex};

use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::{Handle, Table};
use super::lock::lock;
use super::module::{read_file, read_image};
use super::pointer::{Buffer, In, Out, Text};

static LINKS: Table<Link> = Table::new(Code::INVALID_HANDLE);

/// What is put together.
#[derive(Default)]
struct Link {
    text: Mutex<String>,
    image: Mutex<Option<CString>>,
}

/// `CU_JIT_INPUT_CUBIN`, which an image of another link is given as, and `.._PTX`.
const CUBIN: i32 = 0;
const PTX: i32 = 1;

impl Link {
    fn add(&self, kind: i32, text: impl FnOnce() -> Outcome<String>) -> Outcome {
        if !matches!(kind, CUBIN | PTX) {
            return Err(Code::INVALID_IMAGE.because("the emulator links PTX texts only"));
        }
        let text = text()?;
        let all = &mut *lock(&self.text);
        // One head is enough.
        let is_head = |line: &&str| [".version", ".target", ".address_size"].iter().any(|head| line.starts_with(head));
        let first = all.is_empty();
        text.lines().filter(|line| first || !is_head(line)).for_each(|line| {
            all.push_str(line);
            all.push('\n');
        });
        Ok(())
    }
}

super::boundary::exported! {
    /// Options are for an assembler.
    fn cuLinkCreate_v2(_count: u32, _options: In<i32>, _values: Out<usize>, out: Out<Handle>) {
        let place = out.place()?;
        Context::usable()?;
        place.put(LINKS.add(Arc::default()));
        Ok(())
    }

    fn cuLinkAddData_v2(
        link: Handle,
        kind: i32,
        data: Buffer,
        bytes: usize,
        _name: Text,
        _count: u32,
        _options: In<i32>,
        _values: Out<usize>,
    ) {
        Context::usable()?;
        LINKS.get(link)?.add(kind, || {
            if kind == CUBIN {
                return read_image(data);
            }
            // A text may end with its bytes instead of a NUL.
            let text = data.read(bytes)?;
            Ok(String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned())
        })
    }

    fn cuLinkAddFile_v2(
        link: Handle,
        kind: i32,
        path: Text,
        _count: u32,
        _options: In<i32>,
        _values: Out<usize>,
    ) {
        Context::usable()?;
        LINKS.get(link)?.add(kind, || read_file(path))
    }

    /// The image is the text, which lives as long as the link.
    fn cuLinkComplete(link: Handle, image: Out<Text>, bytes: Out<usize>) {
        let (place, size) = (image.place()?, bytes);
        Context::usable()?;
        let link = LINKS.get(link)?;
        let text = CString::new(lock(&link.text).as_str()).map_err(|_| Code::INVALID_PTX)?;
        // An image that was given out stays.
        let held = &mut *lock(&link.image);
        let text = held.get_or_insert(text);
        place.put(Text::borrowed(text));
        size.put_if_wanted(text.as_bytes_with_nul().len());
        Ok(())
    }

    fn cuLinkDestroy(link: Handle) {
        Context::current()?;
        LINKS.remove(link).map(|_| ())
    }
}
