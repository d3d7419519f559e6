import { Panel } from "./panel";

window.__fop__.registerComponent({
  name: "CCIPCharacterReview",
  label: "CCIPCharacterReview",
  component: Panel,
  type: window.__fop__.PluginComponentType.Component,
  activator: () => true,
});
