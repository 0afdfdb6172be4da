// The page: three parts, each with a worker of its own. Drawing comes first; the others begin when its first picture is there.
import { cores, isolated } from './engine.js';
import { draw } from './draw.js';
import { glass } from './glass.js';
import { digits } from './digits.js';

const machine = document.getElementById('machine');
machine.dataset.threads = cores;
machine.textContent = isolated
  ? `WebAssembly with SIMD on ${cores} thread${cores === 1 ? '' : 's'}.`
  : 'WebAssembly with SIMD on one thread: this page was not served with the headers that threads need.';

// A part in each frame: all of them at once would keep the page from answering for longer than one.
async function lay() {
  for (const part of ['ideas', 'glass', 'digits']) {
    await new Promise(requestAnimationFrame);
    await new Promise(setTimeout);
    document.getElementById(part).hidden = false;
  }
}
lay();

const engine = await draw();
if (engine) {
  const bytes = await engine.memory();
  machine.dataset.memory = bytes;
  machine.append(` The module that draws holds ${Math.round(bytes / 1e6)} MB.`);
}
await Promise.all([[glass, 'glass-status'], [digits, 'dream-status']].map(([part, line]) =>
  part().catch(error => document.getElementById(line).textContent = `This part cannot be started: ${error.message}.`)));
document.documentElement.dataset.ready = '';
