/** The time of this computer, a second at a time, for clocks that are shown. */
class Ticker {
  now = $state(Date.now());
  constructor() {
    setInterval(() => {
      if (!document.hidden) this.now = Date.now();
    }, 500);
  }
}

export const ticker = new Ticker();
