// Bundles src/ into dist/: the script, its style, and the words of each language. Every file carries
// the SHA-256 of the sources, and a test compares it; the script has it in its first line.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const names = ["build.mjs", "package-lock.json", ...readdirSync(join(root, "src")).map((name) => `src/${name}`)].sort();
const hash = createHash("sha256");
for (const name of names) {
  hash.update(`${name}\0${readFileSync(join(root, name), "utf8").replaceAll("\r\n", "\n")}\0`);
}
const sources = hash.digest("hex");

// Names of our own that no JSON and nothing of the browser has: they are shortened.
const OURS = new RegExp(
  "^(is(Selected|Current|Marked|Who|Plain|Main|Ready|New|On|Waiting)|" +
    "on(Press|Toggle|Chosen|Back|Turn|Say|Ok|Work|Undo|Done|Close)|" +
    "session|queue|pending|painted|aside|early|opened|looks|makings|followers|perPage|pressedAt|given|wanted|showInGrid|" +
    "toggle|enter|leave|dismiss|take|sign|edit|word|look|buttons|wasPainted|sendUndo|settle|refused|skipped|restore|drain|" +
    "written|writeNow|leaving|choose|drop|answer|tabId|fail|under|made|stays|follow|notice|root|ask|version|dataset|hash|" +
    "isLoading|onStay|place|tile|eager|numbers|desk|row|onAhead|snapshot|update|read|load|away|busy|timer|api|poll|want|forget|tail|keep|send|uri|press|safe|share|reply)$",
);

async function bundled(entry, format, banner = {}) {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format,
    target: "es2022",
    jsxFactory: "h",
    jsxFragment: "Fragment",
    charset: "utf8",
    legalComments: "none",
    define: { SOURCES: JSON.stringify(sources) },
    banner,
    ...(format === "iife" && { mangleProps: OURS }),
    write: false,
    outdir: "dist",
  });
  return outputFiles[0].text;
}

async function words(language) {
  const code = await bundled(`src/words_${language}.ts`, "esm");
  const module = await import(`data:text/javascript;base64,${Buffer.from(code).toString("base64")}`);
  return `${JSON.stringify({ sources, ...module[language] })}\n`;
}

const stamp = `/*! ccip-review sources-sha256: ${sources} */`;
const files = {
  "index.umd.js": await bundled("src/index.tsx", "iife", { js: stamp }),
  "panel.css": await bundled("src/panel.css", undefined, { css: stamp }),
  "words.en.json": await words("en"),
  "words.ja.json": await words("ja"),
  "words.zh.json": await words("zh"),
};
mkdirSync(join(root, "dist"), { recursive: true });
for (const [name, text] of Object.entries(files)) {
  writeFileSync(join(root, "dist", name), text);
  console.log(`dist/${name}: ${Buffer.byteLength(text)} bytes`);
}
