/** The page at `/`: wires its controls to the playground. */
import { find } from "./dom.ts";
import { afterReload, showExperiments } from "./experiments.ts";
import { Ledger } from "./ledger.ts";
import { Playground } from "./playground.ts";
import type { ChannelPromise } from "../promise.ts";
import { Story } from "./story.ts";
import { nameTab, shortName } from "./tab.ts";

const WELCOME = ["Welcome to todoku", "This arrived over a WebSocket", "Now it is your turn"];
const WELCOME_MS = 600;

await start();

async function start(): Promise<void> {
  const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  const reloaded = navigation?.type === "reload";
  const tab = await nameTab(sessionStorage, isSecureContext ? navigator.locks : undefined, reloaded);
  const story = new Story();
  const connection = find(document, ".connection", HTMLElement);
  const playground = new Playground({
    promises: JSON.parse(find(document, "#promises", HTMLScriptElement).text) as ChannelPromise[],
    tab,
    ledger: new Ledger(localStorage, Date.now()),
    story,
    onConnection: (state, words) => {
      connection.dataset["state"] = state;
      find(connection, "#connection", HTMLElement).textContent = words;
    },
    onControls: ({ cut, losesAcks }) => {
      const button = find(document, "#cut", HTMLButtonElement);
      button.setAttribute("aria-pressed", String(cut));
      button.textContent = cut ? "Connect again" : "Cut my connection";
      find(document, "#lose-acks", HTMLInputElement).checked = losesAcks;
    },
  });
  const failed = (error: unknown): void =>
    story.tell({ words: `That did not work: ${error instanceof Error ? error.message : String(error)}` });

  find(document, "#tab", HTMLElement).textContent = shortName(tab);
  find(document, "#lanes", HTMLElement).append(...playground.followers.map(({ lane }) => lane.root));
  showExperiments(find(document, "#experiments", HTMLElement), playground, failed);
  wire(playground, failed);

  const known = playground.followers.some(({ tally }) => tally.entries.length > 0);
  try {
    await playground.begin();
  } catch (error) {
    failed(error);
    return;
  }
  const told = afterReload(sessionStorage);
  if (told !== undefined) story.tell({ words: told });
  else if (known)
    story.tell({ words: "Welcome back. Your lists are this tab's own notes; the messages came from the server." });
  else if (new URLSearchParams(location.search).has("quiet"))
    story.tell({ words: "This tab is a subscriber of its own. Send something and look at the other one." });
  else await welcome(playground);
}

function wire(playground: Playground, failed: (error: unknown) => void): void {
  const on = (selector: string, act: () => Promise<void> | void): void =>
    find(document, selector, HTMLElement).addEventListener("click", () => void Promise.resolve(act()).catch(failed));
  const onSwitch = (selector: string, act: (on: boolean) => void): void => {
    const box = find(document, selector, HTMLInputElement);
    box.addEventListener("change", () => act(box.checked));
  };

  const form = find(document, "#send-all", HTMLFormElement);
  const text = find(form, "input", HTMLInputElement);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    playground.send(text.value === "" ? "Hello" : text.value).catch(failed);
  });
  on("#send-ten", () => playground.send(text.value === "" ? "Hello" : text.value, 10));
  on("#else-one", () => playground.someoneElse(3));
  onSwitch("#else-steady", (steady) => (playground.steady = steady));
  on("#cut", () => playground.setCut(!playground.cut));
  on("#reload", () => playground.reload());
  onSwitch("#lose-acks", (lose) => (playground.loseAcks = lose));
}

async function welcome(playground: Playground): Promise<void> {
  for (const text of WELCOME) {
    await playground.send(text);
    await new Promise((resolve) => setTimeout(resolve, WELCOME_MS));
  }
}
