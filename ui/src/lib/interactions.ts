/** What a streamer can owe, in words. */
import type { BallotOption, Interaction } from "./generated/protocol";
import { t } from "./i18n/index.svelte";

export function nameOf(interaction: Interaction): string {
  return interaction.kind === "own" ? interaction.text : t(`interaction_${interaction.key}`);
}

export function votesOf(options: readonly BallotOption[]): number {
  return options.reduce((sum, o) => sum + o.votes, 0);
}

/** A part of the whole in percent, rounded; 0 of nothing. */
export function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 100);
}
