//! Where drawn pictures go.

use std::{
    ffi::OsString,
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use yuragi::{
    Failure,
    io::{
        Picture, atomic,
        export::{self, Format},
    },
};

use super::common::{check_place, print_with};

/// Where the pictures of one call go, and as what.
pub struct Output {
    to: To,
    format: Format,
}

enum To {
    /// The bytes of one picture and nothing else.
    Standard,
    /// A file for each, which replace what has these names.
    Files(Vec<PathBuf>),
    /// Free names in a folder.
    Folder(PathBuf),
}

impl Output {
    /// From what the caller asked for; what cannot be written is refused before anything is drawn.
    pub fn new(asked: Option<&Path>, count: usize) -> Result<Output, Failure> {
        let png = |to| Output { to, format: Format::Png };
        let Some(path) = asked else {
            check_place(Path::new("yuragi.png"))?;
            return Ok(png(To::Folder(PathBuf::new())));
        };
        if is_standard(path) {
            if count > 1 {
                return Err(Failure::new(format!(
                    "standard output takes one picture, not {count}: name a folder or a file"
                )));
            }
            if io::stdout().is_terminal() {
                return Err(Failure::new("standard output is a terminal: send the picture on to a file or a program"));
            }
            return Ok(png(To::Standard));
        }
        if path.is_dir() {
            check_place(&path.join("yuragi.png"))?;
            return Ok(png(To::Folder(path.to_owned())));
        }
        // A device or a pipe takes the bytes under its own name.
        let device = fs::metadata(path).is_ok_and(|meta| !meta.is_file());
        let format = if device { None } else { Format::of(path)? };
        let mut path = path.to_owned();
        if format.is_none() && !device && path.file_name().is_some() && !ends_as_folder(&path) {
            path.as_mut_os_string().push(".png");
        }
        check_place(&path)?;
        let (stem, extension) = (path.file_stem().unwrap_or_default(), path.extension());
        let numbered = |i: usize| {
            let mut name = OsString::from(stem);
            name.push(format!("-{i}."));
            name.push(extension.unwrap_or("png".as_ref()));
            path.with_file_name(name)
        };
        let files = if count == 1 { vec![path.clone()] } else { (1..=count).map(numbered).collect() };
        Ok(Output { to: To::Files(files), format: format.unwrap_or_default() })
    }

    /// Whether standard output is the picture's.
    pub fn is_standard(&self) -> bool {
        matches!(self.to, To::Standard)
    }

    /// The kind of the files.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Writes the picture of a number (from 0) and a seed; gives the name of its file.
    pub fn write(&self, number: usize, seed: u64, picture: &Picture, text: &str) -> Result<String, Failure> {
        let bytes = export::encode(picture, self.format, text)?;
        match &self.to {
            To::Standard => print_with(|out| out.write_all(&bytes)).map(|()| "standard output".to_owned()),
            To::Files(files) => {
                let file = files.get(number).ok_or_else(|| Failure::new("more pictures than were asked for"))?;
                atomic::write(file, &bytes)?;
                Ok(file.display().to_string())
            }
            To::Folder(folder) => {
                for name in names(seed) {
                    let file = folder.join(name);
                    if atomic::write_new(&file, &bytes)? {
                        return Ok(file.display().to_string());
                    }
                }
                Err(Failure::new(format!("no name is free for the picture of seed {seed}")))
            }
        }
    }
}

/// The default names of a seed's picture: earlier pictures keep theirs.
fn names(seed: u64) -> impl Iterator<Item = String> {
    (1u64..).map(move |time| match time {
        1 => format!("yuragi-{seed}.png"),
        _ => format!("yuragi-{seed}-{time}.png"),
    })
}

fn is_standard(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path.as_os_str() == *name)
}

fn ends_as_folder(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_asked() {
        let named = |output: &str, count| -> Vec<String> {
            match Output::new(Some(Path::new(output)), count).unwrap().to {
                To::Files(files) => files.iter().map(|file| file.display().to_string()).collect(),
                To::Folder(folder) => vec![format!("in {}", folder.display())],
                To::Standard => vec!["standard".into()],
            }
        };
        assert_eq!(named("a.PNG", 1), ["a.PNG"]);
        assert_eq!(named("./a.b.png", 3), ["./a.b-1.png", "./a.b-2.png", "./a.b-3.png"]);
        assert_eq!(named("梟", 1), ["梟.png"]);
        assert_eq!(named("梟", 2), ["梟-1.png", "梟-2.png"]);
        assert_eq!(named("owl.jpeg", 2), ["owl-1.jpeg", "owl-2.jpeg"]);
        assert_eq!(named("src", 1), ["in src"]);
        assert_eq!(named(".", 2), ["in ."]);
        for refused in ["no/such/folder.png", "nofolder/", "src/lib.rs/x.png"] {
            let error = Output::new(Some(Path::new(refused)), 1).err().unwrap().to_string();
            assert!(error.contains("folder") && error.contains(refused), "{error}");
        }
        for (output, count, words) in [("owl.gif", 1, ".webp"), ("-", 2, "one picture")] {
            let error = Output::new(Some(Path::new(output)), count).err().unwrap().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn default_names_count_on() {
        assert_eq!(names(7).take(3).collect::<Vec<_>>(), ["yuragi-7.png", "yuragi-7-2.png", "yuragi-7-3.png"]);
    }
}
