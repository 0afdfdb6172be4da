//! Modules and libraries: PTX text made into kernels and variables.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::sync::{Arc, Mutex};

use super::context::Context;
use super::error::{Code, Error, Outcome};
use super::function::Function;
use super::handle::{Handle, Table};
use super::machine::machine;
use super::pointer::{Buffer, In, Out, Text};
use super::{fatbin, function, lock::lock, report};
use crate::module::LoadError;

static MODULES: Table<Module> = Table::new(Code::INVALID_HANDLE);

/// A loaded module. A library is the same thing under another name, and its handle works for both.
pub struct Module {
    handle: Handle,
    pub context: Handle,
    inner: crate::module::Module,
    /// The `sm_` number that the text was compiled for.
    target: u32,
    /// The handles of its kernels, made when they are asked for.
    functions: Mutex<BTreeMap<String, Handle>>,
}

impl Module {
    /// The handle of a kernel, the same one each time.
    pub fn function(&self, name: &str) -> Outcome<Handle> {
        let mut functions = lock(&self.functions);
        if let Some(&handle) = functions.get(name) {
            return Ok(handle);
        }
        let kernel = self.inner.kernel(name).ok_or_else(|| self.not_found("kernel", name))?;
        let c_name = CString::new(name).map_err(|_| Code::NOT_FOUND)?;
        let handle = function::add(Function::new(self.handle, self.context, c_name, kernel, self.target));
        functions.insert(name.to_owned(), handle);
        Ok(handle)
    }

    fn not_found(&self, what: &str, name: &str) -> Error {
        let kernels: Vec<&str> = self.inner.kernels().collect();
        Code::NOT_FOUND.because(format_args!("the module has no {what} `{name}`; its kernels: {}", kernels.join(", ")))
    }

    /// Its kernels that cannot be launched, a line for each.
    fn refusals(&self) -> String {
        let refused = self.inner.refused();
        refused.map(|(kernel, why)| format!("the kernel {kernel} cannot be launched: {why}\n")).collect()
    }

    fn count(&self) -> usize {
        self.inner.kernels().count()
    }

    /// The handles of the first kernels in an array of the caller.
    fn list(&self, out: Out<Handle>, room: u32) -> Outcome {
        let names = self.inner.kernels().take(room as usize);
        let handles: Vec<Handle> = names.map(|name| self.function(name)).collect::<Outcome<_>>()?;
        out.put_all(handles)
    }

    /// Address and bytes of a variable.
    pub fn variable(&self, name: &str) -> Outcome<(u64, usize)> {
        let (start, len) = self.inner.global(name).ok_or_else(|| self.not_found("variable", name))?;
        Ok((start, len as usize))
    }

    fn put_global(&self, address: Out<u64>, bytes: Out<usize>, name: Text) -> Outcome {
        let (start, len) = self.variable(&name.read()?)?;
        address.put_if_wanted(start);
        bytes.put_if_wanted(len);
        Ok(())
    }
}

pub fn find(handle: Handle) -> Outcome<Arc<Module>> {
    Context::usable()?;
    MODULES.get(handle)
}

pub fn remove_of(context: Handle) {
    MODULES.remove_all(|module| module.context == context);
}

/// What kind of image the first bytes announce.
#[derive(Debug, PartialEq, Eq)]
enum Image {
    Text,
    Elf,
    FatBinary,
}

fn kind(first: [u8; 4]) -> Image {
    match u32::from_le_bytes(first) {
        0x464C_457F => Image::Elf,
        fatbin::MARK | fatbin::WRAPPER_MARK => Image::FatBinary,
        _ => Image::Text,
    }
}

/// The text of an image in memory.
pub fn read_image(image: Buffer) -> Outcome<String> {
    let mut first = [0; 4];
    for (i, byte) in first.iter_mut().enumerate() {
        *byte = image.array::<u8>().at(i)?;
        // A text may be shorter than the mark of a binary.
        if *byte == 0 {
            break;
        }
    }
    match kind(first) {
        Image::Text => image.text().read(),
        Image::FatBinary => fatbin::text(&fatbin::read(image)?, machine()?.properties().capability),
        Image::Elf => Err(machine_code()),
    }
}

fn machine_code() -> Error {
    Code::INVALID_IMAGE.because(
        "a cubin holds machine code, and the emulator executes PTX: compile for `compute_90` instead of `sm_90` \
             (`nvcc -ptx`, or NVRTC's `--gpu-architecture=compute_90` and nvrtcGetPTX), and load that text",
    )
}

