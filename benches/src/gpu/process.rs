//! Programs that may hang: they run for so long and not longer.

use std::{
    io::{self, Read},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What a program left.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it ended; nothing if it was stopped because the time was over.
    pub status: Option<ExitStatus>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ended {
    /// Whether it ended by itself and well.
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// How it ended, in words.
    pub fn how(&self) -> String {
        match self.status {
            Some(status) => {
                let last = self.err.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
                format!("{status} {last}").trim_end().to_owned()
            }
            None => "stopped: the time was over".into(),
        }
    }
}

/// Runs a program; what still runs after `limit` is killed.
///
/// # Errors
/// It cannot be started.
pub fn run(command: &mut Command, limit: Duration) -> io::Result<Ended> {
    let end = Instant::now() + limit;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let [out, err] = [reader(child.stdout.take()), reader(child.stderr.take())];
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(50));
    };
    let text =
        |handle: thread::JoinHandle<Vec<u8>>| String::from_utf8_lossy(&handle.join().unwrap_or_default()).into_owned();
    Ok(Ended { status, out: text(out), err: text(err) })
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What can be read is enough.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn programs_end_or_are_ended() {
        let echo = run(Command::new("sh").args(["-c", "echo a; echo b >&2; exit 3"]), Duration::from_secs(30)).unwrap();
        assert_eq!((echo.out.as_str(), echo.err.as_str(), echo.success()), ("a\n", "b\n", false));
        assert_eq!(echo.how(), "exit status: 3 b");
        let slow = run(Command::new("sleep").arg("60"), Duration::from_millis(50)).unwrap();
        assert_eq!((slow.status, slow.how().as_str()), (None, "stopped: the time was over"));
    }
}
