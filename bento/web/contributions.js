// "Why this?": how much each source adds to a film's score, as bars and in words.

import { h } from "./element.js";
import { SOURCES, listed, sourceLabel } from "./words.js";

const PEOPLE_NAMED = 3;

/** Bars for one film. They share a zero line: to the right speaks for the film, to the left against it. */
export function contributionBars(contributions) {
  const entries = inOrder(contributions);
  const highest = Math.max(0, ...entries.map(([, value]) => value));
  const lowest = Math.min(0, ...entries.map(([, value]) => value));
  const span = highest - lowest || 1;
  const bars = h("ul", { class: "bars", role: "list" }, entries.map(([source, value]) => bar(source, value)));
  bars.style.setProperty("--zero", `${(-lowest / span) * 100}%`);
  for (const [index, [, value]] of entries.entries()) {
    bars.children[index].style.setProperty("--size", `${(Math.abs(value) / span) * 100}%`);
  }
  return bars;
}

/** The reasons in one or two sentences; empty when there is nothing to say. */
export function reasonsInWords(reasons) {
  if (!reasons) return "";
  if (reasons.text) return reasons.text;
  const { shared_genres: genres = [], shared_people: people = [] } = reasons;
  const because = (reasons.because ?? []).map((film) => film.title);
  const sentences = [];
  if (because.length) sentences.push(`Because you watched ${listed(because)}.`);
  if (because.length && genres.length) sentences.push(`It shares ${listed(genres)} with ${because.length > 1 ? "them" : "it"}.`);
  if (people.length) sentences.push(`You have seen ${listed(people.slice(0, PEOPLE_NAMED))} before.`);
  return sentences.join(" ");
}

function bar(source, value) {
  return h(
    "li",
    { class: value < 0 ? "bar against" : "bar", title: SOURCES[source]?.why },
    h("span", { class: "bar-label" }, sourceLabel(source)),
    h("span", { class: "bar-track" }, h("span", { class: "bar-fill" })),
    h("span", { class: "bar-value" }, signed(value)),
  );
}

function inOrder(contributions) {
  const known = Object.keys(SOURCES).filter((source) => source in contributions);
  const others = Object.keys(contributions).filter((source) => !(source in SOURCES));
  return [...known, ...others].map((source) => [source, contributions[source]]);
}

function signed(value) {
  const digits = Math.abs(value).toFixed(2);
  return Number(digits) === 0 ? "0" : `${value < 0 ? "−" : "+"}${digits}`;
}
