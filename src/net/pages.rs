//! Cache of pages read by agents, with a lifetime of 15 minutes. An agent that reads a page in pieces, or agents that
//! follow the same link, request it once.
//!
//! Requests carry no credentials and identical headers, so the page request is the cache key.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::client::HttpClient;
use super::fetch::{self, FetchError, Page, PageRequest, ReadDocument};
use super::guard::Opened;

/// Lifetime of a cache entry.
pub const KEPT: Duration = Duration::from_secs(15 * 60);
/// Maximum size of the cache, in bytes.
pub const MAX_KEPT: usize = 2 * 1024 * 1024;
/// Overhead of a cache entry, in bytes.
const OVERHEAD: usize = 512;

/// Fetches and caches pages.
pub struct Pages {
    http: HttpClient,
    /// Reader for documents.
    document: Option<ReadDocument>,
    kept: Mutex<Cache>,
}

/// A page with its age.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub page: Arc<Page>,
    /// Time since the page was fetched; `None` if it was fetched just now.
    pub age: Option<Duration>,
}

impl Pages {
    /// Uses this client.
    #[must_use]
    pub fn new(http: HttpClient) -> Self {
        Self { http, document: None, kept: Mutex::default() }
    }

    /// Sets the reader for documents.
    #[must_use]
    pub fn reading(mut self, document: ReadDocument) -> Self {
        self.document = Some(document);
        self
    }

    /// Fetches a page of a privately opened host. Never cached, because other agents must not see it.
    ///
    /// # Errors
    /// If the request fails or the page is unreadable.
    pub async fn inside(&self, opened: Opened, wanted: PageRequest) -> Result<Fetched, FetchError> {
        let page = fetch::page(&self.http.opening(opened), wanted, self.document).await?;
        Ok(Fetched { page: Arc::new(page), age: None })
    }

    /// Returns a page from the cache, or fetches it. Errors are not cached.
    ///
    /// # Errors
    /// If the request fails or the page is unreadable.
    pub async fn get(&self, wanted: PageRequest) -> Result<Fetched, FetchError> {
        if let Some((page, at)) = self.kept.lock().find(&wanted, Instant::now()) {
            return Ok(Fetched { page, age: Some(at.elapsed()) });
        }
        let page = Arc::new(fetch::page(&self.http, wanted.clone(), self.document).await?);
        if (200..300).contains(&page.status) {
            self.kept.lock().keep(wanted, Arc::clone(&page), Instant::now());
        }
        Ok(Fetched { page, age: None })
    }
}

/// Cache entries, oldest first.
#[derive(Default)]
struct Cache {
    pages: HashMap<PageRequest, (Arc<Page>, Instant)>,
    order: VecDeque<(PageRequest, Instant)>,
    bytes: usize,
}

fn size(wanted: &PageRequest, page: &Page) -> usize {
    let title = page.readable.title.as_ref().map_or(0, String::len);
    // The request is stored both in the map and in the order.
    OVERHEAD + 2 * wanted.url.len() + page.final_url.len() + title + page.readable.text.len()
}

impl Cache {
    fn find(&mut self, wanted: &PageRequest, now: Instant) -> Option<(Arc<Page>, Instant)> {
        self.forget(now, MAX_KEPT);
        self.pages.get(wanted).cloned()
    }

    fn keep(&mut self, wanted: PageRequest, page: Arc<Page>, now: Instant) {
        let room = size(&wanted, &page);
        if MAX_KEPT < room {
            return;
        }
        self.drop_page(&wanted);
        self.forget(now, MAX_KEPT - room);
        self.bytes += room;
        self.order.push_back((wanted.clone(), now));
        self.pages.insert(wanted, (page, now));
    }

    /// Evicts expired entries, then the oldest until at most `most` bytes are left.
    fn forget(&mut self, now: Instant, most: usize) {
        while let Some((oldest, at)) = self.order.front() {
            if now < *at + KEPT && self.bytes <= most {
                return;
            }
            let oldest = oldest.clone();
            self.drop_page(&oldest);
        }
    }

