/** Things to try: each says what to expect, and can be run with one press. */
import { button, element } from "./dom.ts";
import type { Playground } from "./playground.ts";

interface Experiment {
  readonly title: string;
  readonly words: string;
  /** Absent: only the visitor can do it. */
  readonly run?: (playground: Playground) => Promise<void>;
}

/** What is told after the reload that an experiment ends with. */
const AFTER_RELOAD = "todoku-page/after-reload";
const AWAY_MS = 2000;

const EXPERIMENTS: readonly Experiment[] = [
  {
    title: "Go away for a moment",
    words: "The connection is cut, someone publishes three messages, you come back. Who still gets them?",
    run: async (playground) => {
      playground.setCut(true);
      await playground.someoneElse(3);
      await pause(AWAY_MS);
      playground.setCut(false);
    },
  },
  {
    title: "Lose the acknowledgements",
    words: "Two messages arrive, but the server never hears that you handled them. Then the page reloads.",
    run: async (playground) => {
      playground.loseAcks = true;
      await playground.send("Handled, but nobody knows", 2);
      await pause(AWAY_MS);
      sessionStorage.setItem(
        AFTER_RELOAD,
        "The server sent again what it thought you lacked. At-least-once handled it a second time; exactly-once had kept its place in this browser and dropped the repeat.",
      );
      playground.reload();
    },
  },
  {
    title: "Publish twice",
    words: "A publisher that hears no answer tries again with the same key. Is the message stored twice?",
    run: (playground) =>
      playground.sendTwice(playground.followers.filter(({ promise }) => promise.delivery !== "at-most-once")),
  },
  {
    title: "Let the handler fail",
    words:
      "Your handler on the exactly-once channel throws. The message comes again, later each time, and at last becomes a dead letter (about ten seconds).",
    run: async (playground) => {
      const orders = playground.followers.filter(({ promise }) => promise.deadLetters !== undefined);
      playground.failing(orders, true);
      await playground.send("This one is cursed", 1, orders);
    },
  },
  {
    title: "Leave and come back",
    words: "You unsubscribe from all three, someone publishes, you subscribe again under the same name.",
    run: async (playground) => {
      await playground.leave(playground.followers, false);
      await playground.someoneElse(3);
      await pause(AWAY_MS);
      await playground.join(playground.followers);
    },
  },
  {
    title: "Restart the server",
    words:
      "Press Ctrl-C where you ran npm start (or kill it the hard way), wait, and run npm start again. The page comes back by itself; compare the lists.",
  },
  {
    title: "Open a second tab",
    words:
      "Send from there and watch here; cut this one and send there. Each tab is a subscriber with a place of its own.",
  },
];

export function showExperiments(list: HTMLElement, playground: Playground, failed: (error: unknown) => void): void {
  list.append(
    ...EXPERIMENTS.map(({ title, words, run }) => {
      const row = element("li", {}, element("h3", {}, title), element("p", {}, words));
      if (run) {
        const start = button("Run it", () => {
          start.disabled = true;
          run(playground)
            .catch(failed)
            .finally(() => (start.disabled = false));
        });
        start.setAttribute("aria-label", `Run it: ${title}`);
        row.append(start);
      }
      return row;
    }),
  );
}

/** What an experiment wanted told after its reload; told once. */
export function afterReload(storage: Storage): string | undefined {
  const words = storage.getItem(AFTER_RELOAD);
  storage.removeItem(AFTER_RELOAD);
  return words ?? undefined;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
