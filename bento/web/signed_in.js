// Who signed in, where the server asks: kept as long as the tab is open, so that a reload does not ask again.

const KEY = "marquee.signed-in";

let known = stored();

/** {token, userId, role}, or null when nobody signed in. */
export function signedIn() {
  return known;
}

/** The one person that whoever signed in may ask for; null when they may ask for anybody. */
export function onlyPerson() {
  return known?.role === "user" ? known.userId : null;
}

/** Sends this answer of /auth/login's token from now on; null stops that. Returns whether a reload will know it. */
export function keepSignedIn(answer) {
  known = answer && { token: answer.access_token, userId: answer.user_id, role: answer.role };
  try {
    if (known) sessionStorage.setItem(KEY, JSON.stringify(known));
    else sessionStorage.removeItem(KEY);
    return true;
  } catch {
    return false; // storage is switched off in this browser
  }
}

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null; // storage is switched off, or holds something else
  }
}
