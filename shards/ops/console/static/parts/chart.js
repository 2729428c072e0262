// A line chart over time, painted by uPlot.

import uPlot from "../vendor/uplot.mjs";

const HEIGHT = 110;
const SYNC = "history";

loadStyle();

/** uPlot's style is loaded with it, at the first chart. */
function loadStyle() {
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("../vendor/uplot.css", import.meta.url).href;
  document.head.append(style);
}

/**
 * Paint a chart into a box, as wide as that.
 * @param {HTMLElement} box @param {string[]} names of the series @param {(value: number) => string} form
 * @param {() => {time: number, bad: boolean}[]} marks moments that are marked
 * @param {any[]} points times and values
 * @param {(index: number | null) => void} read is told over which point the pointer is
 * @returns {{update: (points: any[]) => void, destroy: () => void}}
 */
export function makeChart(box, names, form, marks, points, read) {
  const colour = (name) => resolve(box, name);
  const lines = ["--line-1", "--line-2", "--line-3"].map(colour);
  const grid = { stroke: colour("--grid"), width: 1 };
  const axis = {
    stroke: colour("--muted"),
    grid,
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const plot = new uPlot(
    {
      width: box.clientWidth,
      height: HEIGHT,
      padding: [6, 8, 0, 0],
      cursor: { sync: { key: SYNC }, drag: { x: false, y: false }, points: { size: 6 } },
      legend: { show: false },
      scales: {
        y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 0) * 1.1)] },
      },
      axes: [
        {
          ...axis,
          space: 60,
          size: 26,
          values: [
            [86400, "{D} {MMM}"],
            [3600, "{HH}:{mm}"],
            [60, "{HH}:{mm}"],
            [1, "{HH}:{mm}:{ss}"],
          ].map(axisRow),
        },
        { ...axis, size: 52, space: 26, values: (_, values) => values.map(form) },
      ],
      series: [
        {},
        ...names.map((name, n) => ({
          label: name,
          stroke: lines[n],
          width: 1.5,
          points: { show: showPoints },
          fill:
            names.length === 1
              ? lines[n].replace("rgb(", "rgba(").replace(")", ", 0.13)")
              : undefined,
        })),
      ],
      hooks: {
        setCursor: [(chart) => read(chart.cursor.idx ?? null)],
        draw: [(chart) => drawMarks(chart, marks(), colour("--bad"), colour("--muted"))],
      },
    },
    points,
    box,
  );
  const observer = new ResizeObserver(() =>
    plot.setSize({ width: box.clientWidth, height: HEIGHT }),
  );
  observer.observe(box);
  return {
    update: (now) => plot.setData(now),
    destroy: () => {
      observer.disconnect();
      plot.destroy();
    },
  };
}

/** Points are shown while there are so few that no line can be seen. */
const showPoints = (chart, line) => chart.data[line].filter((value) => value != null).length < 6;

/** A colour of the theme as `rgb(…)`, as a canvas wants it. */
function resolve(box, name) {
  box.style.color = `var(${name})`;
  const { color } = getComputedStyle(box);
  box.style.color = "";
  return color;
}

/** A row of uPlot's table of time formats: the same at each roll over. */
const axisRow = ([step, format]) => [step, format, null, null, null, null, null, null, 1];

/** A vertical line at each moment. */
function drawMarks(chart, marks, bad, other) {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const mark of marks) {
    const x = chart.valToPos(mark.time, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = mark.bad ? bad : other;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}
