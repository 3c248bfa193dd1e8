/** What other programs leave in the brokers, published as if it had come through the API. */
import { checkChannel, TodokuError, ERRORS, tooDeep } from "@todoku/protocol";
import type { Backbone, IngestEntry, IngestVerdict } from "./backbones/contract.ts";
import type { Namespace, Namespaces } from "./namespaces/namespace.ts";
import type { Publisher } from "./namespaces/publisher.ts";

export interface IngestionOptions {
  readonly namespaces: Namespaces;
  readonly publisher: Publisher;
  /** Deepest nesting of `data`. */
  readonly depth: number;
  /** Told of every entry that can never be published. */
  readonly refused: (namespace: Namespace | undefined, why: string) => void;
}

/** Errors of a publish that stay, however often it is repeated. */
const FINAL: ReadonlySet<number> = new Set([
  ERRORS.badRequest.code,
  ERRORS.messageTooLarge.code,
  ERRORS.keyExpired.code,
]);

export class Ingestion {
  readonly #options: IngestionOptions;
  readonly #stops: (() => Promise<void>)[] = [];

  constructor(options: IngestionOptions) {
    this.#options = options;
  }

  /** Begins with every backbone that offers it. @throws BackboneError. */
  async start(backbones: Iterable<Backbone>): Promise<void> {
    for (const { ingest } of backbones) {
      if (ingest) this.#stops.push(await ingest.start((entry) => this.#take(entry)));
    }
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    await Promise.all(this.#stops.splice(0).map((stop) => stop()));
  }

  async #take(entry: IngestEntry): Promise<IngestVerdict> {
    const { channel = "", data, tags } = entry;
    const { namespaces, publisher, depth } = this.#options;
    const flaw = checkChannel(channel);
    if (flaw !== undefined) return this.#refuse(undefined, `channel ${flaw}`);
    const namespace = namespaces.of(channel);
    if (!namespace) return this.#refuse(undefined, "channel has a namespace that is not configured");
    if (data === undefined) return this.#refuse(namespace, "there is no data");
    // Whoever had it may have published it, and here no message may come twice.
    if (!namespace.log && entry.again) return "taken";
    let text: string;
    let labels: Readonly<Record<string, string>> | undefined;
    try {
      text = jsonText(data, depth);
      labels = tags === undefined ? undefined : tagsIn(tags);
    } catch (error) {
      if (error instanceof Flaw) return this.#refuse(namespace, error.message);
      throw error;
    }
    try {
      const key = entry.key ?? `ingest ${entry.id}`;
      await publisher.publish(namespace, channel, text, { key, ...(labels && { tags: labels }) });
      return "taken";
    } catch (error) {
      if (error instanceof TodokuError && FINAL.has(error.code)) return this.#refuse(namespace, error.message);
      throw error;
    }
  }

  #refuse(namespace: Namespace | undefined, why: string): IngestVerdict {
    this.#options.refused(namespace, why);
    return { refused: why };
  }
}

class Flaw extends Error {
  override readonly name = "Flaw";
}

/** JSON in one line, as it must stand in a frame. @throws Flaw that quotes nothing of it. */
function jsonText(data: string, depth: number): string {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    throw new Flaw("data is not JSON");
  }
  if (tooDeep(value, depth)) throw new Flaw(`data is nested deeper than ${depth}`);
  return data.replaceAll("\n", " ");
}

/** @throws Flaw. */
function tagsIn(text: string): Readonly<Record<string, string>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Flaw("tags is no JSON object");
  if (!Object.values(value).every((tag) => typeof tag === "string"))
    throw new Flaw("tags has a value that is no string");
  return value as Record<string, string>;
}
