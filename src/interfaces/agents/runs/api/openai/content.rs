//! Content of a message: text, pictures and files. A picture or file is a `data:` URL or an address. Addresses are
//! fetched through the SSRF guard before anything is written, and only if the settings of this host allow fetching.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use futures_util::future::join_all;
use serde_json::Value;

use app::Ws;
use features::runs::model::{Attachment, MAX_ATTACHED, MAX_ATTACHED_BYTES};
use kernel::text::cut;
use net::fetch;
use tool::media;
use web::file::clean_name;

use super::error::ChatError;

/// Size limit of a picture, in bytes.
const MAX_PICTURE: u64 = 10 * 1024 * 1024;
/// Size limit of a file, in bytes.
const MAX_FILE: u64 = 5 * 1024 * 1024;

/// Base64 with or without padding, since clients send both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The content of a message.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub text: String,
    /// Pictures and files, in order.
    pub files: Vec<Given>,
}

/// A picture or file from the client.
#[derive(Debug)]
pub(super) struct Given {
    name: Option<String>,
    /// The media type that the client declares.
    says: Option<String>,
    want: Want,
    place: Place,
    /// The request field that holds the file, for errors.
    param: String,
    /// Whether HQ created the file from text. Such files do not count towards the limits.
    ours: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Picture,
    File,
}

#[derive(Debug)]
enum Place {
    Here(Vec<u8>),
    At(String),
}

impl Content {
    /// Content that is text only.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), files: Vec::new() }
    }

    /// Parses the content of a message: a text, a list of parts, or null. `param` is the path of the field.
    ///
    /// # Errors
    /// Names the part that is not supported.
    pub fn of(content: &Value, param: &str) -> Result<Self, ChatError> {
        let parts = match content {
            Value::Null => return Ok(Self::default()),
            Value::String(text) => return Ok(Self::text(text)),
            Value::Array(parts) => parts,
            _ => {
                return Err(ChatError::invalid(
                    param,
                    "`content` must be a text or a list of \
                parts",
                ));
            }
        };
        let (mut texts, mut files) = (Vec::new(), Vec::new());
        for (at, part) in parts.iter().enumerate() {
            let param = format!("{param}[{at}]");
            let kind = part["type"].as_str().unwrap_or_default();
            let words = match kind {
                "text" | "input_text" | "output_text" => &part["text"],
                "refusal" => &part["refusal"],
                "image_url" | "input_image" | "file" | "input_file" => {
                    files.push(Given::of(kind, part, &param)?);
                    continue;
                }
                _ => {
                    let text = format!(
                        "parts of type \"{}\" aren't supported; use text, an image or a file",
                        cut(kind, 40)
                    );
                    return Err(ChatError::invalid(&param, text));
                }
            };
            let words = words.as_str();
            texts.push(words.ok_or_else(|| ChatError::invalid(&param, "this part has no text"))?);
        }
        Ok(Self { text: texts.join("\n"), files })
    }

    /// The text with a placeholder for each file, for an earlier message.
    pub fn describe(&self) -> String {
        let mut text = self.text.trim().to_owned();
        for file in self.files.iter().filter(|file| !file.ours) {
            let what = match (file.want, &file.name) {
                (Want::Picture, _) => "[a picture]".to_owned(),
                (Want::File, Some(name)) => format!("[the file {name}]"),
                (Want::File, None) => "[a file]".to_owned(),
            };
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&what);
        }
        text
    }
}

fn wrong(param: &str, message: impl Into<String>) -> ChatError {
    ChatError { code: "invalid_file".to_owned(), ..ChatError::invalid(param, message) }
}

/// This host does not fetch from addresses.
fn not_fetched(param: &str) -> ChatError {
    let text = "this HQ doesn't fetch URLs: send the image or file as a `data:` URL; the server's \
                admin can allow URLs with the setting `openai.fetch_urls` \
                (HQ_OPENAI_FETCH_URLS=true)";
    ChatError { code: "urls_not_allowed".to_owned(), ..ChatError::invalid(param, text) }
}

impl Given {
    /// Creates a text file of this name.
    pub fn text(name: &str, text: String) -> Self {
        Self {
            name: Some(name.to_owned()),
            says: None,
            want: Want::File,
            place: Place::Here(text.into_bytes()),
            param: "messages".to_owned(),
            ours: true,
        }
    }

