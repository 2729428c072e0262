// Tables whose rows are links, with keyboard, sorting and pages.

import { html, useMemo } from "../lib/html.js";
import { useKeys } from "../lib/keys.js";
import { go } from "../lib/router.js";
import { focusSearch } from "./controls.js";

/**
 * @typedef {{name: string, title: any, cell: (row: any) => any, kind?: string, sort?: string}} Column
 *   `kind`: class of its cells; `sort`: the name by which the service sorts
 */

/**
 * A table; each row is a link to its detail.
 * @param {{columns: Column[], rows: any[], keyOf: (row: any) => string, linkOf: (row: any) => string,
 *   current?: string, classOf?: (row: any) => string, kind: string, label: string,
 *   sorting?: {sort: string, reverse: boolean, linkTo: (sort: string, reverse: boolean) => string},
 *   former?: boolean}} props `former`: these are not yet the rows that were asked for
 */
export function Rows({
  columns,
  rows,
  keyOf,
  linkOf,
  current = "",
  classOf,
  kind,
  label,
  sorting,
  former = false,
}) {
  return html`<table class="rows ${kind}" role="table" aria-label=${label} aria-busy=${former}>
    <thead role="rowgroup"><tr role="row">${columns.map(
      (column) => html`<${Head} column=${column} sorting=${sorting} />`,
    )}</tr></thead>
    <tbody role="rowgroup">${rows.map(
      (row) => html`<${Row} key=${keyOf(row)} row=${row} columns=${columns}
      kind=${classOf?.(row) ?? ""} chosen=${keyOf(row) === current} link=${linkOf(row)} />`,
    )}</tbody></table>`;
}

/** One row; it is made anew only if something of it has changed. */
function Row({ row, columns, kind, chosen, link }) {
  const open = (event) => {
    if (!event.target.closest("a, button") && !getSelection()?.toString()) go(link);
  };
  const cells = useMemo(
    () =>
      columns.map(
        (column) =>
          html`<td role="cell" class="c-${column.name} ${column.kind ?? ""}">${column.cell(row)}</td>`,
      ),
    [row, columns],
  );
  return html`<tr role="row" class=${kind} onClick=${open} aria-current=${chosen ? "true" : undefined}>${cells}</tr>`;
}

function Head({ column, sorting }) {
  const kind = `c-${column.name} ${column.kind ?? ""}`;
  if (!sorting || !column.sort)
    return html`<th role="columnheader" class=${kind}>${column.title}</th>`;
  const sorted = sorting.sort === column.sort;
  const order = sorted ? (sorting.reverse ? "descending" : "ascending") : undefined;
  const to = sorting.linkTo(column.sort, sorted && !sorting.reverse);
  return html`<th role="columnheader" class=${kind} aria-sort=${order}>
    <a href=${to}>${column.title}<span class="arrow" aria-hidden="true">${
      sorted ? (sorting.reverse ? "▴" : "▾") : ""
    }</span></a></th>`;
}

/** The links to pages; "" where there is none. */
export function Pager({ first, next, children }) {
  if (!first && !next) return null;
  return html`<nav class="pager" aria-label="Pages">
    ${first ? html`<a href=${first} data-page="first">« First page</a>` : html`<span></span>`}
    <span class="muted">${children}</span>
    ${next ? html`<a href=${next} data-page="next" rel="next">Next page ›</a>` : html`<span class="muted">the end</span>`}
  </nav>`;
}

const rowLinks = () =>
  /** @type {HTMLElement[]} */ ([...document.querySelectorAll("table.rows a.row")]);

/** Move the focus by a number of rows; with a detail beside the list, open it. */
function move(step, event) {
  const links = rowLinks();
  if (!links.length) return;
  event.preventDefault();
  const focused = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const at = focused >= 0 ? focused : links.findIndex((link) => link.closest("[aria-current]"));
  const to = links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + step))];
  to.focus();
  to.scrollIntoView({ block: "nearest" });
  if (document.querySelector(".split-view.has-detail") && isBeside())
    go(to.getAttribute("href") ?? "", { replace: true });
}

/** Whether list and detail are beside each other. */
const isBeside = () => matchMedia("(min-width: 1100px)").matches;

function follow(page) {
  const target = document.querySelector(`[data-page="${page}"]`);
  if (target) go(target.getAttribute("href") ?? "");
}

/** The keys of a view with a list. @param {() => void} [close] closes what is open */
export function useRowKeys(close) {
  useKeys({
    j: (event) => move(1, event),
    ArrowDown: (event) => inList(event) && move(1, event),
    k: (event) => move(-1, event),
    ArrowUp: (event) => inList(event) && move(-1, event),
    n: () => follow("next"),
    p: () => history.back(),
    "/": focusSearch,
    Escape: (event) => leave(event, close),
  });
}

/** Arrows scroll where the focus is in something else. */
const inList = (event) => event.target === document.body || event.target.closest("table.rows");

function leave(event, close) {
  const field = event.target.closest("input, textarea, select");
  if (field) field.blur();
  else close?.();
}
