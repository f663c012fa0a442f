/** What a form shows while the app tells of changes and answers to them, in whichever order these arrive. */

/** The app's state: of two, the one with the higher revision is the newer one. */
export interface Revised<V> {
  readonly revision: number;
  readonly settings: V;
}

/** See the top of the file. */
export class Draft<V extends object, S extends Revised<V>> {
  /** The newest that the app said. */
  state: S | undefined;
  /** As shown in the form: ahead of `state` while something is being changed. */
  settings: V | undefined;
  #unsaved = false;
  #onTheWay = false;

  /** An answer or an event; false: it was overtaken by a newer one. */
  take(state: S): boolean {
    if (this.state && state.revision < this.state.revision) return false;
    this.state = state;
    this.#show();
    return true;
  }

  /** The person changes something. */
  edit(change: Partial<V>): void {
    if (!this.settings) return;
    this.settings = { ...this.settings, ...change };
    this.#unsaved = true;
  }

  /** What is to be saved now; undefined: nothing. To be ended by `saved` before the next. */
  save(): V | undefined {
    if (!this.#unsaved) return undefined;
    this.#unsaved = false;
    this.#onTheWay = true;
    return this.settings;
  }

  /** The app has answered, or refused: what could not be set is not shown as set. */
  saved(): void {
    this.#onTheWay = false;
    this.#show();
  }

  #show(): void {
    if (!this.#unsaved && !this.#onTheWay) this.settings = this.state?.settings;
  }
}
