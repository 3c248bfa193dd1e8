/** What a simulated world did against the promises. */
import type { Rule } from "../checker.ts";

/** The rules of the checker; and I10: everyone arrives in time, and nothing is left behind. */
export type Promised = Rule | "I10";

export interface Finding {
  readonly rule: Promised;
  readonly detail: string;
}

export class Findings {
  readonly all: Finding[] = [];
  readonly #onFinding: (finding: Finding) => void;

  constructor(onFinding: (finding: Finding) => void) {
    this.#onFinding = onFinding;
  }

  add(rule: Promised, detail: string): void {
    const finding = { rule, detail };
    this.all.push(finding);
    this.#onFinding(finding);
  }
}
