// A film's poster, or a drawn card with its title where there is none.

import { h } from "./element.js";

const SCENES = ["rays", "moon", "stripes", "rings"];

/** The picture of a film. It says nothing to screen readers: whoever places it names the film. */
export function poster(film) {
  const frame = h("span", { class: "poster-art" });
  if (!film.poster_url) {
    frame.append(drawn(film));
    return frame;
  }
  const image = h("img", { src: film.poster_url, alt: "", width: 200, height: 300, loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => frame.replaceChildren(drawn(film)), { once: true });
  frame.append(image);
  return frame;
}

function drawn(film) {
  const card = h(
    "span",
    { class: "poster-drawn", "aria-hidden": "true" },
    h("span", { class: "poster-drawn-title" }, film.title),
    " ",
    h("span", { class: "poster-drawn-year" }, film.year ?? ""),
  );
  const dice = [...film.title].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7);
  card.style.setProperty("--hue", String(dice % 360));
  card.style.setProperty("--across", `${18 + ((dice >> 3) % 65)}%`);
  card.dataset.scene = SCENES[(dice >> 2) % SCENES.length];
  return card;
}
