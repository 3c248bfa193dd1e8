/** A picture on the page: what is known of it, and how that is shown. */
import { STEPS, type DeadPicture, type Progress } from "../events.ts";

export interface Done {
  readonly thumbnail: string;
  readonly attempt: number;
  readonly worker: number;
}

export class Card {
  readonly element = document.createElement("li");
  name = "";
  /** The server has it. */
  accepted = false;
  progress: Progress | undefined;
  dead: DeadPicture | undefined;
  /** There is to be one; the page would show if there were two. */
  readonly results: Done[] = [];
  /** Why it could not be sent. */
  unsent: string | undefined;
  readonly #frame = document.createElement("div");
  readonly #image = document.createElement("img");
  readonly #bar = document.createElement("progress");
  readonly #name = document.createElement("p");
  readonly #state = document.createElement("p");
  readonly #again = document.createElement("button");

  constructor(replay: (letter: DeadPicture) => void) {
    this.#frame.className = "frame";
    this.#name.className = "name";
    this.#state.className = "state";
    this.#bar.max = STEPS.length + 1;
    this.#again.textContent = "Try again";
    this.#again.addEventListener("click", () => {
      if (this.dead) replay(this.dead);
    });
    this.#frame.append(this.#bar);
    this.element.append(this.#frame, this.#name, this.#state);
  }

  get underWay(): boolean {
    return this.results.length === 0 && !this.dead && this.unsent === undefined;
  }

  /** `alive`: whether there is a worker with this process id. */
  show(alive: (pid: number) => boolean): void {
    const { element, results, dead } = this;
    const [first, second] = results;
    const [state, said] = this.#words(alive);
    element.dataset["state"] = state;
    this.#name.textContent = this.name;
    this.#name.title = this.name;
    this.#state.textContent = said;
    if (first && this.#image.getAttribute("src") !== first.thumbnail) {
      this.#image.src = first.thumbnail;
      this.#image.alt = `Thumbnail of ${this.name}`;
      this.#frame.append(this.#image);
    }
    this.#bar.hidden = !this.underWay;
    this.#bar.ariaLabel = `Progress of ${this.name}`;
    this.#bar.value = this.progress ? STEPS.findIndex((step) => step === this.progress?.step) + 1 : 0;
    if (dead && !first) {
      this.#again.ariaLabel = `Try again: ${this.name}`;
      element.append(this.#again);
    } else this.#again.remove();
    if (second) element.dataset["state"] = "twice";
  }

  #words(alive: (pid: number) => boolean): [state: string, said: string] {
    const { results, dead, progress, unsent } = this;
    const [first] = results;
    if (results.length > 1) return ["twice", `${results.length} results!`];
    if (first)
      return ["done", `made by ${first.worker}${first.attempt > 1 ? `, ${ordinal(first.attempt)} attempt` : ""}`];
    if (unsent !== undefined) return ["dead", `not sent: ${unsent}`];
    if (dead) return ["dead", `given up after ${dead.attempts} attempts: ${dead.reason}`];
    if (!this.accepted) return ["sending", "is sent"];
    if (!progress) return ["waiting", "waits for a worker"];
    if (progress.step === "failed") return ["again", `${ordinal(progress.attempt)} attempt failed; it comes again`];
    if (!alive(progress.worker)) return ["again", `${progress.worker} died; another gets it`];
    const attempt = progress.attempt > 1 ? `, ${ordinal(progress.attempt)} attempt` : "";
    return ["working", `${progress.step} by ${progress.worker}${attempt}`];
  }
}

function ordinal(n: number): string {
  return `${n}${["th", "st", "nd", "rd"][n] ?? "th"}`;
}
