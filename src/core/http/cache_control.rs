//! `Cache-Control` of responses and requests (RFC 9111, section 5.2). A field with mistakes is read so that it
//! allows less, never more (section 4.2.1).

use super::{
    field_list::list_names,
    structured_field::{Value, dictionary, is_token_character},
};
use crate::core::time::Span;

/// The part of a response that `private` or `no-cache` is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// The directive is not there.
    #[default]
    Nothing,
    /// These header fields; names in lower case.
    Fields(Vec<String>),
    /// The whole response.
    Whole,
}

/// The directives of a response that a shared cache knows (section 5.2.2; RFC 5861).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each directive is there or not")]
pub struct ResponseDirectives {
    /// `no-store`.
    pub no_store: bool,
    /// `private`, for the whole response or for some fields.
    pub private: Extent,
    /// `no-cache`, for the whole response or for some fields.
    pub no_cache: Extent,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `max-age`; zero if its value is not valid.
    pub max_age: Option<Span>,
    /// `s-maxage`; zero if its value is not valid.
    pub s_maxage: Option<Span>,
    /// `stale-while-revalidate`; zero if its value is not valid.
    pub stale_while_revalidate: Option<Span>,
    /// `stale-if-error`; zero if its value is not valid.
    pub stale_if_error: Option<Span>,
}

/// The directives of a request (section 5.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestDirectives {
    /// `max-age`: the greatest age that is accepted; zero if its value is not valid.
    pub max_age: Option<Span>,
    /// `max-stale`: how far past its expiry an answer is accepted; the longest span if it has no value, zero if
    /// its value is not valid.
    pub max_stale: Option<Span>,
    /// `min-fresh`: how long an answer must still be fresh; the longest span if its value is not valid.
    pub min_fresh: Option<Span>,
    /// `no-cache`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
}

impl RequestDirectives {
    /// Whether the client takes an answer of this age from storage without asking the origin (sections 5.2.1.1 to
    /// 5.2.1.4). `fresh_for` is how long it is still fresh, `stale_for` how long it has been stale.
    #[must_use]
    pub fn accept(&self, age: Span, fresh_for: Span, stale_for: Span) -> bool {
        let is_stale = fresh_for == Span::ZERO;
        let takes_stale = match self.max_stale {
            Some(most) => stale_for <= most,
            // A client that asks for an age or for freshness takes no stale answer unless it says so.
            None => self.max_age.is_none() && self.min_fresh.is_none(),
        };
        !self.no_cache
            && self.max_age.is_none_or(|most| age <= most)
            && self.min_fresh.is_none_or(|least| fresh_for >= least)
            && (!is_stale || takes_stale)
    }
}

/// What follows the name of a directive.
#[derive(PartialEq, Eq)]
enum Argument {
    Absent,
    /// What follows `=`, or a quoted string without quotes and escapes.
    Text(String),
    /// The directive's member of the list is not as the grammar says.
    Malformed,
}

/// A number of seconds (section 1.2.2): one above 2^31 counts as 2^31. `None` if it has other characters than
/// digits, or none.
#[must_use]
pub(super) fn delta_seconds(text: &str) -> Option<Span> {
    const MAX_SECONDS: u64 = 1 << 31;
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| Span(text.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS) * 1_000))
}

/// Whether a text is a token (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_character)
}

impl ResponseDirectives {
    /// Reads a `Cache-Control`. Of a directive that is there more than once, the strictest counts.
    #[must_use]
    pub fn read(field: &str) -> Self {
        let mut read = Self::default();
        let is_whole = for_each_directive(field, &mut |name, argument| read.add(name, argument));
        if !is_whole {
            (read.no_store, read.private) = (true, Extent::Whole);
        }
        read
    }

    /// Reads a `CDN-Cache-Control` (RFC 9213, section 2.1). `None` if the field is empty or not valid, because
    /// then it is to be ignored. A directive whose value has another type than it should is read as malformed.
    #[must_use]
    pub fn read_targeted(field: &str) -> Option<Self> {
        let members = dictionary(field).filter(|members| !members.is_empty())?;
        let mut read = Self::default();
        for (name, value) in members {
            let takes_names = matches!(name, "private" | "no-cache");
            let argument = match value {
                Value::Boolean(true) => Argument::Absent,
                Value::Integer(digits) if !takes_names => Argument::Text(digits.to_owned()),
                Value::String(names) if takes_names => Argument::Text(names),
                _ => Argument::Malformed,
            };
            read.add(name, argument);
        }
        Some(read)
    }

    /// A directive that allows something counts only as the grammar has it, one that forbids in any form.
    fn add(&mut self, name: &str, argument: Argument) {
        match name {
            "no-store" => self.no_store = true,
            "private" => self.private.add(argument),
            "no-cache" => self.no_cache.add(argument),
            "public" => self.public |= argument == Argument::Absent,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand |= argument == Argument::Absent,
            "max-age" => shorten(&mut self.max_age, &argument),
            "s-maxage" => shorten(&mut self.s_maxage, &argument),
            "stale-while-revalidate" => shorten(&mut self.stale_while_revalidate, &argument),
            "stale-if-error" => shorten(&mut self.stale_if_error, &argument),
            _ => {}
        }
    }
}

