// Builds DOM elements. Text goes in as text nodes only: nothing a title contains can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `on` maps event names to listeners; `null`, `undefined` and `false` leave an attribute out. */
export function h(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

/** An SVG element, hidden from screen readers: pictures here only repeat what is also said in words. */
export function svg(tag, attributes = {}, ...children) {
  const hidden = tag === "svg" ? { "aria-hidden": "true", focusable: "false" } : {};
  return furnish(document.createElementNS(SVG, tag), { ...hidden, ...attributes }, children);
}

/** Replaces all children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

/** The element with this id; a missing one is a mistake in index.html. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no element #${id}`);
  return element;
}

function furnish(element, { on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
