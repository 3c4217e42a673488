//! Fetches one page as text, for agents: through the guard, as a browser would ask, within limits.

use url::Url;

use crate::kernel::problem::{Problem, ProblemKind};

use super::client::{Extent, HttpClient};
use super::error::NetError;
use super::guard;
use super::message::{Method, Policy, Request};
use super::readable::{self, Form, ReadError, Readable, Source};

/// The most bytes that are read of a page, unpacked.
pub const MAX_BYTES: usize = 750_000;
/// The most characters that are given back: all that so many bytes can hold.
pub const MAX_CHARS: usize = MAX_BYTES;

/// Many servers answer unknown programs with a refusal or an empty page.
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36";
const ACCEPT: &str = "text/html,application/xhtml+xml,text/markdown;q=0.9,text/plain;q=0.9,\
    application/json;q=0.9,application/xml;q=0.8,*/*;q=0.5";

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageRequest {
    /// The address.
    pub url: String,
    /// In which form.
    pub form: Form,
    /// At most this many characters, [`MAX_CHARS`] at most.
    pub max_chars: usize,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The address that answered, after redirects.
    pub final_url: String,
    /// The status; a page of 404 is a page.
    pub status: u16,
    /// What the server says that it is.
    pub content_type: Option<String>,
    /// How many bytes were read.
    pub bytes: usize,
    /// The text.
    pub readable: Readable,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It did not come.
    #[error(transparent)]
    Net(#[from] NetError),
    /// It cannot be read.
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

/// Fetches a page and reads it.
pub async fn page(client: &HttpClient, wanted: PageRequest) -> Result<Page, FetchError> {
    let request = Request::new(Policy::Guarded, Method::Get, wanted.url)
        .header("user-agent", USER_AGENT)
        .header("accept", ACCEPT)
        .header("accept-language", "en;q=0.9,*;q=0.5");
    let response = client.request(request).await?;
    let (status, final_url) = (response.status, response.url);
    let content_type = response.headers.get("content-type").map(str::to_owned);
    let (body, extent) = response.body.beginning(MAX_BYTES).await?;
    let bytes = body.len();
    let url = guard::parse(&final_url).map_err(NetError::from)?;
    let most = wanted.max_chars.min(MAX_CHARS);
    let mut readable = convert(body, content_type.clone(), url, wanted.form, most).await?;
    readable.truncated |= extent == Extent::Cut;
    Ok(Page { final_url, status, content_type, bytes, readable })
}

/// Reads a large page off the threads that serve others. A page that makes the converter panic is one
/// that cannot be converted.
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
    use crate::net::client::ClientParts;
    use crate::net::guard::{Exceptions, GuardError, Lookup, Resolver};
    use crate::net::loopback::{answer, serving};

    /// One host is opened and has the loopback address, like all others.
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
                page(&client(), PageRequest { url, form: Form::Markdown, max_chars: MAX_CHARS })
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
        // A space at the very end is nobody's.
        assert!((MAX_CHARS - 1..=MAX_CHARS).contains(&page.readable.text.chars().count()));
        assert!(page.readable.truncated);
    }

    #[tokio::test]
    async fn a_picture_is_refused_by_name() {
        let error = fetch("200 OK", "content-type: image/png\r\n", "x").await.unwrap_err();
        assert_eq!(error.code(), "not_text");
    }

    #[tokio::test]
    async fn a_page_that_leads_inside_is_refused() {
        let error = fetch("302 Found", "location: http://inner.test/\r\n", "").await.unwrap_err();
        let refused = GuardError::Private { host: "inner.test".into() };
        assert_eq!(error, FetchError::Net(NetError::Refused(refused)));
    }
}
