/** A result as a table: the same on the terminal and in the docs. */
import { isLowest, type Result, type Row } from "./result.ts";
import { short } from "./table.ts";

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function tableOf({ rows, unit, digits, controls }: Result): Table {
  const loads = new Set(rows.map(({ load }) => load)).size > 1;
  const titles = [...new Set(rows.flatMap(({ details }) => Object.keys(details)))];
  const [server, generator] = [
    rows.some(({ serverShare }) => serverShare !== undefined),
    rows.some(({ generatorShare }) => generatorShare !== undefined),
  ];
  return {
    head: [
      "server",
      ...(loads ? ["load"] : []),
      unit,
      "spread",
      ...controls,
      ...titles,
      ...(server ? ["server"] : []),
      ...(generator ? ["generator"] : []),
      "remarks",
    ],
    rows: rows.map((row) => [
      row.server,
      ...(loads ? [row.load] : []),
      short(row.median, digits),
      `${short(row.min, digits)}–${short(row.max, digits)}`,
      ...controls.map((control) => row.ratios[control]?.median.toFixed(2) ?? ""),
      ...titles.map((title) => figure(row.details[title])),
      ...(server ? [percent(row.serverShare)] : []),
      ...(generator ? [percent(row.generatorShare)] : []),
      remarksOn(row),
    ]),
  };
}

/** Cores busy with other things above which figures are noise. */
const DISTURBED = 0.3;

function remarksOn({ faults, behind, generatorWasTheBottleneck, othersShare = 0 }: Row): string {
  return [
    ...faults,
    ...(behind ? ["cannot keep up"] : []),
    ...(generatorWasTheBottleneck ? ["the generator was the bottleneck"] : []),
    ...(othersShare > DISTURBED ? ["the machine was busy with other things"] : []),
  ].join("; ");
}

/** How it was run, in a few words. */
export function runOf({ repeats, pinned, cores }: Result): string {
  return [`${repeats} repeats`, ...(pinned ? (cores === undefined ? [] : [cores]) : ["processes not pinned"])].join(
    ", ",
  );
}

/** What was aimed at, a line each. */
export function goalsOf({ goals, better }: Result): readonly string[] {
  return goals.map((goal) => {
    const { contender, load, control, detail, bound, reached, met } = goal;
    const what = [contender, load, detail, control].filter(Boolean).join(", ");
    const sign = isLowest(goal, better) ? "≥" : "≤";
    const aim = `aimed at ${sign} ${bound}`;
    return reached === undefined
      ? `not measured: ${what}, ${aim}`
      : `${met ? "met" : "missed"}: ${what}: ${told(reached, bound, met)}, ${aim}`;
  });
}

const MOST_DIGITS = 6;

/** With as many digits as it takes to see on which side of the bound it is. */
function told(reached: number, bound: number, met: boolean): string {
  let digits = 2;
  const isHidden = (): boolean => !met && Number(reached.toFixed(digits)) === bound;
  while (isHidden() && digits < MOST_DIGITS) digits++;
  return reached.toFixed(digits);
}

function figure(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "";
  return short(value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

function percent(share: number | undefined): string {
  return share === undefined ? "" : `${(100 * share).toFixed(0)} %`;
}
