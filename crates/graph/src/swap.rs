use alloc::{boxed::Box, vec, vec::Vec};
use core::ops::{Add, Range};

use crate::Lost;

/// What ranks can add: single and double numbers.
pub trait Number: Copy + Add<Output = Self> + Default + private::Sealed {
    /// The bytes of one.
    const SIZE: usize;

    /// Rooms of them.
    fn rooms(rooms: Vec<Vec<Self>>) -> Rooms;

    /// The rooms, if these are their numbers.
    fn of(rooms: Rooms) -> Option<Vec<Vec<Self>>>;

    /// Appends the bytes of numbers.
    fn write(numbers: &[Self], bytes: &mut Vec<u8>);

    /// The numbers of bytes in the place of others, as far as both go.
    fn read(bytes: &[u8], numbers: &mut [Self]);
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! number {
    ($type:ty, $size:literal, $kind:ident) => {
        impl Number for $type {
            const SIZE: usize = $size;

            fn rooms(rooms: Vec<Vec<Self>>) -> Rooms {
                Rooms::$kind(rooms)
            }

            fn of(rooms: Rooms) -> Option<Vec<Vec<Self>>> {
                if let Rooms::$kind(rooms) = rooms { Some(rooms) } else { None }
            }

            fn write(numbers: &[Self], bytes: &mut Vec<u8>) {
                let first = bytes.len();
                bytes.resize(first + numbers.len() * $size, 0);
                let to = bytes[first..].as_chunks_mut::<$size>().0;
                to.iter_mut().zip(numbers).for_each(|(to, number)| *to = number.to_le_bytes());
            }

            fn read(bytes: &[u8], numbers: &mut [Self]) {
                let bytes = bytes.as_chunks::<$size>().0;
                numbers.iter_mut().zip(bytes).for_each(|(to, bytes)| *to = Self::from_le_bytes(*bytes));
            }
        }
    };
}

number!(f32, 4, Single);
number!(f64, 8, Double);

/// Numbers in a rank's memory, in rooms of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Rooms {
    /// Of single precision.
    Single(Vec<Vec<f32>>),
    /// Of double precision.
    Double(Vec<Vec<f64>>),
}

impl Rooms {
    /// The numbers of each room.
    pub fn lengths(&self) -> Vec<usize> {
        match self {
            Rooms::Single(rooms) => rooms.iter().map(Vec::len).collect(),
            Rooms::Double(rooms) => rooms.iter().map(Vec::len).collect(),
        }
    }

    /// The bytes of a number.
    pub fn size(&self) -> usize {
        match self {
            Rooms::Single(_) => f32::SIZE,
            Rooms::Double(_) => f64::SIZE,
        }
    }

    /// Appends the bytes of some numbers of a room.
    fn write(&self, run: &Run, bytes: &mut Vec<u8>) {
        match self {
            Rooms::Single(rooms) => f32::write(&rooms[run.room][run.range.clone()], bytes),
            Rooms::Double(rooms) => f64::write(&rooms[run.room][run.range.clone()], bytes),
        }
    }

    /// Takes some numbers of a room from bytes.
    fn read(&mut self, run: &Run, bytes: &[u8]) {
        match self {
            Rooms::Single(rooms) => f32::read(bytes, &mut rooms[run.room][run.range.clone()]),
            Rooms::Double(rooms) => f64::read(bytes, &mut rooms[run.room][run.range.clone()]),
        }
    }
}

/// Neighbouring numbers of a room that go to a rank or come from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// To whom, or from whom.
    pub rank: usize,
    /// The number of the room.
    pub room: usize,
    /// Where in it.
    pub range: Range<usize>,
}

/// Numbers that ranks send each other from where they are to where they are wanted. What a rank sends another, run by run, is
/// what the other expects of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Swap {
    /// The memory; it belongs to the swap until it has landed.
    pub rooms: Rooms,
    /// What goes.
    pub sent: Vec<Run>,
    /// What comes, to places of which nothing else is made.
    pub coming: Vec<Run>,
    /// The same on all ranks, and unlike those of others that are under way.
    pub number: u32,
}

