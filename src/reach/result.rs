//! Results of servers' tools, for models: text, one image, structured data, links, and other binary data as files. The
//! engine marks them as untrusted and stores the files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::redact::{Redactor, Spot};
use mcp::client::McpError;
use mcp::wire::{CallResult, Content, ResourceLink};
use serde_json::Value;
use tool::picture;
use tool::{Picture, ResultFile, ToolCx, ToolOutput, media};

/// Characters of a result that a model reads at once.
const INLINE: usize = 20_000;
/// Most files of a result.
const MAX_FILES: usize = 8;
/// Most characters of a fault for people.
const BRIEF: usize = 500;
/// Most characters of the reason for a missing result.
const REASON: usize = 2_000;

/// A media type as a server wrote it, for a note.
fn shown(media_type: &str) -> String {
    media_type.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn linked(link: &ResourceLink) -> String {
    let name = link.title.as_deref().unwrap_or(&link.name);
    let about = link.description.as_deref().map(|about| format!(": {about}")).unwrap_or_default();
    format!("[link] {name} <{}>{about}", link.uri)
}

/// An image as models take it. Blocking: large images are made smaller.
fn image(data: &str) -> Option<Picture> {
    let data = STANDARD.decode(data.trim()).ok()?;
    let kind = media::kind(&data).filter(|kind| media::is_picture(kind))?;
    if picture::fits(&data) {
        return Some(Picture { media_type: kind.to_owned(), data });
    }
    let data = picture::smaller(&data).ok()?;
    Some(Picture { media_type: picture::SMALLER.to_owned(), data })
}

/// The text of a result for people. Binary parts are only named. Blocking.
pub fn read(result: &CallResult) -> String {
    Parts::of(result, false).text()
}

/// The parts of a result.
#[derive(Default)]
struct Parts {
    keeps_files: bool,
    texts: Vec<String>,
    picture: Option<Picture>,
    files: Vec<ResultFile>,
}

impl Parts {
    /// Reads a result. Binary parts become files if `keeps_files`. Blocking.
    fn of(result: &CallResult, keeps_files: bool) -> Self {
        let mut parts = Self { keeps_files, ..Self::default() };
        for part in &result.content {
            match part {
                Content::Text { text } => parts.texts.push(text.clone()),
                Content::Image { data, mime_type } => {
                    match parts.picture.is_none().then(|| image(data)).flatten() {
                        Some(picture) => {
                            parts.texts.push("[image]".to_owned());
                            parts.picture = Some(picture);
                        }
                        None => parts.binary("image", mime_type, data),
                    }
                }
                Content::Audio { data, mime_type } => parts.binary("audio", mime_type, data),
                Content::ResourceLink(link) => parts.texts.push(linked(link)),
                Content::Resource { resource } => match (&resource.text, &resource.blob) {
                    (Some(text), _) => parts.texts.push(format!("[{}]\n{text}", resource.uri)),
                    (None, blob) => {
                        let media_type = resource.mime_type.as_deref().unwrap_or("unknown type");
                        let data = blob.as_deref().unwrap_or_default();
                        parts.binary(&resource.uri, media_type, data);
                    }
                },
                Content::Other(value) => parts.texts.push(value.to_string()),
            }
        }
        // Servers are asked to repeat structured data as text for clients that don't know it.
        let has_text = result.content.iter().any(|part| matches!(part, Content::Text { .. }));
        if let Some(value) = result.structured_content.as_ref().filter(|_| !has_text) {
            parts.texts.push(value.to_string());
        }
        parts
    }

    /// Adds a part that is no text, in Base64: a file, or a note about it.
    fn binary(&mut self, name: &str, media_type: &str, data: &str) {
        let note = match self.keeps_files {
            true => self.keep(name, media_type, data),
            false => {
                let bytes = data.len() / 4 * 3;
                format!("[{name}, {}, {bytes} bytes; it can’t be shown]", shown(media_type))
            }
        };
        self.texts.push(note);
    }

    /// Keeps a part as a file. Returns the note about it.
    fn keep(&mut self, name: &str, media_type: &str, data: &str) -> String {
        let left_out =
            |why: String| format!("[{name}, {}; it isn’t stored: {why}]", shown(media_type));
        if MAX_FILES <= self.files.len() {
            return left_out(format!("a result can have {MAX_FILES} files"));
        }
        match STANDARD.decode(data.trim()) {
            Ok(data) if data.is_empty() => left_out("it is empty".to_owned()),
            Ok(data) => {
                let media_type = media::declared(media_type, &data);
                let (number, bytes) = (self.files.len() + 1, data.len());
                let note = format!("[file {number}: {name}, {media_type}, {bytes} bytes]");
                self.files.push(ResultFile { media_type, data });
                note
            }
            Err(error) => left_out(format!("its data isn’t valid Base64 ({error})")),
        }
    }

    fn text(&self) -> String {
        match self.texts.is_empty() {
            true => "The tool returned nothing.".to_owned(),
            false => self.texts.join("\n\n"),
        }
    }
}

/// A text of a server as people see it and the store keeps it, without values of secrets.
pub fn clean(redactor: &Redactor, text: &str) -> String {
    redactor.masked(Spot::Tools, text).into_owned()
}

/// A fault as people see it and the store keeps it: without values of secrets, and short.
pub fn brief(redactor: &Redactor, fault: &str) -> String {
    kernel::text::ellipsis(&redactor.masked(Spot::Errors, fault), BRIEF)
}

/// Structured data without values of secrets.
pub fn clean_json(redactor: &Redactor, value: Value) -> Value {
    redactor.json(Spot::Tools, value)
}

/// The result of a call that waited for a person in a process of HQ that has ended.
pub fn lost_while_asking() -> &'static str {
    "The outcome is unknown: HQ was restarted while the server waited for a person’s answer. Check before you call the \
     tool again."
}

