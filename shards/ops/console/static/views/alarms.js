// Alarms: the newest first, live, with filters, groups, and the detail of one beside them.

import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { count, counted } from "../lib/format.js";
import { useTitle } from "../lib/hooks.js";
import { go, link } from "../lib/router.js";
import { Empty, Failure, Waiting } from "../parts/controls.js";
import { Risk, Stages, State } from "../parts/marks.js";
import { Pager, Rows, useRowKeys } from "../parts/rows.js";
import { Side, Text, Time, tip } from "../parts/text.js";
import { AlarmDetail } from "./alarm_detail.js";
import { AlarmFilters, filterOf, hasFilter } from "./alarm_filters.js";
import { AlarmGroups } from "./alarm_groups.js";
import { AlarmTimeline } from "./alarm_timeline.js";
import { useLiveAlarms } from "./live_alarms.js";

/** Rows of a page: as many as are held. */
const LIMIT = 100;

/** @param {{place: import("../lib/router.js").Place, session: any}} props */
export function AlarmsView({ place, session }) {
  const { id, params } = place;
  useTitle(id ? `Alarm ${id}` : "Alarms");
  useRowKeys(() => id && go(link("alarms", "", params)));
  return html`<div class="split-view ${id ? "has-detail" : ""}">
    <section class="list" aria-label="Alarms">
      ${
        params.group
          ? html`<${GroupedAlarms} params=${params} />`
          : html`<${AlarmList} params=${params} current=${id} session=${session} />`
      }
    </section>
    ${
      id &&
      html`<section class="detail" aria-label="Alarm">
      <${AlarmDetail} key=${id} id=${id} params=${params} session=${session} /></section>`
    }
  </div>`;
}

function GroupedAlarms({ params }) {
  return html`<${AlarmFilters} params=${params} risks=${null} />
    <div class="scroll"><${AlarmTimeline} params=${params} begin=${0} /><${AlarmGroups} params=${params} /></div>`;
}

function AlarmList({ params, current }) {
  const scroller = useRef(null);
  const [paused, setPaused] = useState(false);
  const [away, setAway] = useState(false);
  const list = useLiveAlarms(filterOf(params), params.before ?? "", LIMIT, paused || away);
  const { data, error } = list.resource;
  useEffect(() => scroller.current?.scrollTo(0, 0), [params.before]);
  const showWaiting = () => {
    scroller.current?.scrollTo(0, 0);
    setPaused(false);
    setAway(false);
  };
  return html`<${AlarmFilters} params=${params} risks=${data?.risks} />
    <div class="scroll" ref=${scroller} onScroll=${(event) => setAway(event.target.scrollTop > 40)}>
      <${AlarmTimeline} params=${params} begin=${data?.history_since} />
      <div class="list-head">
        <${Total} data=${data} />
        <${LiveState} first=${!params.before} paused=${paused} setPaused=${setPaused} params=${params} />
      </div>
      ${
        list.waiting > 0 &&
        html`<button type="button" class="newer" onClick=${showWaiting}>
        ↑ ${list.waiting >= LIMIT ? `${LIMIT} or more` : counted(list.waiting, "new or changed alarm")}</button>`
      }
      ${data && html`<${Failure} error=${error} />`}
      ${
        !data
          ? html`<${Waiting} resource=${list.resource} />`
          : data.alarms.length
            ? html`<${AlarmRows} alarms=${data.alarms} fresh=${list.fresh} params=${params}
            current=${current} former=${list.resource.former} />`
            : html`<${NoAlarms} params=${params} data=${data} />`
      }
      ${
        data &&
        html`<${Pager} first=${params.before && link("alarms", "", { ...params, before: "" })}
        next=${data.next && link("alarms", "", { ...params, before: data.next })} />`
      }
    </div>
    <${Announcement} alarms=${list.fresh} all=${data?.alarms} />`;
}

function Total({ data }) {
  if (!data) return html`<span></span>`;
  const more = data.total_capped ? "more than " : "";
  return html`<span class="muted">${more}${counted(data.total, "alarm")}</span>`;
}

