// Where two lists differ. A difference is { from, to, start, end }: `from` to `to` of the old list is `start` to `end`
// of the new one. What is found need not be the shortest way, but each way is a right one.
const FAR = 40;

const is = (a, b) => a === b;

/* The nearest place behind (i, j) from which both lists go on alike. */
function meet(old, now, i, j, last, same) {
  for (let d = 1; d <= 2 * FAR; d += 1) {
    for (let skip = Math.max(0, d - FAR); skip <= Math.min(d, FAR); skip += 1) {
      const [a, b] = [i + skip, j + d - skip];
      if (a < last.old && b < last.now && same(old[a], now[b])) return [a, b];
    }
  }
  return undefined;
}

export function differences(old, now, same = is) {
  const last = { old: old.length, now: now.length };
  const found = [];
  let [i, j] = [0, 0];
  while (i < last.old && j < last.now && same(old[i], now[j])) [i, j] = [i + 1, j + 1];
  while (i < last.old && j < last.now && same(old[last.old - 1], now[last.now - 1])) [last.old, last.now] = [last.old - 1, last.now - 1];
  while (i < last.old || j < last.now) {
    if (i < last.old && j < last.now && same(old[i], now[j])) {
      [i, j] = [i + 1, j + 1];
      continue;
    }
    const [to, end] = meet(old, now, i, j, last, same) ?? [last.old, last.now];
    found.push({ from: i, to, start: j, end });
    [i, j] = [to, end];
  }
  return found;
}

/** For each place of the new list the one of the old list that stands there unchanged, or -1. */
export function matches(old, now, same) {
  const found = [];
  let shift = 0;
  let next = 0;
  const keep = (until) => {
    for (; next < until; next += 1) found.push(next + shift);
  };
  for (const { to, start, end } of differences(old, now, same)) {
    keep(start);
    for (; next < end; next += 1) found.push(-1);
    shift = to - end;
  }
  keep(now.length);
  return found;
}

/** The one piece in which two texts differ. */
export function piece(old, now) {
  const most = Math.min(old.length, now.length);
  let head = 0;
  while (head < most && old[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < most - head && old.at(-1 - tail) === now.at(-1 - tail)) tail += 1;
  return { from: head, to: old.length - tail, put: now.slice(head, now.length - tail) };
}

/* Where each line of a text begins, and the end. */
function begins(lines) {
  let at = 0;
  return [0, ...lines.map((line) => (at += line.length))];
}

/* Differences of two texts in letters, found by lines. */
function pieces(old, now) {
  const [a, b] = [old, now].map((text) => text.split(/(?<=\n)/));
  const [x, y] = [begins(a), begins(b)];
  return differences(a, b).map(({ from, to, start, end }) => {
    const one = piece(old.slice(x[from], x[to]), now.slice(y[start], y[end]));
    return { from: x[from] + one.from, to: x[from] + one.to, put: one.put };
  });
}

/** Where a place of a text is in what others have made of it; inside of what they put in place of it, at an edge. */
export function follow(base, theirs) {
  const others = pieces(base, theirs);
  return (at, isEnd = false) => {
    let by = 0;
    for (const { from, to, put } of others) {
      if (at <= from) break;
      if (at < to) return from + by + (isEnd ? 0 : put.length);
      by += put.length - (to - from);
    }
    return at + by;
  };
}

/**
 * What somebody changed in `base`, done once more in `theirs`, which others have made of it. What both changed in one
 * place stands there twice, one after the other.
 */
export function transfer(base, mine, theirs) {
  const { from, to, put } = piece(base, mine);
  const moved = follow(base, theirs);
  const start = moved(from);
  const end = Math.max(start, moved(to, true));
  return theirs.slice(0, start) + put + theirs.slice(end);
}
