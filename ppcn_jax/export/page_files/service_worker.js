// Answer from a copy of the page, with the headers that WebAssembly needs for several threads.

/* global VERSION, FILES, ON_DEMAND */
importScripts("files.js");

const SCOPE = self.registration.scope;
const CACHE = `${SCOPE} ${VERSION}`;
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  // No file of the page can ask another host for anything.
  "Content-Security-Policy":
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob:",
};

self.addEventListener("install", (event) => {
  const requests = FILES.map((file) => new Request(file, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)));
});

self.addEventListener("activate", (event) => {
  const clean = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith(`${SCOPE} `));
    await Promise.all(old.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(SCOPE)) event.respondWith(answer(event.request));
});

async function answer(request) {
  const cache = await caches.open(CACHE);
  const name = request.url.slice(SCOPE.length).replace(/[?#].*$/, "") || "index.html";
  let response = await cache.match(new URL(name, SCOPE));
  if (!response) {
    response = await fetch(request);
    if (response.ok && ON_DEMAND.includes(name)) await cache.put(request, response.clone());
  }
  const { status, statusText } = response;
  const headers = new Headers(response.headers);
  for (const [header, value] of Object.entries(HEADERS)) headers.set(header, value);
  const body = [204, 304].includes(status) ? null : response.body;
  return new Response(body, { status, statusText, headers });
}
