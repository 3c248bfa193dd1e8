/** Publishing through the HTTP API: in order, and with repeats that store nothing twice. */
import { ERRORS, type Json } from "@todoku/protocol";
import { z } from "zod";
import { ApiRefusal, Unanswered, type ApiClient } from "./api-client.ts";

export interface Publish {
  readonly channel: string;
  readonly data: Json;
  /** Idempotency key. */
  readonly key: string;
  readonly tags?: Readonly<Record<string, string>>;
}

export interface Refusal {
  readonly code: number;
  readonly message: string;
}

/** How one publish ended. */
export interface Outcome {
  readonly stored?: z.output<typeof stored>;
  /** Why it was not stored, or (code 403) may have been. */
  readonly refused?: Refusal;
  /** A later one of its channel was stored first, because this one failed for a while. */
  readonly late: boolean;
}

export interface Repetition {
  /** How long a publish is repeated, in ms. */
  readonly forMs: number;
  /** Also while the server was never reached. */
  readonly fromTheStart: boolean;
  readonly now: () => number;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Resolves after `ms`; rejects when the user has had enough. `why` is what failed. */
  readonly wait: (ms: number, why: string) => Promise<void>;
}

const FIRST_DELAY_MS = 200;
const LAST_DELAY_MS = 5_000;

const stored = z.object({
  offset: z.int().optional(),
  epoch: z.string().optional(),
  /** The key was known before. */
  duplicate: z.boolean().optional(),
});
const refused = z.object({ code: z.int(), message: z.string() });
const batch = z.object({ replies: z.array(z.union([z.object({ publish: stored }), z.object({ error: refused })])) });

interface Pending {
  readonly publish: Publish;
  outcome?: Omit<Outcome, "late">;
  /** The attempt that ended it. */
  attempt: number;
}

export class RepeatedPublishes {
  readonly #api: ApiClient;
  readonly #repetition: Repetition;
  #reached = false;

  constructor(api: ApiClient, repetition: Repetition) {
    this.#api = api;
    this.#repetition = repetition;
  }

