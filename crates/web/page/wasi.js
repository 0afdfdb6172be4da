// What of WASI the module asks for: a clock, a place for last words, no environment, and threads.

const OK = 0;
const BAD_HANDLE = 8;

/** Imports of a module whose memory is, or will be, `held.memory`. */
export function imports(held, spawn) {
  const view = () => new DataView(held.memory.buffer);
  const system = {
    environ_sizes_get(count, size) {
      view().setUint32(count, 0, true);
      view().setUint32(size, 0, true);
      return OK;
    },
    environ_get: () => OK,
    clock_time_get(_clock, _precision, at) {
      view().setBigUint64(at, BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6)), true);
      return OK;
    },
    fd_write(handle, parts, count, written) {
      if (handle !== 1 && handle !== 2) return BAD_HANDLE;
      let text = '', length = 0;
      for (let i = 0; i < count; i++) {
        const [at, size] = [0, 4].map(part => view().getUint32(parts + 8 * i + part, true));
        text += new TextDecoder().decode(new Uint8Array(held.memory.buffer, at, size).slice());
        length += size;
      }
      view().setUint32(written, length, true);
      console.error(text.trimEnd());
      return OK;
    },
    random_get(at, length) {
      const bytes = new Uint8Array(length);
      crypto.getRandomValues(bytes);
      new Uint8Array(held.memory.buffer, at, length).set(bytes);
      return OK;
    },
    sched_yield: () => OK,
    proc_exit(code) {
      throw new WebAssembly.RuntimeError(`the module ended with ${code}`);
    },
  };
  return { env: { memory: held.memory }, wasi_snapshot_preview1: system, wasi: { 'thread-spawn': spawn } };
}
