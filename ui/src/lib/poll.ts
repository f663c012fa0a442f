/**
 * Loads again and again while the page can be seen, and at once when it is shown again. Returns what stops it.
 */
export function whileShown(every: number, load: () => Promise<void>): () => void {
  const shown = (): void => {
    if (!document.hidden) void load();
  };
  void load();
  const timer = setInterval(shown, every);
  document.addEventListener("visibilitychange", shown);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", shown);
  };
}
