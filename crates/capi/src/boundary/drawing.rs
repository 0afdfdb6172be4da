//! Pictures under way.

use std::{
    ffi::c_char,
    ptr::null,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::*},
    },
};

use yuragi::{
    cpu::Cpu,
    diffusion::Kind,
    graph::Params,
    models::{
        generator::{Error, Job, Request, Sampling},
        prompt::{UNGUIDED, notes},
    },
    numeric::level,
};

use super::{
    log::{YURAGI_WARNING, log},
    model::{yuragi_generator, yuragi_model},
    pointer::{afford, counted, free, give, guard, held, item, items, locked, room, tell, text, text_or},
};
use crate::failure::{
    Answer, Failure, YURAGI_BUFFER, YURAGI_CANCELLED, YURAGI_GRAPH, YURAGI_ORDER, YURAGI_RANGE, failure, yuragi_status,
};

/// A batch of pictures under way. A call on one thread is refused with YURAGI_BUSY while another one works on it; only
/// yuragi_job_cancel may be called at any time.
pub struct yuragi_job {
    cancelled: AtomicBool,
    /// Borrows from `generator`, and is dropped before it.
    job: Mutex<Job<'static, Cpu, Arc<Params>>>,
    generator: Arc<yuragi_generator>,
}

/// What to draw.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct yuragi_request {
    /// What the picture shows. It may stress words and change on the way: "a (red:1.3) cat", "[a cat:a dog:0.5]".
    pub prompt: *const c_char,
    /// What guidance leads away from; NULL for nothing.
    pub negative: *const c_char,
    /// The picture's noise: equal requests with equal seeds give equal pictures, whatever stands beside them.
    pub seed: u64,
}

/// How to draw.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct yuragi_sampling {
    /// The sampler, as `yuragi generate --sampler` names it; NULL for "euler".
    pub sampler: *const c_char,
    /// Its steps, 1 to 10000.
    pub steps: u32,
    /// How much the words count; 1 takes half the time.
    pub guidance: f32,
}

/// What the model draws best with: the values of `yuragi generate` without flags.
#[unsafe(no_mangle)]
pub extern "C" fn yuragi_sampling_default() -> yuragi_sampling {
    let Sampling { steps, guidance, .. } = Sampling::default();
    yuragi_sampling { sampler: null(), steps: steps as u32, guidance }
}

/// What went wrong while drawing.
fn drawing(error: Error) -> Failure {
    let status = match error {
        Error::Count { .. } | Error::Sampler(_) | Error::Length { .. } | Error::Size { .. } => YURAGI_RANGE,
        _ => YURAGI_GRAPH,
    };
    failure(status, error)
}

/// # Safety
/// NULL, or texts.
unsafe fn sampling(given: *const yuragi_sampling) -> Answer<Sampling> {
    let usual = Sampling::default();
    if given.is_null() {
        return Ok(usual);
    }
    // SAFETY: passed on to the caller.
    let yuragi_sampling { sampler, steps, guidance } = *unsafe { item("the sampling", given) }?;
    // SAFETY: as above.
    let name = unsafe { text_or("the sampler's name", sampler, "euler") }?;
    let sampler: Kind = name.parse().map_err(|error| failure(YURAGI_RANGE, error))?;
    Ok(Sampling { sampler, steps: steps as usize, guidance, ..usual })
}

/// # Safety
/// So many requests of texts.
unsafe fn requests<'a>(given: *const yuragi_request, count: usize, most: usize) -> Answer<Vec<Request<'a>>> {
    counted("the number of requests", count, most)?;
    // SAFETY: passed on to the caller.
    let given = unsafe { items("the requests", given, count) }?;
    let request = |request: &yuragi_request| {
        // SAFETY: as above.
        let (prompt, negative) =
            unsafe { (text("a prompt", request.prompt)?, text_or("a negative prompt", request.negative, "")?) };
        Ok(Request { prompt, negative, seed: request.seed, ..Request::default() })
    };
    given.iter().map(request).collect()
}

/// Says what the model makes of the words, where that may surprise; the same once.
fn tell_notes(generator: &yuragi_generator, requests: &[Request<'_>], sampling: &Sampling) {
    let yuragi_model { tokenizer, settings, .. } = &*generator.model;
    let mut told: Vec<[&str; 2]> = Vec::new();
    for Request { prompt, negative, .. } in requests {
        if told.contains(&[*prompt, *negative]) {
            continue;
        }
        told.push([*prompt, *negative]);
        for note in notes(tokenizer, settings.text.length, prompt, negative) {
            log(YURAGI_WARNING, &note);
        }
        if sampling.guidance == 1.0 && !negative.trim().is_empty() {
            log(YURAGI_WARNING, UNGUIDED);
        }
    }
}

/// Begins `count` pictures, at most as many as the generator was made for; `how` may be NULL. Nothing is computed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_job_start(
    generator: *const yuragi_generator,
    what: *const yuragi_request,
    count: usize,
    how: *const yuragi_sampling,
    out: *mut *mut yuragi_job,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let generator = held("the generator", generator)?;
            let requests = requests(what, count, generator.generator.count())?;
            let sampling = sampling(how)?;
            afford("a picture under way", generator.generator.memory())?;
            // The reference is kept beside the job, and the generator does not move.
            let lasting = &*Arc::as_ptr(&generator);
            let job = lasting.generator.start(&requests, &sampling).map_err(drawing)?;
            tell_notes(&generator, &requests, &sampling);
            Ok(yuragi_job { cancelled: AtomicBool::new(false), job: Mutex::new(job), generator })
        })
    })
}

