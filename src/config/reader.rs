//! Typed reads from a table of settings, each with one sentence for what is refused.

use serde_json::{Map, Value};

use super::ConfigError;
use crate::{json, time::Millis};

/// A table of settings, and the words in front of their names.
pub(super) struct Reader<'a> {
    prefix: String,
    table: &'a Map<String, Value>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(prefix: impl Into<String>, table: &'a Map<String, Value>) -> Self {
        Self { prefix: prefix.into(), table }
    }

    pub(super) fn table(&self) -> &'a Map<String, Value> {
        self.table
    }

    /// The refusal of a setting as it stands.
    pub(super) fn refuse(&self, name: &str, allowed: &str) -> ConfigError {
        let value = match self.table.get(name) {
            None => "missing".to_owned(),
            Some(value) => shortened(&json::text(value)),
        };
        ConfigError { setting: format!("{}{name}", self.prefix), value, allowed: allowed.to_owned() }
    }

    /// The refusal of a secret: its value is never shown.
    pub(super) fn refuse_secret(&self, name: &str, allowed: &str) -> ConfigError {
        let setting = format!("{}{name}", self.prefix);
        ConfigError { setting, value: "not acceptable".to_owned(), allowed: allowed.to_owned() }
    }

    /// The value in its own type; a text that holds JSON of another type is parsed, as `--var` and
    /// secrets can only give texts.
    fn json(&self, name: &str) -> Option<Value> {
        match self.table.get(name)? {
            Value::String(text) => Some(
                serde_json::from_str::<Value>(text)
                    .ok()
                    .filter(|value| !value.is_string())
                    .unwrap_or_else(|| Value::String(text.clone())),
            ),
            value => Some(value.clone()),
        }
    }

    pub(super) fn list(&self, name: &str, allowed: &str) -> Result<Option<Vec<Value>>, ConfigError> {
        match self.json(name) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(_) => Err(self.refuse(name, allowed)),
        }
    }

    pub(super) fn texts(&self, name: &str, allowed: &str) -> Result<Vec<String>, ConfigError> {
        self.list(name, allowed)?
            .unwrap_or_default()
            .into_iter()
            .map(|value| match value {
                Value::String(text) => Ok(text),
                _ => Err(self.refuse(name, allowed)),
            })
            .collect()
    }

    pub(super) fn optional_text(&self, name: &str, allowed: &str) -> Result<Option<String>, ConfigError> {
        match self.table.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(self.refuse(name, allowed)),
        }
    }

    /// A secret that is unset or empty does not exist.
    pub(super) fn secret_text(&self, name: &str, allowed: &str) -> Result<Option<String>, ConfigError> {
        match self.table.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok((!text.is_empty()).then(|| text.clone())),
            Some(_) => Err(self.refuse_secret(name, allowed)),
        }
    }

    pub(super) fn secret_json(&self, name: &str, allowed: &str) -> Result<Option<Value>, ConfigError> {
        match self.json(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(_)) => Err(self.refuse_secret(name, allowed)),
            value => Ok(value),
        }
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ConfigError> {
        match self.json(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(self.refuse(name, "true or false")),
        }
    }

    pub(super) fn number(
        &self,
        name: &str,
        default: f64,
        least: f64,
        most: f64,
        unit: &str,
    ) -> Result<f64, ConfigError> {
        // Within a route numbers are numbers; at the top level `--var` makes texts of them.
        let value = if self.prefix.is_empty() { self.json(name) } else { self.table.get(name).cloned() };
        match value {
            None => Ok(default),
            Some(value) => value.as_f64().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
                self.refuse(
                    name,
                    &format!("a number of {unit} from {} to {}", json::text(&least), json::text(&most)),
                )
            }),
        }
    }

    pub(super) fn seconds(
        &self,
        name: &str,
        default: f64,
        least: f64,
        most: f64,
    ) -> Result<Millis, ConfigError> {
        self.number(name, default, least, most, "seconds").map(Millis::from_seconds)
    }

    pub(super) fn whole(
        &self,
        name: &str,
        default: u32,
        least: u32,
        most: u32,
        unit: &str,
    ) -> Result<u32, ConfigError> {
        let number = self.number(name, default.into(), least.into(), most.into(), unit)?;
        if number.fract() == 0.0 {
            Ok(number as u32)
        } else {
            Err(self.refuse(name, &format!("a whole number of {unit} from {least} to {most}")))
        }
    }
}

fn shortened(value: &str) -> String {
    const MOST: usize = 80;
    if value.chars().count() <= MOST {
        value.to_owned()
    } else {
        value.chars().take(MOST).chain(std::iter::once('…')).collect()
    }
}
