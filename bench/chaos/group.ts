/** Groups the items by `keyOf`, in their order. (Map.groupBy needs Node 21.) */
export function groupBy<Key, Item>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

/** Counts equal items, the most frequent first. */
export function countEach(items: readonly string[]): Map<string, number> {
  const counts = [...groupBy(items, (item) => item)].map(([item, all]) => [item, all.length] as const);
  return new Map(counts.sort(([, a], [, b]) => b - a));
}
