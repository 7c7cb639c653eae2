// Lets the films of a list travel from where they were to where they are now.

const EASE = "cubic-bezier(.2,.8,.2,1)";
const TRAVEL_MS = 650;
const NEAR_PX = 600;
/* Films further outside the window than this move unseen. */

const wantsStillness = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Where each element stands, for `travel` later. */
export function placesOf(elements) {
  return new Map([...elements].map((element) => [element, element.getBoundingClientRect()]));
}

/** Animates elements from their old places; those without one fade in. */
export function travel(elements, oldPlaces) {
  if (wantsStillness()) return;
  for (const [index, element] of [...elements].entries()) {
    const now = element.getBoundingClientRect();
    const before = oldPlaces.get(element);
    if (!isNear(now) && !(before && isNear(before))) continue;
    if (before) move(element, before, now);
    else appear(element, index);
  }
}

/** Lets a copy of a leaving element fade, or fly into `target`. The element itself may be removed at once. */
export function leave(element, place, target = null) {
  if (wantsStillness() || !isNear(place)) return;
  const ghost = element.cloneNode(true);
  for (const named of ghost.querySelectorAll("[id], [name]")) {
    named.removeAttribute("id"); // ids stay unique, and the copy's radios out of the original's group
    named.removeAttribute("name");
  }
  ghost.inert = true;
  ghost.setAttribute("aria-hidden", "true");
  ghost.classList.add("ghost");
  Object.assign(ghost.style, { left: `${place.left}px`, top: `${place.top}px`, width: `${place.width}px` });
  document.body.append(ghost);
  ghost.animate(departure(place, target), { duration: target ? 750 : 350, easing: EASE }).finished.then(() => ghost.remove());
}

function departure(place, target) {
  if (!target) return [{ opacity: 1 }, { opacity: 0, transform: "scale(.9)" }];
  const dx = target.left + 40 - (place.left + place.width / 2);
  const dy = target.top + target.height / 2 - (place.top + place.height / 2);
  return [{ opacity: 1 }, { opacity: 0.9, offset: 0.7 }, { opacity: 0, transform: `translate(${dx}px, ${dy}px) scale(.25)` }];
}

function move(element, before, now) {
  const dx = before.left - now.left;
  const dy = before.top - now.top;
  if (dx || dy) {
    element.animate([{ transform: `translate(${dx}px, ${dy}px)` }, { transform: "none" }], { duration: TRAVEL_MS, easing: EASE });
  }
}

function appear(element, index) {
  element.animate([{ opacity: 0, transform: "translateY(18px)" }, { opacity: 1, transform: "none" }], {
    duration: 450,
    delay: Math.min(index * 22, 400),
    easing: EASE,
    fill: "backwards",
  });
}

function isNear(place) {
  return place.bottom > -NEAR_PX && place.top < innerHeight + NEAR_PX;
}