/// The first word behind a directive at the beginning of a line.
fn directive<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.lines().find_map(|line| line.trim_start().strip_prefix(name))?;
    rest.trim_start().split(|c: char| c == ',' || c == '/' || c.is_whitespace()).next()
}

/// The `sm_` number of a target, and whether it is for exactly this architecture (`sm_90a`).
fn target(word: &str) -> Option<(u32, bool)> {
    let word = word.strip_prefix("sm_")?;
    let digits = word.trim_end_matches(['a', 'f']);
    Some((digits.parse().ok()?, digits.len() < word.len()))
}

/// Refuses PTX that a driver for this device would refuse for its target; gives the target. Its version says nothing of
/// what it holds, and so is not asked for.
fn check_head(text: &str, capability: (u32, u32)) -> Outcome<u32> {
    let own = 10 * capability.0 + capability.1;
    // A text without either is for the parser to refuse.
    let Some((number, exact)) = directive(text, ".target").and_then(target) else { return Ok(own) };
    if number > own || exact && number != own {
        return Err(Code::NO_BINARY_FOR_GPU.because(format_args!(
            "the text is for sm_{number}{}; the device is sm_{own}",
            if exact { "a" } else { "" }
        )));
    }
    Ok(number)
}

/// Loads a text into the current context.
pub fn load(text: &str) -> Outcome<Handle> {
    let context = Context::usable()?.handle;
    let machine = machine()?;
    let target = check_head(text, machine.properties().capability)?;
    let inner = machine.load(text).map_err(|error| match error {
        LoadError::Parse(_) => Code::INVALID_PTX.because(error),
        LoadError::Decode(_) => Code::INVALID_PTX.because(format_args!("not understood: {error}")),
    })?;
    let handle = Handle::fresh();
    let module = Module { handle, context, inner, target, functions: Mutex::default() };
    module.refusals().lines().for_each(report::say_once);
    MODULES.insert(handle, Arc::new(module));
    Ok(handle)
}

pub fn read_file(path: Text) -> Outcome<String> {
    let path = path.read()?;
    let bytes = fs::read(&path).map_err(|error| Code::FILE_NOT_FOUND.because(format_args!("{path}: {error}")))?;
    let first = std::array::from_fn(|i| bytes.get(i).copied().unwrap_or(0));
    match kind(first) {
        Image::Text => Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()),
        Image::FatBinary => fatbin::text(&bytes, machine()?.properties().capability),
        Image::Elf => Err(machine_code()),
    }
}

/// `CU_JIT_...`: where the compiler's logs go.
const INFO_LOG: i32 = 3;
const INFO_LOG_BYTES: i32 = 4;
const ERROR_LOG: i32 = 5;
const ERROR_LOG_BYTES: i32 = 6;

/// Loads with the options of a compiler, of which the emulator needs only the places of the logs.
fn load_with(
    options: In<i32>,
    values: Out<usize>,
    count: u32,
    text: impl FnOnce() -> Outcome<String>,
) -> Outcome<Handle> {
    let kinds = options.all(count as usize)?;
    let texts: In<Buffer> = values.array();
    let sizes: Vec<usize> = values.array().all(count as usize)?;
    let at = |kind: i32| kinds.iter().position(|&other| other == kind);
    let put_log = |buffer: i32, bytes: i32, log: &str| -> Outcome {
        if let Some((buffer, bytes)) = at(buffer).zip(at(bytes)) {
            // A size is a 32-bit number in the place of a pointer; it comes back as the bytes used.
            let used = texts.at(buffer)?.put_text(log, sizes[bytes] as u32 as usize);
            values.put_at(bytes, used)?;
        }
        Ok(())
    };
    let outcome = text().and_then(|text| load(&text));
    let log = match &outcome {
        Ok(handle) => MODULES.get(*handle)?.refusals(),
        Err(error) => error.message.clone().unwrap_or_default(),
    };
    put_log(ERROR_LOG, ERROR_LOG_BYTES, &log)?;
    put_log(INFO_LOG, INFO_LOG_BYTES, "")?;
    outcome
}

fn unload(handle: Handle) -> Outcome {
    Context::current()?;
    let module = MODULES.remove(handle)?;
    let functions = std::mem::take(&mut *lock(&module.functions));
    functions.into_values().for_each(function::remove);
    Ok(())
}

