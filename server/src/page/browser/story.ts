/** The panel that says what just happened, in words, as code, as a command, and on the wire. */
import { element, find } from "./dom.ts";
import type { Frame } from "./wire-tap.ts";

export interface Chapter {
  readonly words: string;
  /** The same with the SDK. */
  readonly code?: string;
  /** The same, or its effect, from a terminal. */
  readonly curl?: string;
}

const MOST_FRAMES = 80;
const COPIED_MS = 1500;
/** How long arrivals are gathered before a screen reader hears of them. */
const ANNOUNCE_MS = 1500;
const ARROWS: Readonly<Record<Frame["direction"], readonly [arrow: string, spoken: string]>> = {
  sent: ["→", "sent"],
  received: ["←", "received"],
  withheld: ["⨯", "withheld"],
};

export class Story {
  readonly #story = find(document, "#story", HTMLElement);
  readonly #code = find(document, "#code", HTMLElement);
  readonly #curl = find(document, "#curl", HTMLElement);
  readonly #wire = find(document, "#wire", HTMLOListElement);
  readonly #announcer = find(document, "#announcer", HTMLElement);
  readonly #arrived = new Map<string, number>();
  #held = false;

  constructor() {
    const hold = find(document, "#hold-wire", HTMLButtonElement);
    hold.addEventListener("click", () => {
      this.#held = !this.#held;
      hold.setAttribute("aria-pressed", String(this.#held));
    });
    for (const copy of document.querySelectorAll<HTMLButtonElement>("button.copy")) {
      copy.addEventListener("click", () => void this.#copy(copy));
    }
  }

  /** What a chapter leaves out stays as it was. */
  tell({ words, code, curl }: Chapter): void {
    this.#story.textContent = words;
    if (code !== undefined) this.#code.textContent = code;
    if (curl !== undefined) this.#curl.textContent = curl;
  }

  /** The empty frames of ping and pong are left out. */
  frame({ direction, line }: Frame): void {
    if (this.#held || line === "{}") return;
    const wire = this.#wire;
    const follows = wire.scrollHeight - wire.scrollTop - wire.clientHeight < 40;
    const [arrow, spoken] = ARROWS[direction];
    wire.append(
      element(
        "li",
        { class: direction },
        element("span", { class: "arrow", role: "img", "aria-label": spoken }, arrow),
        element("code", {}, line),
      ),
    );
    while (wire.childElementCount > MOST_FRAMES) wire.firstElementChild?.remove();
    if (follows) wire.scrollTop = wire.scrollHeight;
  }

  /** Tells a screen reader, gathered, what arrives where. */
  arrived(channel: string): void {
    if (this.#arrived.size === 0) {
      setTimeout(() => {
        const heard = [...this.#arrived].map(([name, count]) => `${count} on ${name}`);
        this.#announcer.textContent = `Arrived: ${heard.join(", ")}`;
        this.#arrived.clear();
      }, ANNOUNCE_MS);
    }
    this.#arrived.set(channel, (this.#arrived.get(channel) ?? 0) + 1);
  }

  async #copy(button: HTMLButtonElement): Promise<void> {
    const source = button.dataset["copies"] === "curl" ? this.#curl : this.#code;
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      // Not allowed here: mark the text, so that a key press copies it.
      getSelection()?.selectAllChildren(source);
      button.textContent = "Press Ctrl-C";
    }
    setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
  }
}
