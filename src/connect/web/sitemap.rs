//! Parser of sitemaps and sitemap indexes: XML or plain lines, optionally gzipped.

use std::io::Read as _;

use super::xml::{Events, Part};

/// Limit of a sitemap, in bytes after decompression.
pub const MOST_BYTES: usize = 50 * 1024 * 1024;
/// Limit of entries per sitemap.
pub const MOST: usize = 50_000;
/// Longest URL.
const LONGEST: usize = 2_048;

/// A page, or another sitemap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub url: String,
    /// Time of the last change, unparsed; empty if unknown.
    pub changed: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sitemap {
    pub pages: Vec<Entry>,
    pub more: Vec<Entry>,
    /// The limit of entries was reached.
    pub cut: bool,
}

/// Text of a sitemap, decompressed if necessary.
///
/// # Errors
/// If it cannot be decompressed, or is too large.
pub fn unpacked(bytes: &[u8]) -> Result<String, String> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    }
    let mut text = Vec::new();
    let packed = flate2::read::MultiGzDecoder::new(bytes);
    let read = packed.take(MOST_BYTES as u64 + 1).read_to_end(&mut text);
    read.map_err(|error| format!("it can't be unpacked ({error})"))?;
    match MOST_BYTES < text.len() {
        true => Err("it is larger than 50 MB, unpacked".to_owned()),
        false => Ok(String::from_utf8_lossy(&text).into_owned()),
    }
}

pub fn parse(text: &str) -> Result<Sitemap, String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.starts_with('<') {
        true => xml(text),
        false => lines(text),
    }
}

fn xml(text: &str) -> Result<Sitemap, String> {
    let mut events = Events::of(text);
    let mut map = Sitemap::default();
    let (mut entry, mut words, mut is_map) = (None::<Entry>, String::new(), false);
    while let Some(part) = events.next()? {
        match part {
            Part::Open(name, _) => {
                words.clear();
                match (name.as_str(), events.depth()) {
                    ("urlset" | "sitemapindex", 1) => is_map = true,
                    (_, 1) => return Err("it isn’t a sitemap".to_owned()),
                    ("url" | "sitemap", 2) => {
                        entry = Some(Entry { url: String::new(), changed: String::new() });
                    }
                    _ => {}
                }
            }
            Part::Words(more) => {
                if words.len() < LONGEST * 2 {
                    words.push_str(&more);
                }
            }
            Part::Close(name) => match (name.as_str(), events.depth(), &mut entry) {
                ("loc", 2, Some(entry)) => entry.url = words.trim().to_owned(),
                ("lastmod", 2, Some(entry)) => entry.changed = words.trim().to_owned(),
                ("url" | "sitemap", 1, _) => {
                    let Some(entry) = entry.take().filter(|entry| fits(&entry.url)) else {
                        continue;
                    };
                    if MOST <= map.pages.len() + map.more.len() {
                        map.cut = true;
                        return Ok(map);
                    }
                    match name.as_str() {
                        "url" => map.pages.push(entry),
                        _ => map.more.push(entry),
                    }
                }
                _ => {}
            },
        }
    }
    match (is_map, events.depth()) {
        (false, _) => Err("it isn’t a sitemap".to_owned()),
        // A truncated list is an error: pages in the missing part would count as gone.
        (true, 0) => Ok(map),
        (true, _) => Err("it’s incomplete".to_owned()),
    }
}

fn lines(text: &str) -> Result<Sitemap, String> {
    let mut all = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    if all.peek().is_none_or(|first| !fits(first)) {
        return Err("it isn’t a sitemap".to_owned());
    }
    let page = |url: &str| Entry { url: url.to_owned(), changed: String::new() };
    let pages: Vec<Entry> = all.by_ref().filter(|line| fits(line)).take(MOST).map(page).collect();
    Ok(Sitemap { cut: all.next().is_some(), pages, more: Vec::new() })
}

fn fits(url: &str) -> bool {
    url.len() <= LONGEST && (url.starts_with("http://") || url.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{parse, unpacked};

    #[test]
    fn pages_and_other_sitemaps_are_read() {
        let text = "<?xml version=\"1.0\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\
            <url><loc> https://a.example/x?a=1&amp;b=2 </loc><lastmod>2026-01-02</lastmod><priority>1</priority></url>\
            <url><loc>ftp://a.example/</loc></url><url><image:loc>https://i.example/</image:loc><loc><![CDATA[https://a.example/y]]></loc></url></urlset>";
        let map = parse(text).unwrap();
        let urls: Vec<&str> = map.pages.iter().map(|one| one.url.as_str()).collect();
        assert_eq!(urls, ["https://a.example/x?a=1&b=2", "https://a.example/y"]);
        assert_eq!((map.pages[0].changed.as_str(), map.cut), ("2026-01-02", false));
        let index =
            "<sitemapindex><sitemap><loc>https://a.example/1.xml.gz</loc></sitemap></sitemapindex>";
        assert_eq!(parse(index).unwrap().more.len(), 1);
        assert_eq!(parse("https://a.example/1\nhttps://a.example/2\n").unwrap().pages.len(), 2);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        assert_eq!(unpacked(&packed.finish().unwrap()).unwrap(), text);
    }

    #[test]
    fn what_is_no_whole_sitemap_is_refused() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><urlset><url><loc>&b;</loc></url></urlset>";
        for (text, says) in [
            (bomb, "document type"),
            ("<html></html>", "isn’t a sitemap"),
            ("<urlset><url><loc>https://a.example/</loc></url>", "incomplete"),
            ("", "isn’t a sitemap"),
            ("hello", "isn’t a sitemap"),
            (&"<urlset>".repeat(500), "too deep"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
        }
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..60 {
            packed.write_all(&vec![b' '; 1 << 20]).unwrap();
        }
        assert!(unpacked(&packed.finish().unwrap()).unwrap_err().contains("larger"));
    }
}
