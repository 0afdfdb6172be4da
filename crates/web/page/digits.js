// Digits that a restricted Boltzmann machine dreams.
import { Engine } from './engine.js';
import { Live } from './live.js';

const COLUMNS = 8, ROWS = 3;
const PACES = [1, 4, 12, 30, 60, 240];

const $ = id => document.getElementById(id);

export async function digits() {
  const engine = await Engine.start();
  const { code: side } = await engine.load('digits.safetensors', 'digits_open');
  const canvas = $('dream'), context = canvas.getContext('2d');
  canvas.width = COLUMNS * side;
  canvas.height = ROWS * side;
  const image = new ImageData(canvas.width, canvas.height);
  let seed = 7n, due = 0, before = null;

  async function step(count) {
    const { code: steps, output: grey } = await engine.call('digits_step', [count, Number($('ink').value)]);
    const size = side * side;
    for (let chain = 0; chain < COLUMNS * ROWS; chain++) {
      const left = chain % COLUMNS * side, top = Math.floor(chain / COLUMNS) * side;
      for (let i = 0; i < size; i++) {
        const value = grey[chain * size + i] / 255;
        const at = 4 * ((top + Math.floor(i / side)) * canvas.width + left + i % side);
        image.data[at] = 16 + value * 229;
        image.data[at + 1] = 20 + value * 215;
        image.data[at + 2] = 23 + value * 190;
        image.data[at + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
    $('dream-status').textContent = `${COLUMNS * ROWS} chains, seed ${seed}: ${steps} steps.`;
  }

  async function frame(now) {
    const pace = PACES[$('pace').value];
    due += Math.min(0.1, (now - (before ?? now)) / 1000) * pace;
    before = now;
    const count = Math.floor(due);
    due -= count;
    if (count > 0) await step(count);
  }

  async function anew() {
    await engine.call('digits_start', [COLUMNS * ROWS, seed]);
    await step(0);
  }

  const failing = task => async (...given) => {
    try {
      await task(...given);
    } catch (error) {
      live.run(false);
      $('dream-status').textContent = `The machine has stopped (${error.message}). Load the page again.`;
    }
  };
  const live = new Live($('digits'), $('dream-run'), failing(frame));
  $('dream-step').onclick = failing(() => step(1));
  $('dream-new').onclick = failing(() => {
    seed = BigInt(crypto.getRandomValues(new Uint32Array(1))[0]);
    return anew();
  });
  $('pace').oninput = () => $('pace-now').textContent = PACES[$('pace').value];
  $('ink').onchange = failing(() => step(0));
  await anew();
  live.begin();
}
