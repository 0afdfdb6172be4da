use crate::Tensor;

/// The gradient of rows taken from a table goes back to those rows.
pub(crate) fn gather_grad<'g>(g: Tensor<'g>, table: Tensor<'g>, indices: Tensor<'g>) -> Tensor<'g> {
    indices.scatter_add(g, table.shape()[0])
}

/// The gradient of values summed into rows is read from those rows.
pub(crate) fn scatter_add_grad<'g>(g: Tensor<'g>, indices: Tensor<'g>) -> Tensor<'g> {
    g.gather(indices)
}
