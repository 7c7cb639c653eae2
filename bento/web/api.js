// Talks to the service. Every failure becomes an ApiError whose message can be shown to people as it is.

import { keepSignedIn, signedIn } from "./signed_in.js";

const TIMEOUT_MS = 15_000;
const RETRY_AFTER_MS = 400;
const SIGN_IN = "/auth/login";

/** What every path begins with: the service may live behind a prefix, and this file lies in `static` below it. */
const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** An answer that is not the one asked for. `status` is 0 when there was no answer at all. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "unreachable", detail = {} } = {}) {
    super(message);
    this.name = "ApiError";
    Object.assign(this, { status, code, detail });
  }
}

/** GET with query parameters; empty ones are left out. */
export function get(path, parameters = {}, { signal } = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  return ask("GET", query ? `${path}?${query}` : path, { route: path, signal });
}

/** POST a JSON body. */
export function post(path, body, { signal } = {}) {
  return ask("POST", path, { body: JSON.stringify(body), type: "application/json", signal });
}

/** POST a form, as browsers do. */
export function postForm(path, fields) {
  return ask("POST", path, { body: new URLSearchParams(fields).toString(), type: "application/x-www-form-urlencoded" });
}

/** POST that may be repeated: when no answer comes it is sent once more under the same key and still counts once. */
export async function postOnce(path, body) {
  const options = { body: JSON.stringify(body), type: "application/json", headers: { "Idempotency-Key": randomId() } };
  try {
    return await ask("POST", path, options);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 0) throw error;
    await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER_MS));
    return ask("POST", path, options);
  }
}

/** DELETE a path. */
export function remove(path) {
  return ask("DELETE", path, {});
}

/** 16 random hexadecimal digits (crypto.randomUUID is absent on plain-http hosts). */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function ask(method, url, { route = url, body, type, headers = {}, signal }) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const sent = { Accept: "application/json", ...headers };
  if (type) sent["Content-Type"] = type;
  const token = signedIn()?.token;
  if (token) sent.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(ROOT + url, { method, body, headers: sent, signal: signal ? AbortSignal.any([signal, limit]) : limit });
  } catch (error) {
    if (signal?.aborted) throw error; // asked for by the page itself: a newer question replaced this one
    if (limit.aborted) throw new ApiError(`The server did not answer within ${TIMEOUT_MS / 1000} seconds.`);
    throw new ApiError("The server cannot be reached. Is it still running?");
  }
  const answer = await response.json().catch(() => null);
  if (signal?.aborted) throw signal.reason;
  if (response.ok && answer !== null) return answer;
  if (response.status === 401 && route !== SIGN_IN) forgetSignIn(token);
  throw failure(response, answer, route);
}

function failure(response, answer, route) {
  const { code = "unknown", message = "", detail = {} } = answer?.error ?? {};
  const said = { status: response.status, code, detail };
  if (code === "unknown_route") {
    noteMissing(route);
    return new ApiError("This server does not offer that.", said);
  }
  if (response.status === 401) return new ApiError("This server requires you to sign in.", said);
  if (response.status === 429) return new ApiError("That was too many requests at once. Please wait a moment.", said);
  const words = message || `The server answered ${response.status} ${response.statusText}`.trim();
  return new ApiError(sentence(words), said);
}

/** Asks who is there. An answer to a question that an older token was sent with says nothing about the present one. */
function forgetSignIn(token) {
  if (token !== signedIn()?.token) return;
  keepSignedIn(null);
  document.dispatchEvent(new CustomEvent("marquee:sign-in", { detail: { hasEnded: token !== undefined } }));
}

const OPTIONAL = ["/events", "/people", "/recommend/filtered", "/search", "/similar", "/users"];

/** A route this server does not have: what needs it (`data-needs`) disappears, by a rule of base.css. */
function noteMissing(route) {
  const missing = OPTIONAL.filter((known) => route === known || route.startsWith(`${known}/`));
  const { dataset } = document.documentElement;
  dataset.missing = [...new Set([...(dataset.missing ?? "").split(" "), ...missing])].join(" ").trim();
}

function sentence(text) {
  const capital = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
