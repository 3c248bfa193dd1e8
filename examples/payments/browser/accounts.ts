/** The accounts on the page, and the sum of them. */
import { OPENING_BALANCE, OWNERS, type Balances } from "../messages.ts";
import { euros } from "./euros.ts";

const ACCOUNTS = Object.keys(OWNERS);

export class Accounts {
  readonly #balances = new Map<string, number>();
  readonly #cards = new Map<string, { readonly card: HTMLElement; readonly balance: HTMLElement }>();
  readonly #sum: HTMLElement;

  constructor(list: HTMLElement, sum: HTMLElement) {
    this.#sum = sum;
    for (const [account, owner] of Object.entries(OWNERS)) {
      const card = document.createElement("li");
      const name = document.createElement("span");
      name.textContent = owner;
      const balance = document.createElement("b");
      balance.textContent = "…";
      card.append(name, balance);
      card.dataset["account"] = account;
      list.append(card);
      this.#cards.set(account, { card, balance });
    }
  }

  /** Whether the balance of every account is known. */
  get complete(): boolean {
    return this.#balances.size === ACCOUNTS.length;
  }

  /** After an entry. */
  change(balances: Balances): void {
    for (const [account, balance] of Object.entries(balances)) {
      const before = this.#balances.get(account);
      this.#balances.set(account, balance);
      if (before !== undefined && before !== balance) this.#blink(account, balance > before ? "up" : "down");
    }
    this.#show();
  }

  /** After an entry that is older than all that are known. */
  fill(balances: Balances): void {
    for (const [account, balance] of Object.entries(balances))
      if (!this.#balances.has(account)) this.#balances.set(account, balance);
    this.#show();
  }

  #show(): void {
    for (const [account, balance] of this.#balances) {
      const shown = this.#cards.get(account);
      if (shown) shown.balance.textContent = euros(balance);
    }
    if (!this.complete) return;
    const sum = [...this.#balances.values()].reduce((one, other) => one + other, 0);
    this.#sum.textContent = euros(sum);
    this.#sum.dataset["right"] = String(sum === OPENING_BALANCE * ACCOUNTS.length);
  }

  #blink(account: string, way: "up" | "down"): void {
    const card = this.#cards.get(account)?.card;
    if (!card) return;
    card.classList.remove("up", "down");
    // The animation begins anew only if there was none in between.
    void card.offsetWidth;
    card.classList.add(way);
  }
}
