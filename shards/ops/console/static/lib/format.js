// Numbers, times and durations as texts.

const NUMBER = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** `12,345`; `–` if it is not known. @param {number | null | undefined} number */
export const count = (number) => (number == null ? "–" : NUMBER.format(number));

/** `12.3K` @param {number | null | undefined} number */
export const compact = (number) =>
  number == null
    ? "–"
    : Math.abs(number) < 10000
      ? NUMBER.format(round(number))
      : COMPACT.format(number);

/** `1 alarm`, `2 alarms` @param {number} number @param {string} noun */
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** @param {number} number */
const round = (number) =>
  Math.abs(number) < 10 ? Math.round(number * 10) / 10 : Math.round(number);

/** `1,234/s` @param {number | null | undefined} number */
export const rate = (number) => (number == null ? "–" : `${compact(number)}/s`);

const two = (number) => String(number).padStart(2, "0");

/** Time of day in the viewer's zone: `15:04:05`. @param {number} time seconds since the epoch */
export function clock(time) {
  const at = new Date(time * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `15:04` @param {number} time */
export const shortClock = (time) => clock(time).slice(0, 5);

/** `27 Nov 2026, 15:04:05` in the viewer's zone. @param {number} time */
export function dateTime(time) {
  const at = new Date(time * 1000);
  return `${at.getDate()} ${MONTHS[at.getMonth()]} ${at.getFullYear()}, ${clock(time)}`;
}

/** The time of day if it is today, else `26 Nov 15:04`. @param {number} time */
export function nearTime(time) {
  const at = new Date(time * 1000);
  if (at.toDateString() === new Date().toDateString()) return clock(time);
  return `${at.getDate()} ${MONTHS[at.getMonth()]} ${shortClock(time)}`;
}

/** `2026-11-27T15:04:05.123Z` @param {number} time */
export function utc(time) {
  const at = new Date(time * 1000);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}

/** `45 s`, `3 min`, `2 h 5 min`, `3 d 4 h` @param {number} seconds */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600)
    return s < 600 && s % 60
      ? `${Math.floor(s / 60)} min ${s % 60} s`
      : `${Math.floor(s / 60)} min`;
  if (s < 86400) return joined(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return joined(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
}

const joined = (large, unit, small, smallUnit) =>
  `${large} ${unit}${small ? ` ${small} ${smallUnit}` : ""}`;

/** Seconds as `2.1 ms` or `1.3 s`. @param {number | null | undefined} seconds */
export function latency(seconds) {
  if (seconds == null) return "–";
  return seconds < 1 ? `${round(seconds * 1000)} ms` : `${round(seconds)} s`;
}

/** The viewer's time zone, such as `Europe/Berlin`. */
export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
