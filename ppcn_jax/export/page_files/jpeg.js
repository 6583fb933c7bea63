// Segments of JPEG files before the picture: EXIF, XMP and the color profile.

const [SOI, APP0, APP1, APP2, SOS] = [0xd8, 0xe0, 0xe1, 0xe2, 0xda];
const EXIF = "Exif\0\0";
const XMP = "http://ns.adobe.com/xap/1.0/\0";
const ICC = "ICC_PROFILE\0";
const MOST = 65_533; // bytes in a segment
// XMP that speaks of other pictures in the file, or of how the photo was stored.
const OF_THE_FILE = /Orientation|hdrgm|Container|GCamera|HasExtendedXMP/;

/** EXIF and XMP of a JPEG; null for other files. */
export function jpegMetadata(bytes) {
  if (bytes[0] !== 0xff || bytes[1] !== SOI) return null;
  const metadata = {};
  for (const { marker, content } of segments(bytes)) {
    if (marker !== APP1) continue;
    if (startsWith(content, EXIF)) metadata.exif ??= content.subarray(EXIF.length);
    if (startsWith(content, XMP)) {
      const packet = content.subarray(XMP.length);
      if (!OF_THE_FILE.test(new TextDecoder().decode(packet))) metadata.xmp ??= packet;
    }
  }
  return metadata;
}

/** Parts of a JPEG with metadata inserted; a profile that the encoder wrote is kept. */
export function withSegments(bytes, { exif, xmp, profile }) {
  const found = [...segments(bytes)];
  const header = found.find(({ marker }) => marker === APP0);
  const place = header ? header.end : 2;
  const tagged = found.some(({ marker, content }) => marker === APP2 && startsWith(content, ICC));
  const inserted = [];
  if (exif) inserted.push(segment(APP1, EXIF, exif));
  if (xmp) inserted.push(segment(APP1, XMP, xmp));
  if (!tagged) inserted.push(segment(APP2, `${ICC}\x01\x01`, profile));
  const fitting = inserted.filter((part) => part.length <= MOST + 4);
  return [bytes.subarray(0, place), ...fitting, bytes.subarray(place)];
}

function* segments(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = 2;
  while (view.getUint8(start) === 0xff) {
    const marker = view.getUint8(start + 1);
    if (marker === SOS) return;
    if (marker === 0xff) {
      start += 1; // padding
      continue;
    }
    const end = start + 2 + view.getUint16(start + 2);
    yield { marker, content: bytes.subarray(start + 4, end), end };
    start = end;
  }
}

function segment(marker, name, content) {
  const part = new Uint8Array(4 + name.length + content.length);
  new DataView(part.buffer).setUint32(0, (0xff00 + marker) * 65_536 + ((part.length - 2) & 0xffff));
  part.set(Uint8Array.from(name, (letter) => letter.charCodeAt(0)), 4);
  part.set(content, 4 + name.length);
  return part;
}

function startsWith(content, name) {
  return [...name].every((letter, i) => content[i] === letter.charCodeAt(0));
}
