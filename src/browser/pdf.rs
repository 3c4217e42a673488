//! Reads the bytes of a PDF that a tab shows, for conversion to text.
//!
//! Chromium does not expose the bytes of its viewer, so the frame fetches them again, with the cookies of its site,
//! through the same proxy and from the cache if possible.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::BrowserError;
use crate::page::{Page, left};
use crate::protocol::{CloseStream, LoadOptions, LoadResource, ReadStream};
use crate::transport::USUAL;

/// Maximum size of a PDF in bytes.
pub const MAX_PDF: usize = 20 << 20;
/// Timeout of the download.
const WITHIN: Duration = Duration::from_secs(5);
/// Size of a chunk in bytes.
const PIECE: u32 = 1 << 20;
/// Start of a PDF, within its first KB.
const MAGIC: &[u8] = b"%PDF-";

impl Page {
    /// Whether the page is a PDF in the browser's own viewer.
    pub async fn shows_pdf(&self) -> Result<bool, BrowserError> {
        let kind = self.evaluate_own("document.contentType").await?;
        Ok(kind.as_str() == Some("application/pdf"))
    }

    /// The bytes of the PDF. Fails for a page into which a credential was typed.
    pub async fn pdf_bytes(&self) -> Result<Vec<u8>, BrowserError> {
        let url = self.with_tab(|tab| match tab.knows_secret() {
            true => Err(BrowserError::KnowsSecret),
            false => Ok(tab.main().map(|frame| frame.url.clone()).unwrap_or_default()),
        })??;
        let end = Instant::now() + WITHIN;
        let options = LoadOptions { disable_cache: false, include_credentials: true };
        let load = LoadResource { frame_id: &self.target, url: &url, options };
        let resource = self.call(&load, WITHIN).await?.resource;
        let failed = |reason: String| BrowserError::Pdf(reason);
        let status = resource.http_status_code.unwrap_or_default();
        let Some(stream) = resource.stream.filter(|_| resource.success && status < 400.0) else {
            let error = resource.net_error_name.filter(|_| status == 0.0);
            return Err(failed(error.unwrap_or_else(|| format!("its site answered {status}"))));
        };
        let read = self.read_stream(&stream, end).await;
        self.tell(&CloseStream { handle: &stream });
        let bytes = read?;
        let head = &bytes[..bytes.len().min(1024)];
        match head.windows(MAGIC.len()).any(|window| window == MAGIC) {
            true => Ok(bytes),
            false => Err(failed("its site returned something else this time".to_owned())),
        }
    }

    async fn read_stream(&self, handle: &str, end: Instant) -> Result<Vec<u8>, BrowserError> {
        let mut bytes = Vec::new();
        loop {
            let within = left(end).min(USUAL);
            let part = self.call(&ReadStream { handle, size: PIECE }, within).await?;
            match part.base64_encoded {
                true => {
                    let piece = STANDARD.decode(part.data.as_bytes());
                    let piece = piece.map_err(|error| BrowserError::Pdf(error.to_string()))?;
                    bytes.extend_from_slice(&piece);
                }
                false => bytes.extend_from_slice(part.data.as_bytes()),
            }
            if MAX_PDF < bytes.len() {
                return Err(BrowserError::Pdf(format!("it is larger than {} MB", MAX_PDF >> 20)));
            }
            if part.eof {
                return Ok(bytes);
            }
        }
    }
}
