// Bundles src/ into dist/index.umd.js. The first line of the bundle has the SHA-256 of the sources: a test compares it.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const files = ["build.mjs", "package-lock.json", ...readdirSync(join(root, "src")).map((name) => `src/${name}`)].sort();
const hash = createHash("sha256");
for (const file of files) {
  hash.update(`${file}\0${readFileSync(join(root, file), "utf8").replaceAll("\r\n", "\n")}\0`);
}
const sources = hash.digest("hex");
const { outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: ["src/index.tsx"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  charset: "utf8",
  legalComments: "none",
  define: { SOURCES: JSON.stringify(sources) },
  banner: { js: `/*! ccip-review sources-sha256: ${sources} */` },
  write: false,
  outdir: "dist",
});
mkdirSync(join(root, "dist"), { recursive: true });
writeFileSync(join(root, "dist/index.umd.js"), outputFiles[0].contents);
console.log(`dist/index.umd.js: ${outputFiles[0].contents.length} bytes`);
