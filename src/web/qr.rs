//! QR codes as SVG without inline styles, as the content security policy requires.

use qrcodegen::{QrCode, QrCodeEcc};

use crate::html::escape;

/// Width of the quiet zone in modules. Scanners need it.
const QUIET: i32 = 4;

/// The code of a text; `None` if the text is too long. Always dark on white, as scanners require.
#[must_use]
pub fn svg(text: &str, label: &str) -> Option<Picture> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size();
    let mut path = String::new();
    for y in 0..size {
        for x in (0..size).filter(|x| code.get_module(*x, y)) {
            path.push_str(&format!("M{} {}h1v1h-1z", x + QUIET, y + QUIET));
        }
    }
    let all = size + 2 * QUIET;
    Some(Picture(format!(
        "<svg class=\"qr\" viewBox=\"0 0 {all} {all}\" role=\"img\" aria-label=\"{}\"><rect width=\"{all}\" \
         height=\"{all}\" fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/></svg>",
        escape(label)
    )))
}

/// A rendered SVG image.
pub struct Picture(String);

impl std::fmt::Display for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Picture {}

#[cfg(test)]
mod tests {
    use super::svg;

    #[test]
    fn a_code_is_a_picture_without_style_and_a_text_that_is_too_long_is_none() {
        let picture = svg("otpauth://totp/HQ:a?secret=ABC", "Scan \"this\"").expect("a picture");
        let picture = picture.to_string();
        assert!(picture.contains("viewBox=\"0 0 ") && !picture.contains("style"));
        assert!(picture.contains("&quot;this&quot;"));
        assert!(svg(&"x".repeat(5_000), "x").is_none());
    }
}
