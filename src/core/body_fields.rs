//! Which parts of a JSON body are keyed and sent to the origin.

use std::fmt;

use serde_json::Value;

use super::canonical_json;

/// Why a request's body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadBody {
    /// Not UTF-8, not JSON, nested too deep, a name given twice, or a number out of range.
    NotStrictJson(String),
    /// The route has `fields`, and the body is no object.
    NotAnObject,
    /// A part that the route does not name, by its names from the top.
    UnknownField(String),
}

impl fmt::Display for BadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStrictJson(why) => write!(f, "The body is not acceptable JSON: {why}."),
            Self::NotAnObject => f.write_str("The body must be a JSON object."),
            Self::UnknownField(name) => {
                write!(f, "The field {} is not known here.", canonical_json::text(&name.as_str().into()))
            }
        }
    }
}

/// Which parts of a body are keyed. What is not keyed does not reach the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyFields {
    /// All of it.
    All,
    /// These, and the body must have no others.
    Only(Vec<Pointer>),
    /// All but these, which are left out.
    AllBut(Vec<Pointer>),
}

/// A part of a JSON body: the reference tokens of a JSON pointer (RFC 6901), at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Parses a JSON pointer, or the name of a field at the top. `None` if it is empty or has a `~` that escapes
    /// nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('/') {
            Some(tokens) => tokens.split('/').map(unescaped).collect::<Option<_>>().map(Self),
            None if text.is_empty() => None,
            None => Some(Self(vec![text.to_owned()])),
        }
    }

    /// The value that it names below an object.
    #[must_use]
    pub fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |value, token| value.as_object()?.get(token))
    }
}

/// A reference token without its escapes (section 4).
fn unescaped(token: &str) -> Option<String> {
    let is_escaped = token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    is_escaped.then(|| token.replace("~1", "/").replace("~0", "~"))
}

impl BodyFields {
    /// The part of a body that is keyed.
    ///
    /// # Errors
    /// [`BadBody`] if the body must be an object and is none, or has a part that is not allowed.
    pub fn of(&self, mut body: Value) -> Result<Value, BadBody> {
        match self {
            Self::All => {}
            Self::Only(_) if !body.is_object() => return Err(BadBody::NotAnObject),
            Self::Only(pointers) => {
                let pointers: Vec<&[String]> = pointers.iter().map(|it| &*it.0).collect();
                check(&body, &pointers, &mut String::new()).map_err(BadBody::UnknownField)?;
            }
            Self::AllBut(pointers) => {
                for Pointer(tokens) in pointers {
                    remove(&mut body, tokens);
                }
            }
        }
        Ok(body)
    }
}

/// Checks that a value has only parts below one of the pointers; otherwise returns where it has another.
fn check(value: &Value, pointers: &[&[String]], at: &mut String) -> Result<(), String> {
    let mut below = |name: &str, value: &Value| {
        let matching = pointers.iter().filter_map(|tokens| tokens.split_first().filter(|it| it.0 == name));
        let left: Vec<&[String]> = matching.map(|(_, rest)| rest).collect();
        let length = at.len();
        if length > 0 {
            at.push('/');
        }
        at.push_str(name);
        if !left.iter().any(|tokens| tokens.is_empty()) {
            check(value, &left, at)?;
        }
        at.truncate(length);
        Ok(())
    };
    match value {
        _ if pointers.is_empty() => Err(at.chars().take(64).collect()),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| below(name, value)),
        Value::Array(values) => {
            values.iter().enumerate().try_for_each(|(place, value)| below(&place.to_string(), value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(at.chars().take(64).collect())
        }
    }
}

/// Removes a member of an object. An element of an array stays, because the others would change their places.
fn remove(value: &mut Value, tokens: &[String]) {
    match (value, tokens) {
        (Value::Object(fields), [name]) => drop(fields.remove(name)),
        (Value::Object(fields), [name, rest @ ..]) => {
            if let Some(value) = fields.get_mut(name) {
                remove(value, rest);
            }
        }
        (Value::Array(values), [place, rest @ ..]) if !rest.is_empty() => {
            if let Some(value) = place.parse().ok().and_then(|place: usize| values.get_mut(place)) {
                remove(value, rest);
            }
        }
        _ => {}
    }
}
