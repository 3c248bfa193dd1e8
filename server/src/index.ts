/** todoku inside an application: attach it to the HTTP server that is there already. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { ERRORS, TodokuError, checkChannel, type Json } from "@todoku/protocol";
import type { ConfigInput } from "./config.ts";
import { parseConfig } from "./config-file.ts";
import type { Operations } from "./gateway/operations.ts";
import type { Hooks } from "./hooks.ts";
import type { Published } from "./namespaces/publisher.ts";
import type { Platform } from "./platform.ts";
import { Todoku } from "./server.ts";

export { ERRORS, TodokuError, UNSUBSCRIBES, CLOSES } from "@todoku/protocol";
export type { ClientInfo, Json, Position } from "@todoku/protocol";
export { signToken, type TokenRequest } from "./auth/token.ts";
export { BackboneError } from "./backbones/contract.ts";
export type { Config, ConfigInput } from "./config.ts";
export { ConfigError } from "./config-error.ts";
export type { ChannelStats, NodeInfo, Operations, Target } from "./gateway/operations.ts";
export type { Caller, ConnectAttempt, ConnectDecision, Hooks, SubscribeDecision } from "./hooks.ts";
export type { Published } from "./namespaces/publisher.ts";

/** Which data travels on which channel; `Record<string, Json>` leaves it open. */
export type ChannelMap = Record<string, unknown>;

export interface PublishOptions {
  /** Idempotency key: within the namespace's window a repeat stores nothing and gives the first position. */
  readonly key?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

/** A running gateway inside this process. */
export interface EmbeddedTodoku<Channels extends ChannelMap> extends Operations {
  /** Takes the WebSockets of an HTTP server, at `/connection/websocket` unless `path` says otherwise. */
  attach(server: Server, path?: string): void;
  /**
   * Publishes from the server's side, past the namespace's rules. Resolves when the message is stored (or handed over,
   * at-most-once).
   *
   * @throws TodokuError 102 unknown channel, 400 too large, 402 certainly not stored, 403 outcome unknown, 405 storage full.
   */
  publish<C extends keyof Channels & string>(
    channel: C,
    data: Channels[C],
    options?: PublishOptions,
  ): Promise<Published>;
  /** The HTTP API, `/health` and `/metrics` as a request listener; calls `next` for other paths. */
  handler(request: IncomingMessage, response: ServerResponse, next?: () => void): void;
  /** Sends the clients elsewhere over `ms` (default 0: at once), finishing what is under way, and closes everything. */
  close(ms?: number): Promise<void>;
}

/**
 * Opens a gateway to be attached to an HTTP server (Express, Fastify, Hono, Nest…), with decisions in code.
 *
 * @throws ConfigError for a configuration that is wrong or promises what cannot be kept, BackboneError for a backbone that
 * cannot be opened.
 */
export async function createTodoku<Channels extends ChannelMap = Record<string, Json>>(
  config: ConfigInput,
  hooks: Hooks = {},
): Promise<EmbeddedTodoku<Channels>> {
  const todoku = await Todoku.open(parseConfig(config), { hooks });
  const api = todoku.api();
  const { operations, platform } = todoku;
  return {
    attach: (server, path) => todoku.attach(server, path),
    publish: (channel, data, options) => publishTo(platform, channel, data, options),
    handler: (request, response, next) => {
      void api(request, response).then((answered) => {
        if (answered) return;
        if (next) return next();
        response.statusCode = 404;
        response.end();
      });
    },
    close: (ms = 0) => todoku.drain(ms),
    presence: (channel) => operations.presence(channel),
    presenceStats: (channel) => operations.presenceStats(channel),
    channels: (pattern) => operations.channels(pattern),
    subscribe: (...given) => operations.subscribe(...given),
    unsubscribe: (...given) => operations.unsubscribe(...given),
    disconnect: (...given) => operations.disconnect(...given),
    refresh: (...given) => operations.refresh(...given),
    info: () => operations.info(),
  };
}

/** @throws TodokuError 107 for no channel name or data that JSON cannot hold, 102 for a namespace that is not configured. */
export async function publishTo(
  { namespaces, publisher }: Platform,
  channel: string,
  data: unknown,
  options: PublishOptions = {},
): Promise<Published> {
  const flaw = checkChannel(channel);
  if (flaw !== undefined) throw new TodokuError(ERRORS.badRequest, `channel ${flaw}`);
  const namespace = namespaces.of(channel);
  if (!namespace) throw new TodokuError(ERRORS.unknownChannel, `no namespace is configured for ${channel}`);
  const text = JSON.stringify(data) as string | undefined;
  if (text === undefined) throw new TodokuError(ERRORS.badRequest, "data is nothing that JSON can hold");
  return publisher.publish(namespace, channel, text, options);
}
