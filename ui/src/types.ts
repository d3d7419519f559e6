// The JSON between the panel and the operator "review".
export type Picture = {
  id: string;
  src: string | null; // a file path on the server; null: the thumbnail is being made
  large: string;
  difference: number | null;
  status: string | null;
  name?: string;
  box?: number[] | null;
};

export type Progress = {
  items: number;
  confirmed: number;
  ignored: number;
  open: number;
  groups: number;
  reviewed: number;
  noun: string;
  purity: number[] | null;
  left: number | null;
  answers: Record<string, number>;
  disputes?: number;
  several?: number;
  revision: number;
};

export type Card = {
  id: number;
  name: string;
  named: boolean;
  size: number;
  confirmed: number;
  flags: string[];
  pictures: Picture[];
  // not known yet where a group was found by its name alone
  inside?: number | null;
  rival?: { id: number; name: string; difference: number } | null;
  reviewed?: boolean;
};

export type Side = { id: number | null; name: string | null; named: boolean; size: number; pictures: Picture[] };
export type Tile = { id: string; name: string | null; size: number; pictures: Picture[] };
export type Kind = "same" | "halves" | "out" | "in" | "who" | "whole";
export type Said = "same" | "different" | "done" | "pick" | "new" | "none" | "two" | "unsure" | "later";

export type Question = {
  id: string;
  kind: Kind;
  sides: Side[];
  tiles: Tile[];
  image: Picture | null;
  difference: number | null;
  limit: number;
  gain: number;
  warning: string | null;
  keeps?: string | null;
  shown: unknown;
};

export type Source = { group_field: string; patches_field: string | null };
export type Action = { label: string; operator: string; params: Record<string, unknown> };
export type Opened = {
  token: string;
  sources: (Source & { label: string; n_items: number })[];
  source: Source | null;
  progress: Progress | null;
  threshold: number | null;
  by_hand: number;
  is_view: boolean;
  sources_hash?: string;
};
export type GroupsPage = { n: number; page: number; cards: Card[]; find: string; ids: number[]; newest: number; progress?: Progress };
export type Listing = { rows: [id: number, name: string, size: number, confirmed: number][] };
export type Asked = { questions: Question[]; done: string | null; progress?: Progress };
export type Written = {
  number: number | null;
  text: string;
  lifted?: string[];
  left?: string[];
  progress?: Progress;
  questions?: Question[] | Asked;
  done?: string | null;
};
export type HistoryRow = {
  number: number;
  text: string;
  at: string;
  by: string | null;
  n: number;
  undone: boolean;
  unfolds: HistoryRow[] | null;
};
export type Dispute = {
  id: string;
  kind: "contradiction" | "disagreement";
  about: string;
  groups: number[];
  items: string[];
  pictures: Picture[];
  sides: { same: boolean; said: string; by: string | null; at: string; number: number | null }[];
  now: string;
};
export type ThisImage = {
  picture: Picture;
  group: Card | null;
  nearest: Picture[];
  rivals: Card[];
  neighbours: Picture[];
  status: string | null;
};
export type Work = { id: string; state: string; done: number; total: number; text: string; result: unknown };
