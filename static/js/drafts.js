// What is typed and not stored yet, kept in this browser: by person, text, field and tab. It is there again
// after a closed tab, a signed-out session or a server that was away.
import { fresh } from "./swap.js";

const ALL = "hq-draft:";
// A tab that is there touches its drafts more often.
const LEFT = 90_000;
const TOO_OLD = 30 * 86_400_000;

function mine() {
  let tab;
  try {
    tab = sessionStorage.getItem("hq-tab") ?? fresh().slice(0, 8);
    sessionStorage.setItem("hq-tab", tab);
  } catch {
    // Without storage nothing is kept.
  }
  return tab;
}
const tab = mine();
const key = (text, field) => `${ALL}${text}:${field}:${tab}`;

/** Keeps what a field holds; says whether that was possible. */
export function keep(text, field, draft) {
  try {
    localStorage.setItem(key(text, field), JSON.stringify({ ...draft, at: Date.now() }));
    return true;
  } catch {
    return false;
  }
}

export function forget(name) {
  try {
    localStorage.removeItem(name);
  } catch {
    // There is nothing then.
  }
}

export const drop = (text, field) => forget(key(text, field));

/** The forms that this tab has sent with the page before: they have arrived, or wait to be sent once more. */
export function settle(arrived) {
  try {
    for (const name of Object.keys(localStorage).filter((one) => one.startsWith(ALL) && one.endsWith(`:${tab}`))) {
      const { underway, ...draft } = JSON.parse(localStorage.getItem(name));
      if (underway && arrived) forget(name);
      else if (underway) localStorage.setItem(name, JSON.stringify({ ...draft, left: true }));
    }
  } catch {
    // Nothing can be read.
  }
}

/** The drafts of a text that no other open tab is still writing, last first. */
export function left(text) {
  const found = [];
  try {
    for (const name of Object.keys(localStorage).filter((one) => one.startsWith(ALL))) {
      const draft = JSON.parse(localStorage.getItem(name));
      if (draft.at < Date.now() - TOO_OLD) forget(name);
      else if (name.startsWith(`${ALL}${text}:`)) {
        const [field, by] = name.split(":").slice(-2);
        if (by === tab || draft.left || draft.at < Date.now() - LEFT) found.push({ ...draft, field, name });
      }
    }
  } catch {
    // Nothing can be read.
  }
  return found.sort((a, b) => b.at - a.at);
}
