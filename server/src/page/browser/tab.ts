/** The name of this tab: it outlives a reload, and no other tab has it. */

const KEY = "todoku-page/tab";
const LETTERS = "abcdefghjkmnpqrstuvwxyz";

/**
 * A duplicated tab starts with a copy of the first one's sessionStorage, and with it the name; the lock tells the two apart.
 * Clears `storage` for the duplicate, so that it begins as a new tab. `locks` are missing on pages from plain http on
 * another machine; there a duplicated tab goes unnoticed.
 */
export async function nameTab(storage: Storage, locks: LockManager | undefined, reloaded: boolean): Promise<string> {
  const kept = storage.getItem(KEY);
  if (kept !== null && (await hold(locks, kept, reloaded))) return kept;
  storage.clear();
  for (;;) {
    const name = randomName();
    if (!(await hold(locks, name, false))) continue;
    storage.setItem(KEY, name);
    return name;
  }
}

/** After a reload the page before still holds the name for a moment: wait for it. */
function hold(locks: LockManager | undefined, name: string, wait: boolean): Promise<boolean> {
  if (!locks) return Promise.resolve(true);
  return new Promise((resolve, reject) => {
    locks
      .request(`${KEY}/${name}`, wait ? {} : { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        // Held until the page goes.
        return lock === null ? undefined : new Promise<never>(() => {});
      })
      .catch(reject);
  });
}

/** Two characters for people; the rest keeps a new tab from inheriting an old one's durable subscriptions. */
function randomName(): string {
  const [first = 0, second = 0, ...rest] = crypto.getRandomValues(new Uint8Array(6));
  const suffix = rest.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${LETTERS[first % LETTERS.length]}${second % 10}-${suffix}`;
}

/** What people call the tab. */
export function shortName(name: string): string {
  return name.split("-")[0] ?? name;
}
