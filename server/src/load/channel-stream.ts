/**
 * What was sent on one channel, in order, as its first receiver got it. The others are compared with it byte by byte, which
 * is as good as reading every message and costs almost nothing: so a thousand subscribers can be checked completely.
 */

const FIRST_BYTES = 4096;
/** Older bytes are forgotten: a subscriber that is further behind is checked message by message. */
const MOST_BYTES = 16 * 1024 * 1024;
const NEWLINE = 0x0a;

export class ChannelStream {
  readonly channel: string;
  /** Index of the oldest message that is still held; counted from the first one ever. */
  #first = 0;
  #sequences: number[] = [];
  #dues: number[] = [];
  /** Where each held message begins in `#bytes`; behind the last one stands the end. */
  #begins: number[] = [0];
  #bytes: Buffer = Buffer.alloc(0);

  constructor(channel: string) {
    this.channel = channel;
  }

  /** Index of the oldest message that can be compared with. */
  get first(): number {
    return this.#first;
  }

  /** Index behind the newest. */
  get end(): number {
    return this.#first + this.#sequences.length;
  }

  sequenceAt(index: number): number {
    return this.#sequences[index - this.#first] ?? -1;
  }

  dueAt(index: number): number {
    return this.#dues[index - this.#first] ?? 0;
  }

  /**
   * Whether `bytes[from..to]` are exactly the messages from `index` on, joined by newlines. Answers the index behind them, or
   * -1 when they are not.
   */
  match(index: number, bytes: Buffer, from: number, to: number): number {
    const at = index - this.#first;
    if (at < 0 || at >= this.#sequences.length) return -1;
    const begin = this.#begins[at] ?? 0;
    const end = begin + (to - from);
    if (end >= this.#end || this.#bytes[end] !== NEWLINE) return -1;
    if (this.#bytes.compare(bytes, from, to, begin, end) !== 0) return -1;
    let behind = at + 1;
    while ((this.#begins[behind] ?? Infinity) <= end) behind++;
    return behind + this.#first;
  }

  /** Adds the newest message. */
  append(bytes: Buffer, from: number, to: number, sequence: number, due: number): void {
    this.#makeRoom(to - from + 1);
    const begin = this.#end;
    bytes.copy(this.#bytes, begin, from, to);
    const end = begin + to - from;
    this.#bytes[end] = NEWLINE;
    this.#begins.push(end + 1);
    this.#sequences.push(sequence);
    this.#dues.push(due);
  }

  get #end(): number {
    return this.#begins.at(-1) ?? 0;
  }

  #makeRoom(length: number): void {
    if (this.#end + length <= this.#bytes.length) return;
    if (this.#bytes.length >= MOST_BYTES) this.#forgetHalf();
    if (this.#end + length <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(FIRST_BYTES, this.#bytes.length * 2, this.#end + length));
    this.#bytes.copy(grown, 0, 0, this.#end);
    this.#bytes = grown;
  }

  #forgetHalf(): void {
    const count = Math.ceil(this.#sequences.length / 2);
    const kept = this.#begins[count] ?? 0;
    this.#bytes.copyWithin(0, kept, this.#end);
    this.#begins = this.#begins.slice(count).map((begin) => begin - kept);
    this.#sequences = this.#sequences.slice(count);
    this.#dues = this.#dues.slice(count);
    this.#first += count;
  }
}
