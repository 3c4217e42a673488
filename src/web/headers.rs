//! Security headers and content security policy of all pages, fragments and files.
//!
//! The policy allows nothing inline and needs no nonce: one script, one style sheet and one sprite of our own origin,
//! and the trusted-types policies that our bundles register for htmx, for the page editor and for the PDF
//! preview. Pages may embed objects of our own origin. Only a PDF (`file.rs`) may be embedded.

use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// The content security policy of documents and fragments.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data: blob:; object-src 'self'; frame-src 'self'; connect-src 'self'; \
     manifest-src 'self'; worker-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types htmx rich pdf ProseMirrorClipboard";

/// Adds the security headers to a response.
pub fn secure(kept: &mut HeaderMap) {
    // A file response sets a stricter policy first.
    kept.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    kept.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    kept.entry(X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("DENY"));
    kept.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    kept.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    kept.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=()"),
    );
}

/// Whether an `Origin` header names this server.
#[must_use]
pub fn is_own_origin(public_url: Option<&str>, host: &str, origin: &str) -> bool {
    origin.eq_ignore_ascii_case(&format!("http://{host}")) || Some(origin) == public_url
}

#[cfg(test)]
mod tests {
    use super::POLICY;

    #[test]
    fn the_policy_names_each_kind_and_allows_nothing_inline() {
        for kind in [
            "script-src 'self'",
            "style-src 'self'",
            "manifest-src 'self'",
            "worker-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(POLICY.contains(kind), "{kind} is missing");
        }
        assert!(!POLICY.contains("unsafe"));
        assert!(!POLICY.contains("  "), "the line breaks must not leave gaps");
    }
}
