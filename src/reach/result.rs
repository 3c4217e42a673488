//! Results of servers' tools, for models: text, one image, structured data and links. The engine marks them as
//! untrusted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::redact::{Redactor, Spot};
use mcp::client::McpError;
use mcp::wire::{CallResult, Content, ResourceLink};
use serde_json::Value;
use tool::picture;
use tool::{Picture, ToolCx, ToolOutput, media};

/// Characters of a result that a model reads at once.
const INLINE: usize = 20_000;
/// Most characters of a fault for people.
const BRIEF: usize = 500;
/// Most characters of the reason for a missing result.
const REASON: usize = 2_000;

/// What is said of a part that is no text.
fn note(kind: &str, media_type: &str, bytes: usize) -> String {
    let media_type: String = media_type.chars().filter(|c| !c.is_control()).take(80).collect();
    format!("[{kind}, {media_type}, {bytes} bytes; it can’t be shown]")
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

/// The text of a result and its first image. Blocking.
pub fn read(result: &CallResult) -> (String, Option<Picture>) {
    let (mut parts, mut shown) = (Vec::new(), None);
    for part in &result.content {
        match part {
            Content::Text { text } => parts.push(text.clone()),
            Content::Image { data, mime_type } => {
                match shown.is_none().then(|| image(data)).flatten() {
                    Some(picture) => {
                        parts.push("[image]".to_owned());
                        shown = Some(picture);
                    }
                    None => parts.push(note("image", mime_type, data.len() / 4 * 3)),
                }
            }
            Content::Audio { data, mime_type } => {
                parts.push(note("audio", mime_type, data.len() / 4 * 3));
            }
            Content::ResourceLink(link) => parts.push(linked(link)),
            Content::Resource { resource } => match (&resource.text, &resource.blob) {
                (Some(text), _) => parts.push(format!("[{}]\n{text}", resource.uri)),
                (None, blob) => {
                    let size = blob.as_ref().map_or(0, |blob| blob.len() / 4 * 3);
                    let media_type = resource.mime_type.as_deref().unwrap_or("unknown type");
                    parts.push(note(&resource.uri, media_type, size));
                }
            },
            Content::Other(value) => parts.push(value.to_string()),
        }
    }
    // Servers are asked to repeat structured data as text for clients that don't know it.
    let has_text = result.content.iter().any(|part| matches!(part, Content::Text { .. }));
    if let Some(value) = result.structured_content.as_ref().filter(|_| !has_text) {
        parts.push(value.to_string());
    }
    match parts.is_empty() {
        true => ("The tool returned nothing.".to_owned(), shown),
        false => (parts.join("\n\n"), shown),
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

/// The result for a model. A long text is stored whole.
pub fn output(cx: &ToolCx, result: &CallResult) -> ToolOutput {
    let (text, picture) = read(result);
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
    ToolOutput { whole: is_cut.then_some(text), picture, ..output }
}

#[cfg(test)]
mod tests {
    use crypto::keyring::Secret;
    use crypto::redact::Redactor;
    use mcp::wire::CallResult;
    use serde_json::{Value, json};

    use super::{brief, clean_json, read};

    fn text(content: Value, structured: Option<Value>) -> String {
        let result = json!({ "content": content, "structuredContent": structured });
        read(&serde_json::from_value::<CallResult>(result).unwrap()).0
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
