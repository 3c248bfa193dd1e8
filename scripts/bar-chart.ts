/** Bars as an SVG that brings its own background, so that it can be read on light and on dark pages. */

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** As it is written beside the bar. */
  readonly text: string;
  readonly min: number;
  readonly max: number;
  /** Ours, among those of others. */
  readonly accent: boolean;
}

export interface BarGroup {
  /** "" for a chart of one group. */
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 760;
const MARGIN = 16;
const LABELS = 290;
const FIGURES = 80;
const ROW = 22;
const HEADING = 34;
const BARS = WIDTH - 2 * MARGIN - LABELS - FIGURES;

const STYLE = `
  .card { fill: #ffffff; stroke: #d0d7de } text { font: 12px system-ui, sans-serif; fill: #1f2328 } .heading { font-weight: 600 }
  .bar { fill: #afb8c1 } .ours { fill: #0969da } .spread { stroke: #57606a; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #30363d } text { fill: #e6edf3 } .bar { fill: #484f58 } .ours { fill: #2f81f7 } .spread { stroke: #9198a1 }
  }`;

/** Each group has a scale of its own: its longest bar fills the width. */
export function barChart(title: string, unit: string, groups: readonly BarGroup[]): string {
  const parts: string[] = [];
  let y = MARGIN;
  for (const { title: heading, bars } of groups) {
    y += HEADING;
    parts.push(
      `<text class="heading" x="${MARGIN}" y="${y - 10}">${escape([heading, unit].filter(Boolean).join(": "))}</text>`,
    );
    const scale = BARS / Math.max(...bars.map(({ max }) => max));
    for (const bar of bars) {
      parts.push(...drawn(bar, y, scale));
      y += ROW;
    }
  }
  const height = y + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<style>${STYLE}\n</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="6"/>`,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

function drawn({ label, value, text, min, max, accent }: Bar, y: number, scale: number): readonly string[] {
  const left = MARGIN + LABELS;
  const middle = y + ROW / 2;
  const x = (of: number): string => (left + of * scale).toFixed(1);
  return [
    `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${escape(label)}</text>`,
    `<rect class="bar${accent ? " ours" : ""}" x="${left}" y="${y + 3}" width="${Math.max(1, value * scale).toFixed(1)}" height="${ROW - 6}"/>`,
    `<path class="spread" d="M${x(min)} ${middle}H${x(max)}"/>`,
    `<text x="${(left + max * scale + 6).toFixed(1)}" y="${middle + 4}">${escape(text)}</text>`,
  ];
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
