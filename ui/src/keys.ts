// Keys by what they write (event.key), so that every keyboard layout works; whatever one layout writes with Shift has a
// second key.
import type { Said } from "./types";

export type Key = { key: string; second?: string };

export const TILE_KEYS = "1234567890-=";
export const TILE_SECOND = "abcdefhijklr"; // none of them means anything else where tiles are
export const SAID_KEYS: Record<string, Said> = { y: "same", n: "different", "?": "unsure", m: "unsure", s: "later" };

type Pressed = Pick<
  globalThis.KeyboardEvent,
  "key" | "ctrlKey" | "altKey" | "metaKey" | "isComposing" | "repeat" | "target"
>;

// Whether a key is for the panel: not while a text is typed or composed, not with a modifier, not held down.
export function isForUs(event: Pressed): boolean {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.key === "Process") return false;
  return !event.repeat && !(event.target as HTMLElement).closest("input, textarea, select, [contenteditable], [role=dialog]");
}

// The letter of a key in lower case, so that Caps Lock changes nothing; other keys by their name.
export const letter = (key: string) => (key.length === 1 ? key.toLowerCase() : key);

export function tileOf(key: string, n: number): number {
  const at = Math.max(TILE_KEYS.indexOf(key), TILE_SECOND.indexOf(letter(key)));
  return key.length === 1 && at < n ? at : -1;
}

// Enter and Space belong to a button that has the focus.
export const isOnButton = (event: Pressed) =>
  ["Enter", " "].includes(event.key) && !!(event.target as HTMLElement).closest("button, a, [role=tab]");

export const halt = (event: { preventDefault(): void }) => event.preventDefault();
