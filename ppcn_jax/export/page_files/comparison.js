// The photo before and after, with a line between them that is dragged or moved by the keyboard.

const element = (id) => document.getElementById(id);

/** Show two ImageBitmaps of one size, which the page takes over. */
export function showComparison(before, after, labels, name) {
  const pictures = document.querySelector(".pictures");
  for (const [id, bitmap, label] of [["before", before, labels[0]], ["after", after, labels[1]]]) {
    const canvas = element(id);
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
    canvas.setAttribute("aria-label", `${name}, ${label}`);
  }
  pictures.querySelector(".left").textContent = labels[0];
  pictures.querySelector(".right").textContent = labels[1];
  element("line-label").textContent = `Line between ${labels[0]} and ${labels[1]}`;
  element("comparison").dataset.size = "fit";
  element("line").value = 50;
  pictures.style.setProperty("--cut", "50%");
  pictures.style.setProperty("--strength", 1);
  element("strength-value").textContent = "100 %";
}

/** Follow the line, the strength and the size, from now on. */
export function watchComparison() {
  const pictures = document.querySelector(".pictures");
  const cut = () => pictures.style.setProperty("--cut", `${element("line").value}%`);
  element("line").addEventListener("input", cut);
  // Opacity mixes the pictures as the strength does.
  element("strength").addEventListener("input", ({ target }) => {
    pictures.style.setProperty("--strength", target.value / 100);
    element("strength-value").textContent = `${target.value} %`;
  });
  element("actual").addEventListener("change", ({ target }) => {
    element("comparison").dataset.size = target.checked ? "actual" : "fit";
  });
  const drag = (event) => {
    const fits = element("comparison").dataset.size === "fit";
    if (!fits || (event.type === "pointermove" && !event.buttons)) return;
    const { left, width } = pictures.getBoundingClientRect();
    element("line").value = (100 * (event.clientX - left)) / width;
    cut();
  };
  pictures.addEventListener("pointerdown", drag);
  pictures.addEventListener("pointermove", drag);
}
