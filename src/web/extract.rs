//! Axum extractors whose rejections state the invalid field and the reason.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde_json::{Map, Value};

use crate::appearance;
use crate::error::{Failure, PageError};
use kernel::{FieldError, ProblemKind};

/// The single path parameter besides the workspace, which `Ws` consumes. (Axum's `Path` counts the captures of outer
/// routers and would respond 500 below `/w/{ws}`.)
pub struct Path<T>(pub T);

/// Declares an enum of allowed path segments, such as the action after a record id, for [`Path2`]. Any other segment
/// gets 404.
#[macro_export]
macro_rules! path_words {
    ($(#[$doc:meta])* $vis:vis $name:ident {
        $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$vdoc])* $variant,)+ }

        impl std::str::FromStr for $name {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(()),
                }
            }
        }
    };
}

/// The two path parameters besides the workspace.
pub struct Path2<A, B>(pub A, pub B);

async fn params<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Vec<String>, PageError> {
    let raw = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|e| PageError(Failure::new(ProblemKind::NotFound, "not_found", e.to_string())))?;
    Ok(raw.iter().filter(|(name, _)| *name != "ws").map(|(_, value)| value.to_owned()).collect())
}

fn parse<T: FromStr>(value: Option<&String>) -> Result<T, PageError> {
    value.and_then(|v| v.parse().ok()).ok_or_else(|| PageError::not_found("The requested item"))
}

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Path<T> {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let params = params(parts, state).await?;
        Ok(Self(parse(params.first())?))
    }
}

impl<S: Send + Sync, A: FromStr, B: FromStr> FromRequestParts<S> for Path2<A, B> {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let params = params(parts, state).await?;
        Ok(Self(parse(params.first())?, parse(params.get(1))?))
    }
}

/// Field and reason of an input that serde rejected.
#[derive(Debug, PartialEq, Eq)]
pub struct InputError {
    /// The field, such as `title` or `messages[0].role`; empty for the whole input.
    pub field: String,
    /// The reason.
    pub message: String,
}

impl InputError {
    fn of<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> Self {
        let message = plain(&error.inner().to_string());
        let path = error.path().to_string();
        let mut field = if path == "." { String::new() } else { path };
        // Missing and unknown fields are not part of the path, but the message names them.
        let prefixes = ["missing field `", "unknown field `", "duplicate field `"];
        let named =
            prefixes.iter().find_map(|prefixes| message.strip_prefix(prefixes)?.split('`').next());
        if let Some(name) = named
            && field != name
            && !field.ends_with(&format!(".{name}"))
        {
            let dot = if field.is_empty() { "" } else { "." };
            field = format!("{field}{dot}{name}");
        }
        Self { field, message }
    }

    /// Error for malformed JSON, with its position.
    fn broken(error: &serde_json::Error) -> Self {
        let message = match error.is_eof() {
            true => "the JSON ends too early".to_owned(),
            false => {
                let (line, column) = (error.line(), error.column());
                format!("invalid JSON at line {line}, character {column}")
            }
        };
        Self { field: String::new(), message }
    }
}

/// Rewrites a parser message for clients: without names of Rust types, and without the position, because the field is
/// named.
fn plain(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(what, _)| what);
    if let Some((word, known)) =
        message.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected "))
    {
        return format!("unknown value {word}; use {known}");
    }
    let mut words: Vec<&str> = message.split(' ').collect();
    if let Some(at) = words.iter().position(|word| matches!(*word, "struct" | "enum"))
        && words.get(at.wrapping_sub(1)) == Some(&"expected")
        && at + 1 < words.len()
    {
        let what = if words[at] == "struct" { "an object" } else { "one of its words" };
        words.splice(at..=at + 1, [what]);
    }
    words.join(" ")
}

/// Parses a JSON object. Rejects arrays, which serde would accept for structs.
///
/// # Errors
/// The invalid field and the reason.
pub fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, InputError> {
    let body = body.trim_ascii_start();
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    if body[0] != b'{' {
        let message = "the body must be a JSON object, which begins with {".to_owned();
        return Err(InputError { field: String::new(), message });
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let read =
        serde_path_to_error::deserialize(&mut json).map_err(|e| match e.inner().is_data() {
            true => InputError::of(&e),
            false => InputError::broken(e.inner()),
        })?;
    json.end().map_err(|e| InputError::broken(&e))?;
    Ok(read)
}

/// Parses a JSON object without duplicate fields. An empty body has no fields.
pub(crate) fn fields(body: &[u8]) -> Result<Map<String, Value>, PageError> {
    object::<OnceEach>(body).map(|fields| fields.0).map_err(unfit)
}

/// An object without duplicate fields.
struct OnceEach(Map<String, Value>);

impl<'de> serde::Deserialize<'de> for OnceEach {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(OnceEachVisitor)
    }
}

