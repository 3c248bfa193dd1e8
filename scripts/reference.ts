/** The reference pages that are made from the code, by their path. */
import { keptResults } from "../bench/kept-results.ts";
import { CLIENT_ERRORS, CLOSES, ERRORS, UNSUBSCRIBES, type Code } from "../protocol/src/index.ts";
import { MEASURED_COSTS } from "../server/src/advise/measured-costs.ts";
import { COMMANDS } from "../server/src/cli/commands.ts";
import { configReference } from "../server/src/cli/config-reference.ts";
import { commandReference } from "../server/src/cli/help.ts";
import { Metrics } from "../server/src/api/metrics.ts";
import { openApiDocument } from "../server/src/api/openapi.ts";
import { VERSION } from "../server/src/version.ts";
import { benchmarkPages } from "./benchmarks-page.ts";
import { httpApiPage } from "./http-api-page.ts";
import { generated, table } from "./markdown.ts";

export function reference(): ReadonlyMap<string, string> {
  return new Map([
    ["docs/reference/codes.md", codesPage()],
    ["docs/reference/cli.md", cliPage()],
    ["docs/reference/config.md", configPage()],
    ["docs/reference/metrics.md", metricsPage()],
    ["docs/reference/costs.md", costsPage()],
    ["docs/reference/http-api.md", httpApiPage()],
    ["docs/reference/openapi.json", `${JSON.stringify(openApiDocument(VERSION), undefined, 2)}\n`],
    ...benchmarkPages(keptResults()),
  ]);
}

function codesPage(): string {
  return generated("Codes", "protocol/src/codes.ts", [
    "Every error, unsubscribe reason and close code, and what the receiver should do: `retry` (again, after a delay that " +
      "grows), `refresh` (get a new token first) or `stop` (trying again changes nothing).",
    "## Errors",
    'They answer one command (`{"id":…,"error":{"code","message","temporary"}}`) or one call of the HTTP API. ' +
      "Codes from 400 on are todoku's own.",
    codeTable(Object.values(ERRORS)),
    "## Unsubscribe reasons",
    'The server ended one subscription: `{"push":{"channel":…,"unsubscribe":{"code","reason"}}}`. ' +
      "From 2500 on the client subscribes again.",
    codeTable(Object.values(UNSUBSCRIBES)),
    "## Close codes",
    "The connection is over. 3000–3499 and 4000–4499 mean reconnect, 3500–3999 and 4500–4999 do not; codes of the " +
      "transport itself (below 3000) mean reconnect.",
    codeTable(Object.values(CLOSES)),
    "## The client's own errors",
    "They never cross the wire: the SDK rejects with them.",
    codeTable(Object.values(CLIENT_ERRORS)),
  ]);
}

function cliPage(): string {
  return generated("Command line", "server/src/cli/commands.ts", [
    "In a clone of the project `npm run todoku -- COMMAND` runs what `todoku COMMAND` runs where it is installed. On a " +
      "terminal the output is for people; elsewhere, or with `--json`, it is lines of JSON.",
    commandReference(COMMANDS).trimEnd(),
  ]);
}

function configPage(): string {
  return generated("Configuration", "server/src/config.ts", [configReference().trimEnd()]);
}

function costsPage(): string {
  const { on, processBytes, connectionBytes, channelBytes, publishMicros, ...micros } = MEASURED_COSTS;
  const kilobytes = (bytes: number): string => `${(bytes / 1000).toLocaleString("en")} KB`;
  const time = (value: number): string => `${value.toLocaleString("en")} µs`;
  const rows = [
    ["a process without connections", kilobytes(processBytes), ""],
    ["an authenticated connection with one subscription", kilobytes(connectionBytes), ""],
    ["a channel that a gateway follows", kilobytes(channelBytes), ""],
    ["a ping and its pong", "", time(micros.pingMicros)],
    ["a handshake, token, `connect` and subscribe", "", time(micros.connectMicros)],
    ...Object.entries(publishMicros).map(([delivery, value]) => [`a publish over HTTP, ${delivery}`, "", time(value)]),
    ["taking a message in from a broker (an estimate: twice the decoding of its frame)", "", time(micros.frameMicros)],
    [
      "a message of 100 bytes to one of thousands of connections, in a write of its own",
      "",
      time(micros.deliveryMicros),
    ],
  ];
  return generated("Costs", "server/src/advise/measured-costs.ts", [
    "What the parts of a load cost, for the sum of [How far it goes](../guide/scale.md) and `todoku advise`. " +
      `Measured on ${on}, by \`npm run bench -- costs --write\`. Memory is anonymous and resident (RssAnon): without the files of the program, which processes share, and without what the kernel keeps for sockets. Time is of one core.`,
    table(["what", "memory", "processor"], rows),
  ]);
}

function codeTable(codes: readonly Code[]): string {
  return table(
    ["code", "name", "message", "what to do"],
    codes.map(({ code, name, message, retry }) => [String(code), `\`${name}\``, message, retry]),
  );
}

function metricsPage(): string {
  return generated("Metrics", "server/src/api/metrics.ts", [
    "`GET /metrics` answers in the Prometheus text format, to who may call the API: with one of its keys, and with `auth.insecure` to " +
      "programs on this machine without. An `internal` listener asks for no key here. No label holds a user or a payload, nor a channel, but for the names of queues: a gateway shows those that it has worked with since it started, as many per namespace as `queue.metrics` says. Beside these there are " +
      "`prom-client`'s metrics of the process (`process_*`, `nodejs_*`).",
    table(
      ["metric", "labels", "what it counts"],
      new Metrics()
        .describe()
        .map(({ name, labels, help }) => [`\`${name}\``, labels.map((label) => `\`${label}\``).join(", "), help]),
    ),
    "Under `todoku serve --workers` they are those of all processes together, whichever answers, and a process that ends takes nothing out of a sum: see " +
      "[all cores of a machine](../guide/all-cores.md).",
    "Histograms (`publish_seconds`, `delivery_seconds`) come as `_bucket`, `_sum` and `_count`.",
    "The gauges of queues (`todoku_queue_*`) say how a queue stands in its store, which is asked at most every five seconds however often " +
      "the metrics are read. Gateways that share a store say the same: take `max by (queue, group, state)`, not the sum. " +
      "A gateway that was just started shows a queue once somebody enqueues or consumes there.",
    "## What to watch",
    [
      '- `todoku_publishes_total{outcome!~"stored|duplicate"}` rising: publishers are refused; the outcome names the [code](codes.md).',
      "- `todoku_backbone_errors_total` rising: the broker is in trouble; `/health/ready` says which.",
      '- `todoku_catch_ups_total{reason="slow"}`: readers that cannot keep up. They cost reads of the log, not memory.',
      "- `todoku_gaps_total`: subscribers were told that messages are missing. `retention` means that they were away longer than messages are kept.",
      "- `todoku_drops_total`: at-most-once channels lost messages for slow readers.",
      "- `todoku_dead_letters_total`: handlers keep failing.",
      "- `todoku_queue_oldest_age_seconds` rising: a group has too few workers, or none; `todoku_queue_kept_jobs` beside no " +
        "`todoku_queue_jobs` means that no group has ever consumed.",
      '- `todoku_queue_jobs{state="dead"}` above 0: jobs failed for good, and wait for [`todoku dead`](cli.md).',
    ].join("\n"),
  ]);
}
