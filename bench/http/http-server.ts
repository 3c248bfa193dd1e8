/** A server that takes publishes over HTTP, as scenarios start and speak to it. */
import { ContenderProcess } from "../contender-process.ts";

export interface HttpServer {
  /** As the tables call it. */
  readonly name: string;
  readonly versions?: () => Readonly<Record<string, string>>;
  /** Builds what must be built. Resolves with the reason where it cannot run here. */
  prepare?(): Promise<string | undefined>;
  /** Resolves when it answers on the port. */
  start(port: number): Promise<ContenderProcess>;
  /** It does nothing with what it is sent: nobody can subscribe to it. */
  readonly deaf?: boolean;
}

/** Of the channels that are published to. Centrifugo wants two letters or more. */
export const NAMESPACE = "ch";
/** Every server is given it, and checks that callers have it. */
export const API_KEY = "the benchmarks' key";
