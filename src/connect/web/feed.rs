//! Parser of feeds: all versions of RSS, and Atom.

use url::Url;

use super::xml::{Events, Part};

/// Limit of entries.
pub const MOST: usize = 1_000;
/// Longest text, in bytes.
const LONGEST: usize = 2 * 1024 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    pub title: String,
    /// In feed order.
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Identifier; the link if the feed has none.
    pub id: String,
    pub link: String,
    pub title: String,
    /// HTML or plain text.
    pub body: String,
    /// `body` is plain text.
    pub is_plain: bool,
    /// Time of the last change, unparsed.
    pub changed: String,
}

/// Parses the feed at this URL.
///
/// # Errors
/// If the text is no feed, or is truncated.
pub fn parse(text: &str, url: &Url) -> Result<Feed, String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut events = Events::of(text);
    let mut reader = Reader::default();
    let mut is_feed = false;
    while let Some(part) = events.next()? {
        match part {
            Part::Open(name, attributes) => {
                if events.depth() == 1 {
                    is_feed = matches!(name.as_str(), "rss" | "feed" | "rdf");
                    if !is_feed {
                        return Err("it isn’t a feed".to_owned());
                    }
                    continue;
                }
                reader.open(&name, &attributes);
            }
            Part::Words(words) => reader.words(&words),
            Part::Close(name) => reader.close(&name),
        }
        if reader.feed.entries.len() == MOST {
            break;
        }
    }
    let whole = events.depth() == 0 || reader.feed.entries.len() == MOST;
    if !is_feed || !whole {
        let why = if is_feed { "it’s incomplete" } else { "it isn’t a feed" };
        return Err(why.to_owned());
    }
    let mut feed = reader.feed;
    for entry in &mut feed.entries {
        // ok: an entry without a valid link uses the feed's address.
        let link = url.join(&entry.link).map(|link| link.to_string());
        entry.link = link.unwrap_or_else(|_| url.to_string());
        if entry.id.is_empty() {
            entry.id.clone_from(&entry.link);
        }
    }
    Ok(feed)
}

/// Parser state.
#[derive(Default)]
struct Reader {
    feed: Feed,
    entry: Option<Entry>,
    words: String,
    /// Open element with embedded XHTML, and its depth.
    inside: Option<(String, usize)>,
    html: String,
}

impl Reader {
    fn open(&mut self, name: &str, attributes: &[(String, String)]) {
        let get = |key: &str| {
            attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
        };
        if let Some((_, depth)) = &mut self.inside {
            *depth += 1;
            self.tag(name, get("href").map(|href| format!(" href=\"{}\"", escaped(href))));
            return;
        }
        self.words.clear();
        match (name, &mut self.entry) {
            ("item" | "entry", entry) => *entry = Some(Entry::default()),
            ("content" | "summary", Some(_)) if get("type") == Some("xhtml") => {
                self.inside = Some((name.to_owned(), 0));
                self.html.clear();
            }
            ("content" | "summary" | "title", Some(entry)) if name != "title" => {
                let is_plain = !get("type").is_some_and(|kind| kind.contains("html"));
                if entry.body.is_empty() || name == "content" {
                    entry.is_plain = is_plain;
                }
            }
            ("link", Some(entry)) => {
                let is_own = get("rel").is_none_or(|rel| rel == "alternate");
                if let Some(href) = get("href").filter(|_| is_own && entry.link.is_empty()) {
                    entry.link = href.trim().to_owned();
                }
            }
            _ => {}
        }
    }

    fn tag(&mut self, name: &str, more: Option<String>) {
        if self.html.len() < LONGEST {
            self.html.push_str(&format!("<{name}{}>", more.unwrap_or_default()));
        }
    }

    fn words(&mut self, words: &str) {
        let (into, words) = match self.inside {
            Some(_) => (&mut self.html, escaped(words)),
            None => (&mut self.words, words.to_owned()),
        };
        if into.len() < LONGEST {
            into.push_str(&words);
        }
    }

