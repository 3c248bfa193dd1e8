/** Uploads, some at once. Each is repeated under the same name until it is answered: the server recognises it. */

const AT_ONCE = 3;
const TRIES = 8;
const FIRST_WAIT_MS = 250;

export class Uploads {
  readonly #secret: string;
  readonly #waiting: (() => Promise<void>)[] = [];
  #running = 0;

  constructor(secret: string) {
    this.#secret = secret;
  }

  /** Resolves when the server has it. Rejects with why it never will. */
  send(picture: string, file: File): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => this.#put(picture, file).then(resolve, reject));
      void this.#next();
    });
  }

  async #next(): Promise<void> {
    if (this.#running >= AT_ONCE) return;
    const send = this.#waiting.shift();
    if (!send) return;
    this.#running++;
    await send();
    this.#running--;
    void this.#next();
  }

  async #put(picture: string, file: File): Promise<void> {
    const url = `/pictures/${picture}?name=${encodeURIComponent(file.name)}`;
    const headers = { authorization: `Bearer ${this.#secret}`, "content-type": "application/octet-stream" };
    for (let tried = 0; ; tried++) {
      let answer: Response | undefined;
      try {
        answer = await fetch(url, { method: "PUT", headers, body: file });
      } catch (error) {
        if (tried === TRIES) throw error;
      }
      if (answer?.ok === true) return;
      if (answer && answer.status < 500) throw new Error(answer.status === 413 ? "it is too large" : "it is refused");
      if (tried === TRIES) throw new Error("the server does not answer");
      await new Promise((resolve) => setTimeout(resolve, FIRST_WAIT_MS * 2 ** tried));
    }
  }
}
