//! Which values of a claim are accepted.

/// The accepted values of the claim `iss` or `aud`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Any, also none: the operator's explicit choice.
    Any,
    /// One of these.
    OneOf(Vec<String>),
}

impl Accepted {
    /// Whether one of the claim's values is accepted.
    #[must_use]
    pub fn accepts(&self, values: &[String]) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(accepted) => values.iter().any(|value| accepted.contains(value)),
        }
    }
}
