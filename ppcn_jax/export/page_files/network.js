// Run a network on a photo in bands, exactly: one pass for each statistic, and one for the result.

import { bandsOf, continuedRows } from "./bands.js";

/**
 * Process a photo.
 *
 * `report(share)` is called with the share that is done, after each band. Returns RGB values of 8
 * bits, rounded to the nearest.
 */
export async function processed(plan, source, runtime, report) {
  const known = {};
  const files = [...plan.passes, plan.result];
  const work = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  for (const pass of plan.passes) {
    const moments = new Moments(plan.border, source.height);
    const share = (part) => report((before + part * pass.bytes) / work);
    await inBands(plan, source, runtime, pass.file, known, share, (band, outputs) => {
      moments.add(band, outputs.row_mean, outputs.row_variance);
    });
    before += pass.bytes;
    Object.assign(known, moments.as(pass.statistic));
  }
  const pixels = new Uint8ClampedArray(3 * source.width * source.height);
  const share = (part) => report((before + part * plan.result.bytes) / work);
  await inBands(plan, source, runtime, plan.result.file, known, share, (band, { result }) => {
    keepInside(plan.border, source, band, result.data, pixels);
  });
  return pixels;
}

async function inBands(plan, source, runtime, file, known, report, use) {
  const [width, height] = [source.width + 2 * plan.border, source.height + 2 * plan.border];
  const session = await runtime.open(file);
  const bands = bandsOf(plan, width, height);
  for (const [index, band] of bands.entries()) {
    const values = continuedRows(source, plan.border, band.top, band.bottom);
    const inputs = { images: { data: values, dims: [1, band.bottom - band.top, width, 3] } };
    for (const name of session.inputs.filter((name) => name in known)) {
      inputs[name] = { data: known[name], dims: [known[name].length] };
    }
    use(band, await session.run(inputs));
    report((index + 1) / bands.length);
  }
  await session.close();
}

/** Mean and variance of an image, from those of its rows. */
class Moments {
  constructor(border, height) {
    Object.assign(this, { border, height, means: [], variances: [] });
  }

  add({ first, last, top }, mean, variance) {
    const channels = mean.dims[1];
    for (let row = first; row < last; row++) {
      if (row < this.border || row >= this.height + this.border) continue;
      const [start, end] = [(row - top) * channels, (row - top + 1) * channels];
      this.means.push(mean.data.slice(start, end));
      this.variances.push(variance.data.slice(start, end));
    }
  }

  /** Inputs of the graphs, by name. Sums are in float64. */
  as(statistic) {
    const channels = this.means[0].length;
    const [mean, variance] = [new Float32Array(channels), new Float32Array(channels)];
    const average = (rows, value) => rows.reduce((sum, row) => sum + value(row), 0) / rows.length;
    for (let c = 0; c < channels; c++) {
      const center = average(this.means, (row) => row[c]);
      mean[c] = center;
      variance[c] =
        average(this.variances, (row) => row[c]) +
        average(this.means, (row) => (row[c] - center) ** 2);
    }
    return { [`${statistic}/mean`]: mean, [`${statistic}/variance`]: variance };
  }
}

/** Copy a band's result into the photo's, without what was added around it. */
function keepInside(border, { width, height }, { first, last, top }, values, pixels) {
  const stride = 3 * (width + 2 * border);
  for (let row = Math.max(first, border); row < Math.min(last, height + border); row++) {
    const start = (row - top) * stride + 3 * border;
    const to = 3 * width * (row - border);
    for (let i = 0; i < 3 * width; i++) {
      pixels[to + i] = Math.fround(255 * values[start + i]); // the array rounds, ties to even
    }
  }
}
