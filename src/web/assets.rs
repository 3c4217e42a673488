//! Script, style sheet, sprite and icons. Node bundles them into `static/dist`, the binary contains them (package
//! `bundle`). Their names contain a content hash, so browsers cache them permanently.

use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

use crate::headers;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use axum::response::{IntoResponse, Response};

/// Response text for a file if the program was built without the bundle.
pub const MISSING: &str = "script and style aren't built; run `make assets` and restart";

/// Returns a bundled file by name.
pub type Bundle = fn(&str) -> Option<Cow<'static, [u8]>>;

static BUNDLE: OnceLock<Bundle> = OnceLock::new();

/// Sets the bundle before the first page is rendered. Only the first call has an effect.
pub fn install(bundle: Bundle) {
    BUNDLE.get_or_init(|| bundle);
}

fn bundled(file: &str) -> Option<Cow<'static, [u8]>> {
    BUNDLE.get().and_then(|bundle| bundle(file))
}

/// URLs of the bundled files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// The script.
    pub script: String,
    /// The style sheet.
    pub style: String,
    /// The sprite; the URL of an icon is `<sprite>#i-<name>`.
    pub sprite: String,
    /// The favicon.
    pub favicon: String,
    /// The icon on the home screen of an iPhone or iPad.
    pub touch_icon: String,
    /// Whether the bundle exists.
    pub built: bool,
}

/// URLs of the bundled files, read once.
pub fn links() -> &'static Links {
    static LINKS: LazyLock<Links> = LazyLock::new(read_links);
    &LINKS
}

/// URL of a bundled file that only some pages load; empty if the file is missing.
pub fn more(name: &str) -> &'static str {
    static NAMES: LazyLock<serde_json::Value> = LazyLock::new(|| {
        let manifest = bundled("manifest.json").unwrap_or_default();
        let mut names: serde_json::Value = serde_json::from_slice(&manifest).unwrap_or_default();
        for file in names.as_object_mut().into_iter().flat_map(|names| names.values_mut()) {
            *file = format!("/s/{}", file.as_str().unwrap_or_default()).into();
        }
        names
    });
    NAMES[name].as_str().unwrap_or_default()
}

/// URL of the sprite.
pub fn sprite() -> &'static str {
    &links().sprite
}

/// Names of all icons in the sprite, for the gallery.
#[cfg(debug_assertions)]
pub fn icon_names() -> Vec<String> {
    let sprite = bundled(links().sprite.trim_start_matches("/s/"));
    let text = sprite.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let names = text.split("id=\"i-").skip(1).filter_map(|rest| rest.split_once('"'));
    names.map(|(name, _)| name.to_owned()).collect()
}

fn read_links() -> Links {
    let manifest = bundled("manifest.json").unwrap_or_default();
    let names: serde_json::Value = match serde_json::from_slice(&manifest) {
        Ok(names) => names,
        Err(_) => return Links::default(),
    };
    let link = |name: &str| names[name].as_str().map(|file| format!("/s/{file}"));
    Links {
        script: link("app.js").unwrap_or_default(),
        style: link("app.css").unwrap_or_default(),
        sprite: link("icons.svg").unwrap_or_default(),
        favicon: link("favicon.svg").unwrap_or_default(),
        touch_icon: link("touch-180.png").unwrap_or_default(),
        built: link("app.css").is_some(),
    }
}

/// `GET /s/{file}`: a bundled file in the smallest encoding that the browser accepts.
pub async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Response {
    answer(&file, &headers)
}

/// Speculation rules for prefetching; links opt in (`static/js/ahead.js`).
const AHEAD: &str = include_str!("ahead.json");

/// `GET /ahead.json`: the speculation rules that every page refers to in a header.
pub async fn ahead() -> Response {
    let mut response = AHEAD.into_response();
    let kept = response.headers_mut();
    kept.insert(CONTENT_TYPE, HeaderValue::from_static("application/speculationrules+json"));
    kept.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    headers::secure(kept);
    response
}

/// `GET /sw.js`: the service worker, at the root so that its scope is the whole server. It contains the names of the
/// other files, so it changes with each version; browsers ask for it again and again.
pub async fn worker(headers: HeaderMap) -> Response {
    let mut response = answer(more("sw.js").trim_start_matches("/s/"), &headers);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// `GET /favicon.ico`, which browsers request on their own.
pub async fn favicon(headers: HeaderMap) -> Response {
    answer(links().favicon.trim_start_matches("/s/"), &headers)
}

/// Responds with a bundled file, or 404.
pub fn answer(file: &str, headers: &HeaderMap) -> Response {
    let kind = content_type(file);
    let Some((data, encoding)) = kind.and_then(|_| best_form(file, headers)) else {
        let words = if links().built { "no such file" } else { MISSING };
        return (StatusCode::NOT_FOUND, words).into_response();
    };
    let tag = HeaderValue::try_from(format!("\"{file}\""));
    let (Some(kind), Ok(tag)) = (kind, tag) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let fresh = headers.get(IF_NONE_MATCH) == Some(&tag);
    let mut response = match fresh {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => data.into_response(),
    };
    let kept = response.headers_mut();
    if !fresh {
        kept.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(word) = encoding {
            kept.insert(CONTENT_ENCODING, HeaderValue::from_static(word));
        }
    }
    kept.insert(ETAG, tag);
    kept.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    kept.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers::secure(kept);
    response
}

/// The bytes to send and their encoding.
fn best_form(
    file: &str,
    headers: &HeaderMap,
) -> Option<(Cow<'static, [u8]>, Option<&'static str>)> {
    let takes = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let offers =
        |word: &str| takes.split(',').any(|o| o.split(';').next().map(str::trim) == Some(word));
    for (word, ending) in [("br", "br"), ("gzip", "gz")] {
        if offers(word)
            && let Some(packed) = bundled(&format!("{file}.{ending}"))
        {
            return Some((packed, Some(word)));
        }
    }
    bundled(file).map(|plain| (plain, None))
}

/// Content type by extension. Other files, such as compressed variants and the manifest, have no URL.
fn content_type(file: &str) -> Option<&'static str> {
    match file.rsplit_once('.')?.1 {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{answer, content_type};
    use axum::http::HeaderMap;

    #[test]
    fn only_bundled_kinds_have_an_address() {
        assert_eq!(content_type("app.0a1b.js"), Some("text/javascript; charset=utf-8"));
        assert_eq!(content_type("app.0a1b.js.br"), None);
        assert_eq!(content_type("manifest.json"), None);
        assert_eq!(answer("../Cargo.toml", &HeaderMap::new()).status(), 404);
        assert_eq!(answer("nothing.css", &HeaderMap::new()).status(), 404);
    }
}