    fn drop_page(&mut self, wanted: &PageRequest) {
        if let Some((page, at)) = self.pages.remove(wanted) {
            self.bytes -= size(wanted, &page);
            self.order.retain(|(other, since)| *since != at || other != wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::client::ClientParts;
    use crate::guard::{Lookup, Resolver};
    use crate::readable::{Extractor, Form, Readable};
    use loopback::{answer, serving};

    fn wanted(url: &str) -> PageRequest {
        let only = crate::guard::Hosts::default();
        PageRequest {
            url: url.to_owned(),
            form: Form::Markdown,
            max_chars: 1_000,
            only,
            index: false,
        }
    }

    fn page(text: &str) -> Arc<Page> {
        Arc::new(Page {
            final_url: "https://site.test/".to_owned(),
            status: 200,
            content_type: None,
            bytes: text.len(),
            readable: Readable {
                title: None,
                text: text.to_owned(),
                chars: text.len(),
                truncated: false,
                extractor: Extractor::Plain,
            },
        })
    }

    #[test]
    fn a_page_is_kept_for_a_quarter_of_an_hour() {
        let (mut kept, now) = (Cache::default(), Instant::now());
        kept.keep(wanted("a"), page("one"), now);
        assert!(kept.find(&wanted("a"), now + KEPT - Duration::from_secs(1)).is_some());
        assert!(kept.find(&wanted("b"), now).is_none());
        assert!(kept.find(&wanted("a"), now + KEPT).is_none());
        assert_eq!((kept.bytes, kept.order.len(), kept.pages.len()), (0, 0, 0));
    }

    #[test]
    fn the_oldest_give_way_and_what_is_too_large_is_not_kept() {
        let (mut kept, now) = (Cache::default(), Instant::now());
        let large = "x".repeat(MAX_KEPT / 4);
        for n in 0..10 {
            kept.keep(wanted(&n.to_string()), page(&large), now + Duration::from_secs(n));
            assert!(kept.bytes <= MAX_KEPT, "{}", kept.bytes);
        }
        assert_eq!(kept.pages.len(), 3);
        assert!(kept.find(&wanted("9"), now).is_some() && kept.find(&wanted("6"), now).is_none());
        kept.keep(wanted("9"), page("short now"), now);
        assert_eq!((kept.pages.len(), kept.order.len()), (3, 3), "the same page stands once");
        kept.keep(wanted("huge"), page(&"x".repeat(MAX_KEPT)), now);
        assert_eq!(kept.pages.len(), 3);
    }

    struct Loopback;

    impl Resolver for Loopback {
        fn lookup(&self, _host: &str) -> Lookup {
            Box::pin(async { Ok(vec![std::net::IpAddr::from([127, 0, 0, 1])]) })
        }
    }

    impl crate::guard::Exceptions for Loopback {
        fn host(&self, _host: &str, _port: u16) -> bool {
            true
        }

        fn address(&self, _host: &str, _address: std::net::IpAddr) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn a_site_is_asked_once_and_again_after_a_failure() {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        serving(
            move |_| match count.fetch_add(1, Ordering::SeqCst) {
                0 => answer("503 Service Unavailable", "content-type: text/plain\r\n", "later"),
                _ => answer("200 OK", "content-type: text/plain\r\n", "here"),
            },
            async |address| {
                let (resolver, exceptions) = (Arc::new(Loopback), Arc::new(Loopback));
                let parts = ClientParts { resolver, exceptions, ..ClientParts::default() };
                let pages = Pages::new(HttpClient::new(parts));
                let wanted = wanted(&format!("http://site.test:{}/", address.port()));
                let first = pages.get(wanted.clone()).await.expect("a page of a failure");
                assert_eq!(first.page.status, 503);
                let second = pages.get(wanted.clone()).await.expect("the page");
                assert_eq!((second.page.status, second.age), (200, None));
                let third = pages.get(wanted).await.expect("the kept page");
                assert!(third.age.is_some());
            },
        )
        .await;
        assert_eq!(requests.load(Ordering::SeqCst), 2);
    }
}
