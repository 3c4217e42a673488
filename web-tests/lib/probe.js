// The parts of the editor that a test asks alone.
export { compose, textOf } from '../../static/js/rich/compose.js';
export { transfer } from '../../static/js/rich/diff.js';
export { page, read } from '../../static/js/rich/read.js';
