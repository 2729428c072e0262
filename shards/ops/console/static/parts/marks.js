// Small marks: risk, state, progress, sparkline.

import { html } from "../lib/html.js";
import { count } from "../lib/format.js";

export const RISKS = ["High", "Medium", "Low"];
const STATES = { open: "open", finished: "finished", timeout: "timed out" };

/** A risk as number and word, in its colour. @param {{risk?: number | null, name: string}} props */
export function Risk({ risk = null, name }) {
  const kind = RISKS.includes(name) ? name.toLowerCase() : "none";
  return html`<span class="risk risk-${kind}">${risk != null && html`<b>${risk}</b> `}${name}</span>`;
}

/** The state of an alarm in a word. @param {{state: string}} props */
export const State = ({ state }) =>
  html`<span class="state state-${state in STATES ? state : "open"}">${STATES[state] ?? state}</span>`;

/**
 * How many stages of how many are finished, as dots and numbers.
 * @param {{done: number, all: number, state?: string}} props
 */
export function Stages({ done, all, state = "open" }) {
  const dots = Array.from({ length: Math.min(all, 10) }, (_, n) => stageDot(n, done, state));
  return html`<span class="stages" title="${done} of ${all} stages finished">
    <span class="dots" aria-hidden="true">${dots.map((kind) => html`<i class=${kind}></i>`)}</span>
    <span class="num">${done}/${all}</span></span>`;
}

function stageDot(number, done, state) {
  if (number < done) return "done";
  return number === done ? ({ open: "now", timeout: "late" }[state] ?? "") : "";
}

/** A part of a whole, as a bar and as numbers. @param {{value: number, of: number}} props */
export function Progress({ value, of }) {
  return html`<span class="progress"><${Bar} share=${of ? value / of : 0} />
    <span class="num">${count(value)} of ${count(of)}</span></span>`;
}

/** A bar from 0 to 1. @param {{share: number, kind?: string}} props */
export function Bar({ share, kind = "" }) {
  const width = `${100 * Math.max(0, Math.min(1, share || 0))}%`;
  return html`<span class="bar ${kind}" aria-hidden="true"><span style=${{ width }}></span></span>`;
}

/**
 * A row of bars, the last one is now.
 * @param {{values: number[], label: string}} props `label`: what they are, for people who cannot see them
 */
export function Spark({ values, label }) {
  const most = Math.max(1, ...values);
  const bar = (value, n) => {
    const height = value ? Math.max(2, (18 * value) / most) : 1;
    return html`<rect x=${4 * n} y=${18 - height} width="3" height=${height}
      class=${value ? "" : "empty"} />`;
  };
  return html`<svg class="spark" role="img" aria-label=${label} viewBox="0 0 ${4 * values.length} 18"
    width=${4 * values.length} height="18"><title>${label}</title>${values.map(bar)}</svg>`;
}

/** Numbers of alarms by risk, as a bar of three parts. */
export function RiskSplit({ counts }) {
  const total = Math.max(
    1,
    RISKS.reduce((sum, name) => sum + counts[name], 0),
  );
  return html`<span class="split" aria-hidden="true">${RISKS.map(
    (name) =>
      html`<span class="fill-${name.toLowerCase()}" style=${{ width: `${(100 * counts[name]) / total}%` }}></span>`,
  )}</span>`;
}
