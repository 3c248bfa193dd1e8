/** One channel on the page: its counters, the tape of what arrived, and its own controls. */
import { button, element, find, part, toggle } from "./dom.ts";
import type { ChannelPromise } from "../promise.ts";
import type { Counts, Entry, Presence, Tally } from "./tally.ts";
import { COUNTERS, PLEDGES, TITLES, describe, verdict } from "./words.ts";

export interface LaneControls {
  send(text: string): void;
  sendTwice(): void;
  leave(forget: boolean): void;
  join(): void;
  failing(on: boolean): void;
}

/** How close to its end a tape must be scrolled to follow what arrives. */
const FOLLOWS_PX = 40;

export class Lane {
  readonly root: HTMLElement;
  readonly #promise: ChannelPromise;
  readonly #tally: Tally;
  readonly #drawn = new Map<Entry, HTMLLIElement>();
  readonly #numbers = new Map<keyof Counts, HTMLElement>();
  readonly #tape: HTMLElement;
  #state: Presence = "subscribing";
  #failing: HTMLInputElement | undefined;
  #scheduled = false;

  constructor(promise: ChannelPromise, tally: Tally, controls: LaneControls) {
    this.#promise = promise;
    this.#tally = tally;
    const template = find(document, "#lane", HTMLTemplateElement);
    this.root = find(template.content.cloneNode(true) as DocumentFragment, ".lane", HTMLElement);
    this.#tape = part(this.root, "tape");
    this.#fill(promise, controls);
    this.render();
  }

  set state(state: Presence) {
    this.#state = state;
    this.root.dataset["state"] = state;
    part(this.root, "state").textContent = state;
    for (const leave of this.root.querySelectorAll<HTMLElement>(".leave")) leave.hidden = state === "left";
    find(this.root, ".join", HTMLElement).hidden = state !== "left";
    this.render();
  }

  /** Shows whether the handler throws. */
  set failing(failing: boolean) {
    if (this.#failing) this.#failing.checked = failing;
  }

  /** Draws what has changed, once per frame however much arrived. */
  render(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  /** A message that the namespace has given up on. */
  deadLetter(text: string, why: string): void {
    const box = part(this.root, "dead");
    const list = part(this.root, "dead-list");
    box.hidden = false;
    list.append(element("li", {}, element("b", {}, text), ` ${why}`));
    part(this.root, "dead-count").textContent = String(list.childElementCount);
  }

  #fill(promise: ChannelPromise, controls: LaneControls): void {
    const { channel, delivery } = promise;
    this.root.dataset["channel"] = channel;
    this.root.dataset["delivery"] = delivery;
    this.root.setAttribute("aria-labelledby", `title-${delivery}`);
    part(this.root, "title").textContent = TITLES[delivery];
    part(this.root, "title").id = `title-${delivery}`;
    part(this.root, "channel").textContent = channel;
    part(this.root, "pledge").textContent = PLEDGES[delivery];
    part(this.root, "label").textContent = `Message to ${channel}`;
    this.#tape.setAttribute("aria-label", `Messages of ${channel}`);
    part(this.root, "counts").append(...this.#counters());
    const form = find(this.root, "form", HTMLFormElement);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const input = find(form, "input", HTMLInputElement);
      controls.send(input.value === "" ? "Hello" : input.value);
      input.value = "";
    });
    part(this.root, "tools").append(...this.#tools(promise, controls));
  }

  #counters(): HTMLElement[] {
    return COUNTERS.map(({ count, label, means }) => {
      const number = element("dd", { "data-count": count }, "0");
      this.#numbers.set(count, number);
      return element("div", { title: means }, element("dt", {}, label), number);
    });
  }

  #tools({ delivery, maxAttempts }: ChannelPromise, controls: LaneControls): HTMLElement[] {
    const keeps = delivery !== "at-most-once";
    const leave = button(keeps ? "Leave" : "Unsubscribe", () => controls.leave(false));
    leave.classList.add("leave");
    const join = button(keeps ? "Come back" : "Subscribe", () => controls.join());
    join.classList.add("join");
    join.hidden = true;
    const made: HTMLElement[] = [leave, join];
    if (keeps) {
      const forget = button("Leave for good", () => controls.leave(true), "The server forgets where this tab stood.");
      forget.classList.add("leave");
      made.push(
        forget,
        button("Publish twice, same key", () => controls.sendTwice(), "What a publisher does that heard no answer."),
      );
    }
    if (delivery === "exactly-once") {
      const failing = toggle(`my handler fails (given up after ${maxAttempts} attempts)`, (on) => controls.failing(on));
      this.#failing = find(failing, "input", HTMLInputElement);
      made.push(failing);
    }
    return made;
  }

  #draw(): void {
    const tape = this.#tape;
    const follows = tape.scrollHeight - tape.scrollTop - tape.clientHeight < FOLLOWS_PX;
    const { entries, counts } = this.#tally;
    const current = new Set(entries);
    for (const [entry, drawn] of this.#drawn) {
      if (current.has(entry)) continue;
      drawn.remove();
      this.#drawn.delete(entry);
    }
    for (const entry of entries) this.#drawEntry(entry);
    for (const [count, number] of this.#numbers) {
      number.textContent = String(counts[count]);
      number.parentElement?.toggleAttribute("data-some", counts[count] > 0);
    }
    part(this.root, "verdict").textContent = verdict(this.#promise.delivery, counts, this.#state);
    if (follows) tape.scrollTop = tape.scrollHeight;
  }

  #drawEntry(entry: Entry): void {
    const drawn = this.#drawn.get(entry);
    // What a message, a gap or a note says never changes.
    if (drawn && entry.kind !== "lost" && entry.kind !== "failed") return;
    const { offset, text, meta, mark } = describe(entry, this.#tally, this.#promise);
    const row = drawn ?? element("li");
    row.className = `stop ${mark}`;
    row.hidden = text === "";
    row.replaceChildren(
      element("span", { class: "offset" }, offset),
      element("span", { class: "text" }, text),
      ...(meta === "" ? [] : [element("span", { class: "meta" }, meta)]),
    );
    if (drawn) return;
    this.#drawn.set(entry, row);
    this.#tape.append(row);
  }
}
