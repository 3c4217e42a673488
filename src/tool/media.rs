//! Detects media types from the first bytes. File names are ignored.

/// The media type of binary data; `None` for UTF-8 text.
#[must_use]
pub fn kind(bytes: &[u8]) -> Option<&'static str> {
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    let known = match bytes {
        _ if begins(b"\x89PNG\r\n\x1a\n") => "image/png",
        _ if begins(b"\xff\xd8\xff") => "image/jpeg",
        _ if begins(b"GIF87a") || begins(b"GIF89a") => "image/gif",
        _ if begins(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => "image/webp",
        _ if begins(b"%PDF-") => "application/pdf",
        _ if begins(b"PK\x03\x04") => "application/zip",
        _ if begins(b"\x1f\x8b") => "application/gzip",
        _ if begins(b"\x7fELF") => "application/x-executable",
        _ if begins(b"SQLite format 3\0") => "application/vnd.sqlite3",
        _ if bytes.contains(&0) || std::str::from_utf8(bytes).is_err() => {
            "application/octet-stream"
        }
        _ => return None,
    };
    Some(known)
}

/// Returns `true` if models accept images of this type.
#[must_use]
pub fn is_picture(kind: &str) -> bool {
    kind.starts_with("image/")
}

#[cfg(test)]
mod tests {
    use super::{is_picture, kind};

    #[test]
    fn files_are_known_by_their_beginning() {
        assert_eq!(kind("wörds".as_bytes()), None);
        assert_eq!(kind(b""), None);
        assert_eq!(kind(b"\x89PNG\r\n\x1a\n..."), Some("image/png"));
        assert!(is_picture(kind(b"RIFF1234WEBPVP8 ").unwrap()));
        assert_eq!(kind(b"a\0b"), Some("application/octet-stream"));
        assert_eq!(kind(b"\xe4\xf6"), Some("application/octet-stream"));
        assert!(!is_picture(kind(b"%PDF-1.7").unwrap()));
    }
}
