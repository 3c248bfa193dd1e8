/**
 * Whether a text fits a pattern in which `*` stands for any characters and nothing else is special. Each part between two
 * stars is taken where it comes first, so the time grows with the lengths only; a regular expression would try every
 * combination.
 */
export function glob(pattern: string): (text: string) => boolean {
  const [head = "", ...parts] = pattern.split("*");
  const tail = parts.pop();
  if (tail === undefined) return (text) => text === pattern;
  return (text) => {
    if (!text.startsWith(head)) return false;
    let at = head.length;
    for (const part of parts) {
      const found = text.indexOf(part, at);
      if (found === -1) return false;
      at = found + part.length;
    }
    return text.length - tail.length >= at && text.endsWith(tail);
  };
}
