/** The connected sessions of this gateway, by client id and by user. */
import type { Session } from "./session.ts";

export class Sessions {
  readonly #byClient = new Map<string, Session>();
  readonly #byUser = new Map<string, Set<Session>>();

  get size(): number {
    return this.#byClient.size;
  }

  get users(): number {
    return this.#byUser.size;
  }

  add(session: Session): void {
    this.#byClient.set(session.client, session);
    const ofUser = this.#byUser.get(session.user);
    if (ofUser) ofUser.add(session);
    else this.#byUser.set(session.user, new Set([session]));
  }

  remove(session: Session): void {
    if (!this.#byClient.delete(session.client)) return;
    const ofUser = this.#byUser.get(session.user);
    ofUser?.delete(session);
    if (ofUser?.size === 0) this.#byUser.delete(session.user);
  }

  countOf(user: string): number {
    return this.#byUser.get(user)?.size ?? 0;
  }

  /** Those of `user`, narrowed to one by `client`. */
  of(user: string, client?: string): readonly Session[] {
    const sessions = [...(this.#byUser.get(user) ?? [])];
    return client === undefined ? sessions : sessions.filter((session) => session.client === client);
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#byClient.values();
  }
}
