//! Web connector: a single page, the pages of a sitemap, linked pages, or a feed. All requests pass the HTTP client's
//! guard, so redirects cannot reach internal addresses, and stay on the source's hosts.

use std::sync::Arc;

use kernel::Clock;
use net::client::{Extent, HttpClient};
use net::error::NetError;
use net::guard::{self, GuardError, Hosts};
use net::message::{Headers, Method, Policy, Request};
use net::readable::{self, Form, Source};
use net::retry::{self, Backoff, Next};
use url::Url;

use super::pace::Pace;
use super::{
    About, BoxFuture, Connector, ConnectorContext, ConnectorError, Content, Delta, Fetched, Known,
    Listed, MOST_CHARS, Manifest, Mark, Over, Page, Reads, Step, hash, value,
};

mod crawl;
pub mod feed;
pub mod links;
mod listed;
pub mod robots;
pub mod sitemap;
mod xml;

use links::Links;
use robots::Robots;

/// Limit of a page, in bytes.
const MOST_PAGE: usize = 4 * 1024 * 1024;
/// Limit of a document, in bytes.
const MOST_FILE: usize = 20 * 1024 * 1024;
/// Pages per source: default and limit.
const PAGES: usize = 500;
const MOST_PAGES: usize = 5_000;
/// Link depth: default and limit.
const DEPTH: usize = 5;
const MOST_DEPTH: usize = 10;
/// `Accept` header.
const ACCEPT: &str = "text/html,application/xhtml+xml,text/markdown;q=0.9,application/rss+xml;q=0.9,\
    application/atom+xml;q=0.9,text/plain;q=0.9,application/xml;q=0.8,application/pdf;q=0.7,*/*;q=0.5";

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Page,
    Sitemap,
    Crawl,
    Feed,
}

pub(super) struct Web {
    site: Site,
    url: Url,
    how: How,
    pages: usize,
    depth: usize,
    below: String,
}

/// HTTP access to the hosts of a source.
struct Site {
    http: HttpClient,
    clock: Arc<dyn Clock>,
    pace: Arc<Pace>,
    hosts: Hosts,
}

struct Answer {
    status: u16,
    url: Url,
    headers: Headers,
    body: Vec<u8>,
    extent: Extent,
}

impl Answer {
    fn mark(&self, listed: &str) -> Mark {
        let of = |name: &str| self.headers.get(name).unwrap_or_default().to_owned();
        let short = |text: String| if text.len() <= 400 { text } else { String::new() };
        Mark {
            listed: listed.to_owned(),
            etag: short(of("etag")),
            modified: short(of("last-modified")),
        }
    }