function LiveState({ first, paused, setPaused, params }) {
  if (!first) {
    return html`<a href=${link("alarms", "", { ...params, before: "" })}>An older page: go to the newest</a>`;
  }
  return html`<button type="button" class="quiet live ${paused ? "" : "on"}" aria-pressed=${!paused}
    onClick=${() => setPaused(!paused)} title=${paused ? "New alarms wait" : "New alarms appear at once"}>
    <i aria-hidden="true"></i>${paused ? "Paused" : "Live"}</button>`;
}

const columns = [
  {
    name: "risk",
    title: "Risk",
    cell: ({ alarm }) => html`<${Risk} risk=${alarm.risk} name=${alarm.risk_class} />`,
  },
  {
    name: "title",
    title: "Alarm",
    cell: ({ alarm, href }) =>
      html`<a class="row" href=${href} title=${tip(alarm.title)}><${Text} value=${alarm.title} /></a>`,
  },
  {
    name: "stages",
    title: "Stages",
    cell: ({ alarm }) =>
      html`<${Stages} done=${alarm.stages_finished} all=${alarm.stages} state=${alarm.state} />`,
  },
  { name: "state", title: "State", cell: ({ alarm }) => html`<${State} state=${alarm.state} />` },
  {
    name: "src",
    title: "Source",
    cell: ({ alarm }) => html`<${Side} addresses=${alarm.src} total=${alarm.src_count} />`,
  },
  {
    name: "dst",
    title: "Destination",
    cell: ({ alarm }) => html`<${Side} addresses=${alarm.dst} total=${alarm.dst_count} />`,
  },
  { name: "hits", title: "Hits", cell: ({ alarm }) => html`<${Hits} alarm=${alarm} />` },
  {
    name: "time",
    title: "Last event",
    kind: "right",
    cell: ({ alarm }) => html`<${Time} at=${alarm.update_time} />`,
  },
];

function Hits({ alarm }) {
  const hits = alarm.intel_hits + alarm.vulnerabilities;
  if (!hits) return null;
  const title = `${counted(alarm.intel_hits, "hit")} of intelligence, ${alarm.vulnerabilities} of vulnerabilities`;
  return html`<span class="hit" title=${title}>${counted(hits, "hit")}</span>`;
}

/** The alarms as rows. */
export function AlarmRows({
  alarms,
  fresh = new Set(),
  params = {},
  current = "",
  former = false,
}) {
  // The same row for the same alarm, so that only those that have changed are made anew.
  const known = useMemo(() => new WeakMap(), [JSON.stringify(params)]);
  const rows = alarms.map((alarm) => {
    if (!known.has(alarm)) known.set(alarm, { alarm, href: link("alarms", alarm.id, params) });
    return known.get(alarm);
  });
  return html`<${Rows} kind="alarms" label="Alarms" columns=${columns} rows=${rows} current=${current} former=${former}
    keyOf=${(row) => row.alarm.id} linkOf=${(row) => row.href}
    classOf=${(row) => `edge-${row.alarm.risk_class.toLowerCase()} ${fresh.has(row.alarm.id) ? "fresh" : ""}`} />`;
}

function NoAlarms({ params, data }) {
  if (hasFilter(params)) {
    return html`<${Empty} title="No alarm matches">Nothing in the history has all of these filters.
      <a href=${link("alarms")}>Remove all filters</a></${Empty}>`;
  }
  return html`<${Empty} title="No alarms yet">
    <p>An alarm appears here within a second of its line in the alarm file. The history goes back to
      ${" "}<${Time} at=${data.history_since} form="full" />.</p>
    <p>Do events arrive? See <a href=${link("flow")}>Flow</a>. Are backlogs open? See${" "}
      <a href=${link("backlogs")}>Backlogs</a>. Paste an event at <a href=${link("directives")}>a
      directive</a> to see which condition refuses it.</p></${Empty}>`;
}

/** What a screen reader says when alarms arrive: at most once in ten seconds. */
function Announcement({ alarms, all }) {
  const [text, setText] = useState("");
  const last = useRef(0);
  useEffect(() => {
    const now = performance.now();
    if (!alarms.size || now - last.current < 10_000) return;
    last.current = now;
    const top = (all ?? [])
      .filter((alarm) => alarms.has(alarm.id))
      .sort((a, b) => b.risk - a.risk)[0];
    if (top) setText(`${count(alarms.size)} new or changed, the highest risk is ${top.risk_class}`);
  }, [alarms]);
  return html`<p class="unseen" role="status">${text}</p>`;
}
