/**
 * The picture of a set of results: how each figure stands to what is wanted.
 *
 *   figures ──median and spread against target──> bars on a logarithmic axis (SVG)
 *
 * To the right of 1 × is better than wanted, whether the figure is to be high or low.
 */

import * as echarts from "echarts";
import { type Figure, median } from "./measurement.ts";
import type { Row } from "./results.ts";

const WIDTH = 940;
const ROW_HEIGHT = 24;
const MARGIN = { left: 470, right: 30, top: 56, bottom: 40 };
const REACHED = "#2a7f62";
const MISSED = "#b3402e";
/** Where a name is cut. */
const MAX_NAME = 68;

/** Rows without a target are left out. `parts`: what stands before their names, and the rows. */
export function pictureOf(parts: readonly (readonly [string, readonly Row[]])[]): string {
  const rows = parts.flatMap(([before, figures]) =>
    figures.flatMap((figure) => {
      const own = standing(figure);
      return own === null ? [] : [{ name: short(`${before}${nameOf(figure, figures)}`), ...own }];
    }),
  );
  const chart = echarts.init(null, null, {
    renderer: "svg",
    ssr: true,
    width: WIDTH,
    height: MARGIN.top + rows.length * ROW_HEIGHT + MARGIN.bottom,
  });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    title: { text: "Measured, against what is wanted", left: 10, top: 10 },
    grid: MARGIN,
    xAxis: {
      type: "log",
      name: "times better than wanted; the line is the spread of the runs",
      nameLocation: "middle",
      nameGap: 24,
      axisLabel: { formatter: (value: number) => `${value} ×` },
    },
    yAxis: {
      type: "category",
      inverse: true,
      data: rows.map(({ name }) => name),
      axisTick: { show: false },
      axisLabel: { fontSize: 12 },
    },
    series: [barsOf(rows), spreadOf(rows)],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

interface Bar {
  readonly name: string;
  readonly middle: number;
  readonly least: number;
  readonly most: number;
}

/** Against the target, 1 where it is just reached; null: there is none, or nothing was measured. */
export function standing({ samples, target }: Figure): Omit<Bar, "name"> | null {
  if (target === null || samples.length === 0) return null;
  const against = (value: number) =>
    target.is === "at least" ? value / target.value : target.value / value;
  const all = samples.map(against);
  return { middle: against(median(samples)), least: Math.min(...all), most: Math.max(...all) };
}

/** Rows that say "the same" are named with what they are the same as. */
function nameOf(figure: Row, figures: readonly Row[]): string {
  const whole = figures.find(({ benchmark }) => benchmark === figure.benchmark) ?? figure;
  const same = whole.what.replace(/([:,]| over ).*$/, "");
  return figure.what.replace(/^the same/, same).replaceAll("`", "");
}

function short(name: string): string {
  return name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME - 1)}…`;
}

/** From 1 × to the median. */
function barsOf(rows: readonly Bar[]) {
  return {
    type: "bar" as const,
    barWidth: 12,
    data: rows.map(({ middle }) => ({
      value: middle,
      itemStyle: { color: middle >= 1 ? REACHED : MISSED },
    })),
    markLine: {
      symbol: "none",
      silent: true,
      label: { show: false },
      lineStyle: { color: "#333333", type: "solid" as const },
      data: [{ xAxis: 1 }],
    },
  };
}

function spreadOf(rows: readonly Bar[]) {
  return {
    type: "custom" as const,
    data: rows.map(({ least, most }, index) => [least, most, index]),
    encode: { x: [0, 1], y: 2 },
    renderItem: (
      _: unknown,
      api: { value(at: number): number; coord(point: readonly number[]): number[] },
    ) => {
      const [from = 0, y = 0] = api.coord([api.value(0), api.value(2)]);
      const [to = 0] = api.coord([api.value(1), api.value(2)]);
      const shape = { x1: from, y1: y, x2: to, y2: y };
      return { type: "line" as const, shape, style: { stroke: "#222222", lineWidth: 2 } };
    },
  };
}
