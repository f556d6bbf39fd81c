//! `Vary` (RFC 9110, section 12.5.5): which fields of a request an answer depends on, and when two values of such
//! a field are the same (RFC 9111, section 4.1).

use super::cache_control::is_token;

/// What an answer depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// These fields of the request: in lower case, sorted, each once.
    Names(Vec<String>),
    /// More than the fields of the request (`*`): it answers no other request.
    Everything,
}

impl Vary {
    /// Reads a `Vary`. A star at any place, and a name that no field can have, count as `*`.
    #[must_use]
    pub fn read(field: &str) -> Self {
        let mut names = Vec::new();
        for name in field.split(',').map(without_blanks).filter(|name| !name.is_empty()) {
            if name.contains('*') || !is_token(name) {
                return Self::Everything;
            }
            insert_sorted(&mut names, name.to_ascii_lowercase());
        }
        Self::Names(names)
    }
}

/// Puts a name into a sorted list, unless it is there. The standard library's sorting is three kilobytes of wasm.
pub(super) fn insert_sorted(names: &mut Vec<String>, name: String) {
    if let Err(place) = names.binary_search(&name) {
        names.insert(place, name);
    }
}

/// The value of a request's field in the form in which it is compared. `name` is in lower case. Two values that
/// become equal ask for the same.
#[must_use]
pub fn normalised(name: &str, value: &str) -> String {
    let preferences = match name {
        "accept" | "accept-encoding" | "accept-language" => preferences(value),
        _ => None,
    };
    preferences.unwrap_or_else(|| without_spaces_at_commas(value))
}

/// White space in a field (RFC 9110, section 5.6.3). Other servers may give a meaning to what Unicode calls so.
const BLANKS: [char; 2] = [' ', '\t'];

fn without_blanks(text: &str) -> &str {
    text.trim_matches(BLANKS)
}

/// The most preferences that are brought into order: the cost grows with the square of their number.
const MAX_PREFERENCES: usize = 64;

/// One member of a list of preferences.
struct Preference<'a> {
    /// In lower case, with its parameters.
    name: String,
    /// As it is written, without needless zeros.
    weight: &'a str,
}

/// The members of a field such as `Accept-Language`, the greatest weight first, then by name; each once (RFC 9110,
/// section 12.4.2). `None` if the value is not simple enough to be sure what it means.
fn preferences(value: &str) -> Option<String> {
    if value.contains('"') {
        return None;
    }
    let mut members: Vec<Preference> = Vec::new();
    for member in value.split(',').map(without_blanks).filter(|it| !it.is_empty()) {
        let member = preference(member)?;
        // Weights without needless zeros have the order of their texts.
        let order = |it: &Preference| member.weight.cmp(it.weight).then_with(|| it.name.cmp(&member.name));
        if let Err(place) = members.binary_search_by(order) {
            members.insert(place, member);
        }
        if members.len() > MAX_PREFERENCES {
            return None;
        }
    }
    let mut text = String::new();
    for member in &members {
        for part in [if text.is_empty() { "" } else { "," }, &member.name] {
            text.push_str(part);
        }
        if member.weight != "1" {
            text.push_str(";q=");
            text.push_str(member.weight);
        }
    }
    Some(text)
}

/// One member: its name without regard to case, its parameters in order, its weight.
fn preference(member: &str) -> Option<Preference<'_>> {
    let mut parts = member.split(';').map(without_blanks);
    let mut read = Preference { name: parts.next()?.to_ascii_lowercase(), weight: "1" };
    let mut has_weight = false;
    for parameter in parts {
        let (name, value) = parameter.split_once('=')?;
        let name = name.to_ascii_lowercase();
        // What follows a weight means different things to different servers.
        if has_weight {
            return None;
        }
        if name == "q" {
            has_weight = true;
            read.weight = weight(value)?;
        } else {
            for part in [";", &name, "=", value] {
                read.name.push_str(part);
            }
        }
    }
    (!read.name.starts_with(';') && !read.name.is_empty()).then_some(read)
}

/// A weight from 0 to 1 with at most three decimals, without needless zeros.
fn weight(text: &str) -> Option<&str> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let fraction = fraction.trim_end_matches('0');
    match whole {
        _ if !are_digits => None,
        "0" | "1" if fraction.is_empty() => Some(whole),
        "0" => Some(text.trim_end_matches('0')),
        _ => None,
    }
}

/// The value without white space at its ends and beside its commas, except in quoted strings (section 4.1: lists
/// in one field line or several are the same).
fn without_spaces_at_commas(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut is_quoted = false;
    let mut characters = without_blanks(value).chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                text.truncate(text.trim_end_matches(BLANKS).len());
                while characters.next_if(|it| BLANKS.contains(it)).is_some() {}
            }
            _ => {}
        }
        text.push(character);
        if character == '\\' && is_quoted {
            text.extend(characters.next());
        }
    }
    text
}
