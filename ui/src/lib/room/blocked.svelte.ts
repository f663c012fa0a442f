/** What is hidden here, as reactive state. */
import { store, stored } from "../stored";
import {
  addPerson,
  addWord,
  type Blocked,
  type BlockedPerson,
  filterOf,
  type NotAdded,
  readBlocked,
  removePerson,
  removeWord,
  type Said,
} from "./blocking";
import type { Line } from "./model";

const STORED = "mujian.blocked";

class BlockedHere {
  #blocked = $state.raw<Blocked>(readBlocked(stored(STORED)));
  #hides = $derived(filterOf(this.#blocked));

  constructor() {
    // Another tab of this browser changed it.
    window.addEventListener("storage", (event) => {
      if (event.key === STORED) this.#blocked = readBlocked(event.newValue);
    });
  }

  get words(): readonly string[] {
    return this.#blocked.words;
  }
  get people(): readonly BlockedPerson[] {
    return this.#blocked.people;
  }

  hides(said: Said): boolean {
    return this.#hides(said);
  }

  /** Those lines that are to be seen. */
  keep(lines: readonly Line[]): readonly Line[] {
    const hides = this.#hides;
    return lines.filter((l) => l.kind !== "danmaku" || !hides(l));
  }

  addWord(word: string): NotAdded | undefined {
    return this.#take(addWord(this.#blocked, word));
  }
  removeWord(word: string): void {
    this.#take(removeWord(this.#blocked, word));
  }
  addPerson(person: BlockedPerson): NotAdded | undefined {
    return this.#take(addPerson(this.#blocked, person));
  }
  removePerson(id: string): void {
    this.#take(removePerson(this.#blocked, id));
  }

  #take(next: Blocked | NotAdded): NotAdded | undefined {
    if (typeof next === "string") return next;
    this.#blocked = next;
    store(STORED, JSON.stringify(next));
    return undefined;
  }
}

export const blocked = new BlockedHere();
