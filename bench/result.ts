/** What a run of a scenario came to: medians and spread of all repeats, compared with the controls of the same run. */
import { machine, type Machine } from "./machine.ts";
import type { Control, Goal, Measured, Scenario } from "./scenario.ts";

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Row extends Spread {
  readonly server: string;
  readonly load: string;
  /** One of each repeat. */
  readonly values: readonly number[];
  /** By the control's title: the median of the ratios within each repeat. */
  readonly ratios: Readonly<Record<string, Spread>>;
  readonly details: Readonly<Record<string, number>>;
  readonly serverShare?: number;
  readonly generatorShare?: number;
  /** What loads the server had no time left: the server may be better than the figure. */
  readonly generatorWasTheBottleneck: boolean;
  /** Cores that were busy with anything else. */
  readonly othersShare?: number;
  readonly behind: boolean;
  readonly faults: readonly string[];
}

export interface Met extends Goal {
  /** Absent where the row, or what it is compared with, was not measured. */
  readonly reached?: number;
  readonly met: boolean;
}

export interface Result {
  readonly scenario: string;
  readonly title: string;
  readonly about: string;
  readonly unit: string;
  readonly better: "more" | "less";
  readonly digits: number;
  readonly command: string;
  readonly date: string;
  readonly repeats: number;
  readonly pinned: boolean;
  /** What ran on which core; absent in older results. */
  readonly cores?: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly controls: readonly string[];
  readonly rows: readonly Row[];
  readonly goals: readonly Met[];
  /** Contenders without rows, and why. */
  readonly absent: Readonly<Record<string, string>>;
}

const CORES = "servers on one core, what calls them on the other";
/** Above this share of its core a generator may have held the server back. */
const SATURATED = 0.9;

/** @param measured By contender: what each repeat came to. */
export function resultOf(
  scenario: Scenario,
  measured: ReadonlyMap<string, readonly (readonly Measured[])[]>,
  run: {
    command: string;
    repeats: number;
    pinned: boolean;
    versions: Record<string, string>;
    absent: Record<string, string>;
  },
): Result {
  const loads = [...new Set([...measured.values()].flat(2).map(({ load }) => load))];
  const rows = loads.flatMap((load) =>
    [...measured].flatMap(([server, repeats]) => {
      const ofLoad = (of: string): readonly (Measured | undefined)[] =>
        measured.get(of)?.map((one) => one.find((row) => row.load === load)) ?? [];
      return repeats.some((one) => one.some((row) => row.load === load)) ? [rowOf(scenario, server, load, ofLoad)] : [];
    }),
  );
  const { name, title, about, unit, better, digits = 0, controls, cores = CORES } = scenario;
  return {
    scenario: name,
    title,
    about,
    unit,
    better,
    digits,
    cores,
    date: new Date().toISOString().slice(0, 10),
    ...run,
    machine: machine(),
    controls: controls.map(({ title }) => title),
    rows,
    goals: (scenario.goals ?? []).map((goal) => judged(goal, rows, scenario)),
  };
}

function rowOf(
  scenario: Scenario,
  server: string,
  load: string,
  ofLoad: (server: string) => readonly (Measured | undefined)[],
): Row {
  const repeats = ofLoad(server);
  const present = repeats.filter((one) => one !== undefined);
  const shares = (of: (one: Measured) => number | undefined): number | undefined => {
    const known = present.map(of).filter((share) => share !== undefined);
    return known.length === 0 ? undefined : median(known);
  };
  const ratios: Record<string, Spread> = {};
  for (const { title, contenders, compared } of scenario.controls) {
    if (contenders.includes(server) || compared?.includes(server) === false) continue;
    const best = bestOf(contenders.map(ofLoad), scenario.better);
    const each = repeats.flatMap((one, i) => {
      const control = best?.[i]?.value;
      return one && control ? [one.value / control] : [];
    });
    if (each.length > 0) ratios[title] = spread(each);
  }
  const titles = [...new Set(present.flatMap(({ details = {} }) => Object.keys(details)))];
  // What a repeat could not tell, such as the latency of what never came in time, the row does not tell either.
  const details = titles.flatMap((title) => {
    const told = present.flatMap((one) => one.details?.[title] ?? []);
    return told.length === present.length ? [[title, median(told)] as const] : [];
  });
  const serverShare = shares((one) => one.serverShare);
  const generatorShare = shares((one) => one.generatorShare);
  const othersShare = shares((one) => one.othersShare);
  const values = present.map(({ value }) => value);
  return {
    server,
    load,
    values,
    ...spread(values),
    ratios,
    details: Object.fromEntries(details),
    ...(serverShare !== undefined && { serverShare }),
    ...(generatorShare !== undefined && { generatorShare }),
    ...(othersShare !== undefined && { othersShare }),
    generatorWasTheBottleneck: (generatorShare ?? 0) > SATURATED,
    behind: present.some(({ behind }) => behind === true),
    faults: [...new Set(present.flatMap(({ faults = [] }) => faults))],
  };
}

/** The one with the best median: a control of several contenders is the best that it can be. */
function bestOf(
  contenders: readonly (readonly (Measured | undefined)[])[],
  better: "more" | "less",
): readonly (Measured | undefined)[] | undefined {
  const medianOf = (repeats: readonly (Measured | undefined)[]): number =>
    median(repeats.flatMap((one) => (one ? [one.value] : [])));
  return contenders
    .filter((repeats) => repeats.some((one) => one !== undefined))
    .toSorted((a, b) => (better === "more" ? medianOf(b) - medianOf(a) : medianOf(a) - medianOf(b)))[0];
}

function judged(goal: Goal, rows: readonly Row[], { better, controls }: Scenario): Met {
  const { contender, load, bound } = goal;
  const row = rows.find((one) => one.server === contender && one.load === load);
  const reached = row && reachedBy(row, goal, rows, controls);
  if (reached === undefined || !Number.isFinite(reached)) return { ...goal, met: false };
  return { ...goal, reached, met: isLowest(goal, better) ? reached >= bound : reached <= bound };
}

/** Whether the bound is the least that is aimed at, or the most. */
export function isLowest({ side, detail }: Goal, better: Scenario["better"]): boolean {
  return side === undefined ? better === "more" && detail === undefined : side === "at least";
}

function reachedBy(
  row: Row,
  { load, control, detail }: Goal,
  rows: readonly Row[],
  controls: readonly Control[],
): number | undefined {
  if (detail === undefined) return control === undefined ? row.median : row.ratios[control]?.median;
  const own = row.details[detail];
  if (control === undefined || own === undefined) return own;
  const rivals = controls.find(({ title }) => title === control)?.contenders ?? [];
  const theirs = rows.flatMap((one) =>
    one.load === load && rivals.includes(one.server) ? [one.details[detail] ?? Infinity] : [],
  );
  // Without one that is finite, it is compared with nothing.
  return Math.min(...theirs) === Infinity ? undefined : own / Math.min(...theirs);
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
