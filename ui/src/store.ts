// A value that components follow; it outlives them, so that closing the panel loses nothing.
import { React } from "./react";

export class Store<S> {
  private readonly followers = new Set<() => void>();

  constructor(public snapshot: S) {}

  update(change: Partial<S>): void {
    this.snapshot = { ...this.snapshot, ...change };
    this.followers.forEach((follower) => follower());
  }

  readonly follow = (follower: () => void) => {
    this.followers.add(follower);
    return () => void this.followers.delete(follower);
  };
}

export function useStore<S>(store: Store<S>): S {
  return React.useSyncExternalStore(store.follow, () => store.snapshot);
}