impl Swap {
    /// `Ok` if every run is in its room, nothing comes to where something else comes or goes from, and ranks are others than
    /// `rank`, below `size`.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self, rank: usize, size: usize) -> Result<(), Lost> {
        let lengths = self.rooms.lengths();
        let runs = self.sent.iter().map(|run| (run, false)).chain(self.coming.iter().map(|run| (run, true)));
        let mut places = Vec::with_capacity(self.sent.len() + self.coming.len());
        for (run, comes) in runs {
            let fits = lengths.get(run.room).is_some_and(|length| run.range.end <= *length);
            if !fits || run.range.start > run.range.end || run.rank >= size || run.rank == rank {
                return Err(Lost::new("numbers for other ranks that are not there"));
            }
            if !run.range.is_empty() {
                places.push((run.room, run.range.start, run.range.end, comes));
            }
        }
        places.sort_unstable();
        // The ends, so far, of what comes and of all, in a room.
        let mut ends = (usize::MAX, 0, 0);
        for (room, start, end, comes) in places {
            if ends.0 != room {
                ends = (room, 0, 0);
            }
            if start < ends.1 || (comes && start < ends.2) {
                return Err(Lost::new("numbers of other ranks for a place that is taken"));
            }
            ends = (room, if comes { end.max(ends.1) } else { ends.1 }, end.max(ends.2));
        }
        Ok(())
    }

    /// The bytes that go.
    pub fn bytes(&self) -> usize {
        self.sent.iter().map(|run| run.range.len()).sum::<usize>() * self.rooms.size()
    }

    /// What goes to each of so many ranks, as bytes.
    pub fn parcels(&self, size: usize) -> Vec<Vec<u8>> {
        let mut parcels = vec![Vec::new(); size];
        self.sent.iter().for_each(|run| self.rooms.write(run, &mut parcels[run.rank]));
        parcels
    }

    /// The rooms with what came from each rank.
    ///
    /// # Errors
    /// Other bytes than were expected.
    pub fn landed(mut self, found: &[Vec<u8>]) -> Result<Rooms, Lost> {
        let mut rest: Vec<&[u8]> = found.iter().map(Vec::as_slice).collect();
        for run in &self.coming {
            let from = rest.get_mut(run.rank).and_then(|rest| rest.split_off(..run.range.len() * self.rooms.size()));
            self.rooms.read(run, from.ok_or_else(|| Lost::new("a rank sent too little"))?);
        }
        Ok(self.rooms)
    }
}

/// A [`Swap`] under way.
pub trait Flight {
    /// Goes on without waiting; whether all is here, and all that goes is gone.
    ///
    /// # Errors
    /// A rank that is gone.
    fn advance(&mut self) -> Result<bool, Lost>;

    /// Waits for it; gives the rooms back.
    ///
    /// # Errors
    /// A rank that is gone.
    fn land(self: Box<Self>) -> Result<Rooms, Lost>;
}

/// One that has landed.
#[derive(Debug)]
pub struct Landed(pub Rooms);

impl Flight for Landed {
    fn advance(&mut self) -> Result<bool, Lost> {
        Ok(true)
    }

    fn land(self: Box<Self>) -> Result<Rooms, Lost> {
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_taken_are_refused() {
        let run = |rank: usize, room: usize, range: Range<usize>| Run { rank, room, range };
        let check = |sent: &[Run], coming: &[Run]| {
            let rooms = Rooms::Single(vec![vec![0.0; 8], vec![0.0; 4]]);
            Swap { rooms, sent: sent.to_vec(), coming: coming.to_vec(), number: 0 }.check(0, 3).is_ok()
        };
        assert!(check(&[run(1, 0, 0..4), run(2, 0, 2..4)], &[run(1, 0, 4..8), run(2, 1, 0..4)]));
        assert!(check(&[], &[]) && check(&[run(1, 0, 3..3)], &[run(1, 0, 0..8)]));
        for wrong in [run(0, 0, 0..1), run(3, 0, 0..1), run(1, 2, 0..1), run(1, 1, 0..5)] {
            assert!(!check(core::slice::from_ref(&wrong), &[]) && !check(&[], &[wrong]));
        }
        assert!(!check(&[], &[run(1, 0, 0..4), run(2, 0, 3..5)]), "two come to one place");
        assert!(!check(&[run(1, 0, 0..4)], &[run(2, 0, 3..5)]), "it comes to where others go from");
        assert!(!check(&[run(1, 0, 2..6)], &[run(2, 0, 0..3)]));
    }
}
