// The blends one may choose: the release's own, its presets, another order, one source alone, or a mix of one's own.

import { h } from "./element.js";
import { SOURCES, sourceLabel } from "./words.js";

/**
 * @typedef {{id: string, label: string, group: string, asked: object, weights: Record<string, number>}} Blend
 * `asked` is what it adds to a request, `weights` what that means per source.
 */

const SCORERS = { dot: "Without the re-ranker", mlp: "With the re-ranker" };

const PRESET_PARTS = { embeddings: "Embeddings", svd: "SVD", item_cf: "Item-to-item", content: "Content" };

/** All blends that this release offers. */
export function blendsOf(config) {
  const { presets = [], preset_weights: presetWeights = {}, fusion_weights: weights, scorers = [], scorer } = config;
  return [
    { id: "release", label: "The release’s own", group: "", asked: {}, weights },
    ...presets.map((name) => ({
      id: name,
      label: presetLabel(name),
      group: "Presets",
      asked: { preset: name },
      weights: presetWeights[name] ?? {},
    })),
    { id: "varied", label: "More varied", group: "Another order", asked: { diversity: 0.5 }, weights },
    { id: "recent", label: "More recent", group: "Another order", asked: { freshness: 0.6 }, weights },
    ...scorers
      .filter((name) => name !== scorer)
      .map((name) => ({
        id: `scorer-${name}`,
        label: SCORERS[name] ?? name,
        group: "Another order",
        asked: { scorer: name },
        weights,
      })),
    ...Object.keys(SOURCES).map((name) => ({
      id: `only-${name}`,
      label: sourceLabel(name),
      group: "One source alone",
      asked: { weights: { [name]: 1 } },
      weights: { [name]: 1 },
    })),
  ];
}

/** A blend of one's own. weights: {source: 0 to 1}. */
export const ownMix = (weights) => ({ id: "mix", label: "My own mix", group: "", asked: { weights }, weights });

/** Fills a <select> with blends, in their groups. */
export function fillBlends(select, blends, chosenId) {
  const groups = Map.groupBy(blends, (blend) => blend.group);
  select.replaceChildren(
    ...[...groups].flatMap(([group, members]) => {
      const options = members.map((blend) => h("option", { value: blend.id, selected: blend.id === chosenId }, blend.label));
      return group ? [h("optgroup", { label: group }, options)] : options;
    }),
  );
}

/** "svd_item_cf_content_60_25_15" → "SVD 60 · Item-to-item 25 · Content 15"; other names lose their underscores. */
function presetLabel(name) {
  const shares = name.match(/(?:_\d+)+$/)?.[0].slice(1).split("_") ?? [];
  const parts = Object.keys(PRESET_PARTS).filter((part) => name.includes(part));
  if (parts.length === 0 || parts.length !== shares.length) return name.replaceAll("_", " ");
  return parts.map((part, index) => `${PRESET_PARTS[part]} ${shares[index]}`).join(" · ");
}
