// Alarms by directive or by source.

import { html } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { count, counted } from "../lib/format.js";
import { useThrottled } from "../lib/hooks.js";
import { useLive } from "../lib/live.js";
import { link } from "../lib/router.js";
import { Empty, Failure, Waiting } from "../parts/controls.js";
import { Risk, RISKS, RiskSplit, Spark } from "../parts/marks.js";
import { Rows } from "../parts/rows.js";
import { Text, Time } from "../parts/text.js";
import { filterOf } from "./alarm_filters.js";

const INTERVAL = 3000;

/** @param {{params: Record<string, string>}} props `group` of them: directive or source */
export function AlarmGroups({ params }) {
  const by = params.group === "source" ? "source" : "directive";
  const turn = useThrottled(
    useLive((live) => live.sequence),
    INTERVAL,
  );
  const resource = useResource(
    "alarm-groups",
    { ...filterOf(params), by, limit: 100 },
    { again: turn },
  );
  const { data } = resource;
  if (!data) return html`<${Waiting} resource=${resource} />`;
  if (!data.groups.length)
    return html`<${Empty} title="No alarm matches"><a href=${link("alarms")}>Remove all filters</a></${Empty}>`;
  const rows = data.groups.map((group) => ({ ...group, href: filterLink(params, by, group.key) }));
  return html`<div class="list-head"><span class="muted">${counted(data.total, by)}${
    data.total > rows.length && `, the first ${rows.length}`
  }</span></div>
    <${Failure} error=${resource.error} />
    <${Rows} kind="groups" label="Alarms by ${by}" columns=${columnsOf(by)} rows=${rows}
      keyOf=${(row) => row.key} linkOf=${(row) => row.href} classOf=${(row) => `edge-${row.risk_class.toLowerCase()}`} />`;
}

/** The alarms of one group. */
function filterLink(params, by, key) {
  return link("alarms", "", { ...params, group: "", [by]: key });
}

const columnsOf = (by) => [
  {
    name: "risk",
    title: "Highest",
    cell: (row) => html`<${Risk} risk=${row.risk} name=${row.risk_class} />`,
  },
  {
    name: "title",
    title: by === "source" ? "Source" : "Directive",
    cell: (row) => html`<${GroupName} row=${row} by=${by} />`,
  },
  {
    name: "alarms",
    title: "Alarms",
    kind: "right",
    cell: (row) => html`<b class="num">${count(row.alarms)}</b>`,
  },
  {
    name: "split",
    title: "By risk",
    cell: (
      row,
    ) => html`<span title=${RISKS.map((name) => `${row[name]} ${name}`).join(", ")}><${RiskSplit} counts=${row} />
      <span class="unseen">${RISKS.map((name) => `${row[name]} ${name}`).join(", ")}</span></span>`,
  },
  by === "directive"
    ? {
        name: "sources",
        title: "Sources",
        kind: "right",
        cell: (row) => html`<span class="num">${count(row.sources)}</span>`,
      }
    : { name: "sources", title: "", cell: () => null },
  {
    name: "spark",
    title: "Over time",
    cell: (row) => html`<${Spark} values=${row.spark} label="Alarms over time" />`,
  },
  {
    name: "time",
    title: "Last event",
    kind: "right",
    cell: (row) => html`<${Time} at=${row.last_time} />`,
  },
];

function GroupName({ row, by }) {
  if (!row.key) return html`<span class="muted">not known</span>`;
  return html`<a class="row" href=${row.href}>${
    by === "source"
      ? html`<${Text} value=${row.name || row.key} />`
      : html`<${Text} value=${row.name || `Directive ${row.key}`} />`
  }</a>
    ${row.name && html` <span class="mono muted">${row.key}</span>`}`;
}
