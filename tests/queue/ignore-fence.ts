/**
 * For a control: imported before `todoku serve`, it lets whoever ever held a lease end its job, with its results, on `embedded`. The
 * fence is what it takes away, and nothing else.
 */
import type { Queue } from "../../server/src/backbones/contract.ts";
import { EmbeddedBackbone } from "../../server/src/backbones/embedded/embedded.ts";

const open = Reflect.get(EmbeddedBackbone.prototype, "open");

EmbeddedBackbone.prototype.open = async function (this: EmbeddedBackbone): Promise<void> {
  await open.call(this);
  const done: Queue["done"] = this.queue.done;
  Object.assign(this.queue, {
    done: async (queue, group, lease, results = []) => {
      if ((await done(queue, group, lease, results)) === "done") return "done";
      for (const result of results) {
        if ("channel" in result) await this.log.append(result.channel, result.message, result.options);
      }
      return "done";
    },
  } satisfies Partial<Queue>);
};
