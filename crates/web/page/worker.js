// A worker that holds one module and calls its functions. Messages are answered in their order.
import { imports } from './wasi.js';

let exports, memory;

async function start(module, shared) {
  // The limits are those that the module was linked with.
  memory = shared ? new WebAssembly.Memory({ initial: 256, maximum: 16384, shared: true }) : undefined;
  const held = { memory };
  const instance = await WebAssembly.instantiate(module, imports(held, startArgument => spawn(module, startArgument)));
  exports = instance.exports;
  memory = held.memory = memory ?? exports.memory;
  exports.begin();
}

let threads = 0;

function spawn(module, startArgument) {
  const worker = new Worker('thread.js', { type: 'module' });
  const thread = ++threads;
  worker.postMessage({ module, memory, thread, startArgument });
  return thread;
}

/** Room in the module for so many bytes, as a view that is good until memory grows. */
function room(length) {
  const at = exports.input(length) >>> 0;
  if (length > 0 && at === 0) throw new Error(`there is no memory for ${length} bytes`);
  return new Uint8Array(memory.buffer, at, length);
}

async function fetched(url, progress) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  const parts = [], total = Number(answer.headers.get('Content-Length'));
  let length = 0, told = 0;
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
    if (performance.now() - told < 50) continue;
    told = performance.now();
    // What was packed on its way is longer than was said.
    progress({ bytes: length, total: total >= length ? total : 0 });
  }
  const bytes = room(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
}

async function answer({ id, module, shared, memory: size, url, name, numbers, input }) {
  if (module) {
    await start(module, shared);
    return { code: 0 };
  }
  if (size) return { code: memory.buffer.byteLength };
  if (url) await fetched(url, progress => postMessage({ id, progress }));
  if (input) room(input.length).set(input);
  const before = performance.now();
  const code = exports[name](...numbers);
  const took = performance.now() - before;
  // A copy: what is shared cannot be sent or decoded.
  const output = new Uint8Array(memory.buffer, exports.output() >>> 0, exports.output_length() >>> 0).slice();
  if (code === -1) return { error: new TextDecoder().decode(output) };
  return { code, output, took };
}

let last = Promise.resolve();

onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      const { output, ...rest } = await answer(data);
      postMessage({ id: data.id, output, ...rest }, output ? [output.buffer] : []);
    } catch (error) {
      // A stack that overflows is a RangeError.
      const fatal = error instanceof WebAssembly.RuntimeError || error instanceof RangeError || !exports;
      postMessage({ id: data.id, [fatal ? 'fatal' : 'error']: String(error.message ?? error) });
    }
  });
};
