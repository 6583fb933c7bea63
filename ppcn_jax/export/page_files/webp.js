// Chunks of WebP files: EXIF.

/** EXIF of a WebP file; null for other files. */
export function webpMetadata(bytes) {
  const text = (start) => String.fromCharCode(...bytes.subarray(start, start + 4));
  if (text(0) !== "RIFF" || text(8) !== "WEBP") return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 12; start + 8 <= bytes.length; ) {
    const size = view.getUint32(start + 4, true);
    if (text(start) === "EXIF") {
      const content = bytes.subarray(start + 8, start + 8 + size);
      // Some programs write the header of JPEG's segment before it.
      return { exif: String.fromCharCode(...content.subarray(0, 4)) === "Exif" ? content.subarray(6) : content };
    }
    start += 8 + size + (size % 2);
  }
  return {};
}
