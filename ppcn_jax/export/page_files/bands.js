// Cut a photo into bands of rows, each with the rows around it that its result depends on.

// Pixels of a band with its surroundings. A network's largest layer takes 128 bytes for each.
const PIXELS = 3 * 2 ** 17;
const LEVELS = Float32Array.from({ length: 256 }, (_, level) => level / 255);

/** All bands of an image of this size, which is the photo's with `plan.border` on each side. */
export function bandsOf(plan, width, height) {
  const { alignment } = plan;
  const around = Math.ceil(plan.reach / alignment) * alignment;
  const rows = Math.max(Math.floor(PIXELS / width) - 2 * around, 2 * around, alignment);
  // As equal as possible, in multiples of the alignment.
  const count = Math.ceil(height / rows);
  const band = Math.ceil(height / count / alignment) * alignment;
  const bands = [];
  for (let first = 0; first < height; first += band) {
    const last = Math.min(first + band, height);
    const [top, bottom] = [Math.max(first - around, 0), Math.min(last + around, height)];
    bands.push({ first, last, top, bottom });
  }
  return bands;
}

/** Rows `top` to `bottom` of a photo that is continued by reflection: float32 RGB in [0, 1]. */
export function continuedRows(source, border, top, bottom) {
  const lines = indices(top - border, bottom - border, source.height);
  const columns = indices(-border, source.width + border, source.width);
  const first = lines.reduce((a, b) => Math.min(a, b));
  const last = lines.reduce((a, b) => Math.max(a, b)) + 1;
  const pixels = source.rows(first, last);
  const values = new Float32Array(3 * lines.length * columns.length);
  let to = 0;
  for (const line of lines) {
    const start = 3 * source.width * (line - first);
    for (const column of columns) {
      const from = start + 3 * column;
      values[to++] = LEVELS[pixels[from]];
      values[to++] = LEVELS[pixels[from + 1]];
      values[to++] = LEVELS[pixels[from + 2]];
    }
  }
  return values;
}

function indices(first, last, length) {
  return Int32Array.from({ length: last - first }, (_, offset) => {
    const index = Math.abs(first + offset);
    return Math.min(index, 2 * (length - 1) - index);
  });
}
