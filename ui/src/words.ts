// The panel speaks the language of the browser: English, Japanese or Chinese.
import { addStyle, fetchJson } from "./files";
import type { Words } from "./words_en";

export type Word = keyof Words;
type Values = Record<string, string | number>;

const LANGUAGES = ["en", "ja", "zh"];
const language = (navigator.languages || [navigator.language])
  .map((tag) => tag.slice(0, 2).toLowerCase())
  .find((tag) => LANGUAGES.includes(tag)) || "en";
let words = {} as Words;

// Nothing is drawn before this.
export const isReady = Promise.all([
  addStyle(),
  fetchJson<Words>(`words.${language}.json`).then((found) => (words = found || words)),
]);

export function t(word: Word, values: Values = {}): string {
  const [one, many] = (words[word] || word).split("|"); // the names of words can be read, too
  const text = many && values.n !== 1 && values.n !== "1" ? many : one;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? value.toLocaleString(language) : value;
  });
}

// A word by a name that the server said, or that name where the panel has no word for it.
export function named(prefix: string, name: string): string {
  const word = `${prefix}${name}`;
  return word in words ? words[word as Word] : name;
}

export const count = (value: number) => value.toLocaleString(language);
export const digits = (value: number | null | undefined) => (value == null ? "–" : value.toFixed(3).replace(/^0/, ""));
export const percent = (part: number, whole: number) => (whole ? Math.floor((100 * part) / whole) : 0);
export { language };
