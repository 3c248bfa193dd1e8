/** The queues of one partition: a machine that whoever has given it the same commands in the same order finds in the same state. */
import { LocalQueue } from "../../local-queue/local-queue.ts";
import { MemoryQueueTables, type DumpedRow } from "../../local-queue/memory-tables.ts";
import type { HandOut } from "../../contract.ts";
import type { Outcome, WrittenCommand } from "./commands.ts";

/** A row, or what there is once. */
export type StateRow = DumpedRow | readonly ["partition", time: number, snapshotAt: number];

interface OneQueue {
  readonly tables: MemoryQueueTables;
  readonly machine: LocalQueue;
}

export class QueueState {
  /** Of the newest command, or of an older one if that was later: time never goes back. In ms since 1970. */
  time = 0;
  /** Where the newest command lies after which the state was to be written down. */
  snapshotAt = -1;
  /** What waits and the dead letters, with what they cost beside their data. */
  bytes = 0;
  /** Each has tables of its own: in memory a row costs most in the middle of a table. */
  readonly #queues = new Map<string, OneQueue>();

  /** Takes the next command. `offset` and `time` are its record's. */
  apply(written: WrittenCommand, offset: number, time: number): Outcome {
    this.time = Math.max(this.time, time);
    if (written.command.do === "snapshot") return this.#snapshot(written.command.since, offset);
    const { tables, machine } = this.#queue(written.queue);
    const before = tables.bytes;
    try {
      return this.#tell(machine, written);
    } finally {
      this.bytes += tables.bytes - before;
    }
  }

  /** To look at. Without one nothing was ever said of the queue. */
  look(queue: string): LocalQueue {
    return this.#queues.get(queue)?.machine ?? new LocalQueue(new MemoryQueueTables());
  }

  knows(queue: string, key: string): boolean {
    return this.#queues.get(queue)?.tables.knows(queue, key, this.time) ?? false;
  }

  idle(queue: string, group: string, now: number): HandOut | undefined {
    return this.#queues.get(queue)?.machine.idle(queue, group, now);
  }

  /** Everything, as it is now. */
  dump(): StateRow[] {
    const rows: StateRow[] = [["partition", this.time, this.snapshotAt]];
    const queues = [...this.#queues].toSorted(([one], [other]) => (one < other ? -1 : 1));
    for (const [, { tables }] of queues) for (const row of tables.dump()) rows.push(row);
    return rows;
  }

  /** Takes over a row of `dump`; they come in its order. */
  restore(row: StateRow): void {
    if (row[0] === "partition") [, this.time, this.snapshotAt] = row;
    else {
      const { tables } = this.#queue(row[0] === "key" ? queueOfKey(row[1]) : row[1]);
      const before = tables.bytes;
      tables.restore(row);
      this.bytes += tables.bytes - before;
    }
  }

  clear(): void {
    this.#queues.clear();
    this.bytes = 0;
    this.time = 0;
    this.snapshotAt = -1;
  }

  #tell(machine: LocalQueue, { queue, command, data }: WrittenCommand): Outcome {
    const now = this.time;
    switch (command.do) {
      case "enqueue":
        return machine.enqueue(queue, { ...command.job, data }, command.options, now);
      case "lease":
        return machine.lease(queue, command.group, command.options, command.nonce, now);
      case "done":
        return machine.done(queue, command.group, command.lease, () => {}, now);
      case "fail":
        return machine.fail(queue, command.group, command.lease, command.failure, now);
      case "extend":
        return machine.extend(queue, command.group, command.lease, command.leaseMs, now);
      case "pause":
        machine.pause(queue, command.paused);
        return undefined;
      case "forget":
        machine.forget(queue, command.group, now);
        return undefined;
      case "replay":
        return machine.replay(queue, command.ids, now);
      case "purge":
        return machine.purge(queue, command.ids);
      case "snapshot":
        return false;
    }
  }

  #snapshot(since: number, offset: number): boolean {
    if (since !== this.snapshotAt) return false;
    this.snapshotAt = offset;
    // Here, where everybody does it at the same place.
    for (const [name, { tables }] of this.#queues) if (tables.prune(this.time)) this.#queues.delete(name);
    return true;
  }

  #queue(name: string): OneQueue {
    const known = this.#queues.get(name);
    if (known) return known;
    const tables = new MemoryQueueTables();
    const made = { tables, machine: new LocalQueue(tables) };
    this.#queues.set(name, made);
    return made;
  }
}

function queueOfKey(key: string): string {
  const [queue] = JSON.parse(key) as [string, string];
  return queue;
}
