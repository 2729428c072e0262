// The ledger as a picture: source, router, workers, outcomes. Each band is as wide as its rate.

import { html, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { compact, count, rate } from "../lib/format.js";
import { Bar } from "../parts/marks.js";

/** What becomes of events at the router, and of deliveries at the workers. */
const ROUTER = [
  ["routed", "to workers"],
  ["unmatched", "no directive"],
  ["elsewhere", "other service"],
  ["whitelisted", "whitelisted"],
  ["invalid", "invalid"],
  ["dropped", "dropped"],
];
const OUTCOMES = [
  ["consumed", "used by backlogs"],
  ["unmatched", "no rule matched"],
  ["invalid", "invalid"],
  ["dropped", "dropped"],
  ["lost", "lost"],
];
const CONSUMED = [
  ["opened", "opened a backlog"],
  ["taken", "taken"],
  ["sticky_seen", "value seen before"],
  ["suppressed", "suppressed after an alarm"],
  ["out_of_order", "out of order"],
  ["too_late", "too late for an absent stage"],
  ["repeated", "repeated"],
];
const BAD = ["dropped", "lost", "rolled_back"];

const total = (value) =>
  typeof value === "number" ? value : Object.values(value ?? {}).reduce((sum, n) => sum + n, 0);

/** The rate of a count and of all of its reasons. */
const rateOf = (rates, path) =>
  Object.entries(rates).reduce(
    (sum, [name, n]) => (name === path || name.startsWith(`${path}.`) ? sum + n : sum),
    0,
  );

/** @param {{flow: any}} props */
export function FlowPicture({ flow }) {
  const { ledger, rates } = flow;
  const box = useRef(null);
  return html`<section class="flow" aria-label="Flow of events" ref=${box}>
    <${Bands} box=${box} flow=${flow} />
    <div class="flow-column"><h2>Source</h2><${Source} flow=${flow} /></div>
    <div class="flow-column"><h2>Router</h2><${Router} flow=${flow} /></div>
    <div class="flow-column"><h2>Workers</h2>${flow.workers.map((worker) => html`<${Worker} key=${worker.worker} worker=${worker} />`)}</div>
    <div class="flow-column"><h2>Outcomes</h2>
      <div class="box" data-node="outcomes"><h3>Deliveries</h3>
        <${Counts} rows=${OUTCOMES} of=${ledger.deliveries} rates=${rates} prefix="deliveries" />
        <${Line} name="in flight" value=${ledger.deliveries.in_flight} />
        <${Line} name="rolled back" value=${ledger.rolled_back} bad=${true} now=${rates.rolled_back} /></div>
      <div class="box"><h3>Used by backlogs</h3><${Counts} rows=${CONSUMED} of=${ledger.outcomes} rates=${rates} prefix="outcomes" /></div>
      <div class="box"><h3>Backlogs</h3><${Line} name="open" value=${ledger.backlogs.open} />
        <${Counts} rows=${[
          ["finished", "finished"],
          ["expired", "timed out"],
          ["averted", "averted"],
        ]} of=${ledger.backlogs} rates=${rates} prefix="backlogs" /></div>
      <div class="box ${flow.output.trouble ? "bad" : ""}"><h3>Lines of alarms</h3>
        <${Counts} rows=${[
          ["High", "High"],
          ["Medium", "Medium"],
          ["Low", "Low"],
        ]} of=${flow.alarms_written} rates=${rates} prefix="alarms" />
        ${flow.output.trouble && html`<p class="bad-text">Cannot be written: ${flow.output.trouble}</p>`}</div>
    </div></section>`;
}

const KINDS = { nats: "NATS", stream: "JetStream", http: "HTTP", spool: "HTTP with spool" };

function Source({ flow }) {
  const { source, ledger, rates } = flow;
  return html`<div class="box ${source.connected ? "" : "bad"}" data-node="source">
    <h3>${KINDS[source.kind] ?? source.kind}</h3>
    <p class=${source.connected ? "good-text" : "bad-text"}>${source.connected ? "connected" : "no connection"}</p>
    <${Line} name="received" value=${ledger.events.received} now=${rates["events.received"]} strong=${true} />
    ${source.lag != null && html`<${Line} name="unread" value=${source.lag} />`}
    <${Line} name="connections lost" value=${ledger.feed.lost} bad=${true} />
    <${Line} name="expired, cut" value=${ledger.feed.expired + ledger.feed.cut} bad=${true} /></div>`;
}

function Router({ flow }) {
  const { router, ledger, rates } = flow;
  return html`<div class="box ${router.up && router.ready ? "" : "bad"}" data-node="router">
    <${Process} process=${router} />
    <${Counts} rows=${ROUTER} of=${ledger.events} rates=${rates} prefix="events" /></div>`;
}

/** Whether a process runs, and how often it was started again. */
function Process({ process }) {
  const word = !process.up ? "not running" : !process.ready ? "starting" : "running";
  return html`<p class=${process.up && process.ready ? "good-text" : "bad-text"}>${word}${
    process.restarts > 0 &&
    html`<span class="bad-text">, restarted ${count(process.restarts)} ×</span>`
  }</p>`;
}

function Worker({ worker }) {
  const fill = worker.queue_capacity ? worker.queue / worker.queue_capacity : 0;
  return html`<div class="box ${worker.up && worker.ready ? "" : "bad"}" data-node="worker-${worker.worker}">
    <h3>worker-${worker.worker}</h3><${Process} process=${worker} />
    <${Line} name="events" now=${worker.events_per_second} strong=${true} />
    <div class="line"><span>queue</span><span class="num">${count(worker.queue)}</span></div>
    <${Bar} share=${fill} kind=${fill > 0.5 ? "bad" : ""} />
    <${Line} name="open backlogs" value=${worker.backlogs} />
    <${Line} name="directives active" value="${count(worker.active_directives)} of ${count(worker.directives)}" />
    <${Line} name="used by backlogs" value=${worker.counts.consumed ?? 0} />
    ${worker.checkpoint_trouble && html`<p class="bad-text">No checkpoint: ${worker.checkpoint_trouble}</p>`}</div>`;
}

function Counts({ rows, of, rates, prefix }) {
  return rows.map(
    ([name, words]) => html`<${Line} key=${name} name=${words} value=${total(of[name])}
    now=${rateOf(rates, `${prefix}.${name}`)} bad=${BAD.includes(name)} />`,
  );
}

/** A count with its rate; one that should be 0 is left out while it is, and red otherwise. */
function Line({ name, value = null, now = null, bad = false, strong = false }) {
  if (bad && !value) return null;
  return html`<div class="line ${bad ? "bad-text" : ""} ${strong ? "strong" : ""}"><span>${name}</span>
    <span class="num">${now ? html`<b>${rate(now)}</b>` : ""}${
      value != null &&
      html` <span class="total" title=${typeof value === "number" ? count(value) : value}>${
        typeof value === "number" ? compact(value) : value
      }</span>`
    }</span></div>`;
}

/** The bands between the boxes; measured anew when the boxes move. */
function Bands({ box, flow }) {
  const [paths, setPaths] = useState([]);
  const [size, setSize] = useState([0, 0]);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() =>
      setSize([box.current.clientWidth, box.current.clientHeight]),
    );
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const signature = flow.workers
    .map((one) => Math.round(Math.log2(1 + one.events_per_second) * 4))
    .join();
  useLayoutEffect(
    () => setPaths(bandsOf(box.current, flow)),
    [size[0], size[1], signature, flow.source.connected],
  );
  return html`<svg class="bands" aria-hidden="true" width=${size[0]} height=${size[1]}>${paths.map(
    (band) => html`<path d=${band.d} stroke-width=${band.width} class=${band.kind} />`,
  )}</svg>`;
}

