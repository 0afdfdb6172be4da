//! Pictures that a job begins with.

use alloc::{vec, vec::Vec};

use yuragi_diffusion::Point;

use super::{Begin, Request};

/// Pictures to begin with, or latents, and what of them is kept.
pub(super) struct Beginning {
    /// Whether the latents are known already.
    pub drawn: bool,
    /// All pictures, `[n, H, W, 3]`; none where latents are known.
    pub pictures: Vec<f32>,
    /// The same with 0 where they are drawn anew.
    pub kept: Vec<f32>,
    /// The share of each latent's pixel that is drawn anew: `[n, h, w]`.
    mask: Vec<f32>,
    masked: bool,
    /// The deviation of the noise, if the first step sees nothing else.
    blind: Option<f32>,
    /// The pictures' latents, and those of what is kept.
    pub latents: Vec<f32>,
    pub kept_latents: Vec<f32>,
    /// The noise of the first step.
    pub noise: Vec<f32>,
    /// What an inpainting network reads beside the latents, once for each half of the batch: the mask, and the latent
    /// of what is kept.
    pub given: Vec<f32>,
    first: Point,
}

impl Beginning {
    /// The pictures of requests that were checked; `start` is the noise's deviation if every step is made.
    pub fn new(
        requests: &[Request<'_>],
        n: usize,
        [width, height]: [usize; 2],
        [h, w, channels]: [usize; 3],
        start: Option<f32>,
        first: Point,
    ) -> Beginning {
        let pixels = width * height;
        let drawn = requests.iter().any(|request| matches!(request.begin, Begin::Drawn(_)));
        let mut pictures = vec![0.0; if drawn { 0 } else { n * pixels * 3 }];
        let mut kept = pictures.clone();
        let mut mask = vec![1.0; n * h * w];
        let mut masked = false;
        let empty = || vec![0.0; n * h * w * channels];
        let mut latents = empty();
        for (place, request) in requests.iter().enumerate() {
            let (picture, hole) = match request.begin {
                Begin::Picture(picture, hole) => (picture, hole),
                Begin::Drawn(latent) => {
                    latents.splice(place * latent.len()..(place + 1) * latent.len(), latent.iter().copied());
                    continue;
                }
                Begin::Noise | Begin::Latents(_) => continue,
            };
            masked |= hole.is_some();
            // Without a mask all is drawn anew.
            let anew = |pixel: usize| hole.and_then(|hole| hole.get(pixel)).is_none_or(|v| *v >= 0.5);
            let range = place * pixels * 3..(place + 1) * pixels * 3;
            pictures[range.clone()].copy_from_slice(picture);
            let rest = kept[range].chunks_exact_mut(3).zip(picture.chunks_exact(3)).enumerate();
            rest.filter(|(pixel, _)| !anew(*pixel)).for_each(|(_, (to, from))| to.copy_from_slice(from));
            for (i, to) in mask.iter_mut().skip(place * h * w).take(h * w).enumerate() {
                let (row, column) = (i / w * (height / h.max(1)), i % w * (width / w.max(1)));
                *to = f32::from(u8::from(anew(row * width + column)));
            }
        }
        Beginning {
            drawn,
            pictures,
            kept,
            mask,
            masked,
            blind: start.filter(|_| masked),
            latents,
            kept_latents: empty(),
            noise: empty(),
            given: Vec::new(),
            first,
        }
    }

    /// Has a network told what is kept, by so many numbers.
    pub fn give(&mut self, count: usize) {
        self.given = vec![0.0; count];
    }

    /// The latents of the first step: the pictures' with noise, and what an inpainting network is given.
    pub fn start(&mut self, latents: &mut [f32]) {
        let (alpha, sigma) = (self.first.alpha as f32, self.first.sigma as f32);
        let both = self.latents.iter().zip(&self.noise);
        for (to, (x0, noise)) in latents.iter_mut().zip(both) {
            *to = self.blind.map_or(alpha * x0 + sigma * noise, |scale| scale * noise);
        }
        let channels = self.channels();
        let kept = self.kept_latents.chunks_exact(channels).cycle();
        let pixels = self.given.chunks_exact_mut(channels + 1).zip(self.mask.iter().cycle().zip(kept));
        for (to, (mask, kept)) in pixels {
            to[0] = *mask;
            to[1..].copy_from_slice(kept);
        }
    }

    /// Puts back what the mask keeps, at the noise of the next step.
    pub fn keep(&self, latents: &mut [f32], next: Option<Point>) {
        if !self.masked || !self.given.is_empty() {
            return;
        }
        let (alpha, sigma) = next.map_or((1.0, 0.0), |point| (point.alpha as f32, point.sigma as f32));
        let channels = self.channels();
        for (place, x) in latents.iter_mut().enumerate() {
            if self.mask[place / channels] == 0.0 {
                *x = alpha * self.latents[place] + sigma * self.noise[place];
            }
        }
    }

    fn channels(&self) -> usize {
        (self.latents.len() / self.mask.len().max(1)).max(1)
    }
}
