/** The workers on the page: which process has which place, what it does, and a button that kills it. */
import type { Crew } from "../events.ts";

export class CrewList {
  readonly #list: HTMLElement;
  readonly #kill: (pid: number) => void;
  readonly #places = new Map<number, { readonly item: HTMLElement; readonly doing: HTMLElement; pid?: number }>();

  constructor(list: HTMLElement, kill: (pid: number) => void) {
    this.#list = list;
    this.#kill = kill;
  }

  alive(pid: number): boolean {
    return [...this.#places.values()].some((place) => place.pid === pid);
  }

  show({ workers }: Crew): void {
    for (const { place, pid, deaths } of workers) {
      const known = this.#places.get(place);
      if (known?.pid === pid && known) continue;
      const item = document.createElement("li");
      const name = document.createElement("strong");
      name.textContent = `Process ${pid ?? "…"}`;
      const doing = document.createElement("span");
      doing.className = "doing";
      const kill = document.createElement("button");
      kill.type = "button";
      kill.textContent = "Kill";
      kill.ariaLabel = `Kill process ${pid}`;
      kill.addEventListener("click", () => {
        kill.disabled = true;
        if (pid !== undefined) this.#kill(pid);
      });
      const before = document.createElement("small");
      if (deaths > 0) before.textContent = ` in place of ${deaths} that died`;
      const title = document.createElement("span");
      title.append(name, before);
      item.append(title, doing, kill);
      // Whoever used the keyboard goes on with the one that came.
      const focused = known?.item.contains(document.activeElement) === true;
      if (known) {
        item.className = "born";
        known.item.replaceWith(item);
      } else this.#list.append(item);
      if (focused) kill.focus();
      this.#places.set(place, { item, doing, ...(pid !== undefined && { pid }) });
    }
  }

  /** `names`: of the pictures that a process works on. */
  showWork(names: (pid: number) => readonly string[]): void {
    for (const { doing, pid } of this.#places.values()) {
      const busy = pid === undefined ? [] : names(pid);
      doing.textContent = busy.length === 0 ? "idle" : busy.join(", ");
    }
  }
}
