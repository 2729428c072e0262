// What each count that should be 0 means, and what to do about it.

import { duration } from "../lib/format.js";

/**
 * By the path in the ledger, without the reason at its end. `kind`: `bad` is a loss, `warn` is worth
 * a look.
 * @type {Record<string, {name: string, kind: "bad" | "warn", advice: string}>}
 */
const ADVICE = {
  "events.dropped": {
    name: "events dropped",
    kind: "bad",
    advice:
      "The queue of a worker was full, and the senders got status 429: they send again. If it goes on: more CPUs and --workers, a longer --max-queue, or fewer events.",
  },
  "events.invalid": {
    name: "events invalid",
    kind: "warn",
    advice:
      "The sender made events that cannot be read. The log names the field, what it holds, and what would be right: correct the parser (Logstash).",
  },
  "deliveries.dropped": {
    name: "deliveries dropped",
    kind: "bad",
    advice:
      "The queue of a worker was full, and NATS keeps nothing: these are gone. More CPUs and --workers; with --stream nothing is dropped, it is read later.",
  },
  "deliveries.invalid": {
    name: "deliveries invalid",
    kind: "warn",
    advice:
      "A worker found events that cannot be used. The log names the field: correct the parser that made them.",
  },
  "deliveries.lost": {
    name: "deliveries lost",
    kind: "bad",
    advice:
      "A process died, and nobody had kept these. Look for “a process has died” in the log: code -9 mostly means that memory ran out. --stream or --spool keep them.",
  },
  "deliveries.redelivered": {
    name: "deliveries given again",
    kind: "warn",
    advice:
      "A worker died and got what came after its last checkpoint again. Nothing is missing; look for the reason of the death in the log.",
  },
  rolled_back: {
    name: "rolled back",
    kind: "bad",
    advice:
      "A worker died, and no checkpoint holds these deliveries: their lines are written, but backlogs have forgotten them. Keep --checkpoint-interval above 0.",
  },
  "backlogs.interrupted": {
    name: "backlogs interrupted",
    kind: "bad",
    advice:
      "They were open in a worker that died, and were not restored. Check that checkpoints are written.",
  },
  "feed.lost": {
    name: "connections to NATS lost",
    kind: "bad",
    advice:
      "What was published meanwhile did not arrive. Check NATS and the network; with --stream nothing is missing.",
  },
  "feed.seconds_without": {
    name: "seconds without NATS",
    kind: "warn",
    advice: "The time in which events could not arrive. It includes that of the start.",
  },
  "feed.cut": {
    name: "events cut by NATS",
    kind: "bad",
    advice:
      "The router was too slow, and the NATS server discarded these. More CPUs, or fewer events.",
  },
  "feed.expired": {
    name: "events expired in the stream",
    kind: "bad",
    advice:
      "The limits of the stream removed these before they were read. Raise --stream-max-age or --stream-max-bytes, or add workers.",
  },
  "feed.bodies_cut": {
    name: "requests cut",
    kind: "warn",
    advice:
      "A posted body had 1,000 events that were refused, and its rest was not read. Correct the sender.",
  },
  "backlogs.removed": {
    name: "backlogs removed",
    kind: "warn",
    advice: "A reload removed or disabled their directive while they were open.",
  },
  repaired: {
    name: "events repaired",
    kind: "warn",
    advice: "A field could not be used and counts as absent. The log names it: correct the parser.",
  },
  capped: {
    name: "items left out of alarms",
    kind: "warn",
    advice:
      "An alarm had a thousand addresses or values, further ones were only counted. Is the directive too wide?",
  },
  from_future: {
    name: "events from the future",
    kind: "warn",
    advice: "Their time was set back to the clock. Check the clocks of the sensors (NTP).",
  },
  id_reused: {
    name: "event ids used twice",
    kind: "warn",
    advice:
      "Nothing is lost. If sensors should give each event its own id, look at the Logstash filter.",
  },
  outdated: {
    name: "outdated lines not written",
    kind: "warn",
    advice: "Nothing is lost: a newer line of the same alarm was written before.",
  },
  late: {
    name: "events late",
    kind: "warn",
    advice:
      "They were taken later than --max-delay after their receipt. More CPUs and workers; check the clocks.",
  },
  unreported_seconds: {
    name: "seconds not reported",
    kind: "warn",
    advice: "A router died, and what it had done since its last report is not in the counts.",
  },
};

/**
 * The counts of a flow that should be 0 and are not, the worst first.
 * @param {any} flow
 * @returns {{path: string, name: string, kind: string, value: number, rate: number, advice: string, shown?: string}[]}
 */
export function troublesOf(flow) {
  const found = [
    ...processTroubles(flow),
    ...ledgerTroubles(flow),
    ...lookupTroubles(flow.ledger.lookups ?? {}),
  ];
  return found.sort((a, b) => Number(b.kind === "bad") - Number(a.kind === "bad"));
}

function* ledgerTroubles(flow) {
  for (const [path, value] of leaves(flow.ledger)) {
    const about = ADVICE[path] ?? ADVICE[path.split(".").slice(0, -1).join(".")];
    if (!about || !value) continue;
    const reason = ADVICE[path] ? "" : `: ${path.split(".").pop()?.replaceAll("_", " ")}`;
    const shown =
      path.endsWith("seconds_without") || path === "unreported_seconds"
        ? duration(value)
        : undefined;
    yield { ...about, path, name: about.name + reason, value, rate: flow.rates[path] ?? 0, shown };
  }
}

/** The numbers of a tree with the path to each. @returns {Generator<[string, number]>} */
export function* leaves(tree, prefix = "") {
  for (const [name, value] of Object.entries(tree)) {
    if (typeof value === "number") yield [prefix + name, value];
    else if (value && typeof value === "object" && name !== "lookups")
      yield* leaves(value, `${prefix}${name}.`);
  }
}

function* processTroubles(flow) {
  const processes = [
    { name: "router", ...flow.router },
    ...flow.workers.map((one) => ({ name: `worker-${one.worker}`, ...one })),
  ];
  for (const one of processes) {
    if (!one.restarts) continue;
    yield {
      path: `restarts.${one.name}`,
      name: `restarts of ${one.name}`,
      kind: "bad",
      value: one.restarts,
      rate: 0,
      advice:
        "It died or made no progress, and was started again. Look for “a process has died” in the log; code -9 mostly means that memory ran out.",
    };
  }
  if (flow.output.errors) {
    yield {
      path: "output.errors",
      name: "failed writes of alarms",
      kind: "bad",
      value: flow.output.errors,
      rate: 0,
      advice:
        "Workers wait until alarms can be written; nothing is lost meanwhile. Free space on the disk of the log folder.",
    };
  }
  if (!flow.adds_up) {
    yield {
      path: "adds_up",
      name: "the ledger does not add up",
      kind: "bad",
      value: 1,
      rate: 0,
      shown: "",
      advice:
        "Some events are in no count. For a moment after a death that is normal; if it stays, it is a defect: please report it.",
    };
  }
}

function* lookupTroubles(lookups) {
  for (const [source, counts] of Object.entries(lookups)) {
    const failed = Object.values(counts.errors ?? {}).reduce((sum, n) => sum + n, 0);
    const refused = counts.rejected_breaker + counts.rejected_full;
    if (failed + refused) {
      yield {
        path: `lookups.${source}`,
        name: `lookups at ${source} failed`,
        kind: "warn",
        value: failed + refused,
        rate: 0,
        advice: "Alarms have no hits of these lookups. The log has the reason: check the source.",
      };
    }
  }
}
