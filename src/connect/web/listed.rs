//! Sources with a list of their pages: sitemaps and feeds.

use std::collections::{HashSet, VecDeque};

use net::readable::{self, Form, Source};

use super::robots::Robots;
use super::sitemap::{self, Entry};
use super::{
    BoxFuture, ConnectorError, Content, Delta, Extent, Known, Links, MOST_CHARS, MOST_FILE, Mark,
    Over, Page, Read, Step, Url, Web, feed, file_name, hash, links, refused, sentence,
};

/// Limit of sitemaps per source.
const MOST_MAPS: usize = 100;

#[derive(Default)]
pub(super) struct Found {
    pub(super) pages: Vec<(Url, String)>,
    over: Over,
}

/// All pages of a source's sitemaps.
pub(super) async fn pages(web: &Web, robots: &Robots) -> Result<Found, ConnectorError> {
    let mut left = VecDeque::from(first(web, robots));
    let mut seen: HashSet<Url> = left.iter().cloned().collect();
    let mut found = Found { over: Over { complete: true, ..Over::default() }, ..Found::default() };
    let mut places = HashSet::new();
    let (mut read, mut others) = (0, 0);
    while let Some(at) = left.pop_front() {
        if read == MOST_MAPS {
            found.over.complete = false;
            found.over.notes.push(format!("HQ only read {MOST_MAPS} sitemaps."));
            break;
        }
        read += 1;
        let map = match one(web, &at).await {
            Ok(map) => map,
            Err(fault @ ConnectorError::Busy { .. }) => return Err(fault),
            Err(fault) if read == 1 && left.is_empty() => return Err(fault),
            Err(fault) => {
                found.over.complete = false;
                found.over.notes.push(fault.to_string());
                continue;
            }
        };
        found.over.complete &= !map.cut;
        let to = |entry: &Entry| Some(links::plain(Url::parse(&entry.url).ok()?));
        for url in map.more.iter().filter_map(to) {
            if web.site.hosts.check(&url).is_ok() && seen.insert(url.clone()) {
                left.push_back(url);
            }
        }
        for entry in &map.pages {
            let Some(url) = to(entry).filter(|url| web.holds(url)) else {
                others += 1;
                continue;
            };
            if found.pages.len() == web.pages {
                found.over.complete = false;
                found.over.notes.push(format!("HQ only reads the first {} pages.", web.pages));
                return Ok(found);
            }
            if places.insert(url.clone()) {
                found.pages.push((url, entry.changed.clone()));
            }
        }
    }
    if 0 < others {
        let words = format!("{others} addresses in the sitemap are outside this source.");
        found.over.notes.push(words);
    }
    Ok(found)
}

/// The sitemaps to start with: the configured one, else those that `robots.txt` names.
fn first(web: &Web, robots: &Robots) -> Vec<Url> {
    let path = web.url.path().to_ascii_lowercase();
    if [".xml", ".gz", ".txt"].iter().any(|end| path.ends_with(end)) {
        return vec![web.url.clone()];
    }
    let named = robots.sitemaps.iter().filter_map(|url| web.url.join(url).ok());
    let named: Vec<Url> = named.filter(|url| web.site.hosts.check(url).is_ok()).collect();
    match named.is_empty() {
        true => web.url.join("/sitemap.xml").into_iter().collect(),
        false => named,
    }
}

async fn one(web: &Web, url: &Url) -> Result<sitemap::Sitemap, ConnectorError> {
    let answer = web.site.get(url, None, MOST_FILE).await?;
    if !(200..300).contains(&answer.status) {
        return Err(refused(&answer));
    }
    if answer.extent == Extent::Cut {
        return Err(ConnectorError::Refused(format!("{url} is larger than 20 MB.")));
    }
    let refused = |why: String| ConnectorError::Refused(format!("{url} can't be read: {why}."));
    let body = answer.body;
    let read = tokio::task::spawn_blocking(move || sitemap::parse(&sitemap::unpacked(&body)?));
    read.await.unwrap_or_else(|_| Err("its content is invalid".to_owned())).map_err(refused)
}

/// Changes of the pages in sitemaps.
pub(super) struct Listing<'w> {
    web: &'w Web,
    known: Known,
    robots: Robots,
    left: Option<std::vec::IntoIter<(Url, String)>>,
    over: Over,
}

impl<'w> Listing<'w> {
    pub(super) fn new(web: &'w Web, known: Known) -> Self {
        Self { web, known, robots: Robots::default(), left: None, over: Over::default() }
    }

