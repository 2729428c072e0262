// Rules of directives as sentences.

import { counted, duration } from "../lib/format.js";
import { visible } from "../lib/visible.js";

const MOST = 6;
const STICKY = {
  PLUGIN_SID: "plugin_sid",
  SRC_IP: "source",
  DST_IP: "destination",
  SRC_PORT: "source port",
  DST_PORT: "destination port",
  CUSTOM_DATA1: "custom_data1",
  CUSTOM_DATA2: "custom_data2",
  CUSTOM_DATA3: "custom_data3",
};

const NAMES = {
  from: "source",
  to: "destination",
  port_from: "source port",
  port_to: "destination port",
};

/**
 * What a rule waits for: `5 events within 10 min: plugin 4003 with sid 1 or 2, from the source of stage 1 …`.
 * @param {any} rule as in an alarm line @returns {string}
 */
export function ruleSentence(rule) {
  const within = rule.timeout ? ` within ${duration(rule.timeout)}` : "";
  const parts = [subject(rule), ...addresses(rule), ...texts(rule), ...sticky(rule)];
  return visible(`${counted(rule.occurrence, "event")}${within}: ${parts.join(", ")}.`);
}

/** Plugin or taxonomy. */
function subject(rule) {
  if (rule.type === "TaxonomyRule") {
    const sub = rule.subcategory?.length ? ` (${some(rule.subcategory)})` : "";
    return `category ${rule.category}${sub} of ${some(rule.product ?? [])}`;
  }
  return `plugin ${rule.plugin_id} with sid ${some(rule.plugin_sid ?? [])}`;
}

function addresses(rule) {
  return [
    place("from", rule.from, rule.port_from, "source"),
    place("to", rule.to, rule.port_to, "destination"),
  ].filter(Boolean);
}

/** `from HOME_NET, port 22` */
function place(word, address, port, side) {
  const where = condition(address, side);
  const ports = condition(port, `${side} port`);
  if (where === null && ports === null) return "";
  return `${word} ${where ?? "anywhere"}${ports === null ? "" : `, port ${ports}`}`;
}

/** A condition in words; null if it is open. */
function condition(text, what) {
  if (!text || text === "ANY") return null;
  if (text === "HOME_NET") return "inside HOME_NET";
  if (text === "!HOME_NET") return "outside HOME_NET";
  const reference = /^(!?):([1-9]\d?)(?:\.([a-z_]+[1-3]?))?$/.exec(text);
  if (reference) {
    const [, negated, stage, field] = reference;
    return `${negated ? "not " : ""}the ${field ? (NAMES[field] ?? field) : what} of stage ${stage}`;
  }
  return list(text);
}

/** `a, b` as `a or b`; negated items as `not c`. */
function list(text) {
  const items = text.split(/[,]\s*/).filter(Boolean);
  return some(items.map((item) => (item.startsWith("!") ? `not ${item.slice(1)}` : item)));
}

function some(items) {
  if (items.length > MOST)
    return `${items.slice(0, MOST).join(", ")} or one of ${items.length - MOST} more`;
  if (items.length < 2) return String(items[0] ?? "");
  return `${items.slice(0, -1).join(", ")} or ${items[items.length - 1]}`;
}

function texts(rule) {
  const named = [["protocol", rule.protocol]];
  for (const n of [1, 2, 3])
    named.push([rule[`custom_label${n}`] || `custom_data${n}`, rule[`custom_data${n}`]]);
  return named
    .map(([name, text]) => [name, condition(text, name)])
    .filter(([, words]) => words !== null)
    .map(([name, words]) => `${name} is ${words}`);
}

function sticky(rule) {
  if (!rule.sticky_different) return [];
  const names = rule.sticky_different.split(",").map((name) => STICKY[name] ?? name);
  return [`each with another ${names.join(" and another ")}`];
}
