// Finds the point at which a part can be pressed: visible, at rest, enabled, and not behind another. For a frame, the
// point in it (x, y) is told in the pixels of the page around it.
async function (patience, x, y) {
  const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
  const inner = x !== null;
  const rest = (ms) => new Promise((done) => setTimeout(done, ms));
  const rectangles = () => {
    if (this.nodeType === Node.ELEMENT_NODE) return [...this.getClientRects()];
    const range = document.createRange();
    range.selectNode(this);
    return [...range.getClientRects()];
  };
  const seen = () => rectangles().filter((box) => box.width > 0 && box.height > 0);
  const points = () => {
    if (inner) {
      const box = element.getBoundingClientRect();
      const style = getComputedStyle(element);
      const left = box.left + element.clientLeft + parseFloat(style.paddingLeft);
      const top = box.top + element.clientTop + parseFloat(style.paddingTop);
      return [{ x: left + x, y: top + y }];
    }
    return seen().slice(0, 4).map((box) => ({
      x: (Math.max(box.left, 0) + Math.min(box.right, innerWidth)) / 2,
      y: (Math.max(box.top, 0) + Math.min(box.bottom, innerHeight)) / 2,
    }));
  };
  const inView = (at) => at.x >= 0 && at.y >= 0 && at.x < innerWidth && at.y < innerHeight;
  const holds = (outer, node) => {
    for (let at = node; at; at = at.assignedSlot || at.parentNode || at.host) {
      if (at === outer) return true;
    }
    return false;
  };
  const above = (at) => {
    for (let target = element; ; ) {
      const root = target.getRootNode();
      const hit = root.elementFromPoint(at.x, at.y);
      const label = hit && hit.closest('label');
      const ours = hit && (holds(target, hit) || (label && (label.control === target || holds(label, target))));
      if (!ours) return hit || document.documentElement;
      if (!(root instanceof ShadowRoot)) return null;
      target = root.host;
    }
  };
  const describe = (node) => {
    const words = node.getAttribute('aria-label') || node.innerText || '';
    return `${node.localName}${node.id ? '#' + node.id : ''} ${words.trim().slice(0, 60)}`.trim();
  };
  const moves = async () => {
    if (!document.getAnimations().some((one) => one.playState === 'running')) return false;
    const before = element.getBoundingClientRect();
    await rest(30);
    const after = element.getBoundingClientRect();
    return before.left !== after.left || before.top !== after.top;
  };
  const look = async () => {
    if (!this.isConnected || !element) return { why: 'gone' };
    if (!seen().length || !element.checkVisibility({ visibilityProperty: true })) return { why: 'hidden' };
    if (!inner && (element.matches(':disabled') || element.closest('[aria-disabled=true]'))) {
      return { why: 'disabled' };
    }
    let candidates = points();
    if (!candidates.some(inView)) {
      element.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
      candidates = points();
    }
    if (await moves()) return { why: 'moving' };
    let by = null;
    for (const at of candidates.filter(inView)) {
      const hit = above(at);
      if (!hit) return at;
      by = by || hit;
    }
    return by ? { why: 'covered', by: describe(by) } : { why: 'hidden' };
  };
  const end = performance.now() + patience;
  for (;;) {
    const found = await look();
    if (!found.why || found.why === 'gone' || performance.now() >= end) return found;
    await rest(50);
  }
}
