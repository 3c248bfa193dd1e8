/** Processes on the page of an example: who there is, what each does, and a button that kills it. */

export interface ShownProcess {
  readonly name: string;
  readonly title: string;
  /** Absent while there is none. */
  readonly pid?: number;
  /** Beside the title. */
  readonly remark?: string;
}

export class ProcessList {
  readonly #list: HTMLElement;
  readonly #kill: (process: ShownProcess) => void;
  readonly #shown = new Map<
    string,
    { readonly item: HTMLElement; readonly doing: HTMLElement; readonly process: ShownProcess }
  >();

  constructor(list: HTMLElement, kill: (process: ShownProcess) => void) {
    this.#list = list;
    this.#list.classList.add("processes");
    this.#kill = kill;
  }

  alive(pid: number): boolean {
    return [...this.#shown.values()].some(({ process }) => process.pid === pid);
  }

  show(processes: readonly ShownProcess[]): void {
    for (const process of processes) {
      const known = this.#shown.get(process.name);
      if (known && known.process.pid === process.pid) continue;
      const item = document.createElement("li");
      item.dataset["state"] = process.pid === undefined ? "away" : "there";
      const name = document.createElement("strong");
      name.textContent = process.title;
      const doing = document.createElement("span");
      doing.className = "doing";
      const kill = document.createElement("button");
      kill.type = "button";
      kill.textContent = "Kill";
      kill.ariaLabel = `Kill ${process.title}`;
      kill.disabled = process.pid === undefined;
      kill.addEventListener("click", () => {
        kill.disabled = true;
        this.#kill(process);
      });
      const remark = document.createElement("small");
      if (process.remark !== undefined) remark.textContent = ` ${process.remark}`;
      const title = document.createElement("span");
      title.append(name, remark);
      item.append(title, doing, kill);
      // Whoever used the keyboard goes on with the one that came.
      const focused = known?.item.contains(document.activeElement) === true;
      if (known) {
        item.classList.add("born");
        known.item.replaceWith(item);
      } else this.#list.append(item);
      if (focused) kill.focus();
      this.#shown.set(process.name, { item, doing, process });
    }
  }

  /** What each of them does, in words. */
  tell(words: (process: ShownProcess) => string): void {
    for (const { doing, process } of this.#shown.values()) doing.textContent = words(process);
  }
}
