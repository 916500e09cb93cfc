/** Rows of text in columns. */

const NUMBERS: ReadonlySet<string> = new Set([
  ...["nr", "amount", "total", "deposits"],
  ...["partitions", "replicas"],
  ...["partition", "done", "end", "lag", "behind", "rows", "dead"],
  ...["records", "bytes"],
  ...["version", "limit"],
]);

/** Columns as wide as their widest cell; numbers of the house stand to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) =>
    rows.reduce((width, row) => Math.max(width, Bun.stringWidth(row[column] ?? "")), title.length),
  );
  const isRight = (title: string) => NUMBERS.has(title);
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => {
        const gap = " ".repeat(Math.max(0, (widths[column] ?? 0) - Bun.stringWidth(cell)));
        return isRight(head[column] as string) ? gap + cell : cell + gap;
      })
      .join("  ")
      .trimEnd();
  return [head, ...rows].map(line);
}
