/** Words and people that somebody does not want to see. Kept on their own computer; nobody else is told. */
import { NAME_MAX } from "../generated/protocol";
import { characters } from "../i18n/format";

export interface BlockedPerson {
  readonly id: string;
  readonly name: string;
}
export interface Blocked {
  readonly words: readonly string[];
  readonly people: readonly BlockedPerson[];
}

export const WORDS_MAX = 100;
export const WORD_MAX = 40;
export const PEOPLE_MAX = 200;
const ID_MAX = 64;
/** What is stored is never longer than this; something longer is not ours. */
const STORED_MAX = 200_000;

export const NOTHING: Blocked = { words: [], people: [] };

/** Why something was not added. */
export type NotAdded = "empty" | "long" | "full" | "there";

/** How words are compared: case, width and characters that nobody sees make no difference. */
export const fold = (text: string): string =>
  text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/\p{Cf}/gu, "");

export function addWord(blocked: Blocked, word: string): Blocked | NotAdded {
  const clean = word.trim().replace(/\s+/gu, " ");
  const key = fold(clean);
  if (key.trim() === "") return "empty";
  if (characters(clean) > WORD_MAX) return "long";
  if (blocked.words.some((w) => fold(w) === key)) return "there";
  if (blocked.words.length >= WORDS_MAX) return "full";
  return { ...blocked, words: [...blocked.words, clean] };
}

export function removeWord(blocked: Blocked, word: string): Blocked {
  return { ...blocked, words: blocked.words.filter((w) => w !== word) };
}

export function addPerson(blocked: Blocked, person: BlockedPerson): Blocked | NotAdded {
  if (person.id === "" || person.name.trim() === "") return "empty";
  if (person.id.length > ID_MAX || characters(person.name) > NAME_MAX) return "long";
  if (blocked.people.some((p) => p.id === person.id)) return "there";
  if (blocked.people.length >= PEOPLE_MAX) return "full";
  return { ...blocked, people: [...blocked.people, { id: person.id, name: person.name }] };
}

export function removePerson(blocked: Blocked, id: string): Blocked {
  return { ...blocked, people: blocked.people.filter((p) => p.id !== id) };
}

/** More than twice as many as are kept is not ours either. */
const list = (value: unknown, max: number): readonly unknown[] =>
  Array.isArray(value) ? (value as unknown[]).slice(0, 2 * max) : [];

/** Reads what was stored; what does not fit is left out. */
export function readBlocked(text: string | null): Blocked {
  if (text === null || text.length > STORED_MAX) return NOTHING;
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return NOTHING;
  }
  if (typeof raw !== "object" || raw === null) return NOTHING;
  const stored = raw as Record<string, unknown>;
  let blocked = NOTHING;
  const take = (next: Blocked | NotAdded): void => {
    if (typeof next !== "string") blocked = next;
  };
  for (const word of list(stored["words"], WORDS_MAX))
    if (typeof word === "string") take(addWord(blocked, word));
  for (const person of list(stored["people"], PEOPLE_MAX)) {
    if (typeof person !== "object" || person === null) continue;
    const { id, name } = person as Record<string, unknown>;
    if (typeof id === "string" && typeof name === "string") take(addPerson(blocked, { id, name }));
  }
  return blocked;
}

/** A comment, as far as hiding it is concerned. */
export interface Said {
  readonly by: string;
  readonly text: string;
  readonly own: boolean;
}

/** Tells what to hide. One's own comments are never hidden. */
export function filterOf(blocked: Blocked): (said: Said) => boolean {
  const words = blocked.words.map(fold);
  const people = new Set(blocked.people.map((p) => p.id));
  if (words.length === 0 && people.size === 0) return () => false;
  const known = new WeakMap<Said, boolean>();
  return (said) => {
    if (said.own) return false;
    let hidden = known.get(said);
    if (hidden === undefined) {
      const text = words.length > 0 ? fold(said.text) : "";
      hidden = people.has(said.by) || words.some((w) => text.includes(w));
      known.set(said, hidden);
    }
    return hidden;
  };
}
