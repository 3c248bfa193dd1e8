/** Judges a run by what was published, what was attempted, and what is stored at its end. */
import { MAX_ATTEMPTS, QUEUES, type Attempt, type Post, type Work } from "./work.ts";

export interface DeadJob extends Post {
  readonly n: number;
  readonly attempts: number;
}

export interface Outcome {
  readonly jobs: readonly Work[];
  readonly attempts: readonly Attempt[];
  /** One for each effect that is stored. */
  readonly effects: readonly (Post & { readonly n: number })[];
  readonly dead: readonly DeadJob[];
}

export const QUEUE_RULES = {
  lost: "every job that can be done has its effect, in each group",
  twice: "no job has its effect twice in a group",
  strange: "no effect and no dead letter without its job",
  overlap: "no attempt at a job is in the hands of two workers",
  beyond: `no job is attempted more than ${MAX_ATTEMPTS} times`,
  spared: "a job that never works is a dead letter of each group, and has no effect",
  buried: `a dead letter is a job that never worked, once, after ${MAX_ATTEMPTS} attempts`,
} as const;

export type QueueRule = keyof typeof QUEUE_RULES;

export interface QueueViolation {
  readonly rule: QueueRule;
  readonly detail: string;
}

export function judge(outcome: Outcome): readonly QueueViolation[] {
  return [...judgeJobs(outcome), ...judgeAttempts(outcome)];
}

/** How often each rule was broken, with the first cases. */
export function tell(violations: readonly QueueViolation[]): string {
  const lines = Object.entries(QUEUE_RULES).flatMap(([rule, meaning]) => {
    const cases = violations.filter((violation) => violation.rule === rule);
    if (cases.length === 0) return [];
    return [`${rule} × ${cases.length} (${meaning})`, ...cases.slice(0, 5).map(({ detail }) => `    ${detail}`)];
  });
  return lines.length === 0 ? "no violation" : lines.join("\n");
}

function* judgeJobs({ jobs, effects, dead }: Outcome): Iterable<QueueViolation> {
  const effectsOf = countOf(effects.map(keyOf));
  const lettersOf = countOf(dead.map(keyOf));
  const attemptsOf = new Map(dead.map((letter) => [keyOf(letter), letter.attempts]));
  for (const { n, queue, kind } of jobs) {
    for (const group of QUEUES[queue]) {
      const key = keyOf({ n, queue, group });
      const name = nameOf({ n, queue, group });
      const [times, letters] = [effectsOf.get(key) ?? 0, lettersOf.get(key) ?? 0];
      effectsOf.delete(key);
      lettersOf.delete(key);
      if (times > 1) yield { rule: "twice", detail: `${name} (${kind}) has its effect ${times} times` };
      if (kind === "bad") {
        if (letters === 0) yield { rule: "spared", detail: `${name} is no dead letter` };
        if (times > 0) yield { rule: "spared", detail: `${name} has an effect` };
        if (letters > 1) yield { rule: "buried", detail: `${name} is a dead letter ${letters} times` };
        const attempts = attemptsOf.get(key) ?? MAX_ATTEMPTS;
        if (attempts !== MAX_ATTEMPTS) yield { rule: "buried", detail: `${name} is one after ${attempts} attempts` };
      } else {
        if (times === 0) yield { rule: "lost", detail: `${name} (${kind})${letters > 0 ? " is a dead letter" : ""}` };
        if (letters > 0) yield { rule: "buried", detail: `${name} (${kind}) is a dead letter` };
      }
    }
  }
  for (const key of effectsOf.keys()) yield { rule: "strange", detail: `an effect of ${key}` };
  for (const key of lettersOf.keys()) yield { rule: "strange", detail: `a dead letter of ${key}` };
}

function* judgeAttempts({ attempts }: Outcome): Iterable<QueueViolation> {
  const seen = countOf(attempts.map((one) => `${keyOf(one)} ${one.attempt}`));
  for (const [key, times] of seen) {
    if (times > 1)
      yield { rule: "overlap", detail: `an attempt (job, queue, group, number: ${key}) was made ${times} times` };
  }
  for (const one of attempts) {
    if (one.attempt > MAX_ATTEMPTS)
      yield { rule: "beyond", detail: `${nameOf(one)} was attempted for the ${one.attempt}. time` };
  }
}

function keyOf({ n, queue, group }: Post & { readonly n: number }): string {
  return `${n} ${queue} ${group}`;
}

function nameOf({ n, queue, group }: Post & { readonly n: number }): string {
  return `job ${n} of ${queue}, group ${group},`;
}

function countOf(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
