//! Fetches pages as text for agents: through the guard, with a browser's headers, within limits. Also fetches raw files
//! for programs.

use std::time::Duration;

use url::Url;

use kernel::problem::{Problem, ProblemKind};

use super::client::{Extent, HttpClient};
use super::error::NetError;
use super::guard::{self, Hosts};
use super::message::{Method, Policy, Request, Timeouts};
use super::readable::{self, Extractor, Form, ReadError, Readable, Source};

/// Maximum number of decompressed bytes read from a page.
pub const MAX_BYTES: usize = 750_000;
/// Maximum size of a document. A partial document is useless.
pub const MAX_DOCUMENT: usize = 10 * 1024 * 1024;
/// Media type of readable documents.
const PDF: &str = "application/pdf";
/// Maximum number of returned characters: as many as [`MAX_BYTES`] can hold.
pub const MAX_CHARS: usize = MAX_BYTES;

/// Many servers refuse unknown programs or send them an empty page.
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36";
/// Prefers Markdown, which needs no conversion.
const ACCEPT: &str = "text/markdown,text/html;q=0.9,application/xhtml+xml;q=0.9,text/plain;q=0.9,\
    application/json;q=0.9,application/xml;q=0.8,*/*;q=0.5";
/// Where a site lists its pages for language models (llmstxt.org).
const INDEX: &str = "/llms.txt";

/// A page request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageRequest {
    pub url: String,
    pub form: Form,
    /// Maximum number of characters, at most [`MAX_CHARS`].
    pub max_chars: usize,
    /// Allowlist of hosts.
    pub only: Hosts,
    /// Whether the host's list of pages (`/llms.txt`) is wanted instead of the page.
    pub index: bool,
}

/// A fetched page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Final URL, after redirects.
    pub final_url: String,
    /// HTTP status. A 404 page is a page too.
    pub status: u16,
    /// Content type header.
    pub content_type: Option<String>,
    /// Number of bytes read.
    pub bytes: usize,
    /// Extracted text.
    pub readable: Readable,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The request failed.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The response is not readable.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The host has no list of its pages.
    #[error("{host} has no /llms.txt; fetch a page instead")]
    NoIndex { host: String },
}

impl Problem for FetchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Net(err) => err.code(),
            Self::Read(err) => err.code(),
            Self::NoIndex { .. } => "no_index",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Net(err) => err.kind(),
            Self::Read(err) => err.kind(),
            Self::NoIndex { .. } => ProblemKind::NotFound,
        }
    }
}

/// Extracts the text of a document; `None` if there is none. Blocking.
pub type ReadDocument = fn(&[u8]) -> Option<String>;

/// Fetches a page as text. Markdown is taken as it is. A page that links to its Markdown version costs one more request;
/// the converted page is used if that version is missing. PDFs are read with `document`, if given.
pub async fn page(
    client: &HttpClient,
    wanted: PageRequest,
    document: Option<ReadDocument>,
) -> Result<Page, FetchError> {
    if wanted.index {
        return index(client, &wanted).await;
    }
    let answer = client.request(request(&wanted, wanted.url.clone())).await?;
    let (status, final_url) = (answer.status, answer.url);
    let content_type = answer.headers.get("content-type").map(str::to_owned);
    let is_document = content_type.as_deref().is_some_and(|media| {
        media.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(PDF))
    });
    let document = document.filter(|_| is_document);
    let most = if document.is_some() { MAX_DOCUMENT } else { MAX_BYTES };
    let (body, extent) = answer.body.beginning(most).await?;
    let bytes = body.len();
    let url = guard::parse(&final_url).map_err(NetError::from)?;
    let most = wanted.max_chars.min(MAX_CHARS);
    let (mut readable, link) = match document {
        Some(read) => (words(body, read, most).await?, None),
        None => convert(body, content_type.clone(), url, wanted.form, most).await?,
    };
    readable.truncated |= extent == Extent::Cut;
    let page = Page { final_url, status, content_type, bytes, readable };
    let link = link.filter(|_| wanted.form == Form::Markdown && (200..300).contains(&status));
    let Some(link) = link else { return Ok(page) };
    // No redirects: the version must be on the same host, and costs one request.
    let version = request(&wanted, link.into()).redirects(0);
    match markdown(client, version, wanted.form, most).await {
        Ok(Some(mut version)) => {
            version.readable.title = page.readable.title;
            Ok(version)
        }
        // ok: the page itself is there.
        Ok(None) | Err(_) => Ok(page),
    }
}

