use yuragi_graph::Tensor;

/// Every pixel doubled in both directions: `[N, H, W, C]` → `[N, 2H, 2W, C]`.
#[track_caller]
pub fn upsample(x: Tensor<'_>) -> Tensor<'_> {
    let (n, h, w, c) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
    x.reshape(&[n, h, 1, w, 1, c]).broadcast(&[n, h, 2, w, 2, c]).reshape(&[n, 2 * h, 2 * w, c])
}

/// Means of k×k squares of pixels: `[N, H, W, C]` → `[N, H/k, W/k, C]`; k divides H and W.
#[track_caller]
pub fn mean_pool(x: Tensor<'_>, k: usize) -> Tensor<'_> {
    let [n, h, w, c] = tiles(x, k);
    x.reshape(&[n, h, k, w, k, c]).mean(&[2, 4]).reshape(&[n, h, w, c])
}

/// Squares of k×k pixels become channels: `[N, H, W, C]` → `[N, H/k, W/k, k·k·C]`; k divides H and W.
#[track_caller]
pub fn space_to_depth(x: Tensor<'_>, k: usize) -> Tensor<'_> {
    let [n, h, w, c] = tiles(x, k);
    x.reshape(&[n, h, k, w, k, c]).permute(&[0, 1, 3, 2, 4, 5]).reshape(&[n, h, w, k * k * c])
}

/// The inverse of [`space_to_depth`]: `[N, H, W, k·k·C]` → `[N, k·H, k·W, C]`.
#[track_caller]
pub fn depth_to_space(x: Tensor<'_>, k: usize) -> Tensor<'_> {
    let (n, h, w, c) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3) / (k * k).max(1));
    x.reshape(&[n, h, w, k, k, c]).permute(&[0, 1, 3, 2, 4, 5]).reshape(&[n, h * k, w * k, c])
}

/// N, H/k, W/k and C.
#[track_caller]
fn tiles(x: Tensor<'_>, k: usize) -> [usize; 4] {
    let k = k.max(1);
    [x.dim(0), x.dim(1) / k, x.dim(2) / k, x.dim(3)]
}
