/** Which server a command talks to, and with which credentials. */
import { existsSync } from "node:fs";
import path from "node:path";
import type { Config } from "../config.ts";
import { CONFIG_FILE, loadConfig } from "../config-file.ts";
import { WEBSOCKET_PATH } from "../server.ts";
import { UsageError, type Arguments, type Terminal } from "./command.ts";
import { signingWith, type Signing } from "./signing.ts";

const STANDARD_URL = "http://localhost:8000";

export interface ServerAddress {
  /** `http:` or `https:`, without a slash at its end. */
  readonly url: string;
  readonly apiKey?: string;
  /** With it, the command can sign tokens of its own. */
  readonly signing?: Signing;
}

/**
 * `--url`, else `$TODOKU_URL`, else the server that todoku.yaml in this folder describes. Secrets of that file go to its own
 * server only.
 *
 * @param side Where the API is, or where clients connect; they differ with an internal listener.
 * @throws ConfigError for a broken todoku.yaml, UsageError for a URL that is none.
 */
export function serverAddress(args: Arguments, { env, folder }: Terminal, side: "api" | "clients"): ServerAddress {
  const apiKey = given(args.text("api-key")) ?? given(env["TODOKU_API_KEY"]);
  const url = given(args.text("url")) ?? given(env["TODOKU_URL"]);
  if (url !== undefined) return { url: parseUrl(url), ...(apiKey !== undefined && { apiKey }) };
  if (!existsSync(path.join(folder, CONFIG_FILE)))
    return { url: STANDARD_URL, ...(apiKey !== undefined && { apiKey }) };
  const config = loadConfig({ folder, env });
  const { auth } = config;
  const key = apiKey ?? auth.api_keys[0]?.key;
  const signing = signingWith(auth.jwt?.hmac, auth.jwt);
  return { url: urlOf(config, side), ...(key !== undefined && { apiKey: key }), ...(signing && { signing }) };
}

function urlOf({ http, internal }: Config, side: "api" | "clients"): string {
  const { host, port } = side === "api" ? (internal ?? http) : http;
  const scheme = http.tls && !(side === "api" && internal) ? "https" : "http";
  const everywhere = host === "0.0.0.0" || host === "::" || host === "127.0.0.1";
  return `${scheme}://${everywhere ? "localhost" : host.includes(":") ? `[${host}]` : host}:${port}`;
}

function parseUrl(text: string): string {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  const scheme = { "http:": "http:", "https:": "https:", "ws:": "http:", "wss:": "https:" }[url?.protocol ?? ""];
  if (!url || scheme === undefined)
    throw new UsageError(`--url takes an address such as http://localhost:8000, not ${JSON.stringify(text)}`);
  const base = url.pathname.replace(/\/+$/, "");
  return `${scheme}//${url.host}${base.endsWith(WEBSOCKET_PATH) ? base.slice(0, -WEBSOCKET_PATH.length) : base}`;
}

function given(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
