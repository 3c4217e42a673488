//! Tests of schemas.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::schema::*;

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

#[test]
fn local_references_are_put_in_place() {
    let schema = json!({
        "$id": "https://a.example/tool",
        "type": "object",
        "properties": {
            "from": {"$ref": "#/$defs/place", "description": "Start"},
            "to": {"$ref": "https://a.example/tool#/$defs/place"},
            "by": {"$ref": "#vehicle"},
            "odd": {"$ref": "#/$defs/a~1b%20c"},
            "$ref": {"type": "string"},
            "never": {"$ref": "#/$defs/never"},
        },
        "$defs": {
            "place": {"type": "string", "description": "Place"},
            "vehicle": {"$anchor": "vehicle", "enum": ["car", {"$ref": "#/nowhere"}]},
            "a/b c": {"type": "null"},
            "never": false,
        },
    });
    let inlined = inline(&schema).unwrap();
    assert_eq!(
        inlined["properties"],
        json!({
            "from": {"type": "string", "description": "Start"},
            "to": {"type": "string", "description": "Place"},
            "by": {"enum": ["car", {"$ref": "#/nowhere"}]},
            "odd": {"type": "null"},
            "$ref": {"type": "string"},
            "never": {"not": {}},
        })
    );
    assert_eq!(inlined.get("$defs"), None);
}

#[test]
fn cycles_are_cut() {
    let list = json!({"properties": {"next": {"$ref": "#"}}});
    let inlined = inline(&list).unwrap();
    assert!((16..=20).contains(&depth(&inlined)), "{}", depth(&inlined));
    // Eight branches per level would grow to millions of values.
    let all: Vec<Value> = (0..8).map(|_| json!({"$ref": "#/$defs/json"})).collect();
    let wide = json!({"$ref": "#/$defs/json", "$defs": {"json": {"anyOf": all}}});
    assert!(inline(&wide).unwrap().to_string().len() < 200_000);
    for endless in [
        json!({"$ref": "#"}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
            "properties": {"x": {"$ref": "#/$defs/a"}}}),
    ] {
        inline(&endless).unwrap();
    }
}

#[test]
fn other_documents_are_never_fetched() {
    for reference in ["https://a.example/s.json", "file:///etc/passwd", "other.json#/a", "urn:x"] {
        let schema = json!({"properties": {"a": {"$ref": reference}}});
        let expected = SchemaError::Remote { reference: reference.to_owned() };
        assert_eq!(inline(&schema), Err(expected.clone()));
        assert_eq!(Checker::new(&schema).err(), Some(expected));
    }
    let missing = json!({"$ref": "#/$defs/none"});
    assert!(matches!(inline(&missing), Err(SchemaError::Missing { .. })));
}

#[test]
fn schemas_that_cost_too_much_are_refused() {
    let large: Vec<Value> = (0..20_000).map(Value::from).collect();
    assert_eq!(inline(&json!({"enum": large})), Err(SchemaError::TooLarge));
    let mut fields = serde_json::Map::new();
    for level in 0..20 {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        fields.insert(format!("d{level}"), json!({"allOf": [next, next, next]}));
    }
    fields.insert("d20".to_owned(), json!({}));
    let bomb = json!({"$ref": "#/$defs/d0", "$defs": fields});
    assert_eq!(inline(&bomb), Err(SchemaError::TooLarge));
}

#[test]
fn arguments_are_checked_against_the_original() {
    let schema = json!({
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/node"}, "count": {"type": "integer", "minimum": 1}},
        "required": ["count"],
        "additionalProperties": false,
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}},
            "additionalProperties": false}},
    });
    let checker = Checker::new(&schema).unwrap();
    checker.check(&json!({"count": 1, "node": {"next": {"next": {}}}})).unwrap();
    let faults = checker.check(&json!({"count": 0, "node": {"next": {"other": 1}}, "x": 1}));
    let faults = faults.unwrap_err();
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults.iter().any(|fault| fault.starts_with("/count: ")), "{faults:?}");
    assert!(checker.check(&json!([])).is_err());
}

/// Arguments as they are checked and sent, or the first fault.
fn arguments(schema: &Value, given: &Value) -> Result<Value, String> {
    let mut given = given.as_object().unwrap().clone();
    let checked = Checker::new(schema).unwrap().check_arguments(&mut given);
    checked.map(|()| Value::Object(given)).map_err(|mut faults| faults.remove(0))
}

