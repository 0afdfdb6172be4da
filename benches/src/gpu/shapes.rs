//! The operations of Stable Diffusion's networks, each as a graph whose operands and result stay on the device.

use std::{borrow::Cow, collections::HashMap};

use yuragi_graph::{BuildError, Builder, DType, Graph, Init, Tensor, op::Window};

const TABLE: &str = include_str!("shapes.tsv");

/// One operation at one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The network that it stands in.
    pub model: &'static str,
    /// The operation.
    pub kind: &'static str,
    /// Its extents, as the table writes them.
    pub text: Cow<'static, str>,
    /// How often an evaluation of the network calls it.
    pub calls: u32,
    /// The fastest library's microseconds on an H100.
    pub library: f64,
}

impl Shape {
    /// Every row of the table.
    pub fn all() -> Vec<Shape> {
        let row = |line: &'static str| {
            let mut cells = line.split('\t');
            let mut next = || cells.next();
            Some(Shape {
                model: next()?,
                kind: next()?,
                text: next()?.into(),
                calls: next()?.parse().ok()?,
                library: next()?.parse().ok()?,
            })
        };
        TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect()
    }

    /// The same with small extents, which the emulator computes in seconds.
    pub fn shrink(&mut self) {
        let word = |word| match extent(word) {
            Some((name, extent)) => format!("{name}={}", extent.min(if matches!(name, "h" | "w") { 8 } else { 64 })),
            None => word.to_owned(),
        };
        self.text = self.text.split(' ').map(word).collect::<Vec<_>>().join(" ").into();
    }

    fn extents(&self) -> HashMap<&str, usize> {
        self.text.split(' ').filter_map(extent).collect()
    }

    /// Floating-point operations, and bytes of operands and result.
    pub fn cost(&self, graph: &Graph) -> (f64, f64) {
        let bytes: usize = graph.params().iter().map(|p| p.shape.count() * p.dtype.size()).sum();
        let e = self.extents();
        let of = |name: &str| e.get(name).copied().unwrap_or(1) as f64;
        let operations = match self.kind {
            "conv" => {
                let [h, w] = ["h", "w"].map(|side| ((of(side) + 2.0 * of("p") - of("k")) / of("s")).floor() + 1.0);
                2.0 * of("n") * h * w * of("co") * of("ci") * of("k") * of("k")
            }
            "linear" => 2.0 * of("m") * of("n") * of("k"),
            "sdpa" => 4.0 * of("b") * of("heads") * of("lq") * of("lk") * of("d"),
            _ => 0.0,
        };
        (operations, bytes as f64)
    }

    /// The operation on parameters of this type, its result written to another parameter; `None` for a kind that no
    /// graph of this workspace has as one operation.
    ///
    /// # Errors
    /// Extents that do not fit together.
    pub fn graph(&self, dtype: DType) -> Result<Option<Graph>, BuildError> {
        let e = self.extents();
        let of = |name: &str| e.get(name).copied().unwrap_or(1);
        let b = Builder::new();
        let param = |name: &str, shape: &[usize]| b.param(name, shape, dtype, Init::Normal(1.0));
        let result = match self.kind {
            "conv" => {
                let x = param("x", &[of("n"), of("h"), of("w"), of("ci")]);
                let w = param("w", &[of("k"), of("k"), of("ci"), of("co")]);
                x.conv2d(w, Window { stride: [of("s"); 2], padding: [of("p"); 4] })
            }
            "linear" => param("x", &[of("m"), of("k")]).matmul(param("w", &[of("k"), of("n")])),
            "sdpa" => {
                let batch = of("b") * of("heads");
                let [k, v] = ["k", "v"].map(|name| param(name, &[batch, of("lk"), of("d")]));
                param("q", &[batch, of("lq"), of("d")]).attention(k, v, None, 1.0 / (of("d") as f32).sqrt())
            }
            "gn" | "gn_silu" => {
                let c = of("c");
                let x = param("x", &[of("n"), of("hw"), c]);
                let y = x.group_norm(of("g"), param("gain", &[c]), param("bias", &[c]), 1e-5);
                if self.kind == "gn" { y } else { y.silu() }
            }
            "ln" => {
                let c = of("c");
                param("x", &[of("rows"), c]).layer_norm(param("gain", &[c]), param("bias", &[c]), 1e-5)
            }
            "geglu" => {
                let halves = param("x", &[of("rows"), 2 * of("c")]).chunk(-1, 2);
                halves[0] * halves[1].gelu()
            }
            "silu" => param("x", &[of("numel")]).silu(),
            "add" => param("x", &[of("numel")]) + param("y", &[of("numel")]),
            "cat" => {
                let [x, y] = ["c1", "c2"].map(|c| param(c, &[of("n"), of("hw"), of(c)]));
                x.concat(&[y], -1)
            }
            _ => return Ok(None),
        };
        written(&b, result, dtype);
        Ok(Some(b.finish(&[])?))
    }
}

/// `name=8`.
fn extent(word: &str) -> Option<(&str, usize)> {
    let (name, value) = word.split_once('=')?;
    Some((name, value.parse().ok()?))
}

fn written(b: &Builder, result: Tensor<'_>, dtype: DType) {
    let target = b.param("result", &result.shape(), dtype, Init::Constant(0.0));
    b.update(target, result);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_read_and_most_are_graphs() {
        let shapes = Shape::all();
        assert_eq!(shapes.len(), TABLE.lines().filter(|line| !line.starts_with('#')).count());
        let graphs = shapes.iter().filter(|s| s.graph(DType::F16).unwrap().is_some()).count();
        assert!(graphs * 10 >= shapes.len() * 9, "{graphs} of {}", shapes.len());
    }

    #[test]
    fn costs_are_those_of_the_definition() {
        let shape = |kind, text: &'static str| Shape { model: "", kind, text: text.into(), calls: 1, library: 1.0 };
        let conv = shape("conv", "ci=320 co=320 h=64 k=3 n=2 p=1 s=1 w=64");
        let graph = conv.graph(DType::F16).unwrap().unwrap();
        assert_eq!(conv.cost(&graph), (15_099_494_400.0, 2.0 * (2.0 * 2_621_440.0 + 921_600.0)));
        let attention = shape("sdpa", "b=2 d=40 heads=8 lk=4096 lq=4096");
        let graph = attention.graph(DType::F16).unwrap().unwrap();
        assert_eq!(attention.cost(&graph).0, 42_949_672_960.0);
    }
}
