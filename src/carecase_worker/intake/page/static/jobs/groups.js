/** Faults of items, grouped by field and rule. */

const FIRST_INDICES = 5;
const MOST_GROUPS = 500;
const FAULT = /^([A-Za-z_][\w, ]*): (.+)$/s;
const RETRYABLE = new Set([500, 503]);
const NOT_APPLIED = 424;

/** Return the faults that an item's body tells: `field: rule; field: rule`, or a sentence that names no field. */
export function faultsOf({ status, body }) {
  const parts = status === 422 ? body.split("; ") : [body];
  return parts.map((part) => {
    const [, field = "", rule = part] = FAULT.exec(part) ?? [];
    return { field, rule };
  });
}

/** The groups of a job's failed items: they are added page by page, and only counts and first indices are kept. */
export class FaultGroups {
  #groups = new Map();
  items = 0;
  /** Items that failed for a reason outside themselves, which can be sent again. */
  retryable = 0;
  /** True if items are found by the lines of their file, not by their indices. */
  hasLines = false;
  /** True if items were not applied because of others: then the batch was to be applied as a whole. */
  whole = false;

  /** Add items, each with its index in the batch; `count` of neighbours of which all have the same faults. */
  add(items) {
    for (const item of items) {
      this.items += item.count ?? 1;
      if (RETRYABLE.has(item.status)) this.retryable += item.count ?? 1;
      if (item.status === NOT_APPLIED) this.whole = true;
      if (item.line) this.hasLines = true;
      for (const fault of faultsOf(item)) this.#count(item, fault);
    }
  }

  /** The groups, the largest first. */
  get groups() {
    return [...this.#groups.values()].sort((one, other) => other.count - one.count);
  }

  #count({ status, index, line, count = 1 }, { field, rule }) {
    let key = `${status} ${field}: ${rule}`;
    if (!this.#groups.has(key) && this.#groups.size >= MOST_GROUPS) [key, field, rule] = ["", "", "Other faults"];
    const group = this.#groups.get(key) ?? { key, status, field, rule, count: 0, indices: [] };
    group.count += count;
    for (let place = 0; place < count && group.indices.length < FIRST_INDICES; place += 1) group.indices.push((line ?? index) + place);
    this.#groups.set(key, group);
  }
}
