// What the App puts on the window and this panel uses; nothing of the App is bundled.
interface OperatorReply {
  result?: unknown;
  error?: unknown;
  errorMessage?: string;
}

interface Window {
  React: typeof import("react");
  recoil: { useRecoilValue<T>(atom: unknown): T };
  __fop__: { registerComponent(r: Record<string, unknown>): void; PluginComponentType: { Component: number } };
  __foo__: {
    executeOperator(
      uri: string,
      params: unknown,
      options: { callback(reply: OperatorReply): void; skipErrorNotification: boolean },
    ): void;
  };
  __fos__: {
    getSampleSrc(path: string): string;
    selectedSamples: unknown;
    nullableModalSampleId: unknown;
    datasetName: unknown;
  };
  ccipReviewTimes: { what: string; ms: number }[];
}

declare namespace React {
  interface DOMAttributes<T> {
    label?: string;
    c?: string;
    cy?: string | null;
  }
}

declare const SOURCES: string; // the SHA-256 of the sources, put in by the build