    fn media(&self) -> String {
        let content_type = self.headers.get("content-type").unwrap_or_default();
        content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// Result of reading a page.
enum Read {
    Page(Box<Page>, Links),
    Same,
    Skipped(String),
    Gone,
}

impl Site {
    /// Sends a GET request within the rate limit, with retries after transient failures.
    async fn get(
        &self,
        url: &Url,
        mark: Option<&Mark>,
        most: usize,
    ) -> Result<Answer, ConnectorError> {
        let mut failed = 0;
        loop {
            self.pace.turn().await;
            let done = self.once(url, mark, most).await;
            let (why, requested) = match done {
                Ok(answer) if !matches!(answer.status, 429 | 500 | 502..=504) => return Ok(answer),
                Ok(answer) => {
                    let after = answer.headers.get("retry-after");
                    let after = after.and_then(|value| retry::retry_after(value, self.clock.now()));
                    (format!("{} answers {}.", host(url), status(answer.status)), after)
                }
                Err(error) if error.is_transient() => (sentence(&error), None),
                Err(NetError::Refused(GuardError::NotListed { host })) => {
                    let why = format!("It points to {host}, which is outside this source.");
                    return Err(ConnectorError::Refused(why));
                }
                Err(error @ NetError::Refused(_)) => {
                    return Err(ConnectorError::Refused(sentence(&error)));
                }
                Err(error) => return Err(ConnectorError::Failed(sentence(&error))),
            };
            failed += 1;
            match Backoff::TRANSIENT.next(failed, requested, retry::random()) {
                Next::Wait(pause) => tokio::time::sleep(pause).await,
                Next::GiveUp(longer) => {
                    return Err(ConnectorError::Busy { why, after: longer.or(requested) });
                }
            }
        }
    }

    async fn once(&self, url: &Url, mark: Option<&Mark>, most: usize) -> Result<Answer, NetError> {
        let mut request = Request::new(Policy::Guarded, Method::Get, url.as_str())
            .header("accept", ACCEPT)
            .only(self.hosts.clone());
        if let Some(mark) = mark {
            let known = [("if-none-match", &mark.etag), ("if-modified-since", &mark.modified)];
            for (name, value) in known.into_iter().filter(|(_, value)| !value.is_empty()) {
                request = request.header(name, value.clone());
            }
        }
        let response = self.http.request(request).await?;
        let (status, headers) = (response.status, response.headers);
        let url = guard::parse(&response.url)?;
        let (body, extent) = response.body.beginning(most).await?;
        Ok(Answer { status, url: links::plain(url), headers, body, extent })
    }

    /// Reads a page, conditionally if it is known.
    async fn page(
        &self,
        url: &Url,
        known: Option<&Mark>,
        listed: &str,
    ) -> Result<Read, ConnectorError> {
        let answer = self.get(url, known, MOST_FILE).await?;
        match answer.status {
            304 => return Ok(Read::Same),
            404 | 410 => return Ok(Read::Gone),
            status if (200..300).contains(&status) => {}
            _ => return Err(refused(&answer)),
        }
        let mark = answer.mark(listed);
        let body = hash(&answer.body);
        let media = answer.media();
        let name = file_name(&answer.url);
        let page = |title: String, content: Content, cut: bool| {
            Box::new(Page {
                place: url.to_string(),
                address: answer.url.to_string(),
                title: if title.is_empty() { name.clone() } else { title },
                name: name.clone(),
                mark: mark.clone(),
                hash: body,
                content,
                cut,
            })
        };
        if is_document(&media) {
            if answer.extent == Extent::Cut {
                return Ok(Read::Skipped("It is larger than 20 MB.".to_owned()));
            }
            let content = Content::File { bytes: answer.body.clone(), media };
            return Ok(Read::Page(page(String::new(), content, false), Links::default()));
        }
        let (bytes, at) = (answer.body.clone(), answer.url.clone());
        let content_type = answer.headers.get("content-type").map(str::to_owned);
        let reading = tokio::task::spawn_blocking(move || {
            let short = &bytes[..bytes.len().min(MOST_PAGE)];
            let source = Source { body: short, content_type: content_type.as_deref(), url: &at };
            let read = readable::read(source, Form::Markdown, MOST_CHARS);
            (read, links::of(&String::from_utf8_lossy(short), &at))
        });
        let Ok((read, links)) = reading.await else {
            return Ok(Read::Skipped("The page can't be turned into text.".to_owned()));
        };
        let is_long = answer.extent == Extent::Cut || MOST_PAGE < answer.body.len();
        match read {
            Err(error) => Ok(Read::Skipped(sentence(&error))),
            Ok(read) if read.text.trim().is_empty() => {
                Ok(Read::Skipped("This page has no text.".to_owned()))
            }
            Ok(read) => {
                let title = read.title.unwrap_or_default().trim().to_owned();
                let hash = hash(read.text.as_bytes());
                let mut page = page(title, Content::Text(read.text), read.truncated || is_long);
                // The hash is that of the text: markup that changes with each request does not count.
                page.hash = hash;
                Ok(Read::Page(page, links))
            }
        }
    }

    /// Reads the host's `robots.txt`.
    async fn robots(&self, url: &Url) -> Result<Robots, ConnectorError> {
        let at =
            url.join("/robots.txt").map_err(|error| ConnectorError::Refused(sentence(&error)))?;
        let answer = match self.get(&at, None, robots::MOST).await {
            Ok(answer) => answer,
            // A redirect to another host counts as no file.
            Err(ConnectorError::Refused(_)) => return Ok(Robots::default()),
            Err(other) => return Err(other),
        };
        if !(200..300).contains(&answer.status) {
            return Ok(Robots::default());
        }
        let robots = Robots::parse(&String::from_utf8_lossy(&answer.body));
        if let Some(pause) = robots.pause {
            self.pace.slow_down(pause).await;
        }
        Ok(robots)
    }
}

impl Web {
    pub(super) fn new(
        manifest: &Manifest,
        reads: &Reads,
        means: ConnectorContext,
    ) -> Result<Self, ConnectorError> {
        let url = guard::parse(value(reads, "url"))
            .map_err(|error| ConnectorError::Refused(sentence(&error)))?;
        means
            .http
            .guard()
            .check_url(&url)
            .map_err(|error| ConnectorError::Refused(sentence(&error)))?;
        let number = |key: &str, usual: usize, most: usize| {
            value(reads, key).parse::<usize>().map_or(usual, |number| number.clamp(1, most))
        };
        let how = match value(reads, "how") {
            "sitemap" => How::Sitemap,
            "crawl" => How::Crawl,
            "feed" => How::Feed,
            _ => How::Page,
        };
        let hosts = vec![Hosts::line(&host(&url)).into_iter().collect()];
        let listed: Vec<String> =
            manifest.egress_hosts.iter().filter_map(|host| Hosts::line(host)).collect();
        let lists = match listed.is_empty() {
            true => hosts,
            false => vec![listed],
        };
        let hosts = Hosts::of(lists);
        hosts.check(&url).map_err(|_| {
            ConnectorError::Refused(format!("This connector can’t read {}.", host(&url)))
        })?;
        Ok(Self {
            site: Site { http: means.http, clock: means.clock, pace: means.pace, hosts },
            url: links::plain(url),
            how,
            pages: number("pages", PAGES, MOST_PAGES),
            depth: number("depth", DEPTH, MOST_DEPTH),
            below: value(reads, "below").to_owned(),
        })
    }

    /// Whether a URL belongs to the source.
    fn holds(&self, url: &Url) -> bool {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && self.site.hosts.check(url).is_ok()
            && url.port_or_known_default().is_some_and(|port| {
                Some(port) == self.url.port_or_known_default() || matches!(port, 80 | 443)
            })
            && url.path().starts_with(&self.below)
    }

    async fn about(&self) -> Result<About, ConnectorError> {
        let name = host(&self.url);
        match self.how {
            How::Page => match self.site.page(&self.url, None, "").await? {
                Read::Page(page, _) => Ok(About { name: page.title, says: "1 page.".to_owned() }),
                Read::Skipped(why) => Err(ConnectorError::Refused(why)),
                Read::Gone | Read::Same => Err(gone(&self.url)),
            },
            How::Sitemap => {
                let robots = self.site.robots(&self.url).await?;
                let found = listed::pages(self, &robots).await?;
                Ok(About { name, says: counted(found.pages.len()) })
            }
            How::Crawl => match self.site.page(&self.url, None, "").await? {
                Read::Page(page, links) => {
                    let own = links.to.iter().filter(|url| self.holds(url)).count();
                    Ok(About {
                        name: page.title,
                        says: format!("The first page links to {own} others here."),
                    })
                }
                Read::Skipped(why) => Err(ConnectorError::Refused(why)),
                Read::Gone | Read::Same => Err(gone(&self.url)),
            },
            How::Feed => {
                let feed = self.feed().await?;
                let name = if feed.title.is_empty() { name } else { feed.title };
                Ok(About { name, says: format!("{} entries.", feed.entries.len()) })
            }
        }
    }

    async fn feed(&self) -> Result<feed::Feed, ConnectorError> {
        let answer = self.site.get(&self.url, None, MOST_FILE).await?;
        if !(200..300).contains(&answer.status) {
            return Err(refused(&answer));
        }
        feed::parse(&String::from_utf8_lossy(&answer.body), &answer.url)
            .map_err(|why| ConnectorError::Refused(format!("{} can't be read: {why}.", self.url)))
    }
}

impl Connector for Web {
    fn validate(&self) -> BoxFuture<'_, About> {
        Box::pin(self.about())
    }

    fn browse<'a>(&'a self, _parent: Option<&'a str>) -> BoxFuture<'a, Vec<Listed>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn delta<'a>(&'a self, _cursor: &str, known: Known) -> Box<dyn Delta + 'a> {
        match self.how {
            How::Page => Box::new(OnePage { web: self, known, over: Over::default() }),
            How::Sitemap => Box::new(listed::Listing::new(self, known)),
            How::Crawl => Box::new(crawl::Crawl::new(self, known)),
            How::Feed => Box::new(listed::Entries::new(self, known)),
        }
    }

    fn fetch<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Fetched> {
        Box::pin(async move {
            // The text of an entry is in the feed only, and old entries are dropped from it.
            if self.how == How::Feed {
                return Ok(Fetched::Skipped("It’s no longer in the feed.".to_owned()));
            }
            let url =
                Url::parse(place).map_err(|error| ConnectorError::Refused(sentence(&error)))?;
            if !self.holds(&url) && url != self.url {
                return Ok(Fetched::Skipped("It doesn’t belong to this source.".to_owned()));
            }
            Ok(match self.site.page(&url, None, "").await? {
                Read::Page(page, _) => Fetched::Page(page),
                Read::Skipped(why) => Fetched::Skipped(why),
                Read::Gone => Fetched::Gone,
                Read::Same => Fetched::Skipped("The server reports no changes.".to_owned()),
            })
        })
    }
}

