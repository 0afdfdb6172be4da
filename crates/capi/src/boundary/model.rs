//! Trained models, and what draws with them.

use std::{ffi::c_char, sync::Arc};

use yuragi::{
    cpu::Cpu,
    graph::{Backend, Params},
    io::{CheckpointError, checkpoint::Archive},
    model::Model,
    models::{
        Settings,
        generator::{Generator, MOST_PICTURES},
        tokenizer::Tokenizer,
    },
};

use super::{
    cpu::yuragi_cpu,
    pointer::{afford, counted, free, give, guard, held, items, tell, text, value_or},
};
#[cfg(feature = "builtin")]
use crate::failure::YURAGI_INTERNAL;
use crate::failure::{Answer, YURAGI_FILE, YURAGI_FORMAT, YURAGI_GRAPH, failure, yuragi_status};

/// A trained model that draws pictures from words. Several generators may share one; it may be freed before they are.
pub struct yuragi_model {
    pub settings: Settings,
    pub tokenizer: Tokenizer,
    pub params: Arc<Params>,
}

/// A model's networks, compiled for so many pictures at a time. Several jobs may share one, on several threads.
pub struct yuragi_generator {
    pub generator: Generator<Cpu, Arc<Params>>,
    pub model: Arc<yuragi_model>,
}

fn read(archive: Result<Archive, CheckpointError>) -> Answer<yuragi_model> {
    let archive = archive.map_err(|error| match error {
        CheckpointError::Read { .. } => failure(YURAGI_FILE, error),
        error => failure(YURAGI_FORMAT, error),
    })?;
    let Model { settings, tokenizer, params } =
        Model::read_to_draw(&archive).map_err(|error| failure(YURAGI_FORMAT, error))?;
    let params = Cpu::with_threads(1).upload(params).map_err(|error| failure(YURAGI_FORMAT, error))?;
    Ok(yuragi_model { settings, tokenizer, params: Arc::new(params) })
}

/// The model that is part of the library: emoji of 128x128 pixels, named in English or Japanese. YURAGI_UNSUPPORTED where
/// the library was built without it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_model_builtin(out: *mut *mut yuragi_model) -> yuragi_status {
    #[cfg(feature = "builtin")]
    let archive = || {
        static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/model.packed"));
        afford("the model's file", 2 * PACKED.len())?;
        let file = yuragi_packed::unpack(PACKED).ok_or_else(|| failure(YURAGI_INTERNAL, "the model is damaged"))?;
        read(Archive::from_bytes(file))
    };
    #[cfg(not(feature = "builtin"))]
    let archive = || Err(failure(crate::failure::YURAGI_UNSUPPORTED, "this library was built without a model"));
    // SAFETY: the caller's word.
    guard(|| unsafe { give(out, archive) })
}

/// A model from a file in memory, which is not needed any more afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_model_from_bytes(
    bytes: *const u8,
    length: usize,
    out: *mut *mut yuragi_model,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let bytes = items("the model's file", bytes, length)?;
            afford("a copy of the model's file", length)?;
            read(Archive::from_bytes(bytes.to_vec()))
        })
    })
}

/// A model from a file that `yuragi train` or `yuragi convert` wrote.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_model_open(path: *const c_char, out: *mut *mut yuragi_model) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe { give(out, || read(Archive::open(text("the path", path)?))) })
}

/// The width and the height of its pictures in pixels; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_model_size(model: *const yuragi_model) -> usize {
    // SAFETY: the caller's word.
    value_or(|| Ok(unsafe { held("the model", model) }?.settings.size)).unwrap_or(0)
}

/// Frees it; what was made with it stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_model_free(model: *mut yuragi_model) {
    // SAFETY: the caller's word.
    unsafe { free(model) };
}

/// Compiles a model for batches of up to `pictures`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_generator_new(
    cpu: *const yuragi_cpu,
    model: *const yuragi_model,
    pictures: usize,
    out: *mut *mut yuragi_generator,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let (cpu, model) = (held("the processor", cpu)?, held("the model", model)?);
            counted("the number of pictures", pictures, MOST_PICTURES)?;
            let (settings, tokenizer) = (model.settings.clone(), model.tokenizer.clone());
            let generator = Generator::new(&cpu.cpu, model.params.clone(), settings, tokenizer, pictures)
                .map_err(|error| failure(YURAGI_GRAPH, error))?;
            Ok(yuragi_generator { generator, model })
        })
    })
}

/// The bytes that each of its jobs needs, beside some thousands for its prompts; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_generator_memory(generator: *const yuragi_generator) -> usize {
    // SAFETY: the caller's word.
    value_or(|| Ok(unsafe { held("the generator", generator) }?.generator.memory())).unwrap_or(0)
}

/// Writes the width and the height of its pictures in pixels, where these are not NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_generator_size(
    generator: *const yuragi_generator,
    width: *mut usize,
    height: *mut usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let [w, h] = held("the generator", generator)?.generator.size();
        tell(width, w);
        tell(height, h);
        Ok(())
    })
}

/// Frees it; its jobs stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_generator_free(generator: *mut yuragi_generator) {
    // SAFETY: the caller's word.
    unsafe { free(generator) };
}
