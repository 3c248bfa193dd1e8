/**
 * The clock that all processes of a machine share, in µs, also on Bun: its `process.hrtime` counts from the start of the process,
 * so that latencies of what it sends could not be told.
 */
import { monotonicMicroseconds } from "../../server/src/load/stamp.ts";

/** As far as it is used. */
interface ForeignFunctions {
  dlopen(
    library: string,
    functions: Readonly<Record<string, { readonly args: readonly string[]; readonly returns: string }>>,
  ): { readonly symbols: Readonly<Record<string, (...args: readonly unknown[]) => number>> };
  ptr(memory: BigInt64Array): unknown;
}

const CLOCK_MONOTONIC = 1;
// By a name that is not known beforehand: TypeScript and Node have no such module.
const MODULE: string = "bun:ffi";

export const sharedMicroseconds: () => number =
  process.versions["bun"] === undefined ? monotonicMicroseconds : await ofLibrary();

async function ofLibrary(): Promise<() => number> {
  const { dlopen, ptr } = (await import(MODULE)) as ForeignFunctions;
  const { symbols } = dlopen("libc.so.6", { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });
  const time = new BigInt64Array(2);
  const place = ptr(time);
  return () => {
    symbols["clock_gettime"]?.(CLOCK_MONOTONIC, place);
    const [seconds = 0n, nanoseconds = 0n] = time;
    return Number(seconds) * 1e6 + Number(nanoseconds) / 1000;
  };
}
