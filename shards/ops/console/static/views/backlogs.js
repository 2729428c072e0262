// Backlogs: what is open. There may be hundreds of thousands, so the service sorts and filters, and
// the page holds those that it shows.

import { html } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { count, counted, duration } from "../lib/format.js";
import { useTick, useTitle } from "../lib/hooks.js";
import { serviceTime } from "../lib/live.js";
import { go, link } from "../lib/router.js";
import { Empty, Failure, Field, Waiting } from "../parts/controls.js";
import { Bar, Progress, Risk } from "../parts/marks.js";
import { Pager, Rows, useRowKeys } from "../parts/rows.js";
import { Age, Side, Text, tip } from "../parts/text.js";
import { RuleOfStage } from "./directive_rules.js";

const LIMIT = 100;
const EVERY = 5;
const FILTERS = ["text", "directive", "address", "stage"];

/** @param {{place: import("../lib/router.js").Place}} props */
export function BacklogsView({ place }) {
  const { id, params } = place;
  useTitle("Backlogs");
  useTick(1);
  useRowKeys(() => id && go(link("backlogs", "", params)));
  const { sort = "updated", reverse = "", after = "" } = params;
  const filter = Object.fromEntries(FILTERS.map((name) => [name, params[name] ?? ""]));
  const resource = useResource(
    "backlogs",
    { ...filter, sort, reverse, after, limit: LIMIT },
    { every: EVERY },
  );
  const { data, error } = resource;
  const sorting = {
    sort,
    reverse: reverse === "true",
    linkTo: (name, down) =>
      link("backlogs", "", { ...params, after: "", sort: name, reverse: down ? "true" : "" }),
  };
  const chosen = data?.backlogs.find((one) => one.id === id);
  return html`<div class="split-view ${chosen ? "has-detail" : ""}">
    <section class="list" aria-label="Backlogs"><${Filters} params=${params} />
      <div class="scroll">
        <div class="list-head"><${Total} data=${data} /></div>
        ${data && html`<${Failure} error=${error} />`}
        ${
          !data
            ? html`<${Waiting} resource=${resource} />`
            : data.backlogs.length
              ? html`<${Rows} kind="backlogs" label="Open backlogs" columns=${columns} 
              rows=${data.backlogs.map((row) => ({ ...row, href: link("backlogs", row.id, params) }))}
              keyOf=${(row) => row.id} linkOf=${(row) => row.href} current=${id} sorting=${sorting} former=${resource.former} />`
              : html`<${NoBacklogs} params=${params} data=${data} />`
        }
        ${
          data &&
          html`<${Pager} first=${after && link("backlogs", "", { ...params, after: "" })}
          next=${data.next && link("backlogs", "", { ...params, after: data.next })} />`
        }
      </div></section>
    ${chosen && html`<section class="detail" aria-label="Backlog"><${BacklogDetail} backlog=${chosen} params=${params} /></section>`}
  </div>`;
}

