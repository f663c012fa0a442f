/** A small choice of emoji: characters, no pictures. */

export const EMOJI = {
  faces: ["😀", "😂", "🤣", "😊", "😍", "😘", "😎", "🤔", "😏", "😅", "😭", "😱", "😡", "🥺", "😴", "🤯"],
  hands: ["👍", "👎", "👏", "🙌", "🙏", "💪", "👌", "👋", "🤝", "👀", "❤️", "💔", "💖", "💯", "🔥", "✨"],
  fun: ["🎉", "🎂", "🎁", "🧧", "🏮", "🎵", "🎤", "🎸", "🎮", "🏆", "🚀", "🌹", "🌈", "🌙", "☔", "⭐"],
  table: ["☕", "🍵", "🍜", "🍚", "🥟", "🍕", "🍰", "🍉", "🍻", "🐶", "🐱", "🐼", "🐰", "🐯", "🐲", "🦄"],
} as const;
export type EmojiGroup = keyof typeof EMOJI;
export const EMOJI_GROUPS = Object.keys(EMOJI) as readonly EmojiGroup[];
/** So many stand in a row. */
export const EMOJI_COLUMNS = 8;
/** So many of those used last are kept. */
const RECENT_MAX = 8;

const ALL: ReadonlySet<string> = new Set(Object.values(EMOJI).flat());

export function readRecent(text: string | null): readonly string[] {
  let raw: unknown;
  try {
    raw = JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(raw)) return [];
  const known = (raw as unknown[]).filter((e): e is string => typeof e === "string" && ALL.has(e));
  return [...new Set(known)].slice(0, RECENT_MAX);
}

/** The one used now comes first. */
export function withRecent(recent: readonly string[], emoji: string): readonly string[] {
  return [emoji, ...recent.filter((e) => e !== emoji)].slice(0, RECENT_MAX);
}

const STEPS: Readonly<Record<string, number>> = {
  ArrowRight: 1,
  ArrowLeft: -1,
  ArrowDown: EMOJI_COLUMNS,
  ArrowUp: -EMOJI_COLUMNS,
};

/** Where an arrow key leads in rows of {@link EMOJI_COLUMNS}; undefined: the key leads nowhere. */
export function stepTo(key: string, at: number, count: number): number | undefined {
  const step = STEPS[key];
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  if (step === undefined) return undefined;
  const to = at + step;
  return to >= 0 && to < count ? to : at;
}
