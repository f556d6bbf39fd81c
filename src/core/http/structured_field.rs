//! Dictionaries of structured fields (RFC 8941, section 4.2.2), as far as `CDN-Cache-Control` needs them: every
//! part is checked, parameters and inner lists are then dropped.

/// The value of a dictionary's member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A boolean; a member without a value is true.
    Boolean(bool),
    /// An integer, as it is written.
    Integer(&'a str),
    /// A string without its quotes and escapes.
    String(String),
    /// A decimal, a token, a byte sequence or an inner list.
    Other,
}

/// The most members of a dictionary. Every parser must accept that many (section 3.2).
const MAX_MEMBERS: usize = 1_024;

/// The members of a dictionary in the order of their last occurrence: of several with one key the last counts.
/// `None` if any part of the field is not valid, because then the whole field is to be ignored (section 4.2), and if
/// there are too many members.
#[must_use]
pub fn dictionary(field: &str) -> Option<Vec<(&str, Value<'_>)>> {
    let mut rest = field.trim_matches(' ');
    let mut members: Vec<(&str, Value)> = Vec::new();
    while !rest.is_empty() {
        let key = key(&mut rest)?;
        let value = if !skip(&mut rest, '=') {
            Value::Boolean(true)
        } else if skip(&mut rest, '(') {
            inner_list(&mut rest)?
        } else {
            bare_item(&mut rest)?
        };
        parameters(&mut rest)?;
        members.retain(|(other, _)| *other != key);
        if members.len() == MAX_MEMBERS {
            return None;
        }
        members.push((key, value));
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            break;
        }
        if !skip(&mut rest, ',') {
            return None;
        }
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return None;
        }
    }
    Some(members)
}

/// Takes this character off the front, if it is there.
fn skip(rest: &mut &str, character: char) -> bool {
    let after = rest.strip_prefix(character);
    *rest = after.unwrap_or(rest);
    after.is_some()
}

/// Takes off the front what consists of these characters.
fn take<'a>(rest: &mut &'a str, belongs: fn(char) -> bool) -> &'a str {
    let end = rest.find(|it| !belongs(it)).unwrap_or(rest.len());
    let (taken, after) = rest.split_at(end);
    *rest = after;
    taken
}

/// A key (section 4.2.3.3).
fn key<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let key = take(rest, |it| it.is_ascii_lowercase() || it.is_ascii_digit() || "_-.*".contains(it));
    key.starts_with(|it: char| it.is_ascii_lowercase() || it == '*').then_some(key)
}

/// Parameters (section 4.2.3.2).
fn parameters(rest: &mut &str) -> Option<()> {
    while skip(rest, ';') {
        *rest = rest.trim_start_matches(' ');
        key(rest)?;
        if skip(rest, '=') {
            bare_item(rest)?;
        }
    }
    Some(())
}

/// An inner list after its opening parenthesis (section 4.2.1.2).
fn inner_list<'a>(rest: &mut &'a str) -> Option<Value<'a>> {
    loop {
        *rest = rest.trim_start_matches(' ');
        if skip(rest, ')') {
            return Some(Value::Other);
        }
        bare_item(rest)?;
        parameters(rest)?;
        if !rest.starts_with([' ', ')']) {
            return None;
        }
    }
}

/// An item without its parameters (section 4.2.3.1).
fn bare_item<'a>(rest: &mut &'a str) -> Option<Value<'a>> {
    let is_token = |it: char| is_token_character(it) || ":/".contains(it);
    match rest.chars().next()? {
        '-' | '0'..='9' => number(rest),
        '"' => string(rest),
        '*' | 'A'..='Z' | 'a'..='z' => {
            take(rest, is_token);
            Some(Value::Other)
        }
        ':' => byte_sequence(rest),
        '?' => {
            skip(rest, '?');
            let is_true = skip(rest, '1');
            (is_true || skip(rest, '0')).then_some(Value::Boolean(is_true))
        }
        _ => None,
    }
}

/// Whether a character may stand in a token (RFC 9110, section 5.6.2).
pub(super) fn is_token_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

/// An integer of at most 15 digits, or a decimal of at most 12 and 3 digits (section 4.2.4).
fn number<'a>(rest: &mut &'a str) -> Option<Value<'a>> {
    let written = *rest;
    skip(rest, '-');
    let digits = take(rest, |it| it.is_ascii_digit()).len();
    if !skip(rest, '.') {
        let integer = &written[..written.len() - rest.len()];
        return (1..=15).contains(&digits).then_some(Value::Integer(integer));
    }
    let fraction = take(rest, |it| it.is_ascii_digit()).len();
    ((1..=12).contains(&digits) && (1..=3).contains(&fraction)).then_some(Value::Other)
}

/// A string (section 4.2.5).
fn string<'a>(rest: &mut &'a str) -> Option<Value<'a>> {
    let mut text = String::new();
    let mut characters = rest.chars();
    characters.next();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => text.push(characters.next().filter(|it| "\"\\".contains(*it))?),
            it if it == ' ' || it.is_ascii_graphic() => text.push(it),
            _ => return None,
        }
    }
    *rest = characters.as_str();
    Some(Value::String(text))
}

/// A byte sequence (section 4.2.7). Missing padding is accepted.
fn byte_sequence<'a>(rest: &mut &'a str) -> Option<Value<'a>> {
    skip(rest, ':');
    let digits = take(rest, |it| it.is_ascii_alphanumeric() || "+/".contains(it)).len();
    let padding = take(rest, |it| it == '=').len();
    let is_whole = digits % 4 != 1 && (padding == 0 || (padding < 3 && (digits + padding).is_multiple_of(4)));
    (is_whole && skip(rest, ':')).then_some(Value::Other)
}
