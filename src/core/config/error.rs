//! The refusal of a setting, in one sentence.

use std::fmt;

/// A refused setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Its name, with the route's place in front where it belongs to one.
    pub setting: String,
    /// What it was set to, shortened; secrets are never shown.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The setting {} is {}, but must be {}.", self.setting, self.value, self.allowed)
    }
}
