//! Tests with well-formed, malformed and hostile files.

use std::io::{Cursor, Write as _};

use zip::write::{SimpleFileOptions, ZipWriter};

use super::{Extracted, Kind, Limits, Refused, State, extract};

mod any;
mod bad;
mod foreign;
mod made;

/// A zip of these parts.
fn zipped(parts: &[(&str, &str)]) -> Vec<u8> {
    let parts: Vec<(&str, &[u8])> =
        parts.iter().map(|(name, content)| (*name, content.as_bytes())).collect();
    zipped_bytes(&parts)
}

fn zipped_bytes(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).expect("a part");
        zip.write_all(content).expect("memory takes it");
    }
    zip.finish().expect("a zip").into_inner()
}

fn relations(all: &[(&str, &str, &str)]) -> String {
    let each = all.iter().map(|(id, kind, target)| {
        format!(r#"<Relationship Id="{id}" Type="http://x/{kind}" Target="{target}"/>"#)
    });
    format!("<Relationships>{}</Relationships>", each.collect::<String>())
}

/// A DOCX with this body; `more` are further parts with their relations.
fn docx(body: &str, more: &[(&str, &str, &str)]) -> Vec<u8> {
    let root = relations(&[("r", "officeDocument", "word/document.xml")]);
    let body = format!("<w:document><w:body>{body}</w:body></w:document>");
    let ids: Vec<String> = (0..more.len()).map(|at| format!("m{at}")).collect();
    let related: Vec<(&str, &str, &str)> =
        ids.iter().zip(more).map(|(id, (kind, path, _))| (id.as_str(), *kind, *path)).collect();
    let related = relations(&related);
    let paths: Vec<String> = more.iter().map(|(_, path, _)| format!("word/{path}")).collect();
    let mut parts = vec![
        ("_rels/.rels", root.as_str()),
        ("word/_rels/document.xml.rels", related.as_str()),
        ("word/document.xml", body.as_str()),
    ];
    parts.extend(paths.iter().zip(more).map(|(path, (_, _, content))| (path.as_str(), *content)));
    zipped(&parts)
}

/// An OpenDocument file with this content.
fn odf(kind: &str, content: &str) -> Vec<u8> {
    let kind = format!("application/vnd.oasis.opendocument.{kind}");
    let content = format!("<office:document-content>{content}</office:document-content>");
    zipped(&[("mimetype", &kind), ("content.xml", &content)])
}

fn read(bytes: &[u8]) -> Extracted {
    extract(bytes, "a", &Limits::default()).expect("it is read")
}

fn refused(bytes: &[u8]) -> Refused {
    extract(bytes, "a", &Limits::default()).expect_err("it is not read")
}

/// All parts, each under its page number.
fn whole(found: &Extracted) -> String {
    let parts = found.parts.iter().map(|part| match part.page {
        Some(page) => format!("[{page}]\n{}", part.text),
        None => part.text.clone(),
    });
    parts.collect::<Vec<_>>().join("\n\n")
}
