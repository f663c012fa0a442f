/** Placeholders in words. */
import type {
  ChoiceView,
  PlaceholderState,
  PlaceholderView,
  RefusalCode,
  ShelfView,
} from "./generated/protocol";
import { i18n, t } from "./i18n/index.svelte";
import { type Key, zh } from "./i18n/zh";
import { Failed } from "./backend/types";
import { length } from "./shelf";
import { sentence } from "./toasts.svelte";

/** What a placeholder is called, the system's own included. */
export function nameOf(shelf: ShelfView, id: string): string {
  const own = shelf.placeholders.find((p) => p.id === id);
  if (own) return own.name;
  const key = `placeholder_${id}`;
  return key in zh ? t(key as Key) : id;
}

/** Why one is refused; the detail is what the moderator wrote, if it was one. */
export function refusal(state: { code: RefusalCode; words?: string }): { text: string; detail: string } {
  return { text: t(`refusal_${state.code}`), detail: state.words ?? "" };
}

/** In a word or two, where a placeholder stands. */
export function stateWord(state: PlaceholderState): string {
  return t(`placeholder_state_${state.state}`);
}

/** What stands on its picture; nothing where all is well. */
export function mark(placeholder: PlaceholderView): string {
  const { mirror, state } = placeholder;
  if (mirror && mirror.state !== "mirrored") return t(`mirror_${mirror.state}`);
  return state.state === "ready" ? "" : stateWord(state);
}

/** How this computer's shelf and the server's agree about it, in a sentence; nothing where there is but the server's. */
export function mirrorWords({ mirror }: PlaceholderView): string {
  if (!mirror) return "";
  const words = t(`mirror_${mirror.state}_text`);
  if (!("error" in mirror) || !mirror.error) return words;
  return `${words} ${sentence(new Failed(mirror.error))}`;
}

/** What it is: "Picture with music · 0:12". */
export function kindOf(placeholder: PlaceholderView): string {
  const sounds = placeholder.sound && placeholder.kind !== "audio" && placeholder.kind !== "video";
  const kind = t(`placeholder_kind_${placeholder.kind}`);
  const what = sounds ? t("placeholder_with_sound", { kind }) : kind;
  const plays = placeholder.sound || placeholder.kind === "video" || placeholder.kind === "animation";
  return plays && placeholder.duration_ms !== null ? `${what} · ${length(placeholder.duration_ms)}` : what;
}

/** Words one after the other. */
export function list(words: readonly string[]): string {
  return words.join(i18n.language === "zh-CN" ? "、" : ", ");
}

/** Why this one is shown, or would be. */
export function reason(choice: ChoiceView): string {
  return t(`choice_${choice.reason}`, { words: list(choice.words) });
}
