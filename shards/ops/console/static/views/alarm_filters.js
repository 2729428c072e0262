// The filters of alarms; they are parameters of the place, so that a link has them.

import { html, useState } from "../lib/html.js";
import { count, dateTime, shortClock } from "../lib/format.js";
import { serviceTime } from "../lib/live.js";
import { go, link } from "../lib/router.js";
import { Choice, Field, Unfold } from "../parts/controls.js";
import { RISKS } from "../parts/marks.js";

/** Time ranges that end now, in seconds. */
const RANGES = { "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400 };
const NAMES = [
  "text",
  "risk",
  "state",
  "directive",
  "address",
  "source",
  "since",
  "until",
  "range",
];

/** The filter for requests. A range begins so many seconds ago, on a minute, so that it is the same for a while. */
export function filterOf(params) {
  const filter = Object.fromEntries(
    NAMES.filter((name) => name !== "range").map((name) => [name, params[name] ?? ""]),
  );
  if (params.address && !isNetwork(params.address)) filter.address = "";
  if (params.directive && !isIds(params.directive)) filter.directive = "";
  const seconds = RANGES[params.range];
  if (seconds) filter.since = Math.floor((serviceTime() - seconds) / 60) * 60;
  return filter;
}

const DAY = 86400;
const SHORTEST = 900;

/**
 * The span of time that a filter shows, for the timeline; without a choice of time the last day, or
 * what there is of it.
 * @param {Record<string, string>} params @param {number} [begin] of the history
 */
export function spanOf(params, begin = 0) {
  const until = Number(params.until) || serviceTime();
  if (params.since || params.range)
    return { since: Number(params.since) || until - (RANGES[params.range] ?? DAY), until };
  return { since: Math.min(until - SHORTEST, Math.max(until - DAY, begin)), until };
}

export const hasFilter = (params) => NAMES.some((name) => params[name]);

const isIds = (text) => /^\d+(\s*,\s*\d+)*$/.test(text);
const isNetwork = (text) => /^[\da-f.:]*[.:][\da-f.:]*(\/\d{1,3})?$/i.test(text);

/** @param {{params: Record<string, string>, risks: Record<string, number> | null | undefined}} props */
export function AlarmFilters({ params, risks }) {
  const set = (changes) =>
    go(link("alarms", "", { ...params, before: "", ...changes }), { replace: "text" in changes });
  const address = params.address ?? "";
  const directive = params.directive ?? "";
  const [open, setOpen] = useState(false);
  return html`<form class="filters ${open ? "open" : ""}" role="search" onSubmit=${(event) => event.preventDefault()}>
    <${Field} name="text" label="Search alarms" placeholder="Search titles, addresses, names  ( / )" size="wide"
      value=${params.text ?? ""} onChange=${(text) => set({ text })} />
    <${RiskToggles} chosen=${params.risk ?? ""} risks=${risks} onChange=${(risk) => set({ risk })} />
    <${Unfold} open=${open} setOpen=${setOpen} />
    <${Field} label="Address or network" placeholder="Address or CIDR" size="second" value=${address}
      invalid=${address && !isNetwork(address) ? "An IP address or a network, such as 10.20.0.0/16" : ""}
      onChange=${(text) => set({ address: text })} />
    <${Field} label="Directive id" placeholder="Directive" size="narrow second" value=${directive}
      invalid=${directive && !isIds(directive) ? "Ids, such as 1001,1002" : ""}
      onChange=${(text) => set({ directive: text })} />
    <${Choice} label="State" value=${params.state ?? ""} onChange=${(state) => set({ state })}
      choices=${[
        ["", "any"],
        ["open", "open"],
        ["finished", "finished"],
        ["timeout", "timed out"],
      ]} />
    <${Choice} label="Time" value=${params.since ? "custom" : (params.range ?? "")} choices=${ranges(params)}
      onChange=${(range) => range !== "custom" && set({ range, since: "", until: "" })} />
    <${Choice} label="Group" value=${params.group ?? ""} onChange=${(group) => set({ group })}
      choices=${[
        ["", "no"],
        ["directive", "by directive"],
        ["source", "by source"],
      ]} />
    ${
      params.source &&
      html`<a class="chip" href=${link("alarms", "", { ...params, source: "", before: "" })}
      title="Remove this filter">source ${params.source} ✕</a>`
    }
    ${hasFilter(params) && html`<a class="clear" href=${link("alarms", "", { group: params.group })}>Clear</a>`}
  </form>`;
}

/** @param {Record<string, string>} params */
function ranges({ since, until }) {
  const fixed = [
    ["", "all"],
    ["15m", "15 minutes"],
    ["1h", "1 hour"],
    ["6h", "6 hours"],
    ["24h", "24 hours"],
  ];
  if (!since) return fixed;
  const end = until ? shortClock(Number(until)) : "now";
  return [
    [
      "custom",
      `${dateTime(Number(since))
        .replace(/ \d{4}, /, " ")
        .slice(0, -3)} – ${end}`,
    ],
    ...fixed,
  ];
}

/** Any of the classes; none chosen is all. */
function RiskToggles({ chosen, risks, onChange }) {
  const now = chosen ? chosen.split(",") : [];
  const toggle = (name) => {
    const next = now.includes(name) ? now.filter((one) => one !== name) : [...now, name];
    onChange(
      next.length === RISKS.length ? "" : RISKS.filter((one) => next.includes(one)).join(","),
    );
  };
  return html`<span class="toggles" role="group" aria-label="Risk">${RISKS.map(
    (name) => html`
    <button type="button" class="risk-toggle risk-${name.toLowerCase()}" aria-pressed=${now.includes(name)}
      onClick=${() => toggle(name)}>${name}${
        risks &&
        html` <span class="num">${count(risks[name])}${risks[name] >= 10000 ? "+" : ""}</span>`
      }</button>`,
  )}</span>`;
}
