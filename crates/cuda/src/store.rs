use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use yuragi_graph::{Codes, DType, HostTensor, ParamSpec, Params, RunError, Shape, Storage};

use crate::{
    CudaError,
    arguments::parameters,
    device::{Block, Device, Pinned, Recording},
    kernels::{self, codes::Decode},
    launch::{ALIGNMENT, Address, Home},
};

/// Parameters on a device.
pub struct CudaStore {
    /// Tells stores apart.
    id: u64,
    places: HashMap<String, usize>,
    tensors: Vec<Tensor>,
    /// How often parameters were replaced.
    changes: u64,
}

struct Tensor {
    name: String,
    shape: Shape,
    dtype: DType,
    block: Block,
    /// The store's changes when it was replaced last.
    changed: u64,
}

impl fmt::Debug for CudaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CudaStore").field("tensors", &self.tensors.len()).finish()
    }
}

impl CudaStore {
    pub(crate) fn upload(device: &Arc<Device>, params: &Params) -> Result<CudaStore, CudaError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut store = CudaStore {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            places: HashMap::new(),
            tensors: Vec::with_capacity(params.iter().len()),
            changes: 0,
        };
        let mut decoder = Decoder::default();
        for (name, tensor) in params.iter() {
            let bytes = tensor.shape().count() * tensor.dtype().size();
            let mut block = Block::new(device, bytes, "parameters")?;
            match tensor.storage() {
                Storage::F32(values) => {
                    block.write(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
                }
                Storage::Shared(bytes, range) => block.write(&(**bytes).as_ref()[range.clone()])?,
                Storage::Groups(codes) => decoder.decode(device, codes, tensor, &block)?,
            }
            store.places.insert(name.into(), store.tensors.len());
            store.tensors.push(Tensor {
                name: name.into(),
                shape: tensor.shape(),
                dtype: tensor.dtype(),
                block,
                changed: 0,
            });
        }
        Ok(store)
    }

    /// The tensors whose names are wanted.
    pub(crate) fn download(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Params, CudaError> {
        let mut params = Params::new();
        for tensor in self.tensors.iter().filter(|tensor| wanted(&tensor.name)) {
            let mut bytes = vec![0; tensor.block.bytes()];
            tensor.block.read(&mut bytes)?;
            let host = if tensor.dtype == DType::F32 {
                let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
                HostTensor::new(tensor.shape, values)
            } else {
                let range = 0..bytes.len();
                HostTensor::shared(tensor.shape, tensor.dtype, Arc::new(bytes), range)
            };
            if let Some(host) = host {
                params.insert(&tensor.name, host);
            }
        }
        Ok(params)
    }

    /// Adds up parameters over the ranks of several GPUs, in place: the gradients of their shares of a batch. All ranks name
    /// the same ones. In what order the numbers of an element are added is NCCL's.
    ///
    /// # Errors
    /// Parameters of other than single precision, or what NCCL reports.
    #[cfg(feature = "nccl")]
    pub fn sum(&mut self, ranks: &crate::Nccl, wanted: &dyn Fn(&str) -> bool) -> Result<(), CudaError> {
        self.changes += 1;
        for tensor in self.tensors.iter_mut().filter(|tensor| wanted(&tensor.name)) {
            tensor.changed = self.changes;
            if tensor.dtype != DType::F32 {
                let reason = format!("{} is of {}, must be of single precision", tensor.name, tensor.dtype);
                return Err(CudaError::Nccl { what: "to add numbers up", reason });
            }
            ranks.sum_block(&mut tensor.block)?;
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Notes that these parameters are replaced.
    pub(crate) fn replace(&mut self, places: impl Iterator<Item = usize>) {
        self.changes += 1;
        for place in places {
            if let Some(tensor) = self.tensors.get_mut(place) {
                tensor.changed = self.changes;
            }
        }
    }

    /// How often parameters were replaced so far.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether none of these parameters was replaced since there were so many changes.
    pub(crate) fn is_unchanged(&self, mut places: impl Iterator<Item = usize>, since: u64) -> bool {
        places.all(|place| self.tensors.get(place).is_some_and(|tensor| tensor.changed <= since))
    }

    /// The place of a parameter, whose shape and element type must be the declared ones.
    pub(crate) fn place(&self, spec: &ParamSpec) -> Result<usize, RunError> {
        let place = *self.places.get(&spec.name).ok_or_else(|| RunError::MissingParam(spec.name.clone()))?;
        let tensor = &self.tensors[place];
        spec.check((tensor.shape, tensor.dtype))?;
        Ok(place)
    }

    /// The address of a parameter.
    pub(crate) fn pointer(&self, place: usize) -> u64 {
        self.tensors.get(place).map_or(0, |tensor| tensor.block.pointer())
    }
}

/// Has the device decode parameters, one after another.
#[derive(Default)]
struct Decoder {
    /// Codes and scales of the last one.
    stored: Option<Block>,
    /// Launches carry nothing from the host.
    staging: Option<Pinned>,
}

impl Decoder {
    /// Fills a block with a tensor's elements from its codes; does not wait until that is done.
    fn decode(
        &mut self,
        device: &Arc<Device>,
        codes: &Codes,
        tensor: &HostTensor,
        to: &Block,
    ) -> Result<(), CudaError> {
        let scales_at = codes.codes().len().next_multiple_of(ALIGNMENT);
        let bytes = scales_at + codes.scales().len();
        let stored = match self.stored.take().filter(|stored| stored.bytes() >= bytes) {
            Some(large) => large,
            None => Block::new(device, bytes, "codes of parameters")?,
        };
        let stored = self.stored.insert(stored);
        let staging = match &mut self.staging {
            Some(staging) => staging,
            none => none.insert(Pinned::new(device, 0)?),
        };
        stored.write_at(0, codes.codes())?;
        stored.write_at(scales_at, codes.scales())?;
        let decode = Decode {
            groups: codes.groups(),
            count: tensor.shape().count(),
            dtype: tensor.dtype(),
            codes: Address::start(Home::Scratch(0)),
            scales: Address::start(Home::Scratch(scales_at)),
            y: Address::start(Home::Arena(0)),
        };
        let launches =
            decode.launches().map_err(|e| CudaError::Driver { what: "codes of parameters", reason: e.to_string() })?;
        let at = |address: Address| match address.home {
            Home::Scratch(at) => stored.pointer() + at as u64,
            Home::Arena(_) | Home::Param(_) | Home::Literal(_) => to.pointer(),
        };
        for launch in &launches.launches {
            let module = device.module(kernels::ptx("codes"), false)?;
            let function = device.function(&module, &launch.function, launch.shared)?;
            let mut recording = Recording::default();
            recording.launch(function, launch.grid, launch.block, launch.shared, parameters(launch, &at, 0)?);
            recording.run(device, staging, 0..1)?;
        }
        Ok(())
    }
}
