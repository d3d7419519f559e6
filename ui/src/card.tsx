// A group as a card: pictures, name, size, share that is confirmed, what is suspicious.
import { h } from "./react";
import { Thumb } from "./pictures";
import { count, digits, named, percent, t } from "./words";
import type { Card as Group } from "./types";

const HOT = ["double", "mixed"];

type CardProps = {
  group: Group;
  isSelected?: boolean;
  isCurrent?: boolean; // the one that Tab reaches
  onClick?(event: React.MouseEvent): void;
  onFocus?(): void;
};

export function Card({ group, isSelected, isCurrent, onClick, onFocus }: CardProps) {
  const share = percent(group.confirmed, group.size);
  const facts = [
    t("inside", { d: digits(group.inside) }),
    group.rival && t("rival", { name: group.rival.name, d: digits(group.rival.difference) }),
  ].filter(Boolean).join(" · ");
  const flags = group.flags.map((flag) => named("flag_", flag));
  const label = [group.name, t("nImages", { n: group.size }), t("confirmedShare", { p: share }), ...flags].join(", ");
  return (
    <div c={`card${isCurrent ? " current" : ""}`} role="option" aria-selected={!!isSelected} label={label} tabIndex={isCurrent ? 0 : -1}
      cy="card" data-id={group.id} onClick={onClick} onFocus={onFocus}>
      <div c="mosaic">
        {group.pictures.slice(0, 8).map((picture) => <Thumb key={picture.id} picture={picture} />)}
      </div>
      <div c="name">
        <b title={group.name}>{group.name}</b>
        <span c="size">{count(group.size)}</span>
        <span c="soft">{share}%{group.reviewed ? " ✓" : ""}</span>
      </div>
      <div c="meter" aria-hidden><i style={{ width: `${share}%` }} /></div>
      <div c="meta" title={facts}>{facts}</div>
      <div c="flags">
        {group.flags.map((flag) => (
          <span key={flag} c={`flag${HOT.includes(flag) ? " hot" : ""}`}>{named("flag_", flag)}</span>
        ))}
      </div>
    </div>
  );
}
