/** Who may open a WebSocket: decided before the first frame, alike on every runtime. */
import { CLOSES, ERRORS } from "@todoku/protocol";
import type { Handshake } from "../socket.ts";
import { addressOf, type Forwarded } from "./address.ts";
import type { Acceptor, ListenerOptions } from "./listener.ts";
import { mayConnectFrom } from "./origin.ts";

/** What an upgrade says of whoever asks for it. */
export interface UpgradeRequest extends Forwarded {
  readonly headers: Forwarded["headers"] & { readonly origin?: string | undefined; readonly host?: string | undefined };
}

export interface Admitted {
  readonly handshake: Handshake;
  /** Gives the place of a connection without `connect` back. Does nothing the second time. */
  readonly release: () => void;
}

/** The answer in HTTP to whoever is not let in. */
export class Refused {
  readonly status: number;
  readonly body: string;

  constructor(status: number, { code, message }: { readonly code: number; readonly message: string }) {
    this.status = status;
    this.body = JSON.stringify({ error: { code, message } });
  }
}

export class Admission {
  readonly #acceptor: Acceptor;
  readonly #options: ListenerOptions;
  readonly #unauthenticated = new Map<string, number>();
  #refusing = false;

  constructor(acceptor: Acceptor, options: ListenerOptions) {
    this.#acceptor = acceptor;
    this.#options = options;
  }

  refuseAll(): void {
    this.#refusing = true;
  }

  /** Whoever is admitted holds a place until it is released: when it has said `connect`, or is gone. */
  ask(request: UpgradeRequest): Admitted | Refused {
    const { allowedOrigins, trustedProxies, connections, unauthenticatedPerAddress, attempts } = this.#options;
    const address = addressOf(request, trustedProxies);
    const { origin, host } = request.headers;
    if (this.#refusing) return new Refused(503, CLOSES.shutdown);
    if (!mayConnectFrom(origin, host, allowedOrigins)) {
      const message = "origin not allowed; add it to client.allowed_origins";
      return new Refused(403, { code: ERRORS.permissionDenied.code, message });
    }
    if (!attempts.take(address)) return new Refused(429, ERRORS.tooManyRequests);
    const waiting = this.#unauthenticated.get(address) ?? 0;
    const full = connections > 0 && this.#acceptor.connections >= connections;
    if (full || waiting >= unauthenticatedPerAddress) return new Refused(503, CLOSES.connectionLimit);
    this.#unauthenticated.set(address, waiting + 1);
    return { handshake: { address, ...(origin !== undefined && { origin }) }, release: this.#releaser(address) };
  }

  #releaser(address: string): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const left = (this.#unauthenticated.get(address) ?? 1) - 1;
      if (left > 0) this.#unauthenticated.set(address, left);
      else this.#unauthenticated.delete(address);
    };
  }
}

/** What an upgrade at another path is answered where nobody else listens. */
export const NO_WEBSOCKET: Refused = new Refused(404, {
  code: ERRORS.methodNotFound.code,
  message: "no WebSocket here",
});
