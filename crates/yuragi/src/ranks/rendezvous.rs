use std::{
    fmt::{self, Write as _},
    fs,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    process,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use crate::Failure;

/// Where ranks meet that no MPI brings together: a file that all of them see, or an address of the first rank.
///
/// ```
/// use yuragi::ranks::Rendezvous;
/// assert_eq!("node7:29500".parse(), Ok(Rendezvous::Host("node7".into(), 29500)));
/// assert_eq!("/scratch/meet".parse(), Ok(Rendezvous::File("/scratch/meet".into())));
/// assert!("node7:123456".parse::<Rendezvous>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendezvous {
    /// A file on a disk that all share. It is there while they meet.
    File(PathBuf),
    /// The machine of rank 0 as the others know it, and a port that is free there.
    Host(String, u16),
}

impl FromStr for Rendezvous {
    type Err = String;

    fn from_str(text: &str) -> Result<Rendezvous, String> {
        match text.rsplit_once(':') {
            _ if text.is_empty() => Err("it must be a file, or HOST:PORT".into()),
            Some((host, port)) if !host.is_empty() && !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()) => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                match port.parse() {
                    Ok(port) if port > 0 => Ok(Rendezvous::Host(host.into(), port)),
                    _ => Err(format!("the port is {port}, must be from 1 to 65535")),
                }
            }
            _ => Ok(Rendezvous::File(text.into())),
        }
    }
}

impl fmt::Display for Rendezvous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rendezvous::File(path) => path.display().fmt(f),
            Rendezvous::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// What everybody says first.
const GREETING: &str = "yuragi rendezvous 1";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// What one who has come may take to say who he is.
const WORD: Duration = Duration::from_secs(5);
/// The longest line.
const LINE: u64 = 4096;

impl Rendezvous {
    /// Gives what rank 0 has to all ranks, each of which calls this with its rank and the number of ranks.
    ///
    /// # Errors
    /// A place that cannot be used, a rank that was started with another number of ranks or as another's rank, or one that
    /// does not come in time.
    pub fn meet(
        &self,
        (rank, size): (usize, usize),
        own: impl FnOnce() -> Result<Vec<u8>, Failure>,
        patience: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let until = Instant::now() + patience;
        let met = match (self, rank) {
            (Rendezvous::File(path), 0) => own().and_then(|own| host_by_file(path, size, own, until)),
            (Rendezvous::File(path), rank) => come_by_file(path, (rank, size), until),
            (Rendezvous::Host(host, port), 0) => own().and_then(|own| host_by_address((host, *port), size, own, until)),
            (Rendezvous::Host(host, port), rank) => come_by_address((host, *port), (rank, size), until),
        };
        met.map_err(|failure| Failure::new(format!("rendezvous at {self}: {failure}")))
    }
}

/// The ranks that have not come yet, in words.
fn missing(come: &[bool], until: Instant) -> Result<(), Failure> {
    if Instant::now() < until {
        return Ok(());
    }
    let missing: Vec<String> =
        come.iter().enumerate().filter(|(_, come)| !**come).map(|(rank, _)| rank.to_string()).collect();
    Err(Failure::new(format!("rank {} did not come in time", missing.join(", "))))
}

/// The rank of a guest, if he may come; else why not.
fn admit((rank, size): (usize, usize), own: usize, come: &[bool]) -> Result<usize, String> {
    match come.get(rank) {
        _ if size != own => Err(format!("rank {rank} was started as one of {size}, rank 0 as one of {own}")),
        None | Some(_) if rank == 0 || rank >= own => Err(format!("there is no rank {rank} of {own} to wait for")),
        Some(true) => Err(format!("two were started as rank {rank}")),
        _ => Ok(rank),
    }
}

/// Listens at every address of this machine: its own name often means one that only it can reach. Where the place is named as
/// one that only this machine can reach, there alone.
fn listen(host: &str, port: u16) -> std::io::Result<TcpListener> {
    if host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback()) {
        return TcpListener::bind((host, port));
    }
    (host, port).to_socket_addrs()?;
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
}

