//! Tests of messages and definitions.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::wire::*;

#[test]
fn messages_are_told_apart() {
    let one = |text: &str| Message::parse_all(text.as_bytes()).unwrap().into_iter().next();
    assert!(matches!(
        one(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#),
        Some(Message::Request { id: Id::Text(_), .. })
    ));
    assert!(matches!(
        one(r#"{"jsonrpc":"2.0","method":"ping","params":[1]}"#),
        Some(Message::Notification { .. })
    ));
    assert!(matches!(
        one(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}"#),
        Some(Message::Response { id: None, outcome: Err(_) })
    ));
    for text in ["{}", "7", r#"{"id":1,"result":{}}"#, r#"{"jsonrpc":"2.0","id":1}"#] {
        assert_eq!(one(text), None, "{text}");
    }
    assert_eq!(Message::parse_all(b"hello"), None);
}

#[test]
fn a_batch_has_several_messages() {
    let text = br#"[{"jsonrpc":"2.0","id":1,"result":{}},7,{"jsonrpc":"2.0","method":"a"}]"#;
    assert_eq!(Message::parse_all(text).unwrap().len(), 2);
}

#[test]
fn messages_survive_writing_and_reading() {
    for message in [
        Message::Request { id: Id::from(1), method: "a".to_owned(), params: Map::new() },
        Message::Notification { method: "a".to_owned(), params: Map::new() },
        Message::Response { id: Some(Id::Text("x".to_owned())), outcome: Ok(json!({"a": 1})) },
        Message::Response {
            id: None,
            outcome: Err(RpcError::new(INVALID_PARAMS, "no").with_data(json!([1]))),
        },
    ] {
        assert_eq!(Message::from_value(message.to_value()), Some(message));
    }
}

#[test]
fn content_of_all_types_is_read() {
    let all = json!([
        {"type": "text", "text": "a", "annotations": {"priority": 1}},
        {"type": "image", "data": "QQ==", "mimeType": "image/png"},
        {"type": "audio", "data": "QQ==", "mimeType": "audio/wav"},
        {"type": "resource_link", "uri": "file:///a", "name": "a", "size": 3},
        {"type": "resource", "resource": {"uri": "file:///a", "text": "x"}},
        {"type": "hologram", "depth": 3},
        {"type": "image"},
    ]);
    let read: Vec<Content> = serde_json::from_value(all).unwrap();
    assert!(matches!(&read[0], Content::Text { text } if text == "a"));
    assert!(matches!(&read[3], Content::ResourceLink(link) if link.size == Some(3)));
    assert!(matches!(&read[4], Content::Resource { resource } if resource.text.is_some()));
    assert!(matches!(&read[5..], [Content::Other(_), Content::Other(_)]));
    assert_eq!(serde_json::to_value(&read[5]).unwrap(), json!({"type": "hologram", "depth": 3}));
    assert_eq!(
        serde_json::to_value(Content::text("a")).unwrap(),
        json!({"type": "text", "text": "a"})
    );
}

#[test]
fn the_canonical_form_of_a_tool_covers_what_is_unknown_here() {
    let read = |text: &str| Tool::from_value(serde_json::from_str(text).unwrap()).unwrap();
    let first = read(r#"{"name":"a","x":{"b":1,"a":[2, 1]},"inputSchema":{"type":"object"}}"#);
    let second =
        read(r#"{"inputSchema": {"type": "object"}, "x": {"a": [2,1], "b": 1}, "name": "a"}"#);
    assert_eq!(first.canonical(), second.canonical());
    assert_eq!(
        first.canonical(),
        r#"{"inputSchema":{"type":"object"},"name":"a","x":{"a":[2,1],"b":1}}"#
    );
    let changed = read(r#"{"name":"a","x":{"b":1,"a":[1,2]},"inputSchema":{"type":"object"}}"#);
    assert_ne!(first.canonical(), changed.canonical());
    let text = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<Tool>(&text).unwrap(), first);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-4000..4000).prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        "[a-z\"\\\\\u{0}-\u{1f}äß漢🔐]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec(("[a-d\"ä]{0,3}", inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The same value with the fields of all objects in the opposite order, as text.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let all: Vec<String> = fields
                .iter()
                .rev()
                .map(|(key, value)| format!(" {} : {}", Value::from(key.as_str()), reversed(value)))
                .collect();
            format!("{{{}}}", all.join(" , "))
        }
        Value::Array(items) => {
            let all: Vec<String> = items.iter().map(reversed).collect();
            format!("[ {} ]", all.join(" , "))
        }
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn canonical_json_keeps_the_value(value in any_json()) {
        let text = canonical(&value);
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(canonical(&read), text);
    }

    #[test]
    fn canonical_json_depends_on_no_order_and_no_spaces(value in any_json()) {
        let read: Value = serde_json::from_str(&reversed(&value)).unwrap();
        prop_assert_eq!(canonical(&read), canonical(&value));
    }

    #[test]
    fn different_values_have_different_canonical_json(a in any_json(), b in any_json()) {
        prop_assert_eq!(a == b, canonical(&a) == canonical(&b));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        Message::parse_all(&bytes);
    }
}
