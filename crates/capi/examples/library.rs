//! The library as it is given away: all of it is `yuragi_capi`, and nothing is compiled here. What `cargo xtask capi` passes
//! to the compiler for this root is how the whole is optimised when it is linked: kernels are made vectors of only then, and
//! only if the root is optimised for speed, whatever each function was compiled for.

use yuragi_capi as _;
