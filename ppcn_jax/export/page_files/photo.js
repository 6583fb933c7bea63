// Open a photo: upright, in sRGB, 8 bits, as the browser decodes it.

const SMALLEST_SIDE = 16;
// Pixels of the result: the photo, the result and the canvas have to fit into memory together.
const MOST_PIXELS = 64e6;
const ROWS = 256;

/** An error whose message is a sentence for the page. */
export function problem(message) {
  return Object.assign(new Error(message), { isForPeople: true });
}

/**
 * Open a file.
 *
 * Returns `bitmap` and `photo`: its width, height and `rows(first, last)`, a Uint8Array of RGB.
 */
export async function openPhoto(file, { scale }) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw problem(`This browser cannot open ${file.name}. Try a JPEG, PNG or WebP file.`);
  }
  const { width, height } = bitmap;
  check(file, width, height, scale);
  const pixels = readPixels(file, bitmap);
  const rows = (first, last) => pixels.subarray(3 * width * first, 3 * width * last);
  return { bitmap, photo: { width, height, rows } };
}

function check(file, width, height, scale) {
  const size = `${width} × ${height} px`;
  if (Math.min(width, height) < SMALLEST_SIDE) {
    throw problem(`${file.name} has ${size}; sides must have at least ${SMALLEST_SIDE} px.`);
  }
  if (width * height * scale ** 2 > MOST_PIXELS) {
    const result = scale > 1 ? ` would become ${scale * width} × ${scale * height} px` : ` has ${size}`;
    throw problem(
      `${file.name}${result}. This page is limited to ${MOST_PIXELS / 1e6} megapixels; ` +
        "the command ppcn-jax has no such limit.",
    );
  }
}

/** RGB of a bitmap; read in bands, so that no complete RGBA copy exists. */
function readPixels(file, bitmap) {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, Math.min(ROWS, height));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.globalCompositeOperation = "copy";
  const pixels = new Uint8Array(3 * width * height);
  let to = 0;
  for (let top = 0; top < height; top += ROWS) {
    const count = Math.min(ROWS, height - top);
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    const { data } = context.getImageData(0, 0, width, count);
    for (let from = 0; from < data.length; from += 4) {
      if (data[from + 3] !== 255) {
        throw problem(`${file.name} has transparency, which this page does not keep.`);
      }
      pixels[to++] = data[from];
      pixels[to++] = data[from + 1];
      pixels[to++] = data[from + 2];
    }
  }
  return pixels;
}
