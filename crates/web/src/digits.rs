//! Digits that a restricted Boltzmann machine dreams.

use yuragi::{
    Failure,
    energy::{
        draw::Draws,
        rbm::{Rbm, Units},
    },
    io::checkpoint::Archive,
    numeric::level,
};

/// The most chains.
const MOST: usize = 256;

/// Chains of block Gibbs sampling of a machine of 0/1 units, as `yuragi sample` draws them.
///
/// ```
/// use yuragi_web::Digits;
/// # let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/page/digits.safetensors"))?;
/// let mut digits = Digits::open(file)?;
/// digits.start(4, 7)?;
/// digits.step(10)?;
/// assert_eq!((digits.shape(), digits.grey().len()), ([28, 28], 4 * 784));
/// # Ok::<(), yuragi::Failure>(())
/// ```
pub struct Digits {
    rbm: Rbm,
    /// Biases of the units that chains begin with.
    base: Vec<f32>,
    shape: [usize; 2],
    draws: Draws,
    steps: u32,
    /// The visible units of all chains, and the means that they were drawn from.
    values: Vec<f32>,
    means: Vec<f32>,
}

impl Digits {
    /// Reads a machine's file, as `yuragi fit rbm` writes it.
    ///
    /// # Errors
    /// A file that is cut short, damaged, or of something else than a machine of 0/1 units for pictures.
    pub fn open(file: Vec<u8>) -> Result<Digits, Failure> {
        let file = Archive::from_bytes(file)?;
        let shape: String = file.setting("shape")?;
        let sides: Vec<usize> = shape.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let &[height, width] = &*sides else { return Err(Failure::new(format!("{shape} is no shape of pictures"))) };
        let units: [String; 2] = [file.setting("visible")?, file.setting("hidden")?];
        if units != ["binary", "binary"] {
            return Err(Failure::new(format!("its units are {} and {}, not binary", units[0], units[1])));
        }
        let visible = height.checked_mul(width).ok_or_else(|| Failure::new("its pictures are too large"))?;
        let hidden = file.tensor("hidden_bias")?.shape().first().copied().unwrap_or(0);
        // Before memory is taken for sizes that the file only claims.
        let weights = file.f32("weights", &[visible, hidden])?;
        let mut rbm = Rbm::new(visible, hidden, Units::Binary, Units::Binary)?;
        rbm.weights = weights;
        rbm.visible_bias = file.f32("visible_bias", &[visible])?;
        rbm.hidden_bias = file.f32("hidden_bias", &[hidden])?;
        let base = file.f32("base", &[visible])?;
        let (values, means) = (Vec::new(), Vec::new());
        Ok(Digits { rbm, base, shape: [height, width], draws: Draws::new(0), steps: 0, values, means })
    }

    /// Height and width of a picture.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Begins so many chains at independent units with the data's mean activities.
    ///
    /// # Errors
    /// No chain, or more than 256.
    pub fn start(&mut self, chains: usize, seed: u64) -> Result<(), Failure> {
        if !(1..=MOST).contains(&chains) {
            return Err(Failure::new(format!("{chains} chains: legal are 1 to {MOST}")));
        }
        let mut apart = Rbm::new(self.rbm.visible(), 1, Units::Binary, Units::Binary)?;
        apart.visible_bias.clone_from(&self.base);
        self.draws = Draws::new(seed);
        self.steps = 0;
        self.values = apart.sample_visible(&vec![0.0; chains], self.draws, 0)?;
        self.means.clone_from(&self.values);
        Ok(())
    }

    /// So many steps of every chain: hidden units given the visible ones, and those anew.
    ///
    /// # Errors
    /// More than four billion steps in all.
    pub fn step(&mut self, steps: u32) -> Result<(), Failure> {
        for _ in 0..steps {
            self.steps = self.steps.checked_add(1).ok_or_else(|| Failure::new("the chains are at their last step"))?;
            let hidden = self.rbm.sample_hidden(&self.values, self.draws, self.steps)?;
            self.values = self.rbm.sample_visible(&hidden, self.draws, self.steps)?;
            self.means = self.rbm.visible_means(&hidden)?;
        }
        Ok(())
    }

    /// Steps that were made.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// The means of the visible units, 0 to 255, chain by chain.
    pub fn grey(&self) -> Vec<u8> {
        self.means.iter().copied().map(level).collect()
    }

    /// The visible units themselves, 0 or 255.
    pub fn ink(&self) -> Vec<u8> {
        self.values.iter().map(|&value| if value > 0.0 { 255 } else { 0 }).collect()
    }
}
