// The events that an alarm has taken, page by page, with links to where they are stored.

import { html, useState } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { count } from "../lib/format.js";
import { Failure, sentence } from "../parts/controls.js";
import { Text, Time } from "../parts/text.js";

const LIMIT = 50;

/**
 * The link to an event by the template of --event-link; "" if there is none, or if it is not a web
 * address. Values are encoded, so that an event cannot change where the link leads.
 * @param {string} template @param {{event_id: string, alarm_id: string, time: number}} values
 */
export function eventLink(template, values) {
  if (!/^https?:\/\//i.test(template)) return "";
  return template.replace(/\{(event_id|alarm_id|time)\}/g, (_, name) =>
    encodeURIComponent(values[name]),
  );
}

/** @param {{alarm: any, total: number, stages: any[], template: string}} props */
export function AlarmEvents({ alarm, total, stages, template }) {
  const [stage, setStage] = useState("");
  const [cursors, setCursors] = useState([""]);
  const after = cursors[cursors.length - 1];
  const resource = useResource(
    `alarms/${encodeURIComponent(alarm.id)}/events`,
    { stage, after, limit: LIMIT },
    { again: after ? 0 : total },
  );
  const { data, error } = resource;
  const choose = (event) => {
    setStage(event.target.value);
    setCursors([""]);
  };
  return html`<section><h2>Events <span class="count">${count(data?.total ?? total)}</span>
      <select class="inline" aria-label="Events of stage" value=${stage} onChange=${choose}>
        <option value="">all stages</option>${stages.map((one) => html`<option value=${one.stage}>stage ${one.stage}</option>`)}
      </select></h2>
    <${Failure} error=${error} />
    ${data && html`<${EventTable} events=${data.events} alarm=${alarm} template=${template} />`}
    ${data?.missing && html`<p class="muted">Events may be missing: <${Text} value=${sentence(data.missing)} /></p>`}
    ${
      (cursors.length > 1 || data?.next != null) &&
      html`<p class="pager">
      <button type="button" disabled=${cursors.length < 2} onClick=${() => setCursors(cursors.slice(0, -1))}>‹ Earlier</button>
      <button type="button" disabled=${data?.next == null} onClick=${() => setCursors([...cursors, data.next])}>Later ›</button></p>`
    }
  </section>`;
}

function EventTable({ events, alarm, template }) {
  if (!events.length) return html`<p class="muted">No events.</p>`;
  return html`<div class="table-box" tabindex="0" role="region" aria-label="Events"><table class="plain">
    <thead><tr><th class="right">Stage</th><th>Time</th><th>Event</th></tr></thead>
    <tbody>${events.map(
      (event) => html`<tr key=${event.number}>
      <td class="right num">${event.stage}</td>
      <td><${Time} at=${event.written_time} form="clock" /></td>
      <td class="event"><${EventId} event=${event} alarm=${alarm} template=${template} /></td></tr>`,
    )}</tbody></table></div>`;
}

function EventId({ event, alarm, template }) {
  const values = { event_id: event.event_id, alarm_id: alarm.id, time: event.written_time };
  const href = eventLink(template, values);
  const id = html`<span class="mono"><${Text} value=${event.event_id} most=${80} /></span>`;
  if (!href) return id;
  return html`<a href=${href} target="_blank" rel="noopener noreferrer" title="Open this event">${id}</a>`;
}
