/** Languages of the interface. */
export type Language = "zh-CN" | "en";

/** Chinese where the system prefers any Chinese to English, English otherwise. */
export function languageOf(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    if (/^zh\b/i.test(tag)) return "zh-CN";
    if (/^en\b/i.test(tag)) return "en";
  }
  return "en";
}
