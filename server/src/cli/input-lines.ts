/** Lines of standard input, in groups as they come: as many as are there, and no more than may be held at once. */
import type { Readable } from "node:stream";

export interface InputLine {
  /** Counted from 1. */
  readonly number: number;
  /** Absent for a line that is too long or not UTF-8. */
  readonly text?: string;
  readonly flaw?: string;
}

export interface LineLimits {
  /** Most lines of a group. */
  readonly lines: number;
  /** Longest line in bytes. */
  readonly lineBytes: number;
}

const NEWLINE = 0x0a;
/** A line beyond this is a group of its own. */
const ALONE_BYTES = 256 * 1024;

/**
 * The groups are never empty. A slow consumer slows the reading down: beside the group in its hands, one chunk of the stream
 * and one unfinished line are held.
 */
export async function* lineGroups(input: Readable, { lines, lineBytes }: LineLimits): AsyncGenerator<InputLine[]> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let number = 0;
  let pieces: Buffer[] = [];
  let bytes = 0;
  const group: InputLine[] = [];

  const keep = (piece: Buffer): void => {
    bytes += piece.length;
    if (bytes <= lineBytes) pieces.push(piece);
    else pieces = [];
  };
  const finish = (): void => {
    number += 1;
    group.push({ number, ...decode(Buffer.concat(pieces), bytes) });
    pieces = [];
    bytes = 0;
  };
  const decode = (line: Buffer, length: number): Omit<InputLine, "number"> => {
    if (length > lineBytes) return { flaw: `has ${length} bytes; a line may have ${lineBytes}` };
    try {
      return { text: decoder.decode(line).replace(/\r$/, "") };
    } catch {
      return { flaw: "is not UTF-8" };
    }
  };

  for await (const chunk of input) {
    const read = typeof chunk === "string" ? Buffer.from(chunk) : (chunk as Buffer);
    let from = 0;
    for (let end = read.indexOf(NEWLINE); end !== -1; end = read.indexOf(NEWLINE, from)) {
      keep(read.subarray(from, end));
      from = end + 1;
      const alone = bytes > ALONE_BYTES;
      if (alone && group.length > 0) yield group.splice(0);
      finish();
      if (alone || group.length === lines) yield group.splice(0);
    }
    if (from < read.length) keep(read.subarray(from));
    if (group.length > 0) yield group.splice(0);
  }
  if (bytes > 0) finish();
  if (group.length > 0) yield group;
}
