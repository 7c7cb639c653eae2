// Says what happened: to screen readers in the live region, to everybody in a notice that goes away.

import { byId, h } from "./element.js";

const SHOWN_MS = 6_000;
const SETTLE_MS = 60;
/* A live region that has just been moved is only listened to a moment later. */

/** Read out by screen readers, not shown. */
export function announce(text) {
  const region = reachable("announcer");
  region.textContent = "";
  setTimeout(() => (region.textContent = text), SETTLE_MS);
}

/** A short notice at the foot of the page, also read out unless `isSilent`: something else says the same. */
export function notice(text, { isError = false, isSilent = false } = {}) {
  const region = reachable(isError ? "alerts" : "notices");
  const line = h("p", { class: isError ? "notice is-error" : "notice" }, text);
  setTimeout(() => region.replaceChildren(line), SETTLE_MS); // only the newest: a pile would hide the films
  setTimeout(() => line.remove(), isError ? SHOWN_MS * 2 : SHOWN_MS);
  if (!isError && !isSilent) announce(text);
}

/** Shows what went wrong, in words. Errors that are our own mistakes also reach the console. */
export function showError(error) {
  if (error?.name === "AbortError") return; // a newer question replaced this one
  if (error?.name === "ApiError" && error.status === 401) return; // the box office opens, and says so itself
  if (error?.name !== "ApiError") console.error(error);
  notice(error?.name === "ApiError" ? error.message : "Something on this page went wrong. Reloading may help.", {
    isError: true,
  });
}

/** While a dialog is open everything outside it is inert, live regions too: they move into it. */
function reachable(id) {
  const region = byId(id);
  const host = document.querySelector("dialog[open]") ?? document.body;
  if (region.parentElement !== host) host.append(region);
  return region;
}
