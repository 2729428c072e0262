// The place in the page: it is the hash of the URL, so that each alarm, directive and filter has a
// link, and the back button works.

import { useEffect, useState } from "./html.js";

/**
 * @typedef {{view: string, id: string, params: Record<string, string>}} Place
 *   `#/alarms/<id>?text=ssh` is the view `alarms` with an id, and its parameters.
 */

export const VIEWS = ["alarms", "backlogs", "directives", "flow", "config"];

/** @param {string} hash @returns {Place} */
export function parsePlace(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view, id = ""] = path.split("/");
  return {
    view: VIEWS.includes(view) ? view : VIEWS[0],
    id: decode(id),
    params: Object.fromEntries(new URLSearchParams(query)),
  };
}

/**
 * The link to a place; parameters that are empty are left out.
 * @param {string} view @param {string} [id] @param {Record<string, any>} [params]
 */
export function link(view, id = "", params = {}) {
  const set = Object.entries(params).filter(([, value]) => value !== "" && value != null);
  const query = set.length ? `?${new URLSearchParams(Object.fromEntries(set))}` : "";
  return `#/${view}${id ? `/${encodeURIComponent(id)}` : ""}${query}`;
}

/**
 * Go to a link; `replace`: without a step for the back button.
 * @param {string} to @param {{replace?: boolean}} [options]
 */
export function go(to, { replace = false } = {}) {
  if (to === location.hash) return;
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  dispatchEvent(new Event("placechange"));
}

/** The place now; the component is drawn again when it changes. @returns {Place} */
export function usePlace() {
  const [place, setPlace] = useState(() => parsePlace(location.hash));
  useEffect(() => {
    const update = () => setPlace(parsePlace(location.hash));
    const kinds = ["placechange", "popstate", "hashchange"];
    kinds.forEach((kind) => addEventListener(kind, update));
    return () => kinds.forEach((kind) => removeEventListener(kind, update));
  }, []);
  return place;
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
