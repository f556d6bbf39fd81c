//! The refusal of a setting, in one sentence.

use std::fmt;

/// A refused setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The setting's name; a route's setting has the prefix `ROUTES[index].`.
    pub setting: String,
    /// The refused value as JSON, shortened, or `missing`; a secret is never shown.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The setting {} is {}, but must be {}.", self.setting, self.value, self.allowed)
    }
}
