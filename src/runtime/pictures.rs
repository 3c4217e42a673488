//! Prepares pictures and documents for sending. A picture that is too large for some provider is resized on a blocking
//! thread, one at a time. Recent results are cached, because each run of a session sends its pictures again. For models
//! without document support the text of a document is sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use providers::error::{ErrorClass, ProviderError};
use providers::model::Part;
use tool::{document, picture, untrusted};

use super::history::MAX_FILE_TEXT;
use super::turn::Turn;

/// Cache size in bytes.
const KEPT: usize = 8 * 1024 * 1024;
/// How long a call waits for one picture.
const PATIENCE: Duration = Duration::from_secs(30);
/// Words that identify a provider error about pictures or documents.
const WORDS: [&str; 9] = [
    "image",
    "picture",
    "vision",
    "multimodal",
    "modalit",
    "media_type",
    "inline_data",
    "pdf",
    "document",
];

/// The hash of a picture's content.
type Hash = [u8; 32];
/// Resized pictures by the hash of the original, oldest first.
type Made = VecDeque<(Hash, Vec<u8>)>;

/// Resizes pictures.
#[derive(Clone)]
pub(super) struct Pictures {
    /// Held while a picture is decoded, which takes up to 160 MB of memory.
    desk: Arc<Semaphore>,
    /// The cache.
    kept: Arc<Mutex<Made>>,
}

impl Default for Pictures {
    fn default() -> Self {
        Self { desk: Arc::new(Semaphore::new(1)), kept: Arc::default() }
    }
}

impl Pictures {
    /// The picture in a form that every provider accepts, or a note in its place.
    async fn fitted(&self, media_type: String, data: Vec<u8>) -> Part {
        let looked = tokio::task::spawn_blocking(move || {
            let hash = (!picture::fits(&data)).then(|| Hash::from(Sha256::digest(&data)));
            (data, hash)
        });
        let (data, hash) = match looked.await {
            Ok((data, Some(hash))) => (data, hash),
            Ok((data, None)) => return Part::Image { media_type, data },
            Err(_) => return unseen("it can't be read"),
        };
        let desk = Arc::clone(&self.desk).acquire_owned().await;
        if let Some(data) = self.known(&hash) {
            return Part::Image { media_type: picture::SMALLER.to_owned(), data };
        }
        let made = tokio::task::spawn_blocking(move || {
            let made = picture::smaller(&data);
            drop(desk);
            made
        });
        match made.await {
            Ok(Ok(data)) => {
                self.keep(hash, data.clone());
                Part::Image { media_type: picture::SMALLER.to_owned(), data }
            }
            Ok(Err(why)) => unseen(&why.to_string()),
            Err(_) => unseen("it can't be read"),
        }
    }

    fn known(&self, hash: &Hash) -> Option<Vec<u8>> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|(known, _)| known == hash)?;
        let found = kept.remove(at)?;
        let data = found.1.clone();
        kept.push_back(found);
        Some(data)
    }

    fn keep(&self, hash: Hash, data: Vec<u8>) {
        let mut kept = self.kept.lock();
        kept.push_back((hash, data));
        let mut bytes: usize = kept.iter().map(|(_, data)| data.len()).sum();
        while KEPT < bytes {
            let Some((_, oldest)) = kept.pop_front() else { return };
            bytes -= oldest.len();
        }
    }
}

fn unseen(why: &str) -> Part {
    Part::text(format!("[An image here can't be shown: {why}.]"))
}

impl Turn {
    /// Resizes the pictures that were added since the last call.
    pub(super) async fn fit_pictures(&mut self) {
        for (place, media_type, data) in self.talk.journal.history.new_pictures() {
            let fitted = self.setting.engine.pictures.fitted(media_type, data);
            let part = tokio::select! {
                part = tokio::time::timeout(PATIENCE, fitted) => {
                    part.unwrap_or_else(|_| unseen("resizing it took too long"))
                }
                () = self.setting.cancel.cancelled() => unseen("the run was stopped"),
            };
            self.talk.journal.history.set(place, part);
        }
        if !(self.chooser.chosen.provider.takes_documents() && self.chooser.chosen.known.vision) {
            self.read_documents().await;
        }
    }

