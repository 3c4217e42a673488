// What people work with: a mouse, a finger, or the keyboard alone; on a wide screen, on a phone, in a narrow window.

import { PHONE, WIDE } from './browser.mjs';
import { PATIENCE, tabTo } from './story.mjs';

const middle = ({ x, y, width, height }) => ({ x: x + width / 2, y: y + height / 2 });

/** Where the page goes by under a finger that holds something; nothing is put down there. */
const EDGE = 48;

/** Whether what is carried would land in a place. */
const isOver = async (place) => 0 < (await place.locator('[data-over]').count());

/**
 * Keeps a finger on a thing until it is lifted, takes it to a place and lets go there. A place that is out of sight
 * comes along while the finger rests at the edge.
 */
export async function carry(page, item, target) {
  const cdp = await page.context().newCDPSession(page);
  const touch = (type, ...touchPoints) => cdp.send('Input.dispatchTouchEvent', { type, touchPoints });
  const { width } = page.viewportSize();
  const isInSight = ({ x }) => EDGE < x && x < width - EDGE;
  const reach = ({ x, y }) => ({ x: Math.min(Math.max(x, 4), width - 4), y });
  await item.scrollIntoViewIfNeeded();
  const from = middle(await item.boundingBox());
  await touch('touchStart', from);
  await page.locator('[data-flying]').waitFor();
  // What unfolds when it is lifted has its place now.
  let at = middle(await target.boundingBox());
  const end = reach(at);
  for (let step = 1; step <= 8; step += 1) {
    await touch('touchMove', { x: from.x + ((end.x - from.x) * step) / 8, y: from.y + ((end.y - from.y) * step) / 8 });
  }
  const until = Date.now() + PATIENCE.timeout;
  while (!isInSight(at) || !(await isOver(target))) {
    if (until < Date.now()) throw new Error('the place does not come under the finger');
    at = middle(await target.boundingBox());
    await touch('touchMove', reach(at));
  }
  await touch('touchEnd');
  await cdp.detach();
}

/** Goes to something by Tab alone and presses a key there. */
async function pressKey(page, target, key = 'Enter') {
  await tabTo(page, target, 300);
  await page.keyboard.press(key);
}

/** Opens a menu and goes down to one of its lines. */
async function pickByKeys(page, opener, line) {
  await pressKey(page, opener);
  for (let step = 0; step < 30; step += 1) {
    if (await line.evaluate((one) => one === document.activeElement)) return page.keyboard.press('Enter');
    await page.keyboard.press('ArrowDown');
  }
  throw new Error('the arrow keys do not lead to this line');
}

async function typeByKeys(page, field, text) {
  await tabTo(page, field, 300);
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type(text);
}

const KEYS = { keys: true, press: (page, target) => pressKey(page, target), pick: pickByKeys, type: typeByKeys };
const type = (page, field, text) => field.fill(text);

export const MOUSE = {
  name: 'with the mouse',
  options: { size: WIDE },
  press: (page, target) => target.click(),
  pick: async (page, opener, line) => {
    await opener.click();
    await line.click();
  },
  type,
};
export const FINGER = {
  name: 'with a finger on a phone',
  options: { size: PHONE },
  press: (page, target) => target.tap(),
  pick: async (page, opener, line) => {
    await opener.tap();
    await line.tap();
  },
  type,
};
export const WIDE_KEYS = { ...KEYS, name: 'with the keyboard alone', options: { size: WIDE } };
export const NARROW_KEYS = { ...KEYS, name: 'with the keyboard alone in a narrow window', options: { size: PHONE, touch: false } };
export const HANDS = [MOUSE, WIDE_KEYS, FINGER, NARROW_KEYS];
