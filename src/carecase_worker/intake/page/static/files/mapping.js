/** The choice of a mapping: which of the client's own says what the columns of a file are. */

import { element, fill, setText } from "../dom.js";
import { patiently } from "../pauses.js";
import { fits } from "./formats.js";

const NONE = { rows: "None: the columns are named as the fields", lines: "None: each line is a case" };

/** Make the choice; it is hidden until a file is there that one of the client's mappings may be for. */
export function mappingChoice(api, signal) {
  const select = element("select", { id: "mapping", "aria-describedby": "mapping-hint" });
  const hint = element("p", { class: "hint", id: "mapping-hint" });
  const node = element("div", { class: "field mapping", hidden: true }, element("label", { for: "mapping" }, "Mapping"), select, hint);
  let [read, wanted] = [null, ""];
  select.addEventListener("change", () => {
    wanted = select.value;
  });

  /** Read the mappings once; after a fault, once more for the next file. */
  async function mappings(onWait) {
    read ??= patiently(() => api.mappings(signal), { signal, onWait });
    try {
      return await read;
    } catch (fault) {
      read = null;
      throw fault;
    }
  }

  return {
    node,
    /** Offer what fits a file; return the mapping that is chosen, null if none is. Raises Fault. */
    async offer(format, onWait = () => {}) {
      const fitting = format?.rows || format?.form === "lines" ? (await mappings(onWait)).filter((one) => fits(format, one)) : [];
      node.hidden = !fitting.length;
      const chosen = fitting.find(({ name }) => name === wanted) ?? null;
      fill(select, element("option", { value: "" }, format?.rows ? NONE.rows : NONE.lines), fitting.map(({ name }) => element("option", { value: name }, name)));
      select.value = chosen?.name ?? "";
      setText(hint, `Says what of the file becomes which field of a case. ${fitting.length === 1 ? "There is one" : `There are ${fitting.length}`} for such files.`);
      return chosen;
    },
    set(name) {
      wanted = name ?? "";
    },
    hold(isHeld) {
      select.disabled = isHeld;
    },
    onChange(changed) {
      select.addEventListener("change", changed);
    },
  };
}