struct OnceEachVisitor;

impl<'de> Visitor<'de> for OnceEachVisitor {
    type Value = OnceEach;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<OnceEach, M::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if fields.contains_key(&name) {
                return Err(M::Error::custom(format!("duplicate field `{name}`")));
            }
            fields.insert(name, value);
        }
        Ok(OnceEach(fields))
    }
}

/// Parses a partial update. Rejects a null for a field that does not use [`sent`], because it would count as omitted.
fn changes<T: DeserializeOwned>(body: &[u8]) -> Result<T, InputError> {
    // Rejects duplicate fields here; a map would keep the last one.
    object::<T>(body)?;
    let fields: Map<String, Value> = object(body)?;
    let fields = fields.into_iter().map(|(field, value)| (field.clone(), Changed { field, value }));
    serde_path_to_error::deserialize(MapDeserializer::<_, serde_json::Error>::new(fields))
        .map_err(|e| InputError::of(&e))
}

/// A field of a partial update.
struct Changed {
    field: String,
    value: Value,
}

impl IntoDeserializer<'_, serde_json::Error> for Changed {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Changed {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.value.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.value {
            Value::Null => {
                let message = format!("`{}` can't be empty; omit it to keep the value", self.field);
                Err(Self::Error::custom(message))
            }
            value => visitor.visit_some(value),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.value.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.value.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

fn pairs<T: DeserializeOwned>(text: &[u8]) -> Result<T, InputError> {
    let pairs = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(text));
    serde_path_to_error::deserialize(pairs).map_err(|e| InputError::of(&e))
}

fn refused(code: &str, what: &str, misfit: InputError) -> PageError {
    let InputError { field, message } = misfit;
    let detail = match field.is_empty() || message.contains(&format!("`{field}`")) {
        true => format!("{what}: {message}"),
        false => format!("{what}: {field}: {message}"),
    };
    let mut failure = Failure::new(ProblemKind::Invalid, code, detail);
    if !field.is_empty() {
        failure.fields.push(FieldError::new(field, message));
    }
    PageError(failure)
}

/// The query string.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        let query = parts.uri.query().unwrap_or_default();
        pairs(query.as_bytes())
            .map(Self)
            .map_err(|misfit| refused("bad_query", "the URL has an invalid query", misfit))
    }
}

/// A posted form.
pub struct Form<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = PageError;
    async fn from_request(request: Request, state: &S) -> Result<Self, PageError> {
        form(&body(request, state).await?).map(Self)
    }
}

/// Parses a form body, in the forms in which its page was drawn.
///
/// # Errors
/// If a field is repeated or has the wrong type.
pub fn form<T: DeserializeOwned>(body: &[u8]) -> Result<T, PageError> {
    let body = appearance::as_drawn(body);
    pairs(&body).map_err(|misfit| refused("bad_form", "something went wrong with the form", misfit))
}

/// A JSON object as body. An empty body counts as an object without fields.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = crate::error::ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let body = body(request, state).await?;
        object(&body).map(Self).map_err(|misfit| unfit(misfit).into())
    }
}

/// A partial update as JSON. An omitted field stays unchanged. A null clears a field that uses [`sent`] and is
/// rejected for any other field.
pub struct Patch<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Patch<T> {
    type Rejection = crate::error::ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let body = body(request, state).await?;
        changes(&body).map(Self).map_err(|misfit| unfit(misfit).into())
    }
}

/// Error for a JSON body that does not match the route.
fn unfit(misfit: InputError) -> PageError {
    refused("bad_json", "the body has the wrong type for this route", misfit)
}

impl<T: serde::Serialize> axum::response::IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

/// Deserialises a field that may be omitted, null or set: `#[serde(default, deserialize_with = "sent")]`. Omitted is
/// `None`, null is `Some(None)`.
pub fn sent<'de, T: serde::Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<Option<T>>, D::Error> {
    // Wrapped as a newtype struct, the value passes [`Patch`], which rejects null in plain optional fields.
    value.deserialize_newtype_struct("Sent", Sent(PhantomData)).map(Some)
}

struct Sent<T>(PhantomData<T>);

impl<'de, T: serde::Deserialize<'de>> Visitor<'de> for Sent<T> {
    type Value = Option<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a value or null")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<Option<T>, D::Error> {
        <Option<T> as serde::Deserialize>::deserialize(value)
    }
}

