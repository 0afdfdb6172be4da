use std::path::Path;

use yuragi_graph::{HostTensor, Params, Shape};
use yuragi_io::{Checkpoint, CheckpointError, Tensor, checkpoint::Archive};
use yuragi_nn::optim;

use super::{Network, network::KIND};
use crate::Failure;

/// A network, its weights, and what its numbers stand for: a trained model as it stands in a file.
#[derive(Clone, Debug)]
pub struct Model {
    /// The network.
    pub network: Network,
    /// Weights; of a checkpoint, with the optimiser's state.
    pub params: Params,
    /// Mean and deviation of each column of real numbers, which the network sees standardised; else empty.
    pub moments: Vec<(f64, f64)>,
}

impl Model {
    /// True if the file says that it holds such a model.
    pub fn is_in(file: &Archive) -> bool {
        file.setting::<String>(KIND).is_ok_and(|kind| Network::is_kind(&kind))
    }

    /// The header and the tensors.
    pub(super) fn write(&self, file: &mut Checkpoint<'_>) -> Result<(), CheckpointError> {
        for (key, value) in self.network.to_pairs() {
            file.set(key, value);
        }
        for (name, tensor) in self.params.iter() {
            file.insert(name, Tensor::from_values(&tensor.shape(), &tensor.to_f32())?);
        }
        if !self.moments.is_empty() {
            let part = |of: fn(&(f64, f64)) -> f64| self.moments.iter().map(of).collect::<Vec<f64>>();
            file.insert(MEAN, Tensor::from_values(&[self.moments.len()], &part(|m| m.0))?);
            file.insert(DEVIATION, Tensor::from_values(&[self.moments.len()], &part(|m| m.1))?);
        }
        Ok(())
    }

    /// The number of weights, without the optimiser's state.
    pub fn weights(&self) -> usize {
        let own = self.params.iter().filter(|(name, _)| !optim::is_state(name));
        own.map(|(_, tensor)| tensor.shape().count()).sum()
    }

    /// Writes the weights (their averages, where they were kept) without the optimiser's state, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Failure> {
        let mut file = Checkpoint::default();
        Model { params: optim::averaged(&self.params), ..self.clone() }.write(&mut file)?;
        Ok(file.save(path)?)
    }

    /// Reads a model or a checkpoint.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else, naming it.
    pub fn open(path: &Path) -> Result<Model, Failure> {
        let model = Model::read(&Archive::open(path)?);
        model.map_err(|why| Failure::new(format!("{} is no model with a bound: {why}", path.display())))
    }

    /// Reads a model from an opened file.
    ///
    /// # Errors
    /// A file that holds something else, or tensors that do not fit.
    pub fn read(file: &Archive) -> Result<Model, Failure> {
        let network = Network::from_pairs(file.settings())?;
        network.check()?;
        let mut params = Params::new();
        for name in file.names().into_iter().filter(|name| ![MEAN, DEVIATION].contains(&name.as_str())) {
            let shape = file.tensor(&name)?.shape().to_vec();
            let values = file.f32(&name, &shape)?;
            let tensor = Shape::new(&shape).and_then(|shape| HostTensor::new(shape, values));
            let tensor = tensor.ok_or_else(|| Failure::new(format!("{name} has the illegal shape {shape:?}")))?;
            params.insert(&name, tensor);
        }
        // What the network needs must be there, before anything is computed.
        for spec in network.bound(1, 1)?.params() {
            match params.get(&spec.name) {
                Some(tensor) if tensor.shape() == spec.shape => {}
                Some(tensor) => {
                    let (name, have) = (&spec.name, tensor.shape());
                    return Err(Failure::new(format!(
                        "tensor `{name}` has the shape {have}, must have {}",
                        spec.shape
                    )));
                }
                None => return Err(Failure::new(format!("tensor `{}` is missing", spec.name))),
            }
        }
        let mut moments = Vec::new();
        if file.contains(MEAN) {
            let numbers = |name: &str| {
                let values = file.tensor(name)?.to_values::<f64>().filter(|values| values.len() == network.columns());
                values
                    .ok_or_else(|| Failure::new(format!("tensor `{name}` has not a number of 64 bits for each column")))
            };
            moments = numbers(MEAN)?.into_iter().zip(numbers(DEVIATION)?).collect();
        }
        Ok(Model { network, params, moments })
    }
}

const MEAN: &str = "column.mean";
const DEVIATION: &str = "column.deviation";
