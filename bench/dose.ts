/**
 * Scenarios of one command in small: `--dose 0.05` takes a twentieth of their connections, channels and messages, to see that they
 * run to their end. What is measured so is not kept.
 */
const FLAG = "--dose";

/** What is asked for on the command line; 1 by default. @throws Error for what is no share. */
export const DOSE: number = given(process.argv);

/** That share of `count`, and at least one. */
export function dose(count: number): number {
  return Math.max(1, Math.round(count * DOSE));
}

function given(args: readonly string[]): number {
  const at = args.indexOf(FLAG);
  if (at === -1) return 1;
  const share = Number(args[at + 1]);
  if (share > 0 && share <= 1) return share;
  throw new Error(`${FLAG} takes a share from 0 to 1, not ${JSON.stringify(args[at + 1])}`);
}