    async fn step(
        &mut self,
        (url, changed): (Url, String),
    ) -> Result<Option<Step>, ConnectorError> {
        let place = url.to_string();
        if !self.robots.allows(&path_of(&url)) {
            let why = "The site’s robots.txt disallows it.".to_owned();
            return Ok(Some(Step::Skipped(place, why)));
        }
        let known = self.known.get(&place);
        if !changed.is_empty() && known.is_some_and(|mark| mark.listed == changed) {
            return Ok(Some(Step::Same(place)));
        }
        Ok(match self.web.site.page(&url, known, &changed).await {
            Ok(Read::Page(_, Links { noindex: true, .. })) => {
                Some(Step::Skipped(place, "The page disallows indexing.".to_owned()))
            }
            Ok(Read::Page(page, _)) => Some(Step::Page(page)),
            Ok(Read::Same) => Some(Step::Same(place)),
            Ok(Read::Skipped(why)) => Some(Step::Skipped(place, why)),
            // A listed page that gives 404 counts as not listed.
            Ok(Read::Gone) => None,
            Err(fault @ ConnectorError::Busy { .. }) => return Err(fault),
            Err(fault) => Some(Step::Failed(place, fault)),
        })
    }
}

/// Path and query of a URL.
pub(super) fn path_of(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

impl Delta for Listing<'_> {
    fn next(&mut self) -> BoxFuture<'_, Option<Step>> {
        Box::pin(async move {
            if self.left.is_none() {
                self.robots = self.web.site.robots(&self.web.url).await?;
                let found = pages(self.web, &self.robots).await?;
                self.over = found.over;
                self.left = Some(found.pages.into_iter());
            }
            while let Some(page) = self.left.as_mut().and_then(Iterator::next) {
                if let Some(step) = self.step(page).await? {
                    return Ok(Some(step));
                }
            }
            Ok(None)
        })
    }

    fn over(&self) -> Over {
        self.over.clone()
    }
}

/// Entries of a feed.
pub(super) struct Entries<'w> {
    web: &'w Web,
    known: Known,
    left: Option<std::vec::IntoIter<feed::Entry>>,
}

impl<'w> Entries<'w> {
    pub(super) fn new(web: &'w Web, known: Known) -> Self {
        Self { web, known, left: None }
    }

    async fn step(&self, entry: feed::Entry) -> Result<Step, ConnectorError> {
        let place = entry.id.clone();
        let known = self.known.get(&place);
        // An entry without text stands for the page that it links to.
        if entry.body.trim().is_empty() {
            let url = Url::parse(&entry.link).ok().filter(|url| self.web.holds(url));
            let Some(url) = url else {
                let why = "It has no text, and its page is outside this source.";
                return Ok(Step::Skipped(place, why.to_owned()));
            };
            return Ok(match self.web.site.page(&url, known, &entry.changed).await {
                Ok(Read::Page(page, _)) => Step::Page(Box::new(Page { place, ..*page })),
                Ok(Read::Same) => Step::Same(place),
                Ok(Read::Skipped(why)) => Step::Skipped(place, why),
                Ok(Read::Gone) => Step::Skipped(place, "Its page doesn’t exist.".to_owned()),
                Err(fault @ ConnectorError::Busy { .. }) => return Err(fault),
                Err(fault) => Step::Failed(place, fault),
            });
        }
        let text = match entry.is_plain {
            true => entry.body.clone(),
            false => match words(&entry) {
                Ok(text) => text,
                Err(why) => return Ok(Step::Skipped(place, why)),
            },
        };
        let url = Url::parse(&entry.link).unwrap_or_else(|_| self.web.url.clone());
        Ok(Step::Page(Box::new(Page {
            address: url.to_string(),
            name: file_name(&url),
            title: if entry.title.is_empty() { file_name(&url) } else { entry.title },
            mark: Mark { listed: entry.changed, ..Mark::default() },
            hash: hash(text.as_bytes()),
            cut: false,
            content: Content::Text(text),
            place,
        })))
    }
}

/// Text of an HTML entry, as Markdown.
fn words(entry: &feed::Entry) -> Result<String, String> {
    let url = Url::parse(&entry.link).map_err(|error| sentence(&error))?;
    let body = entry.body.as_bytes();
    let source = Source { body, content_type: Some("text/html; charset=utf-8"), url: &url };
    let read = readable::read(source, Form::Markdown, MOST_CHARS);
    read.map(|read| read.text).map_err(|error| sentence(&error))
}

impl Delta for Entries<'_> {
    fn next(&mut self) -> BoxFuture<'_, Option<Step>> {
        Box::pin(async move {
            if self.left.is_none() {
                let feed = self.web.feed().await?;
                let entries: Vec<_> = feed.entries.into_iter().take(self.web.pages).collect();
                self.left = Some(entries.into_iter());
            }
            match self.left.as_mut().and_then(Iterator::next) {
                Some(entry) => self.step(entry).await.map(Some),
                None => Ok(None),
            }
        })
    }

    /// Feeds drop old entries: missing entries are not gone.
    fn over(&self) -> Over {
        Over::default()
    }
}
