import { React } from "./react";

export function Panel() {
  return <div data-cy="review" />;
}
