/** What the listeners of all runtimes have in common: whom they hand connections to, and by which rules. */
import type { RateLimiter } from "../../auth/rate.ts";
import type { Clock } from "../../clock.ts";
import type { Handshake, Socket, SocketEvents } from "../socket.ts";
import type { TrustedProxies } from "./address.ts";

/** What a listener hands connections to. */
export interface Acceptor {
  readonly connections: number;
  accept(socket: Socket, handshake: Handshake): SocketEvents;
}

export interface ListenerOptions {
  /** Path of the upgrade. */
  readonly path: string;
  readonly allowedOrigins: readonly string[];
  readonly trustedProxies: TrustedProxies;
  /** Largest frame in bytes. */
  readonly frameBytes: number;
  readonly compression: boolean;
  /** Most connections; 0: no limit. */
  readonly connections: number;
  /** Most connections of one address without `connect`. */
  readonly unauthenticatedPerAddress: number;
  /** Connection attempts by address. */
  readonly attempts: RateLimiter;
  readonly clock: Clock;
}

export interface Listener {
  /** Refuses new connections from now on. */
  refuseAll(): void;
  /**
   * Refuses new connections, and resolves when the open ones are closed. Those that do not end by themselves within `ms` are
   * cut. Whoever calls this has asked them to close.
   */
  closed(ms: number): Promise<void>;
}