    /// After an error about pictures or documents: replaces all of them with text, because each later call would fail,
    /// too. Returns whether there were any.
    pub(super) async fn hide_pictures(&mut self, error: &ProviderError) -> bool {
        if !is_about_pictures(error) {
            return false;
        }
        let read = self.read_documents().await;
        self.talk.journal.history.hide_pictures() || read
    }

    /// Replaces PDF documents with their text. Returns whether there were any.
    async fn read_documents(&mut self) -> bool {
        let all = self.talk.journal.history.documents();
        let any = !all.is_empty();
        for (place, name, data) in all {
            let read = tokio::task::spawn_blocking(move || document::words(&data, MAX_FILE_TEXT));
            let read = tokio::select! {
                read = tokio::time::timeout(PATIENCE, read) => match read {
                    Ok(Ok(read)) => read,
                    Ok(Err(_)) => Err("it is damaged"),
                    Err(_) => Err("it took too long"),
                },
                () = self.setting.cancel.cancelled() => Err("the run was stopped"),
            };
            let mark = untrusted::id_of(&format!("{}/{name}", self.talk.journal.agent));
            let text = describe(&name, &mark, read);
            let text = self.talk.journal.ws.app.redactor.text(&text).into_owned();
            self.talk.journal.history.set(place, Part::text(text));
        }
        any
    }
}

/// The replacement of a document.
fn describe(name: &str, mark: &str, read: Result<document::Words, &'static str>) -> String {
    match read {
        Ok(document::Words { pages, text, .. }) if text.is_empty() => {
            format!("[The PDF {name} ({pages} pages) has no readable text; it may be a scan.]")
        }
        Ok(document::Words { pages, text, .. }) => {
            let text = untrusted::wrap(mark, &text);
            format!("Text of the PDF {name} ({pages} pages), without images:\n{text}")
        }
        Err(why) => format!("[The PDF {name} can't be read here: {why}.]"),
    }
}

fn is_about_pictures(error: &ProviderError) -> bool {
    // Many error messages end with a link to the documentation.
    let message = error.message.to_lowercase().replace("documentation", "");
    error.class == ErrorClass::InvalidRequest && WORDS.iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_shown_becomes_words_and_the_rest_stays() {
        let pictures = Pictures::default();
        let small = Part::Image { media_type: "image/png".into(), data: vec![1, 2, 3] };
        assert_eq!(pictures.fitted("image/png".into(), vec![1, 2, 3]).await, small);
        let bomb = include_bytes!("../../tests/it/fixtures/bomb.jpg").to_vec();
        let Part::Text { text } = pictures.fitted("image/jpeg".into(), bomb).await else {
            panic!("it was shown");
        };
        assert!(text.contains("65535 x 65535"), "{text}");
    }

    #[test]
    fn what_was_made_lately_is_kept_and_the_oldest_goes() {
        let pictures = Pictures::default();
        let third = vec![0; KEPT / 3];
        for n in 0..3 {
            pictures.keep([n; 32], third.clone());
        }
        assert!(pictures.known(&[0; 32]).is_some(), "it is the newest now");
        pictures.keep([3; 32], third);
        assert!(pictures.known(&[1; 32]).is_none());
        assert!(pictures.known(&[0; 32]).is_some() && pictures.known(&[3; 32]).is_some());
    }

    #[test]
    fn a_refusal_of_pictures_is_known_by_its_words() {
        let refused = |text: &str| ProviderError::reported(400, "invalid_request_error", text);
        for message in [
            "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum",
            "Could not process image",
            "This model does not support image input",
            "Invalid MIME type. Only image types are supported.",
        ] {
            assert!(is_about_pictures(&refused(message)), "{message}");
        }
        assert!(!is_about_pictures(&refused("max_tokens: too large, see the documentation")));
        assert!(!is_about_pictures(&ProviderError::reported(401, "", "no image for you")));
    }
}