fn host_by_address((host, port): (&str, u16), size: usize, own: Vec<u8>, until: Instant) -> Result<Vec<u8>, Failure> {
    let listener = listen(host, port).map_err(|why| Failure::new(format!("cannot listen there: {why}")))?;
    listener.set_nonblocking(true)?;
    let mut come = vec![false; size];
    come[0] = true;
    let mut guests = Vec::new();
    while come.contains(&false) {
        missing(&come, until)?;
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(why) if why.kind() == ErrorKind::WouldBlock => {
                thread::sleep(PAUSE);
                continue;
            }
            Err(why) => return Err(why.into()),
        };
        // A stranger who says something else is nobody's failure.
        let Some(guest) = greeted(&stream) else { continue };
        match admit(guest, size, &come) {
            Ok(rank) => {
                come[rank] = true;
                guests.push(stream);
            }
            Err(why) => {
                guests.push(stream);
                guests.iter().for_each(|guest| drop(answer(guest, &format!("no {why}\n"))));
                return Err(Failure::new(why));
            }
        }
    }
    let word = format!("yes {}\n", hexadecimal(&own));
    for guest in &guests {
        answer(guest, &word).map_err(|why| Failure::new(format!("a rank went away: {why}")))?;
    }
    Ok(own)
}

/// Who has come, by rank and number of ranks.
fn greeted(stream: &TcpStream) -> Option<(usize, usize)> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(WORD)).ok()?;
    let line = line_of(stream).ok()?;
    let mut words = line.strip_prefix(GREETING)?.split_whitespace().map(str::parse);
    Some((words.next()?.ok()?, words.next()?.ok()?))
}

fn answer(mut stream: &TcpStream, word: &str) -> std::io::Result<()> {
    stream.set_write_timeout(Some(WORD))?;
    stream.write_all(word.as_bytes())
}

fn line_of(stream: &TcpStream) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream).take(LINE).read_line(&mut line)?;
    line.strip_suffix('\n').map(str::to_owned).ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

fn come_by_address(
    (host, port): (&str, u16),
    (rank, size): (usize, usize),
    until: Instant,
) -> Result<Vec<u8>, Failure> {
    let mut why = String::from("it has no address");
    while Instant::now() < until {
        let addresses = (host, port).to_socket_addrs().inspect_err(|error| why = error.to_string());
        for address in addresses.into_iter().flatten() {
            let stream = match TcpStream::connect_timeout(&address, WORD) {
                Ok(stream) => stream,
                Err(error) => {
                    why = error.to_string();
                    continue;
                }
            };
            answer(&stream, &format!("{GREETING} {rank} {size}\n"))?;
            let left = until.saturating_duration_since(Instant::now()).max(PAUSE);
            stream.set_read_timeout(Some(left))?;
            match line_of(&stream) {
                Ok(line) => return told(&line),
                Err(_) => return Err(Failure::new("rank 0 went away, or another program answers there")),
            }
        }
        thread::sleep(5 * PAUSE);
    }
    Err(Failure::new(format!("rank 0 was not found in time: {why}")))
}

/// What rank 0 says: the bytes, or why not.
fn told(line: &str) -> Result<Vec<u8>, Failure> {
    match line.split_once(' ') {
        Some(("yes", bytes)) => bytes_of(bytes).ok_or_else(|| Failure::new("rank 0 says what is no answer")),
        Some(("no", why)) => Err(Failure::new(why)),
        _ => Err(Failure::new("another program answers there")),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if digits.len().is_multiple_of(2) { digits.chunks(2).map(byte).collect() } else { None }
}

/// The file in which a rank says that it is there: its greeting, and a word of its own that rank 0 repeats, so that what is
/// left from another run is never taken for an answer.
fn card(path: &Path, rank: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".rank{rank}"));
    name.into()
}

