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
const ACCEPT: &str = "text/html,application/xhtml+xml,text/markdown;q=0.9,text/plain;q=0.9,\
    application/json;q=0.9,application/xml;q=0.8,*/*;q=0.5";

/// A page request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageRequest {
    pub url: String,
    pub form: Form,
    /// Maximum number of characters, at most [`MAX_CHARS`].
    pub max_chars: usize,
    /// Allowlist of hosts.
    pub only: Hosts,
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
}

impl Problem for FetchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Net(err) => err.code(),
            Self::Read(err) => err.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Net(err) => err.kind(),
            Self::Read(err) => err.kind(),
        }
    }
}

/// Extracts the text of a document; `None` if there is none. Blocking.
pub type ReadDocument = fn(&[u8]) -> Option<String>;

/// Fetches a page and converts it to text. PDFs are read with `document`, if given.
pub async fn page(
    client: &HttpClient,
    wanted: PageRequest,
    document: Option<ReadDocument>,
) -> Result<Page, FetchError> {
    let request = Request::new(Policy::Guarded, Method::Get, wanted.url)
        .header("user-agent", USER_AGENT)
        .header("accept", ACCEPT)
        .header("accept-language", "en;q=0.9,*;q=0.5")
        .only(wanted.only);
    let response = client.request(request).await?;
    let (status, final_url) = (response.status, response.url);
    let content_type = response.headers.get("content-type").map(str::to_owned);
    let is_document = content_type.as_deref().is_some_and(|media| {
        media.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(PDF))
    });
    let document = document.filter(|_| is_document);
    let most = if document.is_some() { MAX_DOCUMENT } else { MAX_BYTES };
    let (body, extent) = response.body.beginning(most).await?;
    let bytes = body.len();
    let url = guard::parse(&final_url).map_err(NetError::from)?;
    let most = wanted.max_chars.min(MAX_CHARS);
    let mut readable = match document {
        Some(read) => words(body, read, most).await?,
        None => convert(body, content_type.clone(), url, wanted.form, most).await?,
    };
    readable.truncated |= extent == Extent::Cut;
    Ok(Page { final_url, status, content_type, bytes, readable })
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

/// Converts a page on a blocking thread. If the converter panics, the page counts as unconvertible.
async fn convert(
    body: Vec<u8>,
    content_type: Option<String>,
    url: Url,
    form: Form,
    most: usize,
) -> Result<Readable, ReadError> {
    let reading = tokio::task::spawn_blocking(move || {
        let source = Source { body: &body, content_type: content_type.as_deref(), url: &url };
        readable::read(source, form, most)
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
    use loopback::{answer, serving};

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
