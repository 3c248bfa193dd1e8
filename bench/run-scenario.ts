/** Runs one scenario: contenders in turn, all of them in every repeat, so that what disturbs the machine hits all alike. */
import path from "node:path";
import { CAN_PIN, endChildren } from "./process-cost.ts";
import { resultOf, type Result } from "./result.ts";
import type { Contender, Measured, Scenario } from "./scenario.ts";

const PATIENCE_SECONDS = 120;
const ROOT = `${path.join(import.meta.dirname, "..")}${path.sep}`;
const LONGEST_REASON = 200;

export interface RunOptions {
  readonly repeats: number;
  readonly command: string;
  /** Told what goes on. */
  tell(line: string): void;
}

/** Resolves with the result, also where single contenders fail: they are `absent` then, or their rows have faults. */
export async function runScenario(scenario: Scenario, { repeats, command, tell }: RunOptions): Promise<Result> {
  const absent: Record<string, string> = {};
  const versions: Record<string, string> = { node: process.versions.node };
  const measured = new Map<string, (readonly Measured[])[]>();
  for (const contender of scenario.contenders) {
    const why = await contender.prepare?.().catch(reasonOf);
    if (why === undefined) {
      measured.set(contender.name, []);
      Object.assign(versions, contender.versions?.());
    } else {
      absent[contender.name] = why;
      tell(`  ${contender.name}: not here: ${why}`);
    }
  }
  for (let repeat = 1; repeat <= repeats; repeat++) {
    for (const contender of scenario.contenders) {
      const rows = measured.get(contender.name);
      if (!rows) continue;
      tell(`  ${scenario.name} ${repeat}/${repeats}: ${contender.name}`);
      try {
        rows.push(await inTime(contender, scenario.patienceSeconds ?? PATIENCE_SECONDS));
      } catch (error) {
        absent[contender.name] = `failed: ${reasonOf(error)}`;
        measured.delete(contender.name);
        tell(`  ${contender.name} failed: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  return resultOf(scenario, measured, { command, repeats, pinned: CAN_PIN, versions, absent });
}

/** Whether everything that ran did what it had to: nothing failed, nothing was missing, repeated or wrong. */
export function isSound({ rows, absent }: Result): boolean {
  return (
    rows.every(({ faults }) => faults.length === 0) && Object.values(absent).every((why) => !why.startsWith("failed"))
  );
}

async function inTime(contender: Contender, seconds: number): Promise<readonly Measured[]> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    // What it has started would take time from those that come after it, and keep this process from ending.
    endChildren();
    late.reject(new Error(`took more than ${seconds} s`));
  }, seconds * 1000);
  try {
    return await Promise.race([contender.measure(), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** In a line that can be kept: without the place where this folder lies. */
function reasonOf(error: unknown): string {
  const [line = ""] = (error instanceof Error ? error.message : String(error)).trim().split("\n");
  return line.replaceAll(ROOT, "").slice(0, LONGEST_REASON);
}
