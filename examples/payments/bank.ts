/** All of the bank: Kafka, PostgreSQL, two gateways behind a balancer, and the ledger. Whatever of it is killed is started again. */
import { randomUUID } from "node:crypto";
import path from "node:path";
import { Admin } from "@platformatic/kafka";
import { Pool } from "pg";
import { ownServers } from "../../scripts/brokers/own-servers.ts";
import { freePorts, type ServerProcess } from "../../scripts/brokers/server-process.ts";
import { startBalancer } from "../balancer.ts";
import { Processes, type ProcessState } from "../processes.ts";
import { ENTRIES, type Machines } from "./messages.ts";

export interface Bank {
  readonly url: string;
  /** Of PostgreSQL. */
  readonly database: string;
  /** `gateway 1`, `gateway 2`, `ledger`, `Kafka`, `PostgreSQL`, each with its process id while it runs. */
  readonly machines: readonly ProcessState[];
  close(): Promise<void>;
}

const TOLD_EVERY_MS = 500;
const START_AGAIN_MS = 300;

/** @throws Error with the reason why a broker cannot be had. */
export async function startBank({ port }: { readonly port: number }): Promise<Bank> {
  const [kafka, postgres] = await bothServers();
  const [broker = ""] = kafka.urls;
  const [database = ""] = postgres.urls;
  const servers = [new Watched("Kafka", kafka.servers), new Watched("PostgreSQL", postgres.servers)];
  const pool = new Pool({ connectionString: database, max: 1, connectionTimeoutMillis: 5000, query_timeout: 5000 });
  pool.on("error", () => {});
  let kafkaFrom = 1;

  const ports = await freePorts(2);
  const balancer = await startBalancer(ports, port);
  const url = balancer.url.replace("ws://127.0.0.1", "http://localhost");
  const env = { LEDGER_KEY: randomUUID() };
  const at = (file: string): string => path.join(import.meta.dirname, file);

  const tell = (): void => processes?.tell({ machines: machines(), kafkaFrom } satisfies Machines);
  const machines = (): readonly ProcessState[] => [...processes.states, ...servers.map(({ state }) => state)];
  const processes: Processes = new Processes({
    specs: [
      ...ports.map((own, i) => ({
        name: `gateway ${i + 1}`,
        script: at("gateway.ts"),
        args: [String(own), broker, database],
        env,
      })),
      { name: "ledger", script: at("ledger.ts"), args: [url, database], env },
    ],
    changed: () => {},
    said: (message) => void asked(message as { method?: string; data?: unknown }),
    pauseMs: START_AGAIN_MS,
  });
  const telling = setInterval(() => {
    for (const server of servers) server.look();
    tell();
  }, TOLD_EVERY_MS);

  function kill(name: string): void {
    if (!processes.kill(name)) servers.find((server) => server.name === name)?.kill();
  }

  /** Removes from Kafka what PostgreSQL has: as time would, and at once. */
  async function forget(): Promise<void> {
    const archived = await pool.query<{ last: string }>("select last from todoku.standings where channel = $1", [
      ENTRIES,
    ]);
    const [{ last } = { last: "0" }] = archived.rows;
    const admin = new Admin({ clientId: "payments", bootstrapBrokers: [broker], timeout: 5000, retries: 2 });
    try {
      const partitions = [{ partition: 0, offset: BigInt(last) }];
      const [topic] = await admin.deleteRecords({ topics: [{ name: "todoku.ledger", partitions }] });
      kafkaFrom = Number(topic?.partitions[0]?.lowWatermark ?? 0) + 1;
    } finally {
      await admin.close();
    }
    tell();
  }

  async function asked({ method, data }: { method?: string; data?: unknown }): Promise<void> {
    if (method === "kill") kill(String(data));
    // It can be asked for again, when what it needs is there.
    if (method === "forget") await forget().catch((error: unknown) => console.error(String(error)));
  }

  return {
    url,
    database,
    get machines() {
      return machines();
    },
    close: async () => {
      clearInterval(telling);
      await processes.close();
      balancer.close();
      await pool.end();
      await Promise.all(servers.map((server) => server.idle()));
      await Promise.all([kafka.end(), postgres.end()]);
    },
  };
}

type Servers = Awaited<ReturnType<typeof ownServers>>;

/** Kafka and PostgreSQL, both or neither. */
async function bothServers(): Promise<[kafka: Servers, postgres: Servers]> {
  const [kafka, postgres] = await Promise.allSettled([ownServers("kafka"), ownServers("postgres")]);
  if (kafka.status === "fulfilled" && postgres.status === "fulfilled") return [kafka.value, postgres.value];
  for (const one of [kafka, postgres]) if (one.status === "fulfilled") await one.value.end();
  throw kafka.status === "rejected" ? kafka.reason : (postgres as PromiseRejectedResult).reason;
}

/** A server that is started again on its port and its data when it has died. */
class Watched {
  readonly name: string;
  readonly #server: ServerProcess;
  #deaths = 0;
  #starting: Promise<void> | undefined;

  constructor(name: string, servers: readonly ServerProcess[]) {
    const [server] = servers;
    if (!server) throw new Error(`there is no ${name}`);
    this.name = name;
    this.#server = server;
  }

  get state(): ProcessState {
    const pid = this.#starting ? undefined : this.#server.pid;
    return { name: this.name, deaths: this.#deaths, ...(pid !== undefined && { pid }) };
  }

  kill(): void {
    if (!this.#starting) void this.#server.kill();
  }

  /** Starts it again if it is gone. */
  look(): void {
    if (this.#starting) return;
    const { pid } = this.#server;
    if (pid !== undefined) return;
    this.#deaths++;
    this.#starting = this.#server.start().then(
      () => (this.#starting = undefined),
      (error: unknown) => {
        this.#starting = undefined;
        console.error(String(error));
      },
    );
  }

  /** Resolves when it is not being started. */
  async idle(): Promise<void> {
    await this.#starting;
  }
}
