// A ±J glass whose replicas anneal and exchange.
import { Engine } from './engine.js';
import { Live } from './live.js';

const SIDE = 32;
const LEVELS = 8;
/** By what factor each replica is warmer than the next. */
const RATIO = 1.12;
/** Sweeps of a frame, and of an annealing. */
const SWEEPS = 4;
const ANNEALING = 3000;
const WARMEST = 2, COLDEST = 0.2;
/** Colours of the replicas, told apart by those who see red and green alike, too. */
const REPLICAS = ['#3b6fb6', '#d9822b', '#2a9d8f', '#c2558f', '#8a6fd1', '#b5a21f', '#5aa7d6', '#a0593f'];
/** Frames that the charts show. */
const SHOWN = 440;

const $ = id => document.getElementById(id);

/** A colour of the style sheet as red, green and blue. */
function colour(name) {
  const value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map(at => parseInt(value.slice(at, at + 2), 16));
}

/** The slider's place, 0 to 100, means this temperature, and the other way round. */
const hot = place => COLDEST * (WARMEST / COLDEST) ** (place / 100);
const place = temperature => 100 * Math.log(temperature / COLDEST) / Math.log(WARMEST / COLDEST);

export async function glass() {
  const engine = await Engine.start();
  const lattices = Array.from({ length: LEVELS }, () => {
    const box = document.createElement('div'), canvas = document.createElement('canvas'), label = document.createElement('span');
    canvas.width = canvas.height = SIDE;
    box.append(canvas, label);
    $('lattices').append(box);
    return { canvas, context: canvas.getContext('2d'), label, image: new ImageData(SIDE, SIDE) };
  });
  const [paths, energy] = ['paths', 'energy'].map(id => $(id).getContext('2d'));
  const ink = { up: [0, 0, 0], down: [0, 0, 0] };
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  const repaint = () => Object.assign(ink, { up: colour('--spin'), down: colour('--hole') });
  scheme.addEventListener('change', repaint);
  repaint();

  let seed = 7n, annealed = 0, temperature = WARMEST, orders = [], history = [];

  async function anew() {
    annealed = 0;
    temperature = $('by-hand').checked ? hot(Number($('temperature').value)) : WARMEST;
    orders = [];
    history = [];
    await engine.call('glass_new', [SIDE, LEVELS, seed, temperature, RATIO]);
    await show();
  }

  async function frame() {
    if ($('by-hand').checked) {
      temperature = hot(Number($('temperature').value));
    } else {
      temperature = (await engine.call('glass_cooled', [WARMEST, COLDEST, ANNEALING, annealed])).code;
      annealed += SWEEPS;
      $('temperature').value = place(temperature);
    }
    await engine.call('glass_step', [SWEEPS, temperature, RATIO, $('exchanges').checked ? 1 : 0]);
    await show();
  }

  async function show() {
    const { code: sweeps, output: numbers } = await engine.call('glass_energies');
    const { output: bytes } = await engine.call('glass_spins');
    const all = new Float32Array(numbers.buffer);
    const energies = all.subarray(0, LEVELS), shares = all.subarray(LEVELS, 2 * LEVELS - 1), best = all[2 * LEVELS - 1];
    const replicas = bytes.subarray(0, LEVELS), sites = SIDE * SIDE, lowest = bytes.subarray(LEVELS + LEVELS * sites);
    const compared = $('colours').value === 'best';
    lattices.forEach(({ canvas, context, label, image }, level) => {
      const spins = bytes.subarray(LEVELS + level * sites, LEVELS + (level + 1) * sites);
      for (let i = 0, j = 0; i < sites; i++, j += 4) {
        const [red, green, blue] = spins[i] ^ (compared ? lowest[i] : 0) ? ink.up : ink.down;
        image.data[j] = red;
        image.data[j + 1] = green;
        image.data[j + 2] = blue;
        image.data[j + 3] = 255;
      }
      context.putImageData(image, 0, 0);
      const border = REPLICAS[replicas[level]];
      if (canvas.dataset.border !== border) canvas.style.borderColor = canvas.dataset.border = border;
      const told = `T ${(temperature * RATIO ** (LEVELS - 1 - level)).toFixed(2)}`;
      if (label.textContent !== told) label.textContent = told;
    });
    orders.push(replicas.slice());
    history.push([energies[0], energies[LEVELS - 1]]);
    if (orders.length > SHOWN) orders.shift(), history.shift();
    chartPaths();
    chartEnergies();
    $('temperature-now').textContent = temperature.toFixed(2);
    $('energy-now').textContent = `coldest ${energies[LEVELS - 1].toFixed(3)}, best ${Number.isFinite(best) ? best.toFixed(3) : '–'}`;
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    const state = $('by-schedule').checked && annealed >= ANNEALING ? ', annealed' : '';
    $('glass-status').textContent = `Glass ${seed}${state}: ${sweeps} sweeps; ${(100 * mean).toFixed(0)} % of the exchanges that were tried were made.`;
  }

  function chartPaths() {
    const { width, height } = paths.canvas, step = height / LEVELS;
    paths.clearRect(0, 0, width, height);
    paths.lineWidth = 2.5;
    paths.lineJoin = 'round';
    REPLICAS.forEach((stroke, replica) => {
      paths.strokeStyle = stroke;
      paths.beginPath();
      let last = -1;
      orders.forEach((order, x) => {
        const level = order.indexOf(replica);
        // Straight on but for the ends of a line and its bends.
        if (level !== last || x === orders.length - 1 || orders[x + 1].indexOf(replica) !== level) paths.lineTo(x, (level + 0.5) * step);
        last = level;
      });
      paths.stroke();
    });
  }

  function chartEnergies() {
    const { width, height } = energy.canvas, [top, bottom] = [0, -1.5];
    const y = value => 4 + (height - 8) * (value - top) / (bottom - top);
    energy.clearRect(0, 0, width, height);
    energy.lineWidth = 2;
    [[0, REPLICAS[1]], [1, REPLICAS[0]]].forEach(([level, stroke]) => {
      energy.strokeStyle = stroke;
      energy.beginPath();
      history.forEach((energies, x) => energy.lineTo(x, y(energies[level])));
      energy.stroke();
    });
  }

  const failing = task => async (...given) => {
    try {
      await task(...given);
    } catch (error) {
      live.run(false);
      $('glass-status').textContent = `The glass has stopped (${error.message}). Load the page again.`;
    }
  };
  const live = new Live($('glass'), $('glass-run'), failing(frame));
  $('temperature').oninput = () => {
    $('by-hand').checked = true;
    $('temperature-now').textContent = hot(Number($('temperature').value)).toFixed(2);
  };
  $('by-schedule').onchange = () => annealed = 0;
  $('glass-new').onclick = failing(() => {
    seed = BigInt(crypto.getRandomValues(new Uint32Array(1))[0]);
    return anew();
  });
  $('colours').onchange = failing(show);
  await anew();
  live.begin();
}
