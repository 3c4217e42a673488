//! Fetches the packages of a source through the guarded client: hosts in private networks are refused, also behind
//! redirects.

use std::time::Duration;

use app::Ws;
use net::guard;
use net::message::{Method, Policy, Request, Timeouts};
use skill::{
    Broken, Collection, INDEX_PATH, Index, IndexEntry, MAX_BYTES, MAX_INDEX, Package, SkillError,
    Source,
};
use url::Url;

use super::fetch_error::FetchError;
use super::git;

const TIMES: Timeouts = Timeouts {
    headers: Duration::from_secs(20),
    idle: Duration::from_secs(20),
    total: Some(Duration::from_secs(90)),
};

/// Packages of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub packages: Vec<Package>,
    /// Folders that only look like packages.
    pub broken: Vec<Broken>,
    /// Commit of a repository, as 40 or 64 hexadecimal digits.
    pub commit: Option<String>,
}

impl Fetched {
    /// Fails with the reason of the first broken folder if there is no package.
    fn new(found: Collection, commit: Option<String>) -> Result<Self, SkillError> {
        let Collection { packages, mut broken } = found;
        match packages.is_empty() && !broken.is_empty() {
            true => Err(broken.swap_remove(0).error),
            false => Ok(Self { packages, broken, commit }),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Packages(Fetched),
    /// A site. [`fetch_entry`] reads its packages.
    Index(Index),
}

/// Reads a source. A folder or archive is one of this machine, so only people with access to its files may name it.
///
/// # Errors
/// If it cannot be reached, or has no package.
pub async fn fetch(ws: &Ws, source: &Source) -> Result<Found, FetchError> {
    fetch_one(ws, source, None).await
}

/// The same for the package of this name. Others may be missing from the result.
///
/// # Errors
/// As for [`fetch`].
pub(super) async fn fetch_one(
    ws: &Ws,
    source: &Source,
    wanted: Option<&str>,
) -> Result<Found, FetchError> {
    let files = match source {
        Source::Folder(path) => {
            let path = path.clone();
            blocking(move || skill::from_folder(&path)).await?
        }
        Source::Archive(path) => {
            let path = path.clone();
            blocking(move || skill::from_archive_file(&path)).await?
        }
        Source::ArchiveUrl(url) => {
            let (bytes, _) = download(ws, url, MAX_BYTES).await?;
            blocking(move || skill::from_archive(&bytes)).await?
        }
        Source::SkillMdUrl(url) => {
            let (bytes, _) = download(ws, url, MAX_BYTES).await?;
            blocking(move || skill::from_skill_md(&bytes)).await?
        }
        Source::Git(source) => {
            let read = git::read(ws, source, wanted).await?;
            let folder = source.folder.clone().unwrap_or_default();
            let found = blocking(move || skill::collection_in(&folder, read.files)).await?;
            return Ok(Found::Packages(Fetched::new(found, Some(read.commit))?));
        }
        Source::Site(url) => return Ok(Found::Index(index(ws, url).await?)),
    };
    let found = blocking(move || skill::collection(files)).await?;
    Ok(Found::Packages(Fetched::new(found, None)?))
}

/// The packages of an archive. Blocking.
///
/// # Errors
/// If it is refused, or has no package.
pub(super) fn unpack(archive: &[u8]) -> Result<Found, SkillError> {
    let found = skill::collection(skill::from_archive(archive)?)?;
    Ok(Found::Packages(Fetched::new(found, None)?))
}

/// Reads a package of a site and checks its digest.
///
/// # Errors
/// If it cannot be reached, or is not what the index says.
pub async fn fetch_entry(ws: &Ws, entry: &IndexEntry) -> Result<Package, FetchError> {
    let (bytes, _) = download(ws, &entry.url, MAX_BYTES).await?;
    let entry = entry.clone();
    blocking(move || entry.package(&bytes)).await
}

async fn index(ws: &Ws, site: &Url) -> Result<Index, FetchError> {
    let wrong = |error: url::ParseError| SkillError::Source { reason: error.to_string() };
    let url = site.join(INDEX_PATH).map_err(wrong)?;
    let (bytes, address) = match download(ws, &url, MAX_INDEX).await {
        Err(FetchError::Status { host, status: 404 | 410 }) => {
            return Err(FetchError::NoIndex { host });
        }
        other => other?,
    };
    Ok(Index::parse(&bytes, &address)?)
}

/// A file of at most `most` bytes, and its address after redirects.
async fn download(ws: &Ws, url: &Url, most: u64) -> Result<(Vec<u8>, Url), FetchError> {
    skill::check_web(url)?;
    let request = Request::new(Policy::Guarded, Method::Get, url.as_str())
        .header("accept", "*/*")
        // A digest is that of the file itself.
        .header("accept-encoding", "identity")
        .timeouts(TIMES)
        .max_body(most);
    let response = ws.app.http.request(request).await?;
    let address = guard::parse(&response.url).map_err(net::error::NetError::from)?;
    skill::check_web(&address)?;
    if !response.is_success() {
        let host = address.host_str().unwrap_or_default().to_owned();
        return Err(FetchError::Status { host, status: response.status });
    }
    Ok((response.body.bytes().await?, address))
}

/// Runs work with many bytes on a blocking thread.
pub(super) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, FetchError>
where
    T: Send + 'static,
    E: Into<FetchError> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| {
        tracing::error!(%error, "the reading of a skill failed");
        FetchError::Broken
    })?;
    done.map_err(Into::into)
}
