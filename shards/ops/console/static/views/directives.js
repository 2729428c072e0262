// Directives: what each has done in the last hour and day, its rules, and what it makes of an event.

import { html } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { count, counted } from "../lib/format.js";
import { useTitle } from "../lib/hooks.js";
import { go, link } from "../lib/router.js";
import { Empty, Failure, Field, Tabs, Waiting } from "../parts/controls.js";
import { Spark } from "../parts/marks.js";
import { Pager, Rows, useRowKeys } from "../parts/rows.js";
import { Text, Time, tip } from "../parts/text.js";
import { AlarmRows } from "./alarms.js";
import { Rules } from "./directive_rules.js";
import { Explain } from "./explain.js";

const LIMIT = 100;
const EVERY = 10;
const KINDS = [
  ["all", "All"],
  ["fired", "Fired"],
  ["never", "Never fired"],
  ["noisy", "Noisy"],
  ["open", "With open backlogs"],
];

/** @param {{place: import("../lib/router.js").Place}} props */
export function DirectivesView({ place }) {
  const { id, params } = place;
  useTitle(id ? `Directive ${id}` : "Directives");
  useRowKeys(() => id && go(link("directives", "", params)));
  return html`<div class="split-view ${id ? "has-detail" : ""}">
    <section class="list" aria-label="Directives"><${DirectiveList} params=${params} current=${id} /></section>
    ${id && html`<section class="detail" aria-label="Directive"><${DirectiveDetail} key=${id} id=${id} params=${params} /></section>`}
  </div>`;
}

