// The main thread's side of a worker that holds one module: calls of its functions, one after another.

/** What this browser can run: threads need a page that is isolated from other origins. */
export const isolated = globalThis.crossOriginIsolated === true;

/** Threads to draw with. */
export const cores = isolated ? Math.max(1, Math.min(8, navigator.hardwareConcurrency || 1)) : 1;

let compiled;

/** Compiles the module that this browser can run, once for all workers. */
function compile() {
  compiled ??= WebAssembly.compileStreaming(fetch(isolated ? 'yuragi-threads.wasm' : 'yuragi.wasm'));
  return compiled;
}

/** A failure that the module's own line explains. */
export class Refused extends Error {}

export class Engine {
  #worker = new Worker('worker.js', { type: 'module' });
  #waiting = new Map();
  #next = 0;
  #dead = null;

  /** Starts a worker, and the module in it. */
  static async start() {
    const engine = new Engine();
    engine.#worker.onmessage = ({ data }) => engine.#take(data);
    engine.#worker.onerror = event => engine.#die(event.message || 'the worker could not start');
    await engine.#ask({ module: await compile(), shared: isolated });
    return engine;
  }

  #take(data) {
    const asked = this.#waiting.get(data.id);
    if (data.progress !== undefined) return asked?.progress?.(data.progress);
    this.#waiting.delete(data.id);
    if (data.fatal) return this.#die(data.fatal, asked);
    data.error === undefined ? asked?.resolve(data) : asked?.reject(new Refused(data.error));
  }

  #die(reason, asked) {
    this.#dead = new Error(reason);
    asked?.reject(this.#dead);
    this.#waiting.forEach(({ reject }) => reject(this.#dead));
    this.#waiting.clear();
    this.#worker.terminate();
  }

  #ask(message, progress) {
    if (this.#dead) return Promise.reject(this.#dead);
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, progress });
      this.#worker.postMessage({ id, ...message });
    });
  }

  /** Calls a function of the module: `{ code, output, took }`, the output as bytes. Texts go in parted by zeros. */
  call(name, numbers = [], texts) {
    return this.#ask({ name, numbers, input: texts && new TextEncoder().encode(texts.join('\0')) });
  }

  /** Fetches a file of this origin, and calls a function with its bytes; `progress` hears the `bytes` that are there, of a
   * `total` that is 0 where it is not known. */
  load(url, name, numbers = [], progress) {
    return this.#ask({ url, name, numbers }, progress);
  }

  /** Bytes of the module's memory. */
  async memory() {
    return (await this.#ask({ memory: true })).code;
  }
}

/** The text that a call gave. */
export const text = ({ output }) => new TextDecoder().decode(output);
