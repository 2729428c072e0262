// Keyboard shortcuts. They can be turned off, since single characters disturb some input methods.

import { useEffect, useRef } from "./html.js";
import { recall, store } from "./storage.js";

/** All of them, for the help: keys and what they do. */
export const SHORTCUTS = [
  ["j or ↓, k or ↑", "next or previous row"],
  ["Enter", "open the row"],
  ["Esc", "close what is open; leave a field"],
  ["/", "search"],
  ["n, p", "next page, previous page"],
  ["1 to 5", "Alarms, Backlogs, Directives, Flow, Config"],
  ["?", "this help"],
];

export const shortcutsOn = () => recall("shortcuts") !== "off";
/** @param {boolean} on */
export const setShortcuts = (on) => store("shortcuts", on ? "on" : "off");

/**
 * Act on keys while the component is there. Esc works within fields too, others do not.
 * @param {Record<string, (event: KeyboardEvent) => void>} actions by `event.key`
 */
export function useKeys(actions) {
  const now = useRef(actions);
  now.current = actions;
  useEffect(() => {
    const press = (/** @type {KeyboardEvent} */ event) => {
      const act = now.current[event.key];
      if (!act || event.defaultPrevented || !isShortcut(event)) return;
      act(event);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

/** @param {KeyboardEvent} event */
function isShortcut(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (document.querySelector("dialog[open]")) return false;
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.closest("input, textarea, select")) return event.key === "Escape";
  return event.key === "Escape" || shortcutsOn();
}
