/** A connection that comes back until it is let go. */
import { Redis, type RedisOptions } from "ioredis";

const AGAIN_MS = 200;

/**
 * ioredis connects again after every loss but one: news of a failover that come while it looks for the master call the search
 * off, and it ends for good. Behind Sentinels that is a second failover soon after a first.
 */
export class LastingRedis extends Redis {
  #left = false;

  constructor(options: Omit<RedisOptions, "replyMapping">) {
    super(options);
    this.on("end", () => this.#comeBack());
  }

  override disconnect(reconnect = false): void {
    if (!reconnect) this.#left = true;
    super.disconnect(reconnect);
  }

  #comeBack(): void {
    if (this.#left) return;
    const timer = setTimeout(() => {
      // A failure ends it again, and so leads back here.
      if (!this.#left) this.connect().catch(() => {});
    }, AGAIN_MS);
    timer.unref();
  }
}
