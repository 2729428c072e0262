// The list of alarms, kept up to date: what has changed is asked for with the same filters, so that
// only the service decides what matches.

import { useEffect, useRef, useState } from "../lib/html.js";
import { request, useResource } from "../lib/api.js";
import { useThrottled } from "../lib/hooks.js";
import { useLive } from "../lib/live.js";

/** Milliseconds between two requests: the service announces new alarms twice a second. */
const INTERVAL = 400;
const FRESH = 2500;

/**
 * @param {Record<string, any>} filter @param {string} before cursor of the page, "" is the first
 * @param {number} limit rows that are held @param {boolean} hold changes wait, and are counted
 * @returns {{resource: any, fresh: Set<string>, waiting: number}}
 *   `fresh`: ids that have just appeared or changed; `waiting`: number of those held back
 */
export function useLiveAlarms(filter, before, limit, hold) {
  const resource = useResource("alarms", { ...filter, before, limit }, { keep: true });
  const sequence = useThrottled(
    useLive((live) => live.sequence),
    INTERVAL,
  );
  const [fresh, setFresh] = useState(new Set());
  /** The newest answer about changes; it is merged once nothing holds it back. */
  const [held, setHeld] = useState(null);
  const busy = useRef(false);
  const [turn, setTurn] = useState(0);
  const { data } = resource;
  const key = JSON.stringify([filter, before]);

  const latest = useRef(key);
  latest.current = key;

  useEffect(() => setHeld(null), [key]);

  useEffect(() => {
    const known = Math.max(data?.sequence ?? 0, held?.sequence ?? 0);
    if (!data || before || resource.former || resource.loading || busy.current || sequence <= known)
      return;
    busy.current = true;
    // An alarm may no longer match by its state or risk: then only the whole page tells.
    const whole = Boolean(filter.state || filter.risk);
    request("alarms", { params: { ...filter, limit, after: whole ? "" : data.sequence } })
      .then(
        (answer) => latest.current === key && setHeld({ ...answer, whole }),
        () => {},
      )
      .finally(() => {
        busy.current = false;
        setTurn((n) => n + 1);
      });
  }, [sequence, key, resource.former, resource.loading, turn]);

  const changed = held && data ? held.alarms.filter((alarm) => alarm.sequence > data.sequence) : [];

  useEffect(() => {
    if (!held || hold || !data) return;
    setFresh(new Set(changed.map((alarm) => alarm.id)));
    resource.change((old) => (held.whole ? held : merge(old, held, limit)));
    setHeld(null);
  }, [held, hold]);

  useEffect(() => {
    if (!fresh.size) return undefined;
    const timer = setTimeout(() => setFresh(new Set()), FRESH);
    return () => clearTimeout(timer);
  }, [fresh]);

  return { resource, fresh, waiting: changed.length };
}

/** The list with what has changed on top of it, and no more rows than before. */
export function merge(old, changed, limit) {
  const ids = new Set(changed.alarms.map((alarm) => alarm.id));
  const all = [...changed.alarms, ...old.alarms.filter((alarm) => !ids.has(alarm.id))];
  const alarms = all.slice(0, limit);
  const cut = all.length > limit || changed.next !== null;
  const next = cut ? String(alarms[alarms.length - 1].sequence) : old.next;
  return { ...changed, alarms, next };
}
