//! Runs the program in a folder of its own.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use yuragi::io::{Checkpoint, Picture, Tensor, checkpoint::Archive, png};

/// A folder that is removed in the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("yuragi-cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    /// The program, in this folder.
    pub fn program<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yuragi"));
        command.current_dir(&self.0).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        let output = self.program(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs the program, which must succeed.
    pub fn succeed<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended
    }

    /// Runs the program, which must refuse in one line that holds all these words, and leave the folder as it was.
    pub fn refuse<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>, words: &[&str]) {
        let before = self.names();
        let Ended { code, out, err } = self.run(arguments);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(err.starts_with("yuragi: ") && err.ends_with('\n') && err.lines().count() == 1, "{err}");
        for word in words {
            assert!(err.contains(word), "{err:?} should say {word:?}");
        }
        assert_eq!(self.names(), before, "{err}");
    }

    /// Starts the program and waits until it has printed a line with these words on stderr.
    pub fn start(&self, arguments: &[&str], words: &str) -> Running {
        Running::of(self.program(arguments), words)
    }

    /// The paths of all files, hidden ones too.
    pub fn names(&self) -> Vec<PathBuf> {
        let (mut folders, mut names) = (vec![self.0.clone()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                names.push(path);
            }
        }
        names.sort();
        names
    }

    /// A folder of four small captioned pictures.
    pub fn pictures(&self) -> &'static str {
        let colours = [("red", [220, 30, 30]), ("green", [30, 200, 30]), ("blue", [30, 30, 220]), ("grey", [128; 3])];
        fs::create_dir_all(self.join("data")).unwrap();
        for (i, (name, colour)) in colours.into_iter().enumerate() {
            let mut picture = Picture::filled(20, 16, [255; 3]).unwrap();
            picture.paste(&Picture::filled(5 + i, 9, colour).unwrap(), 2 * i, 3);
            png::save(self.join("data").join(format!("{name}.png")), &picture, &[]).unwrap();
            fs::write(self.join("data").join(format!("{name}.txt")), format!("a {name} box")).unwrap();
        }
        "data"
    }

    /// The built-in model as a file, after a change.
    pub fn model(&self, name: &str, change: impl FnOnce(&mut Checkpoint<'static>)) {
        let archive = Archive::from_static(yuragi::builtin_file()).unwrap();
        let mut file = Checkpoint::default();
        archive.settings().iter().for_each(|(key, value)| file.set(key, value));
        for name in archive.names() {
            file.insert(&name, archive.tensor(&name).unwrap().into_owned());
        }
        change(&mut file);
        file.save(self.join(name)).unwrap();
    }
}

impl Deref for Scratch {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Zeros of a shape.
pub fn zeros(shape: &[usize]) -> Tensor<'static> {
    filled(shape, 0.0)
}

/// One value in a shape.
pub fn filled(shape: &[usize], value: f32) -> Tensor<'static> {
    Tensor::from_values(shape, &vec![value; shape.iter().product()]).unwrap()
}

/// What the program left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// The program under way.
pub struct Running {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
    said: String,
}

impl Running {
    /// Starts a program and waits until it has printed a line with these words on stderr.
    pub fn of(mut program: Command, words: &str) -> Running {
        let mut child = program.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains(words) {
            assert!(err.read_line(&mut said).unwrap() > 0, "ended without {words:?}: {said}");
        }
        Running { child, err, said }
    }

    /// Sends a signal by its name.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for something in the file system.
    pub fn until(&mut self, what: impl Fn() -> bool) {
        let started = Instant::now();
        while !what() {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended too early");
            assert!(started.elapsed() < Duration::from_secs(60), "it never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        self.err.read_to_string(&mut self.said).unwrap();
        Ended { code: self.child.wait().unwrap().code(), out: String::new(), err: self.said }
    }
}
