//! A kernel in the form that is executed: below the decoder, which makes it, and the machine, which runs it.

mod code;
mod error;
mod hopper;
mod lanes;
mod matrix;
mod place;
mod registers;
mod texture;

pub use code::ParamLayout;
pub(crate) use code::*;
pub use error::DecodeError;
pub(crate) use hopper::{Bulk, MBarrier, Side, Signalled, map_address};
pub(crate) use lanes::{Atomic, Choose, Comparison, Function, Lanes, Put, compared, lane_by_lane, lanewise};
pub(crate) use matrix::{Element, Fragment, FragmentProduct, GroupProduct, MatrixProduct};
pub(crate) use place::{Address, Slot};
pub(crate) use registers::compact;
pub(crate) use texture::{Fetch, Outside, Query, SurfaceAccess};
