//! Stores a machine of `yuragi fit rbm` in 8 bits a weight: `pack_digits rbm.safetensors digits.safetensors`.
//!
//! The page's own was learnt by `yuragi fit rbm train-images-idx3-ubyte.gz --hidden 128 --rate 0.2 --steps 5 --centred
//! --epochs 20` of MNIST's 60,000 training digits.

use std::{env, path::Path};

use yuragi::{
    Failure,
    io::{Checkpoint, checkpoint::Archive, quantize::Groups},
};

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        return Err(Failure::new("two arguments: the machine's file, and the file to be written"));
    };
    let file = Archive::open(Path::new(from))?;
    let mut packed = Checkpoint::default();
    file.settings().iter().for_each(|(key, value)| packed.set(key, value));
    for name in file.names() {
        let shape = file.shape(&name)?;
        let values = file.f32(&name, &shape)?;
        match Groups::new(8, 32).filter(|_| shape.len() == 2) {
            Some(groups) => packed.insert_grouped(&name, &shape, &values, groups)?,
            None => packed.insert_half(&name, &shape, &values)?,
        }
    }
    Ok(packed.save(to)?)
}
