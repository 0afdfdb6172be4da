use std::path::Path;

use yuragi_distributions::{Covariance, GaussianMixture};
use yuragi_energy::{
    deep::{Dbm, Dbn},
    rbm::{Rbm, Units},
};
use yuragi_io::{Checkpoint, CheckpointError, Tensor, checkpoint::Archive};

use super::{Belief, Deep, Machine};
use crate::Failure;

/// A model of a table that was learned, as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Fitted {
    /// A mixture of normal distributions.
    Mixture(Mixture),
    /// A restricted Boltzmann machine.
    Machine(Layer),
    /// A deep belief network.
    Network(Network),
    /// A deep Boltzmann machine.
    Deep(Stack),
}

/// A mixture and what its columns are called.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// The mixture.
    pub mixture: GaussianMixture,
    /// Names of columns; empty if they have none.
    pub names: Vec<String>,
    /// The shape of a row.
    pub shape: Vec<usize>,
}

/// A machine and what its visible units stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The machine.
    pub machine: Machine,
    /// The shape of a row, such as \[28, 28\].
    pub shape: Vec<usize>,
    /// For Gaussian units, mean and deviation of each column; else empty.
    pub moments: Vec<(f64, f64)>,
}

/// A deep belief network and what its visible units stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The network.
    pub belief: Belief,
    /// The shape of a row, such as \[28, 28\].
    pub shape: Vec<usize>,
}

/// A deep Boltzmann machine and what its visible units stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// The machine.
    pub deep: Deep,
    /// The shape of a row, such as \[28, 28\].
    pub shape: Vec<usize>,
}

/// Where a file says what it is.
const KIND: &str = "model";
const MIXTURE: &str = "gaussian mixture";
const MACHINE: &str = "restricted Boltzmann machine";
const NETWORK: &str = "deep belief network";
const DEEP: &str = "deep Boltzmann machine";