    fn of(kind: &str, part: &Value, param: &str) -> Result<Self, ChatError> {
        let (want, key, whole) = match kind {
            "image_url" => (Want::Picture, "image_url", &part["image_url"]),
            "input_image" => (Want::Picture, "image_url", part),
            "file" => (Want::File, "file_data", &part["file"]),
            _ => (Want::File, "file_data", part),
        };
        if !whole["file_id"].is_null() {
            let text = "files aren't stored here, so `file_id` doesn't exist: send the file itself";
            return Err(wrong(&format!("{param}.file_id"), text));
        }
        let name = whole["filename"].as_str().map(clean_name);
        let given = |says: Option<&str>, place: Place, param: String| Self {
            name: name.clone(),
            says: says.map(str::to_owned),
            want,
            place,
            param,
            ours: false,
        };
        let source = &whole["source"];
        if let Some(data) = source["data"].as_str() {
            let param = format!("{param}.source.data");
            let data = decoded(data, want, &param)?;
            return Ok(given(source["media_type"].as_str(), Place::Here(data), param));
        }
        // Chat Completions clients send a picture's address wrapped or bare.
        let wrapped = if kind == "image_url" { whole["url"].as_str() } else { None };
        let encoded = wrapped.or(whole[key].as_str()).or(whole.as_str());
        let address = encoded.or(whole["file_url"].as_str()).or(source["url"].as_str());
        let param = format!("{param}.{key}");
        let Some(address) = address.map(str::trim).filter(|address| !address.is_empty()) else {
            return Err(wrong(&param, "the image or file is missing"));
        };
        let scheme = address.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match scheme.as_str() {
            "data" => {
                let (says, data) = data_url(address, want, &param)?;
                Ok(given(says, Place::Here(data), param))
            }
            "http" | "https" if address.contains("://") => {
                Ok(given(None, Place::At(address.to_owned()), param))
            }
            _ if want == Want::File && !address.contains(':') => {
                let data = decoded(address, want, &param)?;
                Ok(given(None, Place::Here(data), param))
            }
            _ => Err(wrong(&param, "use a `data:` URL with Base64, or an https URL")),
        }
    }

    fn most(&self) -> u64 {
        self.want.most()
    }

    /// Returns the bytes, fetching them if necessary.
    async fn data(&mut self, ws: &Ws) -> Result<Vec<u8>, ChatError> {
        let most = self.most();
        match &mut self.place {
            Place::Here(data) => Ok(std::mem::take(data)),
            Place::At(_) if !ws.app.config.fetch_urls => Err(not_fetched(&self.param)),
            Place::At(url) => {
                let fetched = fetch::file(&ws.app.http, url.clone(), most).await;
                fetched.map_err(|error| wrong(&self.param, error.to_string()))
            }
        }
    }

    /// Detects the media type from the bytes; an error if the type is not supported.
    fn media_type(&self, data: &[u8]) -> Result<String, ChatError> {
        if data.is_empty() {
            return Err(wrong(&self.param, "the image or file is empty"));
        }
        let known = media::kind(data);
        match (self.want, known) {
            (_, Some(kind)) if media::is_picture(kind) => Ok(kind.to_owned()),
            (Want::Picture, _) => {
                Err(wrong(&self.param, "this isn't a supported image: use PNG, JPEG, GIF or WebP"))
            }
            (Want::File, Some("application/pdf")) => Ok("application/pdf".to_owned()),
            (Want::File, None) => Ok(self.text_type()),
            (Want::File, Some(_)) => {
                Err(wrong(&self.param, "this file type isn't supported: use text, PDF or images"))
            }
        }
    }