/// The host's list of its pages.
async fn index(client: &HttpClient, wanted: &PageRequest) -> Result<Page, FetchError> {
    let mut url = guard::parse(&wanted.url).map_err(NetError::from)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    url.set_path(INDEX);
    url.set_query(None);
    url.set_fragment(None);
    let most = wanted.max_chars.min(MAX_CHARS);
    let found = markdown(client, request(wanted, url.into()), wanted.form, most).await?;
    found.ok_or(FetchError::NoIndex { host })
}

/// A Markdown or text file; `None` if it is missing. Many servers answer a missing file with a page and status 200.
async fn markdown(
    client: &HttpClient,
    request: Request,
    form: Form,
    most: usize,
) -> Result<Option<Page>, FetchError> {
    let answer = client.request(request).await?;
    if !answer.is_success() {
        return Ok(None);
    }
    let (status, final_url) = (answer.status, answer.url);
    let content_type = answer.headers.get("content-type").map(str::to_owned);
    let (body, extent) = answer.body.beginning(MAX_BYTES).await?;
    let bytes = body.len();
    if readable::is_page(&body) {
        return Ok(None);
    }
    let url = guard::parse(&final_url).map_err(NetError::from)?;
    let (mut readable, _) = match convert(body, content_type.clone(), url, form, most).await {
        Ok(converted) => converted,
        Err(ReadError::NotText { .. } | ReadError::Unconvertible) => return Ok(None),
    };
    if matches!(readable.extractor, Extractor::Page(_)) || readable.text.is_empty() {
        return Ok(None);
    }
    readable.truncated |= extent == Extent::Cut;
    Ok(Some(Page { final_url, status, content_type, bytes, readable }))
}

fn request(wanted: &PageRequest, url: String) -> Request {
    Request::new(Policy::Guarded, Method::Get, url)
        .header("user-agent", USER_AGENT)
        .header("accept", ACCEPT)
        .header("accept-language", "en;q=0.9,*;q=0.5")
        .only(wanted.only.clone())
}

/// Time limits of a file download.
const FILE: Timeouts = Timeouts {
    headers: Duration::from_secs(10),
    idle: Duration::from_secs(10),
    total: Some(Duration::from_secs(10)),
};

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The request failed.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The server responded with an error status.
    #[error("{host} answered with status {status}; check that the address is publicly accessible")]
    Status { host: String, status: u16 },
}

/// Fetches a file of at most `most` bytes through the guard, with three redirects and a limit of ten seconds.
pub async fn file(client: &HttpClient, url: String, most: u64) -> Result<Vec<u8>, FileError> {
    let request = Request::new(Policy::Guarded, Method::Get, url)
        .header("accept", "*/*")
        .timeouts(FILE)
        .max_body(most);
    let response = client.request(request).await?;
    if !response.is_success() {
        let url = guard::parse(&response.url).map_err(NetError::from)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        return Err(FileError::Status { host, status: response.status });
    }
    Ok(response.body.bytes().await?)
}

/// Extracts the text of a document.
async fn words(body: Vec<u8>, read: ReadDocument, most: usize) -> Result<Readable, ReadError> {
    let reading = tokio::task::spawn_blocking(move || read(&body));
    match reading.await {
        Ok(Some(text)) => Ok(Readable::of(None, &text, Extractor::Document, most)),
        Ok(None) => Err(ReadError::NotText { content_type: format!("{PDF} without text") }),
        Err(_) => Err(ReadError::Unconvertible),
    }
}

