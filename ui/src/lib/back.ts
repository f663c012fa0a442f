/** When the streamer is back, in words. */
import { i18n, t } from "./i18n/index.svelte";

/** What viewers are told of when the streamer is back. */
export function backWords(at: number, now: number): string {
  return at > now ? t("back_at", { time: i18n.time(at) }) : t("back_any_moment");
}