    /// Media type of a text file, from the declared type or the file name.
    fn text_type(&self) -> String {
        let says = self.says.as_deref().unwrap_or_default();
        let says = says.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let ending = self.name.as_deref().and_then(|name| name.rsplit_once('.'));
        let by_name = match ending.map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            Some("md" | "markdown") => "text/markdown",
            Some("csv") => "text/csv",
            Some("html" | "htm") => "text/html",
            Some("json") => "application/json",
            _ => "text/plain",
        };
        match says.as_str() {
            "text/plain" | "text/markdown" | "text/csv" | "text/html" | "application/json" => says,
            _ => by_name.to_owned(),
        }
    }

    /// The file name, or a generated one.
    fn name_for(&self, at: usize, media_type: &str) -> String {
        let ending = match media_type {
            "application/pdf" => "pdf",
            "text/plain" => "txt",
            "text/markdown" => "md",
            other => other.rsplit('/').next().unwrap_or("bin"),
        };
        match &self.name {
            Some(name) => name.clone(),
            None if self.want == Want::Picture => format!("picture-{}.{ending}", at + 1),
            None => format!("file-{}.{ending}", at + 1),
        }
    }
}

impl Want {
    fn most(self) -> u64 {
        match self {
            Self::Picture => MAX_PICTURE,
            Self::File => MAX_FILE,
        }
    }
}

/// Parses a `data:` URL into its declared type and its bytes.
fn data_url<'t>(
    url: &'t str,
    want: Want,
    param: &str,
) -> Result<(Option<&'t str>, Vec<u8>), ChatError> {
    let Some((head, data)) = url.split_once(',') else {
        return Err(wrong(param, "this `data:` URL has no data: data:image/png;base64,…"));
    };
    let head = head.get("data:".len()..).unwrap_or_default();
    let Some((says, "base64")) = head.rsplit_once(';') else {
        return Err(wrong(param, "encode a `data:` URL in Base64: data:image/png;base64,…"));
    };
    Ok((Some(says).filter(|says| !says.is_empty()), decoded(data, want, param)?))
}

fn decoded(text: &str, want: Want, param: &str) -> Result<Vec<u8>, ChatError> {
    if want.most() < text.len() as u64 / 4 * 3 {
        return Err(too_large(want.most(), param));
    }
    let decoded = BASE64.decode(text.trim());
    decoded.map_err(|error| wrong(param, format!("this isn't valid Base64: {error}")))
}

