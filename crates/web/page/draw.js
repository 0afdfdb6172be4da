// Pictures from words.
import { Engine, Refused, cores, text } from './engine.js';
import { withText } from './png.js';

const MODEL = 'emoji.packed';
/** Milliseconds between two looks at whether to go on. */
const SLICE = 24;
/** Earlier pictures that stay. */
const KEPT = 12;

const $ = id => document.getElementById(id);
const status = $('status');

function say(line, alarm = false) {
  status.textContent = line;
  status.classList.toggle('alarm', alarm);
}

const megabytes = bytes => (bytes / 1e6).toFixed(1);
const seconds = since => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** Red, green and blue bytes as opaque pixels. */
function pixels(rgb, side) {
  const data = new ImageData(side, side);
  for (let i = 0, j = 0; i < rgb.length; i += 3, j += 4) {
    data.data.set([rgb[i], rgb[i + 1], rgb[i + 2], 255], j);
  }
  return data;
}

class Frames {
  constructor(count, side, seed, prompt) {
    const now = $('now'), earlier = $('earlier');
    for (const figure of [...now.children].reverse()) {
      figure.classList.contains('drawn') ? earlier.prepend(figure) : figure.remove();
    }
    while (earlier.children.length > KEPT) earlier.lastChild.remove();
    $('earlier-title').hidden = earlier.children.length === 0;
    now.dataset.count = count;
    this.side = side;
    this.prompt = prompt || 'anything';
    this.figures = Array.from({ length: count }, (_, i) => this.#figure(BigInt.asUintN(64, seed + BigInt(i))));
    now.replaceChildren(...this.figures.map(({ figure }) => figure));
    this.small = document.createElement('canvas').getContext('2d');
  }

  #figure(seed) {
    const figure = document.createElement('figure');
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = this.side;
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `Being drawn: ${this.prompt}, seed ${seed}`);
    const caption = document.createElement('figcaption');
    const label = document.createElement('span');
    label.textContent = `seed ${seed}`;
    caption.append(label);
    figure.append(canvas, caption);
    return { figure, caption, canvas, seed, context: canvas.getContext('2d') };
  }

  guesses(rgb, side) {
    const size = side * side * 3, { canvas } = this.small;
    if (canvas.width !== side) canvas.width = canvas.height = side;
    this.figures.forEach(({ context }, i) => {
      const part = rgb.subarray(i * size, (i + 1) * size);
      if (part.length < size) return;
      this.small.putImageData(pixels(part, side), 0, 0);
      context.imageSmoothingQuality = 'high';
      context.drawImage(canvas, 0, 0, this.side, this.side);
    });
  }

  finish(rgb, parameters) {
    const size = this.side * this.side * 3;
    this.figures.forEach(({ figure, canvas, context, caption, seed }, i) => {
      context.putImageData(pixels(rgb.subarray(i * size, (i + 1) * size), this.side), 0, 0);
      canvas.setAttribute('aria-label', `${this.prompt}, seed ${seed}`);
      const save = document.createElement('button');
      save.type = 'button';
      save.textContent = 'Save';
      save.setAttribute('aria-label', `Save the picture of seed ${seed} as PNG`);
      save.onclick = () => saved(canvas, parameters[i], seed);
      caption.append(save);
      figure.classList.add('drawn');
      figure.title = parameters[i];
    });
  }

  drop() {
    this.figures.forEach(({ figure }) => figure.remove());
  }
}

