// Alarms over time as bars; a drag over them, or a click on one, selects that time.

import { html, useRef, useState } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { counted, dateTime, nearTime, shortClock } from "../lib/format.js";
import { useThrottled } from "../lib/hooks.js";
import { useLive } from "../lib/live.js";
import { go, link } from "../lib/router.js";
import { RISKS } from "../parts/marks.js";
import { filterOf, spanOf } from "./alarm_filters.js";

const PARTS = 96;
const HEIGHT = 44;
/** Milliseconds after which new alarms are counted in. */
const INTERVAL = 5000;

/** @param {{params: Record<string, string>, begin?: number}} props `begin` of the history, if it is known */
export function AlarmTimeline({ params, begin }) {
  const turn = useThrottled(
    useLive((live) => live.sequence),
    INTERVAL,
  );
  const { before, group, ...filters } = params;
  const { data } = useTimeline(filters, begin, turn);
  const [drag, setDrag] = useState(null);
  const box = useRef(null);
  if (!data) return html`<div class="timeline" aria-hidden="true"></div>`;
  const partAt = (event) => {
    const { left, width } = box.current.getBoundingClientRect();
    return Math.max(0, Math.min(PARTS - 1, Math.floor((PARTS * (event.clientX - left)) / width)));
  };
  const start = (event) => {
    box.current.setPointerCapture(event.pointerId);
    setDrag([partAt(event), partAt(event)]);
  };
  const end = () => {
    if (!drag) return;
    const [first, last] = drag[0] <= drag[1] ? drag : [drag[1], drag[0]];
    const since = Math.floor(data.since + first * data.step);
    const until = Math.ceil(data.since + (last + 1) * data.step);
    setDrag(null);
    if (until - since >= 2)
      go(link("alarms", "", { ...params, before: "", range: "", since, until }));
  };
  return html`<div class="timeline">
    <svg ref=${box} role="img" aria-label=${describe(data)} viewBox="0 0 ${PARTS * 4} ${HEIGHT}" preserveAspectRatio="none"
      onPointerDown=${start} onPointerMove=${(event) => drag && setDrag([drag[0], partAt(event)])} onPointerUp=${end}
      onPointerCancel=${() => setDrag(null)}>
      <${Bars} data=${data} />${drag && html`<${Selection} drag=${drag} />`}
    </svg>
    <div class="axis muted num" aria-hidden="true">${[0, 0.25, 0.5, 0.75, 1].map(
      (share) => html`<span>${axisTime(data, share)}</span>`,
    )}</div>
  </div>`;
}

/** The numbers in the span of the filter. */
function useTimeline(filters, begin, turn) {
  const { since, until } = spanOf(filters, begin);
  // Whole minutes, so that the request is the same until something has changed.
  const span = filters.since ? { since, until } : { since: round(since), until: round(until) + 60 };
  return useResource(
    begin == null ? null : "alarm-timeline",
    { ...filterOf(filters), ...span, parts: PARTS },
    { again: turn },
  );
}

const round = (time) => Math.floor(time / 60) * 60;

function axisTime(data, share) {
  const at = data.since + share * PARTS * data.step;
  return nearTime(at).replace(/^\d+:.*/, shortClock(at));
}

function describe(data) {
  const totals = RISKS.map((name) => `${data[name].reduce((sum, n) => sum + n, 0)} ${name}`);
  return `Alarms from ${dateTime(data.since)} on: ${totals.join(", ")}`;
}

function Bars({ data }) {
  const totals = data.High.map((high, n) => high + data.Medium[n] + data.Low[n]);
  const most = Math.max(1, ...totals);
  return totals.map((total, n) => {
    if (!total) return null;
    let top = HEIGHT;
    const from = data.since + n * data.step;
    const parts = [...RISKS].reverse().map((name) => {
      const height = Math.max(data[name][n] ? 1.5 : 0, ((HEIGHT - 2) * data[name][n]) / most);
      top -= height;
      return (
        height > 0 &&
        html`<rect class="fill-${name.toLowerCase()}" x=${4 * n + 0.5} y=${top} width="3" height=${height} />`
      );
    });
    return html`<g>${parts}<rect class="hover" x=${4 * n} y="0" width="4" height=${HEIGHT}><title>${nearTime(
      from,
    )} – ${shortClock(from + data.step)}: ${counted(total, "alarm")}</title></rect></g>`;
  });
}

function Selection({ drag }) {
  const [first, last] = drag[0] <= drag[1] ? drag : [drag[1], drag[0]];
  return html`<rect class="selection" x=${4 * first} y="0" width=${4 * (last - first + 1)} height=${HEIGHT} />`;
}
