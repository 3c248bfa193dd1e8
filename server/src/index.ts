/** todoku inside an application: attach it to the HTTP server that is there already. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Json } from "@todoku/protocol";
import type { ConfigInput } from "./config.ts";
import { parseConfig } from "./config-file.ts";
import type { Operations } from "./gateway/operations.ts";
import type { Hooks } from "./hooks.ts";
import type { Published } from "./namespaces/publisher.ts";
import { Todoku } from "./server.ts";
import { publishTo, type ChannelMap, type PublishOptions } from "./typed-publish.ts";

export { ERRORS, TodokuError, UNSUBSCRIBES, CLOSES } from "@todoku/protocol";
export type { ClientInfo, Json, Position } from "@todoku/protocol";
export { signToken, type TokenRequest } from "./auth/token.ts";
export { BackboneError } from "./backbones/contract.ts";
export type { Config, ConfigInput } from "./config.ts";
export { ConfigError } from "./config-error.ts";
export type { ChannelStats, NodeInfo, Operations, Target } from "./gateway/operations.ts";
export type { Caller, ConnectAttempt, ConnectDecision, Hooks, SubscribeDecision } from "./hooks.ts";
export type { Published } from "./namespaces/publisher.ts";
export type { ChannelMap, PublishOptions } from "./typed-publish.ts";

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
  /**
   * The HTTP API, `/health` and `/metrics` as a request listener; calls `next` for other paths, also for those below `/api/`
   * that are no method of the API. Give it a prefix where the application has such paths itself: `app.use("/todoku", handler)`.
   */
  handler(request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void): void;
  /**
   * Sends the clients elsewhere over `ms` (default 0: at once), finishing what is under way, and closes everything. Where
   * somebody asked `/health` in the last minute it takes all of `ms`, so that a load balancer learns of it.
   */
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
  const api = todoku.api("application");
  const { operations, platform } = todoku;
  return {
    attach: (server, path) => todoku.attach(server, path),
    publish: (channel, data, options) => publishTo(platform, channel, data, options),
    handler: (request, response, next) => {
      const pass = (): void => {
        if (next) return next();
        response.statusCode = 404;
        response.end();
      };
      void api(request, response).then((answered) => (answered ? undefined : pass()));
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
