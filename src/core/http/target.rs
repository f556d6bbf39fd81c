//! Request targets: one spelling for those that are equivalent, and the parameters that are keyed.

use percent_encoding::percent_decode_str;

/// Which parameters of a query are part of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyedQuery {
    /// None: a request has no query.
    None,
    /// All of them.
    All,
    /// Those with these names, decoded.
    Names(Vec<String>),
}

/// A path or query in the one spelling that RFC 3986 prefers (sections 6.2.2.1 and 6.2.2.2): escapes of letters,
/// digits and `-._~` are decoded, and other escapes have upper-case digits. A percent sign that begins no escape is
/// escaped, so that it cannot become part of one.
#[must_use]
pub fn plain_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        let escape = rest.get(at..at + 3);
        let byte = escape.and_then(|escape| u8::from_str_radix(&escape[1..], 16).ok());
        match (escape, byte) {
            (Some(_), Some(byte)) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                plain.push(char::from(byte));
            }
            (Some(escape), Some(_)) => plain.push_str(&escape.to_ascii_uppercase()),
            _ => {
                plain.push_str("%25");
                rest = &rest[at + 1..];
                continue;
            }
        }
        rest = &rest[at + 3..];
    }
    plain.push_str(rest);
    plain
}

/// The query that is keyed and sent to the origin, with its question mark; empty without parameters. Parameters
/// are sorted by their names; those with the same name keep their order.
///
/// # Errors
/// The name of a parameter that is not keyed, unless such parameters are dropped.
pub fn canonical_query(query: &str, keyed: &KeyedQuery, drops_others: bool) -> Result<String, String> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for parameter in query.split('&').filter(|it| !it.is_empty()) {
        let name = parameter.split('=').next().unwrap_or_default();
        let is_keyed = match keyed {
            KeyedQuery::None => false,
            KeyedQuery::All => true,
            KeyedQuery::Names(names) => names.iter().any(|it| percent_decode_str(name).eq(it.bytes())),
        };
        if is_keyed {
            parameters.push((plain_escapes(name), plain_escapes(parameter)));
        } else if !drops_others {
            return Err(name.chars().take(64).collect());
        }
    }
    parameters.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut canonical = String::new();
    for (_, parameter) in &parameters {
        canonical.push(if canonical.is_empty() { '?' } else { '&' });
        canonical.push_str(parameter);
    }
    Ok(canonical)
}
