/** Positions as people write them. */

export interface GivenPosition {
  /** Absent: whatever the channel's epoch is. */
  readonly epoch?: string;
  readonly offset: number;
}

/** `EPOCH:OFFSET` or `OFFSET`; undefined for anything else. */
export function parsePosition(text: string): GivenPosition | undefined {
  const colon = text.lastIndexOf(":");
  const digits = text.slice(colon + 1);
  const offset = Number(digits);
  if (!/^\d+$/.test(digits) || !Number.isSafeInteger(offset) || colon === 0) return undefined;
  return colon === -1 ? { offset } : { epoch: text.slice(0, colon), offset };
}