function DirectiveList({ params, current }) {
  const { text = "", kind = "all", sort = "alarms", reverse = "", after = "" } = params;
  const resource = useResource(
    "directives",
    { text, kind, sort, reverse, after, limit: LIMIT },
    { every: EVERY },
  );
  const { data, error } = resource;
  const to = (changes) => link("directives", "", { ...params, after: "", ...changes });
  const sorting = {
    sort,
    reverse: reverse === "true",
    linkTo: (name, down) => to({ sort: name, reverse: down ? "true" : "" }),
  };
  const rows = data?.directives.map((one) => ({
    ...one,
    href: link("directives", String(one.id), params),
  }));
  const hasMatches = data?.directives.some((one) => one.matches != null);
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Field} name="text" label="Search directives" placeholder="Search names, kinds, ids  ( / )" size="wide" value=${text}
        onChange=${(now) => go(to({ text: now }), { replace: true })} />
      <${Tabs} label="Kind" tabs=${KINDS.map(([name, words]) => ({
        text: words,
        count: data?.kinds[name],
        current: name === kind,
        href: to({ kind: name === "all" ? "" : name }),
      }))} /></form>
    <div class="scroll">
      <div class="list-head"><span class="muted">${data ? counted(data.total, "directive") : ""}</span></div>
      ${data && html`<${Failure} error=${error} />`}
      ${
        !data
          ? html`<${Waiting} resource=${resource} />`
          : rows.length
            ? html`<${Rows} kind="directives" label="Directives" rows=${rows} sorting=${sorting} former=${resource.former} current=${current}
            columns=${columns.filter((column) => column.name !== "matches" || hasMatches)}
            keyOf=${(row) => String(row.id)} linkOf=${(row) => row.href} />`
            : html`<${Empty} title="No directive is like that">${NO_REASON[kind] ?? ""} <a href=${link("directives")}>Show all</a></${Empty}>`
      }
      ${data && html`<${Pager} first=${after && to({})} next=${data.next && to({ after: data.next })} />`}
    </div>`;
}

const NO_REASON = {
  fired: "None has made an alarm in the last day.",
  never: "Every one has made an alarm in the last day.",
  noisy: "None makes a fifth of all alarms.",
  open: "None has an open backlog.",
};

const columns = [
  {
    name: "id",
    title: "Id",
    sort: "id",
    kind: "right",
    cell: (row) => html`<span class="num">${row.id}</span>`,
  },
  {
    name: "title",
    title: "Directive",
    sort: "name",
    cell: (
      row,
    ) => html`<div class="tagged"><a class="row" href=${row.href} title=${tip(row.name)}><${Text} value=${row.name} /></a>
      ${row.noisy && html`<span class="tag warn" title="It makes a fifth of all alarms of the day">noisy</span>`}
      ${row.last_fired == null && html`<span class="tag" title="No alarm in the history of the console">never fired</span>`}</div>`,
  },
  {
    name: "kind",
    title: "Kind",
    cell: (row) =>
      html`<span class="muted"><${Text} value=${row.kingdom} />, <${Text} value=${row.category} /></span>`,
  },
  {
    name: "stages",
    title: "Stages",
    kind: "right",
    cell: (row) => html`<span class="num">${row.stages}</span>`,
  },
  {
    name: "matches",
    title: "Events",
    sort: "matches",
    kind: "right",
    cell: (row) => html`<span class="num">${count(row.matches)}</span>`,
  },
  {
    name: "backlogs",
    title: "Open",
    sort: "backlogs",
    kind: "right",
    cell: (row) => html`<span class="num">${count(row.backlogs)}</span>`,
  },
  {
    name: "hour",
    title: "Last hour",
    kind: "right",
    cell: (row) => html`<span class="num">${count(row.alarms_hour)}</span>`,
  },
  {
    name: "day",
    title: "Last day",
    sort: "alarms",
    kind: "right",
    cell: (row) => html`<b class="num">${count(row.alarms_day)}</b>`,
  },
  {
    name: "spark",
    title: "24 hours",
    cell: (row) =>
      html`<${Spark} values=${row.spark} label="Alarms in each of the last 24 hours" />`,
  },
  {
    name: "time",
    title: "Last fired",
    sort: "last_fired",
    kind: "right",
    cell: (row) => html`<${Time} at=${row.last_fired} />`,
  },
];

function DirectiveDetail({ id, params }) {
  const resource = useResource(`directives/${encodeURIComponent(id)}`, {}, { every: EVERY });
  const { data, error } = resource;
  const bar = html`<div class="detail-bar"><a href=${link("directives", "", params)} class="close" aria-label="Close the directive" title="Close (Esc)">
    <span class="back">‹ Directives</span><span class="cross" aria-hidden="true">✕</span></a></div>`;
  if (!data) {
    return html`${bar}${
      error?.status === 404
        ? html`<${Empty} title="No such directive">This service has no directive ${id}: it may be
      disabled, or belong to another service of the node. <a href=${link("config")}>Config</a> lists the files.</${Empty}>`
        : html`<${Waiting} resource=${resource} />`
    }`;
  }
  const { directive } = data;
  return html`${bar}<div class="scroll">
    <${Failure} error=${error} />
    <header class="alarm-head"><p class="muted">Directive ${directive.id}</p><h2 class="title"><${Text} value=${directive.name} most=${500} expand=${true} /></h2></header>
    <dl class="facts">
      <dt>Kind</dt><dd><${Text} value=${directive.kingdom} />, <${Text} value=${directive.category} />, priority ${directive.priority}</dd>
      <dt>Alarms</dt><dd><a href=${link("alarms", "", { directive: directive.id })}>${counted(directive.alarms_day, "alarm")} in the last day</a>, ${count(
        directive.alarms_hour,
      )} in the last hour <${Spark} values=${directive.spark} label="Alarms in each of the last 24 hours" /></dd>
      <dt>Backlogs</dt><dd><a href=${link("backlogs", "", { directive: directive.id })}>${count(directive.backlogs)} open</a>, at worker-${directive.worker}</dd>
    </dl>
    <section><h2>Rules</h2>${
      data.all_rules_always_active &&
      html`<p class="muted">Events of earlier stages still join the alarm
      (all_rules_always_active).</p>`
    }${
      data.wildcards &&
      html`<p class="muted">In texts, * is any number of characters, and ? is one (wildcards).</p>`
    }<${Rules} rules=${data.rules} /></section>
    <${Explain} directive=${directive.id} rules=${data.rules} />
    <${LatestAlarms} id=${directive.id} total=${directive.alarms_day} /></div>`;
}

function LatestAlarms({ id, total }) {
  const { data } = useResource("alarms", { directive: id, limit: 5 }, { again: total });
  if (!data?.alarms.length) return null;
  return html`<section><h2>Latest alarms</h2><${AlarmRows} alarms=${data.alarms} /></section>`;
}
