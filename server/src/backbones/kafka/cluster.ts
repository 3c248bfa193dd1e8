/** The brokers of a Kafka cluster: who leads which partition, and the calls that this backbone makes. */
import { readFileSync } from "node:fs";
import {
  Base,
  ConnectionPool,
  deleteRecordsV2,
  initProducerIdV4,
  initProducerIdV5,
  listOffsetsV7,
  listOffsetsV8,
  listOffsetsV9,
  type Broker,
  type ConnectionOptions,
} from "@platformatic/kafka";
import { asBackboneError, CODE, invalid, unavailable } from "./failure.ts";
import { encodeBatch } from "./record-batch.ts";
import {
  COMMITTED,
  FETCH,
  fetchRecords,
  PRODUCE,
  produce,
  type FetchedPartition,
  type ProducedPartition,
} from "./record-calls.ts";
import type { NewRecord } from "./records.ts";
import type { KafkaSettings } from "./settings.ts";

const CONNECT_MS = 2000;
/** A broker that does not answer for so long is taken for away, and its partitions' new leader is looked for. */
const ANSWER_MS = 3000;
/** How long a broker lets a fetch wait for something to come. */
const POLL_MS = 500;
/** Leaders are asked for at most so often. */
const REFRESH_PAUSE_MS = 100;
const EARLIEST = -2n;
const LATEST = -1n;

const LIST_OFFSETS = [listOffsetsV9, listOffsetsV8, listOffsetsV7] as const;
const DELETE_RECORDS = [deleteRecordsV2] as const;
const INIT_PRODUCER_ID = [initProducerIdV5, initProducerIdV4] as const;

/** Who leads a partition. */
export interface Leader {
  /** Negative while there is none. */
  readonly broker: number;
  /** Kafka's leader epoch: grows whenever it is decided who leads. */
  readonly epoch: number;
}

/** A topic as the cluster has it. */
export interface Topic {
  readonly name: string;
  readonly id: string;
  /** Of each partition. */
  readonly leaders: readonly Leader[];
  readonly replicas: number;
}

/** A topic that was made anew has another id: what was in the old one is lost. */
export function epochOf({ id }: Topic): string {
  return id.replaceAll("-", "").slice(0, 16);
}

/** A partition that its leader is asked about. */
export interface Asked {
  readonly topic: Topic;
  readonly partition: number;
  /** Leader epoch of the newest record that was read of it; absent or negative if none was. */
  readonly lastEpoch?: number;
}

/** Where `lastEpoch` is given, the answer says whether the record before `offset` is still there. */
export interface FetchFrom extends Asked {
  readonly offset: number;
  readonly maxBytes: number;
}

/** Which connection a call takes: one that waits for news is not to hold up the others. */
export type Line = "follow" | "read" | "write";

/** Records of one partition that carry one producer's sequence. */
export interface Batch {
  readonly topic: string;
  readonly partition: number;
  readonly sequence: number;
  readonly records: readonly NewRecord[];
}

export interface Producer {
  readonly id: bigint;
  readonly epoch: number;
}

export class KafkaCluster {
  readonly name: string;
  readonly options: ConnectionOptions & { readonly clientId: string; readonly bootstrapBrokers: string[] };
  readonly #topics = new Map<string, Topic>();
  readonly #wanted = new Set<string>();
  #client: Base | undefined;
  #pools: Record<Line, ConnectionPool> | undefined;
  #brokers = new Map<number, Broker>();
  #versions: { readonly [name: string]: { readonly minVersion: number; readonly maxVersion: number } } = {};
  #refreshing: Promise<void> | undefined;
  #refreshedAt = 0;

  constructor(name: string, { brokers, tls, sasl }: KafkaSettings) {
    this.name = name;
    this.options = {
      clientId: "todoku",
      bootstrapBrokers: [...brokers],
      connectTimeout: CONNECT_MS,
      requestTimeout: ANSWER_MS,
      ...(tls && {
        tls: {
          ...(tls.ca !== undefined && { ca: readFileSync(tls.ca) }),
          ...(tls.cert !== undefined && { cert: readFileSync(tls.cert) }),
          ...(tls.key !== undefined && { key: readFileSync(tls.key) }),
        },
        tlsServerName: tls.server_name ?? true,
      }),
      ...(sasl && { sasl: { mechanism: sasl.mechanism, username: sasl.username, password: sasl.password } }),
    };
  }

