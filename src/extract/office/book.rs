//! E-books (EPUB): chapters in reading order, each an HTML document.

use std::collections::HashMap;

use quick_xml::events::Event;
use sheet::package::{Package, attribute, joined, resolve};

use super::super::{Found, Refused, html};

const MOST_CHAPTERS: usize = 10_000;
/// In bytes.
const LONGEST_CHAPTER: u64 = 64 << 20;
/// Font obfuscation methods, which do not encrypt text.
const FONTS: &[&str] = &["http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"];

pub(crate) fn epub(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let mut package = super::open(bytes, found)?;
    if is_locked(&mut package)? {
        return Err(Refused::Encrypted);
    }
    let root = root(&mut package)?.ok_or(Refused::Damaged)?;
    let chapters = chapters(&mut package, &root, found)?;
    for path in chapters {
        if found.is_full() {
            break;
        }
        let Some(page) = package.bytes(&path, "a chapter", LONGEST_CHAPTER)? else { continue };
        let mut writer = found.writer();
        html::document(&page, &mut writer, found)?;
        found.push(None, writer.take());
        found.cut |= writer.is_full();
    }
    Ok(())
}

/// Path of the package document, which lists the chapters.
fn root(package: &mut Package<'_>) -> Result<Option<String>, Refused> {
    let Some(mut part) = package.part("META-INF/container.xml", "its list")? else {
        return Ok(None);
    };
    loop {
        match part.next()? {
            Event::Start(element) if element.local_name().as_ref() == "rootfile" => {
                return Ok(attribute(&element, "full-path").map(|path| path.into_owned()));
            }
            Event::Eof => return Ok(None),
            _ => (),
        }
    }
}

/// Whether anything besides fonts is encrypted.
fn is_locked(package: &mut Package<'_>) -> Result<bool, Refused> {
    let Some(mut part) = package.part("META-INF/encryption.xml", "its list")? else {
        return Ok(false);
    };
    loop {
        match part.next()? {
            Event::Start(element) if element.local_name().as_ref() == "EncryptionMethod" => {
                let way = attribute(&element, "Algorithm");
                if way.is_some_and(|way| !FONTS.contains(&way.as_ref())) {
                    return Ok(true);
                }
            }
            Event::Eof => return Ok(false),
            _ => (),
        }
    }
}

/// The chapters in reading order. Also sets the title.
fn chapters(
    package: &mut Package<'_>,
    root: &str,
    found: &mut Found<'_>,
) -> Result<Vec<String>, Refused> {
    let (folder, _) = root.rsplit_once('/').unwrap_or(("", root));
    let mut part = package.part(root, "the list of its chapters")?.ok_or(Refused::Damaged)?;
    let mut paths: HashMap<String, String> = HashMap::new();
    let (mut order, mut title, mut in_title) = (Vec::new(), String::new(), false);
    loop {
        match part.next()? {
            Event::Start(element) => match element.local_name().as_ref() {
                "title" => in_title = title.is_empty(),
                "item" => {
                    let id = attribute(&element, "id").unwrap_or_default();
                    let path = attribute(&element, "href").unwrap_or_default();
                    if paths.len() < MOST_CHAPTERS {
                        paths.insert(id.into_owned(), joined(folder, &unescaped(&path)));
                    }
                }
                "itemref" if order.len() < MOST_CHAPTERS => {
                    order.extend(attribute(&element, "idref").map(|id| id.into_owned()));
                }
                _ => (),
            },
            Event::Text(text) if in_title => title.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) if in_title => resolve(&reference, &mut title),
            Event::End(_) => in_title = false,
            Event::Eof => break,
            _ => (),
        }
    }
    found.name(&title);
    Ok(order.iter().filter_map(|id| paths.get(id).cloned()).collect())
}

/// Decodes percent escapes and drops the fragment.
fn unescaped(address: &str) -> String {
    let (address, _) = address.split_once('#').unwrap_or((address, ""));
    let mut out = Vec::with_capacity(address.len());
    let mut rest = address.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if *first == b'%' => {
                out.push(byte);
                rest = &after[2..];
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
