/** Hands the person a file that the page made. */

/** A file's name that every system takes: what is special anywhere becomes a hyphen. */
export function fileName(...parts: string[]): string {
  return parts
    .map((part) =>
      part
        .normalize("NFC")
        .replace(/[^\p{L}\p{N}]+/gu, "-")
        .replace(/^-+|-+$/g, ""),
    )
    .filter((part) => part !== "")
    .join("-");
}

/** Saves a value as JSON under a name, where the person's browser keeps what is downloaded. */
export function saveJson(name: string, value: unknown): void {
  const url = URL.createObjectURL(
    new Blob([JSON.stringify(value, undefined, 2)], { type: "application/json" }),
  );
  const link = document.createElement("a");
  link.href = url;
  link.download = `${name}.json`;
  link.click();
  // The browser has taken it by the time that anything else runs here.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