  /** @throws BackboneError when no broker can be reached. */
  async open(): Promise<void> {
    const { clientId } = this.options;
    this.#client = new Base({ ...this.options, retries: 2, retryDelay: REFRESH_PAUSE_MS });
    this.#pools = {
      follow: new ConnectionPool(clientId, { ...this.options, requestTimeout: POLL_MS + ANSWER_MS }),
      read: new ConnectionPool(clientId, { ...this.options }),
      write: new ConnectionPool(clientId, { ...this.options, requestTimeout: ANSWER_MS + 500 }),
    };
    try {
      const apis = await this.#client.listApis();
      this.#versions = Object.fromEntries(apis.map((api) => [api.name, api]));
      await this.refresh();
    } catch (error) {
      await this.close();
      const failure = asBackboneError(this.name, error, "read");
      if (failure.reason === "invalid") throw failure;
      const where = this.options.bootstrapBrokers.join(", ");
      const why = failure.message.replace(`[${this.name}] `, "");
      throw unavailable(
        this.name,
        `cannot connect to ${where} (${why}). Is Kafka running? Set backbones.${this.name}.brokers`,
        {
          cause: error,
        },
      );
    }
  }

  async close(): Promise<void> {
    const { follow, read, write } = this.#pools ?? {};
    const client = this.#client;
    this.#pools = undefined;
    this.#client = undefined;
    const all = [client, follow, read, write].filter((one) => one !== undefined);
    await Promise.all(all.map((one) => one.close().catch(() => {})));
  }

  get brokers(): ReadonlyMap<number, Broker> {
    return this.#brokers;
  }

  /** The topic as it was last seen. */
  topic(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  leaderOf({ name }: Topic, partition: number): number | undefined {
    const { broker = -1 } = this.#topics.get(name)?.leaders[partition] ?? {};
    return broker < 0 ? undefined : broker;
  }

  /** Looks for a topic, from now on with every refresh. Resolves with undefined if there is none. */
  async find(name: string): Promise<Topic | undefined> {
    const known = this.#topics.get(name);
    if (known) return known;
    const client = this.#opened();
    try {
      await client.metadata({ topics: [name], forceUpdate: true });
    } catch (error) {
      if (error instanceof Error && /Unknown topic|UNKNOWN_TOPIC/.test(String(error))) return undefined;
      throw asBackboneError(this.name, error, "read");
    }
    this.#wanted.add(name);
    await this.refresh();
    return this.#topics.get(name);
  }

  /** Asks who leads what. Calls at the same time ask once. */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  async fetch(
    line: Line,
    node: number,
    from: readonly FetchFrom[],
    waitMs = line === "follow" ? POLL_MS : 0,
  ): Promise<ReadonlyMap<string, ReadonlyMap<number, FetchedPartition>>> {
    const byTopic = Map.groupBy(from, ({ topic }) => topic.id);
    const topics = [...byTopic].map(([topicId, wanted]) => ({
      topicId,
      partitions: wanted.map((asked) => ({
        partition: asked.partition,
        currentLeaderEpoch: this.#leaderEpochOf(asked),
        fetchOffset: BigInt(asked.offset),
        lastFetchedEpoch: asked.lastEpoch ?? -1,
        partitionMaxBytes: asked.maxBytes,
      })),
    }));
    const most = from.reduce((sum, { maxBytes }) => sum + maxBytes, 0);
    const version = pick("Fetch", FETCH, this.#versions, this.name);
    const connection = await this.#connection(line, node);
    return fetchRecords(connection, version, { waitMs, maxBytes: Math.min(most, 64 << 20), topics });
  }

  /** Where a partition ends (the next offset that will be given), or begins. Undefined where its leader did not say. */
  async listOffsets(
    node: number,
    of: readonly Asked[],
    which: "earliest" | "latest",
  ): Promise<readonly (number | undefined)[]> {
    const timestamp = which === "earliest" ? EARLIEST : LATEST;
    const topics = [...Map.groupBy(of, ({ topic }) => topic.name)].map(([name, wanted]) => ({
      name,
      partitions: wanted.map((asked) => ({
        partitionIndex: asked.partition,
        currentLeaderEpoch: this.#leaderEpochOf(asked),
        timestamp,
      })),
    }));
    const list = pick("ListOffsets", LIST_OFFSETS, this.#versions, this.name);
    const connection = await this.#connection("read", node);
    const answer = await evenIfPartly(list.api.async(connection, -1, COMMITTED, topics));
    return of.map(({ topic, partition }) => {
      const found = answer.topics
        .find(({ name }) => name === topic.name)
        ?.partitions.find(({ partitionIndex }) => partitionIndex === partition);
      return found?.errorCode === CODE.NONE ? Number(found.offset) : undefined;
    });
  }

  /** Lets the partition begin at `offset`. @throws BackboneError where its leader does not do it. */
  async deleteRecords(node: number, { name }: Topic, partition: number, offset: number): Promise<void> {
    const remove = pick("DeleteRecords", DELETE_RECORDS, this.#versions, this.name);
    const partitions = [{ partitionIndex: partition, offset: BigInt(offset) }];
    try {
      await remove.api.async(await this.#connection("read", node), [{ name, partitions }], ANSWER_MS);
    } catch (error) {
      throw asBackboneError(this.name, error, "read");
    }
  }

  /** A name under which the brokers recognise a batch that is sent again. */
  async newProducer(): Promise<Producer> {
    const init = pick("InitProducerId", INIT_PRODUCER_ID, this.#versions, this.name);
    const [node] = this.#brokers.keys();
    let failure: unknown = unavailable(this.name, "no broker is known");
    for (const candidate of node === undefined ? [] : this.#brokers.keys()) {
      try {
        const { producerId, producerEpoch } = await init.api.async(
          await this.#connection("read", candidate),
          null,
          0,
          -1n,
          -1,
        );
        return { id: producerId, epoch: producerEpoch };
      } catch (error) {
        failure = error;
      }
    }
    throw asBackboneError(this.name, failure, "read");
  }

  /** Resolves with the leader's answer for each batch; undefined where it gave none. */
  async produce(
    node: number,
    { id, epoch }: Producer,
    acks: number,
    batches: readonly Batch[],
  ): Promise<readonly (ProducedPartition | undefined)[]> {
    const version = pick("Produce", PRODUCE, this.#versions, this.name);
    const now = Date.now();
    const encoded = batches.map(({ topic, partition, sequence, records }) => {
      const name = { producerId: id, producerEpoch: epoch, sequence };
      return { topic, partition, bytes: encodeBatch(records, name, now) };
    });
    const connection = await this.#connection("write", node);
    const answer = await evenIfPartly(produce(connection, version, { acks, timeoutMs: ANSWER_MS, batches: encoded }));
    return batches.map(({ topic, partition }) =>
      answer.responses.find(({ name }) => name === topic)?.partitionResponses.find(({ index }) => index === partition),
    );
  }

  async #refresh(): Promise<void> {
    const pause = this.#refreshedAt + REFRESH_PAUSE_MS - performance.now();
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
    const client = this.#opened();
    const names = [...this.#wanted];
    const ask = async (topics: string[]): Promise<void> => {
      const metadata = await client.metadata({ topics, forceUpdate: true });
      this.#brokers = new Map(metadata.brokers);
      for (const [name, topic] of metadata.topics) {
        if (!topic) continue;
        const known = this.#topics.get(name);
        const leaders = Array.from(topic.partitions, (partition, i) => {
          const now = { broker: partition?.leader ?? -1, epoch: partition?.leaderEpoch ?? -1 };
          const before = known?.id === topic.id ? known.leaders[i] : undefined;
          // Who has been cut off may not know yet that another one leads.
          return before && before.epoch > now.epoch ? before : now;
        });
        const replicas = Math.min(...topic.partitions.map((partition) => partition?.replicas.length ?? 0));
        this.#topics.set(name, { name, id: topic.id, leaders, replicas });
      }
    };
    try {
      await ask(names);
    } catch (error) {
      if (!/Unknown topic|UNKNOWN_TOPIC/.test(String(error))) throw asBackboneError(this.name, error, "read");
      // One that was deleted is not to hide the others.
      for (const name of names) await ask([name]).catch(() => this.#topics.delete(name));
    } finally {
      this.#refreshedAt = performance.now();
    }
  }

  /**
   * The leader epoch that an answer must come from at least. A broker that was replaced without knowing it would otherwise speak for a log that it has
   * a part of only: told an epoch that it does not know, it answers with an error.
   *
   * Source: `current_leader_epoch` of Kafka's KIP-320.
   */
  #leaderEpochOf({ topic, partition, lastEpoch = -1 }: Asked): number {
    const known = this.#topics.get(topic.name);
    if (known?.id !== topic.id) return -1;
    return Math.max(known.leaders[partition]?.epoch ?? -1, lastEpoch);
  }

  async #connection(line: Line, node: number): Promise<Awaited<ReturnType<ConnectionPool["get"]>>> {
    const pool = this.#pools?.[line];
    const broker = this.#brokers.get(node);
    if (!pool) throw unavailable(this.name, "the backbone is closed");
    if (!broker) throw unavailable(this.name, `broker ${node} is not known`);
    return pool.get(broker);
  }

  #opened(): Base {
    if (!this.#client) throw unavailable(this.name, "the backbone is closed");
    return this.#client;
  }
}

interface Versioned {
  readonly api: { readonly version: number };
}

/** The newest version of a call that the brokers understand. */
function pick<T extends Versioned>(
  call: string,
  known: readonly T[],
  versions: { readonly [name: string]: { readonly minVersion: number; readonly maxVersion: number } },
  name: string,
): T {
  const { minVersion = 0, maxVersion = -1 } = versions[call] ?? {};
  const found = known.find(({ api: { version } }) => version >= minVersion && version <= maxVersion);
  if (found) return found;
  throw invalid(
    name,
    `these brokers speak ${call} in versions ${minVersion} to ${maxVersion}, and ${known.map(({ api }) => api.version).join(", ")} are known. ` +
      "Use Apache Kafka 3.1 or newer",
  );
}

/** The client rejects where one partition of several failed; the answer for all is in its error. */
async function evenIfPartly<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof Error && "response" in error && error.response !== undefined) return error.response as T;
    throw error;
  }
}
