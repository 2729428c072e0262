// Texts of events are written by attackers too. As text nodes they cannot become markup; this makes
// visible what could still deceive: control characters, escape sequences, changes of direction, and
// characters without width.

const HIDDEN =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\u{e0000}-\u{e0fff}]|\p{Cs}|\p{Co}/gu;

/** The sign for a character that cannot be seen. @param {string} character */
export function sign(character) {
  const code = /** @type {number} */ (character.codePointAt(0));
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/**
 * The parts of a text: plain ones as they are, hidden characters as `{sign}`.
 * @param {string} text @param {boolean} [lines] whether line ends stay as they are
 * @returns {(string | {sign: string})[]}
 */
export function visibleParts(text, lines = false) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (lines && match[0] === "\n") continue;
    if (match.index > end) parts.push(text.slice(end, match.index));
    parts.push({ sign: sign(match[0]) });
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push(text.slice(end));
  return parts;
}

/** The same as one text, for tooltips and the title of the page. @param {string} text */
export const visible = (text) => text.replace(HIDDEN, sign);
