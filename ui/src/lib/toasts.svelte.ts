/** Short messages that come and go. */
import { Failed } from "./backend/types";
import type { ErrorCode } from "./generated/protocol";
import { i18n } from "./i18n/index.svelte";

export interface Toast {
  readonly id: number;
  readonly tone: "good" | "bad";
  readonly text: string;
  readonly detail: string;
}

/** Codes whose own sentence says it all. */
const PLAIN: ReadonlySet<ErrorCode> = new Set([
  "unauthenticated",
  "wrong_credentials",
  "name_taken",
  "rate_limited",
  "registration_closed",
  "wrong_setup_code",
  "off_air",
  "unreachable",
  "wrong_stream_key",
  "already_publishing",
  "not_found",
]);

const SHOWN = 6000;

class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;

  #show(tone: Toast["tone"], text: string, detail = ""): void {
    if (this.list.some((x) => x.text === text && x.detail === detail)) return;
    const id = this.#next++;
    this.list = [...this.list.slice(-3), { id, tone, text, detail }];
    setTimeout(() => this.dismiss(id), tone === "bad" ? SHOWN : SHOWN / 2);
  }

  good(text: string): void {
    this.#show("good", text);
  }

  /** `lead` says what did not happen, where the error alone does not. */
  bad(error: unknown, lead = ""): void {
    const { text, detail } = sentences(error);
    if (lead === "") this.#show("bad", text, detail);
    else this.#show("bad", lead, text);
  }

  dismiss(id: number): void {
    this.list = this.list.filter((x) => x.id !== id);
  }
}

/** An error in the person's words; the detail is the server's own sentence, where it says more. */
export function sentences(error: unknown): { text: string; detail: string } {
  if (error instanceof Failed) {
    if (error.problem) return { text: i18n.problem(error.problem), detail: "" };
    return { text: i18n.error(error.code), detail: PLAIN.has(error.code) ? "" : error.message };
  }
  return { text: i18n.error("internal"), detail: error instanceof Error ? error.message : "" };
}

export const toasts = new Toasts();
