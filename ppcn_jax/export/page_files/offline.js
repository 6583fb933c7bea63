// Keep the page for use without a connection.

/**
 * Install the service worker; returns what to say about it.
 *
 * Its answers have headers that allow WebAssembly to use several threads, so the page is loaded a
 * second time after the first visit, unless `busy()`.
 */
export async function prepareOffline(busy) {
  if (!navigator.serviceWorker) return "";
  try {
    await navigator.serviceWorker.register("service_worker.js");
  } catch {
    return ""; // private windows refuse it
  }
  await navigator.serviceWorker.ready;
  if (!crossOriginIsolated && !sessionStorage.getItem("loaded twice") && !busy()) {
    sessionStorage.setItem("loaded twice", "yes");
    location.reload();
  }
  return "The page also works offline now.";
}