/// Puts a text where others read it, whole or not at all.
fn put(path: &Path, text: &str) -> Result<(), Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", process::id()));
    let beside = PathBuf::from(name);
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).map_err(|why| {
        drop(fs::remove_file(&beside));
        Failure::new(format!("cannot write there: {why}"))
    })
}

/// Refuses a place where something else stands, which would be lost.
fn check_free(path: &Path) -> Result<(), Failure> {
    let mut begins = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(GREETING.len() as u64).read_to_end(&mut begins));
    match read {
        Ok(read) if read > 0 && begins != GREETING.as_bytes() => {
            Err(Failure::new("another file is there; name one that does not exist"))
        }
        _ => Ok(()),
    }
}

/// The number of ranks and the word on a rank's card, if it is there.
fn read_card(path: &Path, rank: usize) -> Option<(usize, String)> {
    let text = fs::read_to_string(card(path, rank)).ok()?;
    let mut words = text.strip_prefix(GREETING)?.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
}

fn host_by_file(path: &Path, size: usize, own: Vec<u8>, until: Instant) -> Result<Vec<u8>, Failure> {
    check_free(path)?;
    // What a run of another size left; who is there puts his card again.
    for rank in (1..size).filter(|&rank| read_card(path, rank).is_some_and(|(of, _)| of != size)) {
        drop(fs::remove_file(card(path, rank)));
    }
    let mut come = vec![false; size];
    come[0] = true;
    let mut words = vec![String::new(); size];
    let mut said = String::new();
    // A guest takes his card away when he has the answer.
    while come.contains(&false) {
        missing(&come, until).inspect_err(|_| drop(fs::remove_file(path)))?;
        let mut refused = None;
        for rank in 1..size {
            match read_card(path, rank) {
                Some((of, word)) => {
                    words[rank] = word;
                    refused = admit((rank, of), size, &vec![false; size]).err().or(refused);
                }
                None => come[rank] |= said.contains(&words[rank]) && !words[rank].is_empty(),
            }
        }
        if words[1..].iter().all(|word| !word.is_empty()) || refused.is_some() {
            let answer =
                refused.as_ref().map_or_else(|| format!("yes {}", hexadecimal(&own)), |why| format!("no {why}"));
            let now = format!("{GREETING}\n{answer}\n{}\n", words[1..].join(" "));
            if now != said {
                put(path, &now)?;
                said = now;
            }
        }
        if let Some(why) = refused {
            // Long enough for those who wait to read it.
            thread::sleep(10 * PAUSE);
            drop(fs::remove_file(path));
            return Err(Failure::new(why));
        }
        thread::sleep(PAUSE);
    }
    drop(fs::remove_file(path));
    Ok(own)
}

