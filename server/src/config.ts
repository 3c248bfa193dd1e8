/**
 * The one schema of the configuration. Defaults, environment names, `todoku config`, the JSON Schema and
 * `docs/reference/config.md` are all made from it.
 */
import { z } from "zod";
import { DELIVERIES } from "./backbones/contract.ts";
import { backboneSchema } from "./backbones/registry.ts";
import { storageSchema } from "./storage/registry.ts";
import { backoff, bytes, duration, optionalBytes, optionalDuration, rate } from "./units.ts";

/** Who may do a thing on the channels of a namespace. */
export const ACCESS = ["none", "any", "authenticated", "subscribers", "token"] as const;
export type Access = (typeof ACCESS)[number];

const access = z.enum(ACCESS);

/** `writeOnly` is what keeps a value out of everything that prints the configuration. */
const secret = z.string().min(16).meta({ writeOnly: true });

const tls = z
  .strictObject({
    cert: z.string().describe("PEM file with the certificate chain; read again when it changes."),
    key: z.string().describe("PEM file with the private key."),
  })
  .describe("Serve TLS.");

const http = z.strictObject({
  host: z.string().min(1).default("127.0.0.1").describe("Address to listen on; `0.0.0.0` for all."),
  port: z.int().min(0).max(65535).default(8000).describe("Port; 0 takes a free one."),
  tls: tls.optional(),
  trusted_proxies: z
    .array(z.string())
    .default([])
    .describe("Addresses or CIDR ranges whose `X-Forwarded-For` is believed."),
});

const internal = z.strictObject({
  host: z.string().min(1).default("127.0.0.1").describe("Address of the internal listener."),
  port: z.int().min(0).max(65535).default(9000).describe("Port of the internal listener."),
});

const client = z.strictObject({
  allowed_origins: z
    .array(z.string())
    .default([])
    .describe(
      "Exact origins that browsers may connect from; `*` allows all. The server's own origin is always allowed.",
    ),
  ping: duration("25s", "1s").describe("Time between pings."),
  pong: duration("8s", "100ms").describe("Time within which a ping must be answered."),
  connect_timeout: duration("10s", "100ms").describe("Time within which `connect` must arrive."),
  queue_bytes: bytes("1MiB").describe(
    "Most bytes that wait for one connection; beyond it its readers fall back to the log.",
  ),
  queue_bytes_total: optionalBytes.describe(
    "Most bytes that wait for all connections of a process together; beyond it those that do not read fall back to the log, and at a quarter more " +
      "those for which most waits are cut. Default: a quarter of the memory that there is, divided among the `workers`.",
  ),
  message_bytes: bytes("64KiB").describe("Largest `data` of one message."),
  frame_bytes: bytes("256KiB").describe("Largest WebSocket frame from a client."),
  frame_commands: z.int().min(1).default(1000).describe("Most commands in one frame."),
  json_depth: z.int().min(4).default(64).describe("Deepest nesting of JSON from a client."),
  channels: z.int().min(1).default(128).describe("Most subscriptions of one connection."),
  connections_per_user: z.int().min(0).default(0).describe("Most connections of one user; 0: no limit."),
  connections: z.int().min(0).default(0).describe("Most connections of one process; 0: no limit."),
  unauthenticated_per_address: z
    .int()
    .min(1)
    .default(100)
    .describe("Most connections of one address that have not sent `connect` yet."),
  history_limit: z.int().min(1).default(1000).describe("Most messages in one history answer."),
  rate: z
    .strictObject({
      commands: rate("200/s").describe("Commands of one connection."),
      publish: rate("50/s").describe("Publishes of one connection."),
      subscribe: rate("100/s").describe("Subscribes of one connection."),
      user: rate("500/s").describe("Commands of one user over all connections."),
      connects: rate("100/s").describe("Connection attempts of one address."),
    })
    .prefault({})
    .describe("Rates, as `N/s` or `N/m`, with a burst of one period; `off` lifts one."),
  compression: z.boolean().default(false).describe("Offer permessage-deflate."),
  beacon: duration("5s", "100ms").describe("How often the heads of the log are compared with what was delivered live."),
});

const auth = z.strictObject({
  jwt: z
    .strictObject({
      hmac: secret.optional().describe("Shared secret for HS256/384/512, at least 16 characters."),
      jwks: z.url().optional().describe("URL of a key set."),
      public_key: z.string().optional().describe("PEM text or file with a public key."),
      algorithms: z
        .array(z.string())
        .min(1)
        .optional()
        .describe("Accepted algorithms. Default: HS256 with `hmac`; RS256 and ES256 otherwise."),
      issuer: z.string().optional().describe("Required `iss`."),
      audience: z.string().optional().describe("Required `aud`."),
    })
    .optional()
    .describe("How connection and subscription tokens are checked; exactly one of hmac, jwks, public_key."),
  api_keys: z
    .array(
      z.strictObject({
        id: z.string().describe("Name of the key in logs."),
        key: secret.describe("The key, at least 16 characters."),
      }),
    )
    .default([])
    .describe("Keys of the HTTP API."),
  insecure: z
    .boolean()
    .default(false)
    .describe("Anyone may connect, and the API is open on loopback. For development; refused with `production: true`."),
});

