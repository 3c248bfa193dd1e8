/** Whether arrays and objects are nested deeper than `depth`. Iterative, so that no input overflows the stack. */
export function tooDeep(value: unknown, depth: number): boolean {
  if (depth === Number.POSITIVE_INFINITY) return false;
  let level = isNested(value) ? [value] : [];
  for (let nested = 0; level.length > 0; nested++) {
    if (nested >= depth) return true;
    const next: object[] = [];
    for (const one of level) {
      for (const inner of Array.isArray(one) ? one : Object.values(one)) if (isNested(inner)) next.push(inner);
    }
    level = next;
  }
  return false;
}

function isNested(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
