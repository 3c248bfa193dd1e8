/**
 * Which leaders wrote the part of a partition that was read, and from where on each: Kafka's leader epochs. By them a broker says up to
 * where its log is still the one that was read.
 */
export class Reigns {
  #begun: { readonly epoch: number; readonly from: number }[] = [];

  /** Of the newest record that was read; -1 if none was. */
  get newest(): number {
    return this.#begun.at(-1)?.epoch ?? -1;
  }

  /** A record at `from` was written under this leader epoch. */
  note(epoch: number, from: number): void {
    if (epoch > this.newest) this.#begun.push({ epoch, from });
  }

  /**
   * The first offset that is not what was read, or was not read at all (`next`), where the broker says that its log has `epoch` up to `end`.
   * 0 where that cannot be told.
   */
  sharedWith({ epoch, end }: { readonly epoch: number; readonly end: number }, next: number): number {
    const at = this.#begun.findIndex((reign) => reign.epoch === epoch);
    if (at === -1) return 0;
    return Math.min(end, this.#begun[at + 1]?.from ?? next);
  }

  clear(): void {
    this.#begun = [];
  }

  /** For `restore`. */
  dump(): readonly (readonly [epoch: number, from: number])[] {
    return this.#begun.map(({ epoch, from }) => [epoch, from]);
  }

  restore(dumped: readonly (readonly [epoch: number, from: number])[]): void {
    this.#begun = dumped.map(([epoch, from]) => ({ epoch, from }));
  }
}
