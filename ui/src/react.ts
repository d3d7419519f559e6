// The App's own React: the import is of types only.
import type * as R from "react";

export const React: typeof R = window.React;
export const { createContext, useCallback, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } = React;
export type { KeyboardEvent, ReactNode, RefObject } from "react";