/// Converts a page on a blocking thread, with the address of its Markdown version. If the converter panics, the page counts
/// as unconvertible.
async fn convert(
    body: Vec<u8>,
    content_type: Option<String>,
    url: Url,
    form: Form,
    most: usize,
) -> Result<(Readable, Option<Url>), ReadError> {
    let reading = tokio::task::spawn_blocking(move || {
        let source = Source { body: &body, content_type: content_type.as_deref(), url: &url };
        Ok((readable::read(source, form, most)?, readable::markdown_link(source)))
    });
    reading.await.unwrap_or(Err(ReadError::Unconvertible))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::*;
    use crate::client::ClientParts;
    use crate::guard::{Exceptions, GuardError, Lookup, Resolver};
    use loopback::{Step, answer, serving};

    /// Opens one host. All names resolve to the loopback address.
    struct OneSite;

    impl Exceptions for OneSite {
        fn host(&self, host: &str, _port: u16) -> bool {
            host == "site.test"
        }

        fn address(&self, host: &str, _address: IpAddr) -> bool {
            host == "site.test"
        }
    }

    impl Resolver for OneSite {
        fn lookup(&self, _host: &str) -> Lookup {
            Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
        }
    }

    fn client() -> HttpClient {
        let (resolver, exceptions) = (Arc::new(OneSite), Arc::new(OneSite));
        HttpClient::new(ClientParts { resolver, exceptions, ..ClientParts::default() })
    }

    async fn fetch(status: &str, headers: &str, body: &str) -> Result<Page, FetchError> {
        serving(
            |_| answer(status, headers, body),
            async |address| {
                let url = format!("http://site.test:{}/dir/", address.port());
                page(
                    &client(),
                    PageRequest {
                        url,
                        form: Form::Markdown,
                        max_chars: MAX_CHARS,
                        only: Hosts::default(),
                        index: false,
                    },
                    Some(|body| {
                        std::str::from_utf8(body).ok()?.strip_prefix("%PDF ").map(str::to_owned)
                    }),
                )
                .await
            },
        )
        .await
    }

    #[tokio::test]
    async fn a_page_comes_back_as_markdown_with_its_circumstances() {
        let body = "<title>T</title><h1>Head</h1><a href=x>y</a>";
        let page = fetch("404 Not Found", "content-type: text/html\r\n", body).await.unwrap();
        assert_eq!((page.status, page.bytes), (404, body.len()));
        assert_eq!(page.content_type.as_deref(), Some("text/html"));
        assert_eq!(page.readable.title.as_deref(), Some("T"));
        assert!(
            page.readable.text.starts_with("# Head\n\n[y](http://site.test:"),
            "{}",
            page.readable.text
        );
        assert!(page.readable.text.ends_with("/dir/x)"));
    }

    /// A site with a page that links to its Markdown version, and the paths that were requested.
    async fn visited(
        index: bool,
        reply: fn(&str) -> Vec<Step>,
    ) -> (Result<Page, FetchError>, String) {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let result = serving(
            move |request| {
                let path = request.split(' ').nth(1).unwrap_or_default();
                log.lock().unwrap().push(path.to_owned());
                reply(path)
            },
            async |address| {
                let url = format!("http://site.test:{}/a?b=1#c", address.port());
                let (form, only) = (Form::Markdown, Hosts::default());
                let wanted = PageRequest { url, form, max_chars: MAX_CHARS, only, index };
                page(&client(), wanted, None).await
            },
        )
        .await;
        let seen = seen.lock().unwrap().join(" ");
        (result, seen)
    }

    fn linking(to: &str) -> Vec<Step> {
        let page = format!(
            "<title>T</title><link rel='stylesheet alternate' type='text/markdown; charset=utf-8' \
             href='{to}'><body><p>converted"
        );
        answer("200 OK", "content-type: text/html\r\n", page)
    }

    #[tokio::test]
    async fn a_page_with_a_markdown_version_costs_one_more_request() {
        let (page, seen) = visited(false, |path| match path {
            "/a.md" => answer("200 OK", "content-type: text/markdown\r\n", "# As *it* is"),
            _ => linking("/a.md#top"),
        })
        .await;
        let page = page.unwrap();
        assert_eq!((page.readable.text.as_str(), seen.as_str()), ("# As *it* is", "/a?b=1 /a.md"));
        assert_eq!(page.readable.extractor, Extractor::Markdown);
        assert!(page.final_url.ends_with("/a.md"), "{}", page.final_url);
        assert_eq!(page.readable.title.as_deref(), Some("T"));
    }

    #[tokio::test]
    async fn a_missing_markdown_version_leaves_the_converted_page() {
        for reply in [
            |_: &str| linking("/a.md"),
            |path: &str| match path {
                "/a.md" => answer("404 Not Found", "content-type: text/markdown\r\n", "none"),
                _ => linking("/a.md"),
            },
            |path: &str| match path {
                "/a.md" => answer("302 Found", "location: /b.md\r\n", ""),
                "/b.md" => answer("200 OK", "content-type: text/markdown\r\n", "elsewhere"),
                _ => linking("/a.md"),
            },
            |path: &str| match path {
                "/a.md" => answer("200 OK", "content-type: text/markdown\r\n", "<html><p>home"),
                _ => linking("/a.md"),
            },
        ] {
            let (page, seen) = visited(false, reply).await;
            let page = page.unwrap();
            assert_eq!((page.readable.text.as_str(), seen.as_str()), ("converted", "/a?b=1 /a.md"));
        }
    }

    #[tokio::test]
    async fn a_markdown_version_of_another_host_is_not_requested() {
        for reply in [
            |_: &str| linking("http://other.test/a.md"),
            |_: &str| linking("//site.test:1/a.md"),
            |_: &str| linking("/a?b=1"),
            |_: &str| answer("404 Not Found", "content-type: text/html\r\n", "<p>converted"),
        ] {
            let (page, seen) = visited(false, reply).await;
            assert_eq!(
                (page.unwrap().readable.text.as_str(), seen.as_str()),
                ("converted", "/a?b=1")
            );
        }
    }

    #[tokio::test]
    async fn a_markdown_answer_is_taken_as_it_is() {
        let kind = "content-type: text/markdown; charset=utf-8\r\n";
        let page = fetch("200 OK", kind, "# A\n\n<link rel=alternate>").await.unwrap();
        assert_eq!(page.readable.text, "# A\n\n<link rel=alternate>");
        assert_eq!(page.readable.extractor.as_str(), "markdown");
    }

    #[tokio::test]
    async fn the_index_of_a_host_is_its_llms_txt() {
        let (page, seen) = visited(true, |path| match path {
            "/llms.txt" => answer("200 OK", "content-type: text/plain\r\n", "# Pages"),
            _ => linking("/a.md"),
        })
        .await;
        assert_eq!((page.unwrap().readable.text.as_str(), seen.as_str()), ("# Pages", "/llms.txt"));
        for reply in [
            |_: &str| answer("200 OK", "content-type: text/html\r\n", "<p>not found"),
            |_: &str| answer("200 OK", "content-type: text/plain\r\n", "<!doctype html><p>none"),
            |_: &str| answer("404 Not Found", "content-type: text/plain\r\n", "none"),
            |_: &str| answer("200 OK", "content-type: image/png\r\n", "x"),
        ] {
            let (page, seen) = visited(true, reply).await;
            let error = page.unwrap_err();
            assert_eq!((error.code(), seen.as_str()), ("no_index", "/llms.txt"));
        }
    }

    #[tokio::test]
    async fn a_large_page_is_read_to_its_limit() {
        let body = "word ".repeat(MAX_BYTES / 4);
        let page = fetch("200 OK", "content-type: text/plain\r\n", &body).await.unwrap();
        assert_eq!(page.bytes, MAX_BYTES);
        // A trailing space may be trimmed.
        assert!((MAX_CHARS - 1..=MAX_CHARS).contains(&page.readable.text.chars().count()));
        assert!(page.readable.truncated);
    }

    #[tokio::test]
    async fn the_words_of_a_document_are_read_as_a_whole() {
        let kind = "content-type: Application/PDF; x=y\r\n";
        let body = format!("%PDF {}", "word ".repeat(MAX_BYTES / 5));
        let page = fetch("200 OK", kind, &body).await.unwrap();
        assert_eq!((page.bytes, page.readable.extractor.as_str()), (body.len(), "document"));
        assert!(page.readable.text.starts_with("word word"));
        let scan = fetch("200 OK", kind, "pictures").await.unwrap_err();
        assert!(scan.code() == "not_text" && scan.to_string().contains("without text"), "{scan}");
        let plain = fetch("200 OK", "content-type: text/plain\r\n", "%PDF x").await.unwrap();
        assert_eq!(plain.readable.extractor.as_str(), "plain");
    }

    #[tokio::test]
    async fn a_picture_is_refused_by_name() {
        let error = fetch("200 OK", "content-type: image/png\r\n", "x").await.unwrap_err();
        assert_eq!(error.code(), "not_text");
    }

    async fn fetch_file(status: &str, headers: &str, body: &[u8]) -> Result<Vec<u8>, FileError> {
        serving(
            |_| answer(status, headers, body),
            async |address| {
                file(&client(), format!("http://site.test:{}/a.png", address.port()), 8).await
            },
        )
        .await
    }

    #[tokio::test]
    async fn a_file_comes_as_it_is_within_its_limit_and_never_from_inside() {
        assert_eq!(fetch_file("200 OK", "", b"\x89PNG\xff").await.unwrap(), b"\x89PNG\xff");
        let large = fetch_file("200 OK", "", &[0; 9]).await.unwrap_err();
        assert!(matches!(large, FileError::Net(NetError::TooLarge { limit: 8, .. })), "{large}");
        let lost = fetch_file("404 Not Found", "", b"no").await.unwrap_err();
        assert_eq!(lost, FileError::Status { host: "site.test".into(), status: 404 });
        let inside = fetch_file("302 Found", "location: http://10.0.0.1/\r\n", b"").await;
        let inside = inside.unwrap_err();
        assert!(matches!(inside, FileError::Net(NetError::Refused(_))), "{inside}");
    }

    #[tokio::test]
    async fn a_page_that_leads_inside_is_refused() {
        let error = fetch("302 Found", "location: http://inner.test/\r\n", "").await.unwrap_err();
        let refused = GuardError::Private { host: "inner.test".into() };
        assert_eq!(error, FetchError::Net(NetError::Refused(refused)));
    }
}
