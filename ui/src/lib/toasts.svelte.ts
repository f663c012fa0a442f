/** Short messages that come and go. */
import { Failed } from "./backend/types";
import { i18n } from "./i18n/index.svelte";

export interface Toast {
  readonly id: number;
  readonly tone: "good" | "bad";
  readonly text: string;
  readonly detail: string;
}

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

  /** Something could not be done, and the words say so. */
  sorry(text: string): void {
    this.#show("bad", text);
  }

  /** `lead` says what did not happen, where the error alone does not. */
  bad(error: unknown, lead = ""): void {
    const text = sentence(error);
    if (lead === "") this.#show("bad", text);
    else this.#show("bad", lead, text);
  }

  dismiss(id: number): void {
    this.list = this.list.filter((x) => x.id !== id);
  }
}

/** An error in the person's words. */
export function sentence(error: unknown): string {
  return i18n.error(error instanceof Failed ? error : { code: "internal" });
}

export const toasts = new Toasts();
