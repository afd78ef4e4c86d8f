//! As much of JSON Schema as the documents use; a keyword that is not known
//! here is a mistake, so that none is passed over in silence.

use serde_json::Value;

/// Says nothing about which values there are.
const REMARKS: [&str; 7] =
    ["description", "title", "format", "example", "examples", "x-enumDescriptions", "default"];

/// What is wrong with a value; nothing, if it is what the schema says.
pub fn check(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    Check { document, wrong: &mut wrong }.value(schema, value, "");
    wrong
}

struct Check<'a> {
    document: &'a Value,
    wrong: &'a mut Vec<String>,
}

impl Check<'_> {
    fn value(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(keywords) = schema.as_object() else {
            return self.wrong.push(format!("{at}: no schema"));
        };
        for (keyword, said) in keywords {
            let right = match keyword.as_str() {
                "$ref" => match said.as_str().and_then(|r| self.document.pointer(r.strip_prefix('#')?)) {
                    Some(schema) => {
                        self.value(schema, value, at);
                        true
                    }
                    None => false,
                },
                "type" => types(said).any(|kind| is(kind, value)),
                "const" => value == said,
                "enum" => list(said).contains(value),
                "allOf" => {
                    list(said).iter().for_each(|part| self.value(part, value, at));
                    true
                }
                "anyOf" => self.fitting(said, value) > 0,
                "oneOf" => self.fitting(said, value) == 1,
                "properties" => {
                    self.properties(said, value, at);
                    true
                }
                "required" => list(said)
                    .iter()
                    .filter_map(Value::as_str)
                    .all(|name| value.as_object().is_none_or(|object| object.contains_key(name))),
                "items" => {
                    for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(said, item, &format!("{at}/{place}"));
                    }
                    true
                }
                "minimum" => {
                    value.as_f64().is_none_or(|number| said.as_f64().is_some_and(|least| number >= least))
                }
                "maximum" => {
                    value.as_f64().is_none_or(|number| said.as_f64().is_some_and(|most| number <= most))
                }
                "minLength" => {
                    length(value).is_none_or(|length| said.as_u64().is_some_and(|least| length >= least))
                }
                "maxLength" => {
                    length(value).is_none_or(|length| said.as_u64().is_some_and(|most| length <= most))
                }
                "pattern" => value.as_str().is_none_or(|text| matches(said, text)),
                remark => REMARKS.contains(&remark),
            };
            if !right {
                self.wrong.push(format!("{at}: {value} is not as `{keyword}`: {said}"));
            }
        }
    }

    fn properties(&mut self, properties: &Value, value: &Value, at: &str) {
        let Some(object) = value.as_object() else { return };
        for (name, schema) in properties.as_object().into_iter().flatten() {
            if let Some(value) = object.get(name) {
                self.value(schema, value, &format!("{at}/{name}"));
            }
        }
    }

    fn fitting(&self, schemas: &Value, value: &Value) -> usize {
        list(schemas).iter().filter(|schema| check(self.document, schema, value).is_empty()).count()
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn types(said: &Value) -> impl Iterator<Item = &str> {
    said.as_str().into_iter().chain(list(said).iter().filter_map(Value::as_str))
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

/// `^[letters]{1,64}$` and `^[letters]*$`, which is all that there is.
fn matches(pattern: &Value, text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric();
    match pattern.as_str() {
        Some("^[A-Za-z0-9_.:@-]{1,64}$") => {
            (1..=64).contains(&text.len()) && text.chars().all(|c| letters(c) || "_.:@-".contains(c))
        }
        Some("^[A-Za-z0-9_ -]*$") => text.chars().all(|c| letters(c) || "_ -".contains(c)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_found() {
        let document = json!({ "ids": { "type": "array", "items": { "type": "string", "minLength": 2 } } });
        let schema = json!({
            "type": "object",
            "properties": { "ids": { "$ref": "#/ids" }, "kind": { "enum": ["A", "B"] } },
            "required": ["kind"],
        });
        let wrong = |value: Value| check(&document, &schema, &value).len();
        assert_eq!(wrong(json!({ "kind": "A", "ids": ["ab"], "more": 1 })), 0);
        assert_eq!(wrong(json!({ "ids": [] })), 1);
        assert_eq!(wrong(json!({ "kind": "C", "ids": ["a", 7] })), 3);
        assert_eq!(wrong(json!([])), 1);
        let either = json!({ "oneOf": [{ "type": "integer" }, { "type": ["string", "null"] }] });
        assert!(check(&document, &either, &json!(null)).is_empty());
        assert_eq!(check(&document, &either, &json!(true)).len(), 1);
        assert_eq!(check(&document, &json!({ "$ref": "#/nowhere" }), &json!(1)).len(), 1);
        assert_eq!(check(&document, &json!({ "odd": 1 }), &json!(1)).len(), 1);
    }
}