  /**
   * Publishes all in one request. What fails for now is repeated with its key; what fails for good is an outcome.
   *
   * @throws CommandError when the server does not talk to us, or was not reached for too long.
   */
  async publish(publishes: readonly Publish[]): Promise<readonly Outcome[]> {
    const all = publishes.map((publish): Pending => ({ publish, attempt: 0 }));
    const begun = this.#repetition.now();
    let doubtful = false;
    for (let attempt = 0; ; attempt++) {
      let why: string;
      try {
        if (doubtful) await this.#giveUpWithoutLog(all.filter(isPending));
        const again = await this.#attempt(all.filter(isPending), attempt, this.#repetition.now() - begun);
        const [first] = again;
        if (!first) return withLateness(all);
        if (!this.#mayRepeat(begun)) {
          for (const { pending, error } of again) settle(pending, { refused: error }, attempt);
          return withLateness(all);
        }
        doubtful ||= again.some(({ error }) => !isCertain(error.code));
        why = first.error.message;
      } catch (error) {
        const passing = error instanceof Unanswered || (error instanceof ApiRefusal && isTemporary(error.code));
        if (!passing || !this.#mayRepeat(begun)) throw error;
        doubtful ||= !(error instanceof Unanswered) || error.sent;
        why = error.message;
      }
      const most = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
      await this.#repetition.wait(most * (0.5 + this.#repetition.random() / 2), why);
    }
  }

  /** Sends what is pending, settles what has an answer for good, and returns what failed for now. */
  async #attempt(
    pending: readonly Pending[],
    attempt: number,
    ageMs: number,
  ): Promise<readonly { pending: Pending; error: Refusal }[]> {
    if (pending.length === 0) return [];
    const replies = await this.#send(
      pending.map(({ publish }) => publish),
      attempt === 0 ? 0 : ageMs,
    );
    this.#reached = true;
    return pending.flatMap((one, i) => {
      const reply = replies[i] ?? { error: { ...ERRORS.outcomeUnknown, message: "the server did not answer it" } };
      if ("error" in reply) {
        if (isTemporary(reply.error.code)) return [{ pending: one, error: reply.error }];
        settle(one, { refused: reply.error }, attempt);
      } else {
        // After a repeat, the duplicate is most likely our own first attempt.
        const { duplicate, ...position } = reply.publish;
        settle(one, { stored: { ...position, ...(duplicate && attempt === 0 && { duplicate }) } }, attempt);
      }
      return [];
    });
  }

  async #send(publishes: readonly Publish[], ageMs: number): Promise<z.output<typeof batch>["replies"]> {
    const commands = publishes.map(({ channel, data, key, tags }) => ({
      publish: {
        channel,
        data,
        idempotency_key: key,
        ...(ageMs > 0 && { idempotency_age_ms: Math.ceil(ageMs) }),
        ...(tags && { tags }),
      },
    }));
    try {
      return (await this.#api.call("batch", { commands }, batch)).replies;
    } catch (error) {
      // A body that is too large as a whole: of one message, it is that message's fault.
      const tooLarge = error instanceof ApiRefusal && error.code === ERRORS.messageTooLarge.code;
      if (!tooLarge || publishes.length > 1) throw error;
      return [{ error: { code: error.code, message: error.message } }];
    }
  }

  /**
   * A channel without a log remembers no keys, and promises that nothing is repeated: what may have arrived there is not
   * sent again.
   */
  async #giveUpWithoutLog(pending: readonly Pending[]): Promise<void> {
    const keeping = new Map<string, boolean>();
    for (const one of pending) {
      const { channel } = one.publish;
      const keeps = keeping.get(channel) ?? (await this.#keeps(channel));
      keeping.set(channel, keeps);
      if (keeps) continue;
      const { code } = ERRORS.outcomeUnknown;
      settle(one, { refused: { code, message: "outcome unknown; not repeated, because the channel keeps no log" } }, 0);
    }
  }

  async #keeps(channel: string): Promise<boolean> {
    try {
      await this.#api.call("history", { channel, limit: 0 }, z.unknown());
      return true;
    } catch (error) {
      if (error instanceof ApiRefusal && error.code === ERRORS.notAvailable.code) return false;
      // Not a question of the log; the publish itself will be told.
      if (error instanceof ApiRefusal && !isTemporary(error.code)) return true;
      throw error;
    }
  }

  #mayRepeat(begun: number): boolean {
    const { forMs, fromTheStart, now } = this.#repetition;
    return (this.#reached || fromTheStart) && now() - begun < forMs;
  }
}

function isPending({ outcome }: Pending): boolean {
  return outcome === undefined;
}

function settle(pending: Pending, outcome: Omit<Outcome, "late">, attempt: number): void {
  pending.outcome = outcome;
  pending.attempt = attempt;
}

const CODES = Object.values(ERRORS);

function isTemporary(code: number): boolean {
  return CODES.some((known) => known.code === code && known.retry === "retry");
}

/** Nothing was stored, for certain. */
function isCertain(code: number): boolean {
  return code !== ERRORS.internal.code && code !== ERRORS.outcomeUnknown.code;
}

function withLateness(all: readonly Pending[]): readonly Outcome[] {
  // Of each channel, the earliest attempt that stored something behind the one that is looked at.
  const behind = new Map<string, number>();
  return all
    .toReversed()
    .map(({ publish: { channel }, outcome = {}, attempt }): Outcome => {
      const late = outcome.stored !== undefined && (behind.get(channel) ?? Infinity) < attempt;
      if (outcome.stored) behind.set(channel, Math.min(attempt, behind.get(channel) ?? Infinity));
      return { ...outcome, late };
    })
    .reverse();
}