fn too_large(most: u64, param: &str) -> ChatError {
    let text = format!("this is larger than {} MB; make it smaller", most >> 20);
    let error = ChatError::new(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", text);
    ChatError { param: Some(param.to_owned()), ..error }
}

/// Fetches addresses, checks all bytes and stores them as blobs that nothing references yet.
///
/// # Errors
/// Names the file that cannot be fetched, is of another type, or is too large.
pub(super) async fn keep(ws: &Ws, mut given: Vec<Given>) -> Result<Vec<Attachment>, ChatError> {
    if let Some(over) = given.iter().filter(|one| !one.ours).nth(MAX_ATTACHED) {
        let text = format!("a message can have at most {MAX_ATTACHED} images and files");
        return Err(ChatError {
            code: "too_many_files".to_owned(),
            ..ChatError::invalid(&over.param, text)
        });
    }
    let all = join_all(given.iter_mut().map(|one| one.data(ws))).await;
    let (mut kept, mut bytes) = (Vec::with_capacity(given.len()), 0);
    for (at, (one, data)) in given.iter().zip(all).enumerate() {
        let data = data?;
        let len = if one.ours { 0 } else { data.len() as u64 };
        bytes += len;
        if one.most() < len {
            return Err(too_large(one.most(), &one.param));
        }
        if MAX_ATTACHED_BYTES < bytes {
            return Err(too_large(MAX_ATTACHED_BYTES, &one.param));
        }
        let media_type = one.media_type(&data)?;
        kept.push((one.name_for(at, &media_type), media_type, data));
    }
    let own = ws.clone();
    let put = tokio::task::spawn_blocking(move || -> std::io::Result<Vec<Attachment>> {
        kept.into_iter()
            .map(|(name, media_type, data)| {
                let blob = own.blobs.put(&data)?;
                Ok(Attachment { name, media_type, blob, len: data.len() as u64 })
            })
            .collect()
    });
    written(put.await)
}

/// Converts the result of a write on a blocking thread.
///
/// # Errors
/// The disk is full or failed.
pub(super) fn written<T>(
    done: Result<std::io::Result<T>, tokio::task::JoinError>,
) -> Result<T, ChatError> {
    match done {
        Ok(Ok(written)) => Ok(written),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::StorageFull => {
            let text = "the server's disk is nearly full";
            Err(ChatError::new(StatusCode::SERVICE_UNAVAILABLE, "storage_full", text))
        }
        Ok(Err(_)) | Err(_) => {
            let text = "the upload couldn't be saved";
            Err(ChatError::new(StatusCode::INTERNAL_SERVER_ERROR, "storage_failed", text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, MAX_FILE, Place};
    use serde_json::{Value, json};

    fn read(part: Value) -> Result<Content, super::ChatError> {
        Content::of(&json!([part]), "messages[0].content")
    }

    fn taken(part: Value) -> (Option<String>, String, Vec<u8>) {
        let mut content = read(part).unwrap();
        let given = content.files.pop().unwrap();
        let Place::Here(data) = &given.place else { panic!("{given:?}") };
        (given.name.clone(), given.media_type(data).unwrap(), data.clone())
    }

    #[test]
    fn words_and_files_are_told_apart() {
        let content = Content::of(
            &json!([
                { "type": "text", "text": "Look" },
                { "type": "image_url", "image_url": { "url": "https://site.test/a.png" } },
                { "type": "input_text", "text": "here" },
                { "type": "file", "file": { "filename": "a/b.csv", "file_data": "YSxi" } },
            ]),
            "messages[0].content",
        )
        .unwrap();
        assert_eq!((content.text.as_str(), content.files.len()), ("Look\nhere", 2));
        assert_eq!(content.describe(), "Look\nhere\n[a picture]\n[the file b.csv]");
        assert_eq!(Content::of(&Value::Null, "m").unwrap().text, "");
    }

    #[test]
    fn data_is_read_in_every_form_that_clients_write() {
        let png = "data:image/png;base64,iVBORw0KGgo";
        let bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        for part in [
            json!({ "type": "image_url", "image_url": { "url": png, "detail": "low" } }),
            json!({ "type": "image_url", "image_url": png }),
            json!({ "type": "input_image", "image_url": png }),
            json!({ "type": "input_image", "source":
                { "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo=" } }),
        ] {
            assert_eq!(taken(part), (None, "image/png".to_owned(), bytes.clone()));
        }
        for (part, media_type) in [
            (json!({ "file_data": "data:text/csv;base64,YSxi" }), "text/csv"),
            (json!({ "filename": "a.json", "file_data": "YSxi" }), "application/json"),
            (json!({ "filename": "a.rs", "file_data": "data:x/y;base64,YSxi" }), "text/plain"),
        ] {
            let mut part = part;
            part["type"] = "input_file".into();
            let (_, kind, data) = taken(part);
            assert_eq!((kind.as_str(), data.as_slice()), (media_type, b"a,b".as_slice()));
        }
    }

    #[test]
    fn what_is_no_picture_and_no_file_is_refused_by_its_place() {
        let large = "A".repeat(usize::try_from(MAX_FILE).unwrap() * 4 / 3 + 64);
        for (part, param, status) in [
            (json!({ "type": "image_url" }), "messages[0].content[0].image_url", 400),
            (
                json!({ "type": "image_url", "image_url": { "url": "file:///etc/passwd" } }),
                "messages[0].content[0].image_url",
                400,
            ),
            (
                json!({ "type": "input_image", "image_url": "data:image/png,abc" }),
                "messages[0].content[0].image_url",
                400,
            ),
            (
                json!({ "type": "input_image", "image_url": "data:image/png;base64,?" }),
                "messages[0].content[0].image_url",
                400,
            ),
            (
                json!({ "type": "input_file", "file_id": "file-1" }),
                "messages[0].content[0].file_id",
                400,
            ),
            (
                json!({ "type": "input_file", "file_data": large }),
                "messages[0].content[0].file_data",
                413,
            ),
            (json!({ "type": "input_audio" }), "messages[0].content[0]", 400),
        ] {
            let error = read(part).unwrap_err();
            assert_eq!((error.param.as_deref(), error.status.as_u16()), (Some(param), status));
        }
        let text = read(json!({ "type": "image_url", "image_url": "data:image/png;base64,YSxi" }));
        let given = text.unwrap().files.pop().unwrap();
        assert!(given.media_type(b"a,b").unwrap_err().message.contains("supported image"));
    }
}
