// Chunks of PNG files: EXIF, XMP, and that the colors are sRGB.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const XMP = "XML:com.adobe.xmp";
const COLORS = ["iCCP", "sRGB", "cICP"];

/** EXIF of a PNG; null for other files. */
export function pngMetadata(bytes) {
  if (!SIGNATURE.every((value, i) => bytes[i] === value)) return null;
  const found = [...chunks(bytes)].find(({ name }) => name === "eXIf");
  return { exif: found?.content };
}

/** Parts of a PNG with metadata inserted after its header; colors that it states are kept. */
export function withChunks(bytes, { exif, xmp }) {
  const found = [...chunks(bytes)];
  const inserted = [];
  if (!found.some(({ name }) => COLORS.includes(name))) inserted.push(chunk("sRGB", Uint8Array.of(0)));
  if (exif) inserted.push(chunk("eXIf", exif));
  if (xmp) {
    const head = Uint8Array.from(`${XMP}\0\0\0\0\0`, (letter) => letter.charCodeAt(0));
    const text = new Uint8Array(head.length + xmp.length);
    text.set(head);
    text.set(xmp, head.length);
    inserted.push(chunk("iTXt", text));
  }
  const place = found[0].end;
  return [bytes.subarray(0, place), ...inserted, bytes.subarray(place)];
}

function* chunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = SIGNATURE.length;
  while (start < bytes.length) {
    const size = view.getUint32(start);
    const name = String.fromCharCode(...bytes.subarray(start + 4, start + 8));
    const end = start + 12 + size;
    yield { name, content: bytes.subarray(start + 8, end - 4), end };
    start = end;
  }
}

function chunk(name, content) {
  const part = new Uint8Array(12 + content.length);
  const view = new DataView(part.buffer);
  view.setUint32(0, content.length);
  part.set(Uint8Array.from(name, (letter) => letter.charCodeAt(0)), 4);
  part.set(content, 8);
  view.setUint32(8 + content.length, checksum(part.subarray(4, 8 + content.length)));
  return part;
}

/** CRC-32 of the PNG specification. */
function checksum(bytes) {
  let sum = 0xffffffff;
  for (const value of bytes) {
    sum ^= value;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}