impl Fitted {
    /// True if the file says that it holds such a model.
    pub fn is_in(file: &Archive) -> bool {
        file.setting::<String>(KIND).is_ok_and(|kind| [MIXTURE, MACHINE, NETWORK, DEEP].contains(&kind.as_str()))
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mixture(_) => MIXTURE,
            Self::Machine(_) => MACHINE,
            Self::Network(_) => NETWORK,
            Self::Deep(_) => DEEP,
        }
    }

    /// The shape of a row.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Mixture(mixture) => &mixture.shape,
            Self::Machine(layer) => &layer.shape,
            Self::Network(network) => &network.shape,
            Self::Deep(stack) => &stack.shape,
        }
    }

    /// Writes the model, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), Failure> {
        let mut file = Checkpoint::default();
        file.set(KIND, self.kind());
        file.set("shape", joined(self.shape()));
        match self {
            Self::Mixture(Mixture { mixture, names, .. }) => {
                file.set("covariance", name_of(mixture.covariance_kind()));
                file.set("names", serde_json::to_string(names)?);
                let mut insert = |name, values: &[f64]| {
                    file.insert(name, Tensor::from_values(&[values.len()], values)?);
                    Ok::<(), CheckpointError>(())
                };
                insert("weights", mixture.weights())?;
                insert("means", mixture.means())?;
                insert("covariances", mixture.covariances())?;
            }
            Self::Machine(Layer { machine: Machine { rbm, base }, moments, .. }) => {
                put(&mut file, "", rbm)?;
                file.insert("base", Tensor::from_values(&[rbm.visible()], base)?);
                if !moments.is_empty() {
                    let part = |of: fn(&(f64, f64)) -> f64| moments.iter().map(of).collect::<Vec<f64>>();
                    file.insert("column.mean", Tensor::from_values(&[moments.len()], &part(|m| m.0))?);
                    file.insert("column.deviation", Tensor::from_values(&[moments.len()], &part(|m| m.1))?);
                }
            }
            Self::Network(Network { belief: Belief { dbn, base }, .. }) => {
                file.set("layers", dbn.generative.len() + 1);
                for (l, (down, up)) in dbn.generative.iter().zip(&dbn.recognition).enumerate() {
                    put(&mut file, &format!("down{l}."), down)?;
                    put(&mut file, &format!("up{l}."), up)?;
                }
                put(&mut file, "top.", &dbn.top)?;
                file.insert("base", Tensor::from_values(&[base.len()], base)?);
            }
            Self::Deep(Stack { deep: Deep { dbm, base }, .. }) => {
                file.set("units", units_name(dbm.bipartite().visible_units()));
                file.set("layers", joined(dbm.sizes()));
                for (l, &size) in dbm.sizes().iter().enumerate() {
                    file.insert(format!("bias{l}"), Tensor::from_values(&[size], dbm.bias(l)?)?);
                }
                for (l, pair) in dbm.sizes().windows(2).enumerate() {
                    file.insert(format!("weights{l}"), Tensor::from_values(pair, &dbm.weights(l)?)?);
                }
                file.insert("base", Tensor::from_values(&[base.len()], base)?);
            }
        }
        Ok(file.save(path)?)
    }

    /// Reads a model.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else, naming it.
    pub fn open(path: &Path) -> Result<Fitted, Failure> {
        Fitted::read(&Archive::open(path)?)
            .map_err(|why| Failure::new(format!("{} is no model of a table: {why}", path.display())))
    }

    /// Reads a model from an opened file.
    ///
    /// # Errors
    /// A file that holds something else, or numbers that do not fit.
    pub fn read(file: &Archive) -> Result<Fitted, Failure> {
        let kind: String = file.setting(KIND).map_err(|_| Failure::new("its header does not say what it is"))?;
        let shape = sizes(file, "shape")?;
        let columns = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        let columns = columns.filter(|&columns| columns > 0).ok_or_else(|| Failure::new("its `shape` is empty"))?;
        match kind.as_str() {
            MIXTURE => {
                let numbers = |name: &str| {
                    let values = file.tensor(name)?.to_values::<f64>();
                    values.ok_or_else(|| Failure::new(format!("tensor `{name}` does not hold numbers of 64 bits")))
                };
                let kind = covariance_of(&file.setting::<String>("covariance")?)?;
                let (weights, means) = (numbers("weights")?, numbers("means")?);
                let mixture = GaussianMixture::new(&weights, &means, &numbers("covariances")?, kind)?;
                let names: Vec<String> = serde_json::from_str(&file.setting::<String>("names")?)?;
                if means.len() != weights.len() * columns || (!names.is_empty() && names.len() != columns) {
                    return Err(Failure::new("its columns are not as many as its `shape` says"));
                }
                Ok(Self::Mixture(Mixture { mixture, names, shape }))
            }
            MACHINE => {
                let rbm = get(file, "", columns)?;
                let base = file.f32("base", &[columns])?;
                let moments = if rbm.visible_units() == Units::Gaussian {
                    let [means, deviations] = ["column.mean", "column.deviation"].map(|name| wide(file, name, columns));
                    means?.into_iter().zip(deviations?).collect()
                } else {
                    Vec::new()
                };
                Ok(Self::Machine(Layer { machine: Machine { rbm, base }, shape, moments }))
            }
            NETWORK => {
                let layers: usize = file.setting("layers")?;
                let (mut generative, mut recognition, mut columns) = (Vec::new(), Vec::new(), columns);
                for l in 0..layers.saturating_sub(1) {
                    generative.push(get(file, &format!("down{l}."), columns)?);
                    let up = get(file, &format!("up{l}."), columns)?;
                    columns = up.hidden();
                    recognition.push(up);
                }
                let dbn = Dbn { generative, recognition, top: get(file, "top.", columns)? };
                let base = file.f32("base", &[columns])?;
                Ok(Self::Network(Network { belief: Belief { dbn, base }, shape }))
            }
            DEEP => {
                let layers = sizes(file, "layers")?;
                if layers.first() != Some(&columns) {
                    return Err(Failure::new("its lowest layer is not as its `shape` says"));
                }
                let weights = layers.windows(2).enumerate().map(|(l, pair)| file.f32(&format!("weights{l}"), pair));
                let weights = weights.collect::<Result<Vec<_>, _>>()?;
                let mut dbm = Dbm::new(&layers, units_of(&file.setting::<String>("units")?)?)?;
                for (l, &size) in layers.iter().enumerate() {
                    dbm.bias_mut(l)?.copy_from_slice(&file.f32(&format!("bias{l}"), &[size])?);
                }
                for (l, weights) in weights.iter().enumerate() {
                    dbm.set_weights(l, weights)?;
                }
                let base = file.f32("base", &[dbm.bipartite().visible()])?;
                Ok(Self::Deep(Stack { deep: Deep { dbm, base }, shape }))
            }
            _ => Err(Failure::new(format!("it is a {kind:?}"))),
        }
    }
}

