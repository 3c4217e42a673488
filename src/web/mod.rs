//! Kit for pages and JSON: routes with capabilities, extractors, errors, forms, assets, streams. No product noun.

pub mod assets;
pub mod form;
pub mod format;
pub mod gallery;
pub mod headers;
pub mod html;
pub mod hx;
pub mod live;
pub mod md;
pub mod multipart;
pub mod parts;
pub mod qr;
pub mod shell;
pub mod sse;
pub mod time;
pub mod trouble;
pub mod upload;
pub mod error;
pub mod etag;
pub mod extract;
pub mod file;
pub mod flash;
pub mod idempotency;
pub mod routes;
pub mod session;
pub mod slow;
