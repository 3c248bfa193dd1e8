/** Whether arrays and objects are nested deeper than `depth`. Iterative, so that no input overflows the stack. */
export function tooDeep(value: unknown, depth: number): boolean {
  if (depth === Number.POSITIVE_INFINITY) return false;
  let level: unknown[] = [value];
  for (let nested = 0; level.length > 0; nested++) {
    const next: unknown[] = [];
    for (const one of level) {
      if (typeof one !== "object" || one === null) continue;
      if (nested >= depth) return true;
      for (const inner of Array.isArray(one) ? one : Object.values(one)) next.push(inner);
    }
    level = next;
  }
  return false;
}
