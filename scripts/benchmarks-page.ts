/** The page of benchmarks and its charts, made from the kept results: nothing is measured for it. */
import { goalsOf, runOf, tableOf } from "../bench/report.ts";
import type { Result } from "../bench/result.ts";
import { short } from "../bench/table.ts";
import { barChart } from "./bar-chart.ts";
import { generated, table } from "./markdown.ts";

const PAGE = "docs/reference/benchmarks.md";

/** The page and its charts, by their path. */
export function benchmarkPages(results: readonly Result[]): ReadonlyMap<string, string> {
  return new Map([[PAGE, pageOf(results)], ...results.map((result) => [imageOf(result), chartOf(result)] as const)]);
}

function pageOf(results: readonly Result[]): string {
  return generated("Benchmarks", "bench/results/*.json", [
    "Each table compares servers within one run: another machine gives other figures, and about the same ratios. The control rows are a " +
      "loop in C that does nothing but the kernel's work (the limit) and a bare loop on Node's `ws` (the floor); the peers run with " +
      "the settings that their documentation recommends for production, in several rows where it has several.",
    [
      "- Every server is started anew in every repeat, and they take turns, so that what disturbs the machine hits all alike.",
      "- Servers have one core, what loads them the other. A row says so where the generator had no time left.",
      "- What arrives is counted, and compared byte by byte where deliveries, durable publishes, brokers, the storage, queues and the SDK are measured. " +
        "Where thousands of clients come, go or stop, it is counted, and offsets are followed. What was lost, repeated or wrong stands in the row.",
      "- Latency counts from the moment when a message was due, not from when it was sent.",
      "- A row is the median of all repeats, with the smallest and the largest; ratios are medians of the ratios within a repeat.",
    ].join("\n"),
    "Measure it yourself: `npm run bench -- all --write` measures what does not take long, `npm run bench -- apart --write` the rest, and both write this page; " +
      "[bench/README.md](../../bench/README.md) says how it works. [`todoku bench`](cli.md) puts the same load on a deployment of yours.",
    ...(results.length === 0 ? ["There are no results yet."] : results.flatMap(sectionOf)),
  ]);
}

function sectionOf(result: Result): readonly string[] {
  const { title, about, scenario, command, date, machine, versions, absent, unit } = result;
  const { head, rows } = tableOf(result);
  const goals = goalsOf(result);
  const missing = Object.entries(absent);
  return [
    `## ${title}`,
    about,
    `![${title}: ${unit}; the figures are in the table](../images/bench-${scenario}.svg)`,
    table(head, rows),
    ...(goals.length === 0 ? [] : [goals.map((goal) => `- ${goal}`).join("\n")]),
    ...(missing.length === 0 ? [] : [missing.map(([name, why]) => `- Not measured: ${name}: ${why}`).join("\n")]),
    `\`${command}\` on ${date}: ${runOf(result)}; ` +
      `${machine.cores} × ${machine.processor}, ${machine.memoryGB} GB, ${machine.system}; ` +
      `${Object.entries(versions)
        .map((pair) => pair.join(" "))
        .join(", ")}.`,
  ];
}

function imageOf({ scenario }: Result): string {
  return `docs/images/bench-${scenario}.svg`;
}

function chartOf({ title, unit, rows, digits }: Result): string {
  const loads = [...new Set(rows.map(({ load }) => load))];
  return barChart(
    title,
    unit,
    loads.map((load) => ({
      title: load,
      bars: rows
        .filter((row) => row.load === load)
        .map(({ server, median, min, max }) => ({
          label: server,
          value: median,
          text: short(median, digits),
          min,
          max,
          accent: server.startsWith("todoku"),
        })),
    })),
  );
}
