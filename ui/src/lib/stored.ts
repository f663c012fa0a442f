/**
 * What a browser keeps for this site. Where it keeps nothing (cookies are blocked, its space is full), it is known
 * until the page is closed: nothing here is worth a page that does not work.
 */
const meanwhile = new Map<string, string | undefined>();

/** What is kept under a name, if anything. */
export function stored(name: string): string | null {
  if (meanwhile.has(name)) return meanwhile.get(name) ?? null;
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Keeps a text under a name; nothing is kept any more without one. */
export function store(name: string, text: string | undefined): void {
  try {
    if (text === undefined) localStorage.removeItem(name);
    else localStorage.setItem(name, text);
    meanwhile.delete(name);
  } catch {
    meanwhile.set(name, text);
  }
}
