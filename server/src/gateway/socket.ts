/**
 * The seam between the gateway and whatever accepts WebSockets. A listener makes a `Socket` per connection, hands it to
 * `Gateway.accept` and calls the returned `SocketEvents`. Nothing in the gateway knows which runtime is behind it.
 */
export interface Socket {
  /** Sends one text frame. Never throws. */
  send(payload: Payload): void;
  /** Bytes handed over by `send` that the operating system has not taken yet. */
  readonly bufferedBytes: number;
  /** How many of them the system was not offered yet, for they wait to be compressed. Absent: none. */
  readonly uncompressedBytes?: number;
  /** Called once, when `connect` was accepted: listeners bound how many connections have not come so far. */
  authenticated?(): void;
  /** Starts the closing handshake; `closed` follows. Does nothing on a closing socket. */
  close(code: number, reason: string): void;
  /** Ends the connection without a handshake; `closed` follows. */
  terminate(): void;
}

/** What one text frame holds. The same payload may be sent to many sockets. */
export interface Payload {
  /** In bytes of UTF-8. */
  readonly size: number;
  readonly text: string;
  /** Made once for all that ask for them: never alter them. */
  readonly bytes: Uint8Array;
  /** Writes it into `target`, which is the caller's own, from `at` on. */
  writeTo(target: Buffer, at: number): void;
}

/** What the gateway wants to hear about a socket. The listener never calls anything after `closed`. */
export interface SocketEvents {
  /** One whole text frame. */
  message(text: string): void;
  /** The buffer that had made `bufferedBytes` rise is empty again. */
  drained(): void;
  /** The connection is over, by whichever side. */
  closed(): void;
}

/** What is known of a connection before its first frame. */
export interface Handshake {
  /** The peer's address, after `trusted_proxies` were considered. */
  readonly address: string;
  readonly origin?: string;
}
