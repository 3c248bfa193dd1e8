/** Frames as text, for the buses that carry text. */
import type { Frame } from "./contract.ts";

/** No JSON text begins like this: what does not is no frame of ours but a plain message of somebody else. */
const MARK = "todoku1";

export function encodeFrame(frame: Frame): string {
  return MARK + JSON.stringify(frame);
}

/** Reads what came over a bus: a frame of ours, the JSON text of another program, or neither. */
export function decodeFrame(text: string): Frame {
  try {
    if (text.startsWith(MARK)) return JSON.parse(text.slice(MARK.length)) as Frame;
    JSON.parse(text);
    return { kind: "foreign", data: text };
  } catch {
    return { kind: "malformed" };
  }
}