impl RequestDirectives {
    /// Reads the `Cache-Control` of a request; without one, `Pragma: no-cache` (section 5.4).
    #[must_use]
    pub fn read(cache_control: Option<&str>, pragma: Option<&str>) -> Self {
        let mut read = Self::default();
        let Some(field) = cache_control else {
            read.no_cache = pragma.is_some_and(|field| list_names(field, "no-cache"));
            return read;
        };
        let is_whole = for_each_directive(field, &mut |name, argument| read.add(name, &argument));
        if !is_whole {
            (read.no_cache, read.no_store) = (true, true);
        }
        read
    }

    fn add(&mut self, name: &str, argument: &Argument) {
        const ANY: Span = Span(u64::MAX);
        match name {
            "max-age" => shorten(&mut self.max_age, argument),
            "max-stale" if *argument == Argument::Absent => self.max_stale = self.max_stale.or(Some(ANY)),
            "max-stale" => shorten(&mut self.max_stale, argument),
            "min-fresh" => self.min_fresh = self.min_fresh.max(Some(seconds(argument).unwrap_or(ANY))),
            "no-cache" => self.no_cache = true,
            "no-store" => self.no_store = true,
            "only-if-cached" => self.only_if_cached |= *argument == Argument::Absent,
            _ => {}
        }
    }
}

impl Extent {
    /// Widens it by one more directive.
    fn add(&mut self, argument: Argument) {
        let names = match argument {
            Argument::Text(text) => field_names(&text),
            Argument::Absent | Argument::Malformed => None,
        };
        match (names, self) {
            (Some(names), Self::Fields(known)) => known.extend(names),
            (Some(names), it @ Self::Nothing) => *it = Self::Fields(names),
            (Some(_), Self::Whole) => {}
            (None, it) => *it = Self::Whole,
        }
    }
}

/// The names of header fields in a list, in lower case. `None` if there is none, or one is not valid.
fn field_names(list: &str) -> Option<Vec<String>> {
    let names: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let are_valid = !names.is_empty() && names.iter().all(|name| is_token(name));
    are_valid.then(|| names.into_iter().map(str::to_ascii_lowercase).collect())
}

fn seconds(argument: &Argument) -> Option<Span> {
    if let Argument::Text(text) = argument { delta_seconds(text) } else { None }
}

/// Keeps the shorter of two spans. One that is not valid is zero (section 4.2.1).
fn shorten(kept: &mut Option<Span>, argument: &Argument) {
    let span = seconds(argument).unwrap_or(Span::ZERO);
    *kept = Some(kept.map_or(span, |it| it.min(span)));
}

/// Hands over every directive of a field, its name in lower case. False if a quoted argument has no end.
///
/// A member is well-formed if it has only letters, digits, `-` and `_` beside `=` and a quoted argument. Any other is
/// read so that a directive is found rather than missed: all other characters separate directives, and each of
/// them is malformed. A quote that does not follow `=` begins no argument, so commas after it separate.
fn for_each_directive(field: &str, each: &mut dyn FnMut(&str, Argument)) -> bool {
    // The member without the text of its quoted arguments, and that text.
    let (mut member, mut quoted) = (String::new(), String::new());
    let mut rest = field.chars();
    while let Some(character) = rest.next() {
        if character == ',' {
            read_member(&member, &quoted, each);
            member.clear();
            continue;
        }
        let begins_argument = character == '"' && member.ends_with('=');
        member.push(character);
        if !begins_argument {
            continue;
        }
        quoted.clear();
        loop {
            match rest.next() {
                None => {
                    read_member(&member, "", each);
                    return false;
                }
                Some('"') => break,
                Some('\\') => quoted.extend(rest.next()),
                Some(other) => quoted.push(other),
            }
        }
    }
    read_member(&member, &quoted, each);
    true
}

/// Reads one member; its quoted argument is only a quote there.
fn read_member(member: &str, quoted: &str, each: &mut dyn FnMut(&str, Argument)) {
    let member = member.trim_matches([' ', '\t']).to_ascii_lowercase();
    let separates = |it: char| !(it.is_ascii_alphanumeric() || "-_=".contains(it));
    if member.strip_suffix("=\"").unwrap_or(&member).contains(separates) {
        for word in member.split(separates) {
            each(word.split('=').next().unwrap_or_default(), Argument::Malformed);
        }
        return;
    }
    match member.split_once('=') {
        None => each(&member, Argument::Absent),
        Some((name, "\"")) => each(name, Argument::Text(quoted.to_owned())),
        Some((name, text)) => each(name, Argument::Text(text.to_owned())),
    }
}
