//! Maps question lists, a format of other programs' tools, to `ask_person`. A single question keeps its answer buttons;
//! several become one numbered text with a written answer.

use serde_json::{Map, Value};

/// Most questions at once.
const MOST: usize = 3;

/// Maps the arguments of a call with such a list. Other arguments and invalid lists stay unchanged, and the tool
/// reports them.
pub(super) fn put_into_one(given: &mut Map<String, Value>) {
    if given.contains_key("question") || given.contains_key("options") {
        return;
    }
    let Some((question, options)) = given.get("questions").and_then(as_one) else { return };
    given.remove("questions");
    given.insert("question".to_owned(), question.into());
    given.insert("options".to_owned(), options.into());
}

fn as_one(questions: &Value) -> Option<(String, Vec<String>)> {
    let list = questions.as_array().filter(|list| (1..=MOST).contains(&list.len()))?;
    let is_one = list.len() == 1;
    let (mut texts, mut buttons) = (Vec::new(), Vec::new());
    for (n, one) in (1..).zip(list) {
        let question = word(one, "question")?;
        let options = match one.get("options") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(all)) => all.iter().map(option).collect::<Option<Vec<_>>>()?,
            Some(_) => return None,
        };
        let is_many = one.get("multiSelect").and_then(Value::as_bool).unwrap_or(false);
        let mut text = if is_one { String::new() } else { format!("{n}. ") };
        if let Some(header) = word(one, "header").filter(|header| *header != question) {
            text.push_str(&format!("{header}: "));
        }
        text.push_str(question);
        // A button shows its label itself.
        let has_buttons = is_one && !is_many;
        for (label, about) in &options {
            match *about {
                "" if has_buttons => {}
                "" => text.push_str(&format!("\n- {label}")),
                about => text.push_str(&format!("\n- {label}: {about}")),
            }
        }
        if is_many && !options.is_empty() {
            text.push_str("\n(choose one or more)");
        }
        if has_buttons {
            buttons = options.iter().map(|(label, _)| (*label).to_owned()).collect();
        }
        texts.push(text);
    }
    Some((texts.join("\n\n"), buttons))
}

fn word<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// An answer and its description: a string, or an object with both.
fn option(value: &Value) -> Option<(&str, &str)> {
    match value {
        Value::String(text) => Some((text.trim(), "")),
        Value::Object(_) => Some((word(value, "label")?, word(value, "description").unwrap_or(""))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::put_into_one;

    fn put(given: Value) -> Value {
        let Value::Object(mut given) = given else { panic!("no object") };
        put_into_one(&mut given);
        Value::Object(given)
    }

    #[test]
    fn one_question_is_asked_as_usual_and_several_are_one_text() {
        let offer = json!({
            "header": "Offer", "question": "Which offer?",
            "options": [{ "label": "A", "description": "cheaper" }, "B"],
        });
        let days = json!({
            "question": "Which days?", "options": [{ "label": "Monday" }, "Friday"], "multiSelect": true,
        });
        let free = json!({ "question": "Who pays?" });
        assert_eq!(
            put(json!({ "questions": [offer], "hours": 2 })),
            json!({
                "question": "Offer: Which offer?\n- A: cheaper", "options": ["A", "B"], "hours": 2,
            })
        );
        let many = "Which days?\n- Monday\n- Friday\n(choose one or more)";
        assert_eq!(put(json!({ "questions": [days] })), json!({ "question": many, "options": [] }));
        let all = format!("1. Offer: Which offer?\n- A: cheaper\n- B\n\n2. {many}\n\n3. Who pays?");
        assert_eq!(
            put(json!({ "questions": [offer, days, free] })),
            json!({ "question": all, "options": [] })
        );
    }

    #[test]
    fn what_makes_no_sense_stays_for_the_tool_to_refuse() {
        let one = json!({ "question": "Who?" });
        for given in [
            json!({ "question": "Who?", "options": ["A"] }),
            json!({ "question": "Who?", "questions": [one] }),
            json!({ "questions": [] }),
            json!({ "questions": [one, one, one, one] }),
            json!({ "questions": [{ "header": "Who" }] }),
            json!({ "questions": [{ "question": "Who?", "options": "A" }] }),
            json!({ "questions": "Who?" }),
        ] {
            assert_eq!(put(given.clone()), given);
        }
    }
}
