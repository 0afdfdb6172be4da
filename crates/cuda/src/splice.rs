//! Copies of shipped kernels with a plan's own code in the places that they have for it (`kernels/epilogue.cuh`).

use std::{collections::HashMap, fmt::Write};

use yuragi_graph::DType;

use crate::{
    kernels,
    launch::{Code, Launch},
    ptx::epilogue::{COLUMN, Epilogue, PLACE, STORES, SUMS},
};

/// How a place for code begins.
const MARK: &str = "// epilogue ";

/// The copies of one plan, a module for each shipped file.
#[derive(Debug, Default)]
pub struct Splices {
    files: Vec<(&'static str, String)>,
    /// By the original's name and all that was put into it: the copy's name.
    names: HashMap<(String, String), String>,
}

/// What is put into a kernel whose result is of a type and has so many columns.
struct Insertion {
    dtype: &'static str,
    /// By lanes: code, if the kernel goes there.
    codes: [Option<String>; 3],
    params: usize,
}

impl Insertion {
    fn new(epilogue: &Epilogue<'_>, dtype: DType, columns: usize) -> Insertion {
        // Groups of neighbours are whole where four divide the columns; elsewhere kernels go by single sums.
        let whole = columns.is_multiple_of(4);
        let is_met = |lanes: usize| (whole || lanes == 1) && lanes.is_multiple_of(epilogue.each());
        let codes = [1, 2, 4].map(|lanes| is_met(lanes).then(|| epilogue.text(lanes)));
        let dtype = match dtype {
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::F32 | DType::I32 | DType::U32 => "f32",
        };
        Insertion { dtype, codes, params: epilogue.arguments().len() }
    }

    /// The code in place of a mark that names a type, the registers of sums, whether they are to be stored, a place and a
    /// column.
    fn at(&self, mark: &str) -> String {
        let words: Vec<&str> = mark.trim_end_matches(';').split(' ').collect();
        let [dtype, sums @ .., stores, place, column] = &words[..] else { return String::new() };
        let code = match sums.len() {
            1 => &self.codes[0],
            2 => &self.codes[1],
            _ => &self.codes[2],
        };
        let Some(code) = code.as_ref().filter(|_| *dtype == self.dtype) else { return String::new() };
        let mut text = String::from("\t{\n");
        for n in 0..self.params {
            let _ = writeln!(text, "\t.reg .b64 %a{n};\n\tld.param.b64 %a{n}, [epilogue_{n}];");
        }
        let _ = writeln!(
            text,
            "\t.reg .b32 {STORES};\n\t.reg .b64 {PLACE}, {COLUMN};\n\tmov.b32 {STORES}, {stores};\n\tmov.b64 {PLACE}, \
             {place};\n\tmov.b64 {COLUMN}, {column};"
        );
        for (name, sum) in SUMS.iter().zip(sums) {
            let _ = writeln!(text, "\t.reg .b32 {name};\n\tmov.b32 {name}, {sum};");
        }
        text += code;
        for (name, sum) in SUMS.iter().zip(sums) {
            let _ = writeln!(text, "\tmov.b32 {sum}, {name};");
        }
        text + &format!("\tmov.b32 {stores}, {STORES};\n\t}}\n")
    }

    /// The kernel of this name with the code in it, under another name.
    fn copy(&self, entry: &str, from: &str, to: &str) -> String {
        let more: String = (0..self.params).map(|n| format!(",\n\t.param .b64 epilogue_{n}")).collect();
        let mut text = String::with_capacity(2 * entry.len());
        let mut head = true;
        for line in entry.split_inclusive('\n') {
            if let Some((_, mark)) = line.split_once(MARK) {
                text += &self.at(mark.trim_end());
            } else if head && line.starts_with(')') {
                head = false;
                text.truncate(text.trim_end().len());
                text += &more;
                text.push('\n');
                text += line;
            } else if head {
                text += &line.replace(&format!("entry {from}("), &format!("entry {to}("));
            } else {
                text += line;
            }
        }
        text
    }
}

impl Splices {
    /// Has a launch of a shipped kernel, which stores `columns` sums a row as this type, run an epilogue on them.
    /// Whether that was possible: otherwise nothing has changed.
    pub fn add(&mut self, launch: &mut Launch, epilogue: &Epilogue<'_>, dtype: DType, columns: usize) -> bool {
        let Code::Shipped(stem) = launch.code else { return false };
        let shipped = kernels::ptx(stem);
        let Some(entry) = entry(shipped, &launch.function).filter(|entry| entry.contains(MARK)) else { return false };
        let insertion = Insertion::new(epilogue, dtype, columns);
        let key = (launch.function.clone(), format!("{} {} {:?}", insertion.dtype, insertion.params, insertion.codes));
        let next = self.names.len();
        let file = self.files.iter().position(|(name, _)| *name == stem).unwrap_or_else(|| {
            let head = shipped.split(".visible .entry").next().unwrap_or_default();
            self.files.push((stem, head.to_owned()));
            self.files.len() - 1
        });
        let (text, from) = (&mut self.files[file].1, &launch.function);
        let name = self.names.entry(key).or_insert_with(|| {
            let to = format!("{from}_{next}");
            *text += &insertion.copy(entry, from, &to);
            to
        });
        launch.function = name.clone();
        launch.code = Code::Spliced(file);
        launch.arguments.extend_from_slice(epilogue.arguments());
        true
    }

    /// The modules' texts, by the numbers of [`Code::Spliced`].
    pub fn into_modules(self) -> Vec<String> {
        self.files.into_iter().map(|(_, text)| text).collect()
    }
}

/// The text of a kernel in a file, up to the brace that ends it.
fn entry<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let start = file.find(&format!(".visible .entry {name}("))?;
    let (mut depth, mut begun) = (0usize, false);
    for (at, c) in file[start..].char_indices() {
        match c {
            '{' => (depth, begun) = (depth + 1, true),
            '}' => depth = depth.saturating_sub(1),
            '\n' if begun && depth == 0 => return Some(&file[start..=start + at]),
            _ => {}
        }
    }
    None
}
