// Make the EXIF data of a photo fit its result.

const [ORIENTATION, WIDTH, HEIGHT, EXIF] = [0x0112, 0x0100, 0x0101, 0x8769];
const [COLOR_SPACE, PIXEL_WIDTH, PIXEL_HEIGHT] = [0xa001, 0xa002, 0xa003];
const [THUMBNAIL, THUMBNAIL_BYTES] = [0x0201, 0x0202];
const [SHORT, LONG] = [3, 4];

/**
 * A copy of a block of EXIF for an upright sRGB picture of this size, without a thumbnail.
 *
 * Returns null if the block is damaged.
 */
export function updated(block, width, height) {
  const copy = block.slice();
  try {
    update(copy, width, height);
    return copy;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function update(bytes, width, height) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const order = view.getUint16(0);
  if (order !== 0x4949 && order !== 0x4d4d) throw new RangeError("no EXIF");
  const little = order === 0x4949;
  const main = directory(view, view.getUint32(4, little), little);
  main.set({ [ORIENTATION]: 1, [WIDTH]: width, [HEIGHT]: height });
  if (EXIF in main.entries) {
    const camera = directory(view, main.get(EXIF), little);
    camera.set({ [COLOR_SPACE]: 1, [PIXEL_WIDTH]: width, [PIXEL_HEIGHT]: height });
  }
  const second = view.getUint32(main.end, little);
  if (!second) return;
  // The thumbnail shows the photo before it was processed.
  const thumbnail = directory(view, second, little);
  if (THUMBNAIL in thumbnail.entries && THUMBNAIL_BYTES in thumbnail.entries) {
    const start = thumbnail.get(THUMBNAIL);
    bytes.fill(0, start, start + thumbnail.get(THUMBNAIL_BYTES));
  }
  view.setUint32(main.end, 0, little);
}

/** A directory of a block: `entries` by tag, and `end`, where the place of the next one stands. */
function directory(view, start, little) {
  const count = view.getUint16(start, little);
  const entries = {};
  for (let index = 0; index < count; index++) {
    const at = start + 2 + 12 * index;
    const [tag, type] = [view.getUint16(at, little), view.getUint16(at + 2, little)];
    entries[tag] = { type, at: at + 8 };
  }
  const get = (tag) => {
    const { type, at } = entries[tag];
    return type === SHORT ? view.getUint16(at, little) : view.getUint32(at, little);
  };
  const set = (values) => {
    for (const [tag, value] of Object.entries(values)) {
      const entry = entries[tag];
      if (entry?.type === SHORT) view.setUint16(entry.at, value, little);
      if (entry?.type === LONG) view.setUint32(entry.at, value, little);
    }
  };
  return { entries, get, set, end: start + 2 + 12 * count };
}
