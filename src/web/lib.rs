//! Toolkit for pages and JSON: routes with capabilities, extractors, errors, forms, assets, streams. Contains no
//! noun-specific code.

#![warn(missing_docs)]

// Allows templates of all packages to use paths such as `web::draw::icon`.
extern crate self as web;

pub mod appearance;
pub mod assets;
pub mod blocks;
pub mod brand;
pub mod checklist;
pub mod draw;
pub mod emoji;
pub mod fields;
pub mod form;
pub mod format;
#[cfg(debug_assertions)]
pub mod gallery;
pub mod habit;
pub mod scroll_state;
pub mod headers;
pub mod html;
pub mod hx;
pub mod ink;
pub mod live;
pub mod md;
pub mod multipart;
pub mod parts;
pub mod qr;
pub mod settings_menu;
pub mod shell;
pub mod sse;
pub mod term;
pub mod time;
pub mod trouble;
pub mod upload;
pub mod week;
pub mod cx;
pub mod error;
pub mod etag;
pub mod extract;
pub mod file;
pub mod flash;
pub mod idempotency;
mod region;
pub mod routes;
pub mod region_etag;
pub mod session;
pub mod slow;
mod stale;
