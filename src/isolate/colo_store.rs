//! Puts a committed entry into the colo's cache: a lookup, so that nothing newer and no tombstone of a purge
//! is overwritten, then a write.

use std::sync::Arc;

use super::step::{Effect, Event, StepContext};
use crate::core::entry::Entry;

/// A store under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ColoStore {
    entry: Arc<Entry>,
}

impl ColoStore {
    /// The store and its first effect.
    pub(super) fn begin(entry: Arc<Entry>) -> (Self, Effect) {
        (Self { entry }, Effect::LookUpColo)
    }

    /// The entry.
    pub(super) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The next effect; `None` when the store has ended, with or without a write.
    pub(super) fn on(&self, event: Event, context: &mut StepContext<'_>) -> Option<Effect> {
        let Event::Colo(bytes) = event else { return None };
        let held = context.record(bytes.as_deref());
        let heard = context.isolate.memory.floor(&context.subject.key.hash);
        let record = held.with_entry(&self.entry, heard, context.now)?;
        let lifetime = record.entry.as_ref().map(|entry| entry.remaining(context.now))?;
        Some(Effect::WriteColo { bytes: record.encode(), lifetime })
    }
}
