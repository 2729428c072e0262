// The last day on a time axis: rate, alarms, queue, lag, backlogs, checkpoints, and what happened.

import { html, useEffect, useRef, useState } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { compact, count, duration } from "../lib/format.js";
import { serviceTime, useLive } from "../lib/live.js";
import { go, link } from "../lib/router.js";
import { Choice, Failure, Waiting } from "../parts/controls.js";
import { Text, Time } from "../parts/text.js";

const EVERY = 30;
/** The shortest time that is shown, in seconds. */
const SHORTEST = 600;
const RANGES = { "1h": 3600, "6h": 21600, "24h": 86400 };
/** Charts: title, series, form. @type {[string, string[], (value: number) => string][]} */
const CHARTS = [
  ["Events per second", ["events"], compact],
  ["Lines of alarms", ["alarms"], compact],
  ["Longest queue", ["queue"], compact],
  ["Stream lag", ["lag"], compact],
  ["Open backlogs", ["backlogs"], compact],
  ["Age of the last checkpoint", ["checkpoint_age"], duration],
  ["Dropped, lost, rolled back", ["dropped", "lost", "rolled_back"], compact],
];
/** Kinds of incidents that are troubles. */
const TROUBLES = [
  "restart",
  "reload_refused",
  "source_lost",
  "output_failed",
  "checkpoint_failed",
  "overload",
];
const WORDS = {
  start: "start",
  stop: "stop",
  restart: "restart",
  reload: "reload",
  reload_refused: "reload refused",
  source_lost: "source lost",
  source_back: "source back",
  output_failed: "output failed",
  output_back: "output back",
  checkpoint_failed: "no checkpoint",
  checkpoint_back: "checkpoint back",
  overload: "overload",
  overload_end: "overload over",
};

/** @param {{params: Record<string, string>}} props */
export function FlowHistory({ params }) {
  const range = RANGES[params.range] ? params.range : "24h";
  const incidents = useLive((live) => live.incidents);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && setTurn((n) => n + 1), 1000 * EVERY);
    return () => clearInterval(timer);
  }, []);
  const [begin, setBegin] = useState(0);
  const since = Math.max(begin, Math.floor((serviceTime() - RANGES[range]) / EVERY) * EVERY);
  const resource = useResource("flow-history", { since, parts: 288 }, { again: turn });
  const { data, error } = resource;
  useEffect(() => setBegin(0), [range]);
  useEffect(() => data && !begin && setBegin(beginOf(data)), [data]);
  const all = data ? withNewest(data.incidents, incidents) : [];
  return html`<section class="card"><div class="card-head"><h2>History</h2>
      <${Choice} label="Time" value=${range} choices=${[
        ["1h", "1 hour"],
        ["6h", "6 hours"],
        ["24h", "24 hours"],
      ]}
        onChange=${(value) => go(link("flow", "", { range: value === "24h" ? "" : value }), { replace: true })} /></div>
    ${data && html`<${Failure} error=${error} />`}
    ${!data ? html`<${Waiting} resource=${resource} />` : html`<${Charts} data=${{ ...data, incidents: all }} /><${Incidents} incidents=${all} />`}
  </section>`;
}

/** The incidents of the history, and those that came after it was read. */
function withNewest(former, newest) {
  const last = former.length ? former[former.length - 1].time : 0;
  return [...former, ...newest.filter((one) => one.time > last)];
}

/** Where to begin instead, if most of the time there was nothing; 0 if there was. */
function beginOf(data) {
  const { events } = data.series;
  const first = events.findIndex((value) => value != null);
  if (first < events.length / 2) return 0;
  const earliest = Math.min(data.since + first * data.step, data.incidents[0]?.time ?? Infinity);
  return Math.floor(Math.min(earliest, serviceTime() - SHORTEST) / 60) * 60;
}

function Charts({ data }) {
  const shown = CHARTS.filter(([, names]) =>
    names.some((name) => data.series[name]?.some((value) => value != null)),
  );
  if (!shown.length)
    return html`<p class="muted">The charts begin with the first whole minute.</p>`;
  return html`<div class="charts">${shown.map(
    ([title, names, form]) => html`
    <${Chart} key=${title} title=${title} names=${names} form=${form} data=${data} />`,
  )}</div>`;
}

/** One chart; the pointer is shared by all of them. */
function Chart({ title, names, form, data }) {
  const box = useRef(null);
  const plot = useRef(null);
  /** The newest data: the module of charts may come after it. */
  const latest = useRef(data);
  latest.current = data;
  const [theme, setTheme] = useState(0);
  useThemeChange(() => setTheme((n) => n + 1));
  useEffect(() => {
    let gone = false;
    loadCharts(() => gone).then((charts) => {
      if (!gone && box.current)
        plot.current = charts.makeChart(
          box.current,
          names,
          form,
          () => marksOf(latest.current.incidents),
          pointsOf(latest.current, names),
          setAt,
        );
    });
    return () => {
      gone = true;
      plot.current?.destroy();
      plot.current = null;
    };
  }, [theme]);
  useEffect(() => plot.current?.update(pointsOf(data, names)), [data]);
  const [at, setAt] = useState(null);
  const values = names.flatMap((name) => data.series[name] ?? []).filter((value) => value != null);
  const highest = values.reduce((most, value) => Math.max(most, value), 0);
  return html`<figure class="chart"><figcaption>${title} <span class="muted num">${
    at == null ? `up to ${form(highest)}` : html`at <${Time} at=${data.since + at * data.step} />: `
  }${names.map(
    (name, n) =>
      html`<${Reading} name=${names.length > 1 ? name : ""} line=${n + 1} value=${at == null ? "" : form(data.series[name][at] ?? 0)} />`,
  )}</span></figcaption>
    <div class="plot" ref=${box} role="img" aria-label="${title}: up to ${form(highest)} in this time"></div></figure>`;
}

/** The name of a line, and its value where the pointer is. */
const Reading = ({ name, line, value }) =>
  html`${name && html`<i class="line-${line}"></i>${name.replaceAll("_", " ")} `}${value}`;

/** The module that paints charts; it is asked for until it comes, or nobody wants it any more. */
async function loadCharts(isGone) {
  while (!isGone()) {
    try {
      return await import("../parts/chart.js");
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
  return null;
}

const marksOf = (incidents) =>
  incidents.map((one) => ({ time: one.time, bad: TROUBLES.includes(one.kind) }));

function pointsOf(data, names) {
  const length = data.series[names[0]].length;
  return [
    Array.from({ length }, (_, n) => data.since + n * data.step),
    ...names.map((name) => data.series[name]),
  ];
}

/** Charts are painted, so they are made anew in other colours. */
function useThemeChange(act) {
  useEffect(() => {
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("themechange", act);
    scheme.addEventListener("change", act);
    return () => {
      removeEventListener("themechange", act);
      scheme.removeEventListener("change", act);
    };
  }, []);
}

function Incidents({ incidents }) {
  if (!incidents.length)
    return html`<p class="muted">No restart, reload or trouble in this time.</p>`;
  return html`<h3>What happened <span class="count">${count(incidents.length)}</span></h3>
    <ol class="incidents">${[...incidents]
      .reverse()
      .slice(0, 100)
      .map(
        (one) => html`<li>
      <${Time} at=${one.time} /> <span class="tag ${TROUBLES.includes(one.kind) ? "bad" : ""}">${WORDS[one.kind] ?? one.kind}</span>
      <span>${one.process && !one.text.startsWith(one.process) && html`<b>${one.process}</b> `}<${Text} value=${one.text} /></span></li>`,
      )}</ol>`;
}