fn come_by_file(path: &Path, (rank, size): (usize, usize), until: Instant) -> Result<Vec<u8>, Failure> {
    let card = card(path, rank);
    let word = format!("{:016x}", RandomState::new().hash_one((process::id(), rank)));
    check_free(path)?;
    let arrive = || put(&card, &format!("{GREETING} {size} {word}\n"));
    arrive()?;
    let leave = || drop(fs::remove_file(&card));
    while Instant::now() < until {
        match fs::read_to_string(&card) {
            Ok(own) if own.contains(&word) => {}
            Ok(_) => return Err(Failure::new(format!("two were started as rank {rank}"))),
            Err(_) => arrive()?,
        }
        let said = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        if let [GREETING, answer, words] = lines[..]
            && words.split(' ').any(|other| other == word)
        {
            leave();
            return told(answer);
        }
        thread::sleep(PAUSE);
    }
    leave();
    Err(Failure::new("rank 0 did not come in time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ranks get that meet; each of so many.
    fn meet(place: &Rendezvous, ranks: &[(usize, usize)], patience: Duration) -> Vec<Result<Vec<u8>, String>> {
        thread::scope(|scope| {
            let one = |&rank: &(usize, usize)| {
                scope.spawn(move || place.meet(rank, || Ok(vec![0, 7, 255]), patience).map_err(|why| why.to_string()))
            };
            let started: Vec<_> = ranks.iter().map(one).collect();
            started.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    fn places(name: &str) -> [Rendezvous; 2] {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let file = std::env::temp_dir().join(format!("yuragi-rendezvous-{}-{name}", process::id()));
        [Rendezvous::File(file), Rendezvous::Host("127.0.0.1".into(), port)]
    }

    #[test]
    fn all_get_what_the_first_has() {
        for place in &places("all") {
            let found = meet(place, &[(2, 4), (0, 4), (3, 4), (1, 4)], Duration::from_secs(60));
            assert_eq!(found, vec![Ok(vec![0, 7, 255]); 4]);
        }
    }

    #[test]
    fn what_is_left_from_another_run_is_no_answer() {
        let [Rendezvous::File(path), _] = places("stale") else { return };
        fs::write(&path, format!("{GREETING}\nyes 0102\n0123456789abcdef\n")).unwrap();
        fs::write(card(&path, 1), format!("{GREETING} 2 0123456789abcdef\n")).unwrap();
        let found = meet(&Rendezvous::File(path.clone()), &[(0, 2), (1, 2)], Duration::from_secs(60));
        assert_eq!(found, vec![Ok(vec![0, 7, 255]); 2]);
        assert!(!path.exists() && !card(&path, 1).exists());
        // Of a run of more ranks.
        fs::write(card(&path, 1), format!("{GREETING} 4 0123456789abcdef\n")).unwrap();
        let found = meet(&Rendezvous::File(path.clone()), &[(0, 2), (1, 2)], Duration::from_secs(60));
        assert_eq!(found, vec![Ok(vec![0, 7, 255]); 2]);
        assert!(!path.exists() && !card(&path, 1).exists());
    }

    #[test]
    fn another_file_is_not_written_over() {
        let [Rendezvous::File(path), _] = places("other") else { return };
        fs::write(&path, "weights").unwrap();
        for told in meet(&Rendezvous::File(path.clone()), &[(0, 2), (1, 2)], Duration::from_secs(1)) {
            assert!(told.unwrap_err().contains("another file is there"));
        }
        assert_eq!(fs::read(&path).unwrap(), b"weights");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_machine_s_own_name_is_heard_at_every_address() {
        let listener = listen("0.0.0.0", 0).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listener.local_addr().unwrap().ip().is_unspecified());
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        assert!(listen("localhost", 0).unwrap().local_addr().unwrap().ip().is_loopback());
        assert!(listen("no such machine", 29500).is_err());
    }

    #[test]
    fn a_stranger_at_the_door_disturbs_nobody() {
        let [_, place] = places("stranger");
        let Rendezvous::Host(_, port) = place else { return };
        thread::scope(|scope| {
            let met = scope.spawn(|| meet(&place, &[(0, 2)], Duration::from_secs(60)));
            let stranger = loop {
                match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    Ok(stream) => break stream,
                    Err(_) => thread::sleep(PAUSE),
                }
            };
            answer(&stranger, "GET / HTTP/1.1\n").unwrap();
            assert_eq!(meet(&place, &[(1, 2)], Duration::from_secs(60)), [Ok(vec![0, 7, 255])]);
            assert_eq!(met.join().unwrap(), [Ok(vec![0, 7, 255])]);
        });
    }

    #[test]
    fn who_does_not_come_is_named() {
        for place in &places("missing") {
            let told = meet(place, &[(0, 3)], Duration::from_millis(100)).remove(0).unwrap_err();
            assert_eq!(told, format!("rendezvous at {place}: rank 1, 2 did not come in time"));
            let told = meet(place, &[(1, 3)], Duration::from_millis(100)).remove(0).unwrap_err();
            assert!(told.contains("rank 0"), "{told}");
        }
        let told = meet(&Rendezvous::File("/no/such/folder/x".into()), &[(1, 2)], Duration::from_secs(1)).remove(0);
        assert!(told.unwrap_err().contains("cannot write there"));
    }
}
