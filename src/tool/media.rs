//! Media types: detected from the first bytes, never from file names, and the endings of file names for them.

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

/// Returns `media_type` in lower case and without parameters, if it is well formed and says what the bytes are;
/// otherwise the type of the bytes.
#[must_use]
pub fn declared(media_type: &str, bytes: &[u8]) -> String {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/.+-".contains(c);
    let is_type = essence.len() <= MAX_TYPE
        && essence.contains('/')
        && essence.chars().all(is_plain)
        && essence != "application/octet-stream";
    match is_type {
        true => essence,
        false => kind(bytes).unwrap_or("text/plain").to_owned(),
    }
}

/// Maximum length of a declared media type.
const MAX_TYPE: usize = 80;

/// Endings of file names by media type. Programs and scripts have none of their own.
const ENDINGS: &[(&str, &str)] = &[
    ("application/gzip", "gz"),
    ("application/json", "json"),
    ("application/msword", "doc"),
    ("application/pdf", "pdf"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.ms-powerpoint", "ppt"),
    ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.sqlite3", "sqlite"),
    ("application/xml", "xml"),
    ("application/zip", "zip"),
    ("audio/aac", "aac"),
    ("audio/flac", "flac"),
    ("audio/mp3", "mp3"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/opus", "opus"),
    ("audio/wav", "wav"),
    ("audio/wave", "wav"),
    ("audio/webm", "weba"),
    ("audio/x-wav", "wav"),
    ("image/avif", "avif"),
    ("image/bmp", "bmp"),
    ("image/gif", "gif"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tiff"),
    ("image/webp", "webp"),
    ("text/calendar", "ics"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("text/plain", "txt"),
    ("text/xml", "xml"),
    ("video/mp4", "mp4"),
    ("video/mpeg", "mpeg"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
];

/// The ending of a file name for a media type, without a dot; `bin` if the type is unknown.
#[must_use]
pub fn ending(media_type: &str) -> &'static str {
    let known = ENDINGS.iter().find(|(known, _)| *known == media_type);
    known.map_or("bin", |(_, ending)| ending)
}

#[cfg(test)]
mod tests {
    use super::{declared, ending, is_picture, kind};

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

    #[test]
    fn a_declared_type_counts_if_it_is_one() {
        assert_eq!(declared("Audio/WAV; codecs=1", b"RIFF"), "audio/wav");
        assert_eq!(declared("application/octet-stream", b"%PDF-1.7"), "application/pdf");
        assert_eq!(declared("", b"words"), "text/plain");
        assert_eq!(declared("a/b\n[path", b"a\0b"), "application/octet-stream");
        assert_eq!(declared(&format!("a/{}", "b".repeat(100)), b"words"), "text/plain");
    }

    #[test]
    fn only_known_types_have_an_ending() {
        assert_eq!([ending("audio/mpeg"), ending("application/pdf")], ["mp3", "pdf"]);
        for unknown in ["application/x-executable", "text/x-python", "../../x", ""] {
            assert_eq!(ending(unknown), "bin", "{unknown}");
        }
    }
}
