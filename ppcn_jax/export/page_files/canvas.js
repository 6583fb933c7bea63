// Draw the result: blended with the photo by the strength, gray if the photo is gray.

const ROWS = 256;
// Pictures on the page have at most this many pixels.
const MOST_SHOWN = 16e6;

/** Check that the three channels of all pixels are equal. */
export function isNeutral({ rows, height }) {
  for (let top = 0; top < height; top += ROWS) {
    const pixels = rows(top, Math.min(top + ROWS, height));
    for (let i = 0; i < pixels.length; i += 3) {
      if (pixels[i] !== pixels[i + 1] || pixels[i] !== pixels[i + 2]) return false;
    }
  }
  return true;
}

/** Draw `strength` of the result over the rest of the photo, as an OffscreenCanvas. */
export function drawResult({ source, result, neutral }, strength) {
  const { width, height } = source;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) throw new Error("the browser has no memory for a picture of this size");
  for (let top = 0; top < height; top += ROWS) {
    const count = Math.min(ROWS, height - top);
    const before = source.rows(top, top + count);
    const after = result.pixels.subarray(3 * width * top, 3 * width * (top + count));
    const image = new ImageData(width, count);
    blend(before, after, strength, image.data);
    if (neutral) toLuma(image.data);
    context.putImageData(image, 0, top);
  }
  return canvas;
}

/** Pictures for the page; those that are larger than screens are shrunk. */
export async function toBitmap(picture) {
  const { width, height } = picture;
  const factor = Math.sqrt(MOST_SHOWN / (width * height));
  if (factor >= 1) return picture.transferToImageBitmap?.() ?? picture;
  const resizeWidth = Math.round(factor * width);
  const resizeHeight = Math.round(factor * height);
  const options = { resizeWidth, resizeHeight, resizeQuality: "high" };
  const small = await createImageBitmap(picture, options);
  picture.close?.();
  return small;
}

function blend(before, after, strength, data) {
  let from = 0;
  for (let to = 0; to < data.length; to += 4) {
    for (let c = 0; c < 3; c++, from++) {
      data[to + c] = before[from] * (1 - strength) + after[from] * strength;
    }
    data[to + 3] = 255;
  }
}

/** The luma of ITU-R BT.601 in all three channels. */
function toLuma(data) {
  for (let i = 0; i < data.length; i += 4) {
    const luma = Math.floor((299 * data[i] + 587 * data[i + 1] + 114 * data[i + 2] + 500) / 1000);
    data[i] = data[i + 1] = data[i + 2] = luma;
  }
}
