/** The language of the interface: the system's, or the person's choice. */
import type { EncoderFault, NoticeCode, Problem, Uplink } from "../generated/protocol";
import { en } from "./en";
import { fill } from "./format";
import { type Language, languageOf } from "./language";
import {
  encoderIn,
  errorIn,
  faultIn,
  noticeIn,
  problemIn,
  programIn,
  uplinkIn,
  type Words,
  type Wrong,
} from "./problem";
import { store, stored } from "../stored";
import { ago, daysBetween } from "../when";
import { type Catalogue, type Key, zh } from "./zh";

export type LanguageChoice = Language | "system";

const STORED = "mujian.language";
const CATALOGUES: Readonly<Record<Language, Catalogue>> = { "zh-CN": zh, en };

function chosen(): LanguageChoice {
  const value = stored(STORED);
  return value === "zh-CN" || value === "en" ? value : "system";
}

class I18n {
  choice = $state<LanguageChoice>(chosen());
  #system = $state<readonly string[]>(navigator.languages);
  language = $derived<Language>(this.choice === "system" ? languageOf(this.#system) : this.choice);
  #catalogue = $derived(CATALOGUES[this.language]);
  #words = $derived<Words>({ language: this.language, catalogue: this.#catalogue });
  #number = $derived(new Intl.NumberFormat(this.language));
  #fixed = $derived(
    new Intl.NumberFormat(this.language, { minimumFractionDigits: 1, maximumFractionDigits: 1 }),
  );
  #percent = $derived(new Intl.NumberFormat(this.language, { style: "percent" }));
  #date = $derived(new Intl.DateTimeFormat(this.language, { dateStyle: "long" }));
  #day = $derived(
    new Intl.DateTimeFormat(this.language, { weekday: "short", month: "long", day: "numeric" }),
  );
  #relative = $derived(new Intl.RelativeTimeFormat(this.language, { numeric: "auto" }));
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
    store(STORED, choice === "system" ? undefined : choice);
  }

  t(key: Key, values?: Readonly<Record<string, string | number>>): string {
    return fill(this.#catalogue[key], values);
  }

  /** A sentence for an error. */
  error(wrong: Wrong): string {
    return errorIn(this.#words, wrong);
  }

  /** A sentence for what stands in the way. */
  problem(problem: Problem): string {
    return problemIn(this.#words, problem);
  }

  /** A sentence for why an encoder does not work. */
  fault(fault: EncoderFault): string {
    return faultIn(this.#words, fault);
  }

  /** What a person calls an encoder. */
  encoder(name: string): string {
    return encoderIn(this.#words, name);
  }

  /** What a program that publishes is called. */
  program(name: string): string {
    return programIn(this.#words, name);
  }

  /** A sentence for a remark to the streamer. */
  notice(code: NoticeCode): string {
    return noticeIn(this.#words, code);
  }

  /** What is wrong with the streamer's line. */
  uplink(uplink: Uplink): string | undefined {
    return uplinkIn(this.#words, uplink);
  }

  number(n: number): string {
    return this.#number.format(n);
  }

  /** A file's size. */
  size(bytes: number): string {
    const mega = bytes / 1_000_000;
    return mega < 1000 ? `${this.number(Math.ceil(mega))} MB` : `${this.fixed(mega / 1000)} GB`;
  }

  /** With one decimal. */
  fixed(n: number): string {
    return this.#fixed.format(n);
  }

  /** A share of one. */
  percent(n: number): string {
    return this.#percent.format(n);
  }

  /** A day; milliseconds since 1970. */
  date(at: number): string {
    return this.#date.format(at);
  }

  /** A time that lies ahead, as one says it now: "tomorrow, 20:00". Both in milliseconds since 1970. */
  when(at: number, now: number): string {
    const days = daysBetween(now, at);
    const near = days >= 0 && days <= 1;
    return this.t("when", {
      day: near ? this.#relative.format(days, "day") : this.#day.format(at),
      time: this.time(at),
    });
  }

  /** How long ago something was: "2 hours ago". Both in milliseconds since 1970. */
  ago(at: number, now: number): string {
    const { n, unit } = ago(now - at);
    return this.#relative.format(-n, unit);
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
