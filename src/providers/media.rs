//! Pictures and documents for models that cannot take them: words in their place, so that the model knows that
//! something was there and the request is not refused.

use std::borrow::Cow;

use super::catalog::Model;
use super::model::{ChatRequest, Part};

/// The most of a text file that is written into the conversation, in bytes.
const TEXT_FILE: usize = 64 * 1024;

/// What a protocol can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    /// Pictures only.
    Pictures,
    /// Pictures and PDF documents.
    Documents,
}

/// The request with words in place of what the model cannot take; the very same when it can take all of it.
pub(super) fn fit<'a>(
    request: &'a ChatRequest,
    model: &Model,
    carries: Carries,
) -> Cow<'a, ChatRequest> {
    let taken = |part: &Part| match part {
        Part::Image { .. } => model.vision,
        Part::File { media_type, .. } => {
            carries == Carries::Documents && model.vision && media_type == "application/pdf"
        }
        _ => true,
    };
    if request.messages.iter().flat_map(|message| &message.parts).all(taken) {
        return Cow::Borrowed(request);
    }
    let mut fitted = request.clone();
    for part in fitted.messages.iter_mut().flat_map(|message| &mut message.parts) {
        if !taken(part) {
            *part = Part::text(words(part));
        }
    }
    Cow::Owned(fitted)
}

fn words(part: &Part) -> String {
    match part {
        Part::File { media_type, name, data } if is_text(media_type) => {
            let text = String::from_utf8_lossy(data);
            let text = crate::kernel::text::head_tail(&text, TEXT_FILE, "\n[…]\n");
            format!("<file name=\"{name}\">\n{text}\n</file>")
        }
        Part::File { media_type, name, data } => {
            let size = kilobytes(data);
            format!("[file {name} ({media_type}, {size} KB): this model cannot read it]")
        }
        Part::Image { media_type, data } => {
            format!(
                "[picture ({media_type}, {} KB): this model cannot see pictures]",
                kilobytes(data)
            )
        }
        _ => String::new(),
    }
}

fn kilobytes(data: &[u8]) -> usize {
    data.len().div_ceil(1_024)
}

fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || matches!(media_type, "application/json" | "application/xml" | "application/yaml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::model::Message;

    fn request(part: Part) -> ChatRequest {
        ChatRequest::new("m", 10).message(Message::results(vec![Part::text("Look"), part]))
    }

    fn said(part: Part, vision: bool, carries: Carries) -> Option<String> {
        let model = Model { vision, ..Model::unknown("m") };
        let request = request(part);
        match fit(&request, &model, carries) {
            Cow::Borrowed(_) => None,
            Cow::Owned(fitted) => match fitted.messages[0].parts.last() {
                Some(Part::Text { text }) => Some(text.clone()),
                other => panic!("no words: {other:?}"),
            },
        }
    }

    #[test]
    fn what_a_model_cannot_take_becomes_words() {
        let picture = Part::Image { media_type: "image/png".into(), data: vec![0; 2_000] };
        assert_eq!(said(picture.clone(), true, Carries::Pictures), None);
        let words = said(picture, false, Carries::Pictures).expect("words");
        assert!(words.contains("image/png") && words.contains("2 KB"), "{words}");
        let pdf = Part::File {
            media_type: "application/pdf".into(),
            name: "offer.pdf".into(),
            data: vec![0; 10],
        };
        assert_eq!(said(pdf.clone(), true, Carries::Documents), None);
        assert!(said(pdf, true, Carries::Pictures).is_some_and(|w| w.contains("offer.pdf")));
        let note = Part::File {
            media_type: "text/plain".into(),
            name: "a.txt".into(),
            data: "Grüße".into(),
        };
        let words = said(note, true, Carries::Documents).expect("words");
        assert!(words.contains("Grüße") && words.contains("a.txt"), "{words}");
    }
}
