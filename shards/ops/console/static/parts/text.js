// Texts, addresses and times as they are shown everywhere.

import { html, useState } from "../lib/html.js";
import { clock, dateTime, duration, nearTime, utc } from "../lib/format.js";
import { serviceTime } from "../lib/live.js";
import { visible, visibleParts } from "../lib/visible.js";

const LONG = 2000;

/**
 * A text of an event or a configuration: cut, with hidden characters made visible, and isolated, so
 * that its direction does not disturb what stands beside it.
 * @param {{value: unknown, most?: number, expand?: boolean, lines?: boolean}} props `most`:
 *   characters that are shown; `expand`: with a button for the rest; `lines`: keep line ends
 */
export function Text({ value, most = 300, expand = false, lines = false }) {
  const [limit, setLimit] = useState(most);
  const text = String(value ?? "");
  const shown = text.length > limit ? cut(text, limit) : text;
  return html`<bdi class="text">${visibleParts(shown, lines).map((part) =>
    typeof part === "string" ? part : html`<span class="sign">${part.sign}</span>`,
  )}${shown.length < text.length && !expand && "…"}</bdi>${
    shown.length < text.length &&
    expand &&
    html` <button type="button" class="link" onClick=${() => setLimit(limit + 20 * LONG)}>
      … ${(text.length - shown.length).toLocaleString("en")} more characters</button>`
  }`;
}

/** The first characters, without half of a surrogate pair at the end. */
function cut(text, limit) {
  const end = /[\ud800-\udbff]/.test(text[limit - 1]) ? limit - 1 : limit;
  return text.slice(0, end);
}

/** A short form of a text for tooltips. @param {unknown} value */
export const tip = (value) => visible(String(value ?? "").slice(0, 300));

/**
 * A moment in the viewer's zone, with UTC on hover.
 * @param {{at: number | null, form?: "near" | "clock" | "full"}} props
 */
export function Time({ at, form = "near" }) {
  if (at == null) return html`<span class="muted">–</span>`;
  const text = { near: nearTime, clock, full: dateTime }[form](at);
  return html`<time class="num" datetime=${utc(at)} title="${utc(at)} (UTC)">${text}</time>`;
}

/** How long ago a moment was. @param {{at: number | null}} props */
export function Age({ at }) {
  if (at == null) return html`<span class="muted">–</span>`;
  const seconds = serviceTime() - at;
  return html`<time class="num" datetime=${utc(at)} title="${dateTime(at)} · ${utc(at)} (UTC)">${duration(
    seconds,
  )}</time>`;
}

/** An address, with the name of its asset before it. @param {{address: {ip: string, name: string}}} props */
export function Address({ address }) {
  return html`<span class="address" title=${tip(`${address.name} ${address.ip}`)}>${
    address.name && html`<span class="name"><${Text} value=${address.name} most=${60} /></span> `
  }<span
      class="mono ${address.name ? "muted" : ""}"><${Text} value=${address.ip} most=${60} /></span></span>`;
}

/** The first address of a side, and how many more there are. */
export function Side({ addresses, total }) {
  if (!addresses.length) return html`<span class="muted">–</span>`;
  return html`<${Address} address=${addresses[0]} />${
    total > 1 && html` <span class="more">+${(total - 1).toLocaleString("en")}</span>`
  }`;
}

/** A value as JSON for people to read: at most so many characters. */
export function Json({ value, most = 200_000 }) {
  return html`<pre class="json" tabindex="0"><${Text} value=${JSON.stringify(value, null, 2)} most=${most}
    expand=${true} lines=${true} /></pre>`;
}
