//! S3 targets. `rusty-s3` signs URLs (SigV4); requests go through HQ's own HTTP client and its policy.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use tokio::runtime::Handle;
use url::Url;

use crypto::keyring::Secret;
use kernel::Clock;
use kernel::time::from_ms;
use net::client::HttpClient;
use net::message::{Method, Policy, Request, Timeouts};
use net::retry::{Backoff, Next, random};

use super::BackupError;
use super::address::{Address, S3Address, Style};
use super::target::{Folder, Object, Target};

/// Validity of a signed URL.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
/// Concurrent uploads.
const AT_ONCE: usize = 8;
/// Limit of responses other than objects: lists of a thousand names, errors.
const MAX_ANSWER: u64 = 8 * 1024 * 1024;
/// Suits a chunk of a megabyte on a slow line.
const PATIENCE: Timeouts = Timeouts {
    headers: Duration::from_secs(120),
    idle: Duration::from_secs(60),
    total: Some(Duration::from_secs(600)),
};

#[derive(Clone)]
pub struct S3Keys {
    pub id: String,
    pub secret: Secret,
}

/// Services that targets use.
#[derive(Clone)]
pub struct Means {
    pub http: HttpClient,
    /// Clock for signatures.
    pub clock: Arc<dyn Clock>,
    /// Permitted destinations: any that the machine's owner configured, or the public internet only.
    pub policy: Policy,
}

/// Opens a target. Call in an async runtime; use it from threads that may block.
///
/// # Errors
/// If address or keys are unusable.
pub fn open_target(
    address: &Address,
    keys: Option<S3Keys>,
    means: &Means,
) -> Result<Arc<dyn Target>, BackupError> {
    match address {
        Address::Folder(path) => Ok(Arc::new(Folder::new(path.clone()))),
        Address::S3(s3) => Ok(Arc::new(S3::new(s3, keys, means.clone())?)),
    }
}

struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    place: String,
    means: Means,
    handle: Handle,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl S3 {
    fn new(address: &S3Address, keys: Option<S3Keys>, means: Means) -> Result<Self, BackupError> {
        let place = format!("s3://{}/{} at {}", address.bucket, address.prefix, address.endpoint);
        let wrong = |why: &str| BackupError::Address { given: place.clone(), why: why.to_owned() };
        let endpoint = Url::parse(&address.endpoint).map_err(|error| wrong(&error.to_string()))?;
        let style = match address.style {
            Style::Path => UrlStyle::Path,
            Style::Host => UrlStyle::VirtualHost,
        };
        let (name, region) = (address.bucket.clone(), address.region.clone());
        let bucket = Bucket::new(endpoint, style, name, region)
            .map_err(|error| wrong(&error.to_string()))?;
        let keys = keys.ok_or_else(|| wrong("its access key is missing"))?;
        let secret = keys.secret.expose_text().map_err(|_| wrong("its secret key isn't text"))?;
        let credentials = Credentials::new(keys.id, secret);
        let (prefix, handle) = (address.prefix.clone(), Handle::current());
        Ok(Self { bucket, credentials, prefix, place, means, handle })
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn sign<'a>(&self, action: impl S3Action<'a>) -> String {
        action.sign_with_time(SIGNED_FOR, &self.means.clock.now()).to_string()
    }

    /// Sends a request, with retries after transient failures.
    async fn ask(
        &self,
        method: Method,
        url: impl Fn() -> String,
        body: Vec<u8>,
        most: u64,
    ) -> Result<Answer, BackupError> {
        let body = bytes::Bytes::from(body);
        let mut failed = 0;
        loop {
            let mut request = Request::new(self.means.policy, method, url());
            request = request.timeouts(PATIENCE).max_body(most).redirects(0);
            if method == Method::Put {
                request = request.body("application/octet-stream", body.clone());
            }
            let (pause, error) = match self.once(request).await {
                Ok(answer) if answer.status == 429 || answer.status >= 500 => {
                    (true, self.refused(&answer))
                }
                Ok(answer) => return Ok(answer),
                Err(error) => (error.is_transient(), BackupError::net(&self.place, &error)),
            };
            failed += 1;
            match Backoff::TRANSIENT.next(failed, None, random()) {
                Next::Wait(wait) if pause => tokio::time::sleep(wait).await,
                _ => return Err(error),
            }
        }
    }

    async fn once(&self, request: Request) -> Result<Answer, net::error::NetError> {
        let response = self.means.http.request(request).await?;
        Ok(Answer { status: response.status, body: response.body.bytes().await? })
    }

    fn refused(&self, answer: &Answer) -> BackupError {
        let text = String::from_utf8_lossy(&answer.body);
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        let code: String = code.map_or("", |(code, _)| code).chars().take(60).collect();
        let place = self.place.clone();
        if answer.status == 507 || code.contains("Quota") || code.contains("StorageFull") {
            return BackupError::Full { place, free_mb: 0, need_mb: 1 };
        }
        BackupError::Refused { place, status: answer.status, code }
    }

    async fn put_one(&self, name: String, bytes: Vec<u8>) -> Result<(), BackupError> {
        let name = self.name(&name);
        let url = || self.sign(self.bucket.put_object(Some(&self.credentials), &name));
        let answer = self.ask(Method::Put, url, bytes, MAX_ANSWER).await?;
        if (200..300).contains(&answer.status) { Ok(()) } else { Err(self.refused(&answer)) }
    }

    async fn list_all(&self, prefix: &str) -> Result<Vec<Object>, BackupError> {
        let below = self.name(prefix);
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let url = || {
                let mut list = self.bucket.list_objects_v2(Some(&self.credentials));
                list.with_prefix(below.as_str());
                if let Some(token) = &token {
                    list.with_continuation_token(token.as_str());
                }
                self.sign(list)
            };
            let answer = self.ask(Method::Get, url, Vec::new(), MAX_ANSWER).await?;
            if answer.status != 200 {
                return Err(self.refused(&answer));
            }
            let text = String::from_utf8_lossy(&answer.body);
            let page = ListObjectsV2::parse_response(&text).map_err(|error| {
                let why = format!("its file list is unreadable ({error}); is it an S3 server?");
                BackupError::Target { place: self.place.clone(), why }
            })?;
            for one in page.contents {
                let Some(name) = one.key.strip_prefix(&self.prefix) else { continue };
                // Without a date, an object counts as too new to be deleted.
                let modified = one.last_modified.and_then(|at| at.parse().ok());
                found.push(Object {
                    name: name.to_owned(),
                    size: one.size.unwrap_or(0),
                    modified: modified.unwrap_or(from_ms(i64::MAX)),
                });
            }
            let next = page.next_continuation_token;
            if next.is_none() {
                break;
            }
            if next == token {
                // An incomplete list must not be used: objects missing from it would count as unreferenced.
                let why = "its file list never ends, the same page repeats; does it support \
                    ListObjectsV2?";
                return Err(BackupError::Target { place: self.place.clone(), why: why.to_owned() });
            }
            token = next;
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

impl Target for S3 {
    fn place(&self) -> &str {
        &self.place
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, BackupError> {
        self.handle.block_on(self.list_all(prefix))
    }

    fn get(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, BackupError> {
        let name = self.name(name);
        let url = || self.sign(self.bucket.get_object(Some(&self.credentials), &name));
        let request = self.ask(Method::Get, url, Vec::new(), limit);
        let answer = self.handle.block_on(request)?;
        let is_absent = answer.status == 404 && !contains(&answer.body, b"NoSuchBucket");
        match answer.status {
            200 => Ok(Some(answer.body)),
            _ if is_absent => Ok(None),
            _ => Err(self.refused(&answer)),
        }
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        self.handle.block_on(self.put_one(name.to_owned(), bytes))
    }

    fn put_all(
        &self,
        items: &mut dyn Iterator<Item = Result<(String, Vec<u8>), BackupError>>,
    ) -> Result<(), BackupError> {
        self.handle.block_on(async {
            let mut under_way = FuturesUnordered::new();
            for item in items {
                let (name, bytes) = item?;
                under_way.push(self.put_one(name, bytes));
                if AT_ONCE <= under_way.len() {
                    under_way.next().await.transpose()?;
                }
            }
            while under_way.next().await.transpose()?.is_some() {}
            Ok(())
        })
    }

    fn delete(&self, name: &str) -> Result<(), BackupError> {
        let name = self.name(name);
        let url = || self.sign(self.bucket.delete_object(Some(&self.credentials), &name));
        let request = self.ask(Method::Delete, url, Vec::new(), MAX_ANSWER);
        let answer = self.handle.block_on(request)?;
        match answer.status {
            200..300 | 404 => Ok(()),
            _ => Err(self.refused(&answer)),
        }
    }

    fn is_slow(&self) -> bool {
        true
    }
}

fn contains(body: &[u8], words: &[u8]) -> bool {
    body.windows(words.len()).any(|window| window == words)
}
