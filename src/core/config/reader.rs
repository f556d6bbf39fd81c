//! Typed reads from a table of settings, each with one sentence for what is refused.
//!
//! A read returns no error: it records the first refusal and returns a placeholder, and `Config::parse`
//! discards the whole configuration at the end. So the code of each setting is one line.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::error::ConfigError;
use crate::core::{canonical_json, time::Span};

/// A year, in seconds: the longest time that a setting may have.
pub(super) const YEAR: f64 = 31_536_000.0;

/// The first refusal, shared by the readers of all tables.
pub(super) type Refusal = RefCell<Option<ConfigError>>;

/// A table of settings, and the prefix of their names in errors: empty, or `ROUTES[index].`.
pub(super) struct Reader<'a> {
    prefix: String,
    table: &'a Map<String, Value>,
    refusal: &'a Refusal,
}

impl<'a> Reader<'a> {
    pub(super) fn new(prefix: String, table: &'a Map<String, Value>, refusal: &'a Refusal) -> Self {
        Self { prefix, table, refusal }
    }

    /// A reader of another table, which records its refusals in the same place.
    pub(super) fn of<'b>(&'b self, prefix: String, table: &'b Map<String, Value>) -> Reader<'b> {
        Reader { prefix, table, refusal: self.refusal }
    }

    /// The prefix of a table's settings in errors, by the table's name.
    pub(super) fn named(&self, table: &str) -> String {
        format!("{}{table}", self.prefix)
    }

    pub(super) fn table(&self) -> &'a Map<String, Value> {
        self.table
    }

    /// Refuses a setting as it stands.
    pub(super) fn refuse(&self, name: &str, allowed: &str) {
        let value = match self.table.get(name) {
            None => "missing".to_owned(),
            Some(value) => shortened(&canonical_json::text(value)),
        };
        self.note(name, value, allowed);
    }

    /// Refuses a secret: its value is never shown.
    pub(super) fn refuse_secret(&self, name: &str, allowed: &str) {
        self.note(name, "not acceptable".to_owned(), allowed);
    }

    fn note(&self, name: &str, value: String, allowed: &str) {
        self.refusal.borrow_mut().get_or_insert_with(|| ConfigError {
            setting: format!("{}{name}", self.prefix),
            value,
            allowed: allowed.to_owned(),
        });
    }

    /// Refuses a setting unless this holds.
    pub(super) fn demand(&self, holds: bool, name: &str, allowed: &str) {
        if !holds {
            self.refuse(name, allowed);
        }
    }

    /// The value in its own type; a text that holds JSON of another type is parsed, as `--var` and
    /// secrets can only give texts.
    pub(super) fn json(&self, name: &str) -> Option<Value> {
        match self.table.get(name)? {
            Value::String(text) => Some(
                canonical_json::parse(text)
                    .ok()
                    .filter(|value| !value.is_string())
                    .unwrap_or_else(|| Value::String(text.clone())),
            ),
            value => Some(value.clone()),
        }
    }

    pub(super) fn list(&self, name: &str, allowed: &str) -> Option<Vec<Value>> {
        match self.json(name) {
            None => None,
            Some(Value::Array(values)) => Some(values),
            Some(_) => {
                self.refuse(name, allowed);
                None
            }
        }
    }

    pub(super) fn texts(&self, name: &str, allowed: &str) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for value in self.list(name, allowed)? {
            match value {
                Value::String(text) => texts.push(text),
                _ => self.refuse(name, allowed),
            }
        }
        Some(texts)
    }

    pub(super) fn optional_text(&self, name: &str, allowed: &str) -> Option<String> {
        match self.table.get(name) {
            None => None,
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(_) => {
                self.refuse(name, allowed);
                None
            }
        }
    }

    /// A secret; `None` if it is unset or empty.
    pub(super) fn secret_text(&self, name: &str, allowed: &str) -> Option<String> {
        match self.table.get(name) {
            None => None,
            Some(Value::String(text)) => (!text.is_empty()).then(|| text.clone()),
            Some(_) => {
                self.refuse_secret(name, allowed);
                None
            }
        }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        match self.json(name) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.refuse(name, "true or false");
                false
            }
        }
    }

    pub(super) fn number(&self, name: &str, default: f64, least: f64, most: f64, unit: &str) -> f64 {
        // At the top level a number may be a string, as `--var` passes it; within a route it may not.
        let value = if self.prefix.is_empty() { self.json(name) } else { self.table.get(name).cloned() };
        let number = value.map_or(Some(default), |value| value.as_f64());
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => number,
            None => {
                let (least, most) = (canonical_json::text(&least.into()), canonical_json::text(&most.into()));
                self.refuse(name, &format!("a number of {unit} from {least} to {most}"));
                default
            }
        }
    }

    pub(super) fn seconds(&self, name: &str, default: f64, least: f64, most: f64) -> Span {
        Span::from_seconds(self.number(name, default, least, most, "seconds"))
    }

    pub(super) fn whole(&self, name: &str, default: u32, least: u32, most: u32, unit: &str) -> u32 {
        let number = self.number(name, default.into(), least.into(), most.into(), unit);
        if number.fract() != 0.0 {
            self.refuse(name, &format!("a whole number of {unit} from {least} to {most}"));
        }
        number as u32
    }
}

fn shortened(value: &str) -> String {
    const MAX_SHOWN: usize = 80;
    match value.char_indices().nth(MAX_SHOWN) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}…", &value[..end]),
    }
}
