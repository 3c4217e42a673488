//! Script, style and sprite of the pages, as the program carries them; a debug build reads them from disk. Only the
//! binary and tests name this package: an edit of a style compiles nothing else.

use std::borrow::Cow;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../static/dist"]
struct Dist;

/// A bundled file by its name.
#[must_use]
pub fn get(file: &str) -> Option<Cow<'static, [u8]>> {
    Dist::get(file).map(|found| found.data)
}
