/** The few things that the page needs from the DOM, typed. */

type Child = Node | string;

/** Makes an element. `class` and `data-…` are attributes like any other. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** @throws Error when the page lacks it: the HTML and this code belong together. */
export function find<E extends Element>(root: ParentNode, selector: string, kind: new () => E): E {
  const found = root.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} at ${selector}`);
  return found;
}

/** An element marked `data-part`. */
export function part(root: ParentNode, name: string): HTMLElement {
  return find(root, `[data-part="${name}"]`, HTMLElement);
}

export function button(label: string, onClick: () => void, hint?: string): HTMLButtonElement {
  const made = element("button", { type: "button", ...(hint !== undefined && { title: hint }) }, label);
  made.addEventListener("click", onClick);
  return made;
}

export function toggle(label: string, onChange: (on: boolean) => void): HTMLLabelElement {
  const box = element("input", { type: "checkbox", role: "switch" });
  box.addEventListener("change", () => onChange(box.checked));
  return element("label", { class: "switch" }, box, element("span", {}, label));
}
