// A text in a PNG file, as web interfaces and `yuragi info` read it.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function check(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

/** The file with a UTF-8 text (an `iTXt` chunk) after its header. */
export function withText(png, keyword, text) {
  const body = new TextEncoder().encode(`iTXt${keyword}\0\0\0\0\0${text}`);
  const chunk = new Uint8Array(body.length + 8);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, body.length - 4);
  chunk.set(body, 4);
  view.setUint32(body.length + 4, check(body));
  const header = 8 + 25;
  const file = new Uint8Array(png.length + chunk.length);
  file.set(png.subarray(0, header));
  file.set(chunk, header);
  file.set(png.subarray(header), header + chunk.length);
  return file;
}
