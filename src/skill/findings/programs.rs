//! Programs, archives and scripts, by their first bytes and their names.

use super::{FindingKind, Found};
use crate::File;

/// First bytes of programs and libraries of the common systems, with their names.
const PROGRAMS: [(&[u8], &str); 9] = [
    (b"\x7fELF", "a program for Linux"),
    (b"MZ", "a program for Windows"),
    (b"\xfe\xed\xfa\xce", "a program for macOS"),
    (b"\xfe\xed\xfa\xcf", "a program for macOS"),
    (b"\xce\xfa\xed\xfe", "a program for macOS"),
    (b"\xcf\xfa\xed\xfe", "a program for macOS"),
    (b"\xca\xfe\xba\xbe", "a program for macOS or Java"),
    (b"\0asm", "a WebAssembly program"),
    (b"dex\n", "a program for Android"),
];
const ARCHIVES: [(&[u8], &str); 8] = [
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"!<arch>", "a library archive"),
];
/// Office documents are zip archives.
const DOCUMENTS: [&str; 9] =
    [".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".dotx", ".potx"];
const SCRIPTS: [&str; 21] = [
    ".sh",
    ".bash",
    ".zsh",
    ".fish",
    ".ps1",
    ".psm1",
    ".bat",
    ".cmd",
    ".vbs",
    ".py",
    ".pyw",
    ".js",
    ".mjs",
    ".cjs",
    ".ts",
    ".rb",
    ".pl",
    ".php",
    ".lua",
    ".applescript",
    ".r",
];
/// Compiled code whose first bytes are not listed above.
const COMPILED: [&str; 7] = [".pyc", ".pyo", ".jar", ".so", ".dll", ".dylib", ".msi"];
/// Endings of harmless binary files with their first bytes.
const MEDIA: [(&str, &[u8]); 12] = [
    (".png", b"\x89PNG"),
    (".jpg", b"\xff\xd8\xff"),
    (".jpeg", b"\xff\xd8\xff"),
    (".gif", b"GIF8"),
    (".webp", b"RIFF"),
    (".pdf", b"%PDF"),
    (".ttf", b"\0\x01\0\0"),
    (".otf", b"OTTO"),
    (".woff", b"wOFF"),
    (".woff2", b"wOF2"),
    (".ico", b"\0\0\x01\0"),
    (".mp3", b"ID3"),
];

pub fn look(file: &File, found: &mut Found) {
    let path = file.path.to_ascii_lowercase();
    let ends = |list: &[&str]| list.iter().any(|ending| path.ends_with(ending));
    let starts = |list: &[(&[u8], &'static str)]| {
        list.iter().find(|(start, _)| file.bytes.starts_with(start)).map(|(_, name)| *name)
    };
    let is_text = file.text().is_some();
    // A text may begin with MZ or PK.
    let program = starts(&PROGRAMS).filter(|_| !is_text);
    if let Some(name) = program {
        return found.add(&file.path, 0, FindingKind::Program, name);
    }
    if !is_text && ends(&COMPILED) {
        return found.add(&file.path, 0, FindingKind::Program, "compiled code");
    }
    if let Some(name) = starts(&ARCHIVES).filter(|_| !is_text) {
        if !ends(&DOCUMENTS) {
            found.add(&file.path, 0, FindingKind::NestedArchive, name);
        }
        return;
    }
    if !is_text {
        let is_media = MEDIA
            .iter()
            .any(|(ending, start)| path.ends_with(ending) && file.bytes.starts_with(start));
        if !is_media {
            let size = format!("{} bytes", file.bytes.len());
            found.add(&file.path, 0, FindingKind::Binary, &size);
        }
        return;
    }
    let has_shebang = file.bytes.starts_with(b"#!");
    if has_shebang || file.is_executable || ends(&SCRIPTS) {
        let first = file.text().and_then(|text| text.lines().next()).unwrap_or_default();
        let excerpt = if has_shebang { first } else { "a script" };
        found.add(&file.path, 0, FindingKind::Script, excerpt);
    }
}
