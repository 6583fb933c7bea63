// Write the result as a file, with what the photo's file says about the photo.

import { updated } from "./exif.js";
import { jpegMetadata, withSegments } from "./jpeg.js";
import { pngMetadata, withChunks } from "./png.js";
import { webpMetadata } from "./webp.js";

const QUALITY = 0.95;

/** The content of a file of the type "image/jpeg" or "image/png", as a Blob. */
export async function encoded(canvas, type, file) {
  const blob = await canvas.convertToBlob({ type, quality: QUALITY });
  if (blob.type !== type) throw new Error(`this browser does not write ${type}`);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const metadata = readMetadata(new Uint8Array(await file.arrayBuffer()));
  const exif = metadata.exif && updated(metadata.exif, canvas.width, canvas.height);
  const profile = new Uint8Array(await (await fetch(new URL("srgb.icc", import.meta.url))).arrayBuffer());
  const insert = type === "image/png" ? withChunks : withSegments;
  return new Blob(insert(bytes, { exif, xmp: metadata.xmp, profile }), { type });
}

/** EXIF and XMP of a photo's file, as far as it has them and they are readable. */
function readMetadata(bytes) {
  for (const read of [jpegMetadata, pngMetadata, webpMetadata]) {
    try {
      const metadata = read(bytes);
      if (metadata) return metadata;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // a damaged file ends early
    }
  }
  return {};
}