const retention = z.strictObject({
  age: optionalDuration("1ms").describe("Messages older than this may be removed."),
  messages: z.int().min(1).optional().describe("Most messages kept per channel."),
  bytes: optionalBytes.describe("Most bytes of `data` kept per channel."),
});

const queue = z
  .strictObject({
    backbone: z.string().optional().describe("Backbone of the queues, if another."),
    lease: duration("30s").describe("How long a job is leased, where the consumer asks for nothing else."),
    max_attempts: z.int().min(1).default(5).describe("Attempts after which a job is given up."),
    backoff: backoff("1s..5m").describe("Delay after the first and, doubling, after later failed attempts."),
    dead_letters: z.boolean().default(true).describe("Keep jobs that were given up as dead letters; else forget them."),
    ttl: optionalDuration("1ms").describe(
      "A job that nobody has taken for so long is forgotten; refused at start where the backbone cannot. Default: never.",
    ),
    deliver_at: z
      .boolean()
      .optional()
      .describe(
        "Jobs may be held back until a time; `true` is refused at start where the backbone cannot. Default: where it can.",
      ),
    in_flight: z.int().min(1).max(10_000).default(100).describe("Most jobs that one consumer may hold at once."),
    metrics: z
      .int()
      .min(0)
      .max(1000)
      .default(20)
      .describe("Most queues that /metrics shows one by one: their names become labels there. 0: none."),
  })
  .describe("The channels are queues: each message is a job, handed to one consumer of each group until it is done.");

export const namespaceSchema = z.strictObject({
  backbone: z.string().optional().describe("Name of the backbone of all facets."),
  bus: z.string().optional().describe("Backbone of the bus, if another."),
  log: z.string().optional().describe("Backbone of the log, if another."),
  cursors: z.string().optional().describe("Backbone of the cursors, if another."),
  queue: queue.optional(),
  delivery: z
    .enum(DELIVERIES)
    .default("at-most-once")
    .describe("The promise; refused at start-up where the facets cannot keep it."),
  dedupe: optionalDuration().describe(
    "Window within which a repeated idempotency key stores nothing; `0s` for none. Default with a log: 10m.",
  ),
  retention: retention
    .optional()
    .describe("How long messages are kept. Default with a log: 7 days, 10,000 messages per channel."),
  storage: z.string().optional().describe("Storage that keeps what the log may forget. Default: none."),
  broadcast: z
    .boolean()
    .default(false)
    .describe("Everyone gets everything: spread each channel over all servers of the bus, where it can."),
  subscribe: access.default("authenticated").describe("Who may subscribe."),
  publish: access.default("none").describe("Who may publish from a client."),
  consume: access.default("none").describe("Who may consume from a queue; `subscribers` is nobody."),
  history: access.default("subscribers").describe("Who may read history."),
  presence: access.default("none").describe("Who may ask for presence; other than `none` turns it on."),
  join_leave: z.boolean().default(false).describe("Subscribers are told who joins and leaves."),
  info: z.boolean().default(true).describe("Publications of clients carry who published them."),
  redelivery: z
    .strictObject({
      max_attempts: z.int().min(1).default(5).describe("Failed attempts after which a message is given up."),
      backoff: backoff("1s..1m").describe("Delay before the first and, doubling, before later attempts."),
      dead_letters: z
        .string()
        .optional()
        .describe("Channel that receives given-up messages. Without it the subscription stops."),
    })
    .prefault({})
    .describe("What happens to a message whose handler fails."),
});

const workers = z
  .union([z.int().min(1).max(512), z.literal("auto")], { error: "must be auto or a number from 1 to 512" })
  .default(1)
  .describe("Processes that serve clients on one port, under `todoku serve`; `auto`: one per core.");

export const configSchema = z.strictObject({
  production: z.boolean().default(false).describe("Refuse insecure settings."),
  http: http.prefault({}).describe("The listener for clients and, without `internal`, everything else."),
  internal: internal.optional().describe("A second listener for API and metrics; the first then serves clients only."),
  workers,
  client: client.prefault({}).describe("Limits and timing of client connections."),
  auth: auth.prefault({}).describe("Who may connect and call the API."),
  log: z
    .strictObject({
      level: z
        .enum(["debug", "info", "warn", "error", "silent"])
        .default("info")
        .describe("The least important lines that are written."),
    })
    .prefault({})
    .describe("What the program writes about itself."),
  drain: duration("10s").describe(
    "Time over which clients are sent elsewhere on SIGTERM, and who asks `/health` learns that none may come.",
  ),
  backbones: z
    .record(z.string().regex(/^[a-z][a-z0-9_-]*$/), backboneSchema)
    .default({})
    .describe("The brokers, by a name of your choice."),
  storage: z
    .record(z.string().regex(/^[a-z][a-z0-9_-]*$/), storageSchema)
    .default({})
    .describe("Databases behind the brokers, by a name of your choice."),
  namespaces: z
    .record(z.string().regex(/^([a-z][a-z0-9_-]*)?$/), namespaceSchema)
    .default({})
    .describe("The namespaces, by the part of the channel before the colon."),
});

export type Config = z.output<typeof configSchema>;
export type ConfigInput = z.input<typeof configSchema>;
export type NamespaceConfig = z.output<typeof namespaceSchema>;
