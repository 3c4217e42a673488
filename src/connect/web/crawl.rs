//! Crawler of linked pages on the source's hosts, from a start page. Known pages are queued at the start, so that
//! unchanged pages need no body to be followed. Endless structures (calendars, sorted lists, repeating paths) are cut
//! off.

use std::collections::{HashMap, HashSet, VecDeque};

use super::listed::path_of;
use super::robots::Robots;
use super::{BoxFuture, ConnectorError, Delta, Known, Links, Over, Page, Read, Step, Url, Web};

/// Limit of URLs that differ only in their query.
const VARIANTS: usize = 20;
/// Limit of repetitions of a path segment.
const REPEATS: usize = 3;
/// Limit of path segments.
const PARTS: usize = 20;
/// Longest URL.
const LONGEST: usize = 1_000;
/// Limit of requests per page to read.
const PATIENCE: usize = 3;
/// Extensions of files without text.
const WORDLESS: [&str; 20] = [
    "jpg", "jpeg", "png", "gif", "svg", "webp", "ico", "css", "js", "mjs", "woff", "woff2", "mp3",
    "mp4", "webm", "zip", "gz", "exe", "dmg", "iso",
];

pub(super) struct Crawl<'w> {
    web: &'w Web,
    known: Known,
    robots: Robots,
    left: VecDeque<(Url, usize)>,
    queued: HashSet<Url>,
    variants: HashMap<String, usize>,
    /// URLs of pages that declared another URL as canonical.
    aliases: HashSet<Url>,
    begun: bool,
    requests: usize,
    read: usize,
    trapped: usize,
    over: Over,
}

impl<'w> Crawl<'w> {
    pub(super) fn new(web: &'w Web, known: Known) -> Self {
        Self {
            web,
            known,
            robots: Robots::default(),
            left: VecDeque::new(),
            queued: HashSet::new(),
            variants: HashMap::new(),
            aliases: HashSet::new(),
            begun: false,
            requests: 0,
            read: 0,
            trapped: 0,
            over: Over { complete: true, ..Over::default() },
        }
    }

    async fn begin(&mut self) -> Result<(), ConnectorError> {
        self.begun = true;
        self.robots = self.web.site.robots(&self.web.url).await?;
        self.queue(self.web.url.clone(), 0);
        let depth = |mark: &super::Mark| mark.listed.parse().unwrap_or(self.web.depth);
        let known = self.known.iter();
        let known = known.filter_map(|(place, mark)| Some((depth(mark), Url::parse(place).ok()?)));
        let mut known: Vec<(usize, Url)> = known.filter(|(_, url)| self.web.holds(url)).collect();
        known.sort();
        for (depth, url) in known {
            self.queue(url, depth);
        }
        Ok(())
    }

    fn queue(&mut self, url: Url, depth: usize) {
        if !self.queued.contains(&url) {
            self.queued.insert(url.clone());
            self.left.push_back((url, depth));
        }
    }

    /// Queues the links of a page.
    fn follow(&mut self, links: &Links, depth: usize) {
        if links.nofollow || self.web.depth <= depth {
            return;
        }
        for url in &links.to {
            if self.queued.contains(url) || !self.web.holds(url) || !has_words(url) {
                continue;
            }
            match self.is_trap(url) {
                true => self.trapped += 1,
                false => self.queue(url.clone(), depth + 1),
            }
        }
    }

    /// Whether a URL looks generated, one of very many.
    fn is_trap(&mut self, url: &Url) -> bool {
        let parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
        let most = parts.iter().map(|part| parts.iter().filter(|one| *one == part).count()).max();
        if LONGEST < url.as_str().len() || PARTS < parts.len() || Some(REPEATS) < most {
            return true;
        }
        if url.query().is_none() {
            return false;
        }
        let variants = self.variants.entry(url.path().to_owned()).or_default();
        *variants += 1;
        VARIANTS < *variants
    }

    async fn step(&mut self, url: Url, depth: usize) -> Result<Option<Step>, ConnectorError> {
        let place = url.to_string();
        let (known, is_first) = (self.known.get(&place).cloned(), depth == 0);
        if !self.robots.allows(&path_of(&url)) {
            let why = "The site’s robots.txt disallows it.".to_owned();
            return match is_first {
                true => Err(ConnectorError::Refused(why)),
                false => Ok(Some(Step::Skipped(place, why))),
            };
        }
        self.requests += 1;
        let (page, links) = match self.web.site.page(&url, known.as_ref(), &depth.to_string()).await
        {
            Ok(Read::Page(page, links)) => (page, links),
            Ok(Read::Same) => {
                self.read += 1;
                return Ok(Some(Step::Same(place)));
            }
            Ok(Read::Skipped(why)) => return Ok(Some(Step::Skipped(place, why))),
            Ok(Read::Gone) if is_first => return Err(super::gone(&url)),
            Ok(Read::Gone) => return Ok(None),
            Err(fault) if is_first || matches!(fault, ConnectorError::Busy { .. }) => {
                return Err(fault);
            }
            // The page redirects elsewhere.
            Err(ConnectorError::Refused(why)) => return Ok(Some(Step::Skipped(place, why))),
            Err(fault) => return Ok(Some(Step::Failed(place, fault))),
        };
        self.follow(&links, depth);
        Ok(self.kept(url, depth, page, &links))
    }

    /// The step of a fetched page; `None` if it is another page under a second URL.
    fn kept(&mut self, url: Url, depth: usize, page: Box<Page>, links: &Links) -> Option<Step> {
        // ok: the URL of a response is valid.
        let answered = Url::parse(&page.address).ok()?;
        let own = links.canonical.clone().filter(|own| self.web.holds(own)).unwrap_or(answered);
        if own != url && !self.aliases.contains(&own) {
            self.aliases.insert(url.clone());
            if self.queued.contains(&own) || depth == 0 {
                self.queue(own, depth);
                return None;
            }
            self.queued.insert(own.clone());
        }
        let place = if own == url || self.aliases.contains(&own) { url } else { own };
        if links.noindex {
            let why = "The page disallows indexing.".to_owned();
            return Some(Step::Skipped(place.to_string(), why));
        }
        self.read += 1;
        Some(Step::Page(Box::new(Page { place: place.to_string(), ..*page })))
    }

    fn is_enough(&mut self) -> bool {
        let note = match (self.web.pages <= self.read, self.web.pages * PATIENCE <= self.requests) {
            (true, _) if !self.left.is_empty() => {
                format!("HQ only reads {} pages.", self.web.pages)
            }
            (false, true) => format!("HQ only checked {} addresses.", self.requests),
            _ => return false,
        };
        self.over.complete = false;
        self.over.notes.push(note);
        true
    }
}

fn has_words(url: &Url) -> bool {
    let end = url.path().rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    end.is_none_or(|end| !WORDLESS.contains(&end.as_str()))
}

impl Delta for Crawl<'_> {
    fn next(&mut self) -> BoxFuture<'_, Option<Step>> {
        Box::pin(async move {
            if !self.begun {
                self.begin().await?;
            }
            while !self.is_enough() {
                let Some((url, depth)) = self.left.pop_front() else { break };
                if let Some(step) = self.step(url, depth).await? {
                    return Ok(Some(step));
                }
            }
            self.left.clear();
            if 0 < self.trapped {
                let words = format!("{} addresses that look endless were skipped.", self.trapped);
                self.over.notes.push(words);
                self.trapped = 0;
            }
            Ok(None)
        })
    }

    fn over(&self) -> Over {
        self.over.clone()
    }
}
