/** An entry of its own (`@todoku/client/postgres`): it is for services that have a database, and no page need ship it. */
import { CLIENT_ERRORS, ERRORS, TodokuError, type Json, type Position } from "@todoku/protocol";
import { Backoff } from "../backoff.ts";
import { systemClock, type Clock } from "../clock.ts";
import type { CursorStore } from "../cursor-store.ts";
import type { Handler } from "../delivery.ts";
import type { Message } from "../message.ts";
import { Retrying } from "../retrying.ts";
import { isOfTheMoment, isPassing, isSaidByDatabase, sqlState } from "./sql-states.ts";

/** What is needed of a connection of `pg`, or of what is used like it. */
export interface PostgresConnection {
  query(
    text: string,
    values?: unknown[],
  ): Promise<{ readonly rows: readonly unknown[]; readonly rowCount?: number | null; readonly command?: string }>;
}

/** What is needed of a connection that a pool hands out. */
export interface PooledConnection extends PostgresConnection {
  /** `true`: the connection is of no use any more. */
  release(destroy?: boolean): void;
  on?(event: "error", listener: (error: Error) => void): unknown;
  removeListener?(event: "error", listener: (error: Error) => void): unknown;
}

/** What is needed of a `Pool` of `pg`. */
export interface PostgresPool {
  connect(): Promise<PooledConnection>;
}

/** The pool's own type of a connection, where it can be seen: of `pg` it is `PoolClient`. */
export type ConnectionOf<Pool> = Pool extends {
  connect: { (): Promise<infer Connection>; (...rest: never[]): unknown };
}
  ? Connection
  : PooledConnection;

export interface PostgresCursorsOptions {
  /** Whose positions these are: what handles each message once. Of two processes that name the same one the newer takes over. */
  readonly consumer: string;
  /** Table, `table` or `schema.table`; default `todoku_cursors`. It is made if it is missing and this user may make it. */
  readonly table?: string;
  /**
   * How long a transaction may stand still, in milliseconds, before PostgreSQL ends it; default 30,000. A process that froze
   * holds up the one that takes its place for so long.
   */
  readonly idleMs?: number;
  /** Told of each failure of the database that is waited out. Default: a warning on the console. */
  readonly onError?: (error: TodokuError) => void;
  readonly clock?: Clock;
}

/** As a handler, in a transaction. It neither commits nor rolls back; it throws to have nothing happen. */
export type TransactionHandler<Data, Connection> = (message: Message<Data>, transaction: Connection) => unknown;

export interface PostgresCursors<Connection> extends CursorStore {
  /**
   * Makes a handler for `subscribe` that runs `effect` in a transaction which also moves the position. Both are committed, or
   * neither; a message that was committed before has no second effect.
   *
   * While the database is away, or breaks the transaction off (a deadlock, a lost connection), it waits and tries again, for as
   * long as it takes. What `effect` throws fails the message, as in any handler.
   *
   * The handler rejects with 404 `taken_over` when another process has taken the consumer's place: that ends the subscription.
   */
  handler<Data = Json>(effect: TransactionHandler<Data, Connection>): Handler<Data>;
  /**
   * Moves the position in a transaction of your own: call it before the effect, and commit both. Resolves with false when the
   * message was committed before, and must have no effect.
   *
   * @throws TodokuError 404 when another process has taken this one's place, 107 for a message without a position and for a channel
   * of which this store was not asked for the position.
   */
  advance(message: Message<unknown>, transaction: PostgresConnection): Promise<boolean>;
  /** Ends all waiting for the database: what waits rejects. The pool is the caller's to end. */
  close(): void;
}

/**
 * Positions in a table of your own PostgreSQL, committed in one transaction with what a message has changed there:
 *
 * ```ts
 * const cursors = postgresCursors(pool, { consumer: "ledger" });
 * const client = new Todoku("wss://example.com", { cursors });
 * client.subscribe("transfers:all", cursors.handler(apply), { durable: "ledger", start: "earliest" });
 * ```
 *
 * @throws TypeError for a consumer or table that cannot be called so, or an `idleMs` below 1,000 or above 2,147,483,647.
 */
