/** Tags as they are typed, apart by spaces or commas of either script; doubles and what is past the limits go. */
export function parseTags(text: string, most: number, longest: number): string[] {
  const tags = text
    .split(/[\s,，、;；]+/u)
    .map((tag) => [...tag.replace(/^#/, "")].slice(0, longest).join(""))
    .filter((tag) => tag !== "");
  return [...new Set(tags)].slice(0, most);
}
