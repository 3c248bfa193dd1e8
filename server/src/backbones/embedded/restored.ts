/** What becomes of a folder that was brought back from a backup, before a server opens it. */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import type { Clock } from "../../clock.ts";
import { BackboneError } from "../contract.ts";
import { ownFolder } from "./owner.ts";
import { Room } from "./room.ts";
import { LOG_FILE, Store } from "./store.ts";

/** The epoch that was begun. */
export interface Restored {
  readonly epoch: string;
  /** The one that it forks from. */
  readonly older: string;
  /** How many have messages, or had some. */
  readonly channels: number;
}

/** @throws BackboneError `invalid` where there is no log to begin an epoch in. */
export function mustHoldLog(name: string, folder: string): void {
  const file = path.join(folder, LOG_FILE);
  if (existsSync(file) && statSync(file).size > 0) return;
  throw new BackboneError(
    "invalid",
    `[${name}] there is no log in ${folder}: ${LOG_FILE} is ${existsSync(file) ? "empty" : "missing"}. ` +
      `Bring the folder back first, or set backbones.${name}.path to where it is`,
  );
}

/**
 * Begins an epoch that goes on with the history of the present one, of each channel up to its head. Whoever knows more than the log
 * does is told of a gap from then on; nobody else notices.
 *
 * @throws BackboneError `invalid` for a folder that holds no log or a damaged one, or that another process has; `full` without room.
 */
export async function beginAnew(name: string, folder: string, clock: Clock): Promise<Restored> {
  mustHoldLog(name, folder);
  const giveBack = await ownFolder(name, folder);
  try {
    const newEpoch = (): string => clock.uuid().slice(0, 8);
    const store = await Store.open(name, folder, newEpoch);
    try {
      new Room(store, { name, folder, maxSize: undefined }).take(store.sizeOfFork());
      const epoch = newEpoch();
      return { epoch, older: store.epoch, channels: store.fork(epoch) };
    } finally {
      await store.root.close();
    }
  } finally {
    await giveBack();
  }
}
