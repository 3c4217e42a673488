//! Removes null where it stands for nothing: models often send null for optional fields whose schema has no null.
//! Members whose schema is unknown, accepts null or requires them stay as they are.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Inliner, anchors, is_alone, is_nullable, is_old, reference};

/// Schemas that are looked at; whatever is left then stays as it is.
const MAX_STEPS: usize = 100_000;
/// Maximum nesting of references and alternatives within the schema of one value.
const MAX_HOPS: usize = 8;

type Fields = Map<String, Value>;

/// Removes object members that are null although they are optional and their schema doesn't accept null.
pub fn remove(schema: &Value, value: &mut Value) {
    if !has_null(value) {
        return;
    }
    // ok: arguments are only checked against schemas that are small enough.
    let Ok(anchors) = anchors(schema) else { return };
    let inliner = Inliner { root: schema, anchors: &anchors, depth: 1 };
    Work { inliner: &inliner, is_old: is_old(schema), left: MAX_STEPS }.prune(&[schema], value);
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().any(has_null),
        Value::Array(items) => items.iter().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

struct Work<'a, 's> {
    inliner: &'a Inliner<'s>,
    is_old: bool,
    left: usize,
}

impl<'s> Work<'_, 's> {
    /// Prunes a value to which all `schemas` apply.
    fn prune(&mut self, schemas: &[&'s Value], value: &mut Value) {
        match value {
            Value::Object(given) => {
                let applied = self.applied(schemas, "object");
                given.retain(|name, one| !one.is_null() || !self.is_spare(&applied, name));
                for (name, one) in given {
                    let inner = applied.iter().copied().filter_map(|fields| member(fields, name));
                    self.prune(&inner.collect::<Vec<_>>(), one);
                }
            }
            Value::Array(items) => {
                let applied = self.applied(schemas, "array");
                for (at, one) in items.iter_mut().enumerate() {
                    let inner = applied.iter().copied().filter_map(|fields| item(fields, at));
                    self.prune(&inner.collect::<Vec<_>>(), one);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The schemas that apply to a value of a type: references and all of `allOf`, and of alternatives the only one that
    /// accepts the type.
    fn applied(&mut self, schemas: &[&'s Value], kind: &str) -> Vec<&'s Fields> {
        let (mut applied, mut seen) = (Vec::new(), HashSet::new());
        let mut waiting = schemas.to_vec();
        while let Some(schema) = waiting.pop() {
            let Value::Object(fields) = schema else { continue };
            if self.left == 0 || !seen.insert(std::ptr::from_ref(fields)) {
                continue;
            }
            self.left -= 1;
            waiting.extend(self.target(fields));
            if is_alone(fields, self.is_old) {
                continue;
            }
            applied.push(fields);
            waiting.extend(list(fields, "allOf"));
            for key in ["anyOf", "oneOf"] {
                let branches = list(fields, key).iter();
                let fitting: Vec<&'s Value> =
                    branches.filter(|&branch| self.takes(branch, kind, 0)).collect();
                if let [only] = fitting[..] {
                    waiting.push(only);
                }
            }
        }
        applied
    }

    /// Whether a member that is null can be left out.
    fn is_spare(&mut self, applied: &[&'s Fields], name: &str) -> bool {
        let requires = |fields: &&Fields| list(fields, "required").iter().any(|one| one == name);
        let mut known = applied.iter().copied().filter_map(|fields| property(fields, name));
        !applied.iter().any(requires) && known.any(|schema| !self.takes(schema, "null", 0))
    }

    /// Whether a schema accepts a value of a type. What is unknown counts as accepted.
    fn takes(&mut self, schema: &'s Value, kind: &str, hops: usize) -> bool {
        let fields = match schema {
            Value::Object(fields) => fields,
            other => return other.as_bool().unwrap_or(true),
        };
        if self.left == 0 || MAX_HOPS < hops {
            return true;
        }
        self.left -= 1;
        if is_alone(fields, self.is_old) {
            return self.target(fields).is_none_or(|target| self.takes(target, kind, hops + 1));
        }
        if kind == "null" && is_nullable(fields) {
            return true;
        }
        let is_of_type = match fields.get("type") {
            Some(Value::String(one)) => one == kind,
            Some(Value::Array(many)) => many.iter().any(|one| one == kind),
            _ => true,
        };
        is_of_type
            && (kind != "null" || lists_null(fields))
            && self.target(fields).is_none_or(|target| self.takes(target, kind, hops + 1))
            && list(fields, "allOf").iter().all(|part| self.takes(part, kind, hops + 1))
            && ["anyOf", "oneOf"].into_iter().all(|key| {
                let branches = list(fields, key);
                branches.is_empty() || branches.iter().any(|one| self.takes(one, kind, hops + 1))
            })
    }

    /// The schema to which a schema refers.
    fn target(&self, fields: &'s Fields) -> Option<&'s Value> {
        // ok: a checker has no schema with a reference that leads nowhere.
        reference(fields).and_then(|reference| self.inliner.find(reference).ok())
    }
}

/// Whether null is among the listed values, if values are listed.
fn lists_null(fields: &Fields) -> bool {
    let values = fields.get("enum").and_then(Value::as_array);
    values.is_none_or(|values| values.contains(&Value::Null))
        && fields.get("const").is_none_or(Value::is_null)
}

fn list<'s>(fields: &'s Fields, key: &str) -> &'s [Value] {
    fields.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn property<'s>(fields: &'s Fields, name: &str) -> Option<&'s Value> {
    fields.get("properties").and_then(|all| all.get(name))
}

/// The schema of a member. Unknown where the name may match a pattern.
fn member<'s>(fields: &'s Fields, name: &str) -> Option<&'s Value> {
    let others =
        fields.get("additionalProperties").filter(|_| !fields.contains_key("patternProperties"));
    property(fields, name).or(others)
}

/// The schema of an item of an array. Older drafts have the first ones in `items`.
fn item(fields: &Fields, at: usize) -> Option<&Value> {
    let items = fields.get("items");
    let first = fields.get("prefixItems").or(items).and_then(Value::as_array);
    first.and_then(|first| first.get(at)).or(items.filter(|items| items.is_object()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::remove;

    fn left(schema: &Value, mut given: Value) -> Value {
        remove(schema, &mut given);
        given
    }

    #[test]
    fn null_stays_where_it_is_nullable() {
        let schema = json!({"properties": {
            "a": {"type": "string", "nullable": true},
            "b": {"allOf": [{"type": "object"}], "nullable": true},
            "c": {"$ref": "#/$defs/c"},
            "d": {"type": "string", "nullable": false},
            "e": {"type": "object", "properties": {"f": {"enum": ["g"], "nullable": true}}},
        }, "$defs": {"c": {"type": "integer", "nullable": true}}});
        let given = json!({"a": null, "b": null, "c": null, "d": null, "e": {"f": null}});
        let expected = json!({"a": null, "b": null, "c": null, "e": {"f": null}});
        assert_eq!(left(&schema, given), expected);
    }

    #[test]
    fn members_that_may_match_a_pattern_stay_as_they_are() {
        let place = json!({"type": "object", "properties": {"x": {"type": "string"}}});
        let mut schema = json!({"properties": {"a": place}, "additionalProperties": place});
        let given = json!({"a": {"x": null}, "b": {"x": null}});
        assert_eq!(left(&schema, given.clone()), json!({"a": {}, "b": {}}));
        schema["patternProperties"] = json!({"^b": {"type": "object"}});
        assert_eq!(left(&schema, given), json!({"a": {}, "b": {"x": null}}));
    }

    #[test]
    fn old_drafts_ignore_what_stands_beside_a_reference() {
        let schema = |draft: &str| {
            json!({
                "$schema": draft,
                "properties": {
                    "a": {"$ref": "#/definitions/any", "type": "string"},
                    "b": {
                        "$ref": "#/definitions/any",
                        "type": "object",
                        "properties": {"x": {"type": "string"}},
                    },
                },
                "definitions": {"any": {"description": "Anything"}},
            })
        };
        let given = json!({"a": null, "b": {"x": null}});
        for draft in ["04", "06", "07"] {
            let schema = schema(&format!("http://json-schema.org/draft-{draft}/schema#"));
            assert_eq!(left(&schema, given.clone()), given, "{draft}");
        }
        for draft in ["2019-09", "2020-12"] {
            let schema = schema(&format!("https://json-schema.org/draft/{draft}/schema"));
            assert_eq!(left(&schema, given.clone()), json!({"b": {}}), "{draft}");
        }
    }

    #[test]
    fn schemas_that_contain_themselves_many_times_end() {
        let all: Vec<Value> = (0..50).map(|_| json!({"$ref": "#/$defs/node"})).collect();
        for key in ["allOf", "anyOf"] {
            let schema = json!({
                "properties": {"a": {"$ref": "#/$defs/node"}},
                "$defs": {"node": {"type": "object", "properties": {"x": {key: all}}}},
            });
            let mut deep = json!({"x": null});
            for _ in 0..60 {
                deep = json!({"x": deep, "y": null});
            }
            let mut given = json!({"a": deep});
            remove(&schema, &mut given);
            // Which of several alternatives applies is unknown.
            let is_gone = !given.to_string().contains(r#""x":null"#);
            assert_eq!(is_gone, key == "allOf", "{given}");
        }
        let schema = json!({
            "properties": {"a": {"$ref": "#/$defs/node"}, "b": {"type": "string"}},
            "$defs": {"node": {"anyOf": all}},
        });
        let mut given = json!({"a": null, "b": null});
        remove(&schema, &mut given);
        assert_eq!(given["a"], Value::Null);
    }
}
