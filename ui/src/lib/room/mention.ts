/** Naming somebody in a comment: `@name`. Names have spaces and any script, so they are known by the people seen. */
import { NAME_MAX } from "../generated/protocol";
import type { Line } from "./model";

export interface Seen {
  readonly id: string;
  readonly name: string;
}

/** So many are remembered. */
const SEEN_MAX = 100;
/** So many are offered. */
const OFFERED = 6;

/** A piece of a comment. */
export type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "mention"; readonly text: string; readonly you: boolean };

/** Who was seen in a room, whoever wrote last first; the streamer in any case, oneself never. */
export function peopleSeen(lines: readonly Line[], owner: Seen | undefined, you: string | undefined): Seen[] {
  const seen = new Map<string, Seen>();
  for (let i = lines.length - 1; i >= 0 && seen.size < SEEN_MAX; i--) {
    const line = lines[i];
    if (line?.kind !== "danmaku" || line.own || line.by === "" || seen.has(line.by)) continue;
    // An account that was deleted has no name, and is there no more.
    if (line.author === "") continue;
    seen.set(line.by, { id: line.by, name: line.author });
  }
  if (owner && !seen.has(owner.id)) seen.set(owner.id, { id: owner.id, name: owner.name });
  if (you !== undefined) seen.delete(you);
  return [...seen.values()];
}

const isAt = (c: string | undefined): boolean => c === "@" || c === "＠";
/** Letters that stand in words with spaces between them; Chinese ones follow each other without. */
const inWord = (c: string | undefined): boolean =>
  c !== undefined &&
  /[\p{L}\p{N}_]/u.test(c) &&
  !/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u.test(c);
/** The character that ends before `at`, and the one that begins there. */
const before = (text: string, at: number): string | undefined =>
  [...text.slice(Math.max(0, at - 2), at)].at(-1);
const after = (text: string, at: number): string | undefined => [...text.slice(at, at + 2)][0];

function startsAt(text: string, at: number, name: string): boolean {
  const end = at + name.length;
  if (text.slice(at, end).toLowerCase() !== name.toLowerCase()) return false;
  return !(inWord(before(name, name.length)) && inWord(after(text, end)));
}

/**
 * Takes a comment apart by the names in it. Of names that begin alike the longest counts; an address of
 * electronic mail names nobody.
 */
export function partsOf(text: string, names: readonly string[], you: string | undefined): Part[] {
  if (!text.includes("@") && !text.includes("＠")) return [{ kind: "text", text }];
  const known = [...new Set(you === undefined || you === "" ? names : [...names, you])]
    .filter((n) => n !== "")
    .sort((a, b) => b.length - a.length);
  const parts: Part[] = [];
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    if (!isAt(text[i]) || inWord(before(text, i))) continue;
    const name = known.find((n) => startsAt(text, i + 1, n));
    if (name === undefined) continue;
    if (i > from) parts.push({ kind: "text", text: text.slice(from, i) });
    const end = i + 1 + name.length;
    parts.push({ kind: "mention", text: text.slice(i, end), you: name.toLowerCase() === you?.toLowerCase() });
    from = end;
    i = end - 1;
  }
  if (from < text.length || parts.length === 0) parts.push({ kind: "text", text: text.slice(from) });
  return parts;
}

/** Whether a comment names this person. */
export function mentionsYou(text: string, names: readonly string[], you: string | undefined): boolean {
  return (
    you !== undefined && you !== "" && partsOf(text, names, you).some((p) => p.kind === "mention" && p.you)
  );
}

/** The name that is being written before the caret. */
export interface Naming {
  /** Where its `@` stands. */
  readonly from: number;
  readonly query: string;
}

export function namingAt(text: string, caret: number): Naming | undefined {
  for (let i = caret - 1; i >= 0 && caret - i <= 2 * NAME_MAX; i--) {
    if (!isAt(text[i])) continue;
    return inWord(before(text, i)) ? undefined : { from: i, query: text.slice(i + 1, caret) };
  }
  return undefined;
}

/** Who may be meant: those whose names begin so, then those that have it in them. */
export function offered(people: readonly Seen[], query: string): Seen[] {
  const q = query.toLowerCase();
  if (q.startsWith(" ")) return [];
  const begin = people.filter((p) => p.name.toLowerCase().startsWith(q));
  const inside = q === "" ? [] : people.filter((p) => !begin.includes(p) && p.name.toLowerCase().includes(q));
  return [...begin, ...inside].slice(0, OFFERED);
}

export interface Edit {
  readonly text: string;
  readonly caret: number;
}

/** Puts something in place of a stretch of the text. */
export function replaced(text: string, from: number, to: number, piece: string): Edit {
  return { text: text.slice(0, from) + piece + text.slice(to), caret: from + piece.length };
}

/** Writes the name out, with a space after it. */
export function named(text: string, caret: number, naming: Naming, name: string): Edit {
  const gap = text[caret] === " " ? 1 : 0;
  return replaced(text, naming.from, caret + gap, `@${name} `);
}

/** Begins to speak to somebody: at the end of what is written already. */
export function addressed(text: string, name: string): Edit {
  const space = text === "" || text.endsWith(" ") ? "" : " ";
  return replaced(text, text.length, text.length, `${space}@${name} `);
}
