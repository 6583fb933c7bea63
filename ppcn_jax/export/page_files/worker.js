// Process a photo beside the page, which stays usable.

import { drawResult, isNeutral, toBitmap } from "./canvas.js";
import { enlarged } from "./enlarge.js";
import { processed } from "./network.js";
import { openPhoto } from "./photo.js";
import { startProcessor, startRuntime } from "./runtime.js";
import { encoded } from "./save.js";

// What is kept of the photo until it is saved.
let work = null;

const receive = {
  async open({ file, plan }) {
    const report = (stage, share = null) => postMessage({ kind: "progress", stage, share });
    const { photo, bitmap } = await openPhoto(file, plan);
    const larger = plan.scale > 1;
    if (larger) bitmap.close();
    const source = larger ? enlarged(photo, plan.scale) : photo;
    report("Loading the network…");
    let runtime = await startRuntime(plan);
    let stage = "Processing…";
    const bands = (share) => report(stage, share);
    let pixels;
    try {
      pixels = await processed(plan, source, runtime, bands);
    } catch (error) {
      if (runtime.provider !== "webgpu") throw error;
      stage = "Processing without the graphics processor…"; // its driver may have given up
      report(stage);
      runtime = await startProcessor();
      pixels = await processed(plan, source, runtime, bands);
    }
    report("Showing the result…");
    const result = { width: source.width, height: source.height, pixels };
    work = { file, source, result, neutral: isNeutral(photo) };
    const before = await toBitmap(larger ? drawResult(work, 0) : bitmap);
    const after = await toBitmap(drawResult(work, 1));
    const { width, height } = source;
    const message = { kind: "done", before, after, width, height, device: runtime.device };
    postMessage(message, [before, after]);
  },
  async save({ type, strength }) {
    const blob = await encoded(drawResult(work, strength), type, work.file);
    postMessage({ kind: "saved", blob, type });
  },
};

self.onmessage = async ({ data }) => {
  try {
    await receive[data.kind](data);
  } catch (error) {
    const keep = data.kind === "save";
    const what = keep ? "The file could not be written" : "The photo could not be processed";
    const text = error.isForPeople ? error.message : `${what}: ${error.message ?? error}`;
    postMessage({ kind: "problem", text, keep });
  }
};