function bandsOf(root, flow) {
  const most = Math.max(
    1,
    flow.events_per_second,
    ...flow.workers.map((one) => one.events_per_second),
  );
  const width = (eps) => 1.5 + 22 * Math.sqrt(Math.max(0, eps) / most);
  const bands = [
    band(
      root,
      "source",
      "router",
      width(flow.events_per_second),
      flow.source.connected ? "" : "bad",
    ),
  ];
  for (const worker of flow.workers) {
    const kind = worker.up && worker.ready ? "" : "bad";
    const name = `worker-${worker.worker}`;
    bands.push(band(root, "router", name, width(worker.events_per_second), kind));
    bands.push(band(root, name, "outcomes", width(worker.events_per_second), kind));
  }
  return bands.filter(Boolean);
}

/** A curve from the right side of a box to the left side of another. */
function band(root, from, to, width, kind) {
  const outer = root.getBoundingClientRect();
  const a = root.querySelector(`[data-node="${from}"]`)?.getBoundingClientRect();
  const b = root.querySelector(`[data-node="${to}"]`)?.getBoundingClientRect();
  if (!a || !b || b.left <= a.right) return null;
  const [x1, x2] = [a.right - outer.left, b.left - outer.left];
  const y1 = middle(a, b) - outer.top;
  const y2 = middle(b, a) - outer.top;
  const bend = (x2 - x1) / 2;
  return { d: `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`, width, kind };
}

/** Where a band touches a box: as near to the middle of the other one as the box reaches. */
const middle = (box, other) =>
  Math.max(box.top + 20, Math.min(box.bottom - 20, (other.top + other.bottom) / 2));
