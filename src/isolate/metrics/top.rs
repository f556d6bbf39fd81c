//! Who asks most: a bounded list of names with what each has cost. Names never become labels of a metric.
//!
//! When the list is full, a new name takes the place of the one that weighs least and inherits its weight, as in the
//! Space-Saving algorithm (Metwally, Agrawal, El Abbadi, ICDT 2005): a name whose true weight exceeds the whole weight
//! divided by the list's length is always in the list.

use serde::{Deserialize, Serialize};

use crate::core::time::Span;

/// The greatest number of names.
pub const MAX_NAMES: usize = 100;
/// A computation weighs as much as this many requests.
const COMPUTATION: u64 = 100;

/// What was done for a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Requests that were answered.
    pub requests: u64,
    /// Calls to the origin.
    pub computations: u64,
    /// How long these took, summed up.
    pub origin_time: Span,
}

impl Spent {
    /// One request.
    pub const REQUEST: Self = Self { requests: 1, computations: 0, origin_time: Span::ZERO };

    /// One call to the origin that took this long.
    #[must_use]
    pub fn computation(took: Span) -> Self {
        Self { requests: 0, computations: 1, origin_time: took }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            computations: self.computations.saturating_add(other.computations),
            origin_time: self.origin_time.plus(other.origin_time),
        }
    }

    fn weight(self) -> u64 {
        self.requests.saturating_add(self.computations.saturating_mul(COMPUTATION))
    }
}

/// A name in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopName {
    /// The name.
    pub name: String,
    /// What was done for it while it was in the list.
    pub spent: Spent,
    /// The weight of the names whose place it has taken: so much of its own may be missing.
    inherited: u64,
}

impl TopName {
    fn weight(&self) -> u64 {
        self.inherited.saturating_add(self.spent.weight())
    }

    /// Whether it may have cost more than is counted, because the list was full when it came.
    #[must_use]
    pub fn may_be_incomplete(&self) -> bool {
        self.inherited > 0
    }
}

/// The names that have cost most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopList(Vec<TopName>);

impl TopList {
    /// Adds what was done for a name.
    pub fn add(&mut self, name: &str, spent: Spent) {
        self.enter(name, spent, 0);
    }

    /// Adds the list of another isolate.
    pub fn merge(&mut self, other: &Self) {
        for TopName { name, spent, inherited } in &other.0 {
            self.enter(name, *spent, *inherited);
        }
    }

    /// The names, the one that weighs most first.
    #[must_use]
    pub fn sorted(&self) -> Vec<&TopName> {
        let mut names: Vec<_> = self.0.iter().collect();
        // An insertion sort: the list is short, and the code of a slice's sort is five times as large.
        for end in 1..names.len() {
            let mut place = end;
            while place > 0 && names[place - 1].weight() < names[place].weight() {
                names.swap(place - 1, place);
                place -= 1;
            }
        }
        names
    }

    fn enter(&mut self, name: &str, spent: Spent, inherited: u64) {
        if let Some(place) = self.0.iter().position(|it| it.name == name) {
            let known = &mut self.0[place];
            known.spent = known.spent.plus(spent);
            known.inherited = known.inherited.saturating_add(inherited);
            // What is asked for often is found soon.
            if place > 0 {
                self.0.swap(place - 1, place);
            }
            return;
        }
        let mut new = TopName { name: name.to_owned(), spent, inherited };
        let least = self.0.iter().enumerate().min_by_key(|(_, it)| it.weight()).map(|(place, _)| place);
        match least.filter(|_| self.0.len() >= MAX_NAMES) {
            Some(least) => {
                new.inherited = new.inherited.saturating_add(self.0[least].weight());
                self.0[least] = new;
            }
            None => self.0.push(new),
        }
    }
}
