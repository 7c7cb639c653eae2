// What somebody did when the server no longer knew them: kept over the reload that signing in brings, in this tab only.

const KEY = "marquee.pending";
const MOST = 50;

/** Keeps an action until somebody has signed in: {userId, film, event, words}. Returns whether a reload will find it. */
export function keepPending(action) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...stored(), action].slice(-MOST)));
    return true;
  } catch {
    return false; // storage is switched off in this browser
  }
}

/** A person's kept actions, oldest first; none are kept any longer, other people's neither. */
export function takePending(userId) {
  try {
    const actions = stored();
    sessionStorage.removeItem(KEY);
    return actions.filter((action) => action.userId === userId);
  } catch {
    return []; // storage is switched off, or holds something else
  }
}

const stored = () => JSON.parse(sessionStorage.getItem(KEY)) ?? [];