/// The whole request body.
pub(super) async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, PageError> {
    Bytes::from_request(request, state).await.map_err(|e| {
        let kind = if e.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            ProblemKind::TooLarge
        } else {
            ProblemKind::Invalid
        };
        let words = match kind {
            ProblemKind::TooLarge => "this is larger than the limit for one request".to_owned(),
            _ => e.body_text(),
        };
        PageError(Failure::new(kind, "bad_body", words))
    })
}

#[cfg(test)]
mod tests {
    use super::{InputError, changes, object, pairs, sent};
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SampleBody {
        #[expect(dead_code, reason = "only read")]
        name: String,
        #[expect(dead_code, reason = "only read")]
        #[serde(default)]
        count: Option<usize>,
        #[expect(dead_code, reason = "only read")]
        #[serde(default)]
        price: Option<Price>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Price {
        #[expect(dead_code, reason = "only read")]
        input: i64,
    }

    fn json(text: &str) -> InputError {
        object::<SampleBody>(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn a_wrong_field_is_named_wherever_it_stands() {
        for (text, field) in [
            (r#"{"name":5}"#, "name"),
            (r#"{"name":"a","count":"`x`"}"#, "count"),
            (r#"{"name":"a","nmae":1}"#, "nmae"),
            (r#"{}"#, "name"),
            ("", "name"),
            (r#"{"name":"a","name":"b"}"#, "name"),
            (r#"{"name":"a","price":{"input":"x"}}"#, "price.input"),
            (r#"{"name":"a","price":{}}"#, "price.input"),
            (r#"{"name":"a","price":{"output":1}}"#, "price.output"),
            (r#"{"name":"a","price":7}"#, "price"),
        ] {
            let misfit = json(text);
            assert_eq!(misfit.field, field, "{text}: {}", misfit.message);
            assert!(!misfit.message.contains("struct"), "{}", misfit.message);
        }
        for (text, field) in [("name=a&count=x", "count"), ("count=1", "name"), ("nme=a", "nme")] {
            assert_eq!(pairs::<SampleBody>(text.as_bytes()).expect_err(text).field, field);
        }
    }

    #[test]
    fn only_an_object_is_a_record_and_nothing_follows_it() {
        for text in [r#"["a",1,null]"#, "\"a\"", "7", "null", " [1]"] {
            assert_eq!(json(text).field, "");
        }
        assert_eq!(json(r#"{"name":"a"} x"#).field, "");
        object::<SampleBody>(b" {\"name\":\"a\"} ").expect("an object with room around it");
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Change {
        name: Option<String>,
        colour: Option<Colour>,
        exec: Option<bool>,
        #[serde(default, deserialize_with = "sent")]
        model: Option<Option<String>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        Red,
        Blue,
    }

    #[test]
    fn a_change_to_nothing_is_refused_unless_the_field_can_be_empty() {
        for field in ["name", "colour", "exec"] {
            let misfit = changes::<Change>(format!(r#"{{"{field}":null}}"#).as_bytes());
            let misfit = misfit.expect_err(field);
            assert_eq!(misfit.field, field);
            assert!(misfit.message.contains("can't be empty"), "{}", misfit.message);
        }
        let change: Change = changes(br#"{"model":null}"#).expect("it can be empty");
        assert!(change.name.is_none() && change.colour.is_none() && change.exec.is_none());
        assert_eq!(change.model, Some(None));
        let change: Change =
            changes(br#"{"name":"a","colour":"red","exec":true,"model":"b"}"#).expect("fits");
        assert!(matches!(change.colour, Some(Colour::Red)), "{change:?}");
        assert_eq!((change.name.as_deref(), change.exec), (Some("a"), Some(true)));
        assert_eq!(change.model, Some(Some("b".to_owned())));
        for (text, field) in [
            (r#"{"name":"a","name":"b"}"#, "name"),
            (r#"{"nmae":"a"}"#, "nmae"),
            (r#"{"model":5}"#, "model"),
        ] {
            assert_eq!(changes::<Change>(text.as_bytes()).expect_err(text).field, field);
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_words_of_the_parser() {
        let message = |text: &str| object::<Change>(text.as_bytes()).expect_err(text).message;
        assert_eq!(message(r#"{"colour":"green"}"#), "unknown value `green`; use `red` or `blue`");
        assert_eq!(message(r#"{"name":5}"#), "invalid type: integer `5`, expected a string");
        assert_eq!(message("{\n \"name\" 5}"), "invalid JSON at line 2, character 9");
        assert_eq!(message(r#"{"name":"#), "the JSON ends too early");
    }
}