/// Adds a machine's units and tensors under names with a prefix.
fn put(file: &mut Checkpoint<'_>, prefix: &str, rbm: &Rbm) -> Result<(), CheckpointError> {
    file.set(format!("{prefix}visible"), units_name(rbm.visible_units()));
    file.set(format!("{prefix}hidden"), units_name(rbm.hidden_units()));
    let mut insert = |name, shape: &[usize], values: &[f32]| {
        file.insert(format!("{prefix}{name}"), Tensor::from_values(shape, values)?);
        Ok::<(), CheckpointError>(())
    };
    insert("weights", &[rbm.visible(), rbm.hidden()], &rbm.weights)?;
    insert("visible_bias", &[rbm.visible()], &rbm.visible_bias)?;
    insert("hidden_bias", &[rbm.hidden()], &rbm.hidden_bias)
}

/// Numbers of 64 bits, or of 32 as files held them once.
fn wide(file: &Archive, name: &str, count: usize) -> Result<Vec<f64>, Failure> {
    match file.tensor(name)?.to_values::<f64>() {
        Some(values) if values.len() == count => Ok(values),
        _ => Ok(file.f32(name, &[count])?.into_iter().map(f64::from).collect()),
    }
}

/// A machine with so many visible units.
fn get(file: &Archive, prefix: &str, visible: usize) -> Result<Rbm, Failure> {
    let name = |part: &str| format!("{prefix}{part}");
    let units = |key: &str| units_of(&file.setting::<String>(&name(key))?);
    let hidden = file.tensor(&name("hidden_bias"))?.shape().first().copied().unwrap_or(0);
    // Before memory is taken for sizes that the file only claims.
    let weights = file.f32(&name("weights"), &[visible, hidden])?;
    let mut rbm = Rbm::new(visible, hidden, units("visible")?, units("hidden")?)?;
    rbm.weights = weights;
    rbm.visible_bias = file.f32(&name("visible_bias"), &[visible])?;
    rbm.hidden_bias = file.f32(&name("hidden_bias"), &[hidden])?;
    Ok(rbm)
}

/// A setting of sizes.
fn sizes(file: &Archive, key: &str) -> Result<Vec<usize>, Failure> {
    let text: String = file.setting(key)?;
    Ok(text.split(',').map(str::parse).collect::<Result<_, _>>()?)
}

fn joined(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

fn name_of(kind: Covariance) -> &'static str {
    match kind {
        Covariance::Full => "full",
        Covariance::Diagonal => "diagonal",
        Covariance::Tied => "tied",
        Covariance::Spherical => "spherical",
    }
}

fn covariance_of(name: &str) -> Result<Covariance, Failure> {
    let all = [Covariance::Full, Covariance::Diagonal, Covariance::Tied, Covariance::Spherical];
    let kind = all.into_iter().find(|&kind| name_of(kind) == name);
    kind.ok_or_else(|| Failure::new(format!("its covariances are {name:?}")))
}

fn units_name(units: Units) -> &'static str {
    match units {
        Units::Spin => "spin",
        Units::Binary => "binary",
        Units::Gaussian => "gaussian",
    }
}

fn units_of(name: &str) -> Result<Units, Failure> {
    let all = [Units::Spin, Units::Binary, Units::Gaussian];
    let units = all.into_iter().find(|&units| units_name(units) == name);
    units.ok_or_else(|| Failure::new(format!("its units are {name:?}")))
}
