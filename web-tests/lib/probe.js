// The parts of the editor that a test asks alone.
export { compose, textOf } from '../../static/js/rich/compose.js';
export { page, read } from '../../static/js/rich/read.js';
export { schema } from '../../static/js/rich/schema.js';
export { pagesOf, saidBy } from './chance.js';