function Filters({ params }) {
  const set = (changes) =>
    go(link("backlogs", "", { ...params, after: "", ...changes }), { replace: true });
  const any = FILTERS.some((name) => params[name]);
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <${Field} name="text" label="Search backlogs" placeholder="Search titles, addresses, names  ( / )" size="wide"
      value=${params.text ?? ""} onChange=${(text) => set({ text })} />
    <${Field} label="Address or network" placeholder="Address or CIDR" value=${params.address ?? ""} onChange=${(address) => set({ address })} />
    <${Field} label="Directive id" placeholder="Directive" size="narrow" value=${params.directive ?? ""} onChange=${(directive) => set({ directive })} />
    <${Field} label="Stage" placeholder="Stage" size="narrow" value=${params.stage ?? ""} onChange=${(stage) => set({ stage })} />
    ${any && html`<a class="clear" href=${link("backlogs", "", { sort: params.sort, reverse: params.reverse })}>Clear</a>`}
  </form>`;
}

function Total({ data }) {
  if (!data) return html`<span></span>`;
  const missing = data.workers_missing.length
    ? html` <span class="bad-text">without those of ${data.workers_missing.map((n) => `worker-${n}`).join(", ")}, which has not answered</span>`
    : "";
  const of = data.total === data.open ? "" : ` of ${count(data.open)}`;
  return html`<span class="muted">${counted(data.total, "open backlog")}${of}${missing}</span>
    <span class="muted">as of ${duration(serviceTime() - data.time)} ago</span>`;
}

/** Risk 0 has no class: there is no alarm yet. */
const RiskSoFar = ({ backlog }) =>
  html`<${Risk} risk=${backlog.risk} name=${backlog.risk > 0 ? backlog.risk_class : ""} />`;

const left = (row) => row.expires_time - serviceTime();

const columns = [
  {
    name: "risk",
    title: "Risk",
    sort: "risk",
    cell: (row) => html`<${RiskSoFar} backlog=${row} />`,
  },
  {
    name: "title",
    title: "Backlog",
    cell: (row) =>
      html`<a class="row" href=${row.href} title=${tip(row.title)}><${Text} value=${row.title} /></a>`,
  },
  {
    name: "directive",
    title: "Directive",
    sort: "directive",
    kind: "right",
    cell: (row) =>
      html`<a class="num" href=${link("directives", String(row.directive))}>${row.directive}</a>`,
  },
  {
    name: "stage",
    title: "Stage",
    sort: "stage",
    cell: (row) =>
      html`<span class="num">${row.stage}/${row.stages}</span> <span class="muted"><${Text} value=${row.stage_name} most=${80} /></span>`,
  },
  {
    name: "progress",
    title: "Progress",
    sort: "progress",
    cell: (row) => html`<${Progress} value=${row.taken} of=${row.needed} />`,
  },
  {
    name: "src",
    title: "Source",
    cell: (row) => html`<${Side} addresses=${row.src} total=${row.src_count} />`,
  },
  {
    name: "dst",
    title: "Destination",
    cell: (row) => html`<${Side} addresses=${row.dst} total=${row.dst_count} />`,
  },
  {
    name: "age",
    title: "Age",
    sort: "age",
    kind: "right",
    cell: (row) => html`<${Age} at=${row.created_time} />`,
  },
  {
    name: "updated",
    title: "Last event",
    sort: "updated",
    kind: "right",
    cell: (row) => html`<${Age} at=${row.update_time} />`,
  },
  {
    name: "expires",
    title: "Expires in",
    sort: "expires",
    kind: "right",
    cell: (row) => html`<span class="num">${left(row) > 0 ? duration(left(row)) : "now"}</span>`,
  },
];

function NoBacklogs({ params, data }) {
  if (data.open) {
    return html`<${Empty} title="No backlog matches">${counted(data.open, "backlog")} ${data.open === 1 ? "is" : "are"} open, none with all of these filters.
      <a href=${link("backlogs", "", { sort: params.sort })}>Remove all filters</a></${Empty}>`;
  }
  return html`<${Empty} title="No backlog is open">A backlog opens when an event matches the first rule of a directive. Do events
    arrive? See <a href=${link("flow")}>Flow</a>. Paste an event at <a href=${link("directives")}>a directive</a> to see which
    condition refuses it.</${Empty}>`;
}

/** What an open backlog waits for. */
function BacklogDetail({ backlog, params }) {
  const rest = left(backlog);
  const whole = Math.max(1, backlog.expires_time - backlog.update_time);
  return html`<div class="detail-bar"><a href=${link("backlogs", "", params)} class="close" aria-label="Close the backlog" title="Close (Esc)">
      <span class="back">‹ Backlogs</span><span class="cross" aria-hidden="true">✕</span></a></div>
    <div class="scroll"><header class="alarm-head">
      <p><${RiskSoFar} backlog=${backlog} /> <span class="mono muted">${backlog.id}</span></p>
      <h2 class="title"><${Text} value=${backlog.title} most=${500} expand=${true} /></h2></header>
    <dl class="facts">
      <dt>Directive</dt><dd><a href=${link("directives", String(backlog.directive))}>${backlog.directive}</a>, at worker-${backlog.worker}</dd>
      <dt>Sources</dt><dd><${Side} addresses=${backlog.src} total=${backlog.src_count} /></dd>
      <dt>Destinations</dt><dd><${Side} addresses=${backlog.dst} total=${backlog.dst_count} /></dd>
      <dt>Age</dt><dd><${Age} at=${backlog.created_time} /></dd>
      <dt>Expires in</dt><dd>${rest > 0 ? duration(rest) : "now"} <${Bar} share=${rest / whole} /></dd>
      <dt>Alarm</dt><dd>${
        backlog.risk > 0
          ? html`<a href=${link("alarms", backlog.id)}>Open the alarm</a>`
          : html`<span class="muted">none while the risk is 0</span>`
      }</dd>
    </dl>
    <section><h2>It waits for</h2>
      <p><b>Stage ${backlog.stage} of ${backlog.stages}: <${Text} value=${backlog.stage_name} /></b></p>
      <p><${Progress} value=${backlog.taken} of=${backlog.needed} /></p>
      <${RuleOfStage} directive=${backlog.directive} stage=${backlog.stage} /></section></div>`;
}