    fn close(&mut self, name: &str) {
        match &mut self.inside {
            Some((of, 0)) if of == name => {
                let (html, is_content) = (std::mem::take(&mut self.html), name == "content");
                self.inside = None;
                if let Some(entry) = self.entry.as_mut().filter(|e| e.body.is_empty() || is_content)
                {
                    (entry.body, entry.is_plain) = (html, false);
                }
                return;
            }
            Some((_, depth)) => {
                *depth = depth.saturating_sub(1);
                self.tag(&format!("/{name}"), None);
                return;
            }
            None => {}
        }
        let words = std::mem::take(&mut self.words).trim().to_owned();
        let Some(entry) = &mut self.entry else {
            if name == "title" && self.feed.title.is_empty() {
                self.feed.title = words;
            }
            return;
        };
        match name {
            "title" => entry.title = words,
            "guid" | "id" => entry.id = words,
            "link" if entry.link.is_empty() => entry.link = words,
            "pubdate" | "date" | "published" if entry.changed.is_empty() => entry.changed = words,
            "updated" => entry.changed = words,
            // RSS has HTML in both elements; the full text is preferred to the excerpt.
            "encoded" if !words.is_empty() => (entry.body, entry.is_plain) = (words, false),
            "description" if entry.body.is_empty() => (entry.body, entry.is_plain) = (words, false),
            "content" if !words.is_empty() => entry.body = words,
            "summary" if entry.body.is_empty() => entry.body = words,
            "item" | "entry" => {
                let whole = |entry: &Entry| !(entry.id.is_empty() && entry.link.is_empty());
                self.feed.entries.extend(self.entry.take().filter(whole));
            }
            _ => {}
        }
    }
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::parse;

    fn url() -> Url {
        Url::parse("https://a.example/feed.xml").unwrap()
    }

    #[test]
    fn rss_and_atom_give_the_same() {
        let rss = "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>News</title><link>https://a.example</link>\
            <item><title>One &amp; two</title><link>https://a.example/1</link><guid isPermaLink=\"false\">g1</guid>\
            <pubDate>Fri, 20 Nov 2026 12:00:00 GMT</pubDate><description>short</description>\
            <content:encoded><![CDATA[<p>Long <b>text</b></p>]]></content:encoded></item>\
            <item><title>Bare</title><link>/2</link></item><item><title>nothing</title></item></channel></rss>";
        let feed = parse(rss, &url()).unwrap();
        assert_eq!((feed.title.as_str(), feed.entries.len()), ("News", 2));
        let one = &feed.entries[0];
        assert_eq!((one.id.as_str(), one.title.as_str()), ("g1", "One & two"));
        assert_eq!(one.body, "<p>Long <b>text</b></p>");
        assert!(one.changed.starts_with("Fri"));
        assert_eq!(
            (feed.entries[1].id.as_str(), feed.entries[1].body.as_str()),
            ("https://a.example/2", "")
        );
        let atom = "<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>News</title><entry><id>urn:1</id><title>One</title>\
            <link rel=\"self\" href=\"/no\"/><link href=\"/1\"/><updated>2026-11-20T12:00:00Z</updated>\
            <summary>short</summary><content type=\"xhtml\"><div xmlns=\"x\"><p>A &lt; <a href=\"/x\">b</a></p></div></content></entry>\
            <entry><id>urn:2</id><link href=\"/2\"/><content type=\"text\">plain words</content></entry></feed>";
        let feed = parse(atom, &url()).unwrap();
        let [one, two] = feed.entries.as_slice() else { panic!("{feed:?}") };
        assert_eq!((one.id.as_str(), one.link.as_str()), ("urn:1", "https://a.example/1"));
        assert_eq!(one.body, "<div><p>A &lt; <a href=\"/x\">b</a></p></div>");
        assert_eq!((one.changed.as_str(), one.is_plain), ("2026-11-20T12:00:00Z", false));
        assert_eq!((two.body.as_str(), two.is_plain), ("plain words", true));
    }

    #[test]
    fn what_is_no_whole_feed_is_refused() {
        for (text, says) in [
            (
                "<!DOCTYPE rss [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><rss>&x;</rss>",
                "document type",
            ),
            ("<html><body></body></html>", "isn’t a feed"),
            ("", "isn’t a feed"),
            ("<rss><channel><item><guid>1</guid></item>", "incomplete"),
        ] {
            let error = parse(text, &url()).unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
        }
    }
}
