// Who is watching and how the programme is to be made; kept in the address, so that a link shows the same page.

import { randomId } from "./api.js";
import { onlyPerson } from "./signed_in.js";

const OWN_KEY = "marquee.own-id";
export const PAGE_SIZE = 25;
const LONGEST_LIST = 100;

/**
 * The state of the page. Changes are told as events: "person", "programme" (ask again), "sort" (only reorder) and
 * "taste" (the person did something; the programme has been asked again already).
 */
export class Session extends EventTarget {
  userId = null;
  isOwn = false;
  /** @type {import("./blends.js").Blend | null} */
  blend = null;
  filters = {};
  sort = "match";
  topK = PAGE_SIZE;

  constructor() {
    super();
    this.ownId = onlyPerson() ?? storedOwnId();
  }

  /** What the address asks for. */
  static wished() {
    const query = new URLSearchParams(location.search);
    return { person: query.get("person"), blend: query.get("blend"), isOwn: query.has("own") || onlyPerson() !== null };
  }

  watch(userId) {
    this.#become(userId, false);
  }

  watchOwn() {
    this.#become(this.ownId, true);
  }

  /** A new, empty taste; the old one's id is given up. */
  restartOwn() {
    this.ownId = keepOwnId(newOwnId());
    this.watchOwn();
  }

  mix(blend) {
    this.blend = blend;
    this.#ask();
  }

  filter(filters) {
    this.filters = filters;
    this.topK = PAGE_SIZE;
    this.#ask();
  }

  order(sort) {
    this.sort = sort;
    this.dispatchEvent(new Event("sort"));
  }

  more() {
    this.topK = Math.min(this.topK + PAGE_SIZE, LONGEST_LIST);
    this.#ask();
  }

  get mayGrow() {
    return this.topK < LONGEST_LIST;
  }

  /** How the person is called on the page. */
  get personName() {
    return this.isOwn ? "You" : `Person ${this.userId}`;
  }

  #become(userId, isOwn) {
    Object.assign(this, { userId, isOwn, topK: PAGE_SIZE });
    this.#remember();
    this.dispatchEvent(new Event("person"));
  }

  #ask() {
    this.#remember();
    this.dispatchEvent(new Event("programme"));
  }

  #remember() {
    const query = new URLSearchParams(this.isOwn ? { own: "" } : { person: this.userId });
    if (this.blend && this.blend.id !== "release") query.set("blend", this.blend.id);
    history.replaceState(null, "", `?${query}`);
  }
}

const newOwnId = () => `visitor-${randomId()}`;

function storedOwnId() {
  try {
    return localStorage.getItem(OWN_KEY) ?? keepOwnId(newOwnId());
  } catch {
    return newOwnId(); // storage is switched off in this browser: the taste lasts as long as the page
  }
}

function keepOwnId(id) {
  try {
    localStorage.setItem(OWN_KEY, id);
  } catch {
    return id; // as above
  }
  return id;
}