/// Begins other pictures in the memory of a job, whatever has become of it; `how` may be NULL. If it is refused, the job
/// goes on as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_job_restart(
    job: *const yuragi_job,
    what: *const yuragi_request,
    count: usize,
    how: *const yuragi_sampling,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let job = held("the job", job)?;
        let mut inside = locked("the job", &job.job)?;
        let requests = requests(what, count, job.generator.generator.count())?;
        let sampling = sampling(how)?;
        afford("a picture under way", job.generator.generator.memory())?;
        inside.restart(&requests, &sampling).map_err(drawing)?;
        job.cancelled.store(false, Relaxed);
        tell_notes(&job.generator, &requests, &sampling);
        Ok(())
    })
}

/// Goes on for at most `launches` steps of the machine, of some tenths of a millisecond each; SIZE_MAX runs to the end.
/// Writes how many are done and how many there are, where these are not NULL: a picture is there when they are equal.
/// What was done when it is cancelled stays done. Takes no memory, unless a prompt weighs words or changes on the way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_job_advance(
    job: *const yuragi_job,
    launches: usize,
    done: *mut usize,
    total: *mut usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let job = held("the job", job)?;
        let mut inside = locked("the job", &job.job)?;
        let (mut left, mut now) = (launches, inside.progress());
        while left > 0 && !now.is_all() {
            if job.cancelled.load(Relaxed) {
                return Err(failure(YURAGI_CANCELLED, "the job was cancelled"));
            }
            now = inside.advance(1).map_err(drawing)?;
            left -= 1;
        }
        tell(done, now.done);
        tell(total, now.total);
        Ok(())
    })
}

/// Has a job that another thread advances end after the launch at hand, with YURAGI_CANCELLED, which it then answers
/// until it is restarted; one that has ended stays ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_job_cancel(job: *const yuragi_job) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| {
        unsafe { held("the job", job) }?.cancelled.store(true, Relaxed);
        Ok(())
    })
}

/// The bytes of a pixel: red, green, blue, and with YURAGI_RGBA8 a last one that is 255.
#[repr(C)]
#[allow(dead_code)] // callers give its numbers
pub enum yuragi_pixels {
    /// 3 bytes.
    YURAGI_RGB8 = 3,
    /// 4 bytes.
    YURAGI_RGBA8 = 4,
}

/// Writes colours in 0..1 as bytes.
fn write(colours: &[f32], bytes: i32, out: &mut [u8]) -> Answer {
    let bytes = match bytes {
        3 => 3,
        4 => 4,
        other => {
            return Err(failure(
                YURAGI_RANGE,
                format_args!("{other} are no pixels; legal are YURAGI_RGB8 and YURAGI_RGBA8"),
            ));
        }
    };
    let needed = colours.len() / 3 * bytes;
    if out.len() < needed {
        return Err(failure(
            YURAGI_BUFFER,
            format_args!("the picture takes {needed} bytes, the buffer has {}", out.len()),
        ));
    }
    for (to, from) in out.chunks_exact_mut(bytes).zip(colours.chunks_exact(3)) {
        to.fill(255);
        to.iter_mut().zip(from).for_each(|(to, from)| *to = level(*from));
    }
    Ok(())
}

/// Writes a picture of a job that has ended, row by row, in `pixels` as yuragi_pixels says, into `capacity` bytes.
/// YURAGI_ORDER before the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_job_picture(
    job: *const yuragi_job,
    request: usize,
    pixels: i32,
    bytes: *mut u8,
    capacity: usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let job = held("the job", job)?;
        let inside = locked("the job", &job.job)?;
        let out = room("the buffer for the picture", bytes, capacity)?;
        let colours =
            inside.picture(request).ok_or_else(|| absent(&inside, request, "the picture is not drawn yet"))?;
        write(colours, pixels, out)
    })
}

/// Writes a guess of a picture that is being drawn, smaller than it will be, and its width and height where these are not
/// NULL. YURAGI_ORDER before the first step.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_job_preview(
    job: *const yuragi_job,
    request: usize,
    pixels: i32,
    bytes: *mut u8,
    capacity: usize,
    width: *mut usize,
    height: *mut usize,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let job = held("the job", job)?;
        let inside = locked("the job", &job.job)?;
        let [h, w, _] = inside.latent();
        let out = room("the buffer for the preview", bytes, capacity)?;
        let colours = inside.preview(request).ok_or_else(|| absent(&inside, request, "there is no preview yet"))?;
        write(&colours, pixels, out)?;
        tell(width, w);
        tell(height, h);
        Ok(())
    })
}

/// Why a picture is not there.
fn absent(job: &Job<'static, Cpu, Arc<Params>>, request: usize, early: &str) -> Failure {
    let requests = job.requests();
    if request < requests {
        return failure(YURAGI_ORDER, early);
    }
    failure(YURAGI_RANGE, format_args!("request {request} was not made; there are {requests}"))
}

/// Frees it; a job under way is cancelled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_job_free(job: *mut yuragi_job) {
    // SAFETY: the caller's word.
    unsafe {
        if let Some(job) = job.as_ref() {
            job.cancelled.store(true, Relaxed); // a thread that advances it has a share in it
        }
        free(job);
    }
}
