/** The parent's side of `crowd-process.ts`. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import type { Tally, Times } from "../tests/load/crowd.ts";
import type { Answer, Call, CrowdOrders } from "./crowd-process.ts";

export class RemoteCrowd implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  #count = 0;

  constructor(orders: CrowdOrders) {
    this.#child = fork(path.join(import.meta.dirname, "crowd-process.ts"), [JSON.stringify(orders)], {
      execArgv: ["--conditions=source", "--disable-warning=ExperimentalWarning"],
    });
    this.#child.on("message", ({ id, result, error }: Answer) => {
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(new Error(error));
    });
    this.#child.on("exit", () => {
      for (const call of this.#calls.values()) call.reject(new Error("a crowd's process ended"));
    });
  }

  come(count: number): Promise<Times> {
    return this.#call("come", count) as Promise<Times>;
  }

  churn(perSecond: number, seconds: number): Promise<Times> {
    return this.#call("churn", perSecond, seconds) as Promise<Times>;
  }

  tally(): Promise<Tally> {
    return this.#call("tally") as Promise<Tally>;
  }

  async leave(): Promise<void> {
    await this.#call("leave");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }

  #call(method: Call["method"], ...args: number[]): Promise<unknown> {
    const call = Promise.withResolvers<unknown>();
    const id = this.#count++;
    this.#calls.set(id, call);
    this.#child.send({ id, method, args } satisfies Call);
    return call.promise;
  }
}
