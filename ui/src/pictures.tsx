// Pictures: small ones with a placeholder while the server makes them, and the large one over the panel.
import { h, createContext, useContext, useEffect, useState } from "./react";
import { Store, useStore } from "./store";
import { t } from "./words";
import type { Session } from "./session";
import type { Picture } from "./types";

const POLL_MS = 1500;
const MOST_POLLS = 60;
const HOVER_MS = 700;
const MOST_PRELOADED = 400;

export const url = (path: string) => window.__fos__.getSampleSrc(path);

const loaded = new Map<string, HTMLImageElement>(); // kept, so that the browser keeps them decoded

export function preload(pictures: Picture[]): void {
  for (const { src } of pictures) {
    if (!src || loaded.has(src)) continue;
    const image = new Image();
    image.src = url(src);
    loaded.set(src, image);
  }
  for (const src of [...loaded.keys()].slice(0, Math.max(0, loaded.size - MOST_PRELOADED))) loaded.delete(src);
}

// Thumbnails that are being made: asked for together, a few times.
export class Makings extends Store<{ made: Record<string, string> }> {
  private readonly wanted = new Map<string, number>();
  private timer = 0;

  constructor(readonly session: Session) {
    super({ made: {} });
  }

  want(id: string): void {
    if (this.snapshot.made[id] || this.wanted.has(id)) return;
    this.wanted.set(id, MOST_POLLS);
    if (!this.timer) this.timer = window.setTimeout(() => void this.poll(), POLL_MS);
  }

  forget(id: string): void {
    this.wanted.delete(id);
  }

  private async poll(): Promise<void> {
    const ids = [...this.wanted.keys()].slice(0, 60);
    ids.forEach((id) => this.wanted.set(id, this.wanted.get(id)! - 1));
    try {
      const reply = ids.length ? await this.session.api.read<{ pictures: Record<string, Picture> }>("pictures", { ids }) : null;
      const made = Object.values(reply?.pictures || {}).filter((picture) => picture.src);
      made.forEach((picture) => this.wanted.delete(picture.id));
      if (made.length) {
        this.update({ made: { ...this.snapshot.made, ...Object.fromEntries(made.map((each) => [each.id, each.src!])) } });
      }
    } catch {
      // the next call that a person makes says what is wrong
    }
    ids.filter((id) => (this.wanted.get(id) ?? 1) <= 0).forEach((id) => this.wanted.delete(id));
    this.timer = this.wanted.size ? window.setTimeout(() => void this.poll(), POLL_MS) : 0;
  }
}

type Look = { picture: Picture; side: "left" | "right"; stays: boolean } | null;
export class Looks extends Store<{ look: Look }> {
  under: { picture: Picture; side: "left" | "right" } | null = null; // below the pointer
  private timer = 0;

  enter(picture: Picture, x: number): void {
    const middle = window.innerWidth / 2;
    this.under = { picture, side: x > middle ? "left" : "right" };
    clearTimeout(this.timer);
    if (this.snapshot.look?.stays) return;
    this.timer = window.setTimeout(() => this.update({ look: { ...this.under!, stays: false } }), HOVER_MS);
  }

  leave(): void {
    clearTimeout(this.timer);
    this.under = null;
    if (this.snapshot.look && !this.snapshot.look.stays) this.update({ look: null });
  }

  // Space: the large picture of what is below the pointer or has the focus, and away with it.
  toggle(fallback: Picture | null): void {
    const picture = this.under || (fallback && { picture: fallback, side: "right" as const });
    this.update({ look: this.snapshot.look || !picture ? null : { ...picture, stays: true } });
  }

  close(): void {
    if (this.snapshot.look) this.update({ look: null });
  }
}

export const Pictures = createContext<{ makings: Makings; looks: Looks }>(null as never);

type ThumbProps = { picture: Picture; size?: number; label?: string; eager?: boolean };

export function Thumb({ picture, size, label, eager }: ThumbProps) {
  const { makings, looks } = useContext(Pictures);
  const made = useStore(makings).made[picture.id];
  const src = picture.src || made;
  const [broken, setBroken] = useState<string | null>(null);
  useEffect(() => {
    if (src) return undefined;
    makings.want(picture.id);
    return () => makings.forget(picture.id);
  }, [makings, picture.id, src]);
  const name = label ?? picture.name ?? picture.id;
  const shown = src && broken !== src;
  return (
    <span
      c="thumb"
      style={size ? { height: size } : undefined}
      data-id={picture.id}
      onPointerEnter={(event) => looks.enter(picture, event.clientX)}
      onPointerLeave={() => looks.leave()}
    >
      {shown ? (
        <img
          src={url(src)}
          alt={name}
          decoding={eager ? "sync" : "async"}
          loading={eager ? "eager" : "lazy"}
          draggable={false}
          onError={() => setBroken(src)}
        />
      ) : (
        <span c="blank" role="img" label={`${t("beingMade")}: ${name}`} title={name} cy="blank" />
      )}
    </span>
  );
}

export function Large() {
  const { looks } = useContext(Pictures);
  const { look } = useStore(looks);
  if (!look) return null;
  const { picture, side } = look;
  const facts = [picture.name, picture.difference == null ? "" : picture.difference.toFixed(3)].filter(Boolean).join(" · ");
  return (
    <figure c={`large ${side}`} cy="large" data-id={picture.id}>
      <span c="whole">
        <img src={url(picture.large)} alt={picture.name ?? picture.id} onLoad={fit} />
        {picture.box && <span c="box" style={boxStyle(picture.box)} />}
      </span>
      {facts && <figcaption>{facts}</figcaption>}
    </figure>
  );
}

// As large as there is place, whatever its size; the box around it has its shape, so that the crop can be drawn on it.
function fit({ currentTarget }: { currentTarget: HTMLImageElement }): void {
  const { naturalWidth, naturalHeight, parentElement } = currentTarget;
  parentElement?.style.setProperty("--ratio", String(naturalWidth / naturalHeight || 1));
}

function boxStyle([x, y, w, h]: number[]) {
  return { left: `${100 * x}%`, top: `${100 * y}%`, width: `${100 * w}%`, height: `${100 * h}%` };
}