super::boundary::exported! {
    fn cuModuleLoad(out: Out<Handle>, path: Text) {
        let place = out.place()?;
        Context::usable()?;
        place.put(load(&read_file(path)?)?);
        Ok(())
    }

    fn cuModuleLoadData(out: Out<Handle>, image: Buffer) {
        let place = out.place()?;
        Context::usable()?;
        place.put(load(&read_image(image)?)?);
        Ok(())
    }

    fn cuModuleLoadDataEx(out: Out<Handle>, image: Buffer, count: u32, options: In<i32>, values: Out<usize>) {
        let place = out.place()?;
        Context::usable()?;
        place.put(load_with(options, values, count, || read_image(image))?);
        Ok(())
    }

    fn cuModuleLoadFatBinary(out: Out<Handle>, image: Buffer) {
        let place = out.place()?;
        Context::usable()?;
        place.put(load(&read_image(image)?)?);
        Ok(())
    }

    fn cuModuleUnload(module: Handle) {
        unload(module)
    }

    fn cuModuleGetFunction(out: Out<Handle>, module: Handle, name: Text) {
        let place = out.place()?;
        let module = find(module)?;
        place.put(module.function(&name.read()?)?);
        Ok(())
    }

    fn cuModuleGetFunctionCount(count: Out<u32>, module: Handle) {
        let place = count.place()?;
        place.put(find(module)?.count() as u32);
        Ok(())
    }

    fn cuModuleEnumerateFunctions(out: Out<Handle>, room: u32, module: Handle) {
        find(module)?.list(out, room)
    }

    fn cuModuleGetGlobal_v2(address: Out<u64>, bytes: Out<usize>, module: Handle, name: Text) {
        find(module)?.put_global(address, bytes, name)
    }

    /// Everything is loaded at once: `CU_MODULE_EAGER_LOADING`.
    fn cuModuleGetLoadingMode(mode: Out<i32>) {
        mode.place()?.put(1);
        Ok(())
    }

    fn cuLibraryLoadData(
        out: Out<Handle>,
        image: Buffer,
        options: In<i32>,
        values: Out<usize>,
        count: u32,
        _library_options: In<i32>,
        _library_values: Out<usize>,
        _library_count: u32,
    ) {
        let place = out.place()?;
        Context::usable()?;
        place.put(load_with(options, values, count, || read_image(image))?);
        Ok(())
    }

    fn cuLibraryLoadFromFile(
        out: Out<Handle>,
        path: Text,
        options: In<i32>,
        values: Out<usize>,
        count: u32,
        _library_options: In<i32>,
        _library_values: Out<usize>,
        _library_count: u32,
    ) {
        let place = out.place()?;
        Context::usable()?;
        place.put(load_with(options, values, count, || read_file(path))?);
        Ok(())
    }

    fn cuLibraryUnload(library: Handle) {
        unload(library)
    }

    fn cuLibraryGetModule(out: Out<Handle>, library: Handle) {
        let place = out.place()?;
        place.put(find(library)?.handle);
        Ok(())
    }

    fn cuLibraryGetKernel(out: Out<Handle>, library: Handle, name: Text) {
        let place = out.place()?;
        let module = find(library)?;
        place.put(module.function(&name.read()?)?);
        Ok(())
    }

    fn cuLibraryGetKernelCount(count: Out<u32>, library: Handle) {
        let place = count.place()?;
        place.put(find(library)?.count() as u32);
        Ok(())
    }

    fn cuLibraryEnumerateKernels(out: Out<Handle>, room: u32, library: Handle) {
        find(library)?.list(out, room)
    }

    fn cuLibraryGetGlobal(address: Out<u64>, bytes: Out<usize>, library: Handle, name: Text) {
        find(library)?.put_global(address, bytes, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_told_by_their_first_bytes() {
        assert_eq!(kind(*b"\x7fELF"), Image::Elf);
        assert_eq!(kind([0x50, 0xED, 0x55, 0xBA]), Image::FatBinary);
        assert_eq!(kind(*b"//\n\n"), Image::Text);
    }

    #[test]
    fn the_head_of_a_text_decides_whether_the_device_can_take_it() {
        let head = |version: &str, target: &str| {
            let text = format!("// x\n  .version {version}\n.target {target}, debug\n.address_size 64\n");
            check_head(&text, (9, 0)).map_err(|error| error.code)
        };
        assert_eq!(head("8.0", "sm_80"), Ok(80));
        assert_eq!(head("9.0", "sm_90a"), Ok(90));
        assert_eq!(head("9.5", "sm_80"), Ok(80));
        assert_eq!(head("9.0", "sm_100"), Err(Code::NO_BINARY_FOR_GPU));
        assert_eq!(head("9.0", "sm_80a"), Err(Code::NO_BINARY_FOR_GPU));
        assert!(check_head("nothing", (9, 0)).is_ok());
    }
}