/// The single page of a source.
struct OnePage<'w> {
    web: &'w Web,
    known: Known,
    over: Over,
}

impl Delta for OnePage<'_> {
    fn next(&mut self) -> BoxFuture<'_, Option<Step>> {
        Box::pin(async move {
            if self.over.complete {
                return Ok(None);
            }
            let place = self.web.url.to_string();
            let read = self.web.site.page(&self.web.url, self.known.get(&place), "").await?;
            self.over.complete = true;
            Ok(match read {
                Read::Page(page, _) => Some(Step::Page(page)),
                Read::Same => Some(Step::Same(place)),
                Read::Skipped(why) => Some(Step::Skipped(place, why)),
                Read::Gone if self.known.is_empty() => return Err(gone(&self.web.url)),
                Read::Gone => None,
            })
        })
    }

    fn over(&self) -> Over {
        self.over.clone()
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn counted(pages: usize) -> String {
    match pages {
        1 => "1 page.".to_owned(),
        n => format!("{n} pages."),
    }
}

fn status(number: u16) -> String {
    match number {
        429 => "that it gets too many requests".to_owned(),
        503 => "that it's unavailable (503)".to_owned(),
        number => format!("with an error ({number})"),
    }
}

fn refused(answer: &Answer) -> ConnectorError {
    let host = host(&answer.url);
    match answer.status {
        401 | 403 => {
            ConnectorError::Denied(format!("{host} doesn’t let HQ read this ({}).", answer.status))
        }
        404 | 410 => gone(&answer.url),
        other => ConnectorError::Failed(format!("{host} answers {other}.")),
    }
}

fn gone(url: &Url) -> ConnectorError {
    ConnectorError::Failed(format!("There’s no page at {url}."))
}

fn is_document(media: &str) -> bool {
    const DOCUMENTS: [&str; 6] = [
        "application/pdf",
        "application/epub+zip",
        "application/msword",
        "application/vnd.openxmlformats",
        "application/vnd.oasis.opendocument",
        "application/vnd.ms-",
    ];
    DOCUMENTS.iter().any(|one| media.starts_with(one))
}

/// Last segment of a URL's path, as a file name.
fn file_name(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut all| all.rfind(|part| !part.is_empty()));
    last.map_or_else(|| host(url), str::to_owned)
}

/// An error as a sentence.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut signs = text.chars();
    let first: String = signs.next().map(|sign| sign.to_uppercase().collect()).unwrap_or_default();
    let text = format!("{first}{}", signs.as_str());
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}
