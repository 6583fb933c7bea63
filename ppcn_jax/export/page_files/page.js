// What the page shows, and what happens when someone uses it.

import { showComparison, watchComparison } from "./comparison.js";
import { prepareOffline } from "./offline.js";

const TEXTS = {
  enhance: {
    title: "Enhance a photo",
    purpose: "Better light, color and contrast.",
    suffix: "_enhanced",
    labels: ["before", "after"],
  },
  enlarge: {
    title: "Enlarge a photo",
    suffix: "_large",
    labels: ["bicubic", "enlarged"],
  },
};
const element = (id) => document.getElementById(id);
const plan = await (await fetch("page.json")).json();
const texts = TEXTS[plan.use];
let worker = null;
let file = null;
let started = 0;

function describe() {
  document.title = element("title").textContent = texts.title;
  const larger = `${plan.scale} times as wide and high, and sharp.`;
  element("purpose").textContent = texts.purpose ?? larger;
  element("network").textContent = `Network: ${plan.network.replaceAll("_", " ")} (${plan.license}).`;
  element("strength-row").hidden = plan.use !== "enhance";
}

function say(text) {
  element("status").textContent = text;
}

function fail(text) {
  stop();
  element("problem").textContent = text;
  element("problem").hidden = false;
}

// A worker that is ended takes all its memory with it, whatever it was doing.
function stop() {
  worker?.terminate();
  worker = null;
  element("work").hidden = true;
}

function start(chosen) {
  stop();
  file = chosen;
  started = performance.now();
  element("problem").hidden = element("outcome").hidden = true;
  element("work").hidden = false;
  element("progress").removeAttribute("value");
  element("stage").textContent = "Opening the photo…";
  say("");
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }) => receive[data.kind](data);
  worker.onerror = (event) => fail(`The page has stopped working: ${event.message ?? "a file is missing"}`);
  worker.postMessage({ kind: "open", file, plan });
}

const receive = {
  progress({ share, stage }) {
    if (share === null) element("progress").removeAttribute("value");
    else element("progress").value = share;
    element("stage").textContent = share ? `${stage} ${Math.round(100 * share)} %` : stage;
  },
  done({ before, after, width, height, device }) {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    element("work").hidden = true;
    element("outcome").hidden = false;
    element("strength").value = 100;
    element("actual").checked = false;
    element("type").value = file.type === "image/png" ? "image/png" : "image/jpeg";
    element("save").disabled = false;
    showComparison(before, after, texts.labels, file.name);
    say(`${file.name}: ${width} × ${height} px in ${seconds} s, ${device}.`);
  },
  saved({ blob, type }) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    const suffix = type === "image/png" ? ".png" : ".jpg";
    link.download = file.name.replace(/\.[^.]*$/, "") + texts.suffix + suffix;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    element("save").disabled = false;
    say(`${link.download}: ${(blob.size / 1e6).toFixed(1)} MB.`);
  },
  problem({ text, keep }) {
    if (!keep) return fail(text);
    element("save").disabled = false;
    say(text);
  },
};

function take(files) {
  if (files.length) start(files[0]);
}

element("file").addEventListener("change", (event) => {
  take([...event.target.files]);
  event.target.value = ""; // the same photo can be chosen again
});
// A photo that misses the box would otherwise replace the page.
addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").classList.add("over");
});
addEventListener("dragleave", () => element("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
element("cancel").addEventListener("click", () => {
  stop();
  say("Canceled.");
  element("file").focus();
});
element("save").addEventListener("click", () => {
  element("save").disabled = true;
  say("Writing the file…");
  const strength = element("strength").value / 100;
  worker.postMessage({ kind: "save", type: element("type").value, strength });
});

describe();
watchComparison();
element("offline").textContent = await prepareOffline(() => worker !== null);