export function postgresCursors<Pool extends PostgresPool>(
  pool: Pool,
  options: PostgresCursorsOptions,
): PostgresCursors<ConnectionOf<Pool>> {
  return new Cursors(pool, options) as PostgresCursors<unknown> as PostgresCursors<ConnectionOf<Pool>>;
}

const BACKOFF = { firstMs: 100, lastMs: 5000 };
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;
const LEAST_IDLE_MS = 1000;
/** PostgreSQL knows no longer one. */
const MOST_IDLE_MS = 2_147_483_647;
/** In microseconds since 1970. Fences begin and go on from there: one that was used before a row was removed does not come again. */
const NOW = "(extract(epoch from clock_timestamp()) * 1000000)::bigint";

interface Row {
  readonly epoch: string | null;
  readonly offset: string | number | bigint | null;
  readonly fence: string | number | bigint;
}

class Cursors implements PostgresCursors<PooledConnection> {
  readonly #pool: PostgresPool;
  readonly #consumer: string;
  readonly #table: string;
  readonly #idleMs: number;
  readonly #onError: (error: TodokuError) => void;
  readonly #clock: Clock;
  /** By channel: what the table's row must say for this process to be the one that handles it. */
  readonly #fences = new Map<string, string>();
  /** By channel: a message's position that the table has, or is beyond; the `set` that follows the message changes nothing. */
  readonly #committed = new Map<string, Position>();
  readonly #waiting = new Set<Retrying>();
  #closed = false;

  constructor(pool: PostgresPool, options: PostgresCursorsOptions) {
    const { consumer, table = "todoku_cursors", idleMs = 30_000, clock = systemClock } = options;
    if (consumer === "")
      throw new TypeError("the consumer of the cursors needs a name: it keeps them apart from others");
    const parts = table.split(".");
    if (parts.length > 2 || !parts.every((part) => NAME.test(part))) {
      throw new TypeError(
        `${JSON.stringify(table)} is no name for a table: letters, digits and _, after a schema and a dot at most`,
      );
    }
    if (!(idleMs >= LEAST_IDLE_MS && idleMs <= MOST_IDLE_MS))
      throw new TypeError(`idleMs is ${idleMs}; it must be from ${LEAST_IDLE_MS} to ${MOST_IDLE_MS}`);
    this.#pool = pool;
    this.#consumer = consumer;
    this.#table = parts.map((part) => `"${part}"`).join(".");
    this.#idleMs = Math.round(idleMs);
    this.#onError = options.onError ?? ((error) => console.warn("todoku:", error));
    this.#clock = clock;
  }

