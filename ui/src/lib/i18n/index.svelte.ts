/** The language of the interface: the system's, or the person's choice. */
import type { ErrorCode, Problem } from "../generated/protocol";
import { en } from "./en";
import { fill } from "./format";
import { type Language, languageOf } from "./language";
import { type Catalogue, type Key, zh } from "./zh";

export type LanguageChoice = Language | "system";

const STORED = "mujian.language";
const CATALOGUES: Readonly<Record<Language, Catalogue>> = { "zh-CN": zh, en };

function stored(): LanguageChoice {
  const value = localStorage.getItem(STORED);
  return value === "zh-CN" || value === "en" ? value : "system";
}

class I18n {
  choice = $state<LanguageChoice>(stored());
  #system = $state<readonly string[]>(navigator.languages);
  language = $derived<Language>(this.choice === "system" ? languageOf(this.#system) : this.choice);
  #catalogue = $derived(CATALOGUES[this.language]);
  #number = $derived(new Intl.NumberFormat(this.language));
  #fixed = $derived(
    new Intl.NumberFormat(this.language, { minimumFractionDigits: 1, maximumFractionDigits: 1 }),
  );
  #date = $derived(new Intl.DateTimeFormat(this.language, { dateStyle: "long" }));
  #time = $derived(new Intl.DateTimeFormat(this.language, { hour: "2-digit", minute: "2-digit" }));

  constructor() {
    window.addEventListener("languagechange", () => {
      this.#system = navigator.languages;
    });
  }

  /** The system's language, where the page cannot know it by itself: in the app. */
  setSystem(tag: string): void {
    this.#system = [tag];
  }

  choose(choice: LanguageChoice): void {
    this.choice = choice;
    if (choice === "system") localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, choice);
  }

  t(key: Key, values?: Readonly<Record<string, string | number>>): string {
    return fill(this.#catalogue[key], values);
  }

  /** A sentence for an error code. Every code has one: the compiler checks. */
  error(code: ErrorCode): string {
    const key: Key = `error_${code}`;
    return this.#catalogue[key];
  }

  /** A sentence for what stands in the way. Every kind has one: the compiler checks. */
  problem(problem: Problem): string {
    const { kind, ...values } = problem;
    const key: Key = `problem_${kind}`;
    const words: Record<string, string | number> = { ...values };
    if ("part" in problem) {
      words.part = this.#catalogue[`part_${problem.part}`];
      if ("device" in problem && problem.device === "default") words.device = this.#catalogue.mic_default;
    }
    return fill(this.#catalogue[key], words);
  }

  number(n: number): string {
    return this.#number.format(n);
  }

  /** With one decimal. */
  fixed(n: number): string {
    return this.#fixed.format(n);
  }

  /** A day; milliseconds since 1970. */
  date(at: number): string {
    return this.#date.format(at);
  }

  /** A time of day; milliseconds since 1970. */
  time(at: number): string {
    return this.#time.format(at);
  }
}

/** The one there is. */
export const i18n = new I18n();
/** A message in the person's language. */
export const t = (key: Key, values?: Readonly<Record<string, string | number>>): string =>
  i18n.t(key, values);
