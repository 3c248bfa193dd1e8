/** The todoku.yaml that `todoku init` writes. */

/** The backbones that a newcomer can start with: those that need nothing installed. */
export const BACKBONES_TO_START_WITH = ["embedded", "memory"] as const;
export type StartingBackbone = (typeof BACKBONES_TO_START_WITH)[number];

export interface Start {
  readonly backbone: StartingBackbone;
  readonly production: boolean;
  readonly jwtSecret: string;
  readonly apiKey: string;
}

export function startingConfig(start: Start): string {
  return [
    "# todoku.yaml: what this server does. Every key has a default; `todoku config docs` explains them all.",
    "# `${VAR}` in a text is replaced from the environment, and TODOKU_HTTP_PORT and its like win over the file.",
    "# After a change: `todoku check`.",
    "",
    ...listeners(start),
    ...auth(start),
    ...backbones(start),
    ...namespaces(start),
    "",
  ].join("\n");
}

function listeners({ production }: Start): string[] {
  if (!production)
    return ["http:", "  host: 127.0.0.1   # this machine only; 0.0.0.0 for all addresses", "  port: 8000", ""];
  return [
    "production: true   # insecure settings are refused",
    "",
    "# Clients connect here: wss://your.host/connection/websocket",
    "http:",
    "  host: 0.0.0.0",
    "  port: 8000",
    "  # Either a proxy in front speaks TLS, and is named here so that clients' addresses are known …",
    "  # trusted_proxies: [10.0.0.0/8]",
    "  # … or todoku does; renewed files are taken up without a restart.",
    "  # tls: { cert: /etc/todoku/cert.pem, key: /etc/todoku/key.pem }",
    "",
    "# The API, health and metrics, for your own network only.",
    "internal:",
    "  host: 127.0.0.1",
    "  port: 9000",
    "",
    "client:",
    "  # The pages that may connect, besides those of this server's own address.",
    "  allowed_origins: []   # such as [https://app.example.com]",
    "",
    "drain: 30s   # over this time clients are sent elsewhere when the server is told to end",
    "",
  ];
}

function auth({ jwtSecret, apiKey }: Start): string[] {
  return [
    "auth:",
    "  jwt:",
    "    # Your back end signs connection tokens with it (`sub` is the user); `todoku token --user ada` makes one.",
    `    hmac: ${jwtSecret}`,
    "    # Or keys of an identity provider: jwks: https://login.example.com/.well-known/jwks.json",
    "  api_keys:",
    "    # Your back end publishes with it: POST /api/publish, header X-API-Key.",
    "    - id: backend",
    `      key: ${apiKey}`,
    "",
  ];
}

function backbones({ backbone }: Start): string[] {
  return [
    "backbones:",
    "  local:",
    ...(backbone === "embedded"
      ? [
          "    type: embedded   # a durable log in this process: survives restarts, one server",
          "    path: ./todoku-data",
        ]
      : ["    type: memory   # nothing survives a restart, so it can promise at-most-once and no more"]),
    "",
  ];
}

function namespaces({ backbone, production }: Start): string[] {
  const clients = production ? "none" : "subscribers";
  return [
    "# A channel is `namespace:rest`. Each namespace says how its messages are carried, what is promised, and who may:",
    "# none, any, authenticated (whoever has a connection token), subscribers, token (a subscription token for the channel).",
    "namespaces:",
    "  ticker:",
    "    # The newest value counts: nothing is kept, a message may be lost, none is repeated.",
    "    backbone: local",
    "    delivery: at-most-once",
    "    subscribe: authenticated",
    "  chat:",
    ...(backbone === "embedded"
      ? [
          "    # Nothing is lost while it is kept; after a failure a message may come twice.",
          "    backbone: local",
          "    delivery: at-least-once",
          "    retention: { age: 7d, messages: 10000 }   # per channel",
        ]
      : [
          "    # The last messages are there for those who come later, until a restart.",
          "    backbone: local",
          "    delivery: at-most-once",
          "    retention: { age: 1h, messages: 1000 }   # per channel",
        ]),
    "    subscribe: authenticated",
    `    publish: ${clients}   # clients; the API may always`,
    "    presence: subscribers",
    ...(backbone === "embedded"
      ? [
          "  orders:",
          "    # A publish repeated with its key within the window is stored once, and handlers see each message once.",
          "    backbone: local",
          "    delivery: exactly-once",
          "    dedupe: 10m",
          "    retention: { age: 7d, messages: 10000 }",
          "    subscribe: token",
        ]
      : []),
  ];
}
