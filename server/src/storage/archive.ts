/** What ties a namespace to its storage: a log that goes on there, and an archiver that fills it. */
import type { Bus, Log } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import { ArchivedLog } from "./archived-log.ts";
import { Archiver, type ArchiveObserver } from "./archiver.ts";
import type { Storage } from "./contract.ts";
import { WrittenChannels } from "./written-channels.ts";

/** A storage as a namespace needs it. */
export interface ArchivePlace {
  readonly storage: Storage;
  readonly clock: Clock;
  /** How long it keeps messages, in ms; absent: for ever. */
  readonly keepMs?: number;
}

export class Archive {
  /** The namespace's log, as far back as the storage reaches. */
  readonly log: Log;
  readonly #place: ArchivePlace;
  readonly #live: Log;
  readonly #written: WrittenChannels;

  constructor(namespace: string, live: Log, bus: Bus, place: ArchivePlace) {
    this.#place = place;
    this.#live = live;
    this.#written = new WrittenChannels(namespace, bus, place.clock);
    this.log = new ArchivedLog(live, place.storage, (channel) => this.#written.add(channel));
  }

  /** Not started yet. Every process may have one: they find out who works. */
  archiver(namespace: Namespace, observer: ArchiveObserver): Archiver {
    return new Archiver({
      ...this.#place,
      namespace,
      observer,
      log: this.#live,
      listen: (heard) => this.#written.listen(heard),
    });
  }
}