#[test]
fn null_for_an_optional_field_is_left_out() {
    let schema = json!({
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "kind": {"enum": ["a", "b"]},
            "one": {"const": 1},
            "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "place": {"$ref": "#/$defs/place"},
            "maybe": {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]},
            "all": {"type": "array", "items": {"$ref": "#/$defs/place"}},
            "named": {"type": "object", "additionalProperties": {"$ref": "#/$defs/place"}},
            "both": {"allOf": [{"$ref": "#/$defs/place"}, {"properties": {"z": {"type": "string"}}}]},
        },
        "additionalProperties": false,
        "$defs": {"place": {
            "type": "object",
            "properties": {"x": {"type": "number"}, "next": {"$ref": "#/$defs/place"}},
        }},
    });
    let place = json!({"x": null, "next": {"x": 1, "next": null}});
    let left = json!({"next": {"x": 1}});
    let given = json!({
        "text": null, "kind": null, "one": null, "either": null, "place": place, "maybe": place,
        "all": [place, {"x": 2}], "named": {"a": place}, "both": {"x": null, "z": null},
    });
    let expected = json!({
        "place": left, "maybe": left, "all": [left, {"x": 2}], "named": {"a": left}, "both": {},
    });
    assert_eq!(arguments(&schema, &given), Ok(expected));
    assert_eq!(
        arguments(&schema, &json!({"place": null, "maybe": null})),
        Ok(json!({"maybe": null}))
    );
}

#[test]
fn null_stays_where_it_means_something() {
    let schema = json!({
        "type": "object",
        "properties": {
            "types": {"type": ["string", "null"]},
            "any": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/none"}]},
            "one": {"oneOf": [{"type": "string"}, {"type": "null"}]},
            "enum": {"enum": ["a", null]},
            "const": {"const": null},
            "free": {"description": "Anything"},
            "true": true,
            "list": {"type": "array"},
        },
        "required": ["needed"],
        "$defs": {"none": {"type": "null"}},
    });
    let given = json!({
        "types": null, "any": null, "one": null, "enum": null, "const": null, "free": null,
        "true": null, "list": [null], "unknown": null, "needed": 1,
    });
    assert_eq!(arguments(&schema, &given), Ok(given));
    let strict = json!({"properties": {"a": {"type": "string"}}, "required": ["a"]});
    let fault = arguments(&strict, &json!({"a": null})).unwrap_err();
    assert!(fault.starts_with("/a: null"), "{fault}");
    // Two alternatives can be objects, so the one that applies is unknown.
    let open = json!({"properties": {"a": {"anyOf": [
        {"type": "object", "properties": {"x": {"type": "string"}}},
        {"type": "object", "properties": {"x": {"type": "null"}}},
    ]}}});
    let given = json!({"a": {"x": null}});
    assert_eq!(arguments(&open, &given), Ok(given));
}

#[test]
fn null_for_a_nullable_member_is_refused_rather_than_lost() {
    let schema = json!({"properties": {"text": {"type": "string", "nullable": true}}});
    assert!(arguments(&schema, &json!({"text": null})).is_err());
}

#[test]
fn older_drafts_are_known_and_unknown_ones_refused() {
    let old = json!({"$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/definitions/a"}}});
    assert!(Checker::new(&old).unwrap().check(&json!({"x": 1})).is_err());
    let unknown = json!({"$schema": "https://a.example/own-schema"});
    assert!(Checker::new(&unknown).is_err());
    for invalid in [json!({"type": "sting"}), json!({"pattern": "("}), json!({"required": 3})] {
        assert!(matches!(Checker::new(&invalid), Err(SchemaError::Invalid { .. })), "{invalid}");
    }
}

#[test]
fn a_pattern_that_never_ends_is_a_fault() {
    let checker = Checker::new(&json!({"pattern": "^(?=(a+)+$)(a+)+\\1b$"})).unwrap();
    assert!(checker.check(&json!("a".repeat(40))).is_err());
}

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!(true)),
        Just(json!({"type": "string"})),
        (0..3u8).prop_map(|at| json!({"$ref": format!("#/$defs/d{at}")})),
        Just(json!({"$ref": "#"})),
    ];
    leaf.prop_recursive(3, 20, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"anyOf": all})),
            proptest::collection::btree_map("[ab]", inner.clone(), 0..3)
                .prop_map(|all| json!({"properties": all})),
            inner.prop_map(|items| json!({"items": items})),
        ]
    })
}

/// Whether a schema has references outside of data.
fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            fields.get("$ref").is_some_and(Value::is_string) || fields.values().any(has_reference)
        }
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_reference_is_left(defs in proptest::collection::vec(any_schema(), 3), root in any_schema()) {
        let defs: serde_json::Map<String, Value> =
            defs.into_iter().enumerate().map(|(at, one)| (format!("d{at}"), one)).collect();
        let schema = json!({"type": "object", "properties": {"x": root}, "$defs": defs});
        match inline(&schema) {
            Ok(inlined) => prop_assert!(!has_reference(&inlined), "{inlined}"),
            Err(err) => prop_assert_eq!(err, SchemaError::TooLarge),
        }
    }
}