async function saved(canvas, parameters, seed) {
  const blob = await new Promise(resolve => canvas.toBlob(resolve, 'image/png'));
  const file = new Blob([withText(new Uint8Array(await blob.arrayBuffer()), 'parameters', parameters)], { type: 'image/png' });
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = `yuragi-${seed}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  say(`Saved ${link.download}.`);
}

/** What the form asks for, or null with the field that is wrong shown. */
function asked() {
  const form = $('ask');
  if (!form.reportValidity()) return null;
  if ($('fresh').checked) $('seed').value = String(crypto.getRandomValues(new Uint32Array(1))[0]);
  const seed = BigInt($('seed').value.trim() || '0');
  if (seed >= 2n ** 64n) {
    say('A seed is a whole number from 0 to 18446744073709551615.', true);
    $('seed').focus();
    return null;
  }
  return {
    prompt: $('prompt').value, negative: $('negative').value, seed, count: Number($('count').value),
    steps: Number($('steps').value), guidance: Number($('guidance').value),
  };
}

/** Sets up the form, opens the model and draws what the form says; done when that picture is there or was cancelled.
 * Gives the worker that draws, or null where the model cannot be opened. */
export async function draw() {
  let engine, side, current = null, launches = 4;

  async function run(own, { prompt, negative, seed, count, steps, guidance }) {
    const begun = performance.now();
    const going = () => current === own;
    $('notes').replaceChildren();
    const { output } = await engine.call('studio_start', [seed, count, steps, guidance], [prompt, negative].map(words => words.replaceAll('\0', ' ')));
    if (!going()) return;
    $('notes').replaceChildren(...text({ output }).split('\n').filter(Boolean).map(line => {
      const item = document.createElement('li');
      item.textContent = line;
      return item;
    }));
    const frames = own.frames = new Frames(count, side, seed, prompt);
    say(count === 1 ? 'Drawing…' : `Drawing ${count} pictures…`);
    $('cancel').disabled = false;
    let seen = 0;
    for (; ;) {
      const { code, took } = await engine.call('studio_advance', [launches]);
      if (!going()) return;
      launches = Math.round(Math.min(4 * launches, Math.max(1, launches * SLICE / Math.max(took, 1))));
      $('progress').value = code / 10_000;
      if (code === 10_000) break;
      const { code: evaluated } = await engine.call('studio_evaluated');
      if (evaluated > seen) {
        seen = evaluated;
        const { code: guess, output: rgb } = await engine.call('studio_guesses');
        if (!going()) return;
        frames.guesses(rgb, guess);
      }
    }
    const { output: rgb } = await engine.call('studio_pictures');
    const parameters = [];
    for (let i = 0; i < count; i++) {
      parameters.push(text(await engine.call('studio_parameters', [i])));
      if (!going()) return;
    }
    frames.finish(rgb, parameters);
    say(`${count === 1 ? 'Drawn' : `${count} pictures drawn`} in ${seconds(begun)}.`);
    performance.mark('picture');
    end();
  }

  function end() {
    current = null;
    // A button that is no longer one must not take the focus away with it.
    if (document.activeElement === $('cancel')) $('go').focus();
    $('cancel').disabled = true;
  }

  async function cancel() {
    if (!current) return;
    current.frames?.drop();
    end();
    $('progress').value = 0;
    say('Cancelled.');
    $('prompt').focus();
    await engine.call('studio_cancel');
  }

  async function start() {
    const what = asked();
    if (!what || !engine) return;
    current?.frames?.drop();
    const own = current = {};
    try {
      await run(own, what);
    } catch (error) {
      // What another drawing has taken the place of says nothing.
      if (current !== own) return;
      own.frames?.drop();
      end();
      const refused = error instanceof Refused;
      say(refused ? `${error.message}.` : `Drawing has stopped (${error.message}). Load the page again.`, true);
    }
  }

  $('ask').onsubmit = event => {
    event.preventDefault();
    start();
  };
  $('cancel').onclick = cancel;
  $('fresh').onchange = () => $('seed').readOnly = $('fresh').checked;
  addEventListener('keydown', event => {
    // There it closes the list, or ends what an input method composes.
    const other = event.isComposing || event.target instanceof HTMLSelectElement;
    if (event.key === 'Escape' && !other) cancel();
  });
  for (const idea of document.querySelectorAll('.idea')) {
    idea.onclick = () => {
      $('prompt').value = idea.textContent;
      start();
    };
  }

  try {
    engine = await Engine.start();
    // Beside the line that is read out: parts that come one after another are not.
    const opened = await engine.load(MODEL, 'studio_open', [cores], ({ bytes, total }) => {
      $('fetched').textContent = total ? `${megabytes(bytes)} of ${megabytes(total)} MB` : `${megabytes(bytes)} MB`;
      if (total) $('progress').value = bytes / total;
    });
    $('fetched').textContent = '';
    $('progress').value = 0;
    side = opened.code;
  } catch (error) {
    engine = null;
    $('go').disabled = true;
    $('fetched').textContent = '';
    say(`The model cannot be opened: ${error.message}.`, true);
    return null;
  }
  await start();
  return engine;
}
