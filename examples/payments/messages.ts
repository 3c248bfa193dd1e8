/** What the page, the gateways and the ledger tell each other. */
import type { ProcessState } from "../processes.ts";

/** Amounts are in cents. */
export const OPENING_BALANCE = 1_000_000;

/** By the account's name. */
export const OWNERS = { ann: "Ann", ben: "Ben", cem: "Cem", dua: "Dua", eli: "Eli", fay: "Fay" } as const;

/** On `transfers:all`, exactly once: somebody's wish. What comes of it is said by the ledger. */
export interface Transfer {
  /** Names the transfer; the browser chose it, and it is the idempotency key. */
  readonly transfer: string;
  readonly from: string;
  readonly to: string;
  readonly amount: number;
}

/** On `ledger:entries`, exactly once and for years: what the ledger has committed, one number after the other. */
export type Entry = { readonly n: number; readonly time: number } & (
  | { readonly kind: "opened"; readonly balances: Balances }
  | (Transfer & { readonly kind: "booked"; readonly balances: Balances })
  | (Transfer & { readonly kind: "refused"; readonly why: string })
);

/** After the entry, of the accounts that it has changed. */
export type Balances = Readonly<Record<string, number>>;

/** On `machines:all`, at most once, told again and again: what there is to kill. */
export interface Machines {
  readonly machines: readonly ProcessState[];
  /** The first offset of `ledger:entries` that Kafka still has; what is older comes from PostgreSQL. */
  readonly kafkaFrom: number;
}

export const TRANSFERS = "transfers:all";
export const ENTRIES = "ledger:entries";
export const MACHINES = "machines:all";

/** What travels on which channel. */
export type Channels = {
  [TRANSFERS]: Transfer;
  [ENTRIES]: Entry;
  [MACHINES]: Machines;
};

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const MOST = 100_000_000;

/** Whether it can be a transfer. Everybody may write, also past the gateways: whoever reads asks again. */
export function isTransfer(data: unknown): data is Transfer {
  const { transfer, from, to, amount } = (data ?? {}) as Partial<Record<keyof Transfer, unknown>>;
  const named =
    typeof transfer === "string" && UUID.test(transfer) && typeof from === "string" && typeof to === "string";
  return named && from !== to && Number.isSafeInteger(amount) && Number(amount) > 0 && Number(amount) <= MOST;
}
