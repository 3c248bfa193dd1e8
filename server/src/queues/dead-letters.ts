/** All dead letters of a queue at once, page by page. */
import type { DeadLetters } from "../backbones/contract.ts";

const PAGE = 500;

/**
 * Does something with all dead letters that there are at the beginning; those that come meanwhile are left alone, so that
 * jobs that fail again at once cannot keep it going. Resolves with how many there were.
 */
export async function withAll(dead: DeadLetters, queue: string, what: "replay" | "purge"): Promise<number> {
  const ids: string[] = [];
  for (;;) {
    const after = ids.at(-1);
    const page = await dead.list(queue, { limit: PAGE, ...(after !== undefined && { after }) });
    ids.push(...page.map(({ id }) => id));
    if (page.length < PAGE) break;
  }
  let count = 0;
  for (let i = 0; i < ids.length; i += PAGE) count += await dead[what](queue, ids.slice(i, i + PAGE));
  return count;
}
