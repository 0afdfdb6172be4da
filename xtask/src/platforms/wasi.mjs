// Runs a WASI program with node: `node wasi.mjs PROGRAM.wasm ARGUMENTS..`, in the current folder and with the
// environment. A trap is one line and the exit status 134.
import { readFile } from "node:fs/promises";
import { argv, cwd, env, exit } from "node:process";
import { WASI } from "node:wasi";

const [program, ...rest] = argv.slice(2);
const wasi = new WASI({ version: "preview1", args: [program, ...rest], env, preopens: { "/": "/", ".": cwd() } });
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
let status;
try {
  status = wasi.start(instance);
} catch (error) {
  console.error(`${program}: ${error}`);
  status = 134;
}
exit(status);
