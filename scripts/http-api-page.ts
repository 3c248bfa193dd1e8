/** The reference of the HTTP API, made from the routes and their schemas. */
import { z } from "zod";
import type { Route } from "../server/src/api/route.ts";
import { ROUTES } from "../server/src/api/routes.ts";
import { generated, table } from "./markdown.ts";

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly default?: unknown;
}

const EXAMPLES: Readonly<Record<string, string>> = {
  publish: '{"channel":"orders:7","data":{"total":12},"idempotency_key":"order-17"}',
  broadcast: '{"channels":["chat:1","chat:2"],"data":{"text":"hi"}}',
  batch: '{"commands":[{"publish":{"channel":"chat:1","data":1}},{"publish":{"channel":"chat:2","data":2}}]}',
  subscribe: '{"user":"ann","channel":"chat:42"}',
  unsubscribe: '{"user":"ann","channel":"chat:42"}',
  disconnect: '{"user":"ann"}',
  refresh: '{"user":"ann","expired":true}',
  presence: '{"channel":"chat:42"}',
  presence_stats: '{"channel":"chat:42"}',
  history: '{"channel":"chat:42","limit":10}',
  history_remove: '{"channel":"chat:42"}',
  queue_info: '{"queue":"jobs:resize"}',
  queue_pause: '{"queue":"jobs:resize","paused":false}',
  queue_forget: '{"queue":"jobs:resize","group":"old"}',
  dead_list: '{"queue":"jobs:resize","limit":10}',
  dead_show: '{"queue":"jobs:resize","ids":["1"]}',
  dead_replay: '{"queue":"jobs:resize","ids":["1"]}',
  dead_purge: '{"queue":"jobs:resize","all":true}',
  channels: '{"pattern":"chat:*"}',
  info: "{}",
};

export function httpApiPage(): string {
  return generated("HTTP API", "server/src/api/routes.ts", [
    [
      '`POST /api/<method>` with a JSON body answers `{"result": …}` or `{"error": {"code", "message"}}` ([codes](codes.md)). ' +
        "The calls are those of Centrifugo's server API, so its publishing libraries work unchanged; positions and `duplicate` are additions.",
      "",
      "- **Who may call.** A key of `auth.api_keys`, as `X-API-Key: KEY` or `Authorization: apikey KEY`. With `auth.insecure`, " +
        "programs on this machine may call without one.",
      "- **Idempotency.** `idempotency_key` in the body, or the header `Idempotency-Key`: within the namespace's `dedupe` window a " +
        "repeated key stores nothing and gives the first position with `duplicate: true`.",
      "- **Status.** 200 for every call that was understood, also when `error` says that it failed; 401 without a key, 404 for an " +
        "unknown method, 400, 405, 408 and 413 for what is no proper request.",
      "- **Machine-readable.** [openapi.json](openapi.json), which the server also answers at `/api/openapi.json`.",
      "- **Beside it.** `GET /health/live`, `GET /health/ready` (also `/health`), `GET /metrics` ([metrics](metrics.md)).",
      "- **While it drains** `/health/ready` answers 503 with the status `draining`, new WebSockets are refused and calls of the API " +
        "work on. If somebody asked it in the last minute, that lasts for all of `drain`, so that a load balancer notices; else until " +
        "the last client has gone.",
    ].join("\n"),
    ...ROUTES.flatMap(section),
  ]);
}

function section(route: Route): string[] {
  const call = `curl -s localhost:8000/api/${route.method} -d '${EXAMPLES[route.method] ?? "{}"}'`;
  return [
    `## ${route.method}`,
    route.summary,
    `\`\`\`sh\n${call}\n\`\`\``,
    ...fields("Request", z.toJSONSchema(route.request, { io: "input", unrepresentable: "any" })),
    ...fields("Result", z.toJSONSchema(route.result, { io: "output", unrepresentable: "any" })),
  ];
}

function fields(title: string, schema: unknown): string[] {
  const { properties = {}, required = [] } = schema as Schema;
  const rows = Object.entries(properties).map(([name, field]) => [
    `\`${name}\``,
    `${typeOf(field)}${required.includes(name) ? "" : ", optional"}`,
    field.description ?? "",
  ]);
  return rows.length === 0 ? [] : [table([title.toLowerCase(), "type", ""], rows)];
}

function typeOf(schema: Schema): string {
  const { type, items, properties, additionalProperties } = schema;
  if (type === "array") return `array of ${items ? typeOf(items) : "anything"}`;
  if (properties) return `object {${Object.keys(properties).join(", ")}}`;
  if (type === "object") {
    return typeof additionalProperties === "object" ? `object of ${typeOf(additionalProperties)}` : "object";
  }
  return `${type ?? "any JSON"}${bounds(schema)}`;
}

function bounds({ minimum, maximum, minLength, maxLength, default: standard }: Schema): string {
  const least = minimum ?? minLength;
  const most = maximum ?? maxLength;
  const words = [
    ...(least !== undefined && least > Number.MIN_SAFE_INTEGER ? [`≥ ${least}`] : []),
    ...(most !== undefined && most < Number.MAX_SAFE_INTEGER ? [`≤ ${most}`] : []),
    ...(standard === undefined ? [] : [`default \`${JSON.stringify(standard)}\``]),
  ];
  return words.length === 0 ? "" : ` (${words.join(", ")})`;
}
