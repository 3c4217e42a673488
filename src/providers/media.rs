//! Replaces images, documents and tool calls with words for models that do not support them, so that the model knows
//! about them and the request is not rejected.

use std::borrow::Cow;

use super::catalog::Model;
use super::model::{ChatRequest, Part, ToolChoice};

/// Maximum size of a text file that is inlined, in bytes.
const TEXT_FILE: usize = 64 * 1024;

/// Media support of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carries {
    /// Whether PDF documents are supported, besides images.
    pub documents: bool,
    /// Maximum size of an image, in bytes.
    pub picture: usize,
}

impl Carries {
    /// Images only.
    pub const PICTURES: Self = Self { documents: false, picture: 20 * 1024 * 1024 };
    /// Images and PDF documents.
    pub const DOCUMENTS: Self = Self { documents: true, ..Self::PICTURES };
    /// The same with at most 5 MB per image after Base64 encoding.
    pub const SMALL_PICTURES: Self = Self { picture: 5 * 1024 * 1024 / 4 * 3, ..Self::DOCUMENTS };
}

/// The request with unsupported content replaced; borrowed if nothing is replaced.
pub(super) fn fit<'a>(
    request: &'a ChatRequest,
    model: &Model,
    carries: Carries,
) -> Cow<'a, ChatRequest> {
    let sees = model.vision && !request.blind;
    let taken = |part: &Part| match part {
        Part::Image { data, .. } => sees && data.len() <= carries.picture,
        Part::File { media_type, .. } => {
            carries.documents && sees && media_type == "application/pdf"
        }
        Part::ToolCall { .. } | Part::ToolResult { .. } => !request.no_tools,
        _ => true,
    };
    let offers = !request.tools.is_empty() || request.tool_choice != ToolChoice::Auto;
    let is_fit = request.messages.iter().flat_map(|message| &message.parts).all(taken);
    if is_fit && !(request.no_tools && offers) {
        return Cow::Borrowed(request);
    }
    let mut fitted = request.clone();
    if request.no_tools {
        fitted.tools.clear();
        fitted.tool_choice = ToolChoice::Auto;
    }
    for part in fitted.messages.iter_mut().flat_map(|message| &mut message.parts) {
        if !taken(part) {
            *part = Part::text(words(part, sees));
        }
    }
    Cow::Owned(fitted)
}

fn words(part: &Part, vision: bool) -> String {
    match part {
        Part::File { media_type, name, data } if is_text(media_type) => {
            let text = String::from_utf8_lossy(data);
            let text = kernel::text::head_tail(&text, TEXT_FILE, "\n[…]\n");
            format!("<file name=\"{name}\">\n{text}\n</file>")
        }
        Part::File { media_type, name, data } => {
            let size = kilobytes(data);
            format!("[file {name} ({media_type}, {size} KB): this model can't read it]")
        }
        Part::Image { media_type, data } => {
            let why = match vision {
                true => "it is too large for this model",
                false => "this model can't see images",
            };
            format!("[image ({media_type}, {} KB): {why}]", kilobytes(data))
        }
        Part::ToolCall { name, arguments, .. } => format!("[tool {name} was called: {arguments}]"),
        Part::ToolResult { text, is_error, .. } => {
            let what = if *is_error { "the tool failed" } else { "the tool answered" };
            format!("[{what}]\n{text}")
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
    use crate::model::{Message, ToolDef};

    fn request(part: Part) -> ChatRequest {
        ChatRequest::new("m", 10).message(Message::results(vec![Part::text("Look"), part]))
    }

    fn replacement(part: Part, vision: bool, carries: Carries) -> Option<String> {
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
        assert_eq!(replacement(picture.clone(), true, Carries::PICTURES), None);
        let words = replacement(picture.clone(), false, Carries::PICTURES).expect("words");
        assert!(words.contains("image/png") && words.contains("2 KB"), "{words}");
        let blind = ChatRequest { blind: true, ..request(picture) };
        let fitted = fit(&blind, &Model::unknown("m"), Carries::DOCUMENTS);
        assert_eq!(fitted.messages[0].parts.last(), Some(&Part::text(words)));
        let large = Part::Image { media_type: "image/png".into(), data: vec![0; 5 << 20] };
        assert_eq!(replacement(large.clone(), true, Carries::DOCUMENTS), None);
        let words = replacement(large, true, Carries::SMALL_PICTURES).expect("words");
        assert!(words.contains("too large") && words.contains("5120 KB"), "{words}");
        let pdf = Part::File {
            media_type: "application/pdf".into(),
            name: "offer.pdf".into(),
            data: vec![0; 10],
        };
        assert_eq!(replacement(pdf.clone(), true, Carries::DOCUMENTS), None);
        assert!(replacement(pdf, true, Carries::PICTURES).is_some_and(|w| w.contains("offer.pdf")));
        let note = Part::File {
            media_type: "text/plain".into(),
            name: "a.txt".into(),
            data: "Grüße".into(),
        };
        let words = replacement(note, true, Carries::DOCUMENTS).expect("words");
        assert!(words.contains("Grüße") && words.contains("a.txt"), "{words}");
    }

    #[test]
    fn a_model_without_tools_gets_none_and_words_for_former_calls() {
        let call = |id: &str| Part::ToolCall {
            id: id.into(),
            name: "read".into(),
            arguments: "{\"path\":\"a\"}".into(),
        };
        let result =
            |is_error| Part::ToolResult { call_id: "1".into(), text: "Grüße".into(), is_error };
        let tool = ToolDef {
            name: "read".into(),
            description: String::new(),
            schema: serde_json::json!({}),
        };
        let mut request = ChatRequest::new("m", 10)
            .message(Message::assistant(vec![call("1")]))
            .message(Message::results(vec![result(false), result(true)]))
            .tool(tool);
        request.tool_choice = ToolChoice::None;
        let model = Model::unknown("m");
        assert!(matches!(fit(&request, &model, Carries::PICTURES), Cow::Borrowed(_)));
        request.no_tools = true;
        let fitted = fit(&request, &model, Carries::PICTURES);
        assert_eq!((fitted.tools.len(), &fitted.tool_choice), (0, &ToolChoice::Auto));
        let parts: Vec<Part> = fitted.messages.iter().flat_map(|m| m.parts.clone()).collect();
        let words = [
            "[tool read was called: {\"path\":\"a\"}]",
            "[the tool answered]\nGrüße",
            "[the tool failed]\nGrüße",
        ];
        assert_eq!(parts, words.map(Part::text));
        // Nothing is copied if nothing is replaced.
        let plain = ChatRequest { no_tools: true, ..ChatRequest::new("m", 10) };
        assert!(matches!(fit(&plain, &model, Carries::PICTURES), Cow::Borrowed(_)));
    }
}