  /** Whoever asks for a position is the one who handles the channel from then on. */
  get(channel: string): Promise<Position | undefined> {
    return this.#persistently(`reading the position of ${channel}`, async (connection) => {
      const { rows } = await this.#claim(connection, channel);
      const [{ epoch, offset, fence }] = rows as [Row];
      this.#fences.set(channel, String(fence));
      this.#committed.delete(channel);
      return epoch === null ? undefined : { epoch, offset: Number(offset) };
    });
  }

  /** Anywhere, and back as well: after a gap the client stands where the log has told it to. */
  set(channel: string, position: Position): Promise<void> | void {
    const committed = this.#committed.get(channel);
    this.#committed.delete(channel);
    if (committed?.epoch === position.epoch && committed.offset === position.offset) return;
    return this.#persistently(`storing the position of ${channel}`, async (connection) => {
      await this.#move(connection, channel, position, "anywhere");
    });
  }

  delete(channel: string): Promise<void> {
    return this.#persistently(`removing the position of ${channel}`, async (connection) => {
      await this.#ask(connection, `delete from ${this.#table} where consumer = $1 and channel = $2 and fence = $3`, [
        this.#consumer,
        channel,
        this.#fences.get(channel) ?? null,
      ]);
    });
  }

  handler<Data>(effect: TransactionHandler<Data, PooledConnection>): Handler<Data> {
    return async (message) => {
      const position = positionIn(message);
      const what = `${message.channel} at offset ${position.offset}`;
      await this.#persistently(what, (connection) => this.#transaction(connection, message, effect));
      this.#committed.set(message.channel, position);
    };
  }

  async advance(message: Message<unknown>, transaction: PostgresConnection): Promise<boolean> {
    const position = positionIn(message);
    const first = await this.#move(transaction, message.channel, position, "forward").catch((cause: unknown) => {
      throw cause instanceof Failed ? cause.cause : cause;
    });
    if (!first) this.#committed.set(message.channel, position);
    return first;
  }

  close(): void {
    this.#closed = true;
    for (const waiting of this.#waiting) waiting.stop();
  }

  async #transaction<Data>(
    connection: PooledConnection,
    message: Message<Data>,
    effect: TransactionHandler<Data, PooledConnection>,
  ): Promise<void> {
    await connection.query(`begin; set local idle_in_transaction_session_timeout = ${this.#idleMs}`);
    // First of all: the row stays locked until the end, so that nobody else is at work on the channel meanwhile.
    const first = await this.#move(connection, message.channel, positionIn(message), "forward");
    if (first) {
      try {
        await effect(message, connection);
      } catch (cause) {
        // If the connection is gone as well, that is why it failed: this throws, and it is tried again.
        await connection.query("rollback");
        throw isPassing(cause) ? cause : new Failed(cause);
      }
    }
    const { command } = await connection.query("commit").catch((cause: unknown) => {
      // A constraint that is looked at only now.
      throw isSaidByDatabase(cause) && !isPassing(cause) ? new Failed(cause) : cause;
    });
    if (command !== "ROLLBACK") return;
    const why =
      "a statement in its transaction failed, and the handler went on: nothing was committed. Let the handler throw";
    throw new Failed(new Error(`${message.channel}: ${why}`));
  }

  /** Only by whoever asked for the position last. Whether it was moved; `forward`: within an epoch, only ahead. */
  async #move(
    connection: PostgresConnection,
    channel: string,
    { epoch, offset }: Position,
    where: "forward" | "anywhere",
  ): Promise<boolean> {
    const fence = this.#fences.get(channel);
    if (fence === undefined) {
      const advice = "give these cursors to the client of the subscription: new Todoku(url, { cursors })";
      throw new Failed(new TodokuError(ERRORS.badRequest, `nobody asked for the position of ${channel}; ${advice}`));
    }
    const ahead = where === "forward" ? `and (epoch is distinct from $3 or "offset" < $4)` : "";
    const { rowCount } = await this.#ask(
      connection,
      `update ${this.#table} set epoch = $3, "offset" = $4, changed = now()
       where consumer = $1 and channel = $2 and fence = $5 ${ahead}`,
      [this.#consumer, channel, epoch, offset, fence],
    );
    if (rowCount === 1) return true;
    const { rows } = await this.#ask(
      connection,
      `select fence from ${this.#table} where consumer = $1 and channel = $2`,
      [this.#consumer, channel],
    );
    const [row] = rows as readonly Row[];
    if (row !== undefined && String(row.fence) === fence) return false;
    const why = row ? "another process has taken over" : "its row was removed";
    throw new Failed(new TodokuError(ERRORS.takenOver, `${this.#consumer} of ${channel}: ${why}`));
  }

  async #claim(connection: PooledConnection, channel: string): Promise<{ readonly rows: readonly unknown[] }> {
    const claim = (): Promise<{ readonly rows: readonly unknown[] }> =>
      connection.query(
        `insert into ${this.#table} as known (consumer, channel, fence) values ($1, $2, ${NOW})
         on conflict (consumer, channel) do update set fence = greatest(known.fence + 1, ${NOW})
         returning epoch, "offset", fence`,
        [this.#consumer, channel],
      );
    try {
      return await claim();
    } catch (cause) {
      if (sqlState(cause) !== "42P01") throw this.#unfit(cause);
    }
    await this.#make(connection);
    return claim();
  }

  async #make(connection: PooledConnection): Promise<void> {
    try {
      // Two that make it at once would get in each other's way.
      await connection.query(
        `begin; select pg_advisory_xact_lock(hashtextextended('todoku cursors', 0)); ${this.#definition}; commit`,
      );
    } catch (cause) {
      await connection.query("rollback");
      if (isOfTheMoment(cause)) throw cause;
      const way = `Make it, or have it made: ${this.#definition}`;
      throw new Failed(
        new Error(`there is no table ${this.#table}, and it cannot be made (${wordsOf(cause)}). ${way}`, { cause }),
      );
    }
  }

  get #definition(): string {
    return (
      `create table if not exists ${this.#table} (consumer text, channel text, epoch text, "offset" bigint, ` +
      "fence bigint not null, changed timestamptz not null default now(), primary key (consumer, channel))"
    );
  }

  /** What the table cannot do now it cannot do later either: no outage, though the database says it. */
  async #ask(connection: PostgresConnection, text: string, values: unknown[]): ReturnType<PostgresConnection["query"]> {
    try {
      return await connection.query(text, values);
    } catch (cause) {
      throw this.#unfit(cause);
    }
  }

  /** A table that is something else, or not this user's. */
  #unfit(cause: unknown): unknown {
    if (!isSaidByDatabase(cause) || isOfTheMoment(cause)) return cause;
    const way = `Give the user its rights, name another table, or make it so: ${this.#definition}`;
    return new Failed(new Error(`${this.#table} is no table for cursors (${wordsOf(cause)}). ${way}`, { cause }));
  }

  /** Runs `work` on a connection until it is done, or has failed by itself. */
  async #persistently<T>(what: string, work: (connection: PooledConnection) => Promise<T>): Promise<T> {
    const retrying = new Retrying(this.#clock, new Backoff(this.#clock, BACKOFF));
    if (this.#closed) retrying.stop();
    this.#waiting.add(retrying);
    let failure: unknown;
    try {
      const done = await retrying.until(
        () => this.#once(work),
        (cause) => {
          failure = cause instanceof Failed ? cause.cause : troubled(what, cause);
          if (cause instanceof Failed || retrying.stopped) return false;
          this.#onError(failure as TodokuError);
          return true;
        },
      );
      if (done) return done.value;
    } finally {
      this.#waiting.delete(retrying);
    }
    throw failure;
  }

  async #once<T>(work: (connection: PooledConnection) => Promise<T>): Promise<T> {
    const connection = await this.#pool.connect();
    // Between two statements nobody else listens, and an error that nobody listens to ends the process.
    const ignore = (): void => {};
    connection.on?.("error", ignore);
    let sound = false;
    try {
      const result = await work(connection);
      sound = true;
      return result;
    } finally {
      connection.removeListener?.("error", ignore);
      connection.release(!sound);
    }
  }
}

/** It failed by itself, and would again: not because the database was away. `cause` is what the caller sees. */
class Failed extends Error {
  constructor(cause: unknown) {
    super("failed", { cause });
  }
}

function positionIn({ channel, epoch, offset }: Message<unknown>): Position {
  if (epoch !== undefined && offset !== undefined) return { epoch, offset };
  throw new TodokuError(ERRORS.badRequest, `messages of ${channel} have no position: its namespace keeps no log`);
}

function troubled(what: string, cause: unknown): TodokuError {
  return new TodokuError(CLIENT_ERRORS.cursorStoreFailed, `${what} (${wordsOf(cause)}); it is tried again`, { cause });
}

function wordsOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  // Several addresses were tried, and the error that holds all of that says nothing itself.
  return cause.message || ((cause as { readonly code?: string }).code ?? cause.name);
}
