// What lies beside the bundle and is fetched when it is needed: the style, and the words of one language.
const base = (document.currentScript as HTMLScriptElement | null)?.src.replace(/[^/]*$/, "") || "";

const fileUrl = (name: string) => `${base}${name}?h=${SOURCES.slice(0, 16)}`;

export async function fetchJson<T>(name: string): Promise<T | null> {
  try {
    const reply = await fetch(fileUrl(name));
    return reply.ok ? ((await reply.json()) as T) : null;
  } catch {
    return null;
  }
}

export function addStyle(): Promise<unknown> {
  const id = "ccip-review-style";
  if (document.getElementById(id)) return Promise.resolve();
  const link = document.createElement("link");
  Object.assign(link, { id, rel: "stylesheet", href: fileUrl("panel.css") });
  return new Promise((resolve) => {
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}
