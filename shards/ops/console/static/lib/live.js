// The stream of server-sent events: one connection for the whole page, shared by all views.

import { useEffect, useState } from "./html.js";

const RETRY_SECONDS = [0.5, 1, 2, 4];
const HIDDEN_SECONDS = 60;
/** Incidents that are kept. */
const INCIDENTS = 50;

/**
 * @typedef {{state: "connecting" | "open" | "lost", refused: boolean, flow: any, sequence: number,
 *   generation: number, incidents: any[]}} Live
 *   `refused`: the service answers, but not with a stream; `flow`: the newest sample; `sequence`: the highest one of alarms; `incidents`: the last ones that
 *   came while the page was open
 */

/** @type {Live} */
let live = {
  state: "connecting",
  refused: false,
  flow: null,
  sequence: 0,
  generation: 0,
  incidents: [],
};
const listeners = new Set();
/** @type {EventSource | null} */
let source = null;
let failures = 0;
let retry = 0;
let hiding = 0;
/** Seconds that the clock of the service is ahead of that of this machine. */
let offset = 0;

/** The time of the service in seconds since the epoch. */
export const serviceTime = () => Date.now() / 1000 + offset;

/** @param {number} time of the service now */
export function setServiceTime(time) {
  offset = time - Date.now() / 1000;
}

/** @param {Partial<Live>} changes */
function update(changes) {
  live = { ...live, ...changes };
  listeners.forEach((listener) => listener(live));
}

/** Connect, and again after each loss; without effect if it is connected. */
export function connect() {
  if (source) return;
  source = new EventSource("/api/v1/events");
  source.onopen = () => {
    failures = 0;
    update({ state: "open", refused: false });
  };
  source.onerror = lose;
  listen("alarms", ({ sequence }) => update({ sequence }));
  listen("config", ({ generation }) => update({ generation }));
  listen("incident", (one) => update({ incidents: [...live.incidents, one].slice(-INCIDENTS) }));
  listen("flow", (flow) => {
    setServiceTime(flow.time);
    update({ flow, sequence: Math.max(live.sequence, flow.sequence), generation: flow.generation });
  });
}

/** @param {string} kind @param {(document: any) => void} take */
function listen(kind, take) {
  source?.addEventListener(kind, (event) => take(JSON.parse(event.data)));
}

/** End the connection. */
export function disconnect() {
  source?.close();
  source = null;
  clearTimeout(retry);
}

function lose() {
  disconnect();
  if (failures > 0 || live.state === "open") update({ state: "lost" });
  retry = setTimeout(connect, 1000 * RETRY_SECONDS[Math.min(failures++, 3)]);
  // A lost connection may be a login that has ended: this asks for the form if it is.
  fetch("/api/v1/session")
    .then((answer) => answer.json())
    .then((session) => {
      if (session.login === "needed") dispatchEvent(new Event("loginneeded"));
      update({ refused: true });
    })
    .catch(() => update({ refused: false }));
}

/** A page that nobody sees needs no stream. */
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(disconnect, 1000 * HIDDEN_SECONDS);
  else if (live.state !== "connecting") connect();
});

/**
 * What `select` takes of the live state; the component is drawn again when that changes.
 * @template T @param {(live: Live) => T} select @returns {T}
 */
export function useLive(select) {
  const [value, setValue] = useState(() => select(live));
  useEffect(() => {
    const listener = (now) => setValue(() => select(now));
    listeners.add(listener);
    listener(live);
    return () => void listeners.delete(listener);
  }, []);
  return value;
}
