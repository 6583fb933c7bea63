// Choose what computes: the graphics processor by WebGPU, or the processor by WebAssembly.

import { processed } from "./network.js";

const FOLDER = new URL("ort/", import.meta.url).href;
const MOST_THREADS = 8;

/** Start the fastest runtime whose results are right. */
export async function startRuntime(plan) {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    const emulated = adapter?.isFallbackAdapter ?? adapter?.info?.isFallbackAdapter;
    if (adapter && !emulated) return await startGraphics(plan);
  } catch {
    // WebAssembly runs everywhere.
  }
  return startProcessor();
}

/** Start WebAssembly. */
export async function startProcessor() {
  const ort = await prepared("ort.wasm.min.mjs");
  const threads = ort.env.wasm.numThreads;
  const device = threads > 1 ? `computed by ${threads} processor threads` : "computed by one processor thread";
  return runtimeOf(ort, "wasm", device);
}

/** Start WebGPU; an error if the graphics driver computes something else than the processor. */
async function startGraphics(plan) {
  const ort = await prepared("ort.webgpu.min.mjs");
  const graphics = runtimeOf(ort, "webgpu", "computed by the graphics processor");
  const results = [];
  for (const runtime of [graphics, runtimeOf(ort, "wasm", "")]) {
    results.push(await processed(plan, testPhoto(), runtime, () => {}));
  }
  const [found, expected] = results;
  if (expected.some((value, i) => Math.abs(value - found[i]) > 1)) {
    throw new Error("the graphics processor computes something else");
  }
  return graphics;
}

async function prepared(file) {
  const ort = await import(FOLDER + file);
  ort.env.wasm.wasmPaths = FOLDER;
  // Threads share memory, which browsers allow only with the headers of the service worker.
  const threads = Math.min(navigator.hardwareConcurrency, MOST_THREADS);
  ort.env.wasm.numThreads = self.crossOriginIsolated ? threads : 1;
  ort.env.logLevel = "error";
  return ort;
}

function runtimeOf(ort, provider, device) {
  const open = async (file) => {
    const session = await ort.InferenceSession.create(new URL(file, import.meta.url).href, {
      executionProviders: [provider],
    });
    const run = (inputs) => {
      const tensors = Object.entries(inputs).map(([name, { data, dims }]) => [
        name,
        new ort.Tensor("float32", data, dims),
      ]);
      return session.run(Object.fromEntries(tensors));
    };
    return { inputs: session.inputNames, run, close: () => session.release() };
  };
  return { provider, device, open };
}

/** A small photo with shading, edges and texture. */
function testPhoto() {
  const side = 96;
  const pixels = Uint8Array.from({ length: 3 * side * side }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % side, Math.floor(i / 3 / side)];
    const edge = x + 2 * y > 140 ? 60 : 0;
    return 40 + x + edge + 20 * Math.sin(x * y + i) + 10 * (i % 3);
  });
  const rows = (first, last) => pixels.subarray(3 * side * first, 3 * side * last);
  return { width: side, height: side, rows };
}