/// A reason from a server or about one, without an endless quotation.
pub fn reason(text: &str) -> String {
    kernel::text::ellipsis(text, REASON)
}

/// The message about an act that may have had its effect although it has no result.
pub fn outcome_unknown(error: &McpError) -> String {
    let error = reason(&error.to_string());
    format!(
        "outcome unknown: {error}; the call may have had its effect, so check before you repeat it"
    )
}

/// The result for a model. A long text is stored whole. Blocking.
pub fn output(cx: &ToolCx, result: &CallResult) -> ToolOutput {
    let parts = Parts::of(result, true);
    let text = parts.text();
    let end = text.char_indices().nth(INLINE).map_or(text.len(), |(at, _)| at);
    // The marks around the text need space, too.
    let end = text.floor_char_boundary(end.min(cx.max_result.saturating_sub(1_024)));
    let is_cut = end < text.len();
    let shown = match is_cut {
        true => format!(
            "{}\n[the whole result has {} bytes: path \"{}\"]",
            &text[..end],
            text.len(),
            cx.result_name()
        ),
        false => text.clone(),
    };
    let output = if result.is_error { ToolOutput::error(shown) } else { ToolOutput::text(shown) };
    let Parts { picture, files, .. } = parts;
    ToolOutput { whole: is_cut.then_some(text), picture, files, ..output }
}

#[cfg(test)]
mod tests {
    use crypto::keyring::Secret;
    use crypto::redact::Redactor;
    use mcp::wire::CallResult;
    use serde_json::{Value, json};

    use super::{MAX_FILES, Parts, brief, clean_json, read};

    fn result(content: Value, structured: Option<Value>) -> CallResult {
        let result = json!({ "content": content, "structuredContent": structured });
        serde_json::from_value(result).unwrap()
    }

    fn text(content: Value, structured: Option<Value>) -> String {
        read(&result(content, structured))
    }

