// The few drawings of the page, on a 24 × 24 grid.

import { svg } from "./element.js";

const PATHS = {
  star: "M12 2.6l2.9 6.1 6.6.9-4.8 4.7 1.2 6.7L12 17.8 6.1 21l1.2-6.7L2.5 9.6l6.6-.9z",
  cross: "M6 6l12 12M18 6L6 18",
  bars: "M5 20V10M12 20V4M19 20v-7",
  dice: "M4 8l8-4 8 4v8l-8 4-8-4zM4 8l8 4 8-4M12 12v8",
  search: "M10.5 4a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM15.5 15.5L21 21",
  back: "M15 5l-7 7 7 7",
};

/** A drawing by name; "star" is filled, the others are lines. */
export function icon(name) {
  return svg("svg", { class: `icon icon-${name}`, viewBox: "0 0 24 24" }, svg("path", { d: PATHS[name] }));
}
