// Bicubic enlargement with the arithmetic of Pillow, on which the network was trained.

// Weights are integers with this many bits after the point.
const BITS = 22;

/**
 * A photo, enlarged row by row when rows are asked for.
 *
 * Columns first, then rows, each rounded to 8 bits.
 */
export function enlarged(photo, scale) {
  const [width, height] = [scale * photo.width, scale * photo.height];
  const [across, down] = [weightsOf(photo.width, scale), weightsOf(photo.height, scale)];
  function rows(first, last) {
    const top = down[first].start;
    const bottom = down[last - 1].start + down[last - 1].weights.length;
    const wide = new Uint8ClampedArray(3 * width * (bottom - top));
    const narrow = photo.rows(top, bottom);
    for (let y = 0; y < bottom - top; y++) {
      const line = narrow.subarray(3 * photo.width * y, 3 * photo.width * (y + 1));
      const into = wide.subarray(3 * width * y, 3 * width * (y + 1));
      for (let x = 0; x < width; x++) mix(line, across[x], 3, 3 * across[x].start, into, 3 * x, 3);
    }
    const result = new Uint8ClampedArray(3 * width * (last - first));
    for (let y = first; y < last; y++) {
      const into = result.subarray(3 * width * (y - first), 3 * width * (y - first + 1));
      mix(wide, down[y], 3 * width, 3 * width * (down[y].start - top), into, 0, 3 * width);
    }
    return result;
  }
  return { width, height, rows };
}

/** Weighted sums of `count` neighboring values; those to be added lie `step` values apart. */
function mix(values, { weights }, step, start, into, to, count) {
  for (let i = 0; i < count; i++) {
    let sum = 1 << (BITS - 1);
    for (let k = 0; k < weights.length; k++) sum += values[start + i + k * step] * weights[k];
    into[to + i] = sum >> BITS; // clamped by the array
  }
}

/** For each position of the result: the first value that it depends on, and integer weights. */
function weightsOf(length, scale) {
  return Array.from({ length: scale * length }, (_, index) => {
    const center = (index + 0.5) / scale;
    const start = Math.max(Math.trunc(center - 2 + 0.5), 0);
    const end = Math.min(Math.trunc(center + 2 + 0.5), length);
    const shares = [];
    for (let i = start; i < end; i++) shares.push(cubic(i - center + 0.5));
    const total = shares.reduce((sum, share) => sum + share, 0);
    const weights = shares.map((share) => roundAwayFromZero((share / total) * 2 ** BITS));
    return { start, weights: Int32Array.from(weights) };
  });
}

function cubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

function roundAwayFromZero(x) {
  return Math.trunc(x < 0 ? x - 0.5 : x + 0.5);
}
