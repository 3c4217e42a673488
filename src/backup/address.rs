//! Addresses of targets: a folder, or `s3://bucket/folder?endpoint=…&region=…`.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use url::Url;

use super::BackupError;

/// Default region, for servers that ignore it.
const REGION: &str = "us-east-1";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Folder(PathBuf),
    S3(S3Address),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Address {
    /// URL of the server: `https://s3.eu-central-1.amazonaws.com`, `http://nas.lan:9000`.
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    /// Prefix of object names; empty or ending with a slash.
    pub prefix: String,
    pub style: Style,
}

/// Position of the bucket in URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `server/bucket/name`: accepted by most servers.
    Path,
    /// `bucket.server/name`: required by Amazon.
    Host,
}

impl Address {
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::S3(_) => None,
        }
    }
}

/// Checks that target and data folder do not contain one another, with links resolved. HQ's own `backups/local` is the
/// one exception.
///
/// # Errors
/// `Inside`.
pub fn apart(place: &Path, data: &Path) -> Result<(), BackupError> {
    let (there, here) = (resolved(place), resolved(data));
    let own = here.join("backups").join("local");
    if there == own || !(there.starts_with(&here) || here.starts_with(&there)) {
        return Ok(());
    }
    let (place, data) = (place.display().to_string(), data.display().to_string());
    Err(BackupError::Inside { place, data })
}

/// Resolves links and dots of the existing part of a path.
fn resolved(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or(path.to_owned()).components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => {
                plain.push(part);
                // ok: what does not exist is no link.
                plain = plain.canonicalize().unwrap_or(plain);
            }
        }
    }
    plain
}

impl FromStr for Address {
    type Err = BackupError;

    fn from_str(given: &str) -> Result<Self, BackupError> {
        let given = given.trim();
        let wrong =
            |why: &str| BackupError::Address { given: given.to_owned(), why: why.to_owned() };
        if given.is_empty() || given.contains('\0') {
            return Err(wrong("it is empty"));
        }
        if !given.starts_with("s3:") {
            let other = given.split_once("://").is_some_and(|(scheme, _)| !scheme.contains('/'));
            return match other {
                true => Err(wrong("only folders and s3:// addresses are supported")),
                false => Ok(Self::Folder(PathBuf::from(given))),
            };
        }
        let url = Url::parse(given).map_err(|error| wrong(&error.to_string()))?;
        let bucket = url.host_str().filter(|host| !host.is_empty());
        let bucket = bucket.ok_or_else(|| wrong("it names no bucket"))?.to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("keys don't belong in the address"));
        }
        let (mut endpoint, mut region, mut style) = (None, None, None);
        for (name, value) in url.query_pairs() {
            match &*name {
                "endpoint" => endpoint = Some(value.into_owned()),
                "region" => region = Some(value.into_owned()),
                "style" if value == "path" => style = Some(Style::Path),
                "style" if value == "host" => style = Some(Style::Host),
                _ => return Err(wrong("only endpoint, region and style=path|host can follow")),
            }
        }
        let region = region.filter(|region| !region.is_empty());
        let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
        let style = style.unwrap_or(if endpoint.is_some() { Style::Path } else { Style::Host });
        let endpoint = match (endpoint, &region) {
            (Some(endpoint), _) => checked_endpoint(&endpoint).map_err(|why| wrong(&why))?,
            (None, Some(region)) => format!("https://s3.{region}.amazonaws.com"),
            (None, None) => return Err(wrong("add the server as ?endpoint= or the ?region=")),
        };
        let prefix = url.path().trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let region = region.unwrap_or_else(|| REGION.to_owned());
        Ok(Self::S3(S3Address { endpoint, region, bucket, prefix, style }))
    }
}

fn checked_endpoint(text: &str) -> Result<String, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("the server: {error}"))?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    if !is_web || url.query().is_some() || url.password().is_some() || url.path() != "/" {
        return Err("enter the server like https://host or http://host:9000".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::S3(s3) => {
                let style = if s3.style == Style::Path { "path" } else { "host" };
                write!(
                    f,
                    "s3://{}/{}?endpoint={}&region={}&style={style}",
                    s3.bucket, s3.prefix, s3.endpoint, s3.region
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, S3Address, Style};

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let nas = "s3://hq/office/?endpoint=http://nas.lan:9000&region=us-east-1&style=path";
        let read: Address = nas.parse().unwrap();
        assert_eq!(
            read,
            Address::S3(S3Address {
                endpoint: "http://nas.lan:9000".into(),
                region: "us-east-1".into(),
                bucket: "hq".into(),
                prefix: "office/".into(),
                style: Style::Path,
            })
        );
        assert_eq!(read.to_string(), nas);
        let amazon: Address = "s3://hq?region=eu-central-1".parse().unwrap();
        let Address::S3(amazon) = amazon else { panic!("a bucket") };
        assert_eq!(amazon.endpoint, "https://s3.eu-central-1.amazonaws.com");
        assert_eq!((amazon.prefix.as_str(), amazon.style), ("", Style::Host));
        let folder: Address = "/mnt/usb".parse().unwrap();
        assert_eq!(folder.folder(), Some(std::path::Path::new("/mnt/usb")));
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        for (given, why) in [
            ("", "empty"),
            ("s3://", "bucket"),
            ("s3://hq", "endpoint"),
            ("s3://a:b@hq?region=x", "keys"),
            ("s3://hq?endpoint=nas:9000", "server"),
            ("s3://hq?endpoint=http://nas/x", "server"),
            ("s3://hq?region=x&acl=public", "can follow"),
            ("sftp://host/x", "only folders"),
        ] {
            let error = given.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(why), "{given}: {error}");
        }
    }
}
