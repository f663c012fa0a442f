/** What a person set on this computer. */

import type { Area } from "./room/flight";
import { readPrefs, type Saved, type Theme } from "./saved";
import { store, stored } from "./stored";

const STORED = "mujian.prefs";

class Prefs {
  #saved = $state<Saved>(readPrefs(stored(STORED)));

  get theme(): Theme {
    return this.#saved.theme;
  }
  get volume(): number {
    return this.#saved.volume;
  }
  get muted(): boolean {
    return this.#saved.muted;
  }
  get danmaku(): boolean {
    return this.#saved.danmaku;
  }
  get opacity(): number {
    return this.#saved.opacity;
  }
  get size(): number {
    return this.#saved.size;
  }
  get speed(): number {
    return this.#saved.speed;
  }
  get area(): Area {
    return this.#saved.area;
  }
  get shortcuts(): boolean {
    return this.#saved.shortcuts;
  }
  get keepSound(): boolean {
    return this.#saved.keepSound;
  }

  get notify(): boolean | null {
    return this.#saved.notify;
  }

  set(change: Partial<Saved>): void {
    Object.assign(this.#saved, change);
    store(STORED, JSON.stringify(this.#saved));
    this.apply();
  }

  apply(): void {
    const root = document.documentElement;
    if (this.#saved.theme === "system") delete root.dataset["theme"];
    else root.dataset["theme"] = this.#saved.theme;
  }
}

export const prefs = new Prefs();
