// A thread of a module: a worker on the same memory.
import { imports } from './wasi.js';

onmessage = async ({ data: { module, memory, thread, startArgument } }) => {
  const instance = await WebAssembly.instantiate(module, imports({ memory }, () => -1));
  instance.exports.wasi_thread_start(thread, startArgument);
};