    #[test]
    fn each_kind_of_content_becomes_text() {
        let all = json!([
            { "type": "text", "text": "one" },
            { "type": "audio", "data": "AAAA", "mimeType": "audio/wav" },
            { "type": "resource_link", "uri": "file:///a", "name": "a" },
            { "type": "resource", "resource": { "uri": "file:///b", "text": "two" } },
            { "type": "image", "data": "!", "mimeType": "image/png" },
        ]);
        let expected = "one\n\n[audio, audio/wav, 3 bytes; it can’t be shown]\n\n[link] a <file:///a>\n\n\
                        [file:///b]\ntwo\n\n[image, image/png, 0 bytes; it can’t be shown]";
        assert_eq!(text(all, None), expected);
        assert_eq!(text(json!([]), None), "The tool returned nothing.");
    }

    #[test]
    fn binary_parts_become_files() {
        let all = json!([
            { "type": "audio", "data": "AAAA", "mimeType": "Audio/WAV;rate=8000" },
            { "type": "resource", "resource": { "uri": "file:///../b", "blob": "JVBERi0xLjc=" } },
            { "type": "image", "data": "YQ==", "mimeType": "image/svg+xml" },
            { "type": "audio", "data": "AAA", "mimeType": "audio/wav" },
            { "type": "audio", "data": "AA-_", "mimeType": "audio/wav" },
            { "type": "resource", "resource": { "uri": "file:///c", "blob": "" } },
        ]);
        let parts = Parts::of(&result(all, None), true);
        assert!(parts.picture.is_none());
        let files: Vec<(&str, &[u8])> =
            parts.files.iter().map(|file| (&*file.media_type, &*file.data)).collect();
        let expected: [(&str, &[u8]); 3] =
            [("audio/wav", &[0, 0, 0]), ("application/pdf", b"%PDF-1.7"), ("image/svg+xml", b"a")];
        assert_eq!(files, expected);
        assert_eq!(
            parts.texts[..3],
            [
                "[file 1: audio, audio/wav, 3 bytes]",
                "[file 2: file:///../b, application/pdf, 8 bytes]",
                "[file 3: image, image/svg+xml, 1 bytes]",
            ]
        );
        for broken in &parts.texts[3..5] {
            assert!(broken.contains("it isn’t stored: its data isn’t valid Base64"), "{broken}");
        }
        assert_eq!(parts.texts[5], "[file:///c, unknown type; it isn’t stored: it is empty]");
    }

    #[test]
    fn files_of_a_result_have_a_maximum_number() {
        let one = json!({ "type": "audio", "data": "AAAA", "mimeType": "audio/wav" });
        let parts = Parts::of(&result(Value::from(vec![one; MAX_FILES + 1]), None), true);
        assert_eq!((parts.files.len(), parts.texts.len()), (MAX_FILES, MAX_FILES + 1));
        assert!(parts.texts[MAX_FILES].ends_with("it isn’t stored: a result can have 8 files]"));
    }

    #[test]
    fn structured_data_is_shown_once() {
        let value = json!({ "n": 1 });
        assert_eq!(text(json!([]), Some(value.clone())), r#"{"n":1}"#);
        let both = json!([{ "type": "text", "text": "n is 1" }]);
        assert_eq!(text(both, Some(value)), "n is 1");
    }

    #[test]
    fn people_see_no_value_of_a_secret() {
        let redactor = Redactor::new();
        redactor.add("WEB_KEY", Secret::new("hunter-0123456789"));
        let shown = json!({ "k hunter-0123456789": ["a", { "b": "hunter-0123456789", "n": 3 }] });
        let clean = clean_json(&redactor, shown);
        assert!(!clean.to_string().contains("hunter"), "{clean}");
        assert!(clean.to_string().contains("\"n\":3"), "{clean}");
        // A cut never leaves a part of a value.
        let fault = format!("{}hunter-0123456789", "x".repeat(490));
        let brief = brief(&redactor, &fault);
        assert!(!brief.contains("hunter") && brief.chars().count() <= 500, "{brief}");
    }
}
