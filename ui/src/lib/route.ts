/** What an address means. */

export type Route =
  | { readonly screen: "hall" }
  | { readonly screen: "watch"; readonly room: string }
  | { readonly screen: "replay"; readonly replay: string }
  | { readonly screen: "studio" }
  | { readonly screen: "account" }
  | { readonly screen: "parts" }
  | { readonly screen: "missing" };

/** Room ids as the server forms them. */
const ROOM = /^[a-z0-9-]{4,32}$/;
/** Recordings are named like their streams: by UUIDs. */
const REPLAY = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function parseRoute(path: string): Route {
  const parts = path.split("/").filter((p) => p !== "");
  const [first, second] = parts;
  if (first === undefined || (first === "index.html" && parts.length === 1)) return { screen: "hall" };
  if (first === "watch" && second !== undefined && parts.length === 2 && ROOM.test(second)) {
    return { screen: "watch", room: second };
  }
  if (first === "replay" && second !== undefined && parts.length === 2 && REPLAY.test(second)) {
    return { screen: "replay", replay: second };
  }
  if (parts.length === 1 && (first === "studio" || first === "account" || first === "parts"))
    return { screen: first };
  // Where the server sends its new operator.
  if (parts.length === 1 && first === "setup") return { screen: "account" };
  return { screen: "missing" };
}

/** Longest that is searched for, in characters: the server looks at no more. */
export const WORDS_MAX = 64;

/** What an address's query (`?q=…`) searches for in the hall. */
export function wordsOf(query: string): string {
  const words = new URLSearchParams(query).get("q") ?? "";
  return [...words].slice(0, WORDS_MAX).join("");
}

/** The query with other words in it, or none. */
export function withWords(query: string, words: string): string {
  const all = new URLSearchParams(query);
  if (words === "") all.delete("q");
  else all.set("q", words);
  const text = all.toString();
  return text === "" ? "" : `?${text}`;
}
